"""The ``ipydock`` command."""

from __future__ import annotations

import json
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from . import __version__
from .cli_common import Common, common_of, common_options, show, write
from .cli_errors import run
from .errors import InputError, RerunError
from .models import Capture, Image, Recipe
from .notebook import Notebook, load
from .options import (
    BUILD,
    CAPTURE,
    build_options,
    capture_options,
    limits_of,
    only,
    recipe_options,
    recipe_options_of,
    rerun_options,
)
from .terminal import TerminalProgress

VERDICT_EXIT = {"differs": 1, "failed": RerunError.exit_code}
EPILOG = (
    "Exit codes: 0 done (verify: reproduced, or nothing stored to compare with), 1 differences "
    "found, 2 bad usage or input, 3 no usable engine, 4 the build failed, 5 the notebook failed in "
    "the container, 6 refused, 130 interrupted."
)


notebook_argument = click.argument("notebook", type=click.Path(path_type=Path))


class Verbs(click.Group):
    """The verbs; those of the life cycle are loaded when one is asked for that is not here."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All verbs, as help lists them."""
        self._load()
        return super().list_commands(ctx)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The verb of that name."""
        if cmd_name not in self.commands:
            self._load()
        return super().get_command(ctx, cmd_name)

    def _load(self) -> None:
        from .cli_manage import add_to

        add_to(self)


@click.group(cls=Verbs, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="ipydock")
def cli() -> None:
    """Containerize a notebook, rerun it in the clean container, compare the results.

    Start with `ipydock verify NOTEBOOK`: it finds out what the notebook needs, builds an image,
    runs the notebook there and says cell by cell whether the results are the same. Each other verb
    does one stage, and those before it. The notebook itself is never written to.
    """


@cli.command("capture")
@notebook_argument
@capture_options
@click.option("-o", "output", type=click.Path(path_type=Path), help="Also write it as JSON.")
@common_options
def capture_command(notebook: Path, output: Path | None, **options: Any) -> None:
    """Show what a notebook needs, and how that is known."""
    from .render import capture_view

    common, options = common_of(options)
    loaded, options = _settled(notebook, options)
    if output is not None and output.exists() and output.samefile(notebook):
        raise InputError(f"{output} is the notebook itself.", hint="Choose another -o.")
    with common.progress(shown=True) as progress:
        found = _capture(loaded, options, None, progress)
    if output is not None:
        write(output, found.model_dump_json(indent=1) + "\n")
    show(common, found, capture_view)


@cli.command("dockerfile")
@notebook_argument
@click.option(
    "-o",
    "output",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Write the whole build context; `docker build DIR` needs no ipydock.",
)
@capture_options
@recipe_options
@click.option("--pull", is_flag=True, help="Look up the base image again.")
@common_options
def dockerfile_command(notebook: Path, output: Path | None, **options: Any) -> None:
    """Write the Dockerfile, the lock and the build context."""
    from . import pipeline

    common, options = common_of(options)
    loaded, options = _settled(notebook, options)
    engine = _container_engine(common.engine)
    with common.progress() as progress:
        recipe = _recipe(loaded, options, engine, progress, to_build=False)
        if output is not None:
            pipeline.save_context(recipe, loaded, output, on_event=progress)
    if common.as_json:
        click.echo(recipe.model_dump_json(indent=1))
    elif output is None:
        click.echo(recipe.dockerfile, nl=False)
    else:
        click.echo(f"{output}: Dockerfile, requirements.lock and what they copy")


@cli.command("build")
@notebook_argument
@capture_options
@recipe_options
@build_options
@common_options
def build_command(notebook: Path, **options: Any) -> None:
    """Build the image, if it is not there already."""
    common, options = common_of(options)
    loaded, options = _settled(notebook, options)
    engine = _engine(common)
    with common.progress() as progress:
        recipe = _recipe(loaded, options, engine, progress)
        image = _image(loaded, recipe, options, engine, progress)
    click.echo(image.model_dump_json(indent=1) if common.as_json else image.tag)
    if not progress.warned or common.quiet:
        _note(common, loaded, options, recipe, image)


@cli.command("rerun")
@notebook_argument
@click.option("--image", "reference", metavar="IMAGE", help="Run in this image; build none.")
@click.option(
    "-o",
    "output",
    type=click.Path(path_type=Path),
    metavar="OUT.ipynb",
    help="Where the executed notebook goes. [default: NAME.rerun.ipynb beside it]",
)
@capture_options
@recipe_options
@build_options
@rerun_options
@common_options
def rerun_command(
    notebook: Path, reference: str | None, output: Path | None, **options: Any
) -> None:
    """Run the notebook in a fresh container and keep the result."""
    from . import pipeline
    from .rerun import check_output, default_output, unexpected

    common, options = common_of(options)
    loaded, options = _settled(notebook, options)
    out = output or default_output(loaded)
    check_output(loaded, out)
    limits = limits_of(options)
    engine = _engine(common)
    with common.progress() as progress:
        if reference:
            image = engine.inspect(reference)
        else:
            recipe = _recipe(loaded, options, engine, progress)
            image = _image(loaded, recipe, options, engine, progress)
        done = pipeline.rerun(
            loaded, image, out=out, limits=limits, engine=engine, on_event=progress
        )
    if common.as_json:
        click.echo(done.model_dump_json(indent=1))
    else:
        click.echo(str(out))
    if problem := unexpected(loaded, done):
        raise problem


@cli.command("verify")
@notebook_argument
@click.option(
    "-o",
    "output",
    type=click.Path(path_type=Path),
    metavar="OUT.ipynb",
    help="Where the executed notebook goes. [default: NAME.rerun.ipynb beside it]",
)
@capture_options
@recipe_options
@build_options
@rerun_options
@common_options
def verify_command(notebook: Path, output: Path | None, **options: Any) -> None:
    """Capture, build, rerun and compare with the stored outputs."""
    from .pipeline import BuildOptions
    from .render import relative, verdict_view
    from .rerun import check_output, default_output
    from .verifying import verify

    common, options = common_of(options)
    loaded, options = _settled(notebook, options)
    out = output or default_output(loaded)
    check_output(loaded, out)
    limits = limits_of(options)
    engine = _engine(common)
    with common.progress(shown=True) as progress:
        verdict = verify(
            loaded,
            **only(options, CAPTURE),
            engine=engine,
            recipe_options=recipe_options_of(loaded, options),
            build_options=BuildOptions(**only(options, BUILD)),
            limits=limits,
            out=out,
            on_event=progress,
        )
    show(common, verdict, verdict_view)
    if not common.as_json and not common.quiet:
        click.echo(f"The executed notebook is {relative(str(out))}.", err=True)
    if code := VERDICT_EXIT.get(verdict.verdict):
        raise click.exceptions.Exit(code)


@cli.command("doctor")
@common_options
def doctor_command(**options: Any) -> None:
    """Say which engines are here, what each can do, and what to mend."""
    from .doctor import examine, view

    common, _ = common_of(options)
    findings = examine()
    if common.as_json:
        click.echo(json.dumps([finding.to_dict() for finding in findings], indent=1))
    else:
        Console(highlight=False).print(view(findings))


# --- the stages, with the options that belong to each ----------------------------------------


def _settled(notebook: Path, options: dict[str, Any]) -> tuple[Notebook, dict[str, Any]]:
    """The notebook, and the options with the settings that it or its project carries."""
    from .settings import settled

    loaded = load(notebook)
    found = settled(loaded, options)
    if "python" in found:
        from .capture import interpreter

        # It is up when it is asked, while the engine is connected to.
        interpreter.start(
            interpreter.choose(loaded, python=found["python"], kernel=found["kernel"])
        )
    return loaded, found


def _engine(common: Common) -> Any:
    from .engine.select import select

    engine, why = select(common.engine)
    if not common.quiet:
        click.echo(why, err=True)
        if engine.name == "venv":
            click.echo(f"  {engine.info().isolation}", err=True)
    return engine


def _container_engine(name: str) -> Any:
    """The engine that knows the digests of base images; none if none is here and none was named."""
    from .engine.select import connect, select

    engine = connect(name) if name != "auto" else select()[0]
    return None if engine.name == "venv" else engine


def _capture(
    loaded: Notebook, options: dict[str, Any], chosen: Any, progress: TerminalProgress
) -> Capture:
    from . import pipeline

    return pipeline.capture(
        loaded,
        **only(options, CAPTURE),
        timeout=options["timeout"] or None,
        recipe_options=chosen,
        on_event=progress,
    )


def _recipe(
    loaded: Notebook,
    options: dict[str, Any],
    engine: Any,
    progress: TerminalProgress,
    *,
    to_build: bool = True,
) -> Recipe:
    from . import pipeline

    chosen = recipe_options_of(loaded, options)
    with ThreadPoolExecutor(1) as beside:
        # What can build is found by starting programs, which need not wait for each other.
        able = beside.submit(engine.can_build) if to_build else None
        found = _capture(loaded, options, chosen, progress)
        if able is not None:
            able.result()
    return pipeline.synthesize(
        found,
        chosen,
        engine=engine,
        pull=bool(options.get("pull")),
        to_build=to_build,
        on_event=progress,
    )


def _image(
    loaded: Notebook,
    recipe: Recipe,
    options: dict[str, Any],
    engine: Any,
    progress: TerminalProgress,
) -> Image:
    from . import pipeline

    chosen = pipeline.BuildOptions(**only(options, BUILD))
    return pipeline.build(recipe, loaded, chosen, engine=engine, on_event=progress)


def _note(
    common: Common, loaded: Notebook, options: dict[str, Any], recipe: Recipe, image: Image
) -> None:
    """Let the same command find the same image at once, as long as nothing changes."""
    from . import unchanged
    from .capture.interpreter import choose

    if any(options[name] for name in ("run", "trace", "no_cache", "pull", "kernel")):
        return
    if "@" not in recipe.base:  # the name may stand for another image the next time
        return
    python = choose(loaded, python=options["python"], kernel=None).path
    there = image.model_copy(update={"cached": True, "seconds": 0.0, "log": None})
    size = f"{image.size_bytes / 1e6:.0f} MB"
    unchanged.note(
        sys.argv[1:],
        inputs=unchanged.inputs(loaded.folder / loaded.name, recipe, python),
        image=image,
        said="" if common.quiet else f"Nothing changed; {image.tag} is there already, {size}.",
        shown=there.model_dump_json(indent=1) if common.as_json else image.tag,
    )


def main() -> None:
    """Run the command; SIGTERM and SIGHUP end it as Ctrl-C does, with nothing left running."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # Also where a shell started us in the background with SIGINT ignored.
        signal.signal(number, _on_signal)
    sys.exit(run(cli))


def _on_signal(_number: int, _frame: Any) -> None:
    raise KeyboardInterrupt
