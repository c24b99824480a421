"""The distributions on a search path and their files: standard library only, as the probe.

importlib.metadata would do, but parses every metadata file whole and as an e-mail, which takes most
of the time that a live kernel is asked for.
"""
# Paths are compared as text here, links unresolved, and os.path is a good part of the speed:
# ruff: noqa: PTH100, PTH112, PTH113, PTH116, PTH118, PTH120, PTH123, PTH206, PTH208

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable
from typing import Any

SITE_FOLDERS = ("site-packages", "dist-packages")
PROJECT = ("pyproject.toml", "setup.py", "setup.cfg")
PROGRAM = re.compile(r"\n(?:\.\./)+(?:bin|Scripts)/([^/,\n]+),")


class Installed:
    """One installed distribution, read with as few parses as possible."""

    def __init__(self, info: str, site: str, read: Callable[[str], str | None]) -> None:
        """Read the headers of the metadata in ``info``, whose files count from ``site``."""
        self.info = info
        self.site = site
        self.read = read
        text = read("METADATA")
        self.modern = text is not None
        # Old egg-info may be a single file.
        fields = _headers(text if text is not None else read("PKG-INFO") or read("") or "")
        self.name = (fields.get("name") or [""])[0]
        self.version = (fields.get("version") or [""])[0]
        self._requires = fields.get("requires-dist", [])
        self._record: str | None = None
        self._direct_url: dict[str, Any] | None = None

    @property
    def requires(self) -> list[str]:
        """Its requirements as PEP 508 lines."""
        if self.modern or not os.path.isdir(self.info):
            return self._requires
        # egg-info keeps them in a file of another form.
        import importlib.metadata
        from pathlib import Path

        return list(importlib.metadata.PathDistribution(Path(self.info)).requires or [])

    @property
    def record(self) -> str:
        """The file list: a line of path and hash each, with a line break before the first."""
        if self._record is None:
            text = self.read("RECORD")
            if text is None:
                text = self.read("installed-files.txt") or ""
                # Those paths start at the egg-info folder and have no hash.
                text = "".join(_upward(line) + ",\n" for line in text.splitlines())
            for old, new in (("\r\n", "\n"), ("\\", "/"), ('"', "")):
                if old in text:
                    text = text.replace(old, new)
            self._record = "\n" + text
        return self._record

    @property
    def direct_url(self) -> dict[str, Any]:
        """PEP 610's record of where it came from; one is made for ``setup.py develop``."""
        if self._direct_url is None:
            self._direct_url = _direct_url(self.read("direct_url.json"))
            if self.info.endswith(".egg-info") and not is_site(self.site):
                folder = _project(self.site)
                self._direct_url = {"url": _file_url(folder), "dir_info": {"editable": True}}
        return self._direct_url

    @property
    def editable(self) -> str | None:
        """The folder of an editable install, None for any other."""
        url = self.direct_url.get("url", "")
        info = self.direct_url.get("dir_info")
        if isinstance(info, dict) and info.get("editable") and url.startswith("file://"):
            return _path_of(url)
        return None

    def tops(self) -> set[str]:
        """The first part of every path in the file list, and the modules that old metadata lists.

        One pass without regard to commas: a hash may have a slash in it.
        """
        found = {line.split("/", 1)[0] for line in self.record.split("\n")}
        found = {top.split(",", 1)[0] for top in found}
        if not self.modern:
            found.update((self.read("top_level.txt") or "").split())
        return found

    def describe(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "name": self.name,
            "version": self.version,
            "requires": self.requires,
            "direct_url": self.direct_url or None,
            "installer": (self.read("INSTALLER") or "").strip(),
            "info": self.info,
            "site": self.site,
        }


class Installation:
    """The distributions on a search path and the files that they own."""

    def __init__(self, path: Iterable[str]) -> None:
        """Read what is on this search path."""
        # Python passes over what is no text: people append a pathlib.Path in vain.
        self.path = [entry for entry in path if isinstance(entry, str) and entry]
        self.all = _installed(self.path)
        self._watched: list[str] = []
        self._by_top: dict[tuple[str, str], list[Installed]] | None = None
        self._sources: list[tuple[str, str]] | None = None

    def fingerprint(self) -> list[tuple[int, int]]:
        """Changes when something was installed, removed or moved."""
        if not self._watched:
            pths = (os.path.join(p, n) for p in self.path for n in _names(p) if n.endswith(".pth"))
            self._watched = [*self.path, *pths, *(dist.info for dist in self.all)]
        return [_stamp(path) for path in self._watched]

    @property
    def by_top(self) -> dict[tuple[str, str], list[Installed]]:
        """Distributions by folder and first part of the paths of their files."""
        if self._by_top is None:
            self._by_top = {}
            for dist in self.all:
                for top in dist.tops():
                    self._by_top.setdefault((dist.site, top), []).append(dist)
        return self._by_top

    def owners(self, path: str, *, folder: bool = False) -> list[str]:
        """The distributions that have a file, or with ``folder`` a file in that folder."""
        found: set[str] = set()
        for site in {dist.site for dist in self.all}:
            prefix = site.rstrip(os.sep) + os.sep
            if not path.startswith(prefix):
                continue
            relative = path[len(prefix) :].replace(os.sep, "/")
            top = relative.partition("/")[0]
            line = "\n" + relative + ("/" if folder else ",")
            for dist in self.by_top.get((site, top), ()):
                if line in dist.record:
                    found.add(dist.name)
        return sorted(found)

    def by_name(self, top: str, folders: Iterable[str]) -> list[str]:
        """Distributions with a module of that name in one of these folders, by old metadata too."""
        found: set[str] = set()
        for site in {dist.site for dist in self.all}:
            prefix = site.rstrip(os.sep) + os.sep
            if any((folder + os.sep).startswith(prefix) for folder in folders):
                found.update(dist.name for dist in self.by_top.get((site, top), ()))
        return sorted(found)

    def of_source(self, path: str) -> list[str]:
        """The distribution from whose folder, or .pth file, a file outside of it is imported."""
        if self._sources is None:
            self._sources = []
            for dist in self.all:
                folders = [dist.editable] if dist.editable else []
                folders += _pth_folders(dist)
                self._sources += [(os.path.realpath(folder), dist.name) for folder in folders]
        real = os.path.realpath(path)
        fits = [
            (-len(folder), name)
            for folder, name in self._sources
            if real.startswith(folder.rstrip(os.sep) + os.sep)
        ]
        return [name for _, name in sorted(fits)][:1]

    def programs(self) -> dict[str, str]:
        """The programs that distributions put beside the interpreter, and whose they are."""
        found: dict[str, str] = {}
        for dist in self.all:
            if "\n../" in dist.record:
                for name in PROGRAM.findall(dist.record):
                    found.setdefault(name, dist.name)
        return found


def _pth_folders(dist: Installed) -> list[str]:
    """The folders that a distribution's own .pth files put on the search path."""
    folders = []
    for name in re.findall(r"\n([^/,\n]+\.pth),", dist.record):
        for raw in (_text(os.path.join(dist.site, name)) or "").splitlines():
            line = raw.strip()
            folder = os.path.join(dist.site, line)
            if line and not line.startswith(("#", "import ", "import\t")) and os.path.isdir(folder):
                folders.append(folder)
    return folders


def _installed(path: Iterable[str]) -> list[Installed]:
    """The distributions on a search path; of several with one name the first, as pip sees it."""
    found: dict[str, Installed] = {}
    for entry in dict.fromkeys(os.path.abspath(p) for p in path):
        for info, site, read in _infos(entry):
            dist = Installed(info, site, read)
            if dist.name and dist.version:
                found.setdefault(normalized(dist.name), dist)
    return [found[name] for name in sorted(found)]


def _infos(entry: str) -> Iterable[tuple[str, str, Callable[[str], str | None]]]:
    """The metadata folders in one entry of the search path: their path, root and reader."""
    if os.path.isfile(entry):  # a zipped egg, or a wheel
        import importlib.metadata

        for dist in importlib.metadata.distributions(path=[entry]):
            yield entry, entry, dist.read_text
        return
    if entry.endswith(".egg"):
        info = os.path.join(entry, "EGG-INFO")
        if os.path.isdir(info):
            yield info, entry, _reader(info)
        return
    for name in _names(entry):
        if name.endswith((".dist-info", ".egg-info")):
            info = os.path.join(entry, name)
            yield info, entry, _reader(info)


def _names(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except (OSError, ValueError):  # not there; no path at all
        return []


def _reader(info: str) -> Callable[[str], str | None]:
    return lambda name: _text(os.path.join(info, name) if name else info)


def _text(path: str) -> str | None:
    """A text file, None if there is none; metadata can be broken in any way."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except (OSError, ValueError):
        return None


def normalized(name: str) -> str:
    """A distribution's name as PEP 503 compares names."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _headers(text: str) -> dict[str, list[str]]:
    fields: dict[str, list[str]] = {}
    for line in text.partition("\n\n")[0].splitlines():
        key, colon, value = line.partition(":")
        if colon and not key[:1].isspace():
            fields.setdefault(key.lower(), []).append(value.strip())
    return fields


def _upward(line: str) -> str:
    return line[3:] if line.startswith(("../", "..\\")) else "egg-info/" + line


def _direct_url(text: str | None) -> dict[str, Any]:
    """PEP 610's record without what is not as it should be; empty if its URL is of no use."""
    try:
        value = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    url = value.get("url") if isinstance(value, dict) else None
    if not isinstance(url, str) or not _is_usable(url):
        return {}
    tables = ("dir_info", "archive_info", "vcs_info")
    return {k: v for k, v in value.items() if k not in tables or isinstance(v, dict)}


def _is_usable(url: str) -> bool:
    from urllib.parse import unquote, urlsplit

    try:
        path = unquote(urlsplit(url).path)
        return b"\0" not in os.fsencode(path)
    except ValueError:  # an unfinished IPv6 address; half of a surrogate pair
        return False


def _path_of(url: str) -> str:
    from urllib.parse import unquote, urlsplit

    path = unquote(urlsplit(url).path)
    if os.name == "nt":
        from urllib.request import url2pathname  # it takes longer to import than all the rest

        path = url2pathname(path)
    return os.path.abspath(path)


def _file_url(path: str) -> str:
    from pathlib import Path

    return Path(path).as_uri()


def _project(folder: str) -> str:
    """The project that a source folder is of: itself, or the one above it (``src``)."""
    above = os.path.dirname(folder)
    for candidate in (folder, above):
        if any(os.path.isfile(os.path.join(candidate, name)) for name in PROJECT):
            return candidate
    return folder


def is_site(path: str) -> bool:
    """Whether a path leads into a folder that installers write to."""
    parts = path.split(os.sep)
    return any(site in parts for site in SITE_FOLDERS)


def _stamp(path: str) -> tuple[int, int]:
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return 0, 0
    return status.st_mtime_ns, status.st_ino
