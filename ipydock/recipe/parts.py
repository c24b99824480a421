"""The locked packages in several layers: one package more does not install all of them anew.

The recipe has one layer for all packages, and that is how it is built the first time. When pins are
added later, the layers that an earlier build made are kept and the new pins get one of their own,
which a build finds in its cache or makes in well under a second. Pins that changed or went away
fold what follows into one layer again, and so does a chain that has grown to `MOST` layers. As
layers only ever add packages, the files of the image are the same either way.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..models import Recipe
from .base import GROUND
from .layers import UV_VERSION, lock_name, modules_name, packages_run
from .lock import entries

# An image may have 127 layers, and each costs some 10 ms when a container starts.
MOST = 8


@dataclass(frozen=True, slots=True)
class Part:
    """What one layer installs: a lock, and the modules that are compiled with it."""

    lock: str
    modules: tuple[str, ...]


def whole(recipe: Recipe) -> tuple[Part, ...]:
    """All packages in one layer."""
    return (Part(recipe.lock, recipe.modules),)


def divided(recipe: Recipe, chains: Iterable[Sequence[Part]]) -> tuple[Part, ...]:
    """The parts that keep most of what earlier builds made.

    Args:
        recipe: what is to be built.
        chains: the parts of earlier builds on the same base.
    """
    pins = entries(recipe.lock)
    fitting = (_fitting(pins, chain) for chain in chains)
    kept = max(fitting, key=lambda chain: sum(len(entries(p.lock)) for p in chain), default=())
    known = {pin for part in kept for pin in entries(part.lock)}
    rest = [text for pin, text in pins.items() if pin not in known]
    if not kept or (rest and len(kept) == MOST):
        return whole(recipe)
    if not rest:
        return kept
    compiled = {name for part in kept for name in part.modules}
    fresh = tuple(name for name in recipe.modules if name not in compiled)
    return (*kept, Part("# Added to what requirements.lock pins.\n" + "".join(rest), fresh))


def before(recipe: Recipe) -> str:
    """What the Dockerfile says before the packages: on the same, the same layers can be kept."""
    text = recipe.dockerfile.partition(_run(recipe, 0))[0]
    stages = text.split("\nFROM ")[1:]
    # Other stages are not what the layers stand on, but for one that the last one starts from.
    own = [s for s in stages if s.partition("\n")[0].endswith(f" AS {GROUND}")]
    text = "\n".join(dict.fromkeys([*own, stages[-1]]))
    lines = (line for line in text.splitlines() if line and not line.startswith("#"))
    return "\n".join((recipe.platform or "", UV_VERSION, *lines))


def texts(recipe: Recipe, parts: Sequence[Part]) -> list[tuple[str, str]]:
    """The files of the build context that hold text, as names and contents."""
    runs = "\n\n".join(_run(recipe, number) for number in range(len(parts)))
    files = [("Dockerfile", recipe.dockerfile.replace(_run(recipe, 0), runs, 1))]
    for number, part in enumerate(parts):
        files.append((lock_name(number), part.lock))
        files.append((modules_name(number), "".join(f"{name}\n" for name in part.modules)))
    files.extend((f"scripts/{name}", text) for name, text in recipe.scripts)
    return [*files, *recipe.texts]


def _run(recipe: Recipe, number: int) -> str:
    return str(packages_run(number, vendored=bool(recipe.vendored)))


def _fitting(pins: dict[str, str], chain: Sequence[Part]) -> tuple[Part, ...]:
    """The first parts of a chain, as far as all of their pins are wanted."""
    kept: list[Part] = []
    for part in chain:
        if not pins.keys() >= entries(part.lock).keys():
            break
        kept.append(part)
    return tuple(kept)
