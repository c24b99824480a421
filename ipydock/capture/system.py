"""System packages behind the programs that cells start and the libraries that wheels do not bring.

Names come from tables that are made from Debian's own indexes (``scripts/system_tables.py``), one
per release: sonames and programs, and which of them every image has. Where this machine runs the
same release, or where the table has several packages, the package manager is asked which one owns
the file that was seen. What is in no table is named in a warning, never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..models import Library, Program, Requested, SystemPackage
from ..notebook_v4 import printable
from . import elf, owners, tables
from .curated import COMPILED, DISTRIBUTIONS, HOST_ALONE, PRESENT, PROGRAMS

RELEASES = ("bullseye", "bookworm", "trixie")
DEFAULT = "bookworm"  # of the images that a recipe starts from
# What else a base image can be, by the release whose names come nearest: the one of the same age.
NEAREST = {
    "ubuntu-20.04": "bullseye",
    "ubuntu-22.04": "bookworm",
    "ubuntu-24.04": "trixie",
    "ubuntu-26.04": "trixie",
}
UBUNTU = {"focal": "20.04", "jammy": "22.04", "noble": "24.04"}
DEBIAN = {"11": "bullseye", "12": "bookworm", "13": "trixie"}
STABLE = "trixie"  # what `debian:latest`, and python:X without a release, stand for since 2025


@dataclass(slots=True)
class SystemFindings:
    """Packages with their reasons, the libraries they are for, and what is not known."""

    apt: list[SystemPackage] = field(default_factory=list)
    libraries: list[Library] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def release_of(base: str | None) -> str:
    """The release that an image is of, as its reference tells.

    ``bookworm`` for ``python:3.12-slim-bookworm`` and for None, the default; ``ubuntu-24.04`` for
    ``ubuntu:24.04``; ``unknown`` for what does not tell.
    """
    if base is None:
        return DEFAULT
    text = base.partition("@")[0].rpartition("/")[2].lower()
    for name in RELEASES:
        if name in text:
            return name
    named = re.search(r"ubuntu[:-]?(\d\d\.\d\d)", text)
    if named:
        return f"ubuntu-{named[1]}"
    for codename, number in UBUNTU.items():
        if codename in text:
            return f"ubuntu-{number}"
    numbered = re.search(r"debian[:-]?(\d+)", text)
    if numbered and numbered[1] in DEBIAN:
        return DEBIAN[numbered[1]]
    if re.fullmatch(
        r"debian(:(latest|stable)(-slim)?)?|python(:(latest|slim|3[\d.]*(-slim)?))?", text
    ):
        return STABLE
    return "unknown"


def packages(
    programs: Iterable[Program],
    requested: Iterable[Requested],
    *,
    mapped: Iterable[str] = (),
    needed: Mapping[str, Iterable[str]] | None = None,
    brought: Mapping[str, str] | None = None,
    release: str = DEFAULT,
) -> SystemFindings:
    """The system packages that a notebook needs besides those it names.

    Args:
        programs: what it starts; ``path`` where one was seen to be started from.
        requested: what it asks for.
        mapped: paths of system libraries that were in the session's memory.
        needed: sonames that distributions need and no wheel brings, by distribution
            (`ipydock.capture.libraries.needed`).
        brought: programs that distributions bring, by name.
        release: of the base image, see `release_of`.
    """
    search = _Search(NEAREST.get(release, release if release in RELEASES else DEFAULT))
    for program in programs:
        if program.name not in (brought or {}) and not _in_venv(program.path):
            first = str(program.evidence[0]) if program.evidence else program.name
            search.program(program.name, printable(first), program.path)
    for item in requested:
        _of_distribution(search, item)
    by = {soname: name for name, sonames in (needed or {}).items() for soname in sonames}
    for name, sonames in sorted((needed or {}).items()):
        for soname in sorted(sonames):
            search.library(soname, name, f"{name} loads {printable(soname)}")
    for soname, path in sorted(_roots(mapped).items()):
        if soname not in by:
            reason = f"{printable(soname)} was in the session's memory"
            search.library(soname, "the notebook", reason, path)
    found = search.findings()
    if found.apt and release not in RELEASES:
        found.warnings.append(
            f"System packages are named as in Debian {search.release}; the base image is of "
            f"{'another system' if release == 'unknown' else release}, whose own names may differ."
        )
    return found


def _of_distribution(search: _Search, item: Requested) -> None:
    name = item.distribution or ""
    sonames, started, why = DISTRIBUTIONS.get(name, ((), (), ""))
    for soname in sonames:
        search.library(soname, name, f"{name} {why}")
    for program in started:
        search.program(program, f"{name} {why}")
    if item.version is None:
        for soname in COMPILED.get(name, ()):
            search.library(soname, name, f"{name} loads {soname}")


class _Search:
    """Looks names up in one release's tables."""

    def __init__(self, release: str) -> None:
        self.release = release
        self.reasons: dict[str, str] = {}
        self.libraries: dict[str, Library] = {}
        self.unknown_programs: dict[str, str | None] = {}
        self.unknown_libraries: dict[str, str | None] = {}
        # What several packages have: name -> path, candidates, reason
        self.open: dict[str, tuple[str, tuple[str, ...], str]] = {}
        self.useless: dict[str, str] = {}

    def _find(self, kind: str, name: str) -> tuple[str, ...]:
        return tables.find(f"debian-{self.release}.{kind}", name) or ()

    def _present(self, name: str) -> bool:
        return tables.find(f"debian-{self.release}.present", name) is not None

    def program(self, name: str, reason: str, path: str | None = None) -> None:
        """Look a program up, by the file it was seen to be where its name is not known."""
        if name in PRESENT or self._present(name):
            return
        if name in HOST_ALONE:
            self.useless[name] = (
                f"{reason} will fail in a container: {name} needs a service of this machine."
            )
            return
        if name in PROGRAMS:
            self.reasons.setdefault(PROGRAMS[name], reason)
            return
        real = Path(path).resolve().name if path else name
        choices = self._find("programs", name) or self._find("programs", real)
        if len(choices) > 1 and path:
            self.open[name] = (path, choices, reason)
        elif choices:
            self.reasons.setdefault(choices[0], reason)
        else:
            self.unknown_programs.setdefault(name, path)

    def library(self, soname: str, by: str, reason: str, path: str | None = None) -> None:
        """Look a library up."""
        if any(self._present(form) for form in _forms(soname)):
            return
        found = (self._find("libraries", form) for form in _forms(soname))
        choices = next((names for names in found if names), ())
        package = choices[0] if choices else None
        if package is None:
            self.unknown_libraries.setdefault(soname, path)
        else:
            self.reasons.setdefault(package, reason)
        self.libraries.setdefault(soname, Library(name=printable(soname), package=package, by=by))

    def findings(self) -> SystemFindings:
        """All of it, after the package manager was asked where that helps."""
        seen = [path for path, _, _ in self.open.values()]
        seen += [path for path in self.unknown_programs.values() if path]
        seen += [path for path in self.unknown_libraries.values() if path]
        owned = owners.owners(seen) if seen else {}
        for path, choices, reason in self.open.values():
            own = owned.get(path)
            self.reasons.setdefault(own if own in choices else choices[0], reason)
        if owners.codename() == self.release:
            self._of_this_machine(owned)
        return SystemFindings(
            apt=[
                SystemPackage(name=name, reason=self.reasons[name]) for name in sorted(self.reasons)
            ],
            libraries=[self.libraries[name] for name in sorted(self.libraries)],
            warnings=[*self.useless.values(), *self._warnings(owned)],
        )

    def _of_this_machine(self, owned: Mapping[str, str]) -> None:
        """Owners of what is in no table, where the image has the same packages as this machine."""
        for unknown in (self.unknown_programs, self.unknown_libraries):
            for name, path in list(unknown.items()):
                package = owned.get(path or "")
                if package is None:
                    continue
                del unknown[name]
                self.reasons.setdefault(package, f"{printable(name)} is of this package here")
                if name in self.libraries:
                    found = self.libraries[name].model_copy(update={"package": package})
                    self.libraries[name] = found

    def _warnings(self, owned: Mapping[str, str]) -> list[str]:
        said = []
        for kind, unknown, verb in (
            ("programs", self.unknown_programs, "which cells start"),
            ("libraries", self.unknown_libraries, "which packages load"),
        ):
            names = []
            for name, path in sorted(unknown.items())[:10]:
                own = owned.get(path or "")
                names.append(printable(name) + (f" (here of {printable(own)})" if own else ""))
            if names:
                said.append(
                    f"It is not known which system packages hold {', '.join(names)}, {verb}; add "
                    f"them with --add-apt if the notebook needs these {kind}."
                )
        return said


def _forms(soname: str) -> list[str]:
    """A soname, then shorter ones: the table has libbz2.so.1 for libbz2.so.1.0 of one package."""
    stem, so, version = soname.partition(".so.")
    parts = version.split(".")
    return [soname, *(stem + so + ".".join(parts[:end]) for end in range(len(parts) - 1, 0, -1))]


def _in_venv(path: str | None) -> bool:
    """Whether a program lies in a virtual environment: distributions brought it."""
    return path is not None and Path(path).parent.with_name("pyvenv.cfg").is_file()


def _roots(paths: Iterable[str]) -> dict[str, str]:
    """Of libraries in memory, those that no other one of them needs, by soname.

    What a library needs comes with its package.
    """
    read = {path: elf.read(path) for path in sorted(set(paths))}
    inner = {name for found in read.values() if found for name in found.needed}
    named = {
        (found.soname if found else "") or Path(path).name: path for path, found in read.items()
    }
    return {soname: path for soname, path in named.items() if soname not in inner}
