"""A notebook executed in its own environment with the probe watching: ``capture --run``.

Unlike a rerun it happens in the user's environment and folder, and what counts is not the outputs
but what was used. What the notebook writes is written; the notebook's own file is not touched.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat

from . import aio
from .capture import inject, trace
from .capture.ignored import Ignored
from .capture.interpreter import Interpreter
from .engine.containers import ended
from .errors import EnvironmentMissing, InputError, IpydockError, KernelDied, KernelStartError
from .events import OnEvent
from .folding import cells_in_words
from .kernel.manager import RELAY_COMMAND, ContainerKernelManager, running_kernel
from .models import CellRun, Limits
from .notebook import Notebook, may_raise, stripped
from .notebook_v4 import printable
from .process import Cancellation, ProcessPlan, run
from .rerun import START_TIMEOUT, connected, run_cells

PATIENCE = 60.0  # seconds that the probe gets for its answer
# The user's own history of inputs is none of our business.
ARGUMENTS = ("--HistoryManager.hist_file=:memory:",)


@dataclass(frozen=True, slots=True)
class Observed:
    """What the kernel told (`ipydock.capture.live.session`), and what the user should know."""

    session: Mapping[str, Any]
    warnings: tuple[str, ...]


def observe(
    notebook: Notebook,
    interpreter: Interpreter,
    request: Mapping[str, Any],
    *,
    traced: bool = False,
    timeout: float | None = None,
    on_event: OnEvent,
    cancel: Cancellation | None = None,
) -> Observed:
    """Execute all cells in order in a kernel of this interpreter, and ask it what was used.

    Cells that raise do not stop it; a warning names them.

    Args:
        notebook: it is executed in its folder; its file is not written.
        interpreter: whose kernel runs it; it needs ipykernel, not ipydock.
        request: what to ask the probe besides, see `ipydock.capture.probe.answer_from`.
        traced: run the kernel under strace, too.
        timeout: seconds for each cell; None for no limit.
        on_event: receives the cells as they start and end.
        cancel: ends the kernel when raised.

    Raises:
        EnvironmentMissing: the interpreter has no ipykernel.
        InputError: ``traced``, and strace is not here or not allowed.
        KernelDied: the kernel ended in a cell, and with it what it had seen.
        Cancelled: ``cancel`` was raised.
    """
    with _tracing(notebook.folder) if traced else _nothing() as tracing:
        kernel = _OwnKernel(interpreter, notebook, tracing.command if tracing else ())
        limits = Limits(timeout=timeout)
        found = aio.run_sync(
            lambda emit: _observe(
                notebook, kernel, request, limits=limits, tracing=tracing, on_event=emit
            ),
            on_event,
            cancel or Cancellation(),
        )
        if tracing is None:
            return found
        return Observed({**found.session, "traced": tracing.read(found.session)}, found.warnings)


async def _observe(
    notebook: Notebook,
    kernel: _OwnKernel,
    request: Mapping[str, Any],
    *,
    limits: Limits,
    tracing: _Tracing | None,
    on_event: OnEvent,
) -> Observed:
    node = nbformat.reads(stripped(notebook.node), as_version=4)
    marks = {"begin": tracing.begin, "end": tracing.end} if tracing else {}
    try:
        async with (
            running_kernel(
                lambda: kernel, start_timeout=START_TIMEOUT, graceful=False, arguments=ARGUMENTS
            ) as manager,
            connected(manager, node, limits) as client,
        ):
            await _ask(client.kc, {"do": "watch", "mark": marks.get("begin")})
            runs, failure = await run_cells(client, manager, limits, on_event)
            if isinstance(failure, KernelDied):
                why = await asyncio.to_thread(lambda: manager.why_ended)
                raise KernelDied(
                    f"{failure.message} {why} What it had used is lost with it.",
                    hint="Capture without --run, or mend the cell.",
                    evidence=manager.stderr,
                )
            if failure is not None:
                await manager.interrupt_kernel()
            question = {**request, "do": "session", "mark": marks.get("end")}
            session = await _answer(client.kc, question, failure, manager)
    except KernelStartError as error:
        raise _start_error(error, kernel) from error
    cells = {
        node["cells"][ran.index]["execution_count"]: [ran.index, ran.number]
        for ran in runs
        if node["cells"][ran.index]["execution_count"] is not None
    }
    warnings = _warnings(notebook, node, runs, failure)
    return Observed({**session, "cells": cells}, warnings)


async def _ask(client: Any, request: Mapping[str, Any]) -> dict[str, Any]:
    """The probe's answer to a request (`ipydock.capture.inside`)."""
    reply = await client.execute(
        "",
        silent=True,
        store_history=False,
        user_expressions={"ipydock": inject.expression(request)},
        allow_stdin=False,
        reply=True,
        timeout=PATIENCE,
    )
    return inject.answer(reply["content"].get("user_expressions", {}).get("ipydock", {}))


async def _answer(
    client: Any,
    request: Mapping[str, Any],
    failure: IpydockError | None,
    manager: ContainerKernelManager,
) -> dict[str, Any]:
    try:
        return await _ask(client, request)
    except TimeoutError:
        if failure is not None:
            raise failure from None
        raise KernelDied(
            f"The kernel did not say within {PATIENCE:.0f} s what was used.",
            hint="Capture without --run.",
            evidence=manager.stderr,
        ) from None


def _warnings(
    notebook: Notebook, node: Any, runs: tuple[CellRun, ...], failure: IpydockError | None
) -> tuple[str, ...]:
    raised: dict[str, list[int]] = {}
    for ran in runs:
        if ran.outcome == "error" and not may_raise(notebook.node["cells"][ran.index]):
            outputs = node["cells"][ran.index]["outputs"]
            name = next(o["ename"] for o in outputs if o["output_type"] == "error")
            raised.setdefault(printable(str(name)[:60]), []).append(ran.number)
    found = []
    if raised:
        each = "; ".join(f"{name} in {cells_in_words(raised[name])}" for name in raised)
        found.append(
            f"Cells raised errors when the notebook was run: {each}. What comes after it in such a "
            "cell was not seen."
        )
    if failure is not None:
        found.append(failure.message)
    return tuple(found)


# --- the kernel -------------------------------------------------------------------------------


class _OwnKernel:
    """A kernel of the user's own interpreter, in the notebook's folder."""

    name = ""

    def __init__(
        self, interpreter: Interpreter, notebook: Notebook, before: tuple[str, ...]
    ) -> None:
        self.path = interpreter.path
        folder = str(Path(self.path).parent)
        env = {**os.environ, **dict(interpreter.env)}
        # As where the environment is activated: what the notebook starts by name is from there.
        path = env.get("PATH", os.defpath).split(os.pathsep)
        env["PATH"] = os.pathsep.join([folder, *(entry for entry in path if entry != folder)])
        if notebook.path is not None:
            env["JPY_SESSION_NAME"] = str(notebook.path)
        argv = (*before, self.path, *RELAY_COMMAND[1:])
        self.plan = ProcessPlan(argv, env=env, cwd=notebook.folder)

    def why_ended(self, returncode: int | None) -> str:
        """Say by which signal or exit code it ended."""
        return ended(returncode)

    def remove(self) -> None:
        """Nothing is left of it."""


def _start_error(error: KernelStartError, kernel: _OwnKernel) -> IpydockError:
    python = printable(kernel.path)
    for name in ("ipykernel_launcher", "ipykernel", "zmq"):
        if f"No module named '{name}'" in error.evidence:
            return EnvironmentMissing(
                f"{python} has no ipykernel, without which it cannot run a notebook.",
                hint=f"Install it there: {python} -m pip install ipykernel (or uv pip install "
                f"--python {python} ipykernel). Or capture without --run.",
                evidence=error.evidence,
            )
    return KernelStartError(
        f"The notebook cannot be run with {python}: {error.message}",
        hint="Python 3.8 or newer with ipykernel is needed; capture works without --run too.",
        evidence=error.evidence,
    )


# --- the trace --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Tracing:
    """strace around the kernel; ``begin`` and ``end`` are paths that mark its log."""

    command: tuple[str, ...]
    log: Path
    folder: Path
    begin: str
    end: str

    def read(self, session: Mapping[str, Any]) -> dict[str, Any]:
        """What the log tells."""
        told = session["ignored"]
        ignored = Ignored(tuple(told["folders"]), (*told["kept"], f"{self.folder}/"))
        interpreter = tuple(told["interpreter"])

        temporary = (f"{tempfile.gettempdir()}/", "/tmp/", "/var/tmp/")  # noqa: S108

        def left_out(path: str) -> bool:
            # As in the watch: what was there for a moment is nobody's data.
            fleeting = path.startswith(temporary) and not path.startswith(ignored.kept)
            return ignored(path) or (fleeting and not os.path.lexists(path))

        def own(path: str) -> bool:
            return path.startswith(interpreter) or "/site-packages/" in path

        with self.log.open(encoding="utf-8", errors="surrogateescape") as lines:
            return trace.parse(
                lines,
                begin=self.begin,
                end=self.end,
                folder=str(self.folder),
                ignored=left_out,
                own=own,
            )


@contextmanager
def _nothing() -> Iterator[None]:
    yield None


@contextmanager
def _tracing(folder: Path) -> Iterator[_Tracing]:
    program = shutil.which("strace")
    without = "capture with --run and without --trace"
    if not sys.platform.startswith("linux"):
        raise InputError("System calls can be traced on Linux only.", hint=f"Or {without}.")
    if program is None:
        raise InputError(
            "There is no strace here, with which system calls are traced.",
            hint=f"Install it (apt-get install strace), or {without}.",
        )
    for options in ((trace.FAST, *trace.OPTIONS), trace.OPTIONS):
        done = run(ProcessPlan((program, *options, "-o", os.devnull, sys.executable, "-V")))
        if done.returncode == 0:
            break
    else:
        raise InputError(
            "strace is not allowed to trace a process here.",
            hint="Allow ptrace (in a container: --cap-add SYS_PTRACE; else the setting "
            f"kernel.yama.ptrace_scope), or {without}.",
            evidence=done.stderr[-2000:],
        )
    token = uuid.uuid4().hex
    with tempfile.TemporaryDirectory(prefix="ipydock-trace-") as scratch:
        log = Path(scratch) / "log"
        yield _Tracing(
            command=(program, *options, "-o", str(log), "--"),
            log=log,
            folder=folder.absolute(),
            begin=f"/ipydock-begin-{token}",
            end=f"/ipydock-end-{token}",
        )
