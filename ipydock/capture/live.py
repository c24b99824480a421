"""What a live kernel knows besides what its environment holds: standard library only, as the probe.

What is loaded in it, by whom, and which modules the notebook's own variables hold.
"""

from __future__ import annotations

import os
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .probe import Environment, answer_from


def session(request: dict[str, Any]) -> dict[str, Any]:
    """Answer a request in a live kernel, and tell what is loaded in it.

    Adds ``loaded``: for each distribution with modules in memory who refers to it (distributions
    or ``__main__``); ``local``: the files in the notebook's folder that modules came from;
    ``namespace``: for each variable of the notebook that holds a module its name and distribution.
    """
    environment = Environment(list(sys.path), str(request.get("folder") or os.curdir))
    modules = {
        name: module
        for name, module in sorted(sys.modules.items())
        if isinstance(module, types.ModuleType)
    }
    owners: dict[str, str | None] = {}
    local = {}
    for name, module in modules.items():
        file = vars(module).get("__file__")
        if not isinstance(file, str) or name == "__main__":
            continue
        owner = _owner(environment, name, str(Path(file).absolute()), owners)
        if owner is None and environment.is_local(file):
            local[name] = environment.relative(file)
    loaded: dict[str, set[str]] = {}
    for owner in owners.values():
        if owner is not None:
            loaded.setdefault(owner, set())
    for user, used in _references(modules, owners):
        loaded[used].add(user)
    result = answer_from(environment, request)
    result["loaded"] = {name: sorted(users) for name, users in sorted(loaded.items())}
    result["local"] = local
    result["namespace"] = _namespace(modules, owners)
    return result


def _owner(
    environment: Environment, name: str, file: str, owners: dict[str, str | None]
) -> str | None:
    """The distribution of a loaded module; a package's modules are taken to be its own."""
    parent = name.rpartition(".")[0]
    if owners.get(parent) is not None:
        owners[name] = owners[parent]
        return owners[name]
    if environment.is_stdlib(file):
        return None
    place = environment.place(name.partition(".")[0], file, [])
    names = place.get("distributions") or []
    if names:
        owners[name] = names[0]
    return owners.get(name)


def _references(
    modules: dict[str, types.ModuleType], owners: dict[str, str | None]
) -> Iterator[tuple[str, str]]:
    """Pairs of distributions of which the first holds a module, class or function of the second."""
    for name, module in modules.items():
        user = "__main__" if name == "__main__" else owners.get(name)
        if user is None:
            continue
        for value in list(vars(module).values()):
            if isinstance(value, types.ModuleType):
                source = vars(value).get("__name__")
            elif isinstance(value, (type, types.FunctionType)):
                source = getattr(value, "__module__", None)
            else:
                continue
            used = owners.get(source) if isinstance(source, str) else None
            if used is not None and used != user:
                yield user, used


def _namespace(
    modules: dict[str, types.ModuleType], owners: dict[str, str | None]
) -> dict[str, tuple[str, str]]:
    main = modules.get("__main__")
    names = {}
    for variable, value in sorted(vars(main).items()) if main is not None else ():
        if isinstance(value, types.ModuleType) and not variable.startswith("_"):
            source = vars(value).get("__name__")
            owner = owners.get(source) if isinstance(source, str) else None
            if isinstance(source, str) and owner is not None:
                names[variable] = (source, owner)
    return names
