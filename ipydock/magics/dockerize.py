"""``%dockerize`` and ``%%dockerize``."""

from __future__ import annotations

import contextlib
import logging
import shlex
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import nbformat
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, line_cell_magic, magics_class

from ..capture import watch
from ..errors import InputError
from ..events import Warned
from ..notebook import Notebook, load
from ..options import (
    BUILD,
    CAPTURE,
    build_options,
    capture_options,
    engine_option,
    limits_of,
    only,
    recipe_options,
    recipe_options_of,
    rerun_options,
)
from ..settings import settled
from .calm import calmly
from .live import progress_for
from .location import Located, locate, running
from .result import Dockerized


@click.command(
    "%dockerize", add_help_option=False, context_settings={"ignore_unknown_options": False}
)
@click.option("--notebook", metavar="PATH", help="The notebook, where it cannot be found.")
@click.option("-o", "output", metavar="DIR", help="Write the whole build context to a folder.")
@click.option("--build", "do_build", is_flag=True, help="Build the image too.")
@click.option("--rerun", "do_rerun", is_flag=True, help="Build, and run the notebook in it.")
@click.option("--verify", "do_verify", is_flag=True, help="Build, run and compare the results.")
@click.option("--cell", "only_cell", is_flag=True, help="%%dockerize: what this cell alone uses.")
@capture_options
@recipe_options
@build_options
@rerun_options
@engine_option
@click.option("-h", "--help", "show_help", is_flag=True, help="Show this message.")
def _arguments(**options: Any) -> dict[str, Any]:
    """Find out what this notebook needs and write its Dockerfile.

    %dockerize shows what was found and the Dockerfile; --build, --rerun and --verify go further.
    %%dockerize on top of a cell runs the cell first.
    """
    return options


@magics_class
class DockerizeMagics(Magics):
    """The magics of ipydock."""

    @line_cell_magic
    def dockerize(self, line: str, cell: str | None = None) -> Dockerized | None:
        """Find out what this notebook needs and write its Dockerfile; see ``%dockerize -h``."""
        options = _parse(line)
        if options["show_help"]:
            with click.Context(_arguments, info_name="%dockerize") as context:
                print(_arguments.get_help(context))  # noqa: T201
            return None
        if cell is not None:
            result = self._shell().run_cell(cell, store_history=False)
            if not result.success:
                return None  # the error is shown; there is nothing to add to it
        with calmly():
            return self._go(options, cell)

    def _shell(self) -> InteractiveShell:
        shell: InteractiveShell | None = self.shell
        if shell is None:
            raise UsageError("%dockerize needs a running IPython.")
        return shell

    def _go(self, options: dict[str, Any], cell: str | None) -> Dockerized:
        shell = self._shell()
        if options["only_cell"]:
            if cell is None:
                raise InputError("--cell is for %%dockerize on a cell of code.")
            node = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell)])
            located = Located(load(node, folder=Path.cwd(), name="cell.ipynb"))
        else:
            located = locate(shell, options["notebook"], running(shell))
        # What ipydock opens and imports from here on is none of the notebook's.
        with watch.paused(), _quiet(), progress_for(shell) as progress:
            return _stages(located, options, progress)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Where a notebook shows all log messages, those of our libraries are none of its own."""
    loggers = [logging.getLogger(name) for name in ("docker", "urllib3", "asyncio", "nbclient")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(max(logger.level, logging.WARNING))
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def _parse(line: str) -> dict[str, Any]:
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise UsageError(f"%dockerize: {error}") from None
    try:
        parsed = _arguments.main(words, prog_name="%dockerize", standalone_mode=False)
    except click.ClickException as error:
        raise UsageError(f"{error.format_message()} %dockerize -h lists the options.") from None
    return dict(parsed)


def _stages(located: Located, options: dict[str, Any], progress: Any) -> Dockerized:
    from .. import pipeline
    from ..capture.single import used_by_cell
    from ..engine.select import select
    from ..rerun import default_output

    notebook = located.notebook
    options = settled(notebook, options)
    out = default_output(notebook)
    if options["do_rerun"] or options["do_verify"]:
        _check_output(notebook, out)
    chosen = recipe_options_of(notebook, options)
    limits = limits_of(options)  # wrong ones are told before an image is built
    further = options["do_build"] or options["do_rerun"] or options["do_verify"]
    engine, why = select(options["engine"])
    if further and options["engine"] == "auto" and engine.name != "docker":
        progress(Warned("build", why))  # if that one fails, why it was this one
    where = only(options, CAPTURE)
    # Without a named environment it is the notebook, or the cell, that runs here.
    elsewhere = any(where.values())
    found = pipeline.capture(
        notebook,
        **where,
        live=not (elsewhere or options["only_cell"]),
        session=used_by_cell(notebook) if options["only_cell"] and not elsewhere else None,
        timeout=options["timeout"] or None,
        recipe_options=chosen,
        on_event=progress,
    )
    recipe = pipeline.synthesize(
        found,
        chosen,
        engine=engine if further or engine.name != "venv" else None,
        pull=options["pull"],
        to_build=further,
        on_event=progress,
    )
    notes = [located.note] if located.note else []
    result = Dockerized(found, recipe, notes=tuple(notes))
    if options["output"]:
        pipeline.save_context(recipe, notebook, Path(options["output"]))
        result = replace(result, folder=options["output"])
    if not further:
        return result
    isolation = f" {engine.info().isolation}" if engine.name == "venv" else ""
    build = pipeline.BuildOptions(**only(options, BUILD))
    image = pipeline.build(recipe, notebook, build, engine=engine, on_event=progress)
    result = replace(result, image=image, engine=why + isolation)
    if not (options["do_rerun"] or options["do_verify"]):
        return result
    executed = pipeline.rerun(
        notebook, image, out=out, limits=limits, engine=engine, on_event=progress
    )
    result = replace(result, rerun=executed)
    if executed.failure and not options["do_verify"]:  # a verdict says it itself
        result = replace(result, notes=(*result.notes, executed.failure))
    if not options["do_verify"]:
        return result
    verdict = pipeline.compare(notebook, executed)
    saved = _saved(notebook) if verdict.verdict in ("differs", "failed") else ()
    return replace(result, verdict=verdict, notes=(*result.notes, *saved))


def _check_output(notebook: Notebook, out: Path) -> None:
    from ..rerun import check_output

    try:
        check_output(notebook, out)
    except InputError as error:
        # The -o of a magic is the folder of the build context.
        hint = "In a terminal, `ipydock rerun NOTEBOOK -o OUT.ipynb` writes it elsewhere."
        raise InputError(error.message, hint=hint) from error


def _saved(notebook: Notebook) -> tuple[str, ...]:
    """What the outputs were compared with: a kernel cannot see those that are not saved yet."""
    if notebook.path is None:
        return ()
    when = time.strftime("%H:%M:%S", time.localtime(notebook.path.stat().st_mtime))
    return (
        f"Compared with the outputs in {notebook.name} as it was saved at {when}; save it first to "
        "compare with what it shows now.",
    )
