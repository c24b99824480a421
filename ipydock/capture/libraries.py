"""The system libraries that distributions load: what their compiled modules need and no wheel has.

A wheel brings its libraries along (``numpy.libs``), or another one does (``nvidia-cublas-cu12``).
What is left over has to come from the system. Libraries that lie in a wheel without any module
needing them are plug-ins, tried and done without (Qt's for databases, onnxruntime's for graphics
cards): they count only where nothing else of the distribution does, as with lightgbm, which opens
its library by its path.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from . import elf
from .curated import COMPILED
from .distributions import Distribution, Environment

SHARED = re.compile(r'^"?([^,"\n]*\.so(?:\.[^,"/\n]*)?)"?,', re.MULTILINE)
MODULE = re.compile(r"\.(?:cpython-[^/]*|pypy[^/]*|abi3)\.so$")
# Of the interpreter and the loader; the driver of a graphics card comes from the machine that runs
# the container.
ELSEWHERE = re.compile(
    r"libpython3.*|ld-linux.*|ld64\.so.*|lib(?:cuda|nvidia-[\w-]+|nvcuvid|nvoptix)\.so.*"
)
# What a distribution's modules try and do without.
OPTIONAL = {
    # The threading layers: tbb, then omp, then its own (numba's documentation, "Threading layers").
    "numba": re.compile(r"lib(?:tbb|gomp)\.so.*"),
}


@dataclass(frozen=True, slots=True)
class Shared:
    """A shared library of a distribution: its names, what it needs, whether Python imports it."""

    names: tuple[str, str]
    needed: tuple[str, ...]
    module: bool


def needed(environment: Environment, names: Iterable[str]) -> dict[str, frozenset[str]]:
    """For each of these distributions the sonames that it needs and none of them has.

    The image gets wheels of Linux. What conda put in needs conda's libraries, of which a wheel of
    the same name knows nothing, and files of macOS say nothing of it either: there a table serves.
    """
    dists = [environment.installed[name] for name in sorted(set(names))]
    linux = environment.answer["python"]["system"] == "linux"
    read = [dist for dist in dists if linux and dist.installer != "conda"]
    files = {str(dist.name): _of(dist) for dist in read}
    brought: dict[str, list[tuple[str, Shared]]] = {}
    for name, listed in files.items():
        for file in listed:
            for soname in set(file.names):
                brought.setdefault(soname, []).append((name, file))
    reached: set[tuple[str, Shared]] = set()
    _reach([(n, f) for n, listed in files.items() for f in listed if f.module], brought, reached)
    used = {name for name, _ in reached}
    _reach(
        [(n, f) for n, listed in files.items() if n not in used for f in listed], brought, reached
    )
    found: dict[str, set[str]] = {
        dist.name: set(COMPILED[dist.name])
        for dist in dists
        if dist.name in COMPILED and dist.name not in files
    }
    for name, file in reached:
        for soname in file.needed:
            optional = name in OPTIONAL and OPTIONAL[name].fullmatch(soname)
            if soname not in brought and not ELSEWHERE.fullmatch(soname) and not optional:
                found.setdefault(name, set()).add(soname)
    return {name: frozenset(found[name]) for name in sorted(found)}


def besides_interpreter(environment: Environment, paths: Iterable[str]) -> list[str]:
    """Of libraries in memory, those that are not there because Python itself needs them.

    Its own (libssl, libsqlite3) differ from one build to the next, and the image's Python has its.
    """
    modules = environment.answer["modules_folder"]
    files = [Path(environment.answer["executable"])]
    files += sorted(Path(modules).glob("*.so")) if modules else []
    own = {soname for file in files if (said := _elf(str(file))) for soname in said.needed}
    named = {path: (said.soname if (said := elf.read(path)) else "") for path in paths}
    names = {soname: path for path, soname in named.items()}
    queue = list(own)
    while queue:
        path = names.get(queue.pop())
        said = elf.read(path) if path else None
        fresh = set(said.needed) - own if said else set()
        own |= fresh
        queue += fresh
    return sorted(path for path, soname in named.items() if soname not in own)


@functools.lru_cache(maxsize=1024)
def _elf(path: str) -> elf.Elf | None:
    return elf.read(path)


def _reach(
    queue: list[tuple[str, Shared]],
    brought: dict[str, list[tuple[str, Shared]]],
    reached: set[tuple[str, Shared]],
) -> None:
    """Add to ``reached`` the files in the queue and all that they need of what is brought."""
    while queue:
        item = queue.pop()
        if item not in reached:
            reached.add(item)
            for soname in item[1].needed:
                queue += brought.get(soname, ())


def _of(dist: Distribution) -> tuple[Shared, ...]:
    try:
        changed = Path(dist.info).stat().st_mtime_ns
    except OSError:
        changed = 0
    return _read(dist.info, dist.site, changed)


@functools.lru_cache(maxsize=4096)
def _read(info: str, site: str, _changed: int) -> tuple[Shared, ...]:
    """The shared libraries in a distribution's list of files."""
    try:
        record = Path(info, "RECORD").read_text("utf-8", "replace")
    except OSError:
        return ()
    listed = SHARED.findall(record) if ".so" in record else []
    tagged = any(MODULE.search(name) for name in listed)
    found = []
    for name in listed:
        said = elf.read(f"{site}/{name}")
        if said is not None:
            base = name.rpartition("/")[2]
            plain = not tagged and not base.startswith("lib") and base.endswith(".so")
            module = plain or MODULE.search(name) is not None
            found.append(Shared((base, said.soname or base), said.needed, module))
    return tuple(found)
