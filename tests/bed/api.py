"""The few requests that the bed makes to an engine over its socket."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from .process import program


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


@dataclass(frozen=True)
class Answer:
    """Whether an engine answered, and in a few words which one, or why not."""

    usable: bool
    words: str


def request(
    host: str, path: str, *, method: str = "GET", body: object = None, timeout: float = 10
) -> Any:
    """What the engine at a `unix://` address answers, as JSON; of a stream, the last value.

    Raises OSError when it does not answer, or with an error.
    """
    connection = _UnixConnection(host.removeprefix("unix://"), timeout)
    try:
        sent = None if body is None else json.dumps(body)
        connection.request(method, path, sent, {"Content-Type": "application/json"})
        response = connection.getresponse()
        text = response.read().decode(errors="replace").strip()
        if response.status >= 400:
            raise OSError(f"{method} {path}: {response.status} {text[:400]}")
        return json.loads(text.splitlines()[-1]) if text else None
    except (http.client.HTTPException, ValueError) as error:
        raise OSError(f"{method} {path}: {error}") from error
    finally:
        connection.close()


def ask(host: str, *, timeout: float = 10) -> Answer:
    """Asks the engine at any address that DOCKER_HOST may hold whether it runs Linux containers."""
    try:
        if urlsplit(host).scheme == "unix":
            version = request(host, "/version", timeout=timeout)
        else:
            version = _through_client(host, timeout)
    except OSError as error:
        return Answer(False, str(error))
    if version.get("Os") != "linux":
        return Answer(False, f"it runs {version.get('Os')} containers")
    parts = [part.get("Name", "") for part in version.get("Components") or []]
    name = "Podman" if any("Podman" in part for part in parts) else "Docker"
    return Answer(True, f"{name} {version.get('Version')}")


def _through_client(host: str, timeout: float) -> dict[str, Any]:
    # ssh:// and tcp:// with certificates: the client knows how, and we need not.
    client = program("docker")
    if client is None:
        raise OSError("there is no docker client to ask it with")
    try:
        done = subprocess.run(
            [client, "version", "--format", "{{json .Server}}"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
            env={**os.environ, "DOCKER_HOST": host},
        )
        answer = json.loads(done.stdout) if done.returncode == 0 else None
    except (ValueError, subprocess.TimeoutExpired) as error:
        raise OSError(str(error)) from error
    if not isinstance(answer, dict):
        raise OSError(done.stderr.strip()[-300:] or "no answer")
    return answer
