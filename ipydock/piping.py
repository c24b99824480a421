"""Bytes from and to a process: streamed, so that no image is ever in memory, and ended at once."""

from __future__ import annotations

import contextlib
import os
import selectors
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import IO

from .process import Cancellation, Completed, ProcessPlan, end, interrupts_raise, spawn

CHUNK = 1 << 20
_GRACE = 0.5  # seconds that a cancelled process gets
_TICK = 0.1  # seconds between looks at the flag


def read_from(
    plan: ProcessPlan, take: Callable[[bytes], None], *, cancel: Cancellation | None = None
) -> Completed:
    """Run a process and hand its standard output on in pieces.

    The result has no ``stdout``. Whatever ``take`` raises ends the process and goes on to the
    caller.

    Raises:
        Cancelled: the flag was raised; the process is gone.
        OSError: it could not be started.
    """
    flag = cancel or Cancellation()
    with interrupts_raise(flag), _running(plan) as (process, errors):
        _of(process.stdin).close()
        out = _of(process.stdout).fileno()
        with selectors.DefaultSelector() as ready:
            ready.register(out, selectors.EVENT_READ)
            while True:
                flag.check()
                if not ready.select(_TICK):
                    continue
                data = os.read(out, CHUNK)
                if not data:
                    break
                take(data)
        returncode = _wait(process, flag)
        return Completed(returncode, "", errors())


def write_to(
    plan: ProcessPlan, pieces: Iterable[bytes], *, cancel: Cancellation | None = None
) -> Completed:
    """Run a process and write to its standard input.

    It may end before it has read everything. What it writes itself should be short.

    Raises:
        Cancelled: the flag was raised; the process is gone.
        OSError: it could not be started.
    """
    flag = cancel or Cancellation()
    with interrupts_raise(flag), _running(plan) as (process, errors):
        said = _collect(_of(process.stdout))
        into = _of(process.stdin)
        os.set_blocking(into.fileno(), False)
        with selectors.DefaultSelector() as ready, contextlib.suppress(BrokenPipeError):
            ready.register(into.fileno(), selectors.EVENT_WRITE)
            for piece in pieces:
                rest = memoryview(piece)
                while rest:
                    flag.check()
                    if ready.select(_TICK):
                        rest = rest[os.write(into.fileno(), rest) :]
        into.close()
        returncode = _wait(process, flag)
        return Completed(returncode, said(), errors())


@contextlib.contextmanager
def _running(plan: ProcessPlan) -> Iterator[tuple[subprocess.Popen[bytes], Callable[[], str]]]:
    """A process, gone after the block whatever happens in it, and its standard error."""
    process = spawn(plan)
    try:
        yield process, _collect(_of(process.stderr))
    finally:
        end(process, grace=_GRACE)
        for stream in (process.stdin, process.stdout, process.stderr):
            with contextlib.suppress(OSError):
                _of(stream).close()


def _wait(process: subprocess.Popen[bytes], flag: Cancellation) -> int:
    while True:
        flag.check()
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(_TICK)


def _collect(stream: IO[bytes]) -> Callable[[], str]:
    """Read a stream in a thread; the function gives all of it once the process has ended."""
    pieces: list[bytes] = []

    def body() -> None:
        with contextlib.suppress(ValueError, OSError):  # closed under us
            pieces.extend(iter(lambda: os.read(stream.fileno(), CHUNK), b""))

    thread = threading.Thread(target=body, daemon=True)
    thread.start()

    def text() -> str:
        thread.join(timeout=2)
        return b"".join(pieces).decode("utf-8", "replace")

    return text


def _of(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise ValueError("the process needs pipes on all three streams")
    return stream
