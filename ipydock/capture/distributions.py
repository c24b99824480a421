"""From modules to distributions: what was asked for, what is loaded besides, and the closure."""

from __future__ import annotations

import functools
import re
from collections.abc import Container, Iterable, Mapping
from pathlib import Path
from typing import Any

from packaging.markers import Marker, UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion

from ..models import CondaPackage
from ..notebook_v4 import printable
from . import conda, origins
from .conda import CondaMeta

# A requirement for one extra, whatever else its marker asks for; not where there is an "or".
EXTRA = re.compile(r"(?!.* or ).*;.*\bextra\s*==\s*['\"]([\w.-]+)['\"].*")


class Distribution:
    """An installed distribution, under its canonical name; what costs time is told when asked."""

    def __init__(self, entry: Mapping[str, Any], folder: str, meta: CondaMeta) -> None:
        """Take the probe's entry; ``folder`` is the notebook's."""
        self.name = canonicalize_name(entry["name"])
        self.version = printable(entry["version"])
        self.info = str(entry["info"])
        self.site = str(entry["site"])
        self.requires = tuple(entry["requires"])
        self._direct: Mapping[str, Any] | None = entry["direct_url"]
        self._entry, self._folder, self._meta = entry, folder, meta
        installer = str(entry["installer"])
        owned = Path(self.info).name in meta.infos and installer not in ("pip", "uv")
        self.installer = "conda" if owned else printable(installer[:40]) or None

    @property
    def direct(self) -> Mapping[str, Any]:
        """PEP 610's record of where it came from; empty for an index, and for conda's."""
        return {} if self.installer == "conda" else self._direct or {}

    @functools.cached_property
    def origin(self) -> origins.Origin | None:
        """Where it came from if it was no index.

        conda's packages name the folder that they were built in, which is nobody's business here.
        """
        return None if self.installer == "conda" else origins.origin(self._direct, self._folder)

    @property
    def url(self) -> str | None:
        """Its direct URL."""
        return self.origin.url if self.origin else None

    @functools.cached_property
    def index(self) -> tuple[str | None, str | None]:
        """The index of a local version, and what is to be said where none is known."""
        if self._direct or self.installer == "conda":
            return None, None
        return origins.index_of(self.name, self.version)

    def at(self, version: str) -> Distribution:
        """The same in another version, which is the one in memory."""
        other = Distribution(self._entry, self._folder, self._meta)
        other.version = version
        return other


class Environment:
    """The captured interpreter's distributions, from the probe's answer."""

    def __init__(self, answer: Mapping[str, Any], folder: str) -> None:
        self.answer = answer
        self.markers: dict[str, str] = dict(answer["markers"])
        self.modules: dict[str, dict[str, Any]] = answer["modules"]
        self.stdlib = frozenset(answer["stdlib"])
        self.programs: dict[str, str] = {
            name: canonicalize_name(owner) for name, owner in answer["programs"].items()
        }
        self.meta = conda.read(answer["prefix"])
        self.installed: dict[str, Distribution] = {}
        for entry in answer["distributions"]:
            dist = Distribution(entry, folder, self.meta)
            self.installed[dist.name] = dist

    @property
    def conda(self) -> tuple[CondaPackage, ...]:
        """The packages of a conda environment by name."""
        return self.meta.packages

    def doubts(self, names: Iterable[str], known: Container[str] = ()) -> list[str]:
        """What is to be said about where these distributions came from.

        Of those that are ``known`` the source was found.
        """
        said = []
        for name in sorted(names):
            dist = self.installed[name]
            unfit = dist.origin is not None and dist.origin.reason is not None
            if dist.origin is not None and unfit and name not in known:
                where = printable(dist.origin.url.partition("#")[0])
                said.append(f"{name} is installed from {where}: {dist.origin.reason}.")
            if dist.index[1] is not None:
                said.append(dist.index[1])
        said += [f"conda-meta/{name} cannot be read." for name in self.meta.broken]
        return said

    def needs(self, dist: Distribution, extras: Iterable[str]) -> tuple[Requirement, ...]:
        """What a distribution requires in this environment, with these extras."""
        return _needed(dist.requires, tuple(sorted(self.markers.items())), ("", *sorted(extras)))

    def closure(self, roots: Mapping[str, Iterable[str]]) -> tuple[dict[str, set[str]], list[str]]:
        """All that is reachable from ``roots`` (name -> extras) with who requires it; faults."""
        reached: dict[str, set[str]] = {}
        taken: dict[str, set[str]] = {}
        faults: set[str] = set()
        queue = [(name, frozenset(extras)) for name, extras in sorted(roots.items())]
        while queue:
            name, extras = queue.pop(0)
            reached.setdefault(name, set())
            if name in taken and extras <= taken[name]:
                continue
            taken[name] = taken.get(name, set()) | extras
            for requirement in self.needs(self.installed[name], taken[name]):
                needed = canonicalize_name(requirement.name)
                if needed == name:
                    # An extra that is made of other extras: pandas[all] requires pandas[excel].
                    queue.append((name, frozenset(requirement.extras)))
                    continue
                dist = self.installed.get(needed)
                if dist is None:
                    faults.add(f"{name} requires {requirement.name}, which is not installed.")
                    continue
                if not satisfies(dist.version, requirement.specifier):
                    faults.add(
                        f"{name} requires {requirement.name}{requirement.specifier}, "
                        f"but {dist.version} is installed."
                    )
                reached.setdefault(needed, set()).add(name)
                queue.append((needed, frozenset(requirement.extras)))
        return reached, sorted(faults)


@functools.lru_cache(maxsize=1 << 14)
def _needed(
    lines: tuple[str, ...], markers: tuple[tuple[str, str], ...], extras: tuple[str, ...]
) -> tuple[Requirement, ...]:
    """The requirements among these lines that hold with one of these extras."""
    needed = []
    for line in lines:
        extra_of = EXTRA.fullmatch(line)
        if extra_of and canonicalize_name(extra_of[1]) not in map(canonicalize_name, extras):
            continue  # most lines are of extras, and parsing them takes the most time
        try:
            requirement = Requirement(line)
        except (InvalidRequirement, RecursionError):
            continue  # old metadata holds what no installer accepts any more
        marker = requirement.marker
        if marker is None or any(_holds(marker, dict(markers), extra) for extra in extras):
            needed.append(requirement)
    return tuple(needed)


def _holds(marker: Marker, markers: dict[str, str], extra: str) -> bool:
    try:
        return marker.evaluate({**markers, "extra": extra})
    except (UndefinedComparison, UndefinedEnvironmentName, InvalidVersion):
        return True  # rather one distribution too many than one missing


def satisfies(version: str, specifier: SpecifierSet) -> bool:
    """Whether a version is one of those asked for; one that is no version at all is taken to be."""
    try:
        return specifier.contains(version, prereleases=True)
    except InvalidVersion:
        return True  # a local build under a name of its own
