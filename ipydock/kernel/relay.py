"""The program that runs in the container: carries a kernel's messages over fd 0 and fd 1.

Its source is passed to the image's Python, so it needs nothing but the standard library and the
pyzmq that ipykernel brings, from Python 3.8 on. A message on the wire is a channel, a count, the
length of each frame, and the frames. Channel 0 is the relay's own: the host sends the kernel's key
and arguments first, then perhaps signals; the relay sends the kernel's exit code.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

RELAY, SHELL, CONTROL, STDIN, IOPUB, HEARTBEAT = range(6)
PORTS = {SHELL: "shell", CONTROL: "control", STDIN: "stdin", IOPUB: "iopub", HEARTBEAT: "hb"}
MAGIC = b"\0ipydock wire 1\n"  # what comes before it was printed by an entrypoint, not by the relay
QUIET_MS = 50  # what a kernel has sent arrives within this time of its end
# As `python -m ipykernel_launcher`, but ipykernel's publisher drops outputs when 1000 of them wait,
# which happens on a busy machine: lift that limit (where the method is missing, the limit stays).
# The kernel ends itself should the relay be killed; PID 1 cannot be, and old versions mistake it.
KERNEL = """
import sys
sys.path[:] = filter(None, sys.path)
import ipykernel_launcher
from ipykernel import kernelapp
class IPKernelApp(kernelapp.IPKernelApp):
    def init_poller(self):
        if self.parent_handle != 1: super().init_poller()
    def _try_bind_socket(self, socket, port):
        socket.set_hwm(0)
        return super()._try_bind_socket(socket, port)
sys.argv[0] = ipykernel_launcher.__file__
IPKernelApp.launch_instance()
"""


def head(channel: int, sizes: Sequence[int]) -> bytes:
    """The bytes that come before the frames of a message."""
    return struct.pack(f">BI{len(sizes)}Q", channel, len(sizes), *sizes)


def take(buffer: bytearray) -> Iterator[tuple[int, list[bytes]]]:
    """Take the complete messages out of a buffer: yields (channel, frames)."""
    while len(buffer) >= 5:
        channel, count = struct.unpack_from(">BI", buffer)
        start = 5 + 8 * count
        if len(buffer) < start:
            return
        sizes = struct.unpack_from(f">{count}Q", buffer, 5)
        if len(buffer) < start + sum(sizes):
            return
        frames = []
        for size in sizes:
            frames.append(bytes(buffer[start : start + size]))
            start += size
        del buffer[:start]
        yield channel, frames


def start_kernel(config: dict[str, Any], folder: str) -> subprocess.Popen[bytes]:
    """Start ipykernel on ipc sockets in a folder; it leads a process group, which signals go to."""
    connection = dict(config["connection"], transport="ipc", ip=f"{folder}/s")
    connection.update({f"{name}_port": channel for channel, name in PORTS.items()})
    path = f"{folder}/connection.json"
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
        json.dump(connection, file)
    env = {**os.environ, "JPY_PARENT_PID": str(os.getpid())}
    argv = [sys.executable, "-c", KERNEL, "-f", path, *config["arguments"]]
    return subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, start_new_session=True)


def connect(folder: str) -> dict[int, Any]:
    """A socket for each channel, which is connected as soon as the kernel has bound its own."""
    import zmq  # while the kernel does the same

    context, sockets = zmq.Context(), {}
    for channel in PORTS:
        sockets[channel] = socket = context.socket(zmq.SUB if channel == IOPUB else zmq.DEALER)
        # What the host has not taken yet waits here, without a limit; it is little, since the host
        # always reads.
        socket.set_hwm(0)
        socket.linger = 0
        socket.reconnect_ivl = 10
        socket.identity = b"ipydock"  # input requests go to the stdin socket named as the shell's
        if channel == IOPUB:
            socket.subscribe(b"")
        socket.connect(f"ipc://{folder}/s-{channel}")
    return sockets


def reap(kernel: subprocess.Popen[bytes]) -> None:
    """Collect all children that have ended, among them the orphans that PID 1 inherits."""
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            if pid == kernel.pid:
                signaled = os.WIFSIGNALED(status)
                kernel.returncode = -os.WTERMSIG(status) if signaled else os.WEXITSTATUS(status)


def carry(
    sockets: dict[int, Any],
    kernel: subprocess.Popen[bytes],
    buffer: bytearray,
    wake: int,
    out: BinaryIO,
) -> int:
    """Carry messages until the kernel has ended or the host is gone; gives our exit code."""
    import zmq

    def send(channel: int, frames: Sequence[Any]) -> None:
        out.write(head(channel, [len(frame) for frame in frames]))
        out.writelines(frames)

    channels = {socket: channel for channel, socket in sockets.items()}
    poller = zmq.Poller()
    for source in (0, wake, *channels):
        poller.register(source, zmq.POLLIN)
    while True:
        for channel, frames in take(buffer):
            if channel == RELAY:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(kernel.pid, json.loads(frames[0])["signal"])
            else:
                sockets[channel].send_multipart(frames)
        code = kernel.returncode
        ready = [source for source, _ in poller.poll(None if code is None else QUIET_MS)]
        if code is not None and not ready:
            send(RELAY, [json.dumps({"exit": code}).encode()])
            out.flush()
            return code if code >= 0 else 128 - code
        for source in ready:
            if source == wake:
                os.read(wake, 4096)
                reap(kernel)
            elif source == 0:
                data = os.read(0, 1 << 18)
                if not data:
                    return 0
                buffer += data
            else:
                with contextlib.suppress(zmq.Again):
                    for _ in range(100):  # then look at the other channels
                        parts = source.recv_multipart(zmq.DONTWAIT, copy=False)
                        send(channels[source], [part.buffer for part in parts])
        out.flush()


def main() -> int:
    """Set descriptors and signals up, run, leave nothing behind; gives our exit code."""
    # The wire gets a descriptor that no child inherits; whatever is printed goes to stderr.
    out = os.fdopen(os.dup(1), "wb", 1 << 16)
    os.dup2(2, 1)
    wake, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    for signum in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):  # PID 1 has no default actions
        signal.signal(signum, lambda number, _: sys.exit(128 + number))
    folder = tempfile.mkdtemp(prefix="kernel-")
    buffer, config, kernel = bytearray(), None, None
    try:
        out.write(MAGIC)
        out.flush()
        while config is None:
            data = os.read(0, 1 << 16)
            if not data:
                return 0
            buffer += data
            config = next(take(buffer), None)
        kernel = start_kernel(json.loads(config[1][0]), folder)
        return carry(connect(folder), kernel, buffer, wake, out)
    except BrokenPipeError:
        return 0
    finally:
        if kernel is not None:
            kernel.returncode = 0  # nobody waits for it any more
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(kernel.pid, signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
