"""The log of a kernel's container, kept on the host.

The engine's own log of such a container is off, since its standard output carries the wire. What
is worth reading is written here instead, while it happens: which cells began and how they ended,
and what was written to standard error. The file outlives the container, whose name it has.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import threading
import time
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path

from ..hosts import cache_folder

MOST_BYTES = 10_000_000  # of one log; a notebook may write without end
_NAME = re.compile(r"ipydock-[A-Za-z0-9_-]+")
_SUFFIX = ".log"


@dataclass(frozen=True, slots=True)
class About:
    """What a kernel was started for: the first line of its log."""

    notebook: str
    image: str
    recipe: str
    engine: str
    session: str


@dataclass(frozen=True, slots=True)
class Kept:
    """A log that is on this machine. ``text`` has a line for each thing, with the time of day."""

    name: str
    path: Path
    about: About
    started: datetime
    text: str


class RunLog:
    """Writes one log; may be used from several threads.

    A log that cannot be written does not stop what it is the log of: then there is none.
    """

    def __init__(self, name: str, about: About) -> None:
        self._lock = threading.Lock()
        self._rest = b""
        self._written = 0
        self._fd: int | None = None
        path = folder() / f"{name}{_SUFFIX}"
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            # Not for other users: it may hold whatever the notebook writes.
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        head = {**asdict(about), "started": datetime.now(timezone.utc).isoformat()}
        self._write(json.dumps(head).encode() + b"\n")

    def note(self, text: str) -> None:
        """Add a line of our own."""
        with self._lock:
            self._flush()
            self._line(text.encode("utf-8", "replace"))

    def stderr(self, data: bytes) -> None:
        """Add what was written to standard error, in pieces of any size."""
        with self._lock:
            *lines, self._rest = (self._rest + data).split(b"\n")
            for line in lines:
                self._line(b"| " + line)
            if len(self._rest) > MOST_BYTES:
                self._flush()

    def close(self) -> None:
        """Write what is left. Nothing is written afterwards."""
        with self._lock:
            self._flush()
            if self._fd is not None:
                os.close(self._fd)
                self._fd = None

    def _flush(self) -> None:
        if self._rest:
            self._line(b"| " + self._rest)
            self._rest = b""

    def _line(self, text: bytes) -> None:
        self._write(time.strftime("%H:%M:%S ").encode() + text + b"\n")

    def _write(self, data: bytes) -> None:
        if self._fd is None:
            return
        full = self._written + len(data) > MOST_BYTES
        with contextlib.suppress(OSError):
            os.write(self._fd, b"(what follows was not kept)\n" if full else data)
        self._written += len(data)
        if full:
            os.close(self._fd)
            self._fd = None


def folder() -> Path:
    """Where the logs are, with those of builds."""
    return cache_folder() / "logs"


def find(name: str) -> Kept | None:
    """The log of that container; None if there is none on this machine."""
    return _read(folder() / f"{name}{_SUFFIX}") if _NAME.fullmatch(name) else None


def everything() -> list[Kept]:
    """All logs of reruns that are on this machine, the newest first."""
    paths = folder().glob(f"ipydock-*{_SUFFIX}")
    found = [kept for kept in map(_read, paths) if kept is not None]
    return sorted(found, key=lambda kept: kept.started, reverse=True)


def _read(path: Path) -> Kept | None:
    try:
        head, _, text = path.read_text(encoding="utf-8", errors="replace").partition("\n")
        said = json.loads(head)
        started = datetime.fromisoformat(said.pop("started"))
        return Kept(path.name.removesuffix(_SUFFIX), path, About(**said), started, text)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None  # removed since, cut short, or not one of these
