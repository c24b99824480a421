"""A podman build that leaves nothing behind when it is cancelled.

Podman and Buildah are one process, and whatever ends it in the middle leaves the container of the
step that ran, its mounts and its processes (seen with podman 4.3). So the step is ended first, at
which they clear up by themselves as after any step that fails; what is left all the same is found
by a mark.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..errors import EngineError
from ..events import Event, LogLine, OnEvent
from ..models import Recipe
from ..network.proxies import proxies
from ..process import Cancellation, Completed, ProcessPlan, descendants, end, run
from .building import new_log
from .buildlog import BuildLog
from .podman_keys import keyed

_STEP_ENDS = 0.8  # seconds for podman to clear up after its step was killed
_LAYER = re.compile(r"^--> (Using cache )?([0-9a-f]{10,64})$")


class PodmanBuild:
    """One build.

    Args:
        program: the podman.
        store: what `podman info` tells of its store.
    """

    def __init__(self, program: str, store: Mapping[str, Any]) -> None:
        self._program = program
        self._store = store
        # Buildah keeps the secrets' names with each working container. One that no step mounts
        # tells ours from all others, and changes neither the image nor what is in the cache.
        self._mark = f"ipydock-{uuid.uuid4().hex}"
        self._made: list[str] = []
        self._cached: list[str] = []

    def run(
        self,
        options: tuple[str, ...],
        context: Path,
        recipe: Recipe,
        on_event: OnEvent,
        cancel: Cancellation | None,
    ) -> tuple[Completed, BuildLog]:
        """Build with these options; like `building.run_build`."""

        def listen(event: Event) -> None:
            if isinstance(event, LogLine) and (match := _LAYER.match(event.line)):
                self._note(match[2], cached=bool(match[1]))
            on_event(event)

        try:
            with new_log(recipe, listen) as log:
                return self._build(options, context, log, cancel), log
        except BaseException:
            self._clear()
            raise

    def _build(
        self, options: tuple[str, ...], context: Path, log: BuildLog, cancel: Cancellation | None
    ) -> Completed:
        """Build the stages that others mount, each to an image, then the image itself.

        A stage that was all found in the cache is mounted as an empty folder by Buildah 1.28; the
        image of the same stage is not.
        """
        text = (context / "Dockerfile").read_text(encoding="utf-8")
        images: list[str] = []
        known: dict[str, str] = {}
        with tempfile.TemporaryDirectory(prefix="ipydock-podman-") as folder:
            told = Path(folder, "Dockerfile")
            told.write_text(keyed(text, context, known), encoding="utf-8")
            options = (*options, "--file", str(told))
            for stage in mounted_stages(text) if self._takes_images() else ():
                file = Path(folder, "id")
                words = (*unnamed(options), *images, "--target", stage, "--iidfile", str(file))
                done = self._run(words, context, log, cancel)
                if done.returncode:
                    return done
                found = file.read_text(encoding="utf-8").removeprefix("sha256:").strip()
                known[stage] = found
                told.write_text(keyed(text, context, known), encoding="utf-8")
                images += ["--build-context", f"{stage}=container-image://{found}"]
            return self._run((*options, *images), context, log, cancel)

    def _run(
        self, options: tuple[str, ...], context: Path, log: BuildLog, cancel: Cancellation | None
    ) -> Completed:
        argv = (
            self._program, "build", "--format", "docker", "--layers",
            "--secret", f"id={self._mark},src={context / 'Dockerfile'}",
            *options, str(context),
        )  # fmt: skip
        plan = ProcessPlan(argv, env={**os.environ, **proxies()})
        return run(plan, on_line=log.line, cancel=cancel, ending=self._end)

    def _takes_images(self) -> bool:
        done = run(ProcessPlan((self._program, "build", "--help")), timeout=20)
        return "--build-context" in done.stdout

    def _note(self, layer: str, *, cached: bool) -> None:
        """Note a layer; one from the cache is named twice, the second time like one just made."""
        if cached:
            self._cached.append(layer)
        elif not any(one.startswith(layer) for one in self._cached):
            self._made.append(layer)

    @staticmethod
    def _end(process: subprocess.Popen[bytes]) -> None:
        """End the step that runs, then podman if it does not end by itself."""
        step = [one for one in descendants(process.pid) if one.session != process.pid]
        for one in step:
            one.kill()
        if step:
            with suppress(subprocess.TimeoutExpired):
                process.wait(_STEP_ENDS)
        end(process, grace=0.2)

    def _clear(self) -> None:
        """Remove the working containers and the layers of this build."""
        if containers := self._containers():
            self._ask("rm", "--force", "--time", "0", *containers)
        # The last first: each is the parent of the next.
        if self._made:
            self._ask("rmi", "--no-prune", *reversed(self._made))

    def _containers(self) -> list[str]:
        folder = Path(
            str(self._store.get("graphRoot", "")),
            f"{self._store.get('graphDriverName', 'overlay')}-containers",
        )
        found = []
        for path in folder.glob("*/userdata/buildah.json"):
            with suppress(OSError, ValueError):  # another build's, which is being removed
                kept = json.loads(path.read_text(encoding="utf-8"))
                secrets = (kept.get("CommonBuildOpts") or {}).get("Secrets") or ()
                if any(self._mark in str(secret) for secret in secrets):
                    found.append(path.parent.parent.name)
        return found

    def _ask(self, *words: str) -> None:
        done = run(ProcessPlan((self._program, *words)), timeout=60)
        if done.returncode:
            raise EngineError(
                f"What the cancelled build left could not be removed: {done.stderr.strip()[-300:]}",
                hint="`podman system prune` removes it.",
                evidence=done.stderr,
            )


def unnamed(options: tuple[str, ...]) -> tuple[str, ...]:
    """The options without the name and the labels, by which the image itself is found again."""
    kept: list[str] = []
    words = iter(options)
    for word in words:
        if word in ("--tag", "--label"):
            next(words)
        else:
            kept.append(word)
    return tuple(kept)


def mounted_stages(dockerfile: str) -> list[str]:
    """The stages of a Dockerfile that later steps mount, in its order."""
    stages = re.findall(r"^FROM\s.*\sAS\s+(\S+)\s*$", dockerfile, re.MULTILINE | re.IGNORECASE)
    mounted = set(re.findall(r"--mount=\S*\bfrom=([^,\s]+)", dockerfile))
    return [stage for stage in stages if stage in mounted]
