"""Paths that the cells name, looked up inside the notebook's folder and nowhere else.

A notebook can be hostile: a path is followed only if it ends, links resolved, in the folder.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..files import SKIPPED_FOLDERS, is_context, is_secret, sha256
from ..models import DataFile, Evidence, Policy
from ..notebook_v4 import printable
from .findings import PathLiteral, Place
from .literals import LONGEST, looks_like_path

COPY_EACH = 50_000_000  # bytes; larger files are mounted, not copied
COPY_TOGETHER = 500_000_000
MOST_FILES = 1000  # of one folder or pattern
MOST_ENTRIES = 20_000  # looked at for one folder or pattern
HASH_LIMIT = 2_000_000_000  # bytes; the digest of larger files is left out
EVIDENCE = 20  # pieces kept for one file


class Folder:
    """The notebook's folder, and the only door to the files in it."""

    def __init__(self, path: Path) -> None:
        self.real = path.resolve()

    def relative(self, path: str) -> str | None:
        """A relative path as POSIX, as it is written; None if it is absolute or leads out."""
        if not path or "\0" in path or len(path) > LONGEST or path.startswith(("/", "~")):
            return None
        return self._inner(self.real / path)

    def _inner(self, path: Path) -> str | None:
        try:
            inner = path.resolve().relative_to(self.real)
            if ".." not in path.parts:
                inner = path.relative_to(self.real)  # a link inside the folder keeps its name
            text = inner.as_posix()
            text.encode()
        except (OSError, ValueError, RuntimeError):  # not inside; not encodable; a loop of links
            return None
        return text

    def kind(self, relative: str) -> str:
        """``file``, ``folder`` or empty, of a path inside (devices and pipes are neither)."""
        try:
            mode = (self.real / relative).stat().st_mode
        except (OSError, ValueError):
            return ""
        return "file" if stat.S_ISREG(mode) else "folder" if stat.S_ISDIR(mode) else ""

    def read(self, relative: str, limit: int = 5_000_000) -> bytes | None:
        """The content of a file inside, None if it cannot be read or is larger than ``limit``."""
        try:
            with (self.real / relative).open("rb") as stream:
                data = stream.read(limit + 1)
        except OSError:
            return None
        return data if len(data) <= limit else None

    def digest(self, relative: str) -> tuple[str | None, int] | None:
        """SHA-256 (None for huge files) and size of a file inside, None if it cannot be read."""
        path = self.real / relative
        try:
            size = path.stat().st_size
            return (sha256(path) if size <= HASH_LIMIT else None), size
        except OSError:
            return None

    def target(self, relative: str) -> str:
        """What a path inside leads to where it is a link, relative to the folder."""
        real = (self.real / relative).resolve()
        return real.as_posix().removeprefix(f"{self.real.as_posix()}/")

    def walk(self, relative: str, *, deep: bool = True) -> Iterator[str]:
        """Files below a folder inside, sorted; caches, environments and links out are left out."""
        entries = 0
        for where, folders, names in os.walk(self.real / relative):
            inside = set(folders) - SKIPPED_FOLDERS if deep else set()
            # A build context that ipydock wrote here holds copies of the same files.
            folders[:] = sorted(name for name in inside if not is_context(Path(where, name)))
            for name in sorted(names):
                entries += 1
                if entries > MOST_ENTRIES:
                    return
                inner = self._inner(Path(where, name))
                if inner is not None and self.kind(inner) == "file":
                    yield inner

    def matching(self, pattern: str) -> Iterator[str]:
        """Files inside that match a pattern of ``*``, ``**`` and ``?``, sorted."""
        pattern = re.sub(r"(^|/)(\./)+|//+", r"\1", pattern.replace("***", "**"))
        fixed = pattern.split("*", 1)[0].split("?", 1)[0].rpartition("/")[0]
        start = self.relative(fixed or ".")
        if start is None or self.kind(start) != "folder":
            return
        wanted = pattern.split("/")
        for path in self.walk(start, deep="/" in pattern[len(fixed) + 1 :] or "**" in pattern):
            if _matches(path.split("/"), wanted, "**", _segment_matches):
                yield path


def _segment_matches(name: str, pattern: str) -> bool:
    return _matches(name, pattern, "*", lambda char, wanted: wanted in ("?", char))


def _matches(
    text: Sequence[str], pattern: Sequence[str], star: str, same: Callable[[str, str], bool]
) -> bool:
    """Wildcard matching in at most len(text) * len(pattern) steps, unlike a regular expression."""
    at = 0
    want = 0
    after_star = -1  # where the pattern goes on after the last star
    resume = 0
    while at < len(text):
        if want < len(pattern) and pattern[want] == star:
            want += 1
            after_star, resume = want, at
        elif want < len(pattern) and same(text[at], pattern[want]):
            at += 1
            want += 1
        elif after_star >= 0:
            resume += 1
            at, want = resume, after_star
        else:
            return False
    return all(rest == star for rest in pattern[want:])


# --- from literals to files --------------------------------------------------------------------


@dataclass(slots=True)
class Files:
    """The files of a notebook: read, written, and what is to be said about them."""

    read: list[DataFile] = field(default_factory=list)
    written: list[DataFile] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def resolve(folder: Folder, literals: Iterable[PathLiteral], taken: set[str]) -> Files:
    """Look up the paths that the source names.

    Args:
        folder: the notebook's folder.
        literals: what the source names, in order.
        taken: paths that are captured as something else (local modules, the notebook itself).
    """
    return _Resolver(folder, taken).resolve(list(literals))


class _Resolver:
    def __init__(self, folder: Folder, taken: set[str]) -> None:
        self.folder = folder
        self.taken = taken
        self.present: dict[str, list[Place]] = {}
        self.absent: dict[str, list[Place]] = {}  # named in a call, not there
        self.outside: dict[str, list[Place]] = {}
        self.generated: dict[str, list[Place]] = {}  # written before it is read
        self.written: dict[str, list[Place]] = {}
        self.warnings: list[str] = []

    def resolve(self, literals: list[PathLiteral]) -> Files:
        for literal in literals:
            self._literal(literal)
        for path in self.written:
            self.absent.pop(path, None)
        return Files(self._read_files(), self._written_files(), self.warnings)

    def _literal(self, literal: PathLiteral) -> None:
        path = literal.path
        if "\0" in path or len(path) > LONGEST or path.strip("./ ") == "":
            return
        inner = self.folder.relative(path)
        if inner is None:
            if literal.called and literal.use in ("read", "list") and _is_outside(path):
                self._add(self.outside, printable(path), literal.place)
        elif inner in self.taken:
            return
        elif literal.use == "write":
            if not re.search(r"[*?{$]", path) and (looks_like_path(path) or "/" in path):
                self._add(self.written, inner, literal.place)
        elif "*" in path or "?" in path:
            # A pattern may come from an f-string, of which next to nothing is known.
            if len(re.sub(r"[*?./\\]", "", path)) >= (1 if literal.use == "list" else 3):
                self._many(self.folder.matching(path), path, literal.place)
        else:
            self._inside(inner, literal)

    def _inside(self, inner: str, literal: PathLiteral) -> None:
        kind = self.folder.kind(inner)
        if kind == "file":
            self._file(inner, literal)
        elif kind == "folder":
            if literal.use == "list" or "/" in literal.path:
                self._many(self.folder.walk(inner), inner, literal.place)
        elif literal.use == "read" and looks_like_path(literal.path):
            target = self.generated if inner in self.written else self.absent
            self._add(target, inner, literal.place)
        elif literal.use == "download":
            self._add(self.written, inner, literal.place)

    def _file(self, inner: str, literal: PathLiteral) -> None:
        has_suffix = looks_like_path(literal.path) or "/" in literal.path
        if not has_suffix and not (literal.called and literal.use == "read"):
            return
        if literal.use == "download":
            # It is here already: a guarded download finds it again without a network.
            self._add(self.written, inner, literal.place)
        elif inner in self.written and inner not in self.present:
            self._add(self.generated, inner, literal.place)
            return
        self._present(inner, literal.place)

    def _many(self, paths: Iterator[str], what: str, place: Place) -> None:
        for count, path in enumerate(paths):
            if count >= MOST_FILES:
                self.warnings.append(
                    f"{place}: {printable(what)} holds more than {MOST_FILES} files; "
                    "the rest was left out."
                )
                break
            if path not in self.written:
                self._present(path, place)

    def _present(self, inner: str, place: Place) -> None:
        if inner in self.taken:  # by a folder or a pattern
            return
        if is_secret(inner) or is_secret(self.folder.target(inner)):
            warning = (
                f"{place}: {printable(inner)} looks like it holds credentials; it is not captured. "
                "Give it to the container when it runs (--mount)."
            )
            if warning not in self.warnings:
                self.warnings.append(warning)
            return
        self._add(self.present, inner, place)

    @staticmethod
    def _add(where: dict[str, list[Place]], path: str, place: Place) -> None:
        places = where.setdefault(path, [])
        if place not in places and len(places) < EVIDENCE:
            places.append(place)

    def _read_files(self) -> list[DataFile]:
        files = []
        copied = 0
        for path in sorted(self.present):
            content = self.folder.digest(path)
            if content is None:
                self.warnings.append(f"{self.present[path][0]}: {printable(path)} is not readable.")
                continue
            sha256, size = content
            small = size <= COPY_EACH and copied + size <= COPY_TOGETHER
            copied += size if small else 0
            files.append(
                DataFile(
                    path=path,
                    sha256=sha256,
                    size_bytes=size,
                    policy="copy" if small else "mount",
                    evidence=_evidence(self.present[path]),
                )
            )
        others: tuple[tuple[Policy, dict[str, list[Place]]], ...] = (
            ("generated", self.generated),
            ("missing", self.absent),
            ("outside", self.outside),
        )
        for policy, places in others:
            files += [
                DataFile(
                    path=path,
                    sha256=None,
                    size_bytes=None,
                    policy=policy,
                    evidence=_evidence(places[path]),
                )
                for path in sorted(places)
                if path not in self.present
            ]
        return sorted(files, key=lambda f: (f.path, f.policy))

    def _written_files(self) -> list[DataFile]:
        return [
            DataFile(
                path=path,
                sha256=None,
                size_bytes=None,
                policy="generated",
                evidence=_evidence(self.written[path]),
            )
            for path in sorted(self.written)
        ]


def _is_outside(path: str) -> bool:
    """Whether the text itself leads out of the folder, rather than being no path at all."""
    return (
        path.startswith(("/", "~", "../"))
        or "/../" in path
        or re.match(r"[A-Za-z]:[\\/]", path) is not None
    )


def _evidence(places: list[Place]) -> tuple[Evidence, ...]:
    return tuple(place.evidence() for place in places)
