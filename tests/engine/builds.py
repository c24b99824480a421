"""Small builds for the tests of engines, and looking for what they leave."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import uuid
from pathlib import Path

from ipydock.engine.interface import Engine
from ipydock.models import PythonInfo, Recipe

BASE = "debian:bookworm-slim"
# What `tests.bed also` calls them; "bed" is the engine that is in use.
EVERY = ("bed", "newer", "containerd", "ssh", "podman")
LOCAL = ("bed", "newer", "containerd", "podman")  # without the way that takes seconds each time


def recipe(engine: Engine, *lines: str) -> Recipe:
    """A recipe of these lines on a small base; its digest is another one each time."""
    base = engine.resolve(BASE)
    return Recipe(
        notebook="x.ipynb",
        notebook_sha256="",
        base=base,
        python=PythonInfo(version="3.12.1"),
        dockerfile="\n".join((f"FROM {base}", *lines)) + "\n",
        lock="",
        dockerignore="",
        packages=(),
        digest=hashlib.sha256(uuid.uuid4().bytes).hexdigest(),
    )


def context(folder: Path, made: Recipe) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "Dockerfile").write_text(made.dockerfile)
    return folder


def kept(engine: Engine) -> list[str]:
    """The containers, half-made ones included, and unnamed images that the engine has."""
    # Those of Buildah, and the layers that Podman keeps as images, are told only when asked for.
    more = [["--external"], ["--all"]] if engine.name == "podman" else [[], []]
    found: list[str] = []
    for words, also in zip(
        (["ps", "--all", "--quiet"], ["images", "--quiet", "--filter", "dangling=true"]),
        more,
        strict=True,
    ):
        program = shutil.which(engine.name)
        assert program is not None
        done = subprocess.run([program, *words, *also], capture_output=True, text=True, check=True)
        found += sorted(done.stdout.split())
    return found


def running(words: str) -> bool:
    """Whether a process with these words among its arguments runs, in a container or not."""
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if words in line:
            return True
    return False
