"""What the cells say, before anything is looked up: imports, installs, paths, programs, names.

`Place` says where; every finding has one, and it becomes the `Evidence` of the Capture.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from ..credentials import mask
from ..models import Evidence, Source
from ..notebook_v4 import printable

LONGEST_LINE = 5000  # characters of a source line that are looked at for credentials
WIDTH = 120  # characters of a source line that evidence keeps

# What code does with a path; ``make`` is for folders.
PathUse: TypeAlias = Literal["read", "write", "download", "list", "make", "mention"]


def words(text: str) -> frozenset[str]:
    """A table of words, as the modules of this package write them down."""
    return frozenset(text.split())


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a cell, or of a local module (``path``, relative to the notebook's folder)."""

    text: str
    cell: int | None = None
    number: int | None = None
    line: int | None = None
    path: str | None = None
    source: Source = "source"

    def evidence(self) -> Evidence:
        """The place as evidence: one line, not too long, nothing unprintable, nothing secret."""
        text = printable(mask(self.text[:LONGEST_LINE]).strip())
        if len(text) > WIDTH:
            text = text[: WIDTH - 3] + "..."
        path = None if self.path is None else printable(self.path)
        return Evidence(
            source=self.source,
            text=text,
            cell=self.cell,
            number=self.number,
            line=self.line,
            path=path,
        )

    def __str__(self) -> str:
        if self.number is not None:
            return (
                f"{printable(self.path)}, cell {self.number}"
                if self.path
                else f"Cell {self.number}"
            )
        return printable(self.path) if self.path else "The live kernel"


@dataclass(frozen=True, slots=True)
class Import:
    """A module that is imported; ``names`` are what ``from module import names`` takes from it.

    ``level`` counts the dots of a relative import. Imports with one ``choice`` are alternatives to
    each other: those of a ``try`` and, with ``fallback``, those of its ``except ImportError``.
    ``spare`` marks imports that the code can do without.
    """

    module: str
    place: Place
    names: tuple[str, ...] = ()
    level: int = 0
    choice: int | None = None
    fallback: bool = False
    spare: bool = False


@dataclass(frozen=True, slots=True)
class Install:
    """A package that the notebook installs: a requirement as written, or a system package."""

    requirement: str
    manager: Literal["pip", "conda", "apt"]
    place: Place


@dataclass(frozen=True, slots=True)
class PathLiteral:
    """A path in the source; ``*`` stands for what is not known before it runs.

    ``called`` tells that it was given to something that takes paths.
    """

    path: str
    use: PathUse
    place: Place
    called: bool = True


@dataclass(frozen=True, slots=True)
class ScriptRun:
    """A script or notebook that is run by ``%run`` or ``!python``."""

    path: str
    place: Place


@dataclass(frozen=True, slots=True)
class SearchPath:
    """An edit of sys.path; ``first`` if the folder is searched before the others."""

    path: str
    first: bool
    place: Place


@dataclass(frozen=True, slots=True)
class Use:
    """Something that libraries need a plug-in for (`ipydock.capture.plugins.ASKED`).

    ``base`` is the name before the first dot (``pd`` in ``pd.read_excel``); ``text`` is the first
    argument and ``engine`` that keyword, where these are plain texts.
    """

    name: str
    base: str
    place: Place
    text: str = ""
    engine: str = ""


@dataclass(slots=True)
class Findings:
    """Everything that was found so far, in source order."""

    imports: list[Import] = field(default_factory=list)
    installs: list[Install] = field(default_factory=list)
    paths: list[PathLiteral] = field(default_factory=list)
    runs: list[ScriptRun] = field(default_factory=list)
    search_paths: list[SearchPath] = field(default_factory=list)
    programs: list[tuple[str, Place]] = field(default_factory=list)
    env_names: list[tuple[str, Place]] = field(default_factory=list)
    hosts: list[tuple[str, Place]] = field(default_factory=list)
    requirement_files: list[tuple[str, Place]] = field(default_factory=list)
    written_modules: list[tuple[str, str]] = field(default_factory=list)
    uses: list[Use] = field(default_factory=list)
    aliases: dict[str, str] = field(default_factory=dict)  # name -> the module that it stands for
    warnings: list[str] = field(default_factory=list)
    choices: int = 0
    finds_notebooks: bool = False  # an import hook for notebooks is written in the code

    def extend(self, other: Findings) -> None:
        """Take over what another scan found; its alternatives stay apart from those here."""
        for found in other.imports:
            choice = None if found.choice is None else found.choice + self.choices
            self.imports.append(dataclasses.replace(found, choice=choice))
        self.choices += other.choices
        self.finds_notebooks |= other.finds_notebooks
        for name in (
            "installs",
            "paths",
            "runs",
            "search_paths",
            "programs",
            "env_names",
            "hosts",
            "requirement_files",
            "written_modules",
            "uses",
            "warnings",
        ):
            getattr(self, name).extend(getattr(other, name))
        self.aliases = {**other.aliases, **self.aliases}
