"""The functions, as a program calls them: one by one, at once, and without blocking a loop."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import nbformat
import pytest

import ipydock
from ipydock.engine.select import connect
from ipydock.events import CellStarted, Event, StageFinished
from tests import samples
from tests.engine.conftest import containers


def test_stage_by_stage(notebook: Path) -> None:
    engine = connect("venv")
    found = ipydock.capture(notebook)
    recipe = ipydock.synthesize(found, engine=engine)
    image = ipydock.build(recipe, notebook, engine=engine)
    executed = ipydock.rerun(notebook, image, engine=engine)
    verdict = ipydock.compare(notebook, executed)
    assert verdict.verdict == "reproduced"
    assert executed.path is None  # nothing is written unless a place is named
    assert sorted(path.name for path in notebook.parent.iterdir()) == [
        "helper.py",
        "my nb.ipynb",
        "x.csv",
    ]
    for document in (found, recipe, image, executed, verdict):
        again = type(document).model_validate_json(document.model_dump_json())
        assert again == document


def test_at_once_with_events(notebook: Path) -> None:
    events: list[Event] = []
    verdict = ipydock.verify(notebook, engine="venv", on_event=events.append)
    assert verdict.verdict == "reproduced"
    assert [e.stage for e in events if isinstance(e, StageFinished)] == [
        "capture",
        "synthesize",
        "build",
        "rerun",
        "compare",
    ]


def test_a_notebook_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.csv").write_text("1\n")
    node = samples.notebook(
        samples.code("print(open('x.csv').read())", samples.stream("1\n\n"), count=1)
    )
    before = nbformat.writes(node)
    assert ipydock.verify(node, engine="venv").verdict == "reproduced"
    assert nbformat.writes(node) == before


def test_a_loop_goes_on_while_it_works(notebook: Path) -> None:
    async def main() -> tuple[ipydock.Verdict, int]:
        ticks = 0
        task = asyncio.create_task(ipydock.verify_async(notebook, engine="venv"))
        while not task.done():
            await asyncio.sleep(0.02)
            ticks += 1
        return await task, ticks

    verdict, ticks = asyncio.run(main())
    assert verdict.verdict == "reproduced"
    assert ticks > 10


@pytest.mark.engine
def test_cancelling_the_task_ends_the_container(tmp_path: Path, sdk: Any) -> None:
    nb = samples.write(tmp_path / "x.ipynb", samples.code("import time; time.sleep(600)"))
    out = tmp_path / "out.ipynb"

    async def main() -> None:
        loop = asyncio.get_running_loop()
        running = asyncio.Event()

        def on_event(event: Event) -> None:
            if isinstance(event, CellStarted):
                loop.call_soon_threadsafe(running.set)

        task = asyncio.create_task(
            ipydock.verify_async(nb, engine="docker", out=out, on_event=on_event)
        )
        await asyncio.wait_for(running.wait(), 120)
        assert len(containers(sdk)) == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert containers(sdk) == []
    assert not out.exists()
