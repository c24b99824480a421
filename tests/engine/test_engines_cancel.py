"""Cancelled in any step on any engine, nothing is left of it within two seconds."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import nbformat.v4
import pytest

from ipydock import pipeline
from ipydock.engine.interface import Engine
from ipydock.engine.select import connect
from ipydock.errors import Cancelled
from ipydock.events import Event, LogLine, StageStarted
from ipydock.process import Cancellation
from tests.engine.builds import BASE, EVERY, LOCAL, context, kept, recipe, running
from tests.engine.conftest import Further

pytestmark = [pytest.mark.engine, pytest.mark.alone]
SOON = 2.0  # seconds


def cancelled(
    step: Callable[[Callable[[Event], None], Cancellation], object],
    when: Callable[[Event], bool] | None,
    later: float = 0.3,
) -> float:
    """Cancel a step so many seconds after an event, or its start; how long it took to give up."""
    cancel = Cancellation()
    asked: list[float] = []

    def ask() -> None:
        asked.append(time.monotonic())
        cancel.cancel()

    def listen(event: Event) -> None:
        if when is not None and when(event):
            threading.Timer(later, ask).start()

    if when is None:
        threading.Timer(later, ask).start()
    with pytest.raises(Cancelled):
        step(listen, cancel)
    return time.monotonic() - asked[0]


def _is_slow(event: Event) -> bool:
    return isinstance(event, LogLine) and "slow" in event.line


@pytest.mark.parametrize("engine", EVERY, indirect=True)
@pytest.mark.parametrize("step", ["a step runs", "files are sent"])
def test_a_build(engine: Engine, tmp_path: Path, step: str) -> None:
    mark = f"sleep 9{uuid.uuid4().int % 10**8}"
    # Never in the moment when the container of a step starts: the BuildKit in Docker 26 then lets
    # it run on for ever, whatever signal its own client gets.
    runs = ("RUN echo first > /x", f"RUN echo slow; {mark}") if step == "a step runs" else ()
    made = recipe(engine, *runs, "COPY large /large")
    place = context(tmp_path / "context", made)
    with (place / "large").open("wb") as file:
        # So large that it is on its way, above all over SSH, when the build is cancelled.
        file.truncate(2_000_000_000 if step == "files are sent" else 1)
    before = kept(engine)
    took = cancelled(
        lambda listen, cancel: engine.build(made, place, on_event=listen, cancel=cancel),
        _is_slow if step == "a step runs" else None,
    )
    assert took < SOON
    while running(mark) and took < SOON:
        time.sleep(0.02)
        took += 0.02
    assert not running(mark)
    assert not running(str(tmp_path))
    assert kept(engine) == before
    assert engine.find(made) is None


@pytest.mark.parametrize("engine", LOCAL, indirect=True)
def test_the_look_for_the_base(engine: Engine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        base = f"127.0.0.1:{silent.getsockname()[1]}/library/debian:12"
        cancel = Cancellation()
        threading.Timer(0.3, cancel.cancel).start()
        began = time.monotonic()
        with pytest.raises(Cancelled):
            engine.resolve(base, cancel=cancel)
    assert time.monotonic() - began < 0.3 + SOON


@pytest.mark.parametrize("engine", LOCAL, indirect=True)
def test_the_start_of_a_rerun(engine: Engine, tmp_path: Path) -> None:
    mark = f"sleep 9{uuid.uuid4().int % 10**8}"
    script = f"printf '#!/bin/sh\\nexec {mark}\\n' > /usr/bin/python3 && chmod +x /usr/bin/python3"
    made = recipe(engine, f"RUN {script}")
    image = engine.build(made, context(tmp_path / "context", made), on_event=lambda _event: None)
    before = kept(engine)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1")])
    try:
        took = cancelled(
            lambda listen, cancel: pipeline.rerun(
                notebook, image, engine=engine, on_event=listen, cancel=cancel
            ),
            lambda event: isinstance(event, StageStarted),
            later=1.0,
        )
        assert took < SOON
        assert not running(mark)
        assert kept(engine) == before
    finally:
        engine.objects.remove_image(image.id)


def test_only_what_a_cancelled_build_made_is_removed(further: Further, tmp_path: Path) -> None:
    """Another podman build that runs at the same time goes on."""
    with further.environment(further("podman")):
        engine = connect("podman")
        base = engine.resolve(BASE)
        other = tmp_path / "other"
        other.mkdir()
        number = uuid.uuid4().int % 10**8
        (other / "Dockerfile").write_text(f"FROM {base}\nRUN sleep 3.{number}\n")
        words = ["podman", "build", "--no-cache", "--iidfile", str(other / "id"), str(other)]
        beside = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        while not running(f"sleep 3.{number}"):
            assert beside.poll() is None
            time.sleep(0.05)
        made = recipe(engine, "RUN echo slow; sleep 90")
        cancelled(
            lambda listen, cancel: engine.build(
                made, context(tmp_path / "context", made), on_event=listen, cancel=cancel
            ),
            _is_slow,
        )
        _, said = beside.communicate(timeout=60)
        assert beside.returncode == 0, said
        done = (other / "id").read_text().strip()
        found = subprocess.run(
            ["podman", "image", "inspect", done], capture_output=True, text=True, check=True
        )
        assert json.loads(found.stdout)
        subprocess.run(["podman", "rmi", done], check=True, capture_output=True)
