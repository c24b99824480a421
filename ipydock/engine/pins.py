"""What a base image's tag stood for when it was first used on an engine.

A tag such as ``python:3.12-slim-bookworm`` moves whenever its maintainers rebuild it. Remembering
the digest keeps an unchanged notebook's recipe unchanged, and lets it be found with no network;
``--pull`` asks again.
"""

from __future__ import annotations

import json
from pathlib import Path

from ..files import write_atomic
from ..hosts import cache_folder


def _file() -> Path:
    return cache_folder() / "pins.json"


def _read() -> dict[str, str]:
    try:
        pins = json.loads(_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):  # not there yet, or cut short: it can be made again
        return {}
    return pins if isinstance(pins, dict) else {}


def recall(engine: str, base: str) -> str | None:
    """The pinned reference of a base on the engine with this id, None if it was never asked."""
    pin = _read().get(f"{engine} {base}")
    return pin if isinstance(pin, str) else None


def remember(engine: str, base: str, pinned: str) -> None:
    """Keep what a base stood for."""
    pins = {**_read(), f"{engine} {base}": pinned}
    _file().parent.mkdir(parents=True, exist_ok=True)
    write_atomic(_file(), json.dumps(pins, indent=1, sort_keys=True) + "\n")
