"""Which notebook the running kernel belongs to."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat

from ..notebook import Notebook, code_cells, load

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


@dataclass(frozen=True, slots=True)
class Located:
    """The notebook, and a sentence on what is uncertain about it; empty if nothing is."""

    notebook: Notebook
    note: str = ""


def locate(shell: InteractiveShell, named: str | None, running: str) -> Located:
    """Find the notebook that a magic was called in.

    Jupyter Server 2 tells a kernel its notebook in ``JPY_SESSION_NAME``; VS Code puts it in the
    namespace as ``__vsc_ipynb_file__``. Where neither leads to a file, a notebook is made from what
    was typed in this session.

    Args:
        shell: the running shell.
        named: what ``--notebook`` names.
        running: the source of the cell that is running, to tell whether the file is up to date.

    Raises:
        NotebookError: the file that was named is not a notebook.
    """
    if named:
        return Located(load(named))
    candidates = (shell.user_ns.get("__vsc_ipynb_file__"), os.environ.get("JPY_SESSION_NAME"))
    path = next((Path(str(name)) for name in candidates if name), None)
    if path is not None and path.suffix == ".ipynb" and path.is_file():
        notebook = load(path)
        saved = any(cell.source.strip() == running.strip() for cell in code_cells(notebook.node))
        note = "" if saved or not running.strip() else _unsaved(path)
        return Located(notebook, note)
    why = (
        f"{path.name} is not on disk (renamed or never saved)"
        if path is not None and path.suffix == ".ipynb"
        else "There is no notebook file here"
    )
    return Located(
        from_history(shell),
        f"{why}, so this is about what was typed in this session, in that order; name a file with "
        "--notebook.",
    )


def running(shell: InteractiveShell) -> str:
    """The source of the cell that is running now."""
    history = shell.history_manager
    inputs = [] if history is None else history.input_hist_raw
    return str(inputs[-1]) if inputs else ""


def from_history(shell: InteractiveShell) -> Notebook:
    """A notebook of the inputs of this session, without outputs."""
    history = shell.history_manager
    inputs = [] if history is None else history.input_hist_raw[1:]
    node = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source) for source in inputs if source.strip()],
        metadata={"language_info": {"name": "python"}},
    )
    return load(node, folder=Path.cwd(), name="session.ipynb")


def _unsaved(path: Path) -> str:
    return f"{path.name} on disk does not hold this cell as it is: save the notebook and run again."
