"""What is of no use any more, by rules of age and size; told before it is removed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from .hosts import cache_folder
from .lifecycle import Scope, containers, freed, images, key_of
from .managed import Action, ManagedImage, Removal
from .removal import action_of, logs_of

LOGS_KEPT = timedelta(days=30)  # of reruns, and of builds whose image is gone


@dataclass(frozen=True, slots=True)
class Rules:
    """Which images are removed besides those without a name.

    ``older_than`` and ``larger_than`` (bytes) choose images that are both, where both are given.
    ``keep_size`` (bytes) then removes the oldest until those that stay take no more than that.
    """

    older_than: timedelta | None = None
    larger_than: int | None = None
    keep_size: int | None = None


def plan_prune(where: Scope, rules: Rules, *, now: datetime | None = None) -> Removal:
    """What a `prune` by these rules removes; `ipydock.removal.carry_out` does it.

    Always: containers of reruns that have ended and yet are there, images without a name,
    environments that were cut short, and logs older than a month of reruns that are gone and of
    builds whose image is. Images with a name: only where a rule chooses them. Never: what is in
    use, runs or was made by hand.
    """
    now = now or datetime.now(timezone.utc)
    here = containers(where).containers
    ended = [c for c in here if c.kind == "rerun" and c.state in ("exited", "dead")]
    leaving = {(c.engine, c.name) for c in ended}
    there = images(where).images
    busy = {
        key_of(image)
        for image in there
        if any((image.engine, name) not in leaving for name in image.used_by)
    }
    reasons = {key_of(image): _reason(image, rules, now) for image in there}
    stays = {key_of(image) for image in there if image.by_hand} | busy
    going = {key for key, reason in reasons.items() if reason and key not in stays}
    if rules.keep_size is not None:
        for key in _oldest_over(rules.keep_size, there, going, stays):
            reasons[key] = "is the oldest of more than is to be kept"
            going.add(key)
    chosen = [image for image in there if key_of(image) in going]
    recipes = {image.recipe[:12] for image in there if key_of(image) not in going}
    alive = {container.name for container in here if container not in ended}
    return Removal(
        done=False,
        removed=(
            *(action_of(container, "has ended") for container in ended),
            *(action_of(image, reasons[key_of(image)]) for image in chosen),
            *logs_of(
                where, lambda log: log.name not in alive and now - log.started > LOGS_KEPT, "is old"
            ),
            *_build_logs(recipes, now),
        ),
        kept=tuple(
            action_of(image, _why_kept(image))
            for image in there
            if reasons[key_of(image)] and key_of(image) in stays
        ),
        freed_bytes=freed(there, chosen),
    )


def _reason(image: ManagedImage, rules: Rules, now: datetime) -> str:
    """Why an image is to go; empty if it is not."""
    if not image.tags:
        return "was cut short" if image.engine == "venv" else "has no name"
    tests = []
    if rules.older_than is not None:
        tests.append(("old", now - image.created > rules.older_than))
    if rules.larger_than is not None:
        tests.append(("large", image.size_bytes > rules.larger_than))
    if not tests or not all(met for _, met in tests):
        return ""
    return f"is {' and '.join(word for word, _ in tests)}"


def _why_kept(image: ManagedImage) -> str:
    if image.by_hand:
        return "was made by hand; name it to remove it"
    return f"is in use by {', '.join(image.used_by)}"


def _oldest_over(
    keep: int,
    there: Sequence[ManagedImage],
    going: Collection[tuple[str, str]],
    stays: Collection[tuple[str, str]],
) -> list[tuple[str, str]]:
    """The oldest images that have to go until the others take no more than ``keep`` bytes."""
    left = [image for image in there if key_of(image) not in going]
    more: list[tuple[str, str]] = []
    for image in sorted(left, key=lambda image: image.created):
        if taken(left) <= keep:
            break
        if key_of(image) not in stays:
            more.append(key_of(image))
            left.remove(image)
    return more


def taken(some: Sequence[ManagedImage]) -> int:
    """What images take together, in bytes: shared layers once, the bases included."""
    layers = {
        (image.engine, layer.chain): layer.size_bytes for image in some for layer in image.layers
    }
    rest = sum(image.size_bytes for image in some if not image.layers)
    return sum(layers.values()) + rest


def _build_logs(recipes: Collection[str], now: datetime) -> list[Action]:
    """The logs of builds that are old and whose image is not among these recipes'."""
    found = []
    for path in sorted((cache_folder() / "logs").glob("*-*.log")):
        made = datetime.fromtimestamp(path.stat().st_mtime, timezone.utc)
        if (
            not path.name.startswith("ipydock-")
            and path.name[:12] not in recipes
            and now - made > LOGS_KEPT
        ):
            found.append(Action(thing="log", what=path.stem, id=path.stem, reason="is old"))
    return found
