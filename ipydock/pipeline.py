"""The five stages: what every front end calls and only renders.

Each function takes the notebook as a path, an nbformat node or a loaded `Notebook` and reports
progress through ``on_event``. Those that take long stop when ``cancel`` is raised, and have an
async form, which runs the same code in a thread and may be cancelled like any task.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from . import aio, events
from .capture import capture as capture_file
from .capture import capture_session
from .engine.bases import examine
from .engine.chains import recall, remember
from .engine.interface import Engine
from .engine.pins import pin
from .engine.select import select
from .errors import BaseImageError, InputError
from .events import OnEvent, StageFinished, StageStarted, Warned
from .models import (
    BaseImage,
    Capture,
    Image,
    Limits,
    Recipe,
    Rerun,
    Verdict,
    is_tag,
)
from .network.indexes import indexes
from .notebook import Notebook, load
from .process import Cancellation
from .recipe.base import helper, official
from .recipe.context import write_context
from .recipe.parts import Part, before, divided
from .recipe.synthesize import Options, base_of, default_base
from .recipe.synthesize import synthesize as synthesize_recipe
from .recipe.vendor import fetch

NotebookLike: TypeAlias = str | os.PathLike[str] | Mapping[str, Any] | Notebook


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """How an image is built: ``-t``, ``--no-cache``, ``--pull``.

    Raises:
        InputError: ``tag`` is not a name that an image can have.
    """

    tag: str | None = None
    no_cache: bool = False
    pull: bool = False

    def __post_init__(self) -> None:
        if self.tag is not None and not is_tag(self.tag):
            raise InputError(
                f"{self.tag!r} is not a name for an image.",
                hint="Write one in lower case such as me/analysis:1.",
            )


def capture(
    nb: NotebookLike,
    *,
    python: str | os.PathLike[str] | None = None,
    kernel: str | None = None,
    live: bool = False,
    session: Mapping[str, Any] | None = None,
    run: bool = False,
    trace: bool = False,
    timeout: float | None = Limits().timeout,
    recipe_options: Options | None = None,
    on_event: OnEvent = events.ignore,
    cancel: Cancellation | None = None,
) -> Capture:
    """What the notebook needs, with the evidence for each thing.

    Args:
        nb: the notebook.
        python: path of the interpreter whose packages it uses.
        kernel: name of a kernelspec, instead of ``python``; without both the notebook's own
            kernelspec is taken if it exists here, else this interpreter.
        live: we are in the kernel that runs the notebook, so that what is loaded here counts too;
            this interpreter's packages are taken, whatever ``python`` and ``kernel`` say.
        session: what `ipydock.capture.live.session` told in the kernel that runs the notebook, if
            that is another process; its environment counts.
        run: execute the notebook there first, in its folder, with the probe watching. Its file is
            not written; the files that it writes are.
        trace: ``run`` under a system-call trace, too.
        timeout: seconds for each cell that is run; None for no limit.
        recipe_options: what the recipe will be told: system packages are named for its base, and
            of files that it takes in anyway nothing needs to be said.
        on_event: receives the progress.
        cancel: ends the run when raised.

    Raises:
        NotebookError: it is not a Python notebook.
        EnvironmentMissing: the interpreter or kernel is not there, or has no ipykernel to run it.
        InputError: ``trace``, and system calls cannot be traced here.
        KernelDied: the kernel ended in a cell.
        Cancelled: ``cancel`` was raised.
    """
    began = time.monotonic()
    notebook = load(nb)
    where = None if python is None else Path(python)
    wishes = recipe_options or Options()
    image: dict[str, Any] = {
        "base": wishes.base,
        "included": frozenset(file.path for file in wishes.files),
    }
    if run or trace:
        on_event(
            StageStarted("capture", f"Run {notebook.name} where it is, and watch what it uses")
        )
        answer, warnings = _observe(
            notebook, where, kernel, trace=trace, timeout=timeout, on_event=on_event, cancel=cancel
        )
        found = capture_file(notebook, session=answer, **image)
        found = found.model_copy(update={"warnings": (*warnings, *found.warnings)})
    else:
        on_event(StageStarted("capture", f"Look at what {notebook.name} needs"))
        if live:
            found = capture_session(notebook, **image)
        else:
            found = capture_file(notebook, python=where, kernel=kernel, session=session, **image)
    for text in found.warnings:
        on_event(Warned("capture", text))
    parts = [f"{_count(len(found.requested), 'package')} ({len(found.closure)} with all they need)"]
    if found.local_modules:
        parts.append(_count(len(found.local_modules), "local module"))
    if found.files_read:
        parts.append(_count(len(found.files_read), "file"))
    summary = f"Python {found.python.version}; {', '.join(parts)}"
    on_event(StageFinished("capture", time.monotonic() - began, summary))
    return found


def _observe(
    notebook: Notebook,
    python: Path | None,
    kernel: str | None,
    *,
    trace: bool,
    timeout: float | None,
    on_event: OnEvent,
    cancel: Cancellation | None,
) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """Run the notebook where it is; what the session told, and warnings."""
    from .capture.draft import Draft
    from .capture.interpreter import choose
    from .session import observe

    chosen = choose(notebook, python=python, kernel=kernel)
    seen = observe(
        notebook,
        chosen,
        Draft(notebook).request(),
        traced=trace,
        timeout=timeout,
        on_event=on_event,
        cancel=cancel,
    )
    return seen.session, (*chosen.warnings, *seen.warnings)


def synthesize(
    found: Capture,
    options: Options | None = None,
    *,
    engine: Engine | None = None,
    pull: bool = False,
    to_build: bool = True,
    on_event: OnEvent = events.ignore,
    cancel: Cancellation | None = None,
) -> Recipe:
    """The recipe for what was captured.

    Args:
        found: what `capture` found.
        options: what to add and change.
        engine: says which digest the base stands for; without one the base is not pinned.
        pull: ask for that digest, and for packages that are not pinned, again.
        to_build: a base that cannot be found is an error; else only a warning.
        on_event: receives the progress.
        cancel: ends it when raised.

    Raises:
        LockError: no set of packages satisfies what was captured.
        BaseImageError: the base image does not exist.
    """
    began = time.monotonic()
    options = options or Options()
    on_event(StageStarted("synthesize", f"Write the Dockerfile for {found.notebook}"))
    base = base_of(found, options)
    if engine is not None and engine.name == "venv":
        base = options.base or default_base(found)  # and nothing of conda's or CUDA's
    if engine is not None:
        try:
            base = pin(engine, base, pull=pull, cancel=cancel)
            options = _held(engine, base, found, options, pull=pull, cancel=cancel)
        except BaseImageError as error:
            if to_build:
                raise
            on_event(Warned("synthesize", error.message))
    if (
        engine is not None
        and engine.name == "venv"
        and (found.instructions or options.instructions)
    ):
        text = "Dockerfile instructions need a container engine; the venv engine leaves them out."
        options = replace(options, notes=(*options.notes, text))
    system = sys.platform if engine is not None and engine.name == "venv" else "linux"
    options = replace(options, base=base, system=system)
    recipe = synthesize_recipe(found, options, fresh=pull, cancel=cancel)
    if "@sha256:" not in recipe.base and (engine is None or engine.name != "venv"):
        text = f"The base {recipe.base} is not pinned by digest: no engine says what it stands for."
        recipe = recipe.model_copy(update={"warnings": (*recipe.warnings, text)})
    for text in recipe.warnings:
        on_event(Warned("synthesize", text))
    on_event(
        StageFinished(
            "synthesize",
            time.monotonic() - began,
            f"on {recipe.base.partition('@')[0]}, {len(recipe.packages)} packages named, "
            f"recipe {recipe.digest[:12]}",
        )
    )
    return recipe


def _held(
    engine: Engine,
    base: str,
    found: Capture,
    options: Options,
    *,
    pull: bool,
    cancel: Cancellation | None,
) -> Options:
    """The options with what the base holds, and with the further image that it takes."""
    series = found.python.series
    if engine.name == "venv":  # it has this machine's Python and no image
        return replace(options, held=BaseImage(python=found.python.version))
    held = official(base) or examine(engine, base, platform=options.platform, cancel=cancel)
    if held is None:
        return options
    python = helper(held, series)
    if python:
        python = pin(engine, python, pull=pull, cancel=cancel)
    return replace(options, held=held, python_image=python)


def build(
    recipe: Recipe,
    nb: NotebookLike,
    options: BuildOptions | None = None,
    *,
    engine: Engine | None = None,
    on_event: OnEvent = events.ignore,
    cancel: Cancellation | None = None,
) -> Image:
    """The image of a recipe: found if it has been built before, else built.

    Raises:
        BuildError: a step failed.
        EngineError: there is no engine, or it went away.
        Cancelled: ``cancel`` was raised.
    """
    began = time.monotonic()
    options = options or BuildOptions()
    engine = engine or select()[0]
    notebook = load(nb)
    on_event(StageStarted("build", f"Build {options.tag or recipe.tag} with {engine.name}"))
    image = None if options.no_cache or options.pull else engine.find(recipe)
    if image is not None:
        if options.tag and image.tag != options.tag:
            image = engine.tag(image, options.tag)
        summary = f"{image.tag} is there already, {image.size_bytes / 1e6:.0f} MB"
    else:
        with tempfile.TemporaryDirectory(prefix="ipydock-context-") as folder:
            context = Path(folder)
            layers = before(recipe)
            chains = [] if engine.name == "venv" else recall(engine, layers)
            known = () if options.no_cache else [[Part(*row) for row in c] for c in chains]
            parts = divided(recipe, known)
            fetch(recipe.vendored, on_event, cancel)
            write_context(recipe, notebook, context, parts)
            with indexes().secrets() as secrets:
                image = engine.build(
                    recipe,
                    context,
                    tag=options.tag,
                    no_cache=options.no_cache,
                    pull=options.pull,
                    secrets=secrets,
                    on_event=on_event,
                    cancel=cancel,
                )
        if engine.name != "venv":
            remember(engine, layers, tuple((p.lock, p.modules) for p in parts), chains)
        summary = f"{image.tag}, {image.size_bytes / 1e6:.0f} MB"
    on_event(StageFinished("build", time.monotonic() - began, summary))
    return image


def rerun(
    nb: NotebookLike,
    image: Image,
    *,
    out: Path | None = None,
    limits: Limits | None = None,
    engine: Engine | None = None,
    on_event: OnEvent = events.ignore,
    cancel: Cancellation | None = None,
) -> Rerun:
    """Execute the notebook in a fresh container of the image.

    Args:
        nb: the notebook, which is not touched.
        image: what `build` returned.
        out: where the executed notebook is written; nowhere if it is None.
        limits: network, memory, CPUs, processes, seconds a cell.
        engine: the engine that has the image.
        on_event: receives the progress.
        cancel: ends the container when raised.

    Raises:
        InputError: ``out`` cannot be written.
        KernelStartError: the kernel never answered.
        Cancelled: ``cancel`` was raised.
    """
    from .rerun import check_output, execute

    notebook = load(nb)
    chosen = engine or select(image.engine)[0]
    if out is not None:
        check_output(notebook, out)
    if chosen.name == "venv" and limits and (limits.memory or limits.cpus):
        on_event(Warned("rerun", "Without a container --memory and --cpus do not apply."))
    if limits and limits.mounts and (host := chosen.other_host):
        on_event(Warned("rerun", f"The engine is on {host}: --mount takes paths of that machine."))
    return aio.run_sync(
        lambda emit: execute(
            notebook, image, engine=chosen, limits=limits or Limits(), out=out, on_event=emit
        ),
        on_event,
        cancel or Cancellation(),
    )


def compare(original: NotebookLike, executed: Rerun) -> Verdict:
    """Whether the rerun gave what is stored in the notebook, cell by cell."""
    from .compare.notebooks import compare as compare_notebooks

    return compare_notebooks(load(original), executed)


async def capture_async(nb: NotebookLike, **options: Any) -> Capture:
    """`capture`, with the same arguments, without blocking the loop; cancelling ends its run."""
    return await aio.in_thread(lambda flag: capture(nb, **options, cancel=flag))


async def build_async(
    recipe: Recipe,
    nb: NotebookLike,
    options: BuildOptions | None = None,
    *,
    engine: Engine | None = None,
    on_event: OnEvent = events.ignore,
) -> Image:
    """`build` without blocking the loop; cancelling the task ends the build."""
    return await aio.in_thread(
        lambda flag: build(recipe, nb, options, engine=engine, on_event=on_event, cancel=flag)
    )


async def rerun_async(
    nb: NotebookLike,
    image: Image,
    *,
    out: Path | None = None,
    limits: Limits | None = None,
    engine: Engine | None = None,
    on_event: OnEvent = events.ignore,
) -> Rerun:
    """`rerun` without blocking the loop; cancelling the task ends the container."""
    return await aio.in_thread(
        lambda flag: rerun(
            nb, image, out=out, limits=limits, engine=engine, on_event=on_event, cancel=flag
        )
    )


def save_context(
    recipe: Recipe,
    nb: NotebookLike,
    target: Path,
    *,
    on_event: OnEvent = events.ignore,
    cancel: Cancellation | None = None,
) -> None:
    """Write the whole build context of a recipe to a folder, for ``docker build`` by hand.

    What ``--vendor`` wants in it is downloaded first.

    Raises:
        LockError: something cannot be downloaded.
        Cancelled: ``cancel`` was raised.
        InputError: the folder holds files that ipydock did not write, or cannot be written.
    """
    try:
        fetch(recipe.vendored, on_event, cancel)
        write_context(recipe, load(nb), target)
    except OSError as error:
        raise InputError(
            f"The build context cannot be written to {target}: {error.strerror}.",
            hint="Choose another -o.",
        ) from error


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
