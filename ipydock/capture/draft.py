"""What the source says and the notebook's folder holds, before any environment is asked."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from .. import notebook
from ..notebook import Notebook
from ..notebook_v4 import printable
from . import files, local, source
from .findings import Findings, Import, Install, PathLiteral, Place

_MODULE = re.compile(r"\w{1,100}(\.\w{1,100}){0,9}")
ENOUGH = 50  # imports of one module that are asked about; more would only repeat


class Draft:
    """What the source says and the folder holds, before any environment is asked.

    ``base`` is the image whose system packages are to be named, ``included`` the paths of files
    that go into the image whatever is found.
    """

    def __init__(
        self, nb: Notebook, *, base: str | None = None, included: Collection[str] = ()
    ) -> None:
        """Scan the cells and follow them through the folder."""
        self.nb = nb
        self.base = base
        self.included = included
        self.folder = files.Folder(nb.folder)
        self.notes: list[str] = []
        self.namespaces: frozenset[str] = frozenset()
        self.roots: tuple[str, ...] = ()
        self.outside: dict[str, str] = {}  # modules that a session loaded from outside the folder
        self.said = source.scan_cells(notebook.code_cells(nb.node))
        self.follow()

    def follow(self) -> None:
        """Follow what the cells say (again, once more is known of where modules are)."""
        found = Findings()
        found.extend(self.said)
        self.followed = local.follow(self.folder, found, self.namespaces, self.roots, self.outside)
        self.findings = self.followed.findings
        for path, place in self.findings.requirement_files:
            self._requirement_file(path, place)

    def _requirement_file(self, path: str, place: Place) -> None:
        self.findings.paths.append(PathLiteral(path, "read", place))
        inner = self.folder.relative(path)
        data = self.folder.read(inner) if inner and self.folder.kind(inner) == "file" else None
        for line in (data or b"").decode("utf-8", "replace").splitlines():
            text = line.split(" #")[0].strip()
            if text and not text.startswith(("#", "-")):
                self.findings.installs.append(Install(text[:300], "pip", place))

    def learn(self, answers: list[tuple[Import, str]]) -> bool:
        """Take up what the environment finds in the folder; whether that is anything new."""
        before = (self.namespaces, self.roots)
        for item, path in answers:
            top = item.module.partition(".")[0]
            self.namespaces |= {top}
            folders = path.split("/")
            place = next((n for n, part in enumerate(folders) if part.partition(".")[0] == top), 0)
            root = "/".join(folders[:place])
            if root and root not in self.roots:
                self.roots += (root,)
                self.notes.append(
                    f"{item.place}: module {printable(top)} is found in {printable(root)}, which "
                    "is on the search path of the captured environment."
                )
        return (self.namespaces, self.roots) != before

    def learn_outside(self, loaded: Mapping[str, str]) -> bool:
        """Take up modules that a session loaded from elsewhere; whether that is anything new."""
        found = {name: path for name, path in loaded.items() if self.folder.relative(path) is None}
        changed = found != self.outside
        self.outside = found
        return changed

    def downloaded(self) -> frozenset[str]:
        """Modules that the notebook downloads when it runs."""
        found = (p.path for p in self.findings.paths if p.use == "download")
        return frozenset(path[:-3].rpartition("/")[2] for path in found if path.endswith(".py"))

    def modules(self) -> tuple[str, ...]:
        """Dotted names of what is imported from elsewhere, and of what may be modules in these."""
        found: set[str] = set()
        for item in self.followed.external:
            # A class is written with a capital letter (PEP 8); a function's name does no harm.
            names = (n for n in item.names[:ENOUGH] if n != "*" and n == n.lower())
            found.update((item.module, *(f"{item.module}.{name}" for name in names)))
        return tuple(sorted(name for name in found if _MODULE.fullmatch(name)))

    def request(self) -> dict[str, Any]:
        """What to ask the probe."""
        modules: dict[str, set[str]] = {}
        for item in self.followed.external:
            if item.module and not item.level and len(item.module) < 200:
                names = modules.setdefault(printable(item.module), set())
                names.update(n for n in item.names[:ENOUGH] if n != "*")
        return {
            "folder": str(self.nb.folder.absolute()),
            "modules": {name: sorted(modules[name]) for name in sorted(modules)},
        }
