"""The one door to uv: requirements in, a lock with hashes out.

A lock is remembered for what it was made from, so that an unchanged notebook keeps its lock, and
with it its image, even where something is not pinned and the index has newer files by now.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name

from ..errors import LockError
from ..files import write_atomic
from ..hosts import cache_folder
from ..network.indexes import Indexes, indexes
from ..process import Cancellation, ProcessPlan, run
from .lock_errors import explain

_MACHINES = {"amd64": "x86_64", "x86_64": "x86_64", "arm64": "aarch64", "aarch64": "aarch64"}
_PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==([^\s;\\]+)")


@dataclass(frozen=True, slots=True)
class Lock:
    """A requirements file with hashes, and the version of each distribution in it."""

    text: str
    versions: dict[str, str]


def uv_path() -> str:
    """The uv that came with ipydock."""
    import uv

    return uv.find_uv_bin()


def uv_platform(machine: str, system: str = "linux") -> str:
    """The name by which uv calls a platform; Linux with the C library of Debian 12 (2.36)."""
    known = uv_machine(machine)
    return f"{known}-apple-darwin" if system == "darwin" else f"{known}-manylinux_2_36"


def uv_machine(machine: str) -> str:
    """The name by which wheels and uv call a machine that Docker may call ``amd64``."""
    return _MACHINES.get(machine.lower(), machine)


def lock(
    requirements: Sequence[str],
    constraints: Sequence[str],
    *,
    python: str,
    platform: str,
    excluded: Sequence[str] = (),
    build: bool = False,
    fresh: bool = False,
    cancel: Cancellation | None = None,
) -> Lock:
    """Resolve requirements to exact versions with the hashes of every file of each.

    Args:
        requirements: what is wanted, such as ``pandas==2.2.1`` or ``gensim``.
        constraints: versions to keep to where one of these is needed, such as ``numpy==1.26.4``.
        python: interpreter series, such as ``3.11``.
        platform: as uv calls it, see `uv_platform`.
        excluded: names that are never looked up, whoever requires them.
        build: let uv run a source distribution's own code to learn what it needs. Only for what
            is installed on this machine already, and so has run here before.
        fresh: ask the index, even if the answer to the same question is remembered.
        cancel: ends uv when raised.

    Raises:
        LockError: there is no solution, or the index cannot be reached.
        InputError: the settings of pip or uv on this host cannot be read.
        Cancelled: ``cancel`` was raised.
    """
    known = indexes()
    question = (requirements, constraints, python, platform, excluded, build)
    remembered = _remembered(question, known)
    if not fresh and (text := _read(remembered)):
        return Lock(text=text, versions=_versions(text))
    with tempfile.TemporaryDirectory(prefix="ipydock-lock-") as folder:
        wanted = Path(folder, "requirements.in")
        held = Path(folder, "constraints.txt")
        wanted.write_text("\n".join(requirements) + "\n", encoding="utf-8")
        held.write_text("\n".join(constraints) + "\n", encoding="utf-8")
        left = Path(folder, "excludes.txt")
        left.write_text("\n".join(excluded) + "\n", encoding="utf-8")
        plan = ProcessPlan(
            (
                uv_path(), "pip", "compile", "--quiet", "--no-progress", "--generate-hashes",
                "--no-header", "--color=never", "--python-version", python,
                # Any will do; it only runs what a source distribution needs to tell its metadata.
                "--python", sys.executable,
                "--python-platform", platform,
                *(() if build else ("--no-build",)),
                *(("--excludes", "excludes.txt") if excluded else ()),
                "--constraints", "constraints.txt", "requirements.in",
            ),
            env=known.unlocked().environment(),
            cwd=Path(folder),
        )  # fmt: skip
        try:
            done = run(plan, cancel=cancel, timeout=600)
        except subprocess.TimeoutExpired as error:
            raise LockError(
                "Locking the packages took longer than 10 minutes.",
                hint="Is the package index reachable? `ipydock doctor` tells.",
            ) from error
    if done.returncode:
        raise explain(done.stderr.strip(), known)
    text = done.stdout.replace("# via -r requirements.in", "# via the notebook").replace(
        "#   -r requirements.in", "#   the notebook"
    )
    with contextlib.suppress(OSError):  # then the index is asked the next time
        remembered.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(remembered, text)
    return Lock(text=text, versions=_versions(text))


def _remembered(question: object, known: Indexes) -> Path:
    """Where the answer to a question to uv is kept, under all that it depends on."""
    # Where packages come from is told by what was read of it, without its credentials.
    told = ("UV_INDEX", "UV_DEFAULT_INDEX", "UV_EXTRA_INDEX", "UV_KEYRING", "UV_PUBLISH")
    settings = sorted(
        item
        for item in os.environ.items()
        if item[0].startswith("UV_") and not item[0].startswith(told)
    )
    depends = [uv_path(), question, known.identity(), settings]
    key = hashlib.sha256(json.dumps(depends).encode()).hexdigest()
    return cache_folder() / "locks" / f"{key[:32]}.lock"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""


def _versions(text: str) -> dict[str, str]:
    pins = (_PIN.match(line) for line in text.splitlines())
    return {canonicalize_name(pin[1]): pin[2] for pin in pins if pin}
