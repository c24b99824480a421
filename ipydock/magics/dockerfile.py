"""``%%dockerfile``: a cell of Dockerfile instructions, checked when it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, cell_magic, magics_class

from ..capture import watch
from ..errors import InputError
from ..folding import size_in_words
from ..models import ContextFile, InstructionCell
from ..notebook import OWN_OUTPUT, Notebook, code_cells
from .calm import calmly
from .location import locate, running
from .result import template

# What is said of each place, in the order of the Dockerfile.
PLACES = (
    (("FROM",), "replaces the base image"),
    (("ARG", "ENV"), "before the packages, so that all steps and the notebook have it"),
    (("RUN", "COPY", "WORKDIR", "SHELL"), "after the packages and before your files, as root"),
    (("LABEL",), "beside ipydock's own labels"),
    (
        ("EXPOSE", "VOLUME", "STOPSIGNAL", "HEALTHCHECK", "USER", "ENTRYPOINT", "CMD"),
        "at the end, in the place of ipydock's own",
    ),
)


@dataclass(frozen=True)
class Instructions:
    """The instructions of a cell, by where they go; ``rows`` are (place, instructions)."""

    rows: tuple[tuple[str, tuple[str, ...]], ...]
    files: tuple[ContextFile, ...]

    def __repr__(self) -> str:
        lines = []
        for place, instructions in self.rows:
            lines.append(f"{place}:")
            lines += [f"  {line}" for text in instructions for line in text.split("\n")]
        if self.files:
            lines.append(f"{self._copies()}.")
        lines.append("Nothing was run; %dockerize takes it in.")
        return "\n".join(lines)

    def _copies(self) -> str:
        size = sum(file.size_bytes for file in self.files)
        count = f"{len(self.files)} file{'s' if len(self.files) > 1 else ''}"
        return f"COPY takes {count} ({size_in_words(size)})"

    def _repr_mimebundle_(self, **_kwargs: Any) -> tuple[dict[str, str], dict[str, Any]]:
        html = template("instructions.html.j2").render(
            it=self, copies=self._copies() if self.files else ""
        )
        return {"text/plain": repr(self), "text/html": html}, {OWN_OUTPUT: True}


@magics_class
class DockerfileMagics(Magics):
    """The magic that checks Dockerfile instructions."""

    @cell_magic
    def dockerfile(self, line: str, cell: str) -> Instructions:
        """Take Dockerfile instructions into this notebook's image.

        They are checked now and run when the image is built: ARG and ENV before the packages, RUN
        and COPY (of files beside the notebook) after them, LABEL, EXPOSE, VOLUME, HEALTHCHECK,
        USER, ENTRYPOINT and CMD at the end. A FROM replaces the base image.
        """
        if line.strip():
            raise UsageError("%%dockerfile takes no options; write the instructions below it.")
        shell: InteractiveShell | None = self.shell
        if shell is None:
            raise UsageError("%%dockerfile needs a running IPython.")
        with calmly(), watch.paused():
            notebook = locate(shell, None, running(shell)).notebook
            return check(_cell(cell, running(shell), notebook), notebook)


def check(cell: InstructionCell, notebook: Notebook) -> Instructions:
    """The instructions of a cell, by where they go.

    Raises:
        InputError: one is wrong, or copies what is not there; cell and line are named.
        Refused: the cell or a file holds a credential.
    """
    from ..recipe.copied import copied
    from ..recipe.custom import checked

    found = checked(cell)
    if not found:
        raise InputError("The cell holds no instructions.", hint="Write such as ENV NAME=VALUE.")
    rows = tuple(
        (
            place[:1].upper() + place[1:],
            tuple("\n".join(item.lines) for item in found if item.keyword in names),
        )
        for names, place in PLACES
        if any(item.keyword in names for item in found)
    )
    return Instructions(rows, copied(notebook, [cell]))


def _cell(body: str, source: str, notebook: Notebook) -> InstructionCell:
    """The running cell; its number is known if the notebook on disk holds it as it is."""
    number = next(
        (c.number for c in code_cells(notebook.node) if c.source.strip() == source.strip()), None
    )
    # A cell may begin with empty lines; the body begins after the line of the magic.
    empty = source[: len(source) - len(source.lstrip())] if body.strip() in source else ""
    origin = "this cell" if number is None else f"cell {number}"
    return InstructionCell(text=body, origin=origin, line=empty.count("\n") + 2, number=number)
