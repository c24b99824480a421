"""What the tests with a real engine share."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from ipydock.engine.labels import SESSION
from tests import samples


@pytest.fixture(scope="session")
def sdk(docker_host: str) -> Iterator[Any]:
    client = docker.DockerClient(base_url=docker_host)
    yield client
    client.close()


def containers(sdk: Any) -> list[str]:
    """The names of the containers that these tests started and that are still there."""
    mine = {"label": f"{SESSION}={os.environ['IPYDOCK_SESSION']}"}
    return [c.name for c in sdk.containers.list(all=True, filters=mine)]


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
