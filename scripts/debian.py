"""Debian's own indexes, as the generators of the shipped tables read them."""

from __future__ import annotations

import gzip
import lzma
import re
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

ARCHIVE = "https://deb.debian.org/debian/dists"
RELEASES = ("bullseye", "bookworm", "trixie")
FILES = ("InRelease", "main/Contents-amd64.gz", "main/Contents-all.gz")
PACKAGES = "main/binary-amd64/Packages.xz"


@dataclass(frozen=True)
class Package:
    """What the Packages index says of one package."""

    name: str
    section: str
    priority: str
    essential: bool
    depends: tuple[tuple[str, ...], ...]
    provides: tuple[str, ...]


@dataclass(frozen=True)
class Release:
    """One release's indexes, kept in a folder so that they are fetched once."""

    name: str
    folder: Path

    def fetch(self) -> None:
        """Download what is not there yet."""
        for path in (*FILES, PACKAGES):
            target = self._path(path)
            if not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                partial = target.with_name(target.name + ".part")
                urllib.request.urlretrieve(f"{ARCHIVE}/{self.name}/{path}", partial)
                partial.rename(target)

    def _path(self, path: str) -> Path:
        return self.folder / self.name / path.replace("/", "_")

    def date(self) -> str:
        """The date of the indexes, as their Release file has it: 2026-07-11."""
        text = self._path("InRelease").read_text("utf-8")
        match = re.search(r"^Date: \w+, (\d+) (\w+) (\d+)", text, re.MULTILINE)
        if match is None:
            raise SystemExit(f"{self.name}: no date in InRelease")
        date = datetime.strptime(" ".join(match.groups()), "%d %b %Y").replace(tzinfo=timezone.utc)
        return date.date().isoformat()

    def files(self) -> Iterator[tuple[str, list[str]]]:
        """Each file's path, without a leading slash, and the packages that have it."""
        for path in FILES[1:]:
            with gzip.open(self._path(path), "rt", encoding="utf-8", errors="replace") as file:
                for line in file:
                    name, _, packages = line.rstrip("\n").rpartition(" ")
                    yield name.rstrip(), [p.rsplit("/", 1)[-1] for p in packages.split(",")]

    def packages(self) -> dict[str, Package]:
        """The packages by name; of several versions the last one."""
        found: dict[str, Package] = {}
        with lzma.open(self._path(PACKAGES), "rt", encoding="utf-8") as file:
            for block in file.read().split("\n\n"):
                fields = dict(re.findall(r"^([A-Za-z-]+): (.*)$", block, re.MULTILINE))
                if "Package" in fields:
                    package = _package(fields)
                    found[package.name] = package
        return found


def _package(fields: dict[str, str]) -> Package:
    needs = ", ".join(fields[k] for k in ("Pre-Depends", "Depends") if k in fields)
    return Package(
        name=fields["Package"],
        section=fields.get("Section", "").rsplit("/", 1)[-1],
        priority=fields.get("Priority", "extra"),
        essential=fields.get("Essential") == "yes",
        depends=tuple(
            tuple(_name(choice) for choice in group.split("|")) for group in _listed(needs)
        ),
        provides=tuple(_name(item) for item in _listed(fields.get("Provides", ""))),
    )


def _listed(text: str) -> list[str]:
    return [item for item in text.split(",") if item.strip()]


def _name(text: str) -> str:
    return re.split(r"[\s(:\[]", text.strip(), maxsplit=1)[0]


def closure(roots: list[str], packages: dict[str, Package]) -> set[str]:
    """All that installing these packages brings, of alternatives the first that exists."""
    provided = {virtual: p.name for p in packages.values() for virtual in p.provides}
    reached: set[str] = set()
    queue = list(roots)
    while queue:
        name = queue.pop()
        name = name if name in packages else provided.get(name, name)
        if name in reached or name not in packages:
            continue
        reached.add(name)
        for choices in packages[name].depends:
            known = [c for c in choices if c in packages or c in provided]
            queue += known[:1]
    return reached
