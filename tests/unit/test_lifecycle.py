"""What is told, found, removed and pruned: on engines in memory, and on environments on disk."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, cast

import pytest

from ipydock import lifecycle, removal
from ipydock.engine.interface import Engine
from ipydock.engine.venv import VenvEngine
from ipydock.errors import InputError
from ipydock.kernel.runlog import About, RunLog
from ipydock.lifecycle import Scope
from ipydock.managed import Layer, ManagedContainer, ManagedImage
from ipydock.pruning import Rules, plan_prune, taken
from tests.fakes import FakeEngine, FakeObjects

NOW = datetime(2026, 6, 1, tzinfo=timezone.utc)
BASE = Layer(chain="base", size_bytes=100, foreign=True)


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("IPYDOCK_CACHE_DIR", str(tmp_path / "cache"))
    yield


def image(letter: str, *layers: Layer, days: float = 0, **more: Any) -> ManagedImage:
    all_layers = (BASE, *layers)
    values: dict[str, Any] = {
        "id": f"sha256:{letter * 64}",
        "engine": "docker",
        "tags": (f"ipydock/{letter}:1",),
        "notebook": f"{letter}.ipynb",
        "recipe": letter * 64,
        "created": NOW - timedelta(days=days),
        "size_bytes": sum(layer.size_bytes for layer in all_layers),
        "layers": all_layers,
    }
    return ManagedImage(**{**values, **more})


def container(name: str, **more: Any) -> ManagedContainer:
    values: dict[str, Any] = {
        "id": name.encode().hex() * 4,
        "name": name,
        "engine": "docker",
        "kind": "rerun",
        "state": "running",
        "notebook": "a.ipynb",
        "image": "ipydock/a:1",
        "recipe": "a" * 64,
        "session": "s",
        "created": NOW,
    }
    return ManagedContainer(**{**values, **more})


def layer(name: str, size: int) -> Layer:
    return Layer(chain=name, size_bytes=size)


def where(*images: ManagedImage, containers: Any = (), **more: Any) -> tuple[Scope, FakeObjects]:
    objects = FakeObjects(images, containers, **more)
    return Scope((cast(Engine, FakeEngine(objects)),)), objects


A = image("a", layer("packages", 1000), layer("a", 10), days=10)
B = image("b", layer("packages", 1000), layer("b", 20), days=5)


# --- sizes ---------------------------------------------------------------------------------------


def test_what_an_image_has_for_itself_is_what_no_other_has() -> None:
    here, _ = where(A, B)
    told = {found.notebook: found.unique_bytes for found in lifecycle.images(here).images}
    assert told == {"a.ipynb": 10, "b.ipynb": 20}


def test_shared_layers_are_freed_with_the_last_image_that_has_them() -> None:
    assert lifecycle.freed([A, B], [A]) == 10
    assert lifecycle.freed([A, B], [A, B]) == 1030
    assert lifecycle.freed([A, B], []) == 0


def test_where_sizes_of_layers_are_not_known_none_is_guessed() -> None:
    unknown = image("c").model_copy(update={"layers": ()})
    assert lifecycle.freed([A, unknown], [A]) is None


def test_an_image_of_unknown_sizes_does_not_hide_what_the_others_take() -> None:
    unknown = image("u", layers=(layer("packages", 0), layer("u", 0)), size_bytes=1020)
    assert lifecycle.freed([A, unknown], [A]) == 10
    assert lifecycle.freed([A, unknown], [unknown]) is None


def test_together_images_take_their_shared_layers_once() -> None:
    assert taken([A, B]) == 100 + 1000 + 10 + 20


# --- found by name -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["ipydock/a:1", "docker.io/ipydock/a:1", "aaaaaaa", A.id, "sha256:aaaa"]
)
def test_an_image_is_found_by_name_and_by_the_start_of_its_id(name: str) -> None:
    assert lifecycle.find(where(A, B)[0], name).id == A.id


def test_a_name_without_a_tag_means_latest() -> None:
    named = image("c", tags=("me/x:latest",))
    assert lifecycle.find(where(named)[0], "me/x").id == named.id


def test_an_id_that_may_be_several_is_an_error_that_lists_them() -> None:
    first, second = image("a", id="sha256:abc1" + "0" * 60), image("b", id="sha256:abc2" + "0" * 60)
    with pytest.raises(InputError, match=r"abc10000.*abc20000"):
        lifecycle.find(where(first, second)[0], "abc")


def test_what_is_not_ours_is_refused_and_named_as_such() -> None:
    here, objects = where(A, others={"python:3.12": "image", "web": "container"})
    for name, kind in (("python:3.12", "image"), ("web", "container")):
        for act in (lifecycle.logs, lambda w, n: removal.remove(w, [n])):
            with pytest.raises(InputError, match=f"The {kind} {name} is not ipydock's"):
                act(here, name)
    with pytest.raises(InputError, match="There is no image or container"):
        removal.stop(here, ["nothing"])
    assert objects.done == []


# --- stopped and removed -------------------------------------------------------------------------


def test_stop_ends_containers_and_leaves_what_does_not_run() -> None:
    runs, ended = container("ipydock-1"), container("ipydock-2", state="exited")
    here, objects = where(containers=(runs, ended))
    done = removal.stop(here, ["ipydock-1", "ipydock-2"])
    assert objects.done == [("stop", runs.id)]
    assert [action.what for action in done.kept] == ["ipydock-2"]
    with pytest.raises(InputError, match="is an image"):
        removal.stop(where(A)[0], ["ipydock/a:1"])


def test_containers_are_removed_before_their_images() -> None:
    ended = container("ipydock-1", state="exited")
    here, objects = where(A.model_copy(update={"used_by": ("ipydock-1",)}), containers=(ended,))
    done = removal.remove(here, ["ipydock/a:1", "ipydock-1"])
    assert objects.done == [("rm", ended.id), ("rmi", A.id)]
    assert done.freed_bytes == 1010


def test_nothing_is_removed_if_one_thing_cannot_be() -> None:
    runs = container("ipydock-1")
    used = A.model_copy(update={"used_by": ("ipydock-1",)})
    here, objects = where(used, B, containers=(runs,))
    for names, says in (
        (["ipydock/b:1", "ipydock/a:1"], "in use by ipydock-1"),
        (["ipydock/b:1", "ipydock-1"], "is running"),
        (["ipydock/b:1", "nothing"], "There is no image"),
    ):
        with pytest.raises(InputError, match=says):
            removal.remove(here, names)
    assert objects.done == []
    removal.remove(here, ["ipydock/a:1"], force=True)
    assert objects.done == [("rm", runs.id), ("rmi", A.id)]


def test_force_does_not_reach_containers_that_are_not_ours() -> None:
    here, objects = where(A.model_copy(update={"used_by": ("web",)}))
    with pytest.raises(InputError, match="in use by web, which is not ipydock's"):
        removal.remove(here, ["ipydock/a:1"], force=True)
    assert objects.done == []


def test_one_of_several_names_is_taken_off_and_the_image_stays() -> None:
    named = A.model_copy(update={"tags": ("ipydock/a:1", "ghcr.io/me/a:1")})
    here, objects = where(named)
    done = removal.remove(here, ["ghcr.io/me/a:1"])
    assert objects.done == [("rmi", "ghcr.io/me/a:1")]
    assert "also called ipydock/a:1" in done.removed[0].reason
    with pytest.raises(InputError, match=r"has 2 names: ipydock/a:1, ghcr\.io/me/a:1"):
        removal.remove(here, [A.id])
    removal.remove(here, [A.id], force=True)
    assert objects.done[-1] == ("rmi", A.id)


def test_all_leaves_what_runs_and_what_was_made_by_hand() -> None:
    ended = container("ipydock-1", state="exited")
    runs = container("ipydock-2")
    started = container("web", kind="by-hand", state="exited")
    here, objects = where(
        A.model_copy(update={"used_by": ("ipydock-1",)}),
        B.model_copy(update={"used_by": ("ipydock-2",)}),
        image("c", used_by=("web",)),
        image("d", by_hand=True),
        containers=(ended, runs, started),
    )
    RunLog("ipydock-1", About("a.ipynb", "x", "y", "docker", "s")).close()
    RunLog("ipydock-2", About("a.ipynb", "x", "y", "docker", "s")).close()
    done = removal.remove_all(here)
    assert objects.done == [("rm", ended.id), ("rmi", A.id)]
    assert {action.what for action in done.kept} == {
        *("ipydock-2", "web", "ipydock/b:1", "ipydock/c:1", "ipydock/d:1")
    }
    assert [c.name for c in lifecycle.containers(here, ended=True).containers if c.log] == [
        "ipydock-2"
    ]


# --- pruned --------------------------------------------------------------------------------------


def going(plan: Any) -> list[str]:
    return [action.what for action in plan.removed]


def test_without_rules_only_what_is_of_no_use_goes() -> None:
    nameless = image("c", tags=())
    here, objects = where(
        A, nameless, containers=(container("ipydock-1", state="exited"), container("ipydock-2"))
    )
    plan = plan_prune(here, Rules(), now=NOW)
    assert going(plan) == ["ipydock-1", nameless.short]
    assert objects.done == []
    assert not plan.done


def test_rules_of_age_and_size_choose_images_that_are_both() -> None:
    large = image("c", layer("c", 5000), days=1)
    both = image("d", layer("d", 5000), days=9)
    here, _ = where(A, B, large, both)
    assert set(going(plan_prune(here, Rules(older_than=timedelta(days=7)), now=NOW))) == {
        "ipydock/a:1",
        "ipydock/d:1",
    }
    assert set(going(plan_prune(here, Rules(larger_than=4000), now=NOW))) == {
        "ipydock/c:1",
        "ipydock/d:1",
    }
    rules = Rules(older_than=timedelta(days=7), larger_than=4000)
    assert going(plan_prune(here, rules, now=NOW)) == ["ipydock/d:1"]


def test_the_oldest_go_until_the_rest_is_small_enough() -> None:
    here, _ = where(A, B)
    assert going(plan_prune(here, Rules(keep_size=1130), now=NOW)) == []
    assert going(plan_prune(here, Rules(keep_size=1129), now=NOW)) == ["ipydock/a:1"]
    assert set(going(plan_prune(here, Rules(keep_size=0), now=NOW))) == {
        "ipydock/a:1",
        "ipydock/b:1",
    }


def test_what_is_in_use_or_made_by_hand_is_never_pruned() -> None:
    here, _ = where(
        A.model_copy(update={"used_by": ("web",)}), B.model_copy(update={"by_hand": True})
    )
    plan = plan_prune(here, Rules(older_than=timedelta(0), keep_size=0), now=NOW)
    assert plan.removed == ()
    assert {action.what for action in plan.kept} == {"ipydock/a:1", "ipydock/b:1"}


def test_old_logs_go_with_what_they_were_of(tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "logs"
    folder.mkdir(parents=True)
    old = (NOW - timedelta(days=40)).timestamp()
    for name in (f"{'a' * 12}-123456.log", f"{'e' * 12}-123456.log"):
        (folder / name).write_text("#1 x\n")
        os.utime(folder / name, (old, old))
    here, _ = where(A)
    plan = plan_prune(here, Rules(), now=NOW)
    assert going(plan) == [f"{'e' * 12}-123456"]
    removal.carry_out(here, plan)
    assert [path.name for path in folder.iterdir()] == [f"{'a' * 12}-123456.log"]


@pytest.mark.parametrize(
    ("text", "size"),
    [("5GB", 5 * 10**9), ("500 mb", 5 * 10**8), ("2GiB", 2 * 1024**3), ("10", 10), ("1.5k", 1500)],
)
def test_sizes(text: str, size: int) -> None:
    assert lifecycle.size_of(text) == size


@pytest.mark.parametrize(("text", "hours"), [("12h", 12), ("7d", 168), ("2w", 336)])
def test_ages(text: str, hours: int) -> None:
    assert lifecycle.age_of(text) == timedelta(hours=hours)


@pytest.mark.parametrize("text", ["", "big", "-1GB", "7", "5 years", "1e9d", "9999999999999w"])
def test_what_is_neither(text: str) -> None:
    with pytest.raises(InputError):
        lifecycle.age_of(text)
    if text != "7":
        with pytest.raises(InputError):
            lifecycle.size_of(text)


# --- logs ----------------------------------------------------------------------------------------


def test_the_log_of_a_build_is_found_by_its_image(tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "logs"
    folder.mkdir(parents=True)
    here, _ = where(A)
    with pytest.raises(InputError, match="no log of the build"):
        lifecycle.logs(here, "ipydock/a:1")
    (folder / f"{'a' * 12}-123456.log").write_text("#1 one\n#2 two\n")
    found = lifecycle.logs(here, "ipydock/a:1", tail=1)
    assert (found.source, found.text) == ("Build of ipydock/a:1", "#2 two")
    assert lifecycle.images(here).images[0].log == found.path


def test_a_container_started_by_hand_has_the_engines_log() -> None:
    started = container("web", kind="by-hand")
    found = lifecycle.logs(where(containers=(started,))[0], "web", tail=3)
    assert found.text == f"log of {started.id}, 3"


def test_a_rerun_is_told_of_after_it_has_ended() -> None:
    log = RunLog("ipydock-abc", About("a.ipynb", "ipydock/a:1", "a" * 64, "docker", "s1"))
    log.note("cell 1 of 1")
    log.stderr(b"half ")
    log.stderr(b"line\nrest")
    log.close()
    here, _ = where()
    (found,) = lifecycle.containers(here, ended=True).containers
    assert (found.name, found.state, found.image) == ("ipydock-abc", "ended", "ipydock/a:1")
    text = lifecycle.logs(here, "ipydock-abc").text
    assert [line[9:] for line in text.splitlines()] == ["cell 1 of 1", "| half line", "| rest"]
    assert Path(found.log or "").stat().st_mode & 0o077 == 0
    assert lifecycle.containers(here).containers == ()


def test_what_is_listed_as_ended_can_be_named() -> None:
    RunLog("ipydock-abc", About("a.ipynb", "ipydock/a:1", "a" * 64, "docker", "s1")).close()
    here, objects = where()
    stopped = removal.stop(here, ["ipydock-abc"])
    assert [action.reason for action in stopped.kept] == ["is not running (ended)"]
    removed = removal.remove(here, ["ipydock-abc"])
    assert [(action.thing, action.what) for action in removed.removed] == [("log", "ipydock-abc")]
    assert lifecycle.containers(here, ended=True).containers == ()
    assert objects.done == []


# --- environments --------------------------------------------------------------------------------


@pytest.fixture
def environments(tmp_path: Path) -> Path:
    folder = tmp_path / "cache" / "environments"
    for name, complete in (("1" * 24, True), ("2" * 24, False)):
        (folder / name / "env" / "bin").mkdir(parents=True)
        (folder / name / "env" / "data").write_bytes(b"x" * 1000)
        if complete:
            text = f'{{"notebook": "my nb.ipynb", "digest": "{name[0] * 64}"}}'
            (folder / name / "recipe.json").write_text(text)
    return folder


def test_environments_are_listed_and_removed_like_images(environments: Path) -> None:
    here = Scope((VenvEngine(),))
    found = {image.tags: image for image in lifecycle.images(here).images}
    assert set(found) == {("ipydock/my-nb:111111111111",), ()}
    assert found[("ipydock/my-nb:111111111111",)].unique_bytes >= 1000  # type: ignore[operator]
    plan = plan_prune(here, Rules())
    assert [(a.id, a.reason) for a in plan.removed] == [
        (str(environments / ("2" * 24)), "was cut short")
    ]
    removal.carry_out(here, plan)
    removal.remove(here, ["ipydock/my-nb:111111111111"])
    assert [path.suffix for path in environments.iterdir()] == [".lock", ".lock"]


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="no /proc")
def test_an_environment_in_use_stays(environments: Path) -> None:
    python = environments / ("1" * 24) / "env" / "bin" / "python"
    python.symlink_to(sys.executable)
    here = Scope((VenvEngine(),))
    with subprocess.Popen(
        [python, "-c", "print(flush=True); input()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(InputError, match=f"in use by process {process.pid}"):
            removal.remove(here, ["ipydock/my-nb:111111111111"], force=True)
        process.communicate(b"\n")
    removal.remove(here, ["ipydock/my-nb:111111111111"])


def test_an_environment_cannot_leave_this_machine() -> None:
    with pytest.raises(InputError, match="cannot leave this machine"):
        VenvEngine().objects.command("push", "x")
