"""Paths that the cells name and that sessions saw, looked up: what is read, what is written.

On the word of a notebook, files are looked up inside its folder and nowhere else; see
`ipydock.capture.outside` for the others.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from .. import credentials
from ..files import is_secret
from ..layout import above, levels
from ..models import DataFile, Policy
from ..notebook_v4 import printable
from .findings import PathLiteral, Place
from .folder import Folder
from .literals import LONGEST, looks_like_path
from .outside import EVIDENCE, Budget, Outside, add, data_file, names_outside, secret_warning, seen

__all__ = ["EVIDENCE", "MOST_FILES", "Files", "Folder", "left_out", "resolve"]

MOST_FILES = 1000  # of one folder or pattern


@dataclass(slots=True)
class Files:
    """The files of a notebook: read, written, and what is to be said about them.

    ``read`` also has folders (a slash at the end) that must be there when the notebook runs.
    ``folder`` is the part of the notebook's folder that the cells depend on, see `Capture.folder`.
    """

    read: list[DataFile] = field(default_factory=list)
    written: list[DataFile] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    folder: str = ""


def resolve(folder: Folder, literals: Iterable[PathLiteral], taken: set[str]) -> Files:
    """Look up the paths that the source names and those that a session was seen to open.

    Args:
        folder: the notebook's folder.
        literals: what the source names and what a session opened (absolute paths, their place is of
            source ``session`` or ``trace``), in order.
        taken: paths that are captured as something else (local modules, the notebook itself).
    """
    return _Resolver(folder, taken).resolve(list(literals))


class _Resolver:
    def __init__(self, folder: Folder, taken: set[str]) -> None:
        self.folder = folder
        self.taken = taken
        self.present: dict[str, list[Place]] = {}
        self.absent: dict[str, list[Place]] = {}  # named in a call, not there
        self.outside = Outside(folder)
        self.generated: dict[str, list[Place]] = {}  # written before it is read
        self.written: dict[str, list[Place]] = {}
        self.mentioned: dict[str, list[Place]] = {}  # named, and not there
        self.empty: dict[str, list[Place]] = {}  # folders that are listed and hold nothing
        self.up = 0  # how many names of the folder the spelling of paths into it depends on
        self.absolute = ""  # the folder as a cell names it, if it does so by its absolute path
        self.made: set[str] = set()  # folders that the notebook makes (absolute)
        self.warnings: list[str] = []

    def resolve(self, literals: list[PathLiteral]) -> Files:
        # What was seen tells the order in which files were really written and read.
        for literal in sorted(literals, key=lambda literal: not seen(literal)):
            self._literal(literal)
        for path in self.written:
            self.absent.pop(path, None)
        budget = Budget()
        read = self._read_files(budget)
        outside = self.outside.files(budget, self.made)
        read += outside
        apart = [*self.taken, *(f.path for f in outside if _goes_in(f))]
        up = max([self.up, *(levels(path) for path in apart if not path.startswith("/"))])
        return Files(
            sorted(read, key=lambda f: (f.path, f.policy)),
            self._written_files(),
            [*self.warnings, *self.outside.warnings],
            self.absolute or above(self.folder.names[0], up),
        )

    def _literal(self, literal: PathLiteral) -> None:
        path = literal.path
        if "\0" in path or len(path) > LONGEST or path.strip("./ ") == "":
            return
        inner = self.folder.relative(path)
        if inner is None:
            if literal.use == "make":
                self.made.add(self.folder.full(path) or path)
            elif names_outside(path):
                self.outside.add(literal)
            return
        if literal.use == "make":
            self.made.add(f"{self.folder.names[0]}/{inner}")
            return
        if inner in self.taken or inner == ".":
            return
        if literal.use == "write":
            if not re.search(r"[*?{$]", path) and (looks_like_path(path) or "/" in path):
                add(self.written, inner, literal.place)
                self._spelled(literal)
        elif ("*" in path or "?" in path) and not seen(literal):
            # A pattern may come from an f-string, of which next to nothing is known.
            if len(re.sub(r"[*?./\\]", "", path)) >= (1 if literal.use == "list" else 3):
                pattern = inner if path.startswith("/") or ".." in path else path
                self._many(self.folder.matching(pattern), path, literal.place)
                self._spelled(literal)
        else:
            self._inside(inner, literal)

    def _inside(self, inner: str, literal: PathLiteral) -> None:
        kind = self.folder.kind(inner)
        if kind == "file":
            self._file(inner, literal)
        elif kind == "folder":
            reads = literal.called and literal.use in ("list", "read")
            if literal.use == "list" or reads or "/" in literal.path:
                self._folder(inner, literal)
        elif literal.use == "read" and (looks_like_path(literal.path) or seen(literal)):
            if inner in self.written:
                add(self.generated, inner, literal.place)
                return
            if seen(literal):
                self.warnings.append(
                    f"{literal.place}: {printable(inner)} was read in the session and is not there "
                    "any more; put it back, or the rerun will miss it."
                )
            add(self.absent, inner, literal.place)
        elif literal.use == "download":
            add(self.written, inner, literal.place)
        elif literal.use == "mention" and looks_like_path(literal.path):
            add(self.mentioned, inner, literal.place)  # perhaps what is going to be written

    def _file(self, inner: str, literal: PathLiteral) -> None:
        has_suffix = looks_like_path(literal.path) or "/" in literal.path
        if not has_suffix and not (literal.called and literal.use == "read"):
            return
        self._spelled(literal)
        if literal.use == "download":
            # It is here already: a guarded download finds it again without a network.
            add(self.written, inner, literal.place)
        elif inner in self.written and inner not in self.present:
            add(self.generated, inner, literal.place)
            return
        self._present(inner, literal.place)

    def _folder(self, inner: str, literal: PathLiteral) -> None:
        self._spelled(literal)
        # What a session read below a folder it was seen to read; the listing itself has the names.
        inside = self.folder.walk(inner, deep=not seen(literal))
        if not self._many(inside, inner, literal.place):
            add(self.empty, inner, literal.place)

    def _spelled(self, literal: PathLiteral) -> None:
        """Note what the spelling of a path into the folder depends on, if a cell wrote it."""
        if seen(literal) or not literal.called:
            return
        if literal.path.startswith("/"):
            full = self.folder.full(literal.path) or ""
            self.absolute = next(n for n in self.folder.names if f"{full}/".startswith(f"{n}/"))
        else:
            depth = 0
            for part in literal.path.split("/"):
                depth += {"..": -1, ".": 0, "": 0}.get(part, 1)
                self.up = max(self.up, -depth)

    def _many(self, paths: Iterator[str], what: str, place: Place) -> int:
        count = 0
        for path in paths:
            count += 1
            if count > MOST_FILES:
                self.warnings.append(
                    f"{place}: {printable(what)} holds more than {MOST_FILES} files; "
                    "the rest was left out."
                )
                break
            if path not in self.written:
                self._present(path, place)
        return count

    def _present(self, inner: str, place: Place) -> None:
        if inner in self.taken:  # by a folder or a pattern
            return
        if is_secret(inner) or is_secret(self.folder.target(inner)):
            warning = secret_warning(place, inner)
            if warning not in self.warnings:
                self.warnings.append(warning)
            return
        add(self.present, inner, place)

    def _read_files(self, budget: Budget) -> list[DataFile]:
        files = []
        for path in sorted(self.present):
            content = self.folder.digest(path)
            if content is None:
                self.warnings.append(f"{self.present[path][0]}: {printable(path)} is not readable.")
                continue
            sha256, size = content
            if (kind := credentials.in_file(self.folder.real / path)) is not None:
                self.warnings.append(secret_warning(self.present[path][0], path, kind))
                continue
            policy = budget.policy(size, "copy")
            files.append(data_file(path, policy, self.present[path], sha256, size))
        others: tuple[tuple[Policy, dict[str, list[Place]]], ...] = (
            ("generated", self.generated),
            ("missing", self.absent),
        )
        for policy, places in others:
            files += [data_file(p, policy, places[p]) for p in places if p not in self.present]
        files += [data_file(f"{path}/", "copy", self.empty[path]) for path in sorted(self.empty)]
        return files + self._parents({f.path for f in files if f.policy == "copy"})

    def _parents(self, known: set[str]) -> list[DataFile]:
        """Folders that are written to, are there now, and would not come with any file."""
        parents: dict[str, list[Place]] = {}
        written = {**self.mentioned, **self.written}
        for path in sorted(written):
            parent = posixpath.dirname(path)
            made = any(
                f"{self.folder.names[0]}/{parent}/".startswith(f"{folder}/") for folder in self.made
            )
            if parent and not made and self.folder.kind(parent) == "folder":
                parents.setdefault(f"{parent}/", written[path])
        return [
            data_file(parent, "copy", parents[parent])
            for parent in sorted(parents)
            if not any(path.startswith(parent) for path in known)
        ]

    def _written_files(self) -> list[DataFile]:
        inside = [data_file(path, "generated", self.written[path]) for path in self.written]
        return sorted([*inside, *self.outside.written_files()], key=lambda f: f.path)


def _goes_in(file: DataFile) -> bool:
    return file.sha256 is not None or file.path.endswith("/")


def left_out(read: Iterable[DataFile]) -> list[str]:
    """A warning for each kind of file that cells read and that will not be in the image."""
    kinds: dict[Policy, str] = {
        "outside": "lie outside the notebook's folder and were not looked at, since only the "
        "notebook names them; copy them with --include, let capture --run see that they are "
        "really opened, or mount their folder with --mount SOURCE:TARGET",
        "mount": "are too large to be copied into the image; mount them with --mount "
        "SOURCE:TARGET, or copy them all the same with --include",
        "missing": "are not there",
    }
    found = list(read)
    warnings = []
    for policy, says in kinds.items():
        paths = [
            file.path
            for file in found
            if file.policy == policy and not (policy == "outside" and file.sha256)
        ]
        names = sorted(map(printable, set(paths)))
        if names:
            more = f" and {len(names) - 5} more" if len(names) > 5 else ""
            warnings.append(f"Files that cells read {says}: {', '.join(names[:5])}{more}.")
    return warnings
