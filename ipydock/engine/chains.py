"""Which layers of packages earlier builds made on an engine, so that the next one can keep them.

Nothing depends on it: where a build's cache is gone, the layers are made again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from ..files import write_atomic
from ..hosts import cache_folder
from .interface import Engine

MOST = 8  # chains that are kept for one base with its system packages

# Of each layer its lock and the names of the modules that were compiled with it.
Chain = tuple[tuple[str, tuple[str, ...]], ...]


def _file(engine: Engine, before: str) -> Path:
    key = hashlib.sha256(f"{engine.identity}\n{before}".encode()).hexdigest()
    return cache_folder() / "layers" / f"{key[:32]}.json"


def recall(engine: Engine, before: str) -> list[Chain]:
    """The chains that were built on what a Dockerfile says ``before`` the packages."""
    try:
        found = json.loads(_file(engine, before).read_text(encoding="utf-8"))
        return [
            tuple((str(lock), tuple(map(str, modules))) for lock, modules in chain)
            for chain in found
        ]
    except (OSError, ValueError, TypeError):  # not there yet, or cut short
        return []


def remember(engine: Engine, before: str, chain: Chain, known: Sequence[Chain]) -> None:
    """Put a chain first among those that are known."""
    chains = [chain, *(other for other in known if other != chain)][:MOST]
    if chains == list(known):
        return
    with contextlib.suppress(OSError):  # then the next build installs all packages at once
        path = _file(engine, before)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, json.dumps(chains))
