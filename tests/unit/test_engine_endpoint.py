"""Which engine is meant, and what a client says of itself."""

from __future__ import annotations

import gc
import hashlib
import json
import socket
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from ipydock.engine.client import asked, builder_fields, probe
from ipydock.engine.connection import Connection
from ipydock.engine.dial import Dial
from ipydock.engine.endpoint import Endpoint, find
from ipydock.engine.podman_build import mounted_stages, unnamed
from ipydock.errors import EngineError
from ipydock.process import ProcessPlan


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A folder of the docker client's settings with one context, which is in use."""
    key = hashlib.sha256(b"far").hexdigest()
    meta = tmp_path / "contexts" / "meta" / key
    meta.mkdir(parents=True)
    endpoint = {"Host": "ssh://me@far.example", "SkipTLSVerify": False}
    (meta / "meta.json").write_text(
        json.dumps({"Name": "far", "Metadata": {}, "Endpoints": {"docker": endpoint}})
    )
    (tmp_path / "config.json").write_text('{"currentContext": "far"}')
    return tmp_path


def test_the_order_is_that_of_the_docker_client(config: Path) -> None:
    settings = {"DOCKER_CONFIG": str(config)}
    assert find(settings).address == "ssh://me@far.example"
    assert find(settings).builder == "far"
    assert find({**settings, "DOCKER_CONTEXT": "default"}).named_by == "the default"
    named = find({**settings, "DOCKER_CONTEXT": "far", "DOCKER_HOST": "tcp://127.0.0.1:1"})
    assert (named.address, named.named_by) == ("tcp://127.0.0.1:1", "DOCKER_HOST")
    assert named.builder == "default"
    assert find({"DOCKER_CONFIG": str(config / "none")}).address.startswith(("unix:", "npipe:"))


def test_the_client_is_told_the_context_by_its_name(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "")
    env = find({"DOCKER_CONFIG": str(config)}).environment()
    assert env["DOCKER_CONTEXT"] == "far"
    assert "DOCKER_HOST" not in env
    monkeypatch.setenv("DOCKER_CONTEXT", "far")
    env = find({"DOCKER_HOST": "tcp://x:1", "DOCKER_CONTEXT": "far"}).environment()
    assert env["DOCKER_HOST"] == "tcp://x:1"
    assert "DOCKER_CONTEXT" not in env


def test_certificates_of_a_context_and_of_the_environment(config: Path) -> None:
    key = hashlib.sha256(b"far").hexdigest()
    tls = config / "contexts" / "tls" / key / "docker"
    tls.mkdir(parents=True)
    found = find({"DOCKER_CONFIG": str(config)})
    assert (found.certificates, found.verify) == (tls, True)
    host = {"DOCKER_HOST": "tcp://far.example:2376", "DOCKER_CERT_PATH": "/certs"}
    assert find(host).certificates == Path("/certs")
    assert not find(host).verify
    assert find({**host, "DOCKER_TLS_VERIFY": "1"}).verify


def test_a_context_that_is_not_there(config: Path) -> None:
    with pytest.raises(EngineError, match="'gone'"):
        find({"DOCKER_CONFIG": str(config), "DOCKER_CONTEXT": "gone"})
    (config / "config.json").write_text("{")
    with pytest.raises(EngineError, match="cannot be read"):
        find({"DOCKER_CONFIG": str(config)})


@pytest.mark.parametrize(
    ("address", "elsewhere"),
    [
        ("unix:///var/run/docker.sock", False),
        ("npipe:////./pipe/docker_engine", False),
        ("tcp://127.0.0.1:2375", False),
        ("tcp://[::1]:2375", False),
        ("tcp://localhost:2375", False),
        ("tcp://192.0.2.7:2375", True),
        ("ssh://me@far.example:22", True),
    ],
)
def test_whether_an_address_is_that_of_another_machine(address: str, elsewhere: bool) -> None:
    assert Endpoint(address, "x").elsewhere is elsewhere


def test_an_engine_that_is_away_leaves_no_socket_open(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as mute:  # it is bound and does not listen
        mute.bind(str(tmp_path / "s"))
        for address in (f"unix://{tmp_path}/s", f"unix://{tmp_path}/none", "tcp://127.0.0.1:9"):
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                with pytest.raises(EngineError, match="No Docker engine answers"):
                    Connection(Endpoint(address, "the test"))
                gc.collect()
            assert not [w for w in caught if issubclass(w.category, ResourceWarning)]


def test_settings_of_the_client_that_cannot_be_read(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(config))
    (config / "config.json").write_text('{"auths": {"registry.test": {"auth": "no base64!"}}}')
    address = f"unix://{tmp_path / 'engine'}"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "engine"))
        listener.listen()
        with pytest.raises(EngineError, match="settings cannot be read") as caught:
            Connection(Endpoint(address, "DOCKER_HOST"))
    assert "docker login" in caught.value.hint


def test_each_connection_of_a_dial_is_a_process_which_ends_with_it(tmp_path: Path) -> None:
    code = (
        "import sys; print('hello', file=sys.stderr, flush=True); "
        "print(input()[::-1], flush=True); input()"
    )
    dial = Dial(ProcessPlan((sys.executable, "-c", code)))
    path = Path(dial.address.removeprefix("unix://"))
    assert path.parent.stat().st_mode & 0o077 == 0
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(b"abc\n")
        with client.makefile("rb") as answers:
            assert answers.readline() == b"cba\n"
        assert dial.said() == "hello"
        dial.close()
        assert client.recv(10) == b""
    assert not path.parent.exists()
    dial.close()


INSPECTED = """\
Name:   apart
Driver: docker-container

Nodes:
Name:             apart0
Endpoint:         default
Error:            no such image
Status:           inactive
Platforms:        linux/amd64*, linux/arm64
"""


def test_the_fields_of_a_builder() -> None:
    fields = builder_fields(INSPECTED)
    assert fields["name"] == "apart"
    assert fields["driver"] == "docker-container"
    assert fields["error"] == "no such image"
    assert fields["platforms"] == "linux/amd64*, linux/arm64"


def test_a_stage_has_neither_the_name_nor_the_labels_of_the_image() -> None:
    words = ("--tag", "x:1", "--label", "a=b", "--secret", "id=ca,src=/x", "--no-cache")
    assert unnamed(words) == ("--secret", "id=ca,src=/x", "--no-cache")


def test_the_stages_that_podman_builds_apart() -> None:
    text = (
        "FROM debian AS tools\nRUN x\nFROM tools as other\nFROM debian AS built\n"
        "RUN --mount=type=cache,target=/c \\\n"
        "    --mount=type=bind,from=tools,source=/a,target=/b x\n"
        "FROM debian\nCOPY --from=other /a /b\nRUN --mount=from=built,target=/b x\n"
    )
    assert mounted_stages(text) == ["tools", "built"]


def program(folder: Path, name: str, text: str) -> None:
    folder.mkdir()
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


def test_clients_are_known_by_what_they_answer_and_not_by_their_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As Docker 28 without buildx answers; then one of Debian 12, which speaks BuildKit itself.
    program(tmp_path / "new", "docker", "echo 'unknown command: docker buildx' >&2; exit 1")
    old = 'case "$*" in buildx*) exit 1;; "build --help") echo "      --secret stringArray  x";; '
    program(tmp_path / "old", "docker", f'{old}*) echo "Docker version 99";; esac')
    monkeypatch.setenv("PATH", f"{tmp_path}/new:{tmp_path}/old:/usr/bin:/bin")
    found = probe()
    assert found.client is not None
    assert found.client.words == (f"{tmp_path}/old/docker", "build")
    assert ("DOCKER_BUILDKIT", "1") in found.client.env
    assert found.said[0] == f"{tmp_path}/new/docker has no buildx plug-in."
    monkeypatch.setenv("PATH", f"{tmp_path}/new")
    assert probe().client is None
    assert "does not speak BuildKit" in probe().said[-1]


def test_a_client_is_asked_again_when_it_or_its_settings_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IPYDOCK_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("DOCKER_AUTH_CONFIG", "a-password")
    knows = 'case "$*" in buildx*) exit 1;; "build --help") echo "      --secret x";; '
    text = f'echo "$*" >> {tmp_path}/asked; {knows}*) echo "Docker version 1";; esac'
    program(tmp_path / "bin", "docker", text)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")

    def questions() -> int:
        script = "from ipydock.engine.client import probe; assert probe().client.version"
        subprocess.run([sys.executable, "-c", script], check=True)
        return len((tmp_path / "asked").read_text().splitlines())

    first = questions()
    assert questions() == first
    (tmp_path / "config.json").write_text("{}")
    assert questions() == 2 * first
    (tmp_path / "bin" / "docker").write_text(f"#!/bin/sh\n{text}  # newer\n")
    assert questions() == 3 * first
    assert asked().client is not None
    assert len((tmp_path / "asked").read_text().splitlines()) == 4 * first
    assert "a-password" not in (tmp_path / "cache" / "clients.json").read_text()
