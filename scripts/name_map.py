"""Writes the name map: modules and the distributions that provide them, for what is not installed.

``python -m scripts.name_map FOLDER [--installed PREFIX ...]`` reads Debian's Contents indexes
(fetched into FOLDER, see `scripts.system_tables`) and the metadata of installed environments, and
writes ``ipydock/capture/tables/modules.txt.gz``; ``--check`` prints how many of the names in
``scripts/name_map_expected.txt`` come out right by each source, and which do not.

Debian's python3 packages hold the modules of one upstream project and its metadata folder
(``PyYAML-6.0.dist-info``), which names the distribution: facts that Debian's maintainers have
checked. Of the installed environments the file lists are read. No name is taken from an index.
"""

from __future__ import annotations

import argparse
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from ipydock.capture import names
from ipydock.capture.metadata import Installation, normalized

from . import tables
from .debian import ARCHIVE, RELEASES, Release

EXPECTED = Path(__file__).parent / "name_map_expected.txt"
LICENCE = "facts from Debian's indexes and from the metadata of installed packages"
INSIDE = re.compile(r"usr/lib/python3/dist-packages/(.+)")
INFO = re.compile(r"([A-Za-z0-9][A-Za-z0-9._]*?)-[^-/]*(?:-py3[.\d]*)?\.(?:dist|egg)-info(?:/.*)?")
MODULE = re.compile(r"((?:[A-Za-z]\w*/)*)(\w+)(?:\.cpython-[^/]+\.so|\.abi3\.so|\.py)")
# Of desktops and of Debian itself: what they call a distribution need not be one of PyPI.
LEFT_OUT = frozenset({"admin", "gnome", "kde", "x11", "debug", "oldlibs"})
MANY = 3  # distributions that share a name: then it is a namespace; modules that make one
# Names that projects put at the top level by mistake.
STRAY = frozenset(
    {"benchmark", "benchmarks", "bin", "build", "conftest", "data", "dist", "doc", "docs"}
    | {"example", "examples", "lib", "script", "scripts", "setup", "src", "test", "testing"}
    | {"tests", "tools", "util", "utils"}
)


class Map:
    """Modules with their distributions, and which source said so."""

    def __init__(self) -> None:
        self.found: dict[str, dict[str, str]] = defaultdict(dict)

    def add(self, modules: Iterable[str], distribution: str, source: str) -> None:
        """Take up what one package tells."""
        for module in modules:
            self.found[module].setdefault(distribution, source)

    def rows(self) -> dict[str, str]:
        """The lines of the table: ``pyyaml python3-yaml``; the most likely distribution first.

        A namespace that many share is left out: its parts are in the table.
        """
        rows = {}
        children: dict[str, set[str]] = defaultdict(set)
        for module, by in self.found.items():
            children[module.rpartition(".")[0]].update(by)
        for parent, shared in children.items():
            # google.type has forty modules, all of one distribution.
            inner = [m for m in self.found if m.startswith(parent + ".")]
            alone = len(shared) == 1 and len(inner) > MANY and parent not in self.found
            if alone and parent.count(".") == 1:
                self.found[parent] = dict(self.found[inner[0]])
        for module, by in self.found.items():
            if len(by) > MANY or len(children[module]) > MANY:
                continue
            ranked = sorted(by, key=lambda name: _rank(module, name))
            rows[module] = f"{','.join(ranked)} {by[ranked[0]]}"
        # A part of a package needs no line of its own, if it is the package's distribution anyway.
        return {m: row for m, row in rows.items() if not _covered(m, row, rows)}


def _rank(module: str, name: str) -> tuple[bool, int, str]:
    return name != normalized(module), len(name), name


def _covered(module: str, row: str, rows: dict[str, str]) -> bool:
    parent = module.rpartition(".")[0]
    same = rows.get(parent, "").partition(" ")[0] == row.partition(" ")[0]
    return bool(parent) and (same or _covered(parent, row, rows))


def from_debian(found: Map, release: Release) -> None:
    """Take up a release's packages that hold the modules of exactly one distribution."""
    sections = {p.name: p.section for p in release.packages().values()}
    modules: dict[str, set[str]] = defaultdict(set)
    infos: dict[str, set[str]] = defaultdict(set)
    for path, packages in release.files():
        inside = INSIDE.fullmatch(path)
        if inside is None:
            continue
        info = INFO.fullmatch(inside[1])
        for package in packages:
            if sections.get(package, "admin") in LEFT_OUT:
                continue
            if info:
                infos[package].add(normalized(info[1]))
            else:
                modules[package].add(inside[1])
    for package, named in infos.items():
        if len(named) == 1:
            (distribution,) = named
            found.add(tops(modules[package]), distribution, f"{package}/{release.name}")


def tops(paths: Iterable[str]) -> set[str]:
    """The modules that are imported by these names: ``yaml``, but ``google.auth``."""
    files = set(paths)
    packages = {path.rpartition("/")[0] for path in files if path.endswith("/__init__.py")}
    result = set()
    for path in files:
        module = MODULE.fullmatch(path)
        if module is None:
            continue
        folders = module[1].rstrip("/").split("/") if module[1] else []
        # The outermost package on the way to the file; without one, the file itself.
        outer = next(
            (n for n in range(1, len(folders) + 1) if "/".join(folders[:n]) in packages), None
        )
        parts = folders[:outer] if outer else [*folders, module[2]]
        if len(parts) <= 3 and parts[0] not in STRAY and not parts[-1].startswith("_"):
            result.add(".".join(parts))
    return result


def from_installed(found: Map, prefix: Path) -> None:
    """Take up the distributions of an environment, by their own file lists."""
    for site in sorted(prefix.glob("lib/python3*/site-packages")):
        for dist in Installation([str(site)]).all:
            paths = {line.partition(",")[0] for line in dist.record.split("\n")}
            if not dist.editable:
                found.add(tops(paths), normalized(dist.name), f"wheel/{dist.version}")


def expected() -> Iterator[tuple[str, str]]:
    """Import names and their distributions, as people who use them know them."""
    for line in EXPECTED.read_text("utf-8").splitlines():
        if line and not line.startswith("#"):
            module, _, distribution = line.partition(" ")
            yield module, distribution or module.replace("_", "-").replace(".", "-").lower()


def check() -> None:
    """Print how many names come out right by each source."""
    wanted = list(expected())
    sources: dict[str, Callable[[str], str | None]] = {
        "the name itself": lambda m: m.replace("_", "-").replace(".", "-").lower(),
        "the curated list": lambda m: _first(names.curated(m)),
        "the map": lambda m: _first(names.mapped(m)),
        "all together": lambda m: _first(names.look_up(m)),
    }
    for title, ask in sources.items():
        said = {module: ask(module) for module, _ in wanted}
        right = [module for module, distribution in wanted if said[module] == distribution]
        none = [module for module, _ in wanted if said[module] is None]
        wrong = [
            f"{m}: {said[m]}, not {d}" for m, d in wanted if said[m] is not None and said[m] != d
        ]
        print(f"{title}: {len(right)} of {len(wanted)} right, {len(wrong)} wrong, {len(none)} none")
        if title != "the name itself":
            print("   wrong:", "; ".join(wrong) or "none")
            print("   unknown:", " ".join(none) or "none")


def _first(known: names.Known | None) -> str | None:
    return known.distributions[0] if known else None


def main() -> None:
    """Write the map, or check it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", help="where the indexes are kept")
    parser.add_argument("--installed", type=Path, action="append", default=[])
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    if options.folder is not None:
        found = Map()
        for prefix in options.installed:
            from_installed(found, prefix)
        releases = [Release(name, options.folder) for name in reversed(RELEASES)]
        for release in releases:
            release.fetch()
            from_debian(found, release)
        dates = ", ".join(f"{release.name} of {release.date()}" for release in releases)
        source = f"{ARCHIVE} Contents of {dates}; file lists of installed wheels"
        tables.write("modules", found.rows(), source, releases[0].date(), LICENCE)
    if options.check or options.folder is None:
        check()


if __name__ == "__main__":
    main()
