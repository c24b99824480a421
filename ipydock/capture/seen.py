"""What a session saw, as findings like those of the source: with the cell each happened in.

The session's answer is plain data (`ipydock.capture.live.session`); it comes from this process,
from a kernel that was asked, or from ``--run``, which adds which cells it executed and, with
``--trace``, what the system calls told.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .. import notebook
from ..models import Settings, Source
from ..notebook import Notebook
from .findings import Findings, PathLiteral, PathUse, Place

USES: Mapping[str, PathUse] = {"read": "read", "write": "write", "list": "list"}
WORDS = {"read": "reads", "write": "writes", "list": "lists"}


class Session:
    """The answer of a session, with execution counts turned into cells."""

    def __init__(self, nb: Notebook, answer: Mapping[str, Any]) -> None:
        """Use the answer of the kernel in which this notebook ran."""
        self.answer = answer
        self.watched: Mapping[str, Any] | None = answer.get("watched") or None
        self.traced: Mapping[str, Any] | None = answer.get("traced") or None
        self.history: list[str] | None = answer.get("history")
        told = answer.get("cells")
        self._cells = _told(told) if told else _matched(nb, self.history or [])

    @property
    def whole(self) -> bool:
        """Whether everything was watched, from before the first cell on."""
        return self.watched is not None and self.watched["since"] == 0

    @property
    def settings(self) -> Settings | None:
        """Locale, timezone and random generators of the session."""
        told = self.answer.get("settings")
        return Settings(**told) if told else None

    def findings(self) -> Findings:
        """Files, programs, hosts and names of environment variables, in the order they were seen.

        Paths are absolute; what the trace saw comes last and has no cell.
        """
        found = Findings()
        if self.watched is not None:
            for path, use, count in self.watched["opened"]:
                place = self.place(f"{WORDS[use]} it", count)
                found.paths.append(PathLiteral(path, USES[use], place))
            for path, count in self.watched["programs"]:
                found.programs.append((path, self.place(f"starts {_name(path)}", count)))
            for host, count in self.watched["hosts"]:
                found.hosts.append((host, self.place("contacts it", count)))
            for name, count in self.watched["env_names"]:
                found.env_names.append((name, self.place("reads it", count)))
            if self.watched["lost"]:
                found.warnings.append(
                    f"The session opened more than can be kept in mind: {self.watched['lost']:,} "
                    "files, programs and hosts were not recorded."
                )
        if self.traced is not None:
            for path, use in self.traced["opened"]:
                place = Place(f"a system call {WORDS[use]} it", source="trace")
                found.paths.append(PathLiteral(path, USES[use], place))
            for path in self.traced["programs"]:
                text = f"a system call starts {_name(path)}"
                found.programs.append((path, Place(text, source="trace")))
            for host in self.traced["hosts"]:
                found.hosts.append((host, Place("a system call connects to it", source="trace")))
        return found

    def place(self, text: str, count: int | None, source: Source = "session") -> Place:
        """The place of something that happened at an execution count."""
        index, number = self._cells.get(count or 0, (None, None))
        return Place(text, cell=index, number=number, source=source)

    def demanded(self) -> dict[str, tuple[str, Place]]:
        """Distributions that were imported while a function ran: who asked for them, and where.

        Empty where the watch began too late to know it of all.
        """
        if not self.whole or self.watched is None:
            return {}
        return {
            name: (by, self.place("imports it when it is called", count))
            for name, by, count in self.watched.get("demanded") or ()
        }


def _name(program: str) -> str:
    return program.rpartition("/")[2] or program


def _told(cells: Mapping[Any, Any]) -> dict[int, tuple[int, int]]:
    """JSON makes texts of numbers that are keys."""
    return {int(count): (int(index), int(number)) for count, (index, number) in cells.items()}


def _matched(nb: Notebook, history: Iterable[str]) -> dict[int, tuple[int, int]]:
    """The cells that were executed, found by their text; of like ones the first."""
    cells: dict[str, tuple[int, int]] = {}
    for cell in notebook.code_cells(nb.node):
        cells.setdefault(cell.source.strip(), (cell.index, cell.number))
    found = {}
    for count, source in enumerate(history):
        if count and source.strip() in cells:
            found[count] = cells[source.strip()]
    return found


def unseen(session: Session | None) -> tuple[str, ...]:
    """What the sources that were used cannot see, in sentences."""
    if session is None:
        return (
            "modules, files, programs and hosts whose names are computed when the code runs "
            "(capture --run sees them)",
            "what libraries load, open, start and contact by themselves (capture --run sees it)",
        )
    found = []
    if session.watched is None:
        found.append("files, programs and hosts that only show when the code runs")
    elif not session.whole:
        found.append(
            "files, programs and hosts used before ipydock was loaded in this session: restart the "
            "kernel, load ipydock in the first cell and run all, or use capture --run"
        )
    if session.traced is None:
        found.append(
            "files that C libraries open (HDF5, NetCDF, databases), and what the programs that "
            "were started use themselves (capture --trace sees it)"
        )
    else:
        found.append("names of the hosts: system calls hold addresses")
    return tuple(found)
