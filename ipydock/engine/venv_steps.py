"""The commands that make an environment of the venv engine from a build context."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..layout import PACKAGES, SDISTS, WHEELS
from ..models import LocalPackage, Recipe
from ..wheelmaking import settings

# Where the wheels of packages that came from no index are built, beside the context.
_BUILT = "built"


@dataclass(frozen=True, slots=True)
class Step:
    """A command that runs in the environment's folder, and variables that it has besides ours."""

    argv: tuple[str, ...]
    env: dict[str, str] = field(default_factory=dict)


def steps(recipe: Recipe, *, uv: str, base: str, python: str, no_cache: bool) -> list[Step]:
    """What makes the environment, in order.

    Args:
        recipe: what is wanted; its context lies in ``context``.
        uv: the program.
        base: the interpreter, or the series of one, that the environment is made with.
        python: the interpreter of the environment.
        no_cache: install all anew.
    """
    fresh = ("--no-cache",) if no_cache else ()
    install = (uv, "pip", "install", "--no-progress", "--python", python)
    sdists = ("-r", f"context/{SDISTS}") if recipe.sdists else ()
    there = ("--no-index", "--find-links", f"context/{WHEELS}") if recipe.vendored else ()
    made = [
        Step((uv, "venv", "--no-progress", "--python", base, "env")),
        Step(
            (
                *install, "--require-hashes", "--compile-bytecode", *fresh, *there,
                "-r", "context/requirements.lock", *sdists,
            ),
        ),
    ]  # fmt: skip
    build = (uv, "build", "--wheel", "--no-sources", "--python", python, "--out-dir", _BUILT)
    for package in recipe.local_packages:
        if package.url is not None:
            named = f"{package.distribution} @ {package.url}"
            quiet = {**dict(settings(package)), "GIT_TERMINAL_PROMPT": "0"}
            made.append(Step((*install, "--no-deps", *fresh, named), quiet))
        elif not package.archive.endswith(".whl"):
            pins = f"context/{PACKAGES}/{package.distribution}.lock"
            pinned = any(f"context/{path}" == pins for path, _ in recipe.texts)
            held = ("--build-constraints", pins) if pinned else ()
            argv = (*build, *held, *fresh, *there, f"{_source(package)}/{package.archive}")
            made.append(Step(argv, dict(settings(package))))
    here = [package for package in recipe.local_packages if package.url is None]
    if here:
        # Their dependencies are installed; from here alone, whatever an index has of these names.
        wheels = [one for one in here if one.archive.endswith(".whl")]
        places = [*map(_source, wheels), *([_BUILT] if len(wheels) < len(here) else [])]
        links = [word for place in places for word in ("--find-links", place)]
        alone = (*install, "--no-deps", "--no-index", "--prerelease", "allow")
        made.append(Step((*alone, *links, *(package.distribution for package in here))))
    return made


def _source(package: LocalPackage) -> str:
    return f"context/{PACKAGES}/{package.distribution}"
