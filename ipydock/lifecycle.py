"""What ipydock made and started: told of, ended and removed, on one engine or all of this machine.

Only what carries our labels is ever touched. What somebody made by hand on top of it (a container
that was started with ``docker run``, an image built ``FROM`` ours) inherits the labels: it is told
of, and touched only when it is named.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from .engine.interface import Engine
from .engine.select import NAMES, connect
from .errors import EngineError, InputError
from .hosts import cache_folder
from .kernel import runlog
from .managed import Listing, Log, ManagedContainer, ManagedImage

ENDED = "ended"  # the state of a rerun whose container is gone and whose log is there
_ID = re.compile(r"(sha256:)?[0-9a-f]{3,64}")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?", re.IGNORECASE)
_AGE = re.compile(r"(\d+)\s*([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


@dataclass(frozen=True, slots=True)
class Scope:
    """The engines that a command looks at; ``silent``: why one that is missed is not there."""

    engines: tuple[Engine, ...]
    silent: tuple[str, ...] = ()

    def engine(self, name: str) -> Engine:
        """One of them, by its name."""
        return next(engine for engine in self.engines if engine.name == name)


def scope(name: str = "auto") -> Scope:
    """The engine of that name, or with ``auto`` all that answer.

    Raises:
        InputError: there is no such kind of engine.
        EngineError: the engine that was named does not answer.
    """
    if name != "auto":
        return Scope((connect(name),))
    engines: list[Engine] = []
    silent: dict[str, str] = {}
    for candidate in NAMES:
        try:
            engines.append(connect(candidate))
        except EngineError as error:
            silent[candidate] = error.message
    if not all(engine.name == "venv" for engine in engines):
        # One engine is enough; only one that somebody named is missed beside another.
        named = os.environ.get("DOCKER_HOST") or os.environ.get("DOCKER_CONTEXT")
        silent = {name: why for name, why in silent.items() if name == "docker" and named}
    return Scope(tuple(engines), tuple(silent.values()))


# --- what there is -------------------------------------------------------------------------------


def images(where: Scope) -> Listing:
    """All images with our labels and all environments, the newest first."""
    found = [image for engine in where.engines for image in _images(engine)]
    return Listing(
        images=tuple(sorted(found, key=lambda image: image.created, reverse=True)),
        silent=where.silent,
    )


def _images(engine: Engine) -> list[ManagedImage]:
    """The images of one engine, with what each has for itself and the log of its build."""
    found = engine.objects.images()
    return [
        image.model_copy(
            update={
                "unique_bytes": image.unique_bytes
                if image.unique_bytes is not None
                else freed(found, [image]),
                "log": _build_log(image.recipe),
            }
        )
        for image in found
    ]


def freed(everything: Sequence[ManagedImage], chosen: Sequence[ManagedImage]) -> int | None:
    """How much less the images would take without those that were chosen.

    Layers that are shared among these count once, and those that others have not at all. None where
    the engine does not tell the sizes of layers.
    """
    by_layers = [image for image in chosen if image.engine != "venv"]
    total = sum(image.unique_bytes or 0 for image in chosen if image.engine == "venv")
    names = {(image.engine, image.id) for image in chosen}
    for engine in {image.engine for image in by_layers}:
        here = [image for image in everything if image.engine == engine]
        known = {image.id: sum(layer.size_bytes for layer in image.layers) for image in here}
        if any(not image.layers for image in here) or any(
            image.size_bytes and not known[image.id] for image in by_layers if image in here
        ):
            return None
        stay = {y.chain for image in here if (engine, image.id) not in names for y in image.layers}
        total += sum(
            {
                layer.chain: layer.size_bytes
                for image in by_layers
                if image.engine == engine
                for layer in image.layers
                if layer.chain not in stay and not layer.foreign
            }.values()
        )
    return total


def containers(where: Scope, *, ended: bool = False) -> Listing:
    """All containers with our labels, the newest first; ``ended`` adds reruns that left a log."""
    found = [c for engine in where.engines for c in engine.objects.containers()]
    kept = {log.name: log for log in runlog.everything()}
    there = []
    for container in found:
        log = kept.pop(container.name, None)
        update = {} if log is None else {"log": str(log.path), "image": log.about.image}
        there.append(container.model_copy(update=update))
    if ended:
        names = {engine.name for engine in where.engines}
        there += [_ended(log) for log in kept.values() if log.about.engine in names]
    return Listing(
        containers=tuple(sorted(there, key=lambda c: c.created, reverse=True)), silent=where.silent
    )


def _ended(log: runlog.Kept) -> ManagedContainer:
    return ManagedContainer(
        id="",
        name=log.name,
        engine=log.about.engine,
        kind="rerun",
        state=ENDED,
        notebook=log.about.notebook,
        image=log.about.image,
        recipe=log.about.recipe,
        session=log.about.session,
        created=log.started,
        log=str(log.path),
    )


# --- one of them, by name ------------------------------------------------------------------------


def find(where: Scope, name: str) -> ManagedContainer | ManagedImage:
    """The container or image of that name, or of an id that begins so; also a rerun that ended.

    Raises:
        InputError: there is none, several ids begin so, or it is not ipydock's.
    """
    things: list[ManagedContainer | ManagedImage] = [
        *containers(where, ended=True).containers,
        *images(where).images,
    ]
    found = [thing for thing in things if _is_called(thing, name)]
    if not found and _ID.fullmatch(name):
        short = name.removeprefix("sha256:")
        found = [t for t in things if t.id.removeprefix("sha256:").startswith(short)]
    if len(found) == 1:
        return found[0]
    if found:
        told = ", ".join(f"{_kind(t)} {t.short} ({t.engine})" for t in found)
        raise InputError(f"{name} may be any of: {told}.", hint="Give more of the id, or --engine.")
    for engine in where.engines:
        if kind := engine.objects.other(name):
            raise InputError(
                f"The {kind} {name} is not ipydock's (it has no label {_label()}), so it is left "
                "alone.",
                hint=f"`{engine.name} {kind}` is the command for it.",
            )
    raise InputError(
        f"There is no image or container {name} of ipydock's.",
        hint="`ipydock images` and `ipydock ps --all` list what there is.",
    )


def _label() -> str:
    from .engine.labels import MANAGED

    return MANAGED


def _is_called(thing: ManagedContainer | ManagedImage, name: str) -> bool:
    if isinstance(thing, ManagedContainer):
        return name in (thing.name, thing.id)
    return name == thing.id or full_name(name) in {full_name(tag) for tag in thing.tags}


def full_name(name: str) -> str:
    """A name as registries have it: with its registry and tag."""
    for prefix in ("docker.io/", "localhost/"):
        name = name.removeprefix(prefix)
    name = name.removeprefix("library/")
    return name if ":" in name.rpartition("/")[2] or "@" in name else f"{name}:latest"


def key_of(thing: ManagedContainer | ManagedImage) -> tuple[str, str]:
    """What tells it from all others: its engine and its id."""
    return thing.engine, thing.id


def _kind(thing: ManagedContainer | ManagedImage) -> str:
    return "container" if isinstance(thing, ManagedContainer) else "image"


def logs(where: Scope, name: str, *, tail: int | None = None) -> Log:
    """The log of a rerun (also after it has ended), a build or a container started by hand.

    Args:
        where: the engines to look at.
        name: a container's or an image's name or id.
        tail: how many of the last lines to give; all if it is None.

    Raises:
        InputError: there is no such thing, or no log of it on this machine.
    """
    kept = runlog.find(name)
    if kept is None:
        thing = find(where, name)
        if isinstance(thing, ManagedImage):
            return _log_of_build(thing, tail)
        if thing.kind == "by-hand":
            text = where.engine(thing.engine).objects.log(thing.id, tail)
            return Log(name=thing.name, source=f"{thing.engine}'s log of {thing.name}", text=text)
        kept = runlog.find(thing.name)
    if kept is None:
        raise InputError(
            f"There is no log of {name} on this machine.",
            hint="It is kept where the rerun was started; IPYDOCK_CACHE_DIR says where.",
        )
    source = f"Rerun of {kept.about.notebook} in {kept.about.image} with {kept.about.engine}"
    return Log(
        name=kept.name,
        source=f"{source}, {kept.started:%Y-%m-%d %H:%M} UTC",
        text=_last(kept.text, tail),
        path=str(kept.path),
    )


def _log_of_build(image: ManagedImage, tail: int | None) -> Log:
    try:
        text = Path(image.log or "").read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise InputError(
            f"There is no log of the build of {image.name} on this machine.",
            hint="It was built on another one, or the cache was emptied. "
            f"`docker history {image.short}` lists its steps.",
        ) from error
    return Log(
        name=image.name,
        source=f"Build of {image.name}",
        text=_last(text, tail),
        path=image.log,
    )


def _build_log(recipe: str) -> str | None:
    """The newest log of a build of that recipe."""
    if not re.fullmatch(r"[0-9a-f]{12,64}", recipe):
        return None
    found = (cache_folder() / "logs").glob(f"{recipe[:12]}-*.log")
    newest = max(found, key=lambda path: path.stat().st_mtime, default=None)
    return None if newest is None else str(newest)


def _last(text: str, tail: int | None) -> str:
    return text if tail is None else "\n".join(text.splitlines()[-tail:] if tail else [])


# --- ages and sizes ------------------------------------------------------------------------------


def size_of(text: str) -> int:
    """Bytes, from such as ``500MB``, ``5GB`` or ``2GiB``.

    Raises:
        InputError: it is not a size.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise InputError(f"{text!r} is not a size.", hint="Write such as 500MB or 5GB.")
    scale = (1024 if match[3] else 1000) ** " kmgt".index(match[2].lower() or " ")
    return int(float(match[1]) * scale)


def age_of(text: str) -> timedelta:
    """A time span, from such as ``12h``, ``7d`` or ``2w``.

    Raises:
        InputError: it is not one.
    """
    match = _AGE.fullmatch(text.strip())
    if match is None or int(match[1]) > 10**6:
        raise InputError(f"{text!r} is not an age.", hint="Write such as 12h, 7d or 2w.")
    return timedelta(seconds=int(match[1]) * _SECONDS[match[2]])
