"""How the command ends: every error as one paragraph on standard error, and an exit code."""

from __future__ import annotations

import os
import sys
import traceback

import click
from rich.console import Console

from .errors import IpydockError


class InternalError(IpydockError):
    """Something that should not have happened; 70 is EX_SOFTWARE of sysexits.h."""

    exit_code = 70

    def __init__(self, message: str) -> None:
        super().__init__(message, hint="This is a defect; -v shows where it happened.")


def run(command: click.Command) -> int:
    """Carry out what the command line asks for; the exit code."""
    verbose = any(word in ("-v", "--verbose") for word in sys.argv[1:])
    try:
        return command.main(standalone_mode=False) or 0
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return 2
    except (KeyboardInterrupt, click.Abort):
        click.echo("\nInterrupted; nothing was left running.", err=True)
        return 130
    except IpydockError as error:
        _report(error, verbose)
        return error.exit_code
    except BrokenPipeError:
        # The reader of our output has gone, as `head` does; say nothing more to it.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in (sys.stdout, sys.stderr):
            os.dup2(nowhere, stream.fileno())
        return 141  # as a process that SIGPIPE ends
    except Exception as error:  # noqa: BLE001 - whatever is left is a defect of ipydock's own
        _report(InternalError(f"ipydock itself failed: {type(error).__name__}: {error}"), verbose)
        return InternalError.exit_code


def _report(error: IpydockError, verbose: bool) -> None:
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    if verbose:
        click.echo(traceback.format_exc(), err=True)
        if error.evidence:
            click.echo(error.evidence, err=True)
    console.print("[bold red]Error:[/]", end=" ")
    console.print(error.paragraph(), markup=False)
