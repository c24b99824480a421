"""What a base image's tag stood for when it was first used on an engine.

A tag such as ``python:3.12-slim-bookworm`` moves whenever its maintainers rebuild it. Remembering
the digest keeps an unchanged notebook's recipe unchanged, and lets it be found with no network;
``--pull`` asks again.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

from ..files import write_atomic
from ..hosts import cache_folder
from ..process import Cancellation
from .interface import Engine


def _file() -> Path:
    return cache_folder() / "pins.json"


def _read() -> dict[str, str]:
    try:
        pins = json.loads(_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):  # not there yet, or cut short: it can be made again
        return {}
    return pins if isinstance(pins, dict) else {}


def pin(
    engine: Engine, base: str, *, pull: bool = False, cancel: Cancellation | None = None
) -> str:
    """The base with its digest: the one that is remembered, or with ``pull`` the one of now.

    Raises:
        BaseImageError: the base does not exist or cannot be reached.
    """
    key = f"{engine.identity} {base}"
    known = _read().get(key)
    if isinstance(known, str) and not pull:
        return known
    found = engine.resolve(base, cancel=cancel)
    if "@sha256:" in found and found != base:
        pins = {**_read(), key: found}
        with contextlib.suppress(OSError):  # then it is asked for again the next time
            _file().parent.mkdir(parents=True, exist_ok=True)
            write_atomic(_file(), json.dumps(pins, indent=1, sort_keys=True) + "\n")
    return found
