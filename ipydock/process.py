"""The one module that starts processes: argv lists, process groups, streams, timeouts, cancelling.

Every process gets a session of its own, so that Ctrl-C on the terminal reaches ipydock alone, which
then ends the whole group: nothing is left running behind an interrupted command.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO, TypeVar

from .errors import Cancelled

T = TypeVar("T")
# Seconds between asking a process group to end and killing it. A cancelled command is to be gone
# within 2 s; what was measured to be asked for (docker, podman, uv) ends in 0.1 s.
GRACE = 1.0


@dataclass(frozen=True, slots=True)
class ProcessPlan:
    """A process that some code wants and other code starts.

    ``env`` is the whole environment, or None for ours.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str] | None = field(default=None, hash=False)
    cwd: Path | None = None


@dataclass(frozen=True, slots=True)
class Completed:
    """What a process that ran to its end left: exit code and both streams as text."""

    returncode: int
    stdout: str
    stderr: str


class Cancellation:
    """A flag that another thread raises to end what is under way."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def cancel(self) -> None:
        """Raise the flag."""
        self._event.set()

    @property
    def requested(self) -> bool:
        """Whether the flag is up."""
        return self._event.is_set()

    def check(self) -> None:
        """Raise `Cancelled` if the flag is up."""
        if self.requested:
            raise Cancelled("Interrupted; nothing was left running.")


@contextlib.contextmanager
def interrupts_raise(cancel: Cancellation) -> Iterator[None]:
    """Within the block Ctrl-C raises the flag alone; KeyboardInterrupt follows after the block.

    An exception that may come between any two instructions can come between starting a process and
    the code that ends it. SIGTERM and SIGHUP are treated alike where the program handles them.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are handled in the main thread, which waits for this one
        return
    caught: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        caught.append(number)
        cancel.cancel()

    before = {
        number: signal.signal(number, note)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        if callable(signal.getsignal(number))
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if caught:
            raise KeyboardInterrupt


def given_up(call: Callable[[], T], cancel: Cancellation | None) -> T:
    """What a call returns that cannot be interrupted, such as one that waits for a registry.

    It runs in a thread of its own, which is left to itself when the flag is raised: the call must
    be one that nobody misses and that changes nothing.

    Raises:
        Cancelled: the flag was raised.
        KeyboardInterrupt: Ctrl-C was pressed.
    """
    flag = cancel or Cancellation()
    answer: Future[T] = Future()

    def body() -> None:
        try:
            answer.set_result(call())
        except BaseException as error:  # noqa: BLE001 - handed on to the calling thread
            answer.set_exception(error)

    with interrupts_raise(flag):
        flag.check()
        threading.Thread(target=body, daemon=True).start()
        while not answer.done():
            flag.check()
            with contextlib.suppress(TimeoutError, FutureTimeout):
                answer.exception(timeout=0.05)
        return answer.result()


def spawn(plan: ProcessPlan) -> subprocess.Popen[bytes]:
    """Start a process with pipes on all three streams, in a process group of its own."""
    return subprocess.Popen(
        plan.argv,
        env=plan.env,
        cwd=plan.cwd,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def spawn_on(
    plan: ProcessPlan, connection: socket.socket, errors: IO[bytes]
) -> subprocess.Popen[bytes]:
    """Start a process whose standard input and output are a connection, in a group of its own."""
    return subprocess.Popen(
        plan.argv,
        env=plan.env,
        cwd=plan.cwd,
        stdin=connection.fileno(),
        stdout=connection.fileno(),
        stderr=errors,
        start_new_session=True,
    )


def end(process: subprocess.Popen[bytes], grace: float = GRACE) -> None:
    """End a process and all that it started: ask, wait up to ``grace`` seconds, kill, reap."""
    below = descendants(process.pid)
    for sig, patience in ((signal.SIGTERM, grace), (signal.SIGKILL, None)):
        if process.poll() is not None:
            break
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, sig)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience)
    # A leader that has ended may leave children behind, in its group or in sessions of their own.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    for one in below:
        one.kill()


@dataclass(frozen=True, slots=True)
class Descendant:
    """A process below one of ours; ``started`` tells it from a later one of the same number."""

    pid: int
    session: int
    started: int

    def kill(self) -> None:
        """Kill it, if it is still there and may be killed by us."""
        found = _stat(self.pid)
        if found is not None and found[1] == self:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(self.pid, signal.SIGKILL)


def descendants(pid: int) -> list[Descendant]:
    """All processes below one, parents first; none where the system has no ``/proc``."""
    children: dict[int, list[Descendant]] = {}
    with contextlib.suppress(OSError):
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and (found := _stat(int(entry.name))) is not None:
                children.setdefault(found[0], []).append(found[1])
    below: list[Descendant] = []
    left = [pid]
    while left:
        level = children.get(left.pop(0), [])
        below += level
        left += [one.pid for one in level]
    return below


def _stat(pid: int) -> tuple[int, Descendant] | None:
    """The parent of a process, and itself (proc(5): fields 4, 6 and 22 of its stat)."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:  # it has ended
        return None
    fields = text.rpartition(") ")[2].split()
    return int(fields[1]), Descendant(pid, int(fields[3]), int(fields[19]))


def run(
    plan: ProcessPlan,
    *,
    stdin: str = "",
    on_line: Callable[[str], None] | None = None,
    timeout: float | None = None,
    cancel: Cancellation | None = None,
    ending: Callable[[subprocess.Popen[bytes]], None] = end,
) -> Completed:
    """Run a process to its end.

    Args:
        plan: what to start.
        stdin: text for its standard input, which is then closed.
        on_line: called in this thread with each line of both streams as it comes.
        timeout: seconds after which the process group is ended.
        cancel: a flag that ends the process and all below it when it is raised.
        ending: how it is ended, then and after ``timeout``.

    Raises:
        Cancelled: the flag was raised.
        subprocess.TimeoutExpired: it took longer than ``timeout``.
        KeyboardInterrupt: Ctrl-C was pressed.
        OSError: the program could not be started.
    """
    flag = cancel or Cancellation()
    with interrupts_raise(flag):
        return _run(plan, stdin, on_line, timeout, cancel=flag, ending=ending)


def _run(
    plan: ProcessPlan,
    stdin: str,
    on_line: Callable[[str], None] | None,
    timeout: float | None,
    *,
    cancel: Cancellation,
    ending: Callable[[subprocess.Popen[bytes]], None],
) -> Completed:
    process = spawn(plan)
    lines: queue.Queue[tuple[list[str], str] | None] = queue.Queue()
    out: list[str] = []
    err: list[str] = []
    streams = (process.stdout, process.stderr)
    threads = [
        threading.Thread(target=_pump, args=(stream, sink, lines), daemon=True)
        for stream, sink in zip(streams, (out, err), strict=True)
    ]
    threads.append(threading.Thread(target=_feed, args=(process.stdin, stdin), daemon=True))
    deadline = None if timeout is None else time.monotonic() + timeout
    try:
        for thread in threads:
            thread.start()
        open_streams = 2
        while open_streams:
            cancel.check()
            if deadline is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(list(plan.argv), timeout or 0)
            try:
                item = lines.get(timeout=0.1)
            except queue.Empty:
                continue
            if item is None:
                open_streams -= 1
                continue
            sink, line = item
            sink.append(line)
            if on_line is not None:
                on_line(line.rstrip("\r\n"))
        process.wait()
    except BaseException:
        ending(process)
        raise
    finally:
        for thread in threads:
            thread.join(timeout=1)
        for stream in streams:
            if stream is not None:
                stream.close()
    return Completed(process.returncode, "".join(out), "".join(err))


def _pump(
    stream: IO[bytes], sink: list[str], lines: queue.Queue[tuple[list[str], str] | None]
) -> None:
    with contextlib.suppress(ValueError):  # closed under us after a cancel
        for raw in stream:
            lines.put((sink, raw.decode("utf-8", "replace")))
    lines.put(None)


def _feed(stream: IO[bytes], text: str) -> None:
    with contextlib.suppress(BrokenPipeError, ValueError):
        if text:
            stream.write(text.encode())
        stream.close()
