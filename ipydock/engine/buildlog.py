"""The plain progress of a build as events, and what a failed build's log means.

BuildKit's ``--progress=plain`` writes ``#7 [stage-1 3/6] RUN ...``, then ``#7 0.52 output``, and at
the end ``#7 DONE 2.6s``, ``#7 CACHED`` or ``#7 ERROR: ...`` (moby/buildkit, util/progress). Podman
and Buildah write ``STEP 3/6: RUN ...`` and bare output.
"""

from __future__ import annotations

import re
import time
from collections import deque
from pathlib import Path
from types import TracebackType

from ..errors import BaseImageError, BuildError, DiskFull, IpydockError
from ..events import LogLine, OnEvent, StepFinished, StepStarted

_VERTEX = re.compile(r"^#(\d+) (.*)$")
_STEP = re.compile(r"^\[(?!internal)(?:auth\] |)(.+?)\] (.+)$")
_OUTPUT = re.compile(r"^\d+\.\d+ (.*)$")
_PODMAN = re.compile(r"^(?:\[\d+/\d+\] )?STEP (\d+/\d+): (.*)$")
_NOISE = re.compile(r"^(sha256:|transferring|resolve |extracting |\.\.\.$|naming to|writing image)")
_MOUNT = re.compile(r"--mount=\S+\s+")
_TAIL = 40  # lines of the log that an error carries as evidence

# What a failed build's last lines usually mean; the first that matches is shown.
_MEANINGS: tuple[tuple[re.Pattern[str], type[BuildError], str, str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), kind, says, hint)
    for pattern, kind, says, hint in (
        (
            r"no space left on device|not enough free space|disk quota exceeded",
            DiskFull,
            "there is no space left where the engine builds",
            "Free some: `docker system df` shows what takes it, `docker builder prune` removes "
            "build caches.",
        ),
        (
            r"(load metadata for|resolve source metadata|manifest|initializing source|short-name)"
            r"[^\n]*(not found|unknown|denied|failed to do request|unable to|did not resolve)"
            r"|manifest unknown|pull access denied|failed to resolve source metadata|"
            r"failed to do request: head",
            BaseImageError,
            "the base image does not exist or cannot be reached",
            "Check the name given with --base, the network, and whether the registry wants "
            "`docker login`.",
        ),
        (
            r"UnknownIssuer|invalid peer certificate|CERTIFICATE_VERIFY_FAILED|self.signed certi|"
            r"certificate (verif|is NOT trusted|problem)",
            BuildError,
            "a certificate was not trusted inside the build",
            "Set SSL_CERT_FILE to your network's CA bundle; ipydock hands it to the build as a "
            "secret.",
        ),
        (
            r"dns error|Temporary failure (in name )?resol|Could not resolve|"
            r"Failed to establish a new connection|Network is unreachable|timed out",
            BuildError,
            "the network cannot be reached from the build",
            "Check the network and proxy of the engine; `ipydock doctor` tells what is reachable.",
        ),
        (
            r"hash mismatch|Hash mismatch|hashes are required",
            BuildError,
            "a downloaded package is not the one that was locked",
            "Run again; if it happens twice, the index serves other files than before.",
        ),
        (
            r"Unable to locate package (\S+)|has no installation candidate",
            BuildError,
            "a system package has no such name in the base's distribution",
            "Check --add-apt; https://packages.debian.org lists the names.",
        ),
        (
            r"Failed to build|command '(gcc|cc|x86_64-linux-gnu-gcc)' failed|No matching "
            r"distribution|doesn't have a wheel|has no wheels",
            BuildError,
            "a Python package has no wheel for this platform and cannot be compiled in the image",
            "Choose a version that has a wheel with --add-pip 'NAME==VERSION', or add its compiler "
            "with --add-apt.",
        ),
    )
)


class BuildLog:
    """Takes the lines of a build one by one, keeps them in a file and reports events.

    Use as a context manager; the file is closed at the end and kept.
    """

    def __init__(self, path: Path, on_event: OnEvent) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("w", encoding="utf-8")
        except OSError as error:
            raise DiskFull(
                f"The build log cannot be written to {path}: {error.strerror}.",
                hint="Free some space, or set IPYDOCK_CACHE_DIR to a folder that has it.",
            ) from error
        self.path = path
        self._on_event = on_event
        self._tail: deque[str] = deque(maxlen=_TAIL)
        self._headers: dict[str, str] = {}  # what a vertex said of itself, repeated now and then
        self._titles: dict[str, str] = {}
        self._began: dict[str, float] = {}
        self._failed = ""
        self._podman_step = ""

    def __enter__(self) -> BuildLog:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def line(self, text: str) -> None:
        """Take one line of the build's output."""
        self._file.write(text + "\n")
        if match := _VERTEX.match(text):
            self._buildkit(match[1], match[2])
        elif match := _PODMAN.match(text):
            self._finish(self._podman_step)
            self._podman_step = match[1]
            self._start(match[1], match[2])
        elif text.strip():
            self._output(self._podman_step, text)

    def _buildkit(self, vertex: str, rest: str) -> None:
        if vertex not in self._headers:
            self._headers[vertex] = rest
            step = _STEP.match(rest)
            self._titles[vertex] = step[2] if step else ""
            if step:
                self._start(vertex, step[2])
            return
        if rest == self._headers[vertex]:
            return
        if rest.startswith(("DONE", "CACHED")):
            self._finish(vertex, cached=rest.startswith("CACHED"))
        elif rest.startswith("ERROR"):
            self._failed = self._titles[vertex]
            self._tail.append(rest)
        elif match := _OUTPUT.match(rest):
            self._output(vertex, match[1])
        elif not _NOISE.match(rest):
            self._output(vertex, rest)

    def _start(self, step: str, title: str) -> None:
        self._began[step] = time.monotonic()
        plain = " ".join(_MOUNT.sub("", title).split())
        self._on_event(StepStarted("build", step, plain))

    def _finish(self, step: str, *, cached: bool = False) -> None:
        if began := self._began.pop(step, None):
            self._on_event(StepFinished("build", step, time.monotonic() - began, cached))

    def _output(self, step: str, text: str) -> None:
        self._tail.append(text)
        self._on_event(LogLine("build", text, step))

    def failure(self) -> IpydockError:
        """The error for a build that ended badly: the step, what its last lines mean, the mend."""
        evidence = "\n".join(self._tail)
        step = " ".join(_MOUNT.sub("", self._failed).split())
        where = f" in the step {step[:120]!r}" if step else ""
        for pattern, kind, says, hint in _MEANINGS:
            if pattern.search(evidence):
                return kind(
                    f"The build failed{where}: {says}.",
                    hint=f"{hint} The whole log is in {self.path}.",
                    evidence=evidence,
                )
        last = next((line for line in reversed(self._tail) if line.strip()), "no output")
        return BuildError(
            f"The build failed{where}: {last.strip()[:300]}",
            hint=f"The whole log is in {self.path}.",
            evidence=evidence,
        )
