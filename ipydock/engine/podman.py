"""Podman, through its command line: it needs no service to be running."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import BaseImageError, EngineError, InputError
from ..events import OnEvent
from ..models import Image, Limits, Recipe
from ..process import Cancellation, Completed, ProcessPlan, run
from . import labels
from .building import options
from .capabilities import of_podman
from .client import executables
from .containers import ended, killed_for_memory, new_name, run_options
from .interface import NO_SECRETS, Capability, EngineInfo
from .podman_build import PodmanBuild
from .podman_objects import PodmanObjects


class PodmanEngine:
    """A Podman engine, with or without root.

    Raises:
        EngineError: there is no podman on the PATH, or it cannot work here.
    """

    name = "podman"

    def __init__(self) -> None:
        program = next(executables("podman"), None)
        if program is None:
            raise EngineError("There is no podman on the PATH.", hint="Install podman.")
        self._program = program
        done = self._run("info", "--format", "json")
        if done.returncode:
            raise EngineError(
                f"Podman does not work here: {_last(done.stderr)}",
                hint="`podman info` shows the whole message.",
                evidence=done.stderr,
            )
        self._daemon: dict[str, Any] = json.loads(done.stdout)

    def _run(self, *words: str, cancel: Cancellation | None = None) -> Completed:
        try:
            return run(ProcessPlan((self._program, *words)), timeout=600, cancel=cancel)
        except subprocess.TimeoutExpired as error:
            raise EngineError(
                f"`podman {words[0]}` did not end within 10 minutes.",
                hint="`podman info` may tell why.",
            ) from error

    def info(self) -> EngineInfo:
        """Say what this engine is."""
        return EngineInfo(
            name=self.name,
            version=str(self._daemon.get("version", {}).get("Version", "unknown")),
            address=self._program,
            isolation="The notebook runs in a container: no network, no capabilities.",
        )

    def capabilities(self) -> tuple[Capability, ...]:
        """What it can do, each thing asked or tried."""
        return of_podman(self._program, self._daemon)

    @property
    def other_host(self) -> str:
        """Empty: what podman starts by itself runs on this machine."""
        return ""

    @property
    def identity(self) -> str:
        """There is one for each user; its images are kept in one place."""
        return self.name

    @property
    def objects(self) -> PodmanObjects:
        """Its images and containers that carry our labels."""
        return PodmanObjects(self._program, self._run)

    def resolve(self, base: str, *, cancel: Cancellation | None = None) -> str:
        """The base with the digest that its registry says it stands for now; it is pulled."""
        full = _qualified(base)
        if "@sha256:" in full:
            return full
        done = self._run("pull", "--quiet", full, cancel=cancel)
        found = self._run("image", "inspect", "--format", "{{.Digest}}", full)
        if found.returncode:
            raise BaseImageError(
                f"The base image {base} does not exist or cannot be reached: {_last(done.stderr)}",
                hint="Check its name (--base), the network, and whether its registry wants "
                "`podman login`. --engine venv needs no image.",
                evidence=done.stderr,
            )
        return f"{full}@{found.stdout.strip()}"

    def can_build(self) -> None:
        """It can: Buildah is part of it."""

    def find(self, recipe: Recipe) -> Image | None:
        """The image of this recipe, if it has been built already."""
        done = self._run(
            "images", "--quiet", "--no-trunc", "--filter", f"label={labels.RECIPE}={recipe.digest}"
        )
        found = [self._image(i, recipe.tag) for i in dict.fromkeys(done.stdout.split())]
        # An image made from this one carries its labels too, and is larger.
        return min(found, key=lambda image: image.size_bytes, default=None)

    def inspect(self, reference: str) -> Image:
        """An image by name or id."""
        return self._image(reference, reference)

    def tag(self, image: Image, tag: str) -> Image:
        """Give an image one more name."""
        done = self._run("tag", image.id, tag)
        if done.returncode:
            raise InputError(f"The image cannot be called {tag}: {_last(done.stderr)}")
        return image.model_copy(update={"tag": tag})

    def _image(self, reference: str, tag: str, seconds: float | None = None) -> Image:
        done = self._run("image", "inspect", reference)
        if done.returncode:
            raise InputError(
                f"Podman has no image {reference}.",
                hint="Build it first: ipydock build NOTEBOOK -t TAG.",
            )
        found = json.loads(done.stdout)[0]
        return Image(
            id=str(found["Id"]),
            tag=tag,
            engine=self.name,
            recipe=str((found.get("Labels") or {}).get(labels.RECIPE, "")),
            size_bytes=int(found.get("Size", 0)),
            cached=seconds is None,
            seconds=seconds or 0.0,
        )

    def build(
        self,
        recipe: Recipe,
        context: Path,
        *,
        tag: str | None = None,
        no_cache: bool = False,
        pull: bool = False,
        secrets: Mapping[str, Path] = NO_SECRETS,
        on_event: OnEvent,
        cancel: Cancellation | None = None,
    ) -> Image:
        """Build the image from a context folder that holds the recipe's files."""
        name = tag or recipe.tag
        began = time.monotonic()
        words = options(recipe, tag=name, no_cache=no_cache, pull=pull, secrets=secrets)
        build = PodmanBuild(self._program, self._daemon.get("store", {}))
        done, log = build.run(words, context, recipe, on_event, cancel)
        if done.returncode:
            raise log.failure()
        built = self._image(name, name, time.monotonic() - began)
        return built.model_copy(update={"log": str(log.path)})

    def kernel(self, image: Image, *, command: tuple[str, ...], limits: Limits) -> PodmanKernel:
        """Prepare a container; it is started by the process of the returned plan."""
        name = new_name()
        memory = limits.memory or ""
        argv = (
            self._program, "run", "--interactive", "--rm", "--name", name, "--pull", "never",
            *labels.options(labels.for_container(image.recipe)),
            *run_options(limits, memory),
            "--entrypoint", json.dumps([command[0]]), image.id, *command[1:],
        )  # fmt: skip
        # Its monitor leaves a file called "oom" in the current folder when memory runs out.
        scratch = Path(tempfile.mkdtemp(prefix="ipydock-podman-"))
        return PodmanKernel(ProcessPlan(argv, cwd=scratch), self, name, memory)

    def remove_container(self, name: str) -> None:
        """Remove a container, running or not; nothing happens if there is none of that name."""
        self._run("rm", "--force", "--ignore", "--volumes", "--time", "0", name)


class PodmanKernel:
    """A container that runs one kernel and is gone when that ends."""

    def __init__(self, plan: ProcessPlan, engine: PodmanEngine, name: str, memory: str) -> None:
        self.plan = plan
        self._engine = engine
        self.name = name
        self._memory = memory

    def why_ended(self, returncode: int | None) -> str:
        """Say how it ended; a kill at the memory limit is a guess, as Podman keeps no record."""
        if self._memory and returncode in (137, -9):
            return f"{killed_for_memory(self._memory)} (A guess: it was ended by SIGKILL.)"
        return ended(returncode)

    def remove(self) -> None:
        """Remove the container, running or not; nothing happens if it is gone already."""
        self._engine.remove_container(self.name)
        if self.plan.cwd is not None:
            shutil.rmtree(self.plan.cwd, ignore_errors=True)


def _qualified(base: str) -> str:
    """The reference with its registry: Podman looks short names up in no particular one."""
    first, slash, _ = base.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return base
    return f"docker.io/{base}" if slash else f"docker.io/library/{base}"


def _last(stderr: str) -> str:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "no message"
