"""The form of the shipped tables: sorted lines of a name, a tab and what belongs to it, in gzip."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "ipydock" / "capture" / "tables"


def write(name: str, rows: Mapping[str, str], source: str, date: str, licence: str) -> None:
    """Write one table with its source; the same rows give the same bytes."""
    head = f"# {name}: {len(rows)} rows\n# Source: {source}, {date}\n# Licence: {licence}\n"
    body = "".join(f"{key}\t{rows[key]}".rstrip("\t") + "\n" for key in sorted(rows))
    data = gzip.compress((head + body).encode(), 9, mtime=0)
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{name}.txt.gz").write_bytes(data)
    print(f"{name}: {len(rows)} rows, {len(body)} bytes, {len(data)} compressed")
