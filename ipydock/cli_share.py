"""Sharing on the command line: push, save and load."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from .errors import BuildError, InputError
from .options import (
    BUILD,
    CAPTURE,
    build_options,
    capture_options,
    grouped,
    only,
    recipe_options,
    recipe_options_of,
)
from .terminal import TerminalProgress

if TYPE_CHECKING:
    from .engine.interface import Engine
    from .lifecycle import Scope
    from .managed import ManagedImage, Pushed
    from .models import Document
    from .notebook import Notebook

share_options = grouped(
    click.option(
        "--engine",
        default="auto",
        type=click.Choice(["auto", "docker", "podman"]),
        show_default=True,
        help="Which engine has the image, or is to have it.",
    ),
    click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output."),
    click.option("-q", "--quiet", is_flag=True, help="No progress."),
    click.option("-v", "--verbose", is_flag=True, help="All log lines, and tracebacks of errors."),
)


@click.command("push")
@click.argument("what", metavar="NOTEBOOK|IMAGE")
@capture_options
@recipe_options
@build_options
@share_options
def push_command(what: str, **options: Any) -> None:
    """Push an image to a registry under the name given with -t; a notebook is built first.

    Without -t the image's own name says where. Log in with the engine's client (docker login);
    ipydock sees no password. A notebook may be pushed for several platforms at once:
    --platform linux/amd64,linux/arm64.
    """
    from .models import is_tag
    from .share import check_target

    if options["tag"] is not None:
        check_target(options["tag"])  # before an image is built
    with _progress(options) as progress:
        if what.endswith(".ipynb"):
            pushed = _push_notebook(Path(what), options, progress)
        else:
            target = options["tag"] or what
            if not is_tag(target):
                raise InputError(f"{what} is an id.", hint="Say where to with -t.")
            pushed = _push_image(what, target, options, progress)
    _say(options, pushed, f"{pushed.reference}@{pushed.digest}")


@click.command("save")
@click.argument("image")
@click.option(
    "-o",
    "output",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE.tar.zst",
    help="Where to; its name says how to pack: .tar.zst, .tar.gz or .tar.",
)
@share_options
def save_command(image: str, output: Path, **options: Any) -> None:
    """Save an image to a file, for `ipydock load` on another machine."""
    from .share import image_of, save

    engine, found = image_of(_scope(options), image)
    with _progress(options) as progress:
        archive = save(engine, found, output, on_event=progress)
    _say(options, archive, archive.path)


@click.command("load")
@click.argument("file", type=click.Path(path_type=Path))
@share_options
def load_command(file: Path, **options: Any) -> None:
    """Load an image that `ipydock save` wrote; any other archive is refused."""
    from .engine.select import select
    from .share import load

    engine, _ = select(options["engine"])
    with _progress(options) as progress:
        loaded = load(engine, file, on_event=progress)
    _say(options, loaded, "\n".join(image.name for image in loaded.images))


SHARING = (push_command, save_command, load_command)


def _push_image(
    what: str, target: str, options: dict[str, Any], progress: TerminalProgress
) -> Pushed:
    from .share import image_of, push

    engine, image = image_of(_scope(options), what)
    return push(engine, image, target, on_event=progress)


def _push_notebook(path: Path, options: dict[str, Any], progress: TerminalProgress) -> Pushed:
    from .engine.select import select
    from .multiplatform import push_list
    from .notebook import load
    from .settings import settled
    from .share import check_target, image_of, push

    notebook = load(path)
    options = settled(notebook, options)
    if options["tag"] is None:
        raise InputError("Where should it be pushed to?", hint="Say it with -t REGISTRY/NAME:TAG.")
    check_target(options["tag"])
    engine, why = select(options["engine"])
    engine.objects.command("push")  # an environment cannot be pushed; said before it is made
    if not options["quiet"]:
        click.echo(why, err=True)
    platforms = (options["platform"] or "").split(",")
    if len(platforms) == 1:
        name = _build(notebook, options, engine, progress)
        _, image = image_of(_only(engine), name)
        return push(engine, image, options["tag"], on_event=progress)
    parts: list[ManagedImage] = []
    for platform in platforms:
        one = {**options, "platform": platform, "tag": None}
        try:
            name = _build(notebook, one, engine, progress)
        except BuildError as error:
            raise type(error)(
                f"For {platform}: {error.message}",
                hint=f"{error.hint} For a platform that is not the engine's own, the base must be "
                "there for it, and the engine must be able to run its programs (emulation: "
                "qemu-user-static and binfmt-support on the engine's machine), or be one of that "
                "platform (DOCKER_HOST).",
                evidence=error.evidence,
            ) from error
        parts.append(image_of(_only(engine), name)[1])
    return push_list(engine, parts, options["tag"], on_event=progress)


def _build(
    notebook: Notebook, options: dict[str, Any], engine: Engine, progress: TerminalProgress
) -> str:
    """Build the image of a notebook, if it is not there already; its id."""
    from . import pipeline

    chosen = recipe_options_of(notebook, options)
    found = pipeline.capture(
        notebook,
        **only(options, CAPTURE),
        timeout=options["timeout"] or None,
        recipe_options=chosen,
        on_event=progress,
    )
    recipe = pipeline.synthesize(
        found, chosen, engine=engine, pull=bool(options["pull"]), on_event=progress
    )
    # Not under the name in the registry: that is given when it is pushed.
    build = pipeline.BuildOptions(**{**only(options, BUILD), "tag": None})
    return pipeline.build(recipe, notebook, build, engine=engine, on_event=progress).id


def _scope(options: dict[str, Any]) -> Scope:
    from .lifecycle import scope

    return scope(options["engine"])


def _only(engine: Engine) -> Scope:
    from .lifecycle import Scope

    return Scope((engine,))


def _progress(options: dict[str, Any]) -> TerminalProgress:
    console = Console(stderr=True, highlight=False)
    return TerminalProgress(console, verbose=options["verbose"], quiet=options["quiet"])


def _say(options: dict[str, Any], document: Document, text: str) -> None:
    click.echo(document.model_dump_json(indent=1) if options["as_json"] else text)
