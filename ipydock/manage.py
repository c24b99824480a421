"""The verbs of the life cycle, for the command line and for ``%ipydock``.

Each is a click command whose callback returns a `Page`; the front end shows it.
"""

from __future__ import annotations

from typing import Any

import click

from .lifecycle import age_of, containers, images, logs, scope, size_of
from .manage_view import (
    Page,
    containers_page,
    doctor_page,
    images_page,
    log_page,
    removal_page,
)
from .options import grouped

look_options = grouped(
    click.option(
        "--engine",
        default="auto",
        type=click.Choice(["auto", "docker", "podman", "venv"]),
        show_default=True,
        help="Which engine to look at; auto: all that answer.",
    ),
    click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output."),
    click.option("-q", "--quiet", is_flag=True, help="No remarks."),
    click.option("-v", "--verbose", is_flag=True, help="Tracebacks of errors."),
)
FRONT_END = ("as_json", "quiet", "verbose")  # options that callbacks do not take


@click.command("ps")
@click.option("-a", "--all", "ended", is_flag=True, help="Also reruns that have ended.")
@look_options
def ps(engine: str, ended: bool) -> Page:
    """List the containers in which notebooks run, and those started by hand from their images."""
    return containers_page(containers(scope(engine), ended=ended))


@click.command("images")
@look_options
def images_verb(engine: str) -> Page:
    """List the images (and environments) that ipydock built, with age and size."""
    return images_page(images(scope(engine)))


@click.command("logs")
@click.argument("name", metavar="ID")
@click.option("--tail", type=click.IntRange(min=0), metavar="N", help="Only the last N lines.")
@look_options
def logs_verb(engine: str, name: str, tail: int | None) -> Page:
    """Show a log: of a rerun (its cells and standard error, also after it ended) by its container,
    of a build by its image, or of a container started by hand.
    """
    return log_page(logs(scope(engine), name, tail=tail))


@click.command("stop")
@click.argument("names", metavar="ID...", nargs=-1, required=True)
@look_options
def stop_verb(engine: str, names: tuple[str, ...]) -> Page:
    """End containers."""
    from .removal import stop

    return removal_page(
        stop(scope(engine), names), verb="Stopped", nothing="There was nothing to stop."
    )


@click.command("rm")
@click.argument("names", metavar="[ID...]", nargs=-1)
@click.option(
    "--all",
    "everything",
    is_flag=True,
    help="All images, ended containers and logs of ipydock's; what was made or started by hand "
    "stays, and so does what runs.",
)
@click.option(
    "-f",
    "--force",
    is_flag=True,
    help="Also what runs, images with their containers, and by ID with all their names.",
)
@look_options
def rm(engine: str, names: tuple[str, ...], everything: bool, force: bool) -> Page:
    """Remove containers and images by name or id; one of several names of an image is taken off."""
    from .removal import remove, remove_all

    if bool(names) == everything:
        raise click.UsageError("Name what to remove, or give --all.")
    where = scope(engine)
    if everything:
        return removal_page(remove_all(where, force=force))
    return removal_page(remove(where, names, force=force))


@click.command("prune")
@click.option(
    "--older-than", metavar="AGE", help="Also images made longer ago, such as 12h, 7d or 2w."
)
@click.option("--larger-than", metavar="SIZE", help="Also images larger than that, such as 2GB.")
@click.option(
    "--keep-size",
    metavar="SIZE",
    help="Also the oldest images, until those left take no more than that together.",
)
@click.option("-y", "--yes", is_flag=True, help="Do it; else it is only shown, or asked first.")
@look_options
def prune(
    engine: str,
    older_than: str | None,
    larger_than: str | None,
    keep_size: str | None,
    yes: bool,
) -> Page:
    """Remove what is of no use any more.

    Without options: containers of reruns that have ended, images without a name, environments that
    were cut short, and logs older than 30 days of what is gone. The options add images that have a
    name; --older-than and --larger-than together choose those that are both. What runs, is in use
    or was made by hand always stays.
    """
    from .pruning import Rules, plan_prune
    from .removal import carry_out

    where = scope(engine)
    rules = Rules(
        older_than=None if older_than is None else age_of(older_than),
        larger_than=None if larger_than is None else size_of(larger_than),
        keep_size=None if keep_size is None else size_of(keep_size),
    )
    plan = plan_prune(where, rules)

    def go() -> Page:
        return removal_page(carry_out(where, plan))

    if yes:
        return go()
    return removal_page(plan, carry_out=go if plan.removed else None)


@click.command("doctor")
@look_options
def doctor(engine: str) -> Page:
    """Say which engines are here, what each can do, and what to mend."""
    from .doctor import examine

    del engine  # all are looked at
    return doctor_page(examine())


VERBS = {verb.name or "": verb for verb in (ps, images_verb, logs_verb, stop_verb, rm, prune)}
DOCTOR = doctor


def call(command: click.Command, options: dict[str, Any]) -> Page:
    """The page of a verb, for the options that click read for it."""
    callback = command.callback
    if callback is None:
        raise TypeError("a verb without a callback")
    page: Page = callback(**{k: v for k, v in options.items() if k not in FRONT_END})
    return page
