"""What a live process depends on besides packages: standard library only, as the probe.

Shared libraries in memory, versions that were changed under it, locale, time zone, random numbers.
"""
# Paths are compared as text here, links unresolved:
# ruff: noqa: PTH116, PTH118, PTH119, PTH123

from __future__ import annotations

import locale
import os
import re
import sys
import sysconfig
import types
from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter
from typing import Any

# How each generator is seeded, in the code that was run.
SEEDS = {
    "random": r"\brandom\.seed\s*\(",
    "torch": r"\btorch\.(?:random\.)?manual_seed\s*\(",
    "tensorflow": r"\brandom\.set_seed\s*\(|\bset_random_seed\s*\(",
    "jax": r"\brandom\.(?:PRNGKey|key)\s*\(",
}
ANY_SEED = re.compile(r"seed|PRNGKey", re.IGNORECASE)
OWN_LIBRARY = re.compile(r"libpython[\d.]+[a-z]*\.so")
_BUILT_IN = (types.BuiltinFunctionType, types.MethodType)

# Values of a session are looked at without running their code: isinstance() and getattr() would
# ask a lazy object what it stands for, and vars() would load a lazy module.
_MODULE_OF_CLASS: Callable[[Any], Any] = type.__dict__["__module__"].__get__


def is_module(value: object) -> bool:
    """Whether a value really is a module, and not an object that says so."""
    return issubclass(type(value), types.ModuleType)


def contents(module: object) -> dict[str, Any]:
    """A module's variables; those of a lazy one as they are, without loading it."""
    found: dict[str, Any] = object.__getattribute__(module, "__dict__")
    return found


def naming(kind: type) -> Callable[[Any], Any] | None:
    """What tells which module values of a type are from; None for all but these.

    Modules themselves, Python's functions and classes.
    """
    if kind is types.FunctionType:
        return attrgetter("__module__")
    if issubclass(kind, type):
        return _MODULE_OF_CLASS
    if issubclass(kind, types.ModuleType):
        return lambda module: contents(module).get("__name__")
    return None


def libraries(outside: Iterable[str]) -> list[str] | None:
    """Absolute paths of the shared libraries in memory that are the system's, sorted.

    Left out are those of the interpreter and of distributions.

    Args:
        outside: folders of distributions that are not in a site-packages folder.

    Returns:
        None where the platform does not tell, as everywhere but on Linux.
    """
    try:
        with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as maps:
            # address permissions offset device inode path; a path is there once for each segment
            paths = {line[line.index("/") :].rstrip("\n") for line in maps if "/" in line}
    except OSError:
        return None
    own = (*interpreter_folders(), *(os.path.join(folder, "") for folder in outside))
    return sorted(
        path
        for path in (p[:-10] if p.endswith(" (deleted)") else p for p in paths)
        if (path.endswith(".so") or ".so." in path)
        and not path.startswith(own)
        and "/site-packages/" not in path
        and "/dist-packages/" not in path
        and not OWN_LIBRARY.match(os.path.basename(path))
    )


def interpreter_folders() -> tuple[str, ...]:
    """Where the interpreter's own libraries and programs are, with a slash at the end."""
    folders = {sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib")}
    for prefix in (sys.prefix, sys.base_prefix):
        if prefix not in ("/usr", "/usr/local", "/"):
            folders.update(os.path.join(prefix, name) for name in ("lib", "bin"))
    folders |= {os.path.realpath(folder) for folder in folders}
    return tuple(sorted(os.path.join(folder, "") for folder in folders))


def changed_versions(
    modules: Mapping[str, types.ModuleType],
    owners: Mapping[str, str | None],
    installed: Iterable[Any],
) -> dict[str, str]:
    """The version in memory of distributions that were installed anew since this process began.

    A ``__version__`` that differs from the metadata proves nothing alone: many are written by hand
    and not kept up. So the metadata must be younger than the process too; where its age is not
    known, nothing is told.
    """
    began = _began()
    if began is None:
        return {}
    younger = {}
    for dist in installed:
        try:
            if os.stat(dist.info).st_ctime > began:
                younger[dist.name] = dist.version
        except OSError:
            continue  # removed since it was read
    found = {}
    for name, module in modules.items():
        owner = owners.get(name)
        if owner is not None and owner in younger and "." not in name:
            loaded = contents(module).get("__version__")
            if isinstance(loaded, str) and _form(loaded) != _form(younger[owner]):
                found[owner] = loaded.strip()[:60]
    return found


def _began() -> float | None:
    """When this process started, in seconds since the epoch; None where it is not known."""
    try:
        with open("/proc/self/stat", encoding="utf-8", errors="replace") as file:
            ticks = int(file.read().rpartition(")")[2].split()[19])
        with open("/proc/stat", encoding="utf-8") as file:
            booted = next(int(line.split()[1]) for line in file if line.startswith("btime "))
        return booted + 1 + ticks / os.sysconf("SC_CLK_TCK")  # btime is in whole seconds
    except (OSError, ValueError, IndexError, StopIteration):
        return None


def _form(version: str) -> list[str]:
    """A version for comparing: 2024.07.1 is 2024.7.1, and what follows a space is no part of it."""
    words = version.strip().split(" ")[0].lower().split("+")[0]
    return [part.lstrip("0") or "0" for part in re.findall(r"\d+|[a-z]+", words)]


def settings(
    modules: Mapping[str, types.ModuleType], variables: Mapping[str, Any], code: str
) -> dict[str, Any]:
    """Locale, time zone and whether the random generators were seeded.

    numpy's tells by itself. Of the others only the code that was run tells: one that is seeded
    there is; one that the notebook's variables name and no code says ``seed`` is not; of any other
    nothing is said.

    Args:
        modules: those in memory.
        variables: the notebook's.
        code: all that the notebook ran, its local modules too.
    """
    seeded: dict[str, bool] = {}
    legacy = getattr(modules.get("numpy.random.mtrand"), "_rand", None)
    bits = getattr(legacy, "_bit_generator", None)
    for name in ("seed_seq", "_seed_seq"):
        if hasattr(bits, name):
            # A generator that got its own seed has none of the sequence that it starts with.
            seeded["numpy"] = getattr(bits, name) is None
            break
    values = list(variables.values())
    held = {str(ask(v)) for v in values if (ask := naming(type(v)))}
    # Its methods are functions of the module `random`.
    held |= {str(v.__module__) for v in values if type(v) in _BUILT_IN}
    for name, pattern in SEEDS.items():
        if name in modules:
            if re.search(pattern, code):
                seeded[name] = True
            elif name in held and not ANY_SEED.search(code):
                seeded[name] = False
    return {"locale": _locale(), "timezone": _timezone(), "random": dict(sorted(seeded.items()))}


def _locale() -> str | None:
    return locale.setlocale(locale.LC_CTYPE) or None


def _timezone() -> str | None:
    """Such as Europe/Berlin: TZ, or what the system is set to; None if that has no name."""
    named = os.environ.get("TZ", "").lstrip(":")
    if named:
        return named
    link = os.path.realpath("/etc/localtime")
    if "/zoneinfo/" in link:
        return re.sub(r"^(posix|right)/", "", link.rpartition("/zoneinfo/")[2])
    try:
        with open("/etc/timezone", encoding="utf-8") as file:
            return file.read().strip() or None
    except OSError:
        return None
