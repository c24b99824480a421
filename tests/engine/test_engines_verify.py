"""The whole loop on every engine that ipydock knows, and by every way to reach one."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ipydock.engine.client import probe
from ipydock.engine.endpoint import find
from tests.command import document, ipydock, paragraph
from tests.engine.conftest import Further

pytestmark = pytest.mark.engine
# What `tests.bed also` calls them, and the engine of ours.
ENGINES = [("newer", "docker"), ("containerd", "docker"), ("podman", "podman")]


def doctor(**env: Any) -> dict[str, dict[str, object]]:
    """The findings by name; of names that several engines have, the first one's."""
    found: dict[str, dict[str, object]] = {}
    for one in json.loads(ipydock("doctor", "--json", **env).stdout):
        found.setdefault(one["name"].strip(), one)
    return found


@pytest.mark.parametrize(("kind", "engine"), ENGINES)
def test_a_notebook_is_reproduced_and_not_built_twice(
    further: Further, notebook: Path, kind: str, engine: str
) -> None:
    env = further(kind)
    first = document(ipydock("verify", notebook, "--engine", engine, "--json", **env))
    assert first["verdict"] == "reproduced"
    assert first["image"]["cached"] is False
    assert first["image"]["size_bytes"] > 150e6  # what it takes unpacked, whatever the store
    second = document(ipydock("verify", notebook, "--engine", engine, "--json", **env))
    assert second["verdict"] == "reproduced"
    assert second["image"] == {**first["image"], "cached": True}


def test_by_context_and_by_ssh_it_is_the_same_engine(further: Further, notebook: Path) -> None:
    direct = further("newer")
    built = document(ipydock("build", notebook, "--engine", "docker", "--json", **direct))
    context = further.context("newer")
    ways = {
        "context in use": {**context, "DOCKER_CONTEXT": ""},
        "DOCKER_CONTEXT": {**context, "DOCKER_CONTEXT": "of-the-tests", "DOCKER_HOST": ""},
        "ssh": further("ssh"),
    }
    for way, env in ways.items():
        done = ipydock("verify", notebook, "--engine", "docker", "--json", **env)
        assert done.returncode == 0, f"{way}: {done.stderr}"
        found = document(done)
        assert found["verdict"] == "reproduced", way
        assert found["image"]["id"] == built["id"], way
        assert found["image"]["cached"] is True, way


def test_a_build_over_ssh(further: Further, notebook: Path) -> None:
    words = ("build", notebook, "--engine", "docker", "--json", "--env", "BY=ssh")
    done = ipydock(*words, **further("ssh"))
    assert done.returncode == 0, done.stderr
    assert document(done)["cached"] is False
    seen = document(ipydock(*words, **further("newer")))
    assert seen["cached"] is True


def test_a_context_that_is_not_there_is_said_so(further: Further, notebook: Path) -> None:
    env = {**further("newer"), "DOCKER_HOST": "", "DOCKER_CONTEXT": "nowhere"}
    done = ipydock("build", notebook, "--engine", "docker", **env)
    assert done.returncode == 3
    assert "'nowhere'" in paragraph(done)
    assert "docker context ls" in paragraph(done)


def test_what_ssh_says_when_it_is_not_let_in(further: Further, notebook: Path) -> None:
    env = further("ssh")
    env["DOCKER_HOST"] = env["DOCKER_HOST"].replace("root@", "nobody-here@")
    done = ipydock("build", notebook, "--engine", "docker", **env)
    assert done.returncode == 3
    assert "Permission denied" in paragraph(done)


def test_doctor_tells_what_each_can_do(further: Further) -> None:
    newer, containerd = doctor(**further("newer")), doctor(**further("containerd"))
    for found in (newer, containerd, doctor()):
        for name in ("docker", "build", "cache, secrets", "isolation", "limits", "base images"):
            assert found[name]["ok"] is True, found[name]
    assert "buildx in the engine" in str(newer["build"]["says"])
    assert "overlay2" in str(newer["image store"]["says"])
    assert "containerd's" in str(containerd["image store"]["says"])
    podman = doctor(**further("podman"), DOCKER_HOST="unix:///nowhere")  # without Docker's
    assert podman["docker"]["ok"] is False
    assert podman["podman"]["ok"] is True
    assert "Buildah" in str(podman["build"]["says"])
    assert podman["cache, secrets"]["ok"] is True


def test_a_builder_of_the_user_is_asked_to_load_what_it_builds(further: Further) -> None:
    env = further("newer")
    with further.environment(env):
        own = probe(find().environment()).client
        assert own is not None
        assert (own.driver, own.in_engine) == ("docker", True)
        assert "--load" not in own.words
        assert "linux/amd64" in own.platforms or "linux/arm64" in own.platforms
        docker = own.words[0]
        made = [docker, "buildx", "create", "--name", "apart", "--driver", "docker-container"]
        subprocess.run(made, check=True, capture_output=True)
        try:
            other = probe({**find().environment(), "BUILDX_BUILDER": "apart"}).client
        finally:
            subprocess.run([docker, "buildx", "rm", "apart"], check=True, capture_output=True)
        assert other is not None
        assert (other.driver, other.builder) == ("docker-container", "apart")
        assert "--load" in other.words
        missing = probe({**find().environment(), "BUILDX_BUILDER": "gone"})
        assert (
            missing.client is None or missing.client.words[0] != docker
        )  # another on the PATH may do
        assert any("gone" in said for said in missing.said)
