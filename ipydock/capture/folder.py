"""The notebook's folder, and the only door to the files in it.

A notebook can be hostile: a path is followed only if it ends, links resolved, in the folder.
"""

from __future__ import annotations

import os
import posixpath
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ..files import SKIPPED_FOLDERS, is_context, sha256
from .literals import LONGEST

MOST_ENTRIES = 20_000  # looked at for one folder or pattern
HASH_LIMIT = 2_000_000_000  # bytes; the digest of larger files is left out


class Folder:
    """The notebook's folder, and the only door to the files in it."""

    def __init__(self, path: Path) -> None:
        self.real = path.resolve()
        # A notebook may name its folder as it is or by a link to it.
        self.names = tuple(dict.fromkeys((self.real.as_posix(), path.absolute().as_posix())))

    def full(self, path: str) -> str | None:
        """A path as absolute, by its text alone; None if it is none or starts at a home folder."""
        if not path or "\0" in path or len(path) > LONGEST or path.startswith("~"):
            return None
        # Two slashes at the start mean what one does on Linux, yet survive normpath.
        return re.sub("^//", "/", posixpath.normpath(posixpath.join(self.names[0], path)))

    def relative(self, path: str) -> str | None:
        """A path as relative and POSIX, as it is written; None if it leads out.

        Nothing outside is looked at: the text decides first, then links inside are resolved.
        """
        full = self.full(path)
        for own in self.names if full is not None else ():
            if full == own or (full or "").startswith(own.rstrip("/") + "/"):
                return self._inner(self.real / (full or "")[len(own) :].lstrip("/"))
        return None

    def _inner(self, path: Path) -> str | None:
        try:
            path.resolve().relative_to(self.real)
            text = path.relative_to(self.real).as_posix()  # a link inside keeps its name
            text.encode()
        except (OSError, ValueError, RuntimeError):  # not inside; not encodable; a loop of links
            return None
        return text

    def beside(self, full: str) -> str:
        """An absolute path as relative to the folder, ``..`` included."""
        return posixpath.relpath(full, self.names[0])

    def kind(self, relative: str) -> str:
        """``file``, ``folder`` or empty, of a path inside (devices and pipes are neither)."""
        try:
            mode = (self.real / relative).stat().st_mode
        except (OSError, ValueError):
            return ""
        return "file" if stat.S_ISREG(mode) else "folder" if stat.S_ISDIR(mode) else ""

    def read(self, relative: str, limit: int = 5_000_000) -> bytes | None:
        """The content of a file, None if it is none, cannot be read or is above ``limit`` bytes."""
        if self.kind(relative) != "file":
            return None  # opening a named pipe would wait for a writer
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
