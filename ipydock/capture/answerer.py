"""A Python that answers the probe's questions, one line each, for as long as it is kept up.

Starting it and reading its environment is nearly all of what a static capture costs, so that it is
done once for many notebooks.
"""

from __future__ import annotations

import json
import os
import selectors
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .. import process
from ..errors import EnvironmentMissing
from ..notebook_v4 import printable
from . import probe

PATIENCE = 120.0  # seconds that an interpreter gets for an answer
KEPT = 20_000  # bytes of its standard error that are kept for the evidence
# Makes a package of the folder that the probe is in, without importing ipydock there.
START = """\
import sys, types
package = types.ModuleType("ipydock_probe")
package.__path__ = [sys.argv.pop()]
sys.modules[package.__name__] = package
sys.dont_write_bytecode = True
from ipydock_probe.probe import main
main()
"""


class Answerer:
    """A running interpreter with the probe in it."""

    def __init__(self, path: str, env: Mapping[str, str]) -> None:
        """Start it.

        Raises:
            EnvironmentMissing: it cannot be started.
        """
        self.path = path
        self.owner = os.getpid()
        self._whole: dict[str, Any] | None = None
        self._unread = b""
        self._errors = b""
        folder = str(Path(probe.__file__).parent)
        plan = process.ProcessPlan((path, "-I", "-c", START, folder), env=env)
        try:
            self._process = process.spawn(plan)
        except OSError as error:
            raise EnvironmentMissing(
                f"{printable(path)} cannot be run: {error.strerror or error}."
            ) from error

    @property
    def usable(self) -> bool:
        """Whether it is up, and ours: a fork has the pipes, but must not use them."""
        return self.owner == os.getpid() and self._process.poll() is None

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any] | None:
        """The whole answer (`ipydock.capture.probe.answer_from`).

        None if the process has ended, does not answer as a probe does, or if something has been
        installed since it was started: then another one has to be asked.

        Raises:
            EnvironmentMissing: no answer came within `PATIENCE`.
        """
        try:
            line = self._exchange(json.dumps(request).encode() + b"\n")
        except BaseException:  # Ctrl-C among them: the answer would be taken for the next one
            self.close()
            raise
        told = _answer(line)
        if told is None or told.get("protocol") != probe.PROTOCOL or told.get("stale"):
            return None
        if self._whole is None:
            self._whole = told
        return {**self._whole, "modules": told["modules"]}

    def failure(self) -> EnvironmentMissing:
        """The error for an interpreter that gave no answer."""
        self.close()
        text = self._errors.decode("utf-8", "replace")
        return EnvironmentMissing(
            f"{printable(self.path)} is not a Python that can be captured.",
            hint="Python 3.8 or newer is needed.",
            evidence="\n".join(text.splitlines()[-10:]),
        )

    def close(self) -> None:
        """End it, and let go of its pipes."""
        if self.owner == os.getpid():
            process.end(self._process)
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                try:
                    stream.close()
                except OSError:
                    continue  # what was still to be written has no reader

    def _exchange(self, request: bytes) -> bytes:
        """Send a line and wait for one that is an answer; empty if the process ends before."""
        stdin, stdout, stderr = self._process.stdin, self._process.stdout, self._process.stderr
        # For the type checker alone: `process.spawn` makes pipes of all three.
        assert stdin is not None and stdout is not None and stderr is not None  # noqa: S101
        deadline = time.monotonic() + PATIENCE
        os.set_blocking(stdin.fileno(), False)
        with selectors.DefaultSelector() as selector:
            selector.register(stdin, selectors.EVENT_WRITE)
            selector.register(stdout, selectors.EVENT_READ)
            selector.register(stderr, selectors.EVENT_READ)
            while time.monotonic() < deadline:
                for key, _ in selector.select(max(0.0, deadline - time.monotonic())):
                    if key.fileobj is stdin:
                        request = _send(stdin.fileno(), request)
                        if not request:
                            selector.unregister(stdin)
                    elif key.fileobj is stdout:
                        data = os.read(stdout.fileno(), 1 << 16)
                        self._unread += data
                        line = self._next_answer()
                        if line or not data:
                            self._errors += b"" if data else _rest(stderr.fileno())
                            return line
                    else:
                        data = os.read(stderr.fileno(), 1 << 16)
                        self._errors = (self._errors + data)[-KEPT:]
                        if not data:
                            selector.unregister(stderr)
        raise EnvironmentMissing(
            f"{printable(self.path)} did not say what is installed within {PATIENCE:.0f} s."
        )

    def _next_answer(self) -> bytes:
        """The next line that is an answer: what a .pth file prints at the start is none."""
        while b"\n" in self._unread:
            line, _, self._unread = self._unread.partition(b"\n")
            if _answer(line) is not None:
                return line
        return b""


def _answer(line: bytes) -> dict[str, Any] | None:
    try:
        told = json.loads(line)
    except ValueError:
        return None
    return told if isinstance(told, dict) and "protocol" in told else None


def _send(stdin: int, data: bytes) -> bytes:
    """Write what fits; what is left is returned, nothing if there is no reader any more."""
    try:
        return data[os.write(stdin, data) :]
    except BlockingIOError:
        return data
    except BrokenPipeError:
        return b""


def _rest(stderr: int) -> bytes:
    """What a process that has closed its output still says on standard error."""
    os.set_blocking(stderr, False)
    try:
        return os.read(stderr, KEPT)
    except BlockingIOError:
        return b""
