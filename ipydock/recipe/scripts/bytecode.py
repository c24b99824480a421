"""Compile the modules that a notebook loads to bytecode: `python bytecode.py < NAMES`.

Without bytecode a notebook compiles all that it imports in every run; bytecode of all that is
installed takes three times as long to make, and room for what nobody loads. So each named module is
compiled with those that it imports at its top level, and those that these import, by as many
processes as there are CPUs. The bytecode holds no times (PEP 552), so that two builds are equal.
"""

from __future__ import annotations

import dis
import importlib.util
import marshal
import os
import re
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from types import CodeType

BATCH = 8  # modules at once: handing them over one by one costs as much as compiling them
UNCHECKED = b"\1\0\0\0"  # the flags of PEP 552: a hash instead of a time, not compared
MODULE = re.compile(r"\w+([./]\w+)*")
IMPORT = dis.opmap["IMPORT_NAME"]
EXTENDED = dis.opmap["EXTENDED_ARG"]
CONSTANTS = {dis.opmap[name] for name in ("LOAD_CONST", "LOAD_SMALL_INT") if name in dis.opmap}
SMALL = dis.opmap.get("LOAD_SMALL_INT")


def sources(roots: list[str], name: str) -> list[tuple[str, str]]:
    """The source files that importing a dotted name runs, as pairs of module name and path."""
    parts = name.split(".")
    for root in roots:
        path, found = root, []
        for number, part in enumerate(parts, 1):
            path = os.path.join(path, part)
            if os.path.isfile(os.path.join(path, "__init__.py")):
                found.append((".".join(parts[:number]), os.path.join(path, "__init__.py")))
            elif os.path.isfile(path + ".py"):
                found.append((".".join(parts[:number]), path + ".py"))
                break
            elif not os.path.isdir(path):
                break
        if found:
            return found
    return []


def constant(code: CodeType, at: int) -> object:
    """The constant that the instruction at an index of the bytecode loads, else None."""
    raw = code.co_code
    if at < 0 or raw[at] not in CONSTANTS:
        return None
    value, shift, before = raw[at + 1], 8, at - 2
    if raw[at] == SMALL:
        return value
    while before >= 0 and raw[before] == EXTENDED:
        value |= raw[before + 1] << shift
        shift, before = shift + 8, before - 2
    return code.co_consts[value]


def imports(code: CodeType, package: str) -> Iterator[str]:
    """The names of the modules that a module's own code may import.

    Read from its bytecode, where IMPORT_NAME follows two constants: the number of leading dots and
    the names after `import` (the documentation of `dis`). Half as long again as compiling is what
    `dis` itself would take.
    """
    raw = code.co_code
    at = raw.find(IMPORT)
    while at >= 0:
        if at % 2 == 0:
            index, shift, before = raw[at + 1], 8, at - 2
            while before >= 0 and raw[before] == EXTENDED:
                index |= raw[before + 1] << shift
                shift, before = shift + 8, before - 2
            names = constant(code, before)
            before -= 2
            while before >= 0 and raw[before] == EXTENDED:
                before -= 2
            level = constant(code, before)
            yield from joined(code.co_names[index], level, names, package)
        at = raw.find(IMPORT, at + 1)


def joined(base: str, level: object, names: object, package: str) -> Iterator[str]:
    """The module names of one import statement."""
    if isinstance(level, int) and level:
        above = package.split(".")
        above = above[: len(above) - level + 1]
        base = ".".join([*above, base] if base else above)
    yield base
    for name in names if isinstance(names, tuple) else ():
        if name != "*":
            yield base + "." + name


def compiled(items: list[tuple[str, str]]) -> set[str]:
    """Compile source files; the names of what they import."""
    wanted: set[str] = set()
    for module, path in items:
        is_package = os.path.basename(path) == "__init__.py"
        try:
            code = bytecode(path)
        except (OSError, SyntaxError, ValueError, RecursionError):
            continue  # some packages bring files for other versions of Python
        wanted.update(imports(code, module if is_package else module.rpartition(".")[0]))
    return wanted


def bytecode(path: str) -> CodeType:
    """The code of a source file, which is compiled and kept if it was not before."""
    target = importlib.util.cache_from_source(path)
    if os.path.exists(target):
        with open(target, "rb") as file:
            kept: CodeType = marshal.loads(file.read()[16:])  # past the header of PEP 552
            return kept
    with open(path, "rb") as file:
        source = file.read()
    code = compile(source, path, "exec", dont_inherit=True)
    digest = importlib.util.source_hash(source)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with open(target, "wb") as file:
        file.write(importlib.util.MAGIC_NUMBER + UNCHECKED + digest + marshal.dumps(code))
    return code


def main(names: list[str]) -> None:
    """Compile the named modules and what they import."""
    sys.setrecursionlimit(10000)
    roots = [sysconfig.get_path(name) for name in ("purelib", "platlib", "stdlib")]
    # Some packages put a folder of theirs on the search path; it is named by its path.
    roots += [os.path.join(roots[0], name) for name in names if "/" in name]
    asked: set[str] = set()
    known: set[str] = set()
    running: set[Future[set[str]]] = set()
    with ProcessPoolExecutor() as pool:

        def add(names: Iterable[str]) -> None:
            fresh: list[tuple[str, str]] = []
            for name in names:
                if name not in asked:
                    asked.add(name)
                    fresh += (item for item in sources(roots, name) if item[1] not in known)
                    known.update(path for _, path in fresh)
            fresh = sorted(set(fresh))
            for start in range(0, len(fresh), BATCH):
                running.add(pool.submit(compiled, fresh[start : start + BATCH]))

        add(names)
        while running:
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            running.difference_update(done)
            add(set().union(*(future.result() for future in done)))


if __name__ == "__main__":
    main([name for name in sys.stdin.read().split() if MODULE.fullmatch(name)])
