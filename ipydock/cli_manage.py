"""The life cycle on the command line: what `ipydock.cli` adds to its group."""

from __future__ import annotations

import json
import sys
from typing import Any

import click
from rich.console import Console

from .cli_share import SHARING
from .manage import VERBS, call
from .manage_view import Page, to_rich
from .render import to_text

_WIDE = 200  # columns where no terminal says how many there are: rows stay on a line


def add_to(group: click.Group) -> None:
    """Make the verbs known to the command line's group."""
    for verb in VERBS.values():
        group.add_command(_shown(verb))
    for verb in SHARING:
        group.add_command(verb)


def _shown(verb: click.Command) -> click.Command:
    """The verb, showing its page."""

    def callback(**options: Any) -> None:
        page = call(verb, options)
        as_json, quiet = options["as_json"], options["quiet"]
        show(page, as_json=as_json, quiet=quiet)
        if page.carry_out is None or as_json:
            return
        if sys.stdin.isatty() and sys.stdout.isatty():
            if click.confirm("Remove these?"):
                show(page.carry_out(), as_json=False, quiet=quiet)
        else:
            click.echo("Nothing was removed; --yes does it.", err=True)

    return click.Command(verb.name, callback=callback, params=verb.params, help=verb.help)


def show(page: Page, *, as_json: bool, quiet: bool) -> None:
    """Print a page; remarks go to standard error."""
    if as_json:
        click.echo(json.dumps(page.document, indent=1))
        return
    console = Console(highlight=False)
    body = Page(page.document, page.lines, page.table, page.log)
    if console.is_terminal:
        console.print(to_rich(body))
    else:
        click.echo(to_text(to_rich(body), _WIDE))
    if not quiet:
        for note in page.notes:
            click.echo(note, err=True)
