"""Writes the tables of system packages: sonames and programs of Debian releases.

``python -m scripts.system_tables FOLDER`` fetches the Contents and Packages indexes of each release
into FOLDER (160 MB) and writes ``ipydock/capture/tables/debian-RELEASE.*``, in about a minute. The
indexes list facts, made by Debian from its packages' files; the tables name their source and date
in the first lines.
"""

from __future__ import annotations

import argparse
import re
from collections import defaultdict
from pathlib import Path

from . import tables
from .debian import ARCHIVE, RELEASES, Package, Release, closure

LIBRARY = re.compile(r"(?:usr/)?lib/(?:x86_64-linux-gnu/)?((?:blas/|lapack/)?)(lib[^/]+\.so[^/]*)")
SONAME = re.compile(r"lib[^/\s]+\.so(?:\.[0-9A-Za-z_]+)*")
PROGRAM = re.compile(r"(?:usr/)?(?:s?bin|games)/([^/\s]+)")
PRIORITIES = ("required", "important", "standard", "optional", "extra")
# What all of docker-library's python:X-slim images have besides the essential packages: what their
# Dockerfile installs, and what every version of Python in them is linked to. What only some have
# (libexpat1, libdb5.3, libgdbm6, libnsl2) is left out: to name it once more does no harm.
SLIM = (
    *("ca-certificates", "netbase", "tzdata", "libssl3", "libssl3t64", "libssl1.1", "libffi8"),
    *("libffi7", "libsqlite3-0", "zlib1g", "libbz2-1.0", "liblzma5", "libreadline8"),
    *("libreadline8t64", "libncursesw6", "libtinfo6", "libuuid1"),
)
LICENCE = "facts from Debian's indexes; the indexes themselves are free to use"


def main() -> None:
    """Write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where the indexes are kept")
    parser.add_argument("--release", choices=RELEASES, action="append")
    options = parser.parse_args()
    for name in options.release or RELEASES:
        release = Release(name, options.folder)
        release.fetch()
        write(release)


def write(release: Release) -> None:
    """Write the three tables of a release."""
    packages = release.packages()
    libraries: dict[str, set[str]] = defaultdict(set)
    programs: dict[str, set[str]] = defaultdict(set)
    for path, owners in release.files():
        known = {owner for owner in owners if owner in packages}
        library = LIBRARY.fullmatch(path)
        if library and SONAME.fullmatch(library[2]):
            libraries[library[2]] |= {o for o in known if _holds_libraries(packages[o], library)}
        program = PROGRAM.fullmatch(path)
        if program:
            programs[program[1]] |= known
    sonames = {
        soname: sorted(owners, key=lambda o: _library_rank(soname, packages[o]))
        for soname, owners in _without_long_versions(libraries).items()
    }
    commands = {
        program: sorted(owners, key=lambda o: _program_rank(program, packages[o]))
        for program, owners in programs.items()
        if owners
    }
    essential = [p.name for p in packages.values() if p.essential or p.priority == "required"]
    slim = closure([*essential, *(name for name in SLIM if name in packages)], packages)
    present = sorted(
        name
        for table in (sonames, commands)
        for name, owners in table.items()
        if slim.intersection(owners)
    )
    source = f"{ARCHIVE}/{release.name}/main Contents-amd64, Contents-all and Packages"
    for kind, rows in (
        ("libraries", {name: " ".join(owners[:3]) for name, owners in sonames.items()}),
        ("programs", {name: " ".join(owners[:3]) for name, owners in commands.items()}),
        ("present", dict.fromkeys(present, "")),
    ):
        tables.write(f"debian-{release.name}.{kind}", rows, source, release.date(), LICENCE)


def _holds_libraries(package: Package, library: re.Match[str]) -> bool:
    """Not a development package; of alternatives (BLAS) the reference implementation."""
    if package.section in ("libdevel", "debug") or package.name.endswith(("-dev", "-dbg")):
        return False
    return not library[1] or package.name.startswith(("libblas", "liblapack"))


def _without_long_versions(libraries: dict[str, set[str]]) -> dict[str, set[str]]:
    """libz.so.1.2.13 is the file behind libz.so.1, and no soname, where one package has both."""
    kept = {}
    for name, owners in libraries.items():
        shorter = name.rpartition(".")[0]
        while ".so." in shorter and owners - libraries.get(shorter, set()):
            shorter = shorter.rpartition(".")[0]
        if owners and ".so." not in shorter:
            kept[name] = owners
    return kept


def _library_rank(soname: str, package: Package) -> tuple[object, ...]:
    """Debian names a library's package after its soname: libfoo.so.3 is in libfoo3."""
    stem, _, version = soname.partition(".so")
    named = (stem + ("-" if stem[-1].isdigit() else "") + version.lstrip(".")).lower()
    plain = package.name.removesuffix("t64")
    return (
        plain != named.replace("_", "-"),
        package.section not in ("libs", "oldlibs"),
        PRIORITIES.index(package.priority),
        len(package.name),
        package.name,
    )


def _program_rank(program: str, package: Package) -> tuple[object, ...]:
    return (
        package.name != program.lower(),
        PRIORITIES.index(package.priority),
        not package.name.startswith(program.lower()),
        package.section in ("oldlibs", "debug"),
        len(package.name),
        package.name,
    )


if __name__ == "__main__":
    main()
