"""The way to an engine that only the docker client can reach, such as one at ssh://.

`docker system dial-stdio` connects its standard input and output to the engine. Behind a socket of
ours, each connection to which starts one, the Docker SDK needs no SSH of its own, and uses the
keys, jumps and known hosts of the user's ``ssh``.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import tempfile
import threading
import weakref
from pathlib import Path

from ..process import ProcessPlan, end, spawn_on


class Dial:
    """A socket in a folder of our own; it and its processes end with `close` or at exit.

    Args:
        plan: the process that carries one connection on its standard input and output.
    """

    def __init__(self, plan: ProcessPlan) -> None:
        # Only we may enter the folder, so nobody else reaches the engine through it.
        self._folder = Path(tempfile.mkdtemp(prefix="ipydock-dial-"))
        self._log = self._folder / "log"
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(self._folder / "socket"))
        listener.listen()
        processes: list[subprocess.Popen[bytes]] = []
        self.address = f"unix://{self._folder / 'socket'}"
        self._end = weakref.finalize(self, _close, listener, processes, self._folder)
        threading.Thread(
            target=_accept, args=(listener, plan, self._log, processes), daemon=True
        ).start()

    def said(self) -> str:
        """What the processes wrote to their standard error."""
        with contextlib.suppress(OSError):
            return self._log.read_text(encoding="utf-8", errors="replace").strip()
        return ""

    def close(self) -> None:
        """End all connections and remove the socket; may be called more than once."""
        self._end()


def _accept(
    listener: socket.socket,
    plan: ProcessPlan,
    log: Path,
    processes: list[subprocess.Popen[bytes]],
) -> None:
    with contextlib.suppress(OSError):  # closed under us, which ends it
        while True:
            connection, _ = listener.accept()
            with connection, log.open("ab") as errors:
                processes[:] = [one for one in processes if one.poll() is None]
                processes.append(spawn_on(plan, connection, errors))


def _close(listener: socket.socket, processes: list[subprocess.Popen[bytes]], folder: Path) -> None:
    with contextlib.suppress(OSError):
        listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
    listener.close()
    for process in processes:
        end(process)
    shutil.rmtree(folder, ignore_errors=True)
