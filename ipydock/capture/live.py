"""What a live kernel knows besides what its environment holds: standard library only, as the probe.

What is loaded in it and by whom, which modules the notebook's own variables hold, what it used
since it is watched, and what else its results depend on.
"""
# Paths are compared as text here, links unresolved, for each of thousands of modules:
# ruff: noqa: PTH100, PTH118

from __future__ import annotations

import os
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from . import surroundings, watch
from .metadata import is_site
from .probe import Environment, answer_from, modules_of
from .surroundings import contents, is_module, naming

ENOUGH = 200_000  # characters of a local module that are looked through


def session(request: dict[str, Any]) -> dict[str, Any]:
    """Answer a request in a live kernel, and tell what is loaded in it.

    Adds ``loaded``: for each distribution with modules in memory who refers to it (distributions
    or ``__main__``); ``local``: the files that modules of no distribution came from, relative
    to the notebook's folder or absolute;
    ``namespace``: for each variable of the notebook that holds a module its name and distribution;
    ``versions``: of distributions that were installed anew under the process, the one in memory;
    ``libraries``: system libraries in memory, None where the platform does not tell; ``settings``
    (`ipydock.capture.surroundings.settings`); ``history``: the source of each execution, by its
    count; ``watched`` (`ipydock.capture.watch.report`), in which ``demanded`` has [distribution,
    who imported it, count] for what was imported while a cell ran.
    """
    return Live(str(request.get("folder") or os.curdir)).session(request)


class Live:
    """This process, asked again and again; its environment is read once."""

    def __init__(self, folder: str) -> None:
        """Read the environment; ``folder`` is the notebook's."""
        with watch.paused():
            self.environment = Environment(list(sys.path), folder)

    def session(self, request: dict[str, Any]) -> dict[str, Any]:
        """As `session`."""
        with watch.paused():
            return _session(self.environment, request)

    def modules(self, request: dict[str, Any]) -> dict[str, Any]:
        """The ``modules`` of `session` alone."""
        with watch.paused():
            return modules_of(self.environment, request)


def _session(environment: Environment, request: dict[str, Any]) -> dict[str, Any]:
    modules = {
        name: module for name, module in sorted(sys.modules.copy().items()) if is_module(module)
    }
    owners: dict[str, str | None] = {}
    local = {}
    code = []
    for name, module in modules.items():
        file = contents(module).get("__file__")
        # multiprocessing has the main module under a second name.
        if not isinstance(file, str) or module is modules.get("__main__"):
            continue
        owner = _owner(environment, name, os.path.abspath(file), owners)
        if owner is None and environment.is_local(file):
            local[name] = environment.relative(file)
            code.append(file)
        elif owner is None and _is_ones_own(environment, name, os.path.abspath(file)):
            local[name] = os.path.abspath(file)
    result = answer_from(environment, request)
    history = _history()
    result["loaded"] = _loaded(modules, owners)
    result["local"] = local
    result["namespace"] = _namespace(modules, owners)
    result["versions"] = surroundings.changed_versions(
        modules, owners, environment.installation.all
    )
    edited = [dist.editable for dist in environment.installation.all if dist.editable]
    result["libraries"] = surroundings.libraries(edited)
    variables = dict(contents(modules["__main__"])) if "__main__" in modules else {}
    result["settings"] = surroundings.settings(
        modules, variables, "\n".join([*history, *map(_text, code)])
    )
    result["history"] = history
    result["watched"] = _watched(environment, modules, owners)
    return result


def _is_ones_own(environment: Environment, name: str, path: str) -> bool:
    """Whether a module of no distribution is code from outside the folder, such as ../lib."""
    return (
        path.endswith(".py")
        and name.partition(".")[0] not in ("ipydock", "ipykernel_launcher")
        and not environment.is_stdlib(path)
        and not is_site(path)
    )


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


def _loaded(
    modules: dict[str, types.ModuleType], owners: dict[str, str | None]
) -> dict[str, list[str]]:
    loaded: dict[str, set[str]] = {owner: set() for owner in owners.values() if owner is not None}
    for user, used in _references(modules, owners):
        loaded[used].add(user)
    return {name: sorted(users) for name, users in sorted(loaded.items())}


def _references(
    modules: dict[str, types.ModuleType], owners: dict[str, str | None]
) -> Iterator[tuple[str, str]]:
    """Pairs of distributions of which the first holds a module, class or function of the second."""
    # By type, since there are hundreds of thousands of values.
    asked: dict[type, Callable[[Any], Any] | None] = {}
    for name, module in modules.items():
        user = "__main__" if name == "__main__" else owners.get(name)
        if user is None:
            continue
        for value in list(contents(module).values()):
            kind = type(value)
            if kind not in asked:
                asked[kind] = naming(kind)
            ask = asked[kind]
            if ask is None:
                continue
            source = ask(value)
            used = owners.get(source) if isinstance(source, str) else None
            if used is not None and used != user:
                yield user, used


def _namespace(
    modules: dict[str, types.ModuleType], owners: dict[str, str | None]
) -> dict[str, tuple[str, str]]:
    main = modules.get("__main__")
    names = {}
    for variable, value in sorted(contents(main).copy().items()) if main is not None else ():
        if is_module(value) and not variable.startswith("_"):
            source = contents(value).get("__name__")
            owner = owners.get(source) if isinstance(source, str) else None
            if isinstance(source, str) and owner is not None:
                names[variable] = (source, owner)
    return names


def _history() -> list[str]:
    """The source of each execution as it was typed; empty without IPython."""
    interactive = getattr(sys.modules.get("IPython"), "get_ipython", None)
    shell = interactive() if interactive is not None else None
    manager = getattr(shell, "history_manager", None)
    return [str(source) for source in getattr(manager, "input_hist_raw", ())]


def _text(file: str) -> str:
    try:
        with Path(file).open("rb") as stream:
            return stream.read(ENOUGH).decode("utf-8", "replace")
    except OSError:
        return ""  # gone since it was imported; what it said is not known


def _watched(
    environment: Environment,
    modules: dict[str, types.ModuleType],
    owners: dict[str, str | None],
) -> dict[str, Any] | None:
    seen = watch.report()
    if seen is None:
        return None
    demanded = []
    for name, by, count in seen.pop("imports"):
        owner = owners.get(name) if name in modules else None
        user = "__main__" if by == "__main__" else owners.get(by)
        if owner is not None and user is not None and owner != user:
            demanded.append([owner, user, count])
    # Files of a package that is installed in editable form are the package's, as in site-packages.
    outside = tuple(
        os.path.join(dist.editable, "")
        for dist in environment.installation.all
        if dist.editable and not environment.is_local(dist.editable)
    )
    opened = [entry for entry in seen["opened"] if not entry[0].startswith(outside)]
    return {**seen, "opened": opened, "demanded": demanded}
