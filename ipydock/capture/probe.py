"""What an interpreter knows about its modules: standard library only, Python 3.8 and later.

It runs as a script in any interpreter, ``python -I probe.py``, with a JSON request on standard
input and the answer as JSON on standard output (`answer`); `ipydock.capture.live` uses it inside a
kernel. It imports nothing of ipydock, and never the modules that it is asked about: it finds them
as the import system would.
"""
# Paths are compared as text here, links unresolved, and os.path is a good part of the speed:
# ruff: noqa: PTH100, PTH109, PTH112, PTH113, PTH118, PTH119, PTH120, PTH206, PTH208

from __future__ import annotations

import importlib.machinery
import importlib.metadata
import json
import os
import platform
import sys
import sysconfig
from collections.abc import Iterable
from typing import Any

PROTOCOL = 1
SITE_FOLDERS = ("site-packages", "dist-packages")


class Installed:
    """One installed distribution, read with as few parses as possible."""

    def __init__(self, dist: importlib.metadata.Distribution) -> None:
        """Read the headers of the metadata."""
        self.dist = dist
        text = dist.read_text("METADATA")
        fields = _headers(text if text is not None else dist.read_text("PKG-INFO") or _file(dist))
        self.name = (fields.get("name") or [""])[0]
        self.version = (fields.get("version") or [""])[0]
        # Old egg-info keeps its requirements in a file of another form, which `requires` reads.
        self.requires = fields.get("requires-dist", []) if text else list(dist.requires or [])
        self.location = os.path.abspath(str(dist.locate_file("")))
        self.direct_url = _json_object(dist.read_text("direct_url.json"))
        self._record: str | None = None

    @property
    def record(self) -> str:
        """The file list: a line of path and hash each, with a line break before the first."""
        if self._record is None:
            text = self.dist.read_text("RECORD")
            if text is None:
                text = self.dist.read_text("installed-files.txt") or ""
                # Those paths start at the egg-info folder and have no hash.
                text = "".join(_upward(line) + ",\n" for line in text.splitlines())
            self._record = "\n" + text.replace("\r\n", "\n").replace("\\", "/").replace('"', "")
        return self._record

    @property
    def editable(self) -> str | None:
        """The folder of an editable install, None for any other."""
        url = self.direct_url.get("url", "")
        info = self.direct_url.get("dir_info")
        if isinstance(info, dict) and info.get("editable") and url.startswith("file://"):
            return _path_of(url)
        return None

    def owns(self, path: str) -> bool:
        """Whether the file list has this file."""
        prefix = self.location.rstrip(os.sep) + os.sep
        if not path.startswith(prefix):
            return False
        relative = path[len(prefix) :].replace(os.sep, "/")
        return ("\n" + relative + ",") in self.record

    def top_level(self) -> list[str]:
        """The top-level modules as old metadata lists them."""
        return (self.dist.read_text("top_level.txt") or "").split()

    def describe(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "name": self.name,
            "version": self.version,
            "requires": self.requires,
            "direct_url": self.direct_url or None,
            "installer": (self.dist.read_text("INSTALLER") or "").strip(),
        }


class Environment:
    """The modules and distributions that one search path leads to."""

    def __init__(self, path: list[str], folder: str) -> None:
        """Use this search path; ``folder`` is the notebook's, which Python searches first."""
        self.folder = os.path.realpath(folder)
        self.path = [folder] + [entry for entry in path if entry not in ("", folder)]
        self.installed = _installed([entry for entry in path if entry not in ("", folder)])
        self.stdlib_folders = _stdlib_folders()
        self.stdlib = _stdlib_names(self.stdlib_folders)

    def module(self, name: str) -> dict[str, Any]:
        """Where a (dotted) module comes from, see `answer`."""
        parts = name.split(".")
        if not all(part.isidentifier() for part in parts):
            return {"kind": "missing"}
        found = self._top(parts[0])
        if found is None:
            return {"kind": "missing"}
        origin, locations = found
        package = parts[0]
        for depth, part in enumerate(parts[1:], start=2):
            step = _submodule(locations, part)
            if step is None:
                if origin is None:
                    return {"kind": "missing"}  # nothing of that name in a namespace package
                break  # an attribute, or a module that an import hook makes
            if origin is None:
                package = ".".join(parts[:depth])
            origin, locations = step
        result = self.place(parts[0], origin, locations)
        result["package"] = package
        return result

    def _top(self, name: str) -> tuple[str | None, list[str]] | None:
        """File (None for a namespace package) and search folders of a top-level module."""
        if name in sys.builtin_module_names:
            return "built-in", []
        before = sys.path[:]
        sys.path[:] = self.path
        try:
            for finder in list(sys.meta_path):
                find = getattr(finder, "find_spec", None)
                try:
                    spec = find(name, None) if find else None
                except Exception:  # noqa: BLE001, S112 - a finder of somebody's editable install
                    continue
                if spec is not None:
                    origin = spec.origin if spec.has_location else None
                    if origin is None and spec.origin in ("built-in", "frozen"):
                        origin = spec.origin
                    return origin, [str(p) for p in spec.submodule_search_locations or ()]
        finally:
            sys.path[:] = before
        return None

    def place(self, top: str, origin: str | None, locations: list[str]) -> dict[str, Any]:
        """Who owns a module that was found."""
        if origin in ("built-in", "frozen"):
            return {"kind": "stdlib"}
        if origin is None:
            local = [p for p in locations if self.is_local(p)]
            if local:
                return {"kind": "local", "path": self.relative(local[0]), "namespace": True}
            return {"kind": "namespace", "distributions": self._by_name(top, locations)}
        path = os.path.abspath(origin)
        owners = [d.name for d in self.installed if d.owns(path)]
        if owners:
            return {"kind": "distribution", "distributions": sorted(owners)}
        if self.is_stdlib(path):
            return {"kind": "stdlib"}
        if self.is_local(path):
            return {"kind": "local", "path": self.relative(path), "namespace": False}
        owners = self._of_editable(path) or self._by_name(top, [os.path.dirname(path)])
        if owners:
            return {"kind": "distribution", "distributions": owners}
        inside = any(part in SITE_FOLDERS for part in path.split(os.sep))
        return {"kind": "unowned" if inside else "elsewhere"}

    def is_stdlib(self, path: str) -> bool:
        """Whether a file is of the standard library."""
        return any(
            path.startswith(folder + os.sep)
            and not any(site in path[len(folder) :].split(os.sep) for site in SITE_FOLDERS)
            for folder in self.stdlib_folders
        )

    def is_local(self, path: str) -> bool:
        """In the notebook's folder, and not in an environment that happens to be inside it."""
        real = os.path.realpath(path)
        if real != self.folder and not real.startswith(self.folder.rstrip(os.sep) + os.sep):
            return False
        inner = real[len(self.folder) :].split(os.sep)
        return not any(site in inner for site in SITE_FOLDERS) and not self.is_stdlib(real)

    def relative(self, path: str) -> str:
        """A path as POSIX relative to the notebook's folder."""
        return os.path.relpath(os.path.realpath(path), self.folder).replace(os.sep, "/")

    def _of_editable(self, path: str) -> list[str]:
        real = os.path.realpath(path)
        found = []
        for dist in self.installed:
            source = dist.editable
            if source and real.startswith(os.path.realpath(source).rstrip(os.sep) + os.sep):
                found.append((-len(source), dist.name))
        return [name for _, name in sorted(found)][:1]

    def _by_name(self, top: str, locations: list[str]) -> list[str]:
        """Distributions whose old metadata or file list has a folder of that name."""
        owners = set()
        for dist in self.installed:
            inside = any(p.startswith(dist.location.rstrip(os.sep) + os.sep) for p in locations)
            if inside and (top in dist.top_level() or ("\n" + top + "/") in dist.record):
                owners.add(dist.name)
        return sorted(owners)


# --- finding ---------------------------------------------------------------------------------


def _submodule(locations: list[str], name: str) -> tuple[str | None, list[str]] | None:
    """A module inside a package, by looking at files only: finders would import the parents."""
    namespace = []
    for folder in locations:
        package = os.path.join(folder, name)
        for suffix in importlib.machinery.all_suffixes():
            if os.path.isfile(os.path.join(package, "__init__" + suffix)):
                return os.path.join(package, "__init__" + suffix), [package]
        for suffix in importlib.machinery.all_suffixes():
            if os.path.isfile(package + suffix):
                return package + suffix, []
        if os.path.isdir(package):
            namespace.append(package)
    return (None, namespace) if namespace else None


def _installed(path: list[str]) -> list[Installed]:
    """The distributions on a search path; of several with one name the first, as pip sees it."""
    found: dict[str, Installed] = {}
    for dist in importlib.metadata.distributions(path=path):
        try:
            entry = Installed(dist)
        except Exception:  # noqa: BLE001, S112 - metadata can be broken in any way
            continue
        if entry.name and entry.version:
            found.setdefault(normalized(entry.name), entry)
    return [found[name] for name in sorted(found)]


def normalized(name: str) -> str:
    """A distribution's name as PEP 503 compares names."""
    out: list[str] = []
    for char in name.lower():
        if char in "-_.":
            if not out or out[-1] != "-":
                out.append("-")
        else:
            out.append(char)
    return "".join(out)


def _headers(text: str) -> dict[str, list[str]]:
    fields: dict[str, list[str]] = {}
    for line in text.split("\n\n", 1)[0].splitlines():
        key, colon, value = line.partition(":")
        if colon and not key[:1].isspace():
            fields.setdefault(key.lower(), []).append(value.strip())
    return fields


def _file(dist: importlib.metadata.Distribution) -> str:
    """The metadata where egg-info is a single file."""
    return dist.read_text("") or ""


def _upward(line: str) -> str:
    return line[3:] if line.startswith(("../", "..\\")) else "egg-info/" + line


def _json_object(text: str | None) -> dict[str, Any]:
    try:
        value = json.loads(text or "{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _path_of(url: str) -> str:
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    return os.path.abspath(url2pathname(urlsplit(url).path))


def _stdlib_folders() -> list[str]:
    names = ("stdlib", "platstdlib")
    folders = {sysconfig.get_paths()[name] for name in names}
    if os.__file__:
        folders.add(os.path.dirname(os.__file__))
    return sorted({form(f) for f in folders for form in (os.path.abspath, os.path.realpath)})


def _stdlib_names(folders: Iterable[str]) -> set[str]:
    known = getattr(sys, "stdlib_module_names", None)
    if known is not None:
        return set(known)
    names = set(sys.builtin_module_names)
    for folder in folders:
        for inside in (folder, os.path.join(folder, "lib-dynload")):
            for entry in os.listdir(inside) if os.path.isdir(inside) else ():
                stem = entry.split(".")[0]
                is_package = os.path.isfile(os.path.join(inside, entry, "__init__.py"))
                if is_package or entry.endswith((".py", ".so", ".pyd")):
                    names.add(stem)
    return names


def _python() -> dict[str, str]:
    return {
        "version": platform.python_version(),
        "implementation": platform.python_implementation(),
        "system": sys.platform,
        "machine": platform.machine(),
    }


def _marker_environment() -> dict[str, str]:
    """What PEP 508 markers are evaluated against."""
    version = sys.implementation.version
    text = f"{version.major}.{version.minor}.{version.micro}"
    if version.releaselevel != "final":
        text += version.releaselevel[0] + str(version.serial)
    return {
        "implementation_name": sys.implementation.name,
        "implementation_version": text,
        "os_name": os.name,
        "platform_machine": platform.machine(),
        "platform_python_implementation": platform.python_implementation(),
        "platform_release": platform.release(),
        "platform_system": platform.system(),
        "platform_version": platform.version(),
        "python_full_version": platform.python_version(),
        "python_version": ".".join(platform.python_version_tuple()[:2]),
        "sys_platform": sys.platform,
    }


def _search_path() -> list[str]:
    """sys.path as a kernel has it: isolated mode leaves out PYTHONPATH and the user's packages."""
    path = [entry for entry in sys.path if entry]
    if not sys.flags.isolated:
        return path
    import site

    extra = [os.path.abspath(p) for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p]
    in_venv = sys.prefix != sys.base_prefix
    if not in_venv and not os.environ.get("PYTHONNOUSERSITE"):
        user = site.getusersitepackages()
        if os.path.isdir(user):
            before = set(sys.path)
            site.addsitedir(user)
            added = [entry for entry in sys.path if entry not in before]
            where = [i for i, p in enumerate(path) if os.path.basename(p) in SITE_FOLDERS]
            path[where[0] if where else len(path) : 0] = added
    return extra + path


# --- the two ways to ask ---------------------------------------------------------------------


def answer(request: dict[str, Any], path: list[str] | None = None) -> dict[str, Any]:
    """Answer ``{"folder": the notebook's folder, "modules": {dotted name: [names from it]}}``.

    The answer's ``modules`` has for each name (and for each ``from`` name of a namespace package)
    its ``kind``: ``stdlib``; ``distribution`` or ``namespace`` with ``distributions``; ``local``
    with ``path`` relative to the folder; ``elsewhere`` (on the search path, outside the folder, of
    no distribution); ``unowned`` (installed, but no metadata claims it); ``missing``. ``package``
    is the part of the name that is a package of its own: ``sklearn``, but ``google.cloud.storage``.
    """
    environment = Environment(path or _search_path(), str(request.get("folder") or os.getcwd()))
    return answer_from(environment, request)


def answer_from(environment: Environment, request: dict[str, Any]) -> dict[str, Any]:
    """`answer` for an environment that has been read already."""
    return {
        "protocol": PROTOCOL,
        "executable": sys.executable,
        "python": _python(),
        "markers": _marker_environment(),
        "stdlib": sorted(environment.stdlib),
        "modules": _modules(environment, request.get("modules") or {}),
        "distributions": [dist.describe() for dist in environment.installed],
    }


def _modules(environment: Environment, asked: dict[str, list[str]]) -> dict[str, Any]:
    result = {}
    for name, members in asked.items():
        result[name] = place = environment.module(name)
        if place["kind"] == "namespace" or place.get("namespace"):
            # What is imported from a namespace package are packages of other distributions.
            for member in members:
                inner = name + "." + member
                result[inner] = environment.module(inner)
    return result


def main() -> None:
    """Read a request from standard input and print the answer."""
    request = json.load(sys.stdin)
    sys.stdout.write(json.dumps(answer(request), sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
