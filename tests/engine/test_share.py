"""Images pushed to a registry on loopback, saved, and loaded on the same and on another engine."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ipydock import lifecycle, share
from ipydock.engine.interface import Engine
from ipydock.engine.select import connect
from ipydock.errors import Cancelled, InputError, RegistryError
from ipydock.events import Event, Progressed
from ipydock.lifecycle import Scope
from ipydock.managed import ManagedImage
from ipydock.multiplatform import push_list
from ipydock.process import Cancellation
from tests.command import ipydock, paragraph
from tests.engine.conftest import Further
from tests.engine.small import client, small_image

pytestmark = pytest.mark.engine
KINDS = [("", "docker"), ("containerd", "docker"), ("podman", "podman")]
USER, PASSWORD = "tester", "let me in"
# Made once with bcrypt (4 rounds), the only form that the registry takes.
HASHED = "$2b$04$gSFOKJ4bGSVm/1AVoShNFetOjPH5Ud7Q4BrEg4aiatuQ0FccnmDlO"
CONFIG = """\
version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {folder}/data}}}}
http: {{addr: "{host}"}}
"""
AUTH = "auth: {{htpasswd: {{realm: test, path: {folder}/htpasswd}}}}\n"


@dataclass(frozen=True)
class Registry:
    """A registry on loopback."""

    host: str
    log: Path
    authorization: str = ""

    def manifest(self, name: str) -> tuple[str, Any]:
        """The digest and content of what a name stands for there."""
        repository, _, tag = name.removeprefix(f"{self.host}/").rpartition(":")
        kinds = (
            *("oci.image.index.v1", "oci.image.manifest.v1"),
            *("docker.distribution.manifest.list.v2", "docker.distribution.manifest.v2"),
        )
        request = urllib.request.Request(
            f"http://{self.host}/v2/{repository}/manifests/{tag}",
            headers={
                "Accept": ", ".join(f"application/vnd.{kind}+json" for kind in kinds),
                **({"Authorization": self.authorization} if self.authorization else {}),
            },
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.headers["Docker-Content-Digest"], json.load(answer)


def registry(folder: Path, *, auth: bool) -> Iterator[Registry]:
    program = shutil.which("docker-registry")
    if program is None:
        pytest.skip("there is no docker-registry")
    with socket.create_server(("127.0.0.1", 0)) as free:
        host = f"127.0.0.1:{free.getsockname()[1]}"
    (folder / "htpasswd").write_text(f"{USER}:{HASHED}\n")
    text = CONFIG + (AUTH if auth else "")
    (folder / "config.yml").write_text(text.format(folder=folder, host=host))
    token = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [program, "serve", folder / "config.yml"], stdout=log, stderr=subprocess.STDOUT
        )
        try:
            deadline = time.monotonic() + 20
            while not _answers(host) and time.monotonic() < deadline:
                time.sleep(0.05)
            yield Registry(host, folder / "log", f"Basic {token}" if auth else "")
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=20)


def _answers(host: str) -> bool:
    try:
        urllib.request.urlopen(f"http://{host}/v2/", timeout=5).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


@pytest.fixture(scope="module")
def open_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    yield from registry(tmp_path_factory.mktemp("registry"), auth=False)


@pytest.fixture(scope="module")
def locked_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    yield from registry(tmp_path_factory.mktemp("registry"), auth=True)


@pytest.fixture(params=KINDS, ids=lambda kind: kind[0] or "bed")
def engine(request: pytest.FixtureRequest, further: Further) -> Iterator[Engine]:
    kind, name = request.param
    with further.environment(further(kind) if kind else {}):
        yield connect(name)


@pytest.fixture
def image(engine: Engine, tmp_path: Path) -> Iterator[ManagedImage]:
    (tmp_path / "build").mkdir()
    made = small_image(engine, tmp_path / "build")
    yield the(engine, made.recipe)
    clean(engine, made.recipe)


def the(engine: Engine, recipe: str) -> ManagedImage:
    return next(i for i in lifecycle.images(Scope((engine,))).images if i.recipe == recipe)


def clean(engine: Engine, recipe: str) -> None:
    for found in lifecycle.images(Scope((engine,))).images:
        if found.recipe == recipe:
            engine.objects.remove_image(found.id)


def names(engine: Engine, recipe: str) -> set[str]:
    return {lifecycle.full_name(tag) for tag in the(engine, recipe).tags}


# --- pushed --------------------------------------------------------------------------------------


def test_pushed_without_credentials(
    engine: Engine, image: ManagedImage, open_registry: Registry
) -> None:
    target = f"{open_registry.host}/me/x:{uuid.uuid4().hex[:8]}"
    seen: list[Event] = []
    pushed = share.push(engine, image, target, on_event=seen.append)
    assert pushed.reference == target
    assert pushed.digest == open_registry.manifest(target)[0]
    steps = [event for event in seen if isinstance(event, Progressed)]
    assert steps[-1].total == len(image.layers) or engine.name == "podman"
    assert target in names(engine, image.recipe)
    # Again there is nothing to do.
    assert share.push(engine, the(engine, image.recipe), target) == pushed


def credentials(folder: Path, host: str, password: str) -> dict[str, Any]:
    """What makes the clients of both engines use this password."""
    folder.mkdir(exist_ok=True)
    token = base64.b64encode(f"{USER}:{password}".encode()).decode()
    (folder / "config.json").write_text(json.dumps({"auths": {host: {"auth": token}}}))
    return {"DOCKER_CONFIG": str(folder), "REGISTRY_AUTH_FILE": str(folder / "config.json")}


def test_pushed_with_credentials_and_denied_without(
    engine: Engine,
    image: ManagedImage,
    locked_registry: Registry,
    tmp_path: Path,
    further: Further,
) -> None:
    target = f"{locked_registry.host}/me/x:{uuid.uuid4().hex[:8]}"
    before = names(engine, image.recipe)
    for number, password in enumerate(("", "not the one")):
        env = credentials(tmp_path / str(number), locked_registry.host, password)
        if not password:
            (tmp_path / "0" / "config.json").write_text("{}")
        done = ipydock(
            "push", before.copy().pop(), "-t", target, "--engine", engine.name, "-v", **env
        )
        assert done.returncode == 3, done.stderr
        assert f"it was denied. Log in with an account that may write there: {engine.name}" in (
            done.stderr
        )
        assert "not the one" not in done.stderr
        assert names(engine, image.recipe) == before  # the new name is gone again
    env = credentials(tmp_path / "right", locked_registry.host, PASSWORD)
    done = ipydock(
        "push", before.copy().pop(), "-t", target, "--engine", engine.name, "--json", **env
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["digest"] == locked_registry.manifest(target)[0]
    assert PASSWORD not in done.stdout + done.stderr + locked_registry.log.read_text()


HELPER = """\
#!/bin/sh
[ "$1" = get ] || exit 1
read host
if [ -e "$HELPER_FAILS" ]; then echo '{secret}'; exit 1; fi
echo '{{"ServerURL": "x", "Username": "{user}", "Secret": "{password}"}}'
"""


def test_a_credential_helper_is_used_and_what_it_says_is_not_shown(
    engine: Engine, image: ManagedImage, locked_registry: Registry, tmp_path: Path
) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    helper = folder / "docker-credential-ipydocktest"
    secret = "helper-said-this-4711"
    helper.write_text(HELPER.format(user=USER, password=PASSWORD, secret=secret))
    helper.chmod(0o755)
    config = {"credHelpers": {locked_registry.host: "ipydocktest"}}
    (folder / "config.json").write_text(json.dumps(config))
    env: dict[str, Any] = {
        "DOCKER_CONFIG": str(folder),
        "REGISTRY_AUTH_FILE": str(folder / "config.json"),
        "PATH": f"{folder}:{os.environ['PATH']}",
        "HELPER_FAILS": str(folder / "fails"),
    }
    target = f"{locked_registry.host}/me/x:{uuid.uuid4().hex[:8]}"
    words = ("push", image.name, "-t", target, "--engine", engine.name, "-v")
    (folder / "fails").touch()
    done = ipydock(*words, **env)
    assert done.returncode == 3, done.stderr
    assert secret not in done.stderr
    (folder / "fails").unlink()
    done = ipydock(*words, **env)
    assert done.returncode == 0, done.stderr
    assert locked_registry.manifest(target)
    assert PASSWORD not in done.stdout + done.stderr


def test_failures_of_each_kind(engine: Engine, image: ManagedImage, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        closed = free.getsockname()[1]
    for target, says in (
        (f"127.0.0.1:{closed}/x:1", "nothing answers there"),
        ("no-such-host.invalid/x:1", "there is no host of that name"),
    ):
        before = names(engine, image.recipe)
        with pytest.raises(RegistryError, match=says):
            share.push(engine, image, target)
        assert names(engine, image.recipe) == before
    done = ipydock("push", "nothing:1", "-t", "127.0.0.1:1/x", "--engine", engine.name)
    assert done.returncode == 2
    assert "There is no image" in paragraph(done)


def test_one_name_for_two_platforms(
    engine: Engine, open_registry: Registry, tmp_path: Path
) -> None:
    machines = ("amd64", "arm64")
    made = [
        small_image(engine, tmp_path, "FROM scratch", platform=f"linux/{machine}")
        for machine in machines
    ]
    try:
        target = f"{open_registry.host}/me/many:{uuid.uuid4().hex[:8]}"
        pushed = push_list(engine, [the(engine, one.recipe) for one in made], target)
        assert pushed.platforms == ("linux/amd64", "linux/arm64")
        digest, content = open_registry.manifest(target)
        assert digest == pushed.digest
        listed = {one["platform"]["architecture"] for one in content["manifests"]}
        assert set(machines) <= listed
    finally:
        for one in made:
            clean(engine, one.recipe)


# --- saved and loaded ----------------------------------------------------------------------------


def test_saved_removed_and_loaded(engine: Engine, image: ManagedImage, tmp_path: Path) -> None:
    out = tmp_path / "x.tar.zst"
    saved = share.save(engine, image, out)
    assert saved.size_bytes == out.stat().st_size < image.size_bytes
    clean(engine, image.recipe)
    loaded = share.load(engine, out)
    assert [i.recipe for i in loaded.images] == [image.recipe]
    assert loaded.images[0].tags == image.tags
    assert abs(loaded.images[0].size_bytes - image.size_bytes) < 1000  # what describes it counts
    if engine.name == "docker":
        assert loaded.images[0].id == image.id


def test_saved_on_one_engine_and_loaded_on_another(further: Further, tmp_path: Path) -> None:
    docker = connect("docker")
    made = small_image(docker, tmp_path)
    try:
        share.save(docker, the(docker, made.recipe), tmp_path / "x.tar.gz")
        with further.environment(further("podman")):
            podman = connect("podman")
            (loaded,) = share.load(podman, tmp_path / "x.tar.gz").images
            assert loaded.recipe == made.recipe
            said = client(podman, "run", "--rm", loaded.id, "cat", "/etc/os-release").stdout
            assert "Debian" in said
            clean(podman, made.recipe)
    finally:
        clean(docker, made.recipe)


def test_what_is_not_ours_is_not_saved_and_not_loaded(engine: Engine, tmp_path: Path) -> None:
    base = engine.resolve("debian:bookworm-slim")
    done = ipydock("save", base, "-o", tmp_path / "x.tar", "--engine", engine.name)
    assert done.returncode == 2, done.stderr
    assert list(tmp_path.iterdir()) == []
    client(engine, "pull", base)  # a build that starts from it keeps it under no name
    client(engine, "save", "--output", str(tmp_path / "x.tar"), base)
    with pytest.raises(InputError, match="ipydock did not make"):
        share.load(engine, tmp_path / "x.tar")


@pytest.mark.alone
def test_cancelled_within_two_seconds_with_nothing_left(
    engine: Engine, image: ManagedImage, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()

    def broken_off(act: Any) -> None:
        flag = Cancellation()
        when: list[float] = []

        def on_event(event: Event) -> None:
            if isinstance(event, Progressed) and not when:
                when.append(time.monotonic())
                flag.cancel()

        with pytest.raises(Cancelled):
            act(on_event, flag)
        assert time.monotonic() - when[0] < 2

    broken_off(
        lambda on_event, flag: share.save(
            engine, image, folder / "x.tar.zst", on_event=on_event, cancel=flag
        )
    )
    assert list(folder.iterdir()) == []
    share.save(engine, image, folder / "x.tar")
    clean(engine, image.recipe)
    broken_off(
        lambda on_event, flag: share.load(engine, folder / "x.tar", on_event=on_event, cancel=flag)
    )
    assert image.recipe not in {i.recipe for i in lifecycle.images(Scope((engine,))).images}


def test_images_are_listed_while_others_go(engine: Engine, tmp_path: Path) -> None:
    listed: list[int] = []
    with ThreadPoolExecutor(1) as beside:
        for number in range(3):
            (tmp_path / str(number)).mkdir()
            made = small_image(engine, tmp_path / str(number))
            gone = beside.submit(clean, engine, made.recipe)
            while not gone.done():
                listed.append(len(lifecycle.images(Scope((engine,))).images))
            gone.result()
    assert listed
