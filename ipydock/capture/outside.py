"""Files outside the notebook's folder.

A notebook can be hostile, so on its word alone they are only listed: nothing outside is opened or
looked for. Where a session saw that such a file was really opened it is read, and copied to the
same place in the image.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from .. import credentials
from ..files import is_secret, sha256
from ..layout import is_system
from ..models import DataFile, Policy
from ..notebook_v4 import printable
from .findings import PathLiteral, Place
from .folder import HASH_LIMIT, Folder

COPY_EACH = 50_000_000  # bytes; larger files are mounted, not copied
COPY_TOGETHER = 500_000_000
EVIDENCE = 20  # pieces kept for one file
# What the kernel of the machine makes up; opened by every program.
_MADE_UP = ("/proc/", "/sys/", "/dev/")


@dataclass(slots=True)
class Budget:
    """How many bytes were copied so far."""

    copied: int = 0

    def policy(self, size: int, fits: Policy) -> Policy:
        """``fits`` if a file of this size still does, else ``mount``."""
        if size > COPY_EACH or self.copied + size > COPY_TOGETHER:
            return "mount"
        self.copied += size
        return fits


class Outside:
    """What was found of files outside, in order."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self.named: dict[str, tuple[str, list[Place]]] = {}  # absolute -> as a cell spells it
        self.seen: dict[str, list[Place]] = {}
        self.generated: set[str] = set()
        self.written: dict[str, list[Place]] = {}
        self.absolute: set[str] = set()  # absolute paths that cells name
        self.parents: dict[str, list[Place]] = {}  # folders above that cells write to
        self.warnings: list[str] = []

    def add(self, literal: PathLiteral) -> None:
        """Take up a path that leads out of the folder."""
        full = self.folder.full(literal.path)
        if not seen(literal):
            if literal.called and literal.use in ("read", "list"):
                key = full or literal.path
                self.named.setdefault(key, (literal.path, []))[1].append(literal.place)
            elif literal.called and literal.use == "write" and full is not None:
                self._parent(full, literal)
            if literal.path.startswith("/") and full not in (None, "/"):
                self.absolute.add(str(full))
        elif full is not None and not full.startswith(_MADE_UP) and literal.use != "list":
            if literal.use != "read":
                add(self.written, full, literal.place)
                self._parent(full, literal)
            else:
                if full in self.written and full not in self.seen:
                    self.generated.add(full)
                add(self.seen, full, literal.place)

    def _parent(self, full: str, literal: PathLiteral) -> None:
        parent = full.rpartition("/")[0]
        if seen(literal) or ("*" not in parent and not literal.path.startswith("/")):
            add(self.parents, parent, literal.place)

    def files(self, budget: Budget, made: set[str]) -> list[DataFile]:
        """The files that are read, and folders above that must be there to be written to.

        ``made`` are folders that the notebook makes itself.
        """
        own_home = {
            os.path.expanduser(spelled)  # noqa: PTH111 - pathlib's fails where there is no home
            for spelled, _ in self.named.values()
            if spelled.startswith("~/")
        }
        files = []
        for full in sorted(self.seen.keys() - own_home):
            found = self._seen(full, budget)
            if found is not None:
                files.append(found)
        names = {file.path for file in files}
        for key, (spelled, places) in sorted(self.named.items()):
            start = key.partition("*")[0] if "*" in key else f"{key}/"
            known = key in self.seen or any(full.startswith(start) for full in self.seen)
            if not known and printable(spelled) not in names:
                files.append(data_file(printable(spelled), "outside", places[:EVIDENCE]))
        for parent, places in sorted(self.parents.items()):
            name = self._name(parent) + "/"
            if self._is_wanted(parent, name, made) and not any(n.startswith(name) for n in names):
                files.append(data_file(name, "copy", places))
        return files

    def _is_wanted(self, parent: str, name: str, made: set[str]) -> bool:
        own = self.folder.names[0]
        return (
            name.startswith("../")
            and name.strip("./") != ""
            and not f"{own}/".startswith(f"{parent}/")
            and not any(f"{parent}/".startswith(f"{folder}/") for folder in made)
            and printable(name) == name
        )

    def _name(self, full: str) -> str:
        """A file as the notebook will look for it: relative, unless a cell names it otherwise."""
        if any(full == path or full.startswith(path + "/") for path in self.absolute):
            return full
        beside = self.folder.beside(full)
        shared = full.split("/")[1] == self.folder.names[0].split("/")[1]
        return beside if shared else full

    def _seen(self, full: str, budget: Budget) -> DataFile | None:
        name, places = self._name(full), self.seen[full]
        if printable(name) != name or not _encodable(name):
            return data_file(printable(name), "outside", places)
        if full in self.generated:
            return data_file(name, "generated", places)
        path = Path(full)
        try:
            target = path.resolve().as_posix()
            if is_secret(full) or is_secret(target):
                self.warnings.append(secret_warning(places[0], name))
                return None
            if not path.is_file():
                if not path.exists():
                    self.warnings.append(
                        f"{places[0]}: {name} was read in the session and is not there any more; "
                        "put it back, or the rerun will miss it."
                    )
                    return data_file(name, "missing", places)
                return data_file(name, "outside", places)
            if name.startswith("/") and is_system(name):
                self.warnings.append(
                    f"{places[0]}: {name} lies in a folder of the system, where the image has its "
                    "own files; mount it (--mount), or move it beside the notebook."
                )
                return data_file(name, "outside", places)
            size = path.stat().st_size
            if (kind := credentials.in_file(path)) is not None:
                self.warnings.append(secret_warning(places[0], name, kind))
                return None
            digest = sha256(path) if size <= HASH_LIMIT else None
        except (OSError, RuntimeError) as error:
            reason = getattr(error, "strerror", None) or "links lead in a circle"
            self.warnings.append(f"{places[0]}: {name} is not readable: {reason}.")
            return data_file(name, "outside", places)
        return data_file(name, budget.policy(size, "outside"), places, digest, size)

    def written_files(self) -> list[DataFile]:
        """The files that a session saw being written outside."""
        return [
            data_file(printable(self._name(full)), "generated", self.written[full])
            for full in sorted(self.written)
        ]


def seen(literal: PathLiteral) -> bool:
    """Whether a path was really opened, rather than being the word of a notebook."""
    return literal.place.source in ("session", "trace")


def names_outside(path: str) -> bool:
    """Whether the text itself leads out of the folder, rather than being no path at all."""
    return (
        path.startswith(("/", "~", "../"))
        or "/../" in path
        or re.match(r"[A-Za-z]:[\\/]", path) is not None
    )


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def secret_warning(place: Place, path: str, kind: str = "") -> str:
    """The sentence for a file with credentials."""
    holds = f"holds a credential ({kind})" if kind else "looks like it holds credentials"
    return (
        f"{place}: {printable(path)} {holds}; it is not captured. "
        "Give it to the container when it runs (--mount)."
    )


def add(where: dict[str, list[Place]], path: str, place: Place) -> None:
    """Add a place where a path was found, unless there are enough."""
    places = where.setdefault(path, [])
    if place not in places and len(places) < EVIDENCE:
        places.append(place)


def data_file(
    path: str,
    policy: Policy,
    places: list[Place],
    sha256: str | None = None,
    size: int | None = None,
) -> DataFile:
    """A file as the Capture lists it."""
    return DataFile(
        path=path,
        sha256=sha256,
        size_bytes=size,
        policy=policy,
        # The line that names it says more than that it was seen to be opened.
        evidence=tuple(
            place.evidence() for place in sorted(places, key=lambda place: place.line is None)
        ),
    )
