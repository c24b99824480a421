"""From modules to distributions: what was asked for, what is loaded besides, and the closure."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from packaging.markers import Marker, UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion

from ..notebook_v4 import printable


@dataclass(frozen=True, slots=True)
class Distribution:
    """An installed distribution, under its canonical name."""

    name: str
    version: str
    requires: tuple[Requirement, ...]
    url: str | None


class Environment:
    """The captured interpreter's distributions, from the probe's answer."""

    def __init__(self, answer: Mapping[str, Any], folder: str) -> None:
        self.answer = answer
        self.markers: dict[str, str] = dict(answer["markers"])
        self.modules: dict[str, dict[str, Any]] = answer["modules"]
        self.stdlib = frozenset(answer["stdlib"])
        self.installed: dict[str, Distribution] = {}
        for entry in answer["distributions"]:
            name = canonicalize_name(entry["name"])
            self.installed[name] = Distribution(
                name,
                printable(entry["version"]),
                tuple(_requirements(entry["requires"])),
                direct_url(entry["direct_url"], folder),
            )

    def needs(self, dist: Distribution, extras: Iterable[str]) -> list[Requirement]:
        """What a distribution requires in this environment, with these extras."""
        asked = ["", *sorted(extras)]
        return [
            requirement
            for requirement in dist.requires
            if requirement.marker is None
            or any(self._holds(requirement.marker, extra) for extra in asked)
        ]

    def _holds(self, marker: Marker, extra: str) -> bool:
        try:
            return marker.evaluate({**self.markers, "extra": extra})
        except (UndefinedComparison, UndefinedEnvironmentName, InvalidVersion):
            return True  # rather one distribution too many than one missing

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
                if not _satisfies(dist.version, requirement.specifier):
                    faults.add(
                        f"{name} requires {requirement.name}{requirement.specifier}, "
                        f"but {dist.version} is installed."
                    )
                reached.setdefault(needed, set()).add(name)
                queue.append((needed, frozenset(requirement.extras)))
        return reached, sorted(faults)


def _requirements(lines: Iterable[str]) -> Iterable[Requirement]:
    for line in lines:
        try:
            yield Requirement(line)
        except InvalidRequirement:
            continue  # old metadata holds what no installer accepts any more


def _satisfies(version: str, specifier: SpecifierSet) -> bool:
    try:
        return specifier.contains(version, prereleases=True)
    except InvalidVersion:
        return True  # a local build under a name of its own


def direct_url(info: Mapping[str, Any] | None, folder: str) -> str | None:
    """PEP 610 as one URL that pip understands; local folders relative to the notebook's.

    Credentials in it are left out. An editable install has ``#editable`` at its end.
    """
    url = info.get("url") if info else None
    if not info or not isinstance(url, str):
        return None
    parts = urlsplit(url)
    if parts.scheme == "file":
        path = os.path.relpath(unquote(parts.path), folder).replace(os.sep, "/")
        editable = (info.get("dir_info") or {}).get("editable")
        return f"file:{path}{'#editable' if editable else ''}"
    host = parts.netloc.rpartition("@")[2]
    user = "git@" if parts.netloc.startswith("git@") else ""
    clean = urlunsplit((parts.scheme, user + host, parts.path, parts.query, ""))
    vcs = info.get("vcs_info")
    directory = info.get("subdirectory")
    fragment = f"#subdirectory={directory}" if directory else ""
    if isinstance(vcs, dict):
        return printable(f"{vcs.get('vcs', 'git')}+{clean}@{vcs.get('commit_id', '')}{fragment}")
    digest = (info.get("archive_info") or {}).get("hash")
    if digest and not fragment:
        fragment = "#" + str(digest)
    return printable(clean + fragment)
