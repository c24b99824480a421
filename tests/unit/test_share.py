"""Errors of a push by their kind, credentials kept out of them, and archives that are refused."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from ipydock import share
from ipydock.engine.interface import Engine
from ipydock.engine.labels import MANAGED
from ipydock.errors import EngineError, InputError, RegistryError
from ipydock.events import Event, Progressed
from tests.fakes import FakeEngine, FakeObjects
from tests.unit.test_archive import docker_archive
from tests.unit.test_lifecycle import A

# What clients really say: docker 20.10 to 28 and podman 4.3.
SAID = {
    "denied: requested access to the resource is denied": "docker login r.example",
    "unauthorized: authentication required": "docker login r.example",
    "no basic auth credentials": "docker login r.example",
    "Error response from daemon: push access denied": "docker login r.example",
    'Get "https://r.example/v2/": dial tcp: lookup r.example on 1.1.1.1:53: no such host': (
        "no host of that name"
    ),
    'Get "http://127.0.0.1:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused': (
        "nothing answers there"
    ),
    'Get "https://r.example/v2/": x509: certificate signed by unknown authority': "certs.d",
    'Get "https://r.example/v2/": tls: failed to verify certificate: x509: certificate is not '
    "valid": "certs.d",
    "http: server gave HTTP response to HTTPS client": "insecure-registries",
    "An image does not exist locally with the tag: r.example/x": "`ipydock images`",
    "tag does not exist: r.example/x:1": "`ipydock images`",
    "error getting credentials - err: exit status 1, out: `it is locked`": "credsStore",
    "write /var/lib/registry/x: no space left on device": "no room",
}


@pytest.mark.parametrize("said", SAID)
def test_each_kind_of_failure_has_its_mend(said: str) -> None:
    error = share.refusal("docker", "r.example/x:1", said)
    assert SAID[said] in error.paragraph()
    assert error.exit_code == 3
    assert "r.example/x:1 was not pushed to r.example" in error.message


def test_what_is_not_known_is_shown_as_it_is() -> None:
    error = share.refusal("podman", "x:1", "one\nsomething else\n")
    assert error.message == "x:1 was not pushed to docker.io: something else"


SECRET = "Zq8-not-a-real-one-4711"  # made up for these tests


@pytest.mark.parametrize(
    "said",
    [
        f'Get "https://me:{SECRET}@r.example/v2/": EOF',
        f"error getting credentials - err: exit status 1, out: `{SECRET}\n{SECRET}`",
        f'Get "https://{SECRET}@r.example/v2/": unauthorized',
    ],
)
def test_no_credential_is_in_an_error(said: str) -> None:
    error = share.refusal("docker", "r.example/x:1", said)
    assert SECRET not in error.paragraph() + error.evidence + repr(error)


@pytest.mark.parametrize(
    "target", [f"https://me:{SECRET}@r.example/x", f"me:{SECRET}@r.example/x:1"]
)
def test_a_password_in_a_name_is_not_repeated(target: str) -> None:
    with pytest.raises(InputError, match="No user or password") as caught:
        share.check_target(target)
    assert SECRET not in caught.value.paragraph()


@pytest.mark.parametrize("target", ["", "a/UPPER", "a b", "-x", "x@sha256:abc", "x:1:2"])
def test_what_is_no_name_in_a_registry(target: str) -> None:
    with pytest.raises(InputError, match="is not a name"):
        share.check_target(target)


def engine(objects: FakeObjects, name: str = "docker") -> Engine:
    return cast(Engine, FakeEngine(objects, name))


def test_a_name_of_an_image_that_is_not_ours_is_not_taken_for_a_push() -> None:
    here = engine(FakeObjects([A], others={"r.example/x:1": "image"}))
    with pytest.raises(InputError, match="not ipydock's"):
        share.push(here, A, "r.example/x:1")


def test_a_push_tells_how_many_layers_are_there() -> None:
    script = (
        "echo '0123456789ab: Preparing'; echo 'ba9876543210: Preparing'; "
        "echo '0123456789ab: Pushed'; echo 'ba9876543210: Layer already exists'; "
        f"echo '1: digest: sha256:{'d' * 64} size: 1'"
    )
    seen: list[Event] = []
    pushed = share.push(
        engine(FakeObjects([A], program=("sh", "-c", script))), A, A.tags[0], on_event=seen.append
    )
    assert pushed.digest == f"sha256:{'d' * 64}"
    steps = [(e.done, e.total) for e in seen if isinstance(e, Progressed)]
    assert steps == [(0, 1), (0, 2), (1, 2), (2, 2)]


def test_a_push_that_fails_is_told_by_its_kind() -> None:
    here = engine(FakeObjects([A], program=("sh", "-c", "echo denied: no >&2; exit 1")))
    with pytest.raises(RegistryError, match="it was denied"):
        share.push(here, A, A.tags[0])


def test_saved_and_looked_into_again(tmp_path: Path) -> None:
    data = docker_archive("ipydock/a:1", **{MANAGED: "image"})
    (tmp_path / "image").write_bytes(data)
    here = engine(FakeObjects([A], program=("sh", "-c", f"cat '{tmp_path / 'image'}'")))
    out = tmp_path / "x.tar.zst"
    saved = share.save(here, A, out)
    assert saved.size_bytes == out.stat().st_size
    taken = tmp_path / "taken"
    here = engine(FakeObjects([A], program=("sh", "-c", f"cat > '{taken}'")))
    loaded = share.load(here, out)
    assert [image.id for image in loaded.images] == [A.id]
    assert taken.read_bytes() == data


def test_nothing_is_left_of_a_save_that_failed(tmp_path: Path) -> None:
    here = engine(FakeObjects([A], program=("sh", "-c", "echo half; echo oh dear >&2; exit 1")))
    with pytest.raises(EngineError, match="oh dear"):
        share.save(here, A, tmp_path / "x.tar")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("labels", [{}, {MANAGED: "kernel"}, {"other": "image"}])
def test_an_archive_that_is_not_ours_is_refused(tmp_path: Path, labels: dict[str, str]) -> None:
    (tmp_path / "x.tar").write_bytes(docker_archive("debian:12", **labels))
    mark = tmp_path / "loaded"
    here = engine(FakeObjects(program=("touch", str(mark))))
    with pytest.raises(InputError, match="debian:12, which ipydock did not make"):
        share.load(here, tmp_path / "x.tar")
    assert not mark.exists()


def test_an_archive_takes_no_name_from_an_image_that_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(docker_archive("debian:12", **{MANAGED: "image"}))
    mark = tmp_path / "loaded"
    here = engine(FakeObjects(others={"debian:12": "image"}, program=("touch", str(mark))))
    with pytest.raises(InputError, match="would take the name debian:12"):
        share.load(here, tmp_path / "x.tar")
    assert not mark.exists()
