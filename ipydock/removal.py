"""Containers ended, containers and images removed: what was named, or all of ours."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from .errors import InputError
from .hosts import cache_folder
from .kernel import runlog
from .lifecycle import ENDED, Scope, containers, find, freed, full_name, images, key_of
from .managed import Action, ManagedContainer, ManagedImage, Removal


def stop(where: Scope, names: Iterable[str]) -> Removal:
    """End containers: each is asked to, and killed after a few seconds.

    Raises:
        InputError: one of them is not a container of ours; then none is ended.
    """
    chosen: list[ManagedContainer] = []
    for thing in (find(where, name) for name in names):
        if isinstance(thing, ManagedImage):
            raise InputError(
                f"{thing.name} is an image.", hint="`ipydock ps` lists what can be stopped."
            )
        chosen.append(thing)
    done: list[Action] = []
    kept: list[Action] = []
    for container in chosen:
        if container.running:
            where.engine(container.engine).objects.stop(container.id)
            done.append(action_of(container))
        else:
            kept.append(action_of(container, f"is not running ({container.state})"))
    return Removal(done=True, removed=tuple(done), kept=tuple(kept))


def remove(where: Scope, names: Sequence[str], *, force: bool = False) -> Removal:
    """Remove containers and images by name or id; of a rerun that has ended, its log.

    An image that has other names as well loses only the one that was given. With ``force``,
    containers that run are ended first, and an image goes with the containers that were made from
    it and, if it was given by its id, with all its names.

    Raises:
        InputError: one of them is not ours, runs, is in use or has several names; then nothing is
            removed.
    """
    chosen = [(find(where, name), name) for name in dict.fromkeys(names)]
    going = {key_of(thing) for thing, _ in chosen}
    there = images(where).images
    first: list[Action] = []  # containers, or the images that go with them would be in use
    then: list[Action] = []
    gone: list[ManagedImage] = []
    for thing, name in chosen:
        if isinstance(thing, ManagedContainer):
            if thing.running and not force:
                raise _runs(thing)
            action = action_of(thing)
            # Of a rerun that has ended there is nothing but its log.
            left = action.model_copy(update={"thing": "log"}) if thing.state == ENDED else action
            first.append(left)
            continue
        tags = [tag for tag in thing.tags if full_name(tag) == full_name(name)]
        if tags and len(thing.tags) > 1:
            others = ", ".join(tag for tag in thing.tags if tag not in tags)
            reason = f"the image stays, as it is also called {others}"
            then.append(
                Action(thing="name", what=tags[0], id=tags[0], engine=thing.engine, reason=reason)
            )
            continue
        if not tags and len(thing.tags) > 1 and not force:
            raise _several(thing)
        first += _users(where, thing, going, force=force)
        then.append(action_of(thing))
        gone.append(thing)
    actions = tuple({(a.engine, a.id): a for a in (*first, *then)}.values())
    for action in actions:
        _do(where, action)
    return Removal(done=True, removed=actions, freed_bytes=freed(there, gone))


def action_of(thing: ManagedContainer | ManagedImage, reason: str = "") -> Action:
    """An action on a container or image."""
    return Action(
        thing="container" if isinstance(thing, ManagedContainer) else "image",
        what=thing.name,
        id=thing.id or thing.name,
        engine=thing.engine,
        reason=reason,
    )


def _runs(container: ManagedContainer) -> InputError:
    return InputError(
        f"{container.name} is running ({container.notebook or container.image}), so nothing was "
        "removed.",
        hint=f"Stop it first: ipydock stop {container.name}; or give --force.",
    )


def _several(image: ManagedImage) -> InputError:
    return InputError(
        f"The image {image.short} has {len(image.tags)} names: {', '.join(image.tags)}. "
        "Nothing was removed.",
        hint="Give the name to remove, or --force to remove the image with all its names.",
    )


def _users(
    where: Scope, image: ManagedImage, going: set[tuple[str, str]], *, force: bool
) -> list[Action]:
    """The containers that have to be removed before an image.

    Raises:
        InputError: that was not asked for, or one of them does not carry our labels.
    """
    if not image.used_by:
        return []
    if image.engine == "venv":
        raise InputError(
            f"{image.name} is in use by {', '.join(image.used_by)}, so nothing was removed.",
            hint="Wait until it has ended.",
        )
    found = where.engine(image.engine).objects.containers()
    ours = {container.name: container for container in found}
    stay = [n for n in image.used_by if n not in ours or key_of(ours[n]) not in going]
    if stay and not force:
        raise InputError(
            f"The image {image.name} is in use by {', '.join(stay)}, so nothing was removed.",
            hint=f"Remove that first: ipydock rm {' '.join(stay)}; or give --force.",
        )
    if other := [name for name in stay if name not in ours]:
        raise InputError(
            f"The image {image.name} is in use by {', '.join(other)}, which is not ipydock's, so "
            "nothing was removed."
        )
    return [action_of(ours[name]) for name in image.used_by]


def remove_all(where: Scope, *, force: bool = False) -> Removal:
    """Remove all images and containers of ours, and the logs of their reruns.

    What was made or started by hand stays, with the images that it needs; so do reruns that are
    running, unless ``force`` ends them.
    """
    return carry_out(where, _everything(where, force=force))


def _everything(where: Scope, *, force: bool) -> Removal:
    removed: list[Action] = []
    kept: list[Action] = []
    for container in containers(where).containers:
        if container.kind == "by-hand":
            kept.append(action_of(container, "was started by hand; name it to remove it"))
        elif container.running and not force:
            kept.append(action_of(container, "is running; stop it, or give --force"))
        else:
            removed.append(action_of(container))
    ours = {(action.engine, action.what) for action in removed}
    there = images(where).images
    going: list[ManagedImage] = []
    for image in there:
        users = [name for name in image.used_by if (image.engine, name) not in ours]
        if image.by_hand:
            kept.append(action_of(image, "was made by hand; name it to remove it"))
        elif users:
            kept.append(action_of(image, f"is in use by {', '.join(users)}"))
        else:
            removed.append(action_of(image))
            going.append(image)
    busy = {action.what for action in kept}
    removed += logs_of(where, lambda log: log.name not in busy)
    return Removal(
        done=False, removed=tuple(removed), kept=tuple(kept), freed_bytes=freed(there, going)
    )


def logs_of(
    where: Scope, chosen: Callable[[runlog.Kept], bool], reason: str = ""
) -> tuple[Action, ...]:
    """Actions on the logs of reruns that were chosen, of these engines."""
    names = {engine.name for engine in where.engines}
    return tuple(
        Action(thing="log", what=log.name, id=log.name, engine=log.about.engine, reason=reason)
        for log in runlog.everything()
        if log.about.engine in names and chosen(log)
    )


def carry_out(where: Scope, plan: Removal) -> Removal:
    """Remove what a plan lists; what cannot be any more, as it is in use by now, is kept."""
    removed: list[Action] = []
    kept = list(plan.kept)
    for action in plan.removed:
        try:
            _do(where, action)
        except InputError as error:
            kept.append(action.model_copy(update={"reason": error.message}))
        else:
            removed.append(action)
    return plan.model_copy(update={"done": True, "removed": tuple(removed), "kept": tuple(kept)})


def _do(where: Scope, action: Action) -> None:
    if action.thing == "log":
        (cache_folder() / "logs" / f"{action.id}.log").unlink(missing_ok=True)
        return
    objects = where.engine(action.engine).objects
    act = objects.remove_container if action.thing == "container" else objects.remove_image
    act(action.id)
