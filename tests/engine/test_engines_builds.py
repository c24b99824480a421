"""Builds on every engine: how far they are, their secrets, and why they fail."""

from __future__ import annotations

import secrets
import subprocess
from pathlib import Path

import pytest

from ipydock.engine.interface import Engine
from ipydock.errors import BaseImageError, BuildError, DiskFull
from ipydock.events import Event, Progressed, StepFinished, StepStarted
from tests.engine.builds import LOCAL, context, recipe

pytestmark = pytest.mark.engine
FAILS: list[tuple[str, type[BuildError], str, str]] = [
    ("RUN dd if=/dev/zero of=/dev/full bs=1k count=1", DiskFull, "no space left", "RUN dd"),
    ("RUN sh -c 'kill -9 $$'", BuildError, "no memory left", "RUN sh"),
    ("RUN no-such-command", BuildError, "a command is not there", "RUN no-such"),
    ("COPY nothere /x", BuildError, "COPY", "COPY nothere"),
    ("FROM 127.0.0.1:1/not/there:1", BaseImageError, "base image", ""),
    ("RUN apt-get install -y no-such-package", BuildError, "no such name", "RUN apt-get"),
]


@pytest.mark.parametrize("engine", LOCAL, indirect=True)
@pytest.mark.parametrize("fails", FAILS, ids=lambda fails: fails[0][:12])
def test_why_a_build_fails(
    engine: Engine, tmp_path: Path, fails: tuple[str, type[BuildError], str, str]
) -> None:
    line, kind, says, step = fails
    made = recipe(engine, line)
    with pytest.raises(BuildError) as caught:
        engine.build(made, context(tmp_path, made), on_event=lambda _event: None)
    assert type(caught.value) is kind
    assert says in caught.value.message
    assert step in caught.value.message
    log = Path(caught.value.hint.rpartition("The whole log is in ")[2].rstrip("."))
    assert log.is_file()


@pytest.mark.parametrize("engine", LOCAL, indirect=True)
def test_secrets_reach_the_step_and_nothing_else(engine: Engine, tmp_path: Path) -> None:
    value = secrets.token_hex(12)
    (tmp_path / "token").write_text(value)
    line = "RUN --mount=type=secret,id=one test $(wc -c < /run/secrets/one) = 24"
    made = recipe(engine, line)
    place = context(tmp_path / "context", made)
    events: list[Event] = []
    image = engine.build(made, place, secrets={"one": tmp_path / "token"}, on_event=events.append)
    try:
        assert image.log is not None
        assert value not in Path(image.log).read_text()
        assert value not in str(events)
        assert engine.find(made) is not None
        plan = engine.objects.command("history", "--no-trunc", image.id)
        done = subprocess.run(plan.argv, env=plan.env, capture_output=True, text=True, check=True)
        assert value not in done.stdout
    finally:
        engine.objects.remove_image(image.id)


@pytest.mark.parametrize("engine", ("bed", "newer"), indirect=True)
def test_how_far_a_build_is(engine: Engine, tmp_path: Path) -> None:
    made = recipe(engine, "COPY large /large", "RUN sleep 0.2")
    place = context(tmp_path, made)
    with (place / "large").open("wb") as file:
        file.write(secrets.token_bytes(1_000_000) * 40)
    events: list[Event] = []
    image = engine.build(made, place, on_event=events.append)
    engine.objects.remove_image(image.id)
    titles = {event.step: event.title for event in events if isinstance(event, StepStarted)}
    ended = {titles[event.step] for event in events if isinstance(event, StepFinished)}
    assert {"Send the files to the engine", "RUN sleep 0.2", "COPY large /large"} <= ended
    far = [event for event in events if isinstance(event, Progressed) and event.total]
    assert far
    for event in far:
        assert event.total is not None
        assert 0 <= event.done <= event.total
    assert max(event.done for event in far) > 20e6


@pytest.mark.parametrize("engine", LOCAL, indirect=True)
def test_a_stage_from_the_cache_can_be_mounted(engine: Engine, tmp_path: Path) -> None:
    """Buildah 1.28 mounts an empty folder then, so that a second notebook could not be built."""
    for number in (1, 2):
        made = recipe(
            engine,
            "RUN mkdir /tool && echo 1 > /tool/x",
            "FROM debian:bookworm-slim",
            f"RUN --mount=type=bind,from=tools,source=/tool,target=/tool cp /tool/x /x{number}",
        )
        lines = made.dockerfile.splitlines()
        made = made.model_copy(
            update={"dockerfile": "\n".join((f"{lines[0]} AS tools", *lines[1:]))}
        )
        place = context(tmp_path / str(number), made)
        image = engine.build(made, place, on_event=lambda _event: None)
        engine.objects.remove_image(image.id)
