"""The stages one after the other, and what they come to: `ipydock.verify`."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import aio, events
from .engine.interface import Engine
from .engine.select import select
from .events import OnEvent, StageFinished, StageStarted
from .models import (
    Capture,
    FileSummary,
    Image,
    ImageSummary,
    Limits,
    Recipe,
    Rerun,
    Seconds,
    Verdict,
)
from .notebook import load
from .pipeline import BuildOptions, NotebookLike, build, capture, compare, rerun, synthesize
from .process import Cancellation
from .recipe.synthesize import Options


@dataclass(frozen=True, slots=True)
class Verification:
    """All that a verification made, stage by stage; ``verdict`` is what it comes to."""

    capture: Capture
    recipe: Recipe
    image: Image
    rerun: Rerun
    verdict: Verdict


def verify(nb: NotebookLike, **options: Any) -> Verdict:
    """Capture, synthesize, build, rerun and compare; the arguments are those of `verification`.

    Raises:
        IpydockError: a stage failed, see there. A notebook that fails in the container is no error
            here but the verdict ``failed``.
    """
    return verification(nb, **options).verdict


def verification(
    nb: NotebookLike,
    *,
    python: str | os.PathLike[str] | None = None,
    kernel: str | None = None,
    live: bool = False,
    run: bool = False,
    trace: bool = False,
    engine: Engine | str = "auto",
    recipe_options: Options | None = None,
    build_options: BuildOptions | None = None,
    limits: Limits | None = None,
    out: Path | None = None,
    on_event: OnEvent = events.ignore,
    cancel: Cancellation | None = None,
) -> Verification:
    """`verify`, keeping what each stage made.

    Args:
        nb: the notebook, which is never written to.
        python, kernel, live, run, trace: what to capture and how, see `capture`.
        engine: an engine or its name; ``auto`` takes the first that works.
        recipe_options: base image and additions; None for what `ipydock.options_for` says.
        build_options: tag, caches.
        limits: network, memory, CPUs, processes, seconds a cell.
        out: where the executed notebook is written; nowhere if it is None.
        on_event: receives the progress.
        cancel: ends what is under way when raised.
    """
    from .rerun import check_output
    from .settings import options_for

    cancel = cancel or Cancellation()
    build_options = build_options or BuildOptions()
    notebook = load(nb)
    recipe_options = options_for(notebook) if recipe_options is None else recipe_options
    if out is not None:
        check_output(notebook, out)
    chosen = select(engine)[0] if isinstance(engine, str) else engine
    began = time.monotonic()
    found = capture(
        notebook,
        python=python,
        kernel=kernel,
        live=live,
        run=run,
        trace=trace,
        timeout=(limits or Limits()).timeout,
        recipe_options=recipe_options,
        on_event=on_event,
        cancel=cancel,
    )
    captured = time.monotonic()
    recipe = synthesize(
        found,
        recipe_options,
        engine=chosen,
        pull=build_options.pull,
        on_event=on_event,
        cancel=cancel,
    )
    image = build(recipe, notebook, build_options, engine=chosen, on_event=on_event, cancel=cancel)
    built = time.monotonic()
    executed = rerun(
        notebook, image, out=out, limits=limits, engine=chosen, on_event=on_event, cancel=cancel
    )
    ran = time.monotonic()
    on_event(StageStarted("compare", "Compare with the stored outputs"))
    verdict = compare(notebook, executed)
    if "network" in verdict.blame and not (limits or Limits()).network:
        text = "A cell wanted the network, which is off; --network on allows it."
        verdict = verdict.model_copy(update={"warnings": (*verdict.warnings, text)})
    compared = time.monotonic()
    on_event(StageFinished("compare", compared - ran, verdict.verdict))
    seconds = Seconds(
        capture=captured - began,
        build=built - captured,
        rerun=ran - built,
        compare=compared - ran,
    )
    verdict = _whole(verdict, found, recipe, image, seconds)
    return Verification(found, recipe, image, executed, verdict)


def _whole(
    verdict: Verdict, found: Capture, recipe: Recipe, image: Image, seconds: Seconds
) -> Verdict:
    """The verdict with what it was reached on."""
    return verdict.model_copy(
        update={
            "image": ImageSummary(
                id=image.id, tag=image.tag, size_bytes=image.size_bytes, cached=image.cached
            ),
            "seconds": seconds,
            "packages": recipe.packages,
            "apt": recipe.apt,
            "files": tuple(
                FileSummary(path=file.path, sha256=file.sha256, policy=file.policy)
                for file in found.files_read
            ),
            "warnings": (*found.warnings, *recipe.warnings, *verdict.warnings),
        }
    )


async def verify_async(nb: NotebookLike, **options: Any) -> Verdict:
    """`verify`, with the same arguments, without blocking the loop; cancelling ends all of it."""
    return await aio.in_thread(lambda flag: verify(nb, **options, cancel=flag))
