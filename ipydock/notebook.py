"""Notebooks as ipydock takes them: loaded tolerantly, repaired in memory, never written to.

What is slightly invalid but common (no cell ids, sources as lists, extra properties) is mended in
the copy that is returned. What cannot be worked with is a `NotebookError` that says what was found.
"""

from __future__ import annotations

import base64
import difflib
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

from .errors import NotebookError
from .models import InstructionCell
from .notebook_v4 import MINOR, printable, to_v4

# Outputs that ipydock itself put into a notebook carry this key in their metadata.
OWN_OUTPUT = "ipydock"
_OWN_EXTENSION = re.compile(r"\s*%(re)?load_ext\s+ipydock\s*(#.*)?")
_INSTRUCTIONS = re.compile(r"(\s*)%%dockerfile\b[^\n]*(\n|$)")
_OWN_MAGIC = re.compile(r"\s*%{1,2}(dockerize|dockerfile|incontainer|ipydock)\b.*")


@dataclass(frozen=True, slots=True, eq=False)
class Notebook:
    """A notebook in memory: nbformat 4, every cell with source, metadata and (code) outputs.

    ``path`` is None for a notebook that was given as a node; ``folder`` is the folder in which it
    runs; ``name`` is its file name; ``warnings`` says what was odd about it and what was mended.
    """

    node: Any
    path: Path | None
    folder: Path
    name: str
    warnings: tuple[str, ...] = ()


class CodeCell(NamedTuple):
    """A code cell: ``index`` from 0 over all cells, ``number`` from 1 over the code cells."""

    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody asks of a cell
    number: int
    source: str


def load(
    nb: str | os.PathLike[str] | Mapping[str, Any] | Notebook,
    *,
    folder: str | os.PathLike[str] | None = None,
    name: str | None = None,
) -> Notebook:
    """Load a notebook from a path or from an nbformat node.

    Args:
        nb: the path, or the node (which is copied), or a `Notebook`, which is returned as it is.
        folder: where a node's notebook runs; the current folder if it is not given.
        name: the file name of a node's notebook.

    Raises:
        NotebookError: there is no such file, or it is not a Python notebook of nbformat 3 or 4.
    """
    if isinstance(nb, Notebook):
        return nb
    if isinstance(nb, Mapping):
        shown = name or "notebook.ipynb"
        node, notes = to_v4(nb, shown)
        return Notebook(node, None, Path(folder or Path.cwd()).absolute(), shown, notes)
    path = Path(nb)
    shown = printable(str(path))
    node, notes = to_v4(_json(_read(path, shown), shown), shown)
    return Notebook(node, path.absolute(), path.absolute().parent, path.name, notes)


def parse(raw: bytes, shown: str) -> Any:
    """The nbformat 4 node that a notebook file's bytes hold; ``shown`` names it in messages.

    Raises:
        NotebookError: they hold no Python notebook of nbformat 3 or 4.
    """
    return to_v4(_json(raw, shown), shown)[0]


def code_cells(node: Any) -> Iterator[CodeCell]:
    """The code cells, in order."""
    number = 0
    for index, cell in enumerate(node["cells"]):
        if cell["cell_type"] == "code":
            number += 1
            yield CodeCell(index, number, cell["source"])


def instruction_cells(node: Any) -> tuple[InstructionCell, ...]:
    """The cells that hold Dockerfile instructions (``%%dockerfile``), in order."""
    return tuple(
        InstructionCell(
            text=cell.source[match.end() :],
            origin=f"cell {cell.number}",
            line=match.group().count("\n") + (not match.group().endswith("\n")) + 1,
            cell=cell.index,
            number=cell.number,
        )
        for cell in code_cells(node)
        if (match := _INSTRUCTIONS.match(cell.source)) is not None
    )


def may_raise(cell: Any) -> bool:
    """Whether a cell is tagged ``raises-exception``, as nbclient and Jupyter Book have it."""
    return "raises-exception" in cell["metadata"].get("tags", [])


def without_own_magics(source: str) -> str:
    """A cell's source with ipydock's own magics commented out, line for line.

    They speak to the notebook's author and mean nothing in the image, which has no ipydock. Code
    below ``%%dockerize`` stays; a ``%%dockerfile`` cell holds no code, so all of it goes.
    """
    lines = source.splitlines(keepends=True)
    whole = source.lstrip().startswith("%%dockerfile")
    return "".join(
        f"# {line.lstrip()}"
        if whole or _OWN_EXTENSION.fullmatch(line.rstrip()) or _OWN_MAGIC.fullmatch(line.rstrip())
        else line
        for line in lines
    )


def stripped(node: Any) -> str:
    """The notebook as it goes into an image: JSON without anything that a run leaves behind.

    No outputs, execution counts, timings, widget state or identifiers of the machine's kernel, and
    nothing of ipydock's own; cells are named by position. The same cells always give the same text,
    whoever saved them last.
    """
    cells = []
    for index, cell in enumerate(node["cells"]):
        kept: dict[str, Any] = {
            "cell_type": cell["cell_type"],
            "id": f"cell-{index}",
            "metadata": {k: cell["metadata"][k] for k in ("tags",) if k in cell["metadata"]},
            "source": cell["source"].splitlines(keepends=True),
        }
        if cell["cell_type"] == "code":
            kept["source"] = without_own_magics(cell["source"]).splitlines(keepends=True)
            kept |= {"execution_count": None, "outputs": []}
        elif shown := _shown(cell):
            kept["attachments"] = shown
        cells.append(kept)
    document = {
        "cells": cells,
        "metadata": {
            # The image has ipykernel's own kernel and no other, whatever it was called here.
            "kernelspec": {
                "display_name": "Python 3 (ipykernel)",
                "language": "python",
                "name": "python3",
            },
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": MINOR,
    }
    return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def attached(node: Any) -> Iterator[tuple[str, bytes]]:
    """The attachments that `stripped` keeps: their names and contents."""
    for cell in node["cells"]:
        for name, bundle in (_shown(cell) if cell["cell_type"] != "code" else {}).items():
            for data in bundle.values() if isinstance(bundle, dict) else ():
                text = "".join(data) if isinstance(data, list) else str(data)
                try:
                    yield name, base64.b64decode(text, validate=False)
                except ValueError:  # text of some other kind, as it is
                    yield name, text.encode()


def _shown(cell: Any) -> dict[str, Any]:
    """The attachments of a cell that its text shows; others are left over, and nobody sees them."""
    text = unquote(cell["source"])
    attached = cell.get("attachments", {})
    return {name: data for name, data in attached.items() if f"attachment:{name}" in text}


def digest(node: Any) -> str:
    """SHA-256 (hex) of the notebook without outputs, see `stripped`."""
    return hashlib.sha256(stripped(node).encode()).hexdigest()


# --- reading ---------------------------------------------------------------------------------


def _read(path: Path, shown: str) -> bytes:
    try:
        if path.is_dir():
            inside = sorted(printable(p.name) for p in path.glob("*.ipynb"))
            hint = f"It holds {', '.join(inside[:5])}." if inside else ""
            raise NotebookError(f"{shown} is a folder, not a notebook.", hint=hint)
        return path.read_bytes()
    except FileNotFoundError:
        raise NotebookError(f"There is no notebook {shown}.", hint=_near(path)) from None
    except NotADirectoryError:
        raise NotebookError(f"There is no notebook {shown}.") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or str(error)
        raise NotebookError(f"The notebook {shown} cannot be read: {reason}.") from error


def _near(path: Path) -> str:
    folder = path.parent
    if not folder.is_dir():
        return f"The folder {printable(str(folder))} does not exist."
    try:
        present = sorted(p.name for p in folder.glob("*.ipynb"))
    except OSError:
        return ""
    close = difflib.get_close_matches(path.name, present, n=3, cutoff=0.5)
    if close:
        return f"Did you mean {' or '.join(printable(n) for n in close)}?"
    if present:
        return f"Notebooks there: {', '.join(printable(n) for n in present[:5])}."
    return "There are no notebooks in that folder."


def _json(raw: bytes, shown: str) -> Any:
    try:
        text = raw.decode(json.detect_encoding(raw))
    except UnicodeDecodeError as error:
        raise NotebookError(
            f"{shown} is not a notebook: byte {error.start} is not text in {error.encoding}."
        ) from None
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise NotebookError(_not_json(text, error, shown)) from None
    except RecursionError:
        raise NotebookError(f"{shown} is not a notebook: its JSON is nested too deep.") from None
    except ValueError as error:  # such as an integer with more digits than Python converts
        raise NotebookError(f"{shown} is not a notebook: {error}.") from None


def _not_json(text: str, error: json.JSONDecodeError, shown: str) -> str:
    start = text.lstrip()
    if not start:
        return f"{shown} is empty."
    if start.startswith("version https://git-lfs"):
        return f"{shown} is a Git LFS pointer, not the notebook: run `git lfs pull` first."
    if start[:15].lower().startswith(("<!doctype", "<html")):
        return f"{shown} is a web page, not a notebook: download the raw file instead."
    conflict = re.search(r"^(<{7} |={7}$|>{7} )", text, re.MULTILINE)
    if conflict:
        line = text.count("\n", 0, conflict.start()) + 1
        return f"{shown} holds an unresolved merge conflict (line {line})."
    where = f"line {error.lineno}, column {error.colno}"
    at_end = error.pos >= len(text.rstrip()) - 5 or error.msg.startswith("Unterminated string")
    if start[0] in "{[" and at_end:
        return f"{shown} is truncated: its JSON breaks off ({error.msg.lower()} at {where})."
    return f"{shown} is not a notebook: it is not JSON ({error.msg} at {where})."
