"""What the tests with a real engine share."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from ipydock.engine.docker import DockerEngine
from ipydock.engine.interface import Engine
from ipydock.engine.labels import SESSION
from ipydock.engine.select import connect
from tests import samples
from tests.conftest import IN_CI, ROOT


@pytest.fixture(scope="session")
def sdk(docker_host: str) -> Iterator[Any]:
    client = docker.DockerClient(base_url=docker_host)
    yield client
    client.close()


def containers(sdk: Any) -> list[str]:
    """The names of the containers that these tests started and that are still there."""
    mine = {"label": f"{SESSION}={os.environ['IPYDOCK_SESSION']}"}
    return [c.name for c in sdk.containers.list(all=True, filters=mine)]


class Further:
    """Engines beside the one in use, each started by the test bed when it is first asked for."""

    def __init__(self) -> None:
        self._known: dict[str, dict[str, Any]] = {}

    def __call__(self, kind: str) -> dict[str, Any]:
        """What to set in the environment for a kind of `tests.bed also`."""
        if kind not in self._known:
            words = [sys.executable, "-m", "tests.bed", "also", kind]
            done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
            if done.returncode:
                reason = f"no engine {kind!r}: {done.stderr.strip()}"
                (pytest.fail if IN_CI else pytest.skip)(reason)
            found: dict[str, Any] = json.loads(done.stdout)
            if "PATH" in found:
                found["PATH"] = f"{found['PATH']}:{os.environ['PATH']}"
            self._known[kind] = found
        return dict(self._known[kind])

    def context(self, kind: str) -> dict[str, Any]:
        """The same engine, named by the docker context in use and by nothing else."""
        found = self(kind)
        client = shutil.which("docker", path=found["PATH"])
        assert client is not None
        endpoint = f"host={found['DOCKER_HOST']}"
        env = {**os.environ, **found, "DOCKER_HOST": "", "DOCKER_CONTEXT": ""}
        steps = (
            ("rm", "--force", "of-the-tests"),  # of an earlier run, maybe with another address
            ("create", "of-the-tests", "--docker", endpoint),
            ("use", "of-the-tests"),
        )
        for words in steps:
            subprocess.run([client, "context", *words], env=env, capture_output=True, check=True)
        return {**found, "DOCKER_HOST": ""}

    @staticmethod
    @contextlib.contextmanager
    def environment(env: dict[str, Any]) -> Iterator[None]:
        """Within the block this process has that environment, and its caches know it."""
        before = {name: os.environ.get(name) for name in env}
        os.environ.update(env)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value


@pytest.fixture(scope="session")
def further(docker_host: str) -> Further:
    del docker_host  # it is up first: its registry has the base images
    return Further()


@pytest.fixture
def engine(request: pytest.FixtureRequest, further: Further) -> Iterator[Engine]:
    """The engine of that kind, connected; ``bed`` is the one in use."""
    kind: str = request.param
    with further.environment(further(kind) if kind != "bed" else {}):
        connected = connect("podman" if kind == "podman" else "docker")
        yield connected
        if isinstance(connected, DockerEngine):
            connected.close()


@pytest.fixture(autouse=True, scope="session")
def _session_of_our_own() -> Iterator[None]:
    """The engine may serve others at the same time."""
    os.environ["IPYDOCK_SESSION"] = f"tests-{uuid.uuid4().hex[:8]}"
    yield
    del os.environ["IPYDOCK_SESSION"]


@pytest.fixture(autouse=True)
def nothing_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """After every test no container of ipydock's is there."""
    marked = request.node.get_closest_marker("engine")
    sdk = request.getfixturevalue("sdk") if marked else None
    yield
    assert sdk is None or containers(sdk) == []


@pytest.fixture
def notebook(tmp_path: Path) -> Path:
    """A small notebook with stored outputs, in a folder with a space, with a module and a file."""
    folder = tmp_path / "a folder"
    folder.mkdir()
    (folder / "helper.py").write_text("import six\n\n\ndef double(x):\n    return 2 * x\n")
    (folder / "x.csv").write_text("a,b\n1,2\n")
    return samples.write(
        folder / "my nb.ipynb",
        samples.code("import helper", count=1),
        samples.code("helper.double(21)", samples.result(2, text_plain="42"), count=2),
        samples.code("print(open('x.csv').read())", samples.stream("a,b\n1,2\n\n"), count=3),
    )
