"""What an interpreter knows about its modules: standard library only, Python 3.8 and later.

It runs in any interpreter (`ipydock.capture.interpreter` starts it): each line of standard input is
a request in JSON, each line of standard output an answer (`main`); `ipydock.capture.live` uses it
inside a kernel. Of ipydock it imports `metadata` alone, and never the modules that it is asked
about: it finds them as the import system would.
"""
# Paths are compared as text here, links unresolved, and os.path is a good part of the speed:
# ruff: noqa: PTH100, PTH109, PTH112, PTH113, PTH118, PTH119, PTH120, PTH123, PTH208

from __future__ import annotations

import functools
import importlib.machinery
import json
import os
import platform
import re
import sys
import sysconfig
from collections.abc import Iterable
from typing import Any

from .metadata import SITE_FOLDERS, Installation, is_site

PROTOCOL = 2
# A package that spreads over several distributions says so in its __init__.py (pkgutil's way and
# pkg_resources' way); a real one is never so short and has these words.
SPREAD = re.compile(rb"extend_path\s*\(|declare_namespace\s*\(")
SPREAD_SIZE = 4096  # bytes


class Environment:
    """The modules that one search path leads to."""

    def __init__(
        self, path: list[str], folder: str, installation: Installation | None = None
    ) -> None:
        """Use this search path; ``folder`` is the notebook's, which Python searches first."""
        self.folder = os.path.realpath(folder)
        self.installation = installation or Installation(path)
        self.path = [folder, *(entry for entry in self.installation.path if entry != folder)]
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
        origin, locations, finder = found
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
        result = self.place(parts[0], origin, locations, finder)
        result["package"] = package
        return result

    def _top(self, name: str) -> tuple[str | None, list[str], str | None] | None:
        """File (None for a namespace package), search folders and finder of a top-level module."""
        if name in sys.builtin_module_names:
            return "built-in", [], None
        before = sys.path[:]
        sys.path[:] = self.path
        try:
            for finder in list(sys.meta_path):
                file = _finder_file(finder)
                if file is not None and name in _built(finder):
                    return file, [], file
                find = getattr(finder, "find_spec", None)
                try:
                    spec = find(name, None) if find else None
                except Exception:  # noqa: BLE001, S112 - a finder of somebody's editable install
                    continue
                if spec is None:
                    continue
                folders = [str(p) for p in spec.submodule_search_locations or ()]
                origin = spec.origin if spec.has_location else None
                if origin is None and spec.origin in ("built-in", "frozen"):
                    origin = spec.origin
                if origin is not None and _is_spread(origin):
                    origin = None
                    others = (os.path.join(entry, name) for entry in self.path)
                    folders += [p for p in others if p not in folders and os.path.isdir(p)]
                return origin, folders, file
        finally:
            sys.path[:] = before
        return None

    def place(
        self, top: str, origin: str | None, locations: list[str], finder: str | None = None
    ) -> dict[str, Any]:
        """Who owns a module that was found; ``finder`` is the file of what found it."""
        installation = self.installation
        if origin in ("built-in", "frozen"):
            return {"kind": "stdlib"}
        if origin is None:
            local = [p for p in locations if self.is_local(p)]
            if local:
                return {"kind": "local", "path": self.relative(local[0]), "namespace": True}
            # PyQt5 says that it spreads, but only one distribution has its __init__.py.
            inits = [os.path.join(p, "__init__.py") for p in locations]
            names = {n for init in inits for n in installation.owners(init)}
            if len(names) != 1:
                names = {n for p in locations for n in installation.owners(p, folder=True)}
                names.update(n for p in locations for n in installation.of_source(p))
            return {
                "kind": "namespace",
                "distributions": sorted(names or installation.by_name(top, locations)),
            }
        path = os.path.abspath(origin)
        owners = installation.owners(path)
        if owners:
            return {"kind": "distribution", "distributions": owners}
        if self.is_stdlib(path):
            return {"kind": "stdlib"}
        if self.is_local(path):
            return {"kind": "local", "path": self.relative(path), "namespace": False}
        owners = (
            installation.of_source(path)
            or (installation.owners(finder) if finder else [])
            or installation.by_name(top, [os.path.dirname(path)])
        )
        if owners:
            return {"kind": "distribution", "distributions": owners}
        return {"kind": "unowned" if is_site(path) else "elsewhere"}

    def is_stdlib(self, path: str) -> bool:
        """Whether a file is of the standard library."""
        return any(
            path.startswith(folder + os.sep) and not is_site(path[len(folder) :])
            for folder in self.stdlib_folders
        )

    def is_local(self, path: str) -> bool:
        """In the notebook's folder, and not in an environment that happens to be inside it."""
        real = os.path.realpath(path)
        if real != self.folder and not real.startswith(self.folder.rstrip(os.sep) + os.sep):
            return False
        return not is_site(real[len(self.folder) :]) and not self.is_stdlib(real)

    def relative(self, path: str) -> str:
        """A path as POSIX relative to the notebook's folder."""
        return os.path.relpath(os.path.realpath(path), self.folder).replace(os.sep, "/")


# --- finding ---------------------------------------------------------------------------------


def _submodule(locations: list[str], name: str) -> tuple[str | None, list[str]] | None:
    """A module inside a package, by looking at files only: finders would import the parents."""
    namespace = []
    for folder in locations:
        package = os.path.join(folder, name)
        for suffix in importlib.machinery.all_suffixes():
            init = os.path.join(package, "__init__" + suffix)
            if os.path.isfile(init) and not _is_spread(init):
                return init, [package]
        for suffix in importlib.machinery.all_suffixes():
            if os.path.isfile(package + suffix):
                return package + suffix, []
        if os.path.isdir(package):
            namespace.append(package)
    return (None, namespace) if namespace else None


def _is_spread(init: str) -> bool:
    """Whether an __init__.py only says that its package spreads over several folders."""
    if os.path.basename(init) != "__init__.py":
        return False
    try:
        with open(init, "rb") as file:
            head = file.read(SPREAD_SIZE + 1)
    except OSError:
        return False
    return len(head) <= SPREAD_SIZE and SPREAD.search(head) is not None


def _finder_file(finder: Any) -> str | None:
    """The file of a finder that somebody installed, such as those of editable installs."""
    kind = finder if isinstance(finder, type) else type(finder)
    file = getattr(sys.modules.get(kind.__module__), "__file__", None)
    return os.path.abspath(file) if isinstance(file, str) else None


def _built(finder: Any) -> Iterable[str]:
    """The modules of a finder that compiles them when it is asked, which must not happen here.

    meson-python's editable installs do so always, scikit-build-core's where they were told to.
    """
    if hasattr(finder, "_top_level_modules"):
        return set(finder._top_level_modules)
    if getattr(finder, "rebuild_flag", False):
        known = (
            getattr(finder, "known_source_files", ()),
            getattr(finder, "known_wheel_files", ()),
        )
        return {name.partition(".")[0] for names in known for name in names}
    return ()


@functools.lru_cache(maxsize=1)
def _stdlib_folders() -> tuple[str, ...]:
    names = ("stdlib", "platstdlib")
    folders = {sysconfig.get_paths()[name] for name in names}
    if os.__file__:
        folders.add(os.path.dirname(os.__file__))
    return tuple(sorted({form(f) for f in folders for form in (os.path.abspath, os.path.realpath)}))


@functools.lru_cache(maxsize=1)
def _stdlib_names(folders: tuple[str, ...]) -> frozenset[str]:
    known = getattr(sys, "stdlib_module_names", None)
    if known is not None:
        return frozenset(known)
    names = set(sys.builtin_module_names)
    for folder in folders:
        for inside in (folder, os.path.join(folder, "lib-dynload")):
            for entry in os.listdir(inside) if os.path.isdir(inside) else ():
                stem = entry.split(".")[0]
                is_package = os.path.isfile(os.path.join(inside, entry, "__init__.py"))
                if is_package or entry.endswith((".py", ".so", ".pyd")):
                    names.add(stem)
    return frozenset(names)


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


# --- the ways to ask -------------------------------------------------------------------------


def answer_from(environment: Environment, request: dict[str, Any]) -> dict[str, Any]:
    """Answer ``{"folder": the notebook's folder, "modules": {dotted name: [names from it]}}``.

    The answer's ``modules`` has for each name (and for each ``from`` name of a namespace package)
    its ``kind``: ``stdlib``; ``distribution`` or ``namespace`` with ``distributions``; ``local``
    with ``path`` relative to the folder; ``elsewhere`` (on the search path, outside the folder, of
    no distribution); ``unowned`` (installed, but no metadata claims it); ``missing``. ``package``
    is the part of the name that is a package of its own: ``sklearn``, but ``google.cloud.storage``.
    ``programs`` are those that distributions put beside the interpreter, with the distribution.
    """
    return {
        "protocol": PROTOCOL,
        "executable": sys.executable,
        "prefix": sys.prefix,
        "modules_folder": next((p for p in sys.path if os.path.basename(p) == "lib-dynload"), ""),
        "python": _python(),
        "markers": _marker_environment(),
        "stdlib": sorted(environment.stdlib),
        "modules": modules_of(environment, request),
        "distributions": [dist.describe() for dist in environment.installation.all],
        "programs": environment.installation.programs(),
    }


def modules_of(environment: Environment, request: dict[str, Any]) -> dict[str, Any]:
    """The ``modules`` of `answer_from` alone."""
    result = {}
    for name, members in (request.get("modules") or {}).items():
        result[name] = place = environment.module(name)
        if place["kind"] == "namespace" or place.get("namespace"):
            # What is imported from a namespace package are packages of other distributions.
            for member in members:
                inner = name + "." + member
                result[inner] = environment.module(inner)
    return result


def main() -> None:
    """Answer each line of standard input, a request, with a line on standard output.

    The first answer is whole (`answer_from`), later ones have ``modules`` alone. Once something was
    installed or removed the answer is ``{"stale": true}`` and the process ends: what Python made of
    the environment when it started (.pth files, finders) holds no longer.
    """
    # Whatever a finder prints goes to standard error, and not between the answers.
    with os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8") as wire:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        path = _search_path()
        installation = Installation(path)
        first = installation.fingerprint()
        for number, line in enumerate(sys.stdin):
            request = json.loads(line)
            folder = str(request.get("folder") or os.getcwd())
            sys.path_importer_cache.pop(folder, None)  # files there come and go
            environment = Environment(path, folder, installation)
            told: dict[str, Any]
            if number == 0:
                told = answer_from(environment, request)
            elif installation.fingerprint() != first:
                told = {"protocol": PROTOCOL, "stale": True}
            else:
                told = {"protocol": PROTOCOL, "modules": modules_of(environment, request)}
            wire.write(json.dumps(told, sort_keys=True) + "\n")
            wire.flush()
            if told.get("stale"):
                return
