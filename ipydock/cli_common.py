"""What every verb of the command line takes, and how it prints what it made."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from .errors import InputError
from .files import write_atomic
from .options import engine_option, grouped, only
from .terminal import TerminalProgress

common_options = grouped(
    engine_option,
    click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output."),
    click.option("-q", "--quiet", is_flag=True, help="No progress."),
    click.option("-v", "--verbose", is_flag=True, help="All log lines, and tracebacks of errors."),
)


@dataclass(frozen=True)
class Common:
    """The options that every verb takes."""

    engine: str
    as_json: bool
    quiet: bool
    verbose: bool

    def progress(self, *, shown: bool = False) -> TerminalProgress:
        """A progress display on standard error; ``shown``: what is printed has the warnings."""
        return TerminalProgress(
            Console(stderr=True, highlight=False),
            verbose=self.verbose,
            quiet=self.quiet,
            hold=shown,
        )


def common_of(options: dict[str, Any]) -> tuple[Common, dict[str, Any]]:
    """The options of every verb, and the rest."""
    names = ("engine", "as_json", "quiet", "verbose")
    rest = {key: value for key, value in options.items() if key not in names}
    return Common(**only(options, names)), rest


def show(common: Common, document: Any, view: Callable[[Any], Any]) -> None:
    """Print a model: as JSON, or as the view of it that fits where it goes."""
    from .render import WIDTH, to_text

    if common.as_json:
        click.echo(document.model_dump_json(indent=1))
        return
    console = Console(highlight=False)
    if console.is_terminal:
        console.print(view(document))
    else:
        width = console.width if "COLUMNS" in os.environ else WIDTH
        click.echo(to_text(view(document), width))


def write(path: Path, text: str) -> None:
    """Write a file that was asked for.

    Raises:
        InputError: it cannot be written.
    """
    try:
        write_atomic(path, text)
    except OSError as error:
        raise InputError(
            f"{path} cannot be written: {error.strerror}.", hint="Choose another -o."
        ) from error
