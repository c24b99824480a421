"""What the notebook asked for: its imports and installs, each with the distribution it means."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from ..models import Evidence, Requested
from ..notebook_v4 import printable
from . import names
from .distributions import Environment, satisfies
from .files import EVIDENCE
from .findings import Import, Install, Place, words

VCS = re.compile(r"(git|hg|svn|bzr)\+")
# User and password of a URL, but for the user of ssh, who is no secret.
USERINFO = re.compile(r"((?:https?|ftp|svn)://)[^/\s]*@")
# Distributions whose programs every image with a kernel has, or that only install others.
BROUGHT = words("ipython ipykernel jupyter-core jupyter-client pip setuptools uv wheel")
PRESENT = frozenset({"stdlib", "distribution", "local", "elsewhere", "unowned"})


@dataclass(slots=True)
class Wanted:
    """A distribution (or a module without one) on its way to a `Requested`."""

    import_name: str
    distribution: str | None
    guess: bool = False
    url: str | None = None
    requirement: str | None = None
    extras: set[str] = field(default_factory=set)
    reason: str = ""
    places: list[Place] = field(default_factory=list)
    evidence: list[Evidence] = field(default_factory=list)

    def see(self, place: Place) -> None:
        """Keep a place as evidence."""
        if place not in self.places and len(self.places) < EVIDENCE:
            self.places.append(place)


class Resolver:
    """Imports and installs, told apart by what the captured environment knows of them."""

    def __init__(self, environment: Environment, downloaded: frozenset[str] = frozenset()) -> None:
        """Use this environment; ``downloaded`` are modules that the notebook fetches itself."""
        self.environment = environment
        self.downloaded = downloaded
        self.wanted: dict[tuple[str, str | None], Wanted] = {}
        self.warnings: list[str] = []
        # Answered by a file in the notebook's folder that only this environment finds, or by a
        # folder without __init__.py: (import, path)
        self.local: list[tuple[Import, str]] = []

    def resolve(self, imports: Iterable[Import], installs: Iterable[Install]) -> None:
        """Take up everything that the source asks for."""
        imports = list(imports)
        for install in sorted(installs, key=lambda i: i.manager != "pip"):
            self._install(install)
        dropped = self._answered(imports)
        for item in imports:
            self._import(item, (item.choice, item.fallback) in dropped)

    def _answered(self, imports: list[Import]) -> set[tuple[int | None, bool]]:
        """The sides of try/except alternatives (choice, fallback) that need not be there.

        If one side is installed, the other need not be; if none is, the known one is wanted, and of
        two the first.
        """
        sides: dict[tuple[int, bool], int] = {}
        for item in imports:
            if item.choice is not None:
                here = 2 if self._kind(item.module) in PRESENT else 0
                score = here or (1 if names.look_up(item.module) else 0)
                key = (item.choice, item.fallback)
                sides[key] = max(score, sides.get(key, 0))
        dropped: set[tuple[int | None, bool]] = set()
        for (choice, fallback), score in sides.items():
            other = sides.get((choice, not fallback), 0)
            if other > score or (other == score and fallback):
                dropped.add((choice, fallback))
        return dropped

    # imports

    def _kind(self, module: str) -> str:
        return str(self.environment.modules.get(module, {}).get("kind", "missing"))

    def _import(self, item: Import, answered: bool) -> None:
        place = self.environment.modules.get(item.module)
        if not item.module or place is None or place["kind"] == "stdlib":
            return
        if place["kind"] == "local":
            if self._means_local(item, place):
                self.local.append((item, str(place["path"])))
            else:
                self._missing(item, item.module, answered)
        elif place["kind"] == "namespace":
            self._namespace(item, answered)
        else:
            self._placed(item, item.module, place, answered)

    def _means_local(self, item: Import, place: Mapping[str, Any]) -> bool:
        """A folder without __init__.py is meant only if it has the modules that are wanted of it.

        Folders named after a library often lie beside notebooks about it.
        """
        if not place.get("namespace"):
            return True
        return "." in item.module or any(
            self._kind(f"{item.module}.{name}") == "local" for name in item.names
        )

    def _namespace(self, item: Import, answered: bool) -> None:
        """``from google.cloud import storage``: what counts is google.cloud.storage."""
        for name in item.names:
            module = f"{item.module}.{name}"
            place = self.environment.modules.get(module)
            if place is not None:
                self._placed(item, module, place, answered)
        owners = self.environment.modules[item.module].get("distributions") or []
        if not item.names and len(owners) == 1:
            self._found(item.module, owners, item.place)

    def _placed(self, item: Import, module: str, place: Mapping[str, Any], answered: bool) -> None:
        kind = place["kind"]
        if kind in ("distribution", "namespace"):
            owners = place.get("distributions") or []
            if owners:
                self._found(place.get("package", module), owners, item.place)
        elif kind == "missing":
            self._missing(item, module, answered)
        elif kind == "unowned":
            self._guess(item, module, "is installed, but no metadata says which distribution it is")
        elif kind == "elsewhere":
            self._warn(
                item.place,
                f"module {printable(module)} is found outside the notebook's folder and belongs to "
                "no installed distribution; it is not captured",
            )

    def _found(self, package: str, owners: list[str], place: Place) -> None:
        name = canonicalize_name(owners[0])
        if len(owners) > 1:
            self._note(f"{package} is in {' and '.join(owners)}; {owners[0]} was taken.")
        self._want(package, name).see(place)

    def _missing(self, item: Import, module: str, answered: bool) -> None:
        if answered:
            return  # another of the alternatives is there
        if item.spare:
            self._warn(
                item.place,
                f"module {printable(module)} is optional there and not installed; it was left out",
            )
            return
        state = "is not installed where the notebook was captured"
        for wanted in _inner(module, item.names) or [module]:
            self._guess(item, wanted, state)

    def _guess(self, item: Import, module: str, state: str) -> None:
        top = module.partition(".")[0]
        known = names.look_up(module)
        installed_here = {w.distribution for w in self.wanted.values() if w.requirement is not None}
        for name in (*(known.distributions if known else ()), canonicalize_name(top)):
            if name in installed_here:
                self._want(top, name).see(item.place)  # the notebook installs it itself
                return
        if known is None:
            self._unknown(item, top, state)
            return
        best, *others = known.distributions
        wanted = self._want(known.package, best, guess=True)
        wanted.reason = wanted.reason or known.reason
        wanted.see(item.place)
        more = f" (others: {', '.join(others)})" if others else ""
        self._note(
            f"Module {printable(known.package)} {state}; {best} is a guess from its name{more}."
        )

    def _unknown(self, item: Import, top: str, state: str) -> None:
        if top in names.PYTHON2:
            self._warn(
                item.place,
                f"module {top} is of Python 2; it is called {names.PYTHON2[top]} in Python 3",
            )
            return
        if top in self.downloaded:
            self._warn(
                item.place,
                f"module {top} is a file that the notebook downloads when it runs; run it here "
                "once to capture what that needs",
            )
            return
        self._want(top, None).see(item.place)
        self._warn(
            item.place,
            f"module {printable(top)} {state} and its distribution is not known; add it with "
            f"--add-pip, or put {printable(top)}.py beside the notebook if it is yours",
        )

    # installs

    def _install(self, install: Install) -> None:
        if install.manager == "apt":
            return
        # What goes into a recipe must not carry a password; `leaks` says where there is one.
        text = USERINFO.sub(r"\1", install.requirement)
        if install.manager == "conda":
            text = re.split(r"[=<>!~\[ ]", text)[0]
        parsed = _requirement(text)
        if parsed is None:
            self._warn(install.place, f"`{printable(text[:100])}` is not a requirement")
            return
        name, requirement, url = parsed
        known = name in self.environment.installed
        if install.manager == "conda" and not known and not names.look_up(name):
            self._warn(
                install.place,
                f"{name} comes from conda and is not installed where the notebook was captured; "
                "if it is on PyPI, add it with --add-pip",
            )
            return
        wanted = self._want(name, name, guess=install.manager == "conda" and not known)
        wanted.requirement = wanted.requirement or text
        wanted.url = wanted.url or url
        if requirement is not None:
            wanted.extras |= requirement.extras
            dist = self.environment.installed.get(name)
            if dist and not satisfies(dist.version, requirement.specifier):
                self._warn(
                    install.place,
                    f"{printable(text)} is asked for, but {dist.version} is installed and "
                    "was captured",
                )
        wanted.see(install.place)

    # programs

    def start(self, program: str, place: Place) -> None:
        """A program that a cell starts: of a distribution, if its installer put it beside Python.

        Args:
            program: its name, or its path where it was seen to be started from.
            place: where it is started.
        """
        folder, _, name = program.rpartition("/")
        owner = self.environment.programs.get(name)
        beside = str(self.environment.answer["executable"]).rpartition("/")[0]
        if owner is None or owner in BROUGHT or (folder and folder != beside):
            return
        known = [w for w in self.wanted.values() if w.distribution == owner]
        (known[0] if known else self._want(owner, owner)).see(place)

    # what comes of it

    def _want(self, import_name: str, distribution: str | None, *, guess: bool = False) -> Wanted:
        if distribution is not None:
            # An install and the imports it serves are one wish.
            install = self.wanted.get((distribution, distribution))
            if install is not None and install.requirement and import_name != distribution:
                del self.wanted[distribution, distribution]
                install.import_name = import_name
                self.wanted[import_name, distribution] = install
        key = (import_name, distribution)
        return self.wanted.setdefault(key, Wanted(import_name, distribution, guess))

    def _warn(self, place: Place, text: str) -> None:
        self._note(f"{place}: {text}.")

    def _note(self, text: str) -> None:
        if text not in self.warnings:
            self.warnings.append(text)

    def requested(self) -> list[Requested]:
        """Everything that was asked for, by name."""
        result = []
        for wanted in self.wanted.values():
            dist = self.environment.installed.get(wanted.distribution or "")
            evidence = [place.evidence() for place in wanted.places] + wanted.evidence
            if wanted.guess and wanted.reason:
                evidence.append(Evidence(source="map", text=wanted.reason))
            result.append(
                Requested(
                    import_name=printable(wanted.import_name),
                    distribution=wanted.distribution,
                    version=dist.version if dist else None,
                    evidence=tuple(evidence),
                    guess=wanted.guess,
                    url=dist.url if dist else wanted.url,
                    requirement=wanted.requirement and printable(wanted.requirement),
                )
            )
        return sorted(
            result, key=lambda r: (r.import_name.lower(), r.import_name, r.distribution or "")
        )

    def roots(self) -> dict[str, set[str]]:
        """The installed distributions among them, with the extras asked for."""
        found: dict[str, set[str]] = {}
        for wanted in self.wanted.values():
            if wanted.distribution in self.environment.installed:
                found.setdefault(wanted.distribution, set()).update(wanted.extras)
        return found


def _inner(module: str, members: Iterable[str]) -> list[str]:
    """``from google.cloud import storage``: the modules that are packages of their own."""
    found = [f"{module}.{name}" for name in members]
    return [name for name in found if (known := names.look_up(name)) and known.package == name]


def _requirement(text: str) -> tuple[str, Requirement | None, str | None] | None:
    """Canonical name, the requirement if it is one, the URL if it is one."""
    if VCS.match(text) or "://" in text.split(" ", 1)[0]:
        egg = re.search(r"[#&]egg=([A-Za-z0-9._-]+)", text)
        path = re.split(r"[#?]", text)[0].rstrip("/").rsplit("/", 1)[-1]
        stem = re.split(r"\.git$|\.zip$|\.tar\.gz$|-\d", path.partition("@")[0])[0]
        name = egg.group(1) if egg else stem
        return (canonicalize_name(name), None, text) if name else None
    try:
        parsed = Requirement(text)
    except InvalidRequirement:
        return None
    return canonicalize_name(parsed.name), parsed, parsed.url
