"""Listing, stopping and removing on real engines; the engine may hold the images of others too.

So nothing here removes all or prunes: what is planned is looked at, and of it only what is ours.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ipydock import lifecycle, removal
from ipydock.engine.interface import Engine
from ipydock.engine.select import connect
from ipydock.errors import InputError
from ipydock.lifecycle import Scope
from ipydock.models import Image, Limits
from ipydock.process import end, spawn
from ipydock.pruning import Rules, plan_prune
from tests import samples
from tests.command import ipydock, paragraph, read_until
from tests.engine.conftest import Further
from tests.engine.small import client, small_image

pytestmark = pytest.mark.engine
KINDS = [("", "docker"), ("containerd", "docker"), ("podman", "podman")]


@pytest.fixture(params=KINDS, ids=lambda kind: kind[0] or "bed")
def engine(request: pytest.FixtureRequest, further: Further) -> Iterator[Engine]:
    kind, name = request.param
    with further.environment(further(kind) if kind else {}):
        yield connect(name)


@pytest.fixture
def here(engine: Engine) -> Scope:
    return Scope((engine,))


@pytest.fixture
def image(engine: Engine, tmp_path: Path) -> Iterator[Image]:
    made = small_image(engine, tmp_path)
    beside = small_image(engine, tmp_path)  # with which it shares its base
    yield made
    for found in lifecycle.images(Scope((engine,))).images:
        if found.recipe in (made.recipe, beside.recipe):
            for container in engine.objects.containers():
                if container.name in found.used_by:
                    engine.objects.remove_container(container.id)
            engine.objects.remove_image(found.id)


def name() -> str:
    return f"ipydock-by-hand-{uuid.uuid4().hex[:8]}"


def test_images_tell_what_they_are_and_what_they_take(here: Scope, image: Image) -> None:
    found = next(i for i in lifecycle.images(here).images if i.recipe == image.recipe)
    assert found.notebook == "my nb.ipynb"
    assert lifecycle.full_name(found.tags[0]) == image.tag
    assert found.size_bytes > 50e6
    assert found.unique_bytes is not None
    assert 0 < found.unique_bytes < 1e6  # the base is shared with others
    assert not found.by_hand
    assert found.log == image.log
    assert 0 <= time.time() - found.created.timestamp() < 300
    assert found.platform.startswith("linux/")


def test_a_container_started_by_hand_is_told_of_and_touched_when_it_is_named(
    here: Scope, engine: Engine, image: Image
) -> None:
    web = name()
    client(engine, "run", "--detach", "--name", web, image.id, "sh", "-c", "echo hi; sleep 600")
    found = next(c for c in lifecycle.containers(here).containers if c.name == web)
    assert (found.kind, found.state, found.session) == ("by-hand", "running", "")
    assert found.notebook == "my nb.ipynb"
    deadline = time.monotonic() + 10
    while "hi" not in lifecycle.logs(here, web).text and time.monotonic() < deadline:
        time.sleep(0.1)
    assert lifecycle.logs(here, found.short).text.strip() == "hi"
    with pytest.raises(InputError, match=f"in use by {web}"):
        removal.remove(here, [image.tag])
    with pytest.raises(InputError, match="is running"):
        removal.remove(here, [web])
    plan = plan_prune(here, Rules(keep_size=0))
    assert image.recipe[:12] not in {action.what.rpartition(":")[2] for action in plan.removed}
    began = time.monotonic()
    assert [action.what for action in removal.stop(here, [web]).removed] == [web]
    assert time.monotonic() - began < 6
    assert next(c for c in lifecycle.containers(here).containers if c.name == web).state == "exited"
    done = removal.remove(here, [image.tag, web])
    assert [action.thing for action in done.removed] == ["container", "image"]
    assert done.freed_bytes is not None
    assert 0 < done.freed_bytes < 1e6
    assert image.recipe not in {i.recipe for i in lifecycle.images(here).images}


def test_the_container_of_a_kernel_is_told_of_and_ended(
    here: Scope, engine: Engine, image: Image
) -> None:
    kernel = engine.kernel(image, command=("sleep", "600"), limits=Limits())
    process = spawn(kernel.plan)
    try:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            found = [c for c in lifecycle.containers(here).containers if c.name == kernel.name]
            if found and found[0].running:
                break
            time.sleep(0.1)
        assert (found[0].kind, found[0].session) == ("rerun", os.environ["IPYDOCK_SESSION"])
        removal.stop(here, [kernel.name])
        process.wait(timeout=20)
    finally:
        end(process)
        kernel.remove()
        for stream in (process.stdin, process.stdout, process.stderr):
            assert stream is not None
            stream.close()
    left = [c.name for c in lifecycle.containers(here).containers if c.state != "removing"]
    assert kernel.name not in left


def test_what_was_made_from_our_image_is_not_ours(
    here: Scope, engine: Engine, image: Image
) -> None:
    web, tag = name(), f"ipydock-test/{uuid.uuid4().hex[:8]}:1"
    client(engine, "run", "--name", web, image.id, "touch", "/x")
    client(engine, "commit", web, tag)
    client(engine, "rm", web)
    found = next(
        i for i in lifecycle.images(here).images if tag in {lifecycle.full_name(t) for t in i.tags}
    )
    assert found.by_hand
    plan = plan_prune(here, Rules(keep_size=0))
    assert found.id not in {action.id for action in plan.removed}
    removal.remove(here, [tag])
    assert found.id not in {i.id for i in lifecycle.images(here).images}
    assert image.recipe in {i.recipe for i in lifecycle.images(here).images}


def test_names_of_an_image_go_one_by_one(here: Scope, engine: Engine, image: Image) -> None:
    other = f"ipydock-test/{uuid.uuid4().hex[:8]}:1"
    engine.tag(image, other)
    with pytest.raises(InputError, match="has 2 names"):
        removal.remove(here, [image.id])
    assert [a.thing for a in removal.remove(here, [other]).removed] == ["name"]
    assert [a.thing for a in removal.remove(here, [image.tag]).removed] == ["image"]
    assert image.recipe not in {i.recipe for i in lifecycle.images(here).images}


def test_an_image_that_lost_its_name_is_pruned(here: Scope, engine: Engine, tmp_path: Path) -> None:
    tag = f"ipydock-test/{uuid.uuid4().hex[:8]}:1"
    first = small_image(engine, tmp_path, tag=tag)
    second = small_image(engine, tmp_path, tag=tag)
    plan = plan_prune(here, Rules())
    if first.id not in {i.id for i in lifecycle.images(here).images}:
        removal.remove(here, [tag])
        return  # the containerd image store keeps none without a name
    ours = tuple(action for action in plan.removed if action.id == first.id)
    assert [action.reason for action in ours] == ["has no name"]
    assert second.id not in {action.id for action in plan.removed}
    done = removal.carry_out(here, plan.model_copy(update={"removed": ours}))
    assert [action.id for action in done.removed] == [first.id]
    assert first.id not in {i.id for i in lifecycle.images(here).images}
    removal.remove(here, [tag])


# What refuses is ours alone, and a container of Podman takes seconds to start.
@pytest.mark.parametrize("engine", KINDS[:1], ids=["bed"], indirect=True)
def test_what_is_not_ours_is_refused_and_untouched(engine: Engine) -> None:
    web, base = name(), engine.resolve("debian:bookworm-slim")
    client(engine, "run", "--detach", "--name", web, base, "sleep", "600")
    try:
        for words in (("rm", "--force", web), ("stop", web), ("logs", web), ("rm", "-f", base)):
            done = ipydock(*words, "--engine", engine.name)
            assert done.returncode == 2, done.stderr
            assert "is not ipydock's" in paragraph(done)
        told = client(engine, "inspect", "--format", "{{.State.Running}}", web).stdout
        assert told.strip() == "true"
        assert web not in ipydock("ps", "--all", "--engine", engine.name).stdout
    finally:
        client(engine, "rm", "--force", web)


def told(*words: str) -> Any:
    done = ipydock(*words, "--json", "--engine", "docker")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_rerun_is_listed_read_and_stopped_while_it_runs(tmp_path: Path) -> None:
    cells = ("import os; os.write(2, b'on stderr\\n')", "import time; time.sleep(600)")
    nb = samples.write(tmp_path / "napping.ipynb", *map(samples.code, cells))
    argv = [sys.executable, "-m", "ipydock", "rerun", str(nb), "--engine", "docker", "-v"]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) as process:
        read_until(process, "cell 1 of 2")
        mine = [c for c in told("ps")["containers"] if c["notebook"] == "napping.ipynb"]
        assert [(c["kind"], c["state"]) for c in mine] == [("rerun", "running")]
        container = mine[0]["name"]
        assert mine[0]["image"].startswith("ipydock/napping:")
        text = told("logs", container)["text"]
        assert re.search(r"cell 1 of 2\n.*\| on stderr\n.*cell 1: ok", text)
        assert "Removed" not in ipydock("rm", container, "--engine", "docker").stdout
        assert ipydock("stop", container, "--engine", "docker").stdout == (
            f"Stopped container {container}\n"
        )
        assert process.stderr is not None
        process.stderr.read()
        assert process.wait(timeout=30) == 5
    assert container not in {c["name"] for c in told("ps")["containers"]}
    ended = next(c for c in told("ps", "--all")["containers"] if c["name"] == container)
    assert ended["state"] == "ended"
    assert "The kernel was ended by signal" in told("logs", container)["text"]
    assert told("logs", mine[0]["image"])["text"].startswith("#")
    removed = told("rm", mine[0]["image"])["removed"]
    assert [action["thing"] for action in removed] == ["image"]
