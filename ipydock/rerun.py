"""A notebook and an image in, the notebook executed in a fresh container out."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellTimeoutError, DeadKernelError

from . import streams
from .engine.interface import Engine, KernelProcess
from .engine.labels import session
from .errors import (
    CellTimeout,
    EngineError,
    InputError,
    IpydockError,
    KernelDied,
    KernelStartError,
    RerunError,
)
from .events import (
    CellFinished,
    CellOutcome,
    CellStarted,
    Event,
    OnEvent,
    StageFinished,
    StageStarted,
)
from .files import write_atomic
from .kernel.manager import RELAY_COMMAND, ContainerKernelManager, running_kernel
from .kernel.runlog import About
from .models import CellRun, Image, Limits, Rerun
from .notebook import Notebook, code_cells, may_raise, stripped

START_TIMEOUT = 120.0  # seconds until a kernel must have answered; a cold disk is slow


def default_output(notebook: Notebook) -> Path:
    """Where the executed notebook goes: NAME.rerun.ipynb beside the original."""
    return notebook.folder / f"{notebook.name.removesuffix('.ipynb')}.rerun.ipynb"


def check_output(notebook: Notebook, out: Path) -> None:
    """Refuse to write over the original, and find out before the work that writing is possible.

    Raises:
        InputError: ``out`` is the notebook itself, some other file or a folder, or it cannot be
            written.
    """
    try:
        _check_output(notebook, out)
    except OSError as error:
        raise _unwritable(out, error) from error


def _unwritable(out: Path, error: OSError) -> InputError:
    return InputError(
        f"The executed notebook cannot be written to {out}: {error.strerror}.",
        hint="Choose another place with -o.",
    )


def _check_output(notebook: Notebook, out: Path) -> None:
    if notebook.path is not None and out.exists() and out.samefile(notebook.path):
        raise InputError(
            f"The output {out} is the notebook itself, which is never written to.",
            hint="Choose another -o.",
        )
    if out.is_dir():
        raise InputError(f"{out} is a folder.", hint="Name a file in it, such as OUT.ipynb.")
    if out.exists() and out.suffix != ".ipynb":
        raise InputError(
            f"{out} is there and is not a notebook, so it is not written over.",
            hint="Choose another -o.",
        )
    if not out.parent.is_dir():
        raise InputError(f"The folder {out.parent} does not exist.", hint="Make it first.")
    if not os.access(out.parent, os.W_OK):
        raise InputError(
            f"The folder {out.parent} is read-only.",
            hint="Choose another place for the executed notebook with -o.",
        )


async def execute(
    notebook: Notebook,
    image: Image,
    *,
    engine: Engine,
    limits: Limits,
    out: Path | None,
    on_event: OnEvent,
) -> Rerun:
    """Execute all cells in order in a fresh container; cells that raise do not stop it.

    A kernel that dies or a cell that takes too long ends the run: the cells after it are
    ``not-run`` and ``failure`` says why. What was executed is written to ``out`` all the same.

    Raises:
        KernelStartError: the kernel never answered.
        EngineError: the engine went away.
    """
    began = time.monotonic()
    on_event(StageStarted("rerun", f"Rerun {notebook.name} in a clean {_place(engine)}"))
    node = nbformat.reads(stripped(notebook.node), as_version=4)

    try:
        about = About(notebook.name, image.tag, image.recipe, engine.name, session())
        runs, failure = await _run(node, image, engine, limits, on_event, about=about)
    except KernelStartError as error:
        if (gone := await asyncio.to_thread(_gone, engine)) is not None:
            raise gone from error
        raise
    path = None
    if out is not None:
        path = str(out)
        try:
            write_atomic(out, nbformat.writes(node) + "\n")
        except OSError as error:
            raise _unwritable(out, error) from error
    if isinstance(failure, EngineError):
        raise failure
    seconds = time.monotonic() - began
    raised = sum(run.outcome == "error" for run in runs)
    on_event(
        StageFinished("rerun", seconds, failure.message if failure else _summary(runs, raised))
    )
    return Rerun(
        notebook=json.loads(nbformat.writes(node)),
        path=path,
        image=image.tag,
        engine=engine.name,
        cells=runs,
        seconds=seconds,
        failure=failure.paragraph() if failure else None,
    )


async def _run(
    node: Any, image: Image, engine: Engine, limits: Limits, on_event: OnEvent, *, about: About
) -> tuple[tuple[CellRun, ...], IpydockError | None]:
    """Run the cells of ``node`` in place, in a container that is gone afterwards."""

    def start() -> KernelProcess:
        return engine.kernel(image, command=RELAY_COMMAND, limits=limits)

    async with (
        running_kernel(start, start_timeout=START_TIMEOUT, graceful=False, about=about) as manager,
        connected(manager, node, limits) as client,
    ):

        def noting(event: Event) -> None:
            match event:
                case CellStarted():
                    manager.note(f"cell {event.number} of {event.total}")
                case CellFinished():
                    manager.note(f"cell {event.number}: {event.outcome}, {event.seconds:.1f} s")
                case _:
                    pass
            on_event(event)

        runs, failure = await run_cells(client, manager, limits, noting)
        for run in runs:
            cell = node["cells"][run.index]
            cell["outputs"] = streams.joined(cell["outputs"])
        if isinstance(failure, KernelDied):
            failure = await asyncio.to_thread(_explain, failure, manager, engine)
        client.set_widgets_metadata()
    return runs, failure


@contextlib.asynccontextmanager
async def connected(
    manager: ContainerKernelManager, node: Any, limits: Limits
) -> AsyncIterator[NotebookClient]:
    """A client of a started kernel that executes the cells of ``node`` in place.

    What they print stays in the pieces in which it came (`ipydock.streams.joined`).

    Raises:
        KernelStartError: the kernel ended before its first cell.
    """
    client = NotebookClient(
        node,
        km=manager,
        timeout=None if limits.timeout is None else max(1, int(limits.timeout)),
        allow_errors=True,
        record_timing=False,
        coalesce_streams=False,
        startup_timeout=int(START_TIMEOUT),
        log=_quiet(),
    )
    try:
        client.kc = await client.async_start_new_kernel_client()
    except RuntimeError as error:  # how nbclient says that a kernel ended before its first cell
        raise KernelStartError(
            f"The kernel ended before the first cell. {manager.why_ended}",
            evidence=manager.stderr,
        ) from error
    try:
        yield client
    finally:
        client.kc.stop_channels()


async def run_cells(
    client: NotebookClient,
    manager: ContainerKernelManager,
    limits: Limits,
    on_event: OnEvent,
) -> tuple[tuple[CellRun, ...], IpydockError | None]:
    """Run the code cells until one ends the kernel or its time."""
    node = client.nb
    cells = list(code_cells(node))
    runs: list[CellRun] = []
    failure: IpydockError | None = None
    for code in cells:
        index, number = code.index, code.number
        if failure is not None:
            runs.append(CellRun(index=index, number=number, outcome="not-run", seconds=0.0))
            continue
        on_event(CellStarted(index, number, len(cells)))
        began = time.monotonic()
        outcome: CellOutcome = "ok"
        try:
            if code.source.strip():
                cell = await client.async_execute_cell(node["cells"][index], index)
                raised = any(output["output_type"] == "error" for output in cell["outputs"])
                outcome = "error" if raised else "ok"
        except CellTimeoutError:
            outcome = "timeout"
            failure = CellTimeout(
                f"Cell {number} ran longer than {limits.timeout:g} s and was stopped; the cells "
                "after it were not run.",
                hint="Allow it more with --timeout SECONDS, or 0 for no limit.",
            )
        except DeadKernelError:
            if await manager.is_alive():
                # nbclient takes every cancellation for the death of the kernel.
                raise asyncio.CancelledError from None
            outcome = "died"
            failure = KernelDied(
                f"The kernel ended while cell {number} was running; the cells after it were not "
                "run.",
            )
        seconds = time.monotonic() - began
        on_event(CellFinished(index, number, len(cells), outcome, seconds))
        runs.append(CellRun(index=index, number=number, outcome=outcome, seconds=seconds))
    return tuple(runs), failure


def _explain(died: KernelDied, manager: ContainerKernelManager, engine: Engine) -> IpydockError:
    """Why the kernel died: by itself, or because its engine is gone."""
    why = manager.why_ended
    return _gone(engine) or KernelDied(f"{died.message} {why}", evidence=manager.stderr)


def _gone(engine: Engine) -> EngineError | None:
    """The error for an engine that does not answer any more; None if it does."""
    try:
        engine.info()
    except EngineError as error:
        return EngineError(
            f"The {engine.name} engine went away while the notebook ran.",
            hint="Start it again and repeat the command.",
            evidence=error.message,
        )
    return None


def _quiet() -> logging.Logger:
    # nbclient logs what it also raises, and ipydock says it in its own words.
    logger = logging.getLogger("ipydock.nbclient")
    logger.propagate = False
    logger.addHandler(logging.NullHandler())
    return logger


def _place(engine: Engine) -> str:
    return "environment (no container)" if engine.name == "venv" else "container"


def _summary(runs: tuple[CellRun, ...], raised: int) -> str:
    slowest = max(runs, key=lambda run: run.seconds, default=None)
    text = f"{len(runs)} cells run"
    if raised:
        text += f", {raised} raised an error"
    if slowest is not None and slowest.seconds >= 1:
        text += f"; the slowest was cell {slowest.number} with {slowest.seconds:.1f} s"
    return text


def unexpected(notebook: Notebook, executed: Rerun) -> RerunError | None:
    """The error for a rerun that went wrong; None if all went well.

    A cell may raise if its stored outputs hold an error too, or if it is tagged so.
    """
    if executed.failure:
        return RerunError(executed.failure)
    for run in executed.cells:
        stored = notebook.node["cells"][run.index]
        expected = may_raise(stored) or any(
            output["output_type"] == "error" for output in stored["outputs"]
        )
        if run.outcome == "error" and not expected:
            outputs = executed.notebook["cells"][run.index]["outputs"]
            error = next(output for output in outputs if output["output_type"] == "error")
            text = " ".join(str(error["evalue"]).split())[:300]
            return RerunError(
                f"Cell {run.number} raised {error['ename']}: {text}",
                hint="The executed notebook holds the traceback; `ipydock verify` compares with "
                "the stored outputs.",
            )
    return None
