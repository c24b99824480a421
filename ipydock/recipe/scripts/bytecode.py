"""Compile the modules that a notebook loads to bytecode: `python bytecode.py [KEPT] < NAMES`.

Without bytecode a notebook compiles all that it imports in every run; bytecode of all that is
installed takes three times as long to make, and room for what nobody loads. So each named module is
compiled with those that it imports at its top level, and those that these import, by as many
processes as there are CPUs. The bytecode holds no times (PEP 552), so that two builds are equal.

KEPT is a folder that outlives the build: what was compiled once for a source file is taken from it.
"""

from __future__ import annotations

import _imp
import bisect
import dis
import hashlib
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
MADE_BY = f"{sys.implementation.cache_tag}-{sys.hexversion:x}"
# What is indented below these lines is seldom run: imports for type checkers, of a module that is
# run as a program, and for where another one is missing.
SELDOM = re.compile(
    rb"^(?:if (?:\w+\.)?TYPE_CHECKING\b|if __name__ ==|except\b).*:.*\n(?:(?:[ \t#].*)?\n)*", re.M
)
# Named by a debugger for prompts that a notebook does not have: half of a terminal's libraries.
LEFT = {"_pydev_bundle.pydev_ipython_console", "_pydev_bundle.pydev_ipython_console_011"}


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


def seldom(source: bytes) -> list[tuple[int, int]]:
    """The lines of blocks that are seldom run: the number of the first and that behind the last."""
    blocks: list[tuple[int, int]] = []
    for match in SELDOM.finditer(source):
        first = source.count(b"\n", 0, match.start()) + 1
        blocks.append((first, first + match.group().count(b"\n")))
    return blocks


def imports(code: CodeType, source: bytes, package: str) -> Iterator[str]:
    """The names of the modules that a module's own code may import.

    Read from its bytecode, where IMPORT_NAME follows two constants: the number of leading dots and
    the names after `import` (the documentation of `dis`). Half as long again as compiling is what
    `dis` itself would take.
    """
    blocks = seldom(source)
    lines = list(dis.findlinestarts(code)) if blocks else []
    starts = [offset for offset, _ in lines]
    raw = code.co_code
    at = raw.find(IMPORT)
    while at >= 0:
        line = lines[bisect.bisect_right(starts, at) - 1][1] if blocks else None
        passed = line is not None and any(first <= line < last for first, last in blocks)
        if at % 2 == 0 and not passed:
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


def compiled(items: list[tuple[str, str]], kept: str) -> set[str]:
    """Compile source files; the names of what they import."""
    wanted: set[str] = set()
    for module, path in items:
        is_package = os.path.basename(path) == "__init__.py"
        try:
            wanted.update(bytecode(path, module if is_package else module.rpartition(".")[0], kept))
        except (OSError, SyntaxError, ValueError, RecursionError):
            continue  # some packages bring files for other versions of Python
    return wanted


def bytecode(path: str, package: str, kept: str) -> list[str]:
    """Write the bytecode of a source file, where it is not there; the names that it imports."""
    with open(path, "rb") as file:
        source = file.read()
    target = importlib.util.cache_from_source(path)
    if os.path.exists(target):
        with open(target, "rb") as file:
            # Past the header of PEP 552.
            return sorted(set(imports(marshal.loads(file.read()[16:]), source, package)))
    store = stored(path, source, kept)
    if os.path.exists(store):
        with open(store, "rb") as file:
            names, _, data = file.read().partition(b"\n")
        write(target, data)
        return names.decode().split()
    code = compile(source, path, "exec", dont_inherit=True)
    digest = importlib.util.source_hash(source)
    data = importlib.util.MAGIC_NUMBER + UNCHECKED + digest + marshal.dumps(code)
    write(target, data)
    found = sorted(set(imports(code, source, package)))
    if store:
        part = f"{store}.{os.getpid()}"  # another build may be at the same file
        write(part, " ".join(found).encode() + b"\n" + data)
        os.replace(part, store)
    return found


def stored(path: str, source: bytes, kept: str) -> str:
    """Where the bytecode of a source file is kept; it names the file and fits one Python."""
    if not kept:
        return ""
    digest = hashlib.sha256(path.encode() + b"\0" + source).hexdigest()
    return os.path.join(kept, MADE_BY, digest[:2], digest)


def write(path: str, data: bytes) -> None:
    """Write a file in a folder that need not be there."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)


def main(names: list[str], kept: str = "") -> None:
    """Compile the named modules and what they import."""
    sys.setrecursionlimit(10000)
    roots = [sysconfig.get_path(name) for name in ("purelib", "platlib", "stdlib")]
    # Some packages put a folder of theirs on the search path; it is named by its path.
    roots += [os.path.join(roots[0], name) for name in names if "/" in name]
    asked: set[str] = set(LEFT)
    known: set[str] = set()
    running: set[Future[set[str]]] = set()
    with ProcessPoolExecutor() as pool:

        def add(names: Iterable[str]) -> None:
            fresh: list[tuple[str, str]] = []
            for name in names:
                if name not in asked and not _imp.is_frozen(name):
                    asked.add(name)
                    fresh += (item for item in sources(roots, name) if item[1] not in known)
                    known.update(path for _, path in fresh)
            fresh = sorted(set(fresh))
            for start in range(0, len(fresh), BATCH):
                running.add(pool.submit(compiled, fresh[start : start + BATCH], kept))

        add(names)
        while running:
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            running.difference_update(done)
            add(set().union(*(future.result() for future in done)))


if __name__ == "__main__":
    main([name for name in sys.stdin.read().split() if MODULE.fullmatch(name)], *sys.argv[1:])
