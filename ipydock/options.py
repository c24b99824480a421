"""The options of each stage, as the command line and the magics take them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from .errors import InputError
from .models import Limits
from .notebook import Notebook, instruction_cells

F = TypeVar("F", bound=Callable[..., Any])


def grouped(*options: Callable[[F], F]) -> Callable[[F], F]:
    """Several decorators as one, in the order in which help should list them."""

    def decorate(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


engine_option = grouped(
    click.option(
        "--engine",
        default="auto",
        type=click.Choice(["auto", "docker", "podman", "venv"]),
        show_default=True,
        help="What builds and runs: auto takes the first that works.",
    )
)
capture_options = grouped(
    click.option(
        "--python",
        metavar="PATH",
        help="The interpreter whose packages the notebook uses, such as .venv/bin/python. "
        "[default: the notebook's kernel if it is installed here, else this one]",
    ),
    click.option("--kernel", metavar="NAME", help="The kernel to take the packages from instead."),
    click.option(
        "--run",
        is_flag=True,
        help="Execute the notebook there first, in its own folder, and watch what it uses. Files "
        "that it writes are written; the notebook itself is not.",
    ),
    click.option(
        "--trace",
        is_flag=True,
        help="--run under strace (Linux), which also sees what C libraries and programs open.",
    ),
    click.option(
        "--timeout",
        type=click.FloatRange(min=0),
        show_default="1800",
        metavar="SECONDS",
        help="For each cell, with --run and in a rerun; 0 for no limit.",
    ),
)
recipe_options = grouped(
    click.option(
        "--base",
        metavar="IMAGE",
        help="Base image. [default: python:X.Y-slim-bookworm of the notebook's Python]",
    ),
    click.option("--platform", metavar="OS/ARCH", help="Build for another, such as linux/arm64."),
    click.option("--add-apt", multiple=True, metavar="NAME", help="One more system package."),
    click.option("--add-pip", multiple=True, metavar="SPEC", help="One more Python package."),
    click.option(
        "--with",
        "extras",
        multiple=True,
        type=click.Choice(["lab"]),
        help="lab: JupyterLab, for `docker run -p 8888:8888 IMAGE lab`.",
    ),
    click.option("--env", multiple=True, metavar="NAME=VALUE", help="An environment variable."),
    click.option(
        "--include",
        multiple=True,
        metavar="GLOB",
        help="Files to copy in as well; also above the notebook or absolute.",
    ),
    click.option("--exclude", multiple=True, metavar="GLOB", help="Captured files to leave out."),
    click.option(
        "--vendor",
        is_flag=True,
        help="Put the wheels into the build context, so that the build needs no package index.",
    ),
)
build_options = grouped(
    click.option("-t", "--tag", metavar="TAG", help="Name of the image. [default: by content]"),
    click.option("--no-cache", is_flag=True, help="Build all steps anew."),
    click.option("--pull", is_flag=True, help="Look up the base image again."),
)
rerun_options = grouped(
    click.option(
        "--network",
        type=click.Choice(["off", "on"]),
        show_default="off",
        help="Whether the notebook may use the network.",
    ),
    click.option("--memory", metavar="SIZE", help="Such as 4g. [default: 90% of the engine's]"),
    click.option("--cpus", type=float, metavar="N", help="Such as 1.5. [default: all]"),
    click.option(
        "--mount",
        multiple=True,
        metavar="SRC:DST[:rw]",
        help="A file or folder to mount, such as data:/work/data; read-only without :rw.",
    ),
)
CAPTURE = ("python", "kernel", "run", "trace")
BUILD = ("tag", "no_cache", "pull")


def only(options: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """The options of one stage, by the names above."""
    return {name: options[name] for name in names if name in options}


def recipe_options_of(notebook: Notebook, options: Mapping[str, Any]) -> Any:
    """The `ipydock.Options` that these ask for; files are looked for beside the notebook.

    Args:
        notebook: the notebook, whose ``%%dockerfile`` cells count as well.
        options: as `ipydock.settings.settled` returns them.
    """
    from .recipe.context import include
    from .recipe.copied import copied
    from .recipe.custom import from_of
    from .recipe.synthesize import Options

    pairs = []
    for text in options["env"]:
        name, equals, value = text.partition("=")
        if not equals:
            raise InputError(f"--env {text!r} has no value.", hint="Write --env NAME=VALUE.")
        pairs.append((name, value))
    cells = (*options["instructions"], *instruction_cells(notebook.node))
    base, notes = options["base"], options["notes"]
    named = from_of(cells)
    if named is not None and named[0] != base:
        if base is None or ("base", base) in options["origins"]:
            base = named[0]
        else:
            notes = (*notes, f"FROM {named[0]} of {named[1]} gives way to --base {base}.")
    return Options(
        base=base,
        platform=options["platform"],
        add_apt=options["add_apt"],
        add_pip=options["add_pip"],
        extras=options["extras"],
        env=tuple(pairs),
        files=(
            *include(notebook, options["include"]),
            *copied(notebook, cells, options["exclude"]),
        ),
        exclude=options["exclude"],
        folder=notebook.folder.resolve().as_posix(),
        instructions=options["instructions"],
        origins=options["origins"],
        notes=notes,
        vendor=bool(options.get("vendor")),
    )


def _mount(text: str) -> str:
    """A mount with an absolute source: a bare name would be a volume of the engine's."""
    source, _, rest = text.partition(":")
    target, _, mode = rest.partition(":")
    if not source or not target.startswith("/") or mode not in ("", "ro", "rw"):
        raise InputError(
            f"{text!r} is not a mount.",
            hint="Write --mount SOURCE:TARGET or SOURCE:TARGET:rw, with TARGET as it is called in "
            "the container, such as /work/data (/work is the notebook's folder there, unless "
            "WORKDIR in its Dockerfile says otherwise).",
        )
    path = Path(source).absolute()
    remote = os.environ.get("DOCKER_HOST", "").startswith(("ssh:", "tcp:"))
    if not remote and not path.exists():
        raise InputError(f"There is no {path} to mount.", hint="Check --mount.")
    return f"{path}:{rest}"


def limits_of(options: Mapping[str, Any]) -> Limits:
    """The limits that these options ask for.

    Raises:
        InputError: one of them is not what its kind should be.
    """
    memory = options["memory"]
    if memory is not None and not re.fullmatch(r"[1-9]\d*[bkmg]?", memory.lower()):
        raise InputError(f"{memory!r} is not an amount of memory.", hint="Write --memory 4g.")
    if options["cpus"] is not None and options["cpus"] <= 0:
        raise InputError("--cpus must be more than 0.", hint="Write --cpus 1.5.")
    return Limits(
        network=options["network"] == "on",
        memory=options["memory"],
        cpus=options["cpus"],
        timeout=options["timeout"] or None,
        mounts=tuple(_mount(text) for text in options["mount"]),
    )
