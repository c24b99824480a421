"""What one cell alone used, from inside the kernel that ran it."""

from __future__ import annotations

import re
from typing import Any

from ..notebook import Notebook, code_cells
from . import live, watch
from .draft import Draft

WORD = re.compile(r"[^\W\d]\w*")


def used_by_cell(notebook: Notebook) -> dict[str, Any]:
    """A session's answer, cut down to the cell that runs or was run last.

    Args:
        notebook: of that cell alone.

    Variables that hold modules count where the cell has their names, distributions where they were
    imported while it ran. Where the session is not watched, only what the cell says counts.
    """
    answer = live.session(Draft(notebook).request())
    words = {word for cell in code_cells(notebook.node) for word in WORD.findall(cell.source)}
    answer["namespace"] = {k: v for k, v in answer["namespace"].items() if k in words}
    answer["local"] = {k: v for k, v in answer["local"].items() if k.split(".")[0] in words}
    watched = answer["watched"]
    count = watch.cell()
    if watched is not None:
        for kind in ("opened", "programs", "hosts", "env_names", "demanded"):
            watched[kind] = [entry for entry in watched[kind] if entry[-1] == count]
        watched["since"] = 0 if watched["since"] < count else count
        answer["cells"] = {count: [0, 1]}
    imported = {name for name, _, _ in watched["demanded"]} if watched is not None else set()
    answer["loaded"] = {k: v for k, v in answer["loaded"].items() if k in imported}
    return answer
