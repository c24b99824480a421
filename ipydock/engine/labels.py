"""The labels by which ipydock knows its own images and containers; nothing else is ever touched."""

from __future__ import annotations

import os
import uuid

from ..models import Recipe

MANAGED = "io.ipydock.managed"
RECIPE = "io.ipydock.recipe"
NOTEBOOK = "io.ipydock.notebook"
SESSION = "io.ipydock.session"

_OWN_SESSION = uuid.uuid4().hex


def for_image(recipe: Recipe) -> dict[str, str]:
    """The labels of an image made from a recipe."""
    return {MANAGED: "image", RECIPE: recipe.digest, NOTEBOOK: recipe.notebook}


def for_container(recipe: str) -> dict[str, str]:
    """The labels of a container in which the notebook of that recipe is rerun."""
    return {MANAGED: "kernel", RECIPE: recipe, SESSION: session()}


def for_probe() -> dict[str, str]:
    """The labels of a container in which a base image is looked at."""
    return {MANAGED: "probe", SESSION: session()}


def session() -> str:
    """What tells the containers of one run of ipydock from those of another on the same engine."""
    return os.environ.get("IPYDOCK_SESSION") or _OWN_SESSION


def options(labels: dict[str, str]) -> tuple[str, ...]:
    """The labels as command-line options of an engine's client."""
    return tuple(word for key, value in labels.items() for word in ("--label", f"{key}={value}"))
