"""The thread that owns a kernel's process, from its start until it is removed.

It blocks on nothing but its poller. It always takes what the container sends, and it reads from the
ports only when what it read before has been passed on. So neither end can wait for the other, and
what a client sends faster than the container takes it waits in that client.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import TYPE_CHECKING

import zmq

from ..errors import IpydockError
from ..process import end
from .relay import IOPUB, MAGIC, RELAY, SHELL
from .wire import Decoder, Frames, Ports, pack

if TYPE_CHECKING:
    from ..engine.interface import KernelProcess
    from .runlog import RunLog

PROBE = b"ipydock-probe"  # the identity under which we ask whether the kernel answers
PATIENCE = 1.0  # seconds that the process gets to end by itself once its kernel has
CHUNK = 1 << 18
KEPT_BYTES, KEPT_LINES = 1 << 16, 200  # of the container's standard error


class Carrier(threading.Thread):
    """Carries messages between ports and a process until the process is gone.

    Three futures tell how far it is; none of them ever holds an exception.

    Args:
        ports: the sockets, which this thread alone uses while it lives.
        kernel: what the process belongs to; removed at the end.
        process: the relay's process, or a client of its engine, with pipes on all streams.
        first: what the relay gets before anything that clients send.
        welcome: makes the message that greets a new subscriber of a topic.
        log: gets the container's standard error and how it ended; closed at the end.
    """

    def __init__(
        self,
        *,
        ports: Ports,
        kernel: KernelProcess,
        process: subprocess.Popen[bytes],
        first: Iterable[bytes],
        welcome: Callable[[bytes], Frames],
        log: RunLog | None = None,
    ) -> None:
        super().__init__(name="ipydock-kernel", daemon=True)
        if not (process.stdin and process.stdout and process.stderr):
            raise ValueError("the process needs pipes on all three streams")
        self.answered = _future()
        """Set once the kernel has answered a request."""
        self.ended = _future()
        """Set to the kernel's exit code (negative: a signal) once it has ended."""
        self.gone = _future()
        """Set once nothing is left of it."""
        self.expected = False
        """Set this when the kernel was asked to end, so that nobody wonders why it did."""
        self.why = ""
        """One sentence on why it ended, once it is gone; empty if it was expected to."""
        self._kernel, self._process, self._welcome = kernel, process, welcome
        self.log = log
        self._in, self._out, self._err = process.stdin, process.stdout, process.stderr
        os.set_blocking(self._in.fileno(), False)
        self._channels = {socket: channel for channel, socket in ports.sockets.items()}
        self._sockets = ports.sockets
        self._outbox = deque(memoryview(data) for data in first)
        self._decoder = Decoder()
        self._hello = False  # the relay has said its first word
        self._before = b""
        self._tail = b""
        self._finished = False
        self._died = False
        self._fault = ""
        self._deadline: float | None = None
        self._lock = threading.Lock()  # for the two that other threads touch:
        self._requests: list[bytes] = []
        self._wake, self._waker = os.pipe()
        self._poller = zmq.Poller()

    # --- for other threads ---------------------------------------------------------------------

    def send(self, request: dict[str, int]) -> None:
        """Tell the relay something, such as to pass a signal on; nothing if it is gone."""
        with self._lock:
            self._requests.append(pack(RELAY, [json.dumps(request).encode()]))
            self._ring()

    def close(self) -> None:
        """End the process and what runs in it, now. Returns at once; see ``gone``."""
        self.expected = True
        with self._lock:
            self._deadline = self._deadline or time.monotonic() + PATIENCE
            self._ring()

    def _ring(self) -> None:
        if not self.gone.done():
            os.write(self._waker, b"x")

    @property
    def stderr(self) -> str:
        """The last lines of the container's standard error."""
        return "\n".join(self._tail.decode("utf-8", "replace").splitlines()[-KEPT_LINES:])

    # --- the thread ----------------------------------------------------------------------------

    def run(self) -> None:
        """Carry until the process has closed its streams, then see it out."""
        try:
            self._carry()
        except (ValueError, LookupError, MemoryError, OSError, zmq.ZMQError) as error:
            self._fault = f"The kernel's connection broke: {error or type(error).__name__}."
            self._died = not self.expected
        finally:
            self._see_out()

    def _carry(self) -> None:
        for fd in (self._wake, self._out.fileno(), self._err.fileno()):
            self._poller.register(fd, zmq.POLLIN)
        while not self._finished:
            self._watch()
            left = None if self._deadline is None else self._deadline - time.monotonic()
            if left is not None and left <= 0:
                break
            for source, _ in self._poller.poll(None if left is None else int(left * 1000) + 1):
                if isinstance(source, zmq.Socket):
                    self._take_from_clients(source)
                elif source == self._wake:
                    self._take_requests()
                elif source == self._out.fileno():
                    self._take_from_process()
                elif source == self._err.fileno():
                    self._take_errors()
            self._write()

    def _watch(self) -> None:
        """Wait for clients while there is nothing to pass on, else for room in the pipe."""
        for socket in self._channels:
            self._poller.register(socket, 0 if self._outbox else zmq.POLLIN)
        if not self._in.closed:
            self._poller.register(self._in.fileno(), zmq.POLLOUT if self._outbox else 0)

    def _take_from_clients(self, socket: zmq.Socket[bytes]) -> None:
        channel = self._channels[socket]
        with contextlib.suppress(zmq.Again):
            for _ in range(100):  # then look at what else there is
                frames = socket.recv_multipart(zmq.DONTWAIT)
                if channel == IOPUB:
                    if frames[0].startswith(b"\1"):
                        socket.send_multipart(self._welcome(frames[0][1:]))
                # What was sent before this kernel was there was meant for the one before it; it may
                # have been the request to end.
                elif self._hello:
                    self._queue(pack(channel, frames))

    def _take_requests(self) -> None:
        os.read(self._wake, 4096)
        with self._lock:
            requests, self._requests = self._requests, []
        for request in requests:
            self._queue(request)
        if self._deadline is not None:
            self._close_input()

    def _take_from_process(self) -> None:
        data = os.read(self._out.fileno(), CHUNK)
        if not data:
            self._on_end()
            self._finished = True
        for channel, frames in self._decoder.feed(data if self._hello else self._greet(data)):
            self._deliver(channel, frames)

    def _take_errors(self) -> None:
        data = os.read(self._err.fileno(), CHUNK)
        self._keep(data)
        if not data:
            self._poller.unregister(self._err.fileno())

    def _keep(self, data: bytes) -> None:
        self._tail = (self._tail + data)[-KEPT_BYTES:]
        if self.log is not None:
            self.log.stderr(data)

    def _greet(self, data: bytes) -> bytes:
        """What follows the relay's first word. What comes before it is not ours."""
        before, magic, rest = (self._before + data).partition(MAGIC)
        self._hello = bool(magic)
        keep = 0 if magic else len(MAGIC)
        text = before[: len(before) - keep]
        self._keep(text)  # an entrypoint that greets, or fails
        self._before = before[len(text) :]
        return rest

    def _deliver(self, channel: int, frames: list[memoryview]) -> None:
        if channel == RELAY:
            self._on_end()
            self._set_ended(int(json.loads(bytes(frames[0]))["exit"]))
        elif channel == SHELL and frames[0] == PROBE:
            if not self.answered.done():
                self.answered.set_result(0)
        else:
            self._sockets[channel].send_multipart(frames)

    def _on_end(self) -> None:
        self._died = not self.expected
        with self._lock:
            self._deadline = self._deadline or time.monotonic() + PATIENCE

    def _set_ended(self, code: int) -> None:
        if not self.ended.done():
            self.ended.set_result(code)

    def _queue(self, data: bytes) -> None:
        if not self._in.closed:
            self._outbox.append(memoryview(data))

    def _write(self) -> None:
        try:
            while self._outbox:
                written = os.write(self._in.fileno(), self._outbox[0])
                if written < len(self._outbox[0]):
                    self._outbox[0] = self._outbox[0][written:]
                else:
                    self._outbox.popleft()
        except BlockingIOError:
            pass
        except BrokenPipeError:  # the end of the other pipe will tell
            self._close_input()

    def _close_input(self) -> None:
        """Tell the relay that we are gone: it kills the kernel and ends."""
        self._outbox.clear()
        if not self._in.closed:
            self._poller.register(self._in.fileno(), 0)
            self._in.close()

    def _see_out(self) -> None:
        try:
            self._close_input()
            left = PATIENCE if self._deadline is None else self._deadline - time.monotonic()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(max(left, 0))
            end(self._process, grace=0)
            self._take_last_errors()
            self._set_ended(self._process.returncode)
            if self._died:
                self.why = self._fault or self._kernel.why_ended(self._process.returncode)
        except IpydockError as error:
            self.why = f"It is not known why the kernel ended: {error.message}"
        finally:
            self._set_ended(1)
            if self.log is not None:
                self.log.note(self.why or "The kernel was ended.")
                self.log.close()
            self._remove()

    def _take_last_errors(self) -> None:
        # Not until its end: a process that was left behind may hold the other end.
        os.set_blocking(self._err.fileno(), False)
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._err.fileno(), CHUNK):
                self._keep(data)

    def _remove(self) -> None:
        try:
            self._kernel.remove()
        finally:
            self._out.close()
            self._err.close()
            with self._lock:
                os.close(self._wake)
                os.close(self._waker)
                self.gone.set_result(0)


def _future() -> Future[int]:
    # A running future cannot be cancelled, not even through an asyncio task that waits for it.
    future: Future[int] = Future()
    future.set_running_or_notify_cancel()
    return future
