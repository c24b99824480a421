"""Local modules, scripts and notebooks that the notebook uses, followed from import to import."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.machinery import EXTENSION_SUFFIXES

from .. import notebook
from ..errors import NotebookError
from ..files import is_secret
from ..models import LocalModule
from ..notebook_v4 import printable
from . import source
from .files import EVIDENCE, MOST_FILES, Folder
from .findings import Findings, Import, PathLiteral, Place, ScriptRun
from .names import LOADED_FIRST

# Modules that make notebooks importable, and what code that does so by hand has to name.
NOTEBOOK_IMPORTERS = frozenset({"import_ipynb", "nbimporter", "ipynb", "importnb", "nbdev"})


@dataclass(slots=True)
class Followed:
    """What following led to: everything the notebook and its modules say, and the modules.

    ``external`` are the imports that no file in the folder answers; ``modules`` maps a path to its
    name and the places that import it.
    """

    findings: Findings
    external: list[Import] = field(default_factory=list)
    modules: dict[str, tuple[str, list[Place]]] = field(default_factory=dict)


def follow(
    folder: Folder,
    findings: Findings,
    namespaces: frozenset[str] = frozenset(),
    roots: tuple[str, ...] = (),
    outside: Mapping[str, str] | None = None,
) -> Followed:
    """Follow the imports and scripts of a notebook through the files of its folder.

    Only what Python would import counts: a file ``name.py`` or a folder with ``__init__.py``, in
    the notebook's folder or in a folder inside it that the code puts on sys.path. Folders without
    ``__init__.py`` count if they are among ``namespaces``: only the environment can tell whether
    something installed comes before them. ``roots`` are folders inside that are on the search path
    of the captured environment. ``outside`` are modules, with their absolute paths, that a session
    was seen to load from outside the folder: these alone are read there.
    """
    follower = _Follower(folder, findings, namespaces, outside or {})
    follower.roots += roots
    follower.take(findings, "", ())
    follower.work()
    follower.package_data()
    return Followed(follower.findings, follower.external, follower.modules)


def local_modules(folder: Folder, followed: Followed) -> list[LocalModule]:
    """The modules as the Capture lists them, by path."""
    result = []
    for path, (name, places) in sorted(followed.modules.items()):
        data = folder.read(path, limit=100_000_000)
        if data is None:
            followed.findings.warnings.append(f"{places[0]}: {printable(path)} cannot be read.")
            continue
        result.append(
            LocalModule(
                name=name,
                path=path,
                sha256=hashlib.sha256(data).hexdigest(),
                size_bytes=len(data),
                evidence=tuple(place.evidence() for place in places),
            )
        )
    return result


class _Follower:
    def __init__(
        self,
        folder: Folder,
        findings: Findings,
        namespaces: frozenset[str],
        outside: Mapping[str, str],
    ) -> None:
        self.folder = folder
        self.outside = outside
        self.absolute: list[str] = []  # folders outside that sys.path gets by their absolute path
        self.namespaces = namespaces
        self.findings = findings
        self.external: list[Import] = []
        self.modules: dict[str, tuple[str, list[Place]]] = {}
        self.roots: list[str] = ["."]
        self.scanned: set[str] = set()
        self.generated: dict[str, str] = {}  # modules that a cell writes: path -> source
        self.runs: deque[ScriptRun] = deque()
        # (import, package of the importer as path, folders searched besides the roots)
        self.queue: deque[tuple[Import, str, tuple[str, ...]]] = deque()

    def take(self, found: Findings, package: str, extra: tuple[str, ...]) -> None:
        """Queue what one source says. ``package`` is the folder that relative imports start in."""
        for edit in found.search_paths:
            self._search_path(edit.path, edit.first, edit.place)
        for path, text in found.written_modules:
            inner = self.folder.relative(path)
            if inner is not None:
                self.generated[inner] = text
        self.runs.extend(found.runs)
        self.queue.extend((item, package, extra) for item in found.imports)

    def work(self) -> None:
        while self.queue or self.runs:
            if self.runs:
                self._run(self.runs.popleft())
                continue
            item, package, extra = self.queue.popleft()
            if item.level:
                self._relative(item, package)
            elif not self._absolute(item, extra):
                self.external.append(item)

    def package_data(self) -> None:
        """Let paths that start with a package lead to where the package was found."""
        paths = self.findings.paths
        for at, literal in enumerate(paths):
            top = literal.path.partition("/")[0]
            for root in self.roots[:]:
                if root != "." and literal.called and self.folder.kind(f"{root}/{top}") == "folder":
                    inner = self.folder.relative(f"{root}/{literal.path}")
                    if inner is not None and self.folder.kind(inner) == "file":
                        paths[at] = dataclasses.replace(literal, path=inner)

    def _search_path(self, path: str, first: bool, place: Place) -> None:
        inner = self.folder.relative(path)
        if inner is None:
            full = self.folder.full(path) or path
            if path.startswith("/"):
                self.absolute.append(full)
            if any(known.startswith(f"{full}/") for known in self.outside.values()):
                return
            self.findings.warnings.append(
                f"{place}: sys.path gets {printable(path[:200])}, which is outside the notebook's "
                "folder; modules from there are not captured unless they are named with --include."
            )
        elif inner not in self.roots and self.folder.kind(inner) == "folder":
            self.roots.insert(0 if first else len(self.roots), inner)

    def _absolute(self, item: Import, extra: tuple[str, ...]) -> bool:
        parts = item.module.split(".")
        if not parts[0] or parts[0] in LOADED_FIRST:
            return False
        beyond = [n for n in self.outside if n == parts[0] or n.startswith(f"{parts[0]}.")]
        for name in sorted(beyond):
            self._from_outside(name, self.outside[name], item.place)
        if beyond:
            return True
        for root in (*extra, *self.roots):
            base = "" if root == "." else root + "/"
            path = base + parts[0]
            if (
                self._find(path) is not None
                or any(path + end in self.generated for end in (".py", "/__init__.py"))
                or (parts[0] in self.namespaces and self.folder.kind(path) == "folder")
            ):
                self._chain(base, parts, item)
                return True
        return self._imported_notebook(item, extra)

    def _from_outside(self, name: str, full: str, place: Place) -> None:
        """A module that a session loaded from outside the folder."""
        by_name = any(full.startswith(f"{folder}/") for folder in self.absolute)
        path = full if by_name else self.folder.beside(full)
        if is_secret(path) or printable(path) != path or path in self.scanned:
            return
        self.modules.setdefault(path, (name, []))[1].append(place)
        self.scanned.add(path)
        data = self.folder.read(path)
        if data is not None:
            found = source.scan_module(_decoded(data), path)
            # What it imports of its own package was loaded too; the rest is searched for.
            self._merge(found, path.rpartition("/")[0], ())

    def _imported_notebook(self, item: Import, extra: tuple[str, ...]) -> bool:
        """A notebook beside this one that is imported as a module, if something can do so."""
        names = {found.module.partition(".")[0] for found in self.findings.imports}
        if names.isdisjoint(NOTEBOOK_IMPORTERS) and not self.findings.finds_notebooks:
            return False
        name = item.module.removeprefix("ipynb.fs.full.").removeprefix("ipynb.fs.defs.")
        for root in (*extra, *self.roots):
            path = name.replace(".", "/") + ".ipynb"
            path = path if root == "." else f"{root}/{path}"
            # Underscores may stand for the spaces in the name.
            for spelled in dict.fromkeys((path, path.replace("_", " "))):
                inner = self.folder.relative(spelled)
                if inner is not None and self.folder.kind(inner) == "file":
                    self.findings.paths.append(PathLiteral(inner, "read", item.place))
                    self._notebook(inner, item.place)
                    return True
        return False

    def _relative(self, item: Import, package: str) -> None:
        folders = package.split("/") if package else []
        if item.level - 1 > len(folders) or (item.level > 1 and not folders):
            return  # beyond the top-level package: Python refuses it too
        kept = folders[: len(folders) - (item.level - 1)]
        base = "/".join(kept) + "/" if kept else ""
        self._chain(base, item.module.split(".") if item.module else [], item)

    def _chain(self, base: str, parts: list[str], item: Import) -> None:
        """Take a.b.c with its parents, and those of the names taken from it that are modules."""
        path = base.rstrip("/")
        for part in parts:
            path = f"{path}/{part}" if path else part
            self._module(path, item.place)
        for name in item.names:
            if name != "*":
                self._module(f"{path}/{name}" if path else name, item.place)

    def _find(self, path: str) -> str | None:
        """The file of a module whose path without suffix is given."""
        for end in ("/__init__.py", ".py", *EXTENSION_SUFFIXES):
            inner = self.folder.relative(path + end)
            if inner is not None and self.folder.kind(inner) == "file":
                return inner
        return None

    def _module(self, path: str, place: Place) -> None:
        file = self._find(path)
        if file is None:
            for end in ("/__init__.py", ".py"):
                if path + end in self.generated and path + end not in self.scanned:
                    self.scanned.add(path + end)
                    found = source.scan_module(self.generated[path + end], path + end)
                    self._merge(found, path.rpartition("/")[0], ())
            return
        self._add(file, place)
        if file.endswith("/__init__.py") and file not in self.scanned:
            for count, inner in enumerate(self.folder.walk(file.rpartition("/")[0])):
                if count < MOST_FILES and inner.endswith((".py", *EXTENSION_SUFFIXES)):
                    self._add(inner, place)
        self._scan(file, ())

    def _add(self, file: str, place: Place) -> bool:
        if is_secret(file):
            warning = (
                f"{place}: {printable(file)} looks like it holds credentials; it is not captured."
            )
            if warning not in self.findings.warnings:
                self.findings.warnings.append(warning)
            return False
        name = file.removesuffix("/__init__.py")
        for suffix in (".py", *EXTENSION_SUFFIXES):
            name = name.removesuffix(suffix)
        for root in sorted(self.roots, key=len, reverse=True):
            if root != "." and name.startswith(root + "/"):
                name = name[len(root) + 1 :]
                break
        places = self.modules.setdefault(file, (name.replace("/", "."), []))[1]
        if place not in places and len(places) < EVIDENCE:
            places.append(place)
        return True

    def _scan(self, file: str, extra: tuple[str, ...]) -> None:
        if file in self.scanned or not file.endswith((".py", ".ipy")):
            return
        self.scanned.add(file)
        data = self.folder.read(file)
        if data is not None:
            found = source.scan_module(_decoded(data), file)
            self._merge(found, file.rpartition("/")[0], extra)

    def _merge(self, found: Findings, package: str, extra: tuple[str, ...]) -> None:
        before = len(self.findings.imports)
        self.findings.extend(found)
        # The imports as they are after merging: alternatives were renumbered.
        found.imports = self.findings.imports[before:]
        self.take(found, package, extra)

    def _run(self, run: ScriptRun) -> None:
        """A script is searched for its imports with its own folder first, as Python does."""
        inner = self.folder.relative(run.path)
        if inner is None or self.folder.kind(inner) != "file":
            known = inner in self.generated if inner is not None else False
            if not known:
                use = PathLiteral(run.path, "read", run.place)
                self.findings.paths.append(use)  # missing or outside, as any other file
            return
        where = inner.rpartition("/")[0]
        if inner.endswith(".ipynb"):
            self.findings.paths.append(PathLiteral(inner, "read", run.place))
            self._notebook(inner, run.place)
        elif self._add(inner, run.place):
            self._scan(inner, (where or ".",))

    def _notebook(self, inner: str, place: Place) -> None:
        if inner in self.scanned:
            return
        self.scanned.add(inner)
        data = self.folder.read(inner, limit=50_000_000)
        try:
            if data is None:
                raise NotebookError(f"{printable(inner)} cannot be read.")
            node = notebook.parse(data, printable(inner))
        except NotebookError as error:
            self.findings.warnings.append(f"{place}: {error.message}")
            return
        found = source.scan_cells(notebook.code_cells(node), path=inner)
        self._merge(found, "", ())


def _decoded(data: bytes) -> str:
    """Python source as text; a wrong declaration of its encoding is no reason to stop."""
    import io
    import tokenize

    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        return data.decode(encoding, "replace")
    except (SyntaxError, LookupError):
        return data.decode("utf-8", "replace")
