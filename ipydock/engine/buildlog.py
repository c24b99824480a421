"""The plain progress of a build as events, and what a failed build's log means.

BuildKit's ``--progress=plain`` writes ``#7 [stage-1 3/6] RUN ...``, then ``#7 0.52 output``, and at
the end ``#7 DONE 2.6s``, ``#7 CACHED`` or ``#7 ERROR: ...`` (moby/buildkit, util/progress). Podman
and Buildah write ``STEP 3/6: RUN ...`` and bare output.
"""

from __future__ import annotations

import re
import time
from collections import defaultdict, deque
from pathlib import Path
from types import TracebackType

from ..credentials import hidden
from ..errors import BuildError, DiskFull, IpydockError
from ..events import LogLine, OnEvent, Progressed, StepFinished, StepStarted
from ..shown import plain
from .meanings import meaning

_VERTEX = re.compile(r"^#(\d+) (.*)$")
_STEP = re.compile(r"^\[(?!internal)(?:auth\] |)(.+?)\] (.+)$")
_OUTPUT = re.compile(r"^\d+\.\d+ (.*)$")
_PODMAN = re.compile(r"^(?:\[\d+/\d+\] )?STEP (\d+/\d+): (.*)$")
# Such as "sha256:0d79 1.05MB / 29.13MB 0.2s" and "transferring context: 314.63MB 4.0s done".
_STATUS = re.compile(
    r"^(sha256:\w+|transferring context:|sending tarball)"
    r" ([\d.]+)([kMGT]?B)(?: / ([\d.]+)([kMGT]?B))?"
)
_UNITS = {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}
_NOISE = re.compile(
    r"^(sha256:|transferring|sending tarball|resolve |extracting |\.\.\.$|naming to|writing image|"
    r"exporting (layers|manifest|config|attestation)|unpacking to)"
)
# What is no instruction and may take a while, as a person would call it.
_OWN_STEPS = (
    ("[internal] load build context", "Send the files to the engine"),
    ("exporting to ", "Store the image"),
    ("importing to docker", "Load the image into the engine"),
)
_WORTH_A_BAR = 2_000_000  # bytes: what is smaller is there before a bar is
_EVERY = 0.1  # seconds between two reports of how far a step is
_MOUNT = re.compile(r"--mount=\S+\s+")
_SETTINGS = re.compile(r"^RUN (?:UV_[A-Z_]+=[\w./]+ )+")  # of uv, which we write
_DIGEST = re.compile(r"(@sha256:[0-9a-f]{12})[0-9a-f]{52}")
_TAIL = 40  # lines of a step that an error carries as evidence
_EXIT = re.compile(r"^ERROR: .*(exit code: \d+)$")  # after the whole command, once more
_RULE = "------"  # around what BuildKit repeats of each step that failed


class BuildLog:
    """Takes the lines of a build one by one, keeps them in a file and reports events.

    Use as a context manager; the file is closed at the end and kept. ``sent`` is how many bytes the
    client sends to the engine, where that is known.
    """

    def __init__(self, path: Path, on_event: OnEvent, sent: int | None = None) -> None:
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
        # The last lines of each step that goes on; those of no step are the client's own.
        self._tails: defaultdict[str, deque[str]] = defaultdict(lambda: deque(maxlen=_TAIL))
        self._headers: dict[str, str] = {}  # what a vertex said of itself, repeated now and then
        self._titles: dict[str, str] = {}
        self._began: dict[str, float] = {}
        self._parts: dict[str, dict[str, tuple[int, int | None]]] = {}  # of what a vertex fetches
        self._reported = 0.0
        self._sent = sent
        self._failed = ""
        self._title = ""  # of the step that failed
        self._repeating = False
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
        """Take one line of the build's output; passwords in URLs and what steers are left out."""
        text = plain(hidden(text))
        self._file.write(text + "\n")
        if text == _RULE and self._failed and not self._podman_step:
            self._repeating = not self._repeating
        elif self._repeating:
            pass
        elif match := _VERTEX.match(text):
            self._buildkit(match[1], match[2])
        elif match := _PODMAN.match(text):
            self._finish(self._podman_step)
            self._podman_step = self._failed = match[1]  # if it ends here, this is where
            self._title = match[2]
            self._start(match[1], match[2])
        elif text.strip():
            self._output(self._podman_step, text)

    def _buildkit(self, vertex: str, rest: str) -> None:
        if vertex not in self._headers:
            self._headers[vertex] = rest
            step = _STEP.match(rest)
            own = next((says for begins, says in _OWN_STEPS if rest.startswith(begins)), "")
            self._titles[vertex] = step[2] if step else own
            if title := self._titles[vertex]:
                self._start(vertex, title)
            return
        if rest == self._headers[vertex]:
            return
        if rest.startswith(("DONE", "CACHED")):
            self._finish(vertex, cached=rest.startswith("CACHED"))
        elif rest.startswith("ERROR"):
            self._failed, self._title = vertex, self._titles[vertex]
            self._tails[vertex].append(_EXIT.sub(r"\1", rest))
        elif match := _OUTPUT.match(rest):
            self._output(vertex, match[1])
        elif match := _STATUS.match(rest):
            self._progress(vertex, match)
        elif not _NOISE.match(rest):
            self._output(vertex, rest)

    def _progress(self, vertex: str, status: re.Match[str]) -> None:
        if not self._titles[vertex]:
            return  # such as the few bytes of .dockerignore
        name, done, unit, total, total_unit = status.groups()
        whole = _bytes(total, total_unit) if total else None
        if name == "transferring context:":
            whole = self._sent
        parts = self._parts.setdefault(vertex, {})
        parts[name] = (_bytes(done, unit), whole)
        totals = [part[1] for part in parts.values()]
        known = [total for total in totals if total is not None]
        most = sum(known) if len(known) == len(totals) else None
        so_far = sum(part[0] for part in parts.values())
        now = time.monotonic()
        if max(most or 0, so_far) < _WORTH_A_BAR or now - self._reported < _EVERY:
            return
        self._reported = now
        self._on_event(Progressed("build", so_far, most and max(most, so_far)))

    def _start(self, step: str, title: str) -> None:
        self._began[step] = time.monotonic()
        self._on_event(StepStarted("build", step, _short(title)))

    def _finish(self, step: str, *, cached: bool = False) -> None:
        if began := self._began.pop(step, None):
            self._on_event(StepFinished("build", step, time.monotonic() - began, cached))
        self._tails.pop(step, None)

    def _output(self, step: str, text: str) -> None:
        self._tails[step].append(text)
        self._on_event(LogLine("build", text, step))

    def failure(self) -> IpydockError:
        """The error for a build that ended badly: the step, what its last lines mean, the mend."""
        client = list(self._tails.pop("", ()))
        # Steps that go beside each other write between each other's lines.
        held = [self._tails[self._failed]] if self._failed else self._tails.values()
        own = [line for lines in held for line in lines]
        evidence = "\n".join(own or client)
        step = _short(self._title)
        where = f" in the step {step[:120]!r}" if step else ""
        found = meaning("\n".join((*own, *client)))
        if found is not None:
            return found.kind(
                f"The build failed{where}: {found.says}.",
                hint=f"{found.hint} The whole log is in {self.path}.",
                evidence=evidence,
            )
        lines = [line for line in own or client if line.strip()]
        said = [line for line in lines if not line.startswith("exit code: ")] or lines
        last = said[-1] if said else "no output"
        return BuildError(
            f"The build failed{where}: {last.strip()[:300]}",
            hint=f"The whole log is in {self.path}.",
            evidence=evidence,
        )


def _short(title: str) -> str:
    """An instruction as a line to read, without mounts, settings of uv and whole digests."""
    words = " ".join(_MOUNT.sub("", title).split())
    return _DIGEST.sub(r"\1…", _SETTINGS.sub("RUN ", words))


def _bytes(number: str, unit: str) -> int:
    return int(float(number) * _UNITS[unit])
