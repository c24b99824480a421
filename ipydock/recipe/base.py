"""The image that a recipe starts from: what is known of it, and what has to be done to it first.

A Python of the captured series is set up where the base has none, by the first of these that fits:

1. The distribution's own packages, where they are of that series: they are fixed with it.
2. The Python of the official image, copied from there: it comes from the same registry as the base,
   is pinned by digest, and is the very interpreter that a recipe without ``--base`` has. It is
   linked to the C library of Debian 12, so that the base must have that one or a newer one.
3. uv's managed Python, which runs with any C library but is downloaded from GitHub in the build.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from packaging.utils import canonicalize_name

from ..models import BaseImage
from .instructions import Comment, From, Instruction, Run, Simple
from .local import apt_run
from .mounts import CA_SECRET, UV

OFFICIAL = re.compile(
    r"(?:docker\.io/)?(?:library/)?python:(3\.\d+)(?:\.\d+)?(?:-slim)?-(bullseye|bookworm|trixie)"
)
PYTHON_STAGE = "python"
GROUND = "ground"  # the base with a Python in it, where several stages start from it
_GLIBC = {"bullseye": "2.31", "bookworm": "2.36", "trixie": "2.41"}
_SYSTEM = {"bullseye": "debian-11", "bookworm": "debian-12", "trixie": "debian-13"}
# The series of the package python3. Source: packages.debian.org and packages.ubuntu.com.
_DISTRIBUTION = {
    "debian-11": "3.9",
    "debian-12": "3.11",
    "debian-13": "3.13",
    "ubuntu-20.04": "3.8",
    "ubuntu-22.04": "3.10",
    "ubuntu-24.04": "3.12",
}
# What the official slim image on Debian 12 installs for its Python; later releases have renamed
# some and provide the old names. Source: the Dockerfiles of docker-library/python.
_LIBRARIES = (
    *("ca-certificates", "libbz2-1.0", "libdb5.3", "libffi8", "libgdbm6", "liblzma5"),
    *("libncursesw6", "libnsl2", "libreadline8", "libsqlite3-0", "libssl3", "libtirpc3"),
    *("libuuid1", "netbase", "tzdata", "zlib1g"),
)
_COPIED_GLIBC = (2, 36)
# Images by their names, for where no engine can be asked: whether they have a Python of some
# series, and the uid of their user. Sources: the Dockerfiles of debian, ubuntu, nvidia/cuda,
# jupyter/docker-stacks and mamba-org/micromamba-docker.
_NAMED = (
    (re.compile(r"(?:.*/)?debian(?::.*)?"), None, 0),
    (re.compile(r"(?:.*/)?ubuntu(?::.*)?"), None, 0),
    (re.compile(r"(?:.*/)?nvidia/cuda(?::.*)?"), None, 0),
    (re.compile(r"(?:.*/)?mambaorg/micromamba(?::.*)?"), None, 57439),
    (re.compile(r"(?:.*/)?jupyter/[\w-]+(?::.*)?"), "3", 1000),
)

How = Literal["there", "apt", "copy", "uv"]


def official(base: str) -> BaseImage | None:
    """What an official Python image on Debian holds, None for any other image."""
    match = OFFICIAL.fullmatch(base.partition("@")[0])
    if match is None:
        return None
    return BaseImage(system=_SYSTEM[match[2]], glibc=_GLIBC[match[2]], python=f"{match[1]}.0")


def assumed(base: str, series: str) -> BaseImage:
    """What an image holds as its name tells; one that is not known has a Python of the series."""
    known = official(base)
    if known is not None:
        return known
    name = base.partition("@")[0]
    python: str | None = f"{series}.0"
    uid = 0
    for pattern, has, user in _NAMED:
        if pattern.fullmatch(name):
            python, uid = (f"{series}.0" if has else None), user
            break
    numbered = re.search(r"(debian|ubuntu):?(\d+(?:\.\d+)?)", name)
    system = f"{numbered[1]}-{numbered[2]}" if numbered else ""
    for codename, release in _SYSTEM.items():
        if codename in name:
            system = release
    glibc = next((_GLIBC[c] for c, release in _SYSTEM.items() if release == system), "")
    glibc = {"ubuntu-20.04": "2.31", "ubuntu-22.04": "2.35", "ubuntu-24.04": "2.39"}.get(
        system, glibc
    )
    return BaseImage(system=system, glibc=glibc, python=python, uid=uid, assumed=True)


def how(held: BaseImage, series: str) -> How:
    """How the image gets a Python of a series, see this module's own text."""
    if held.python is not None and _series(held.python) == series:
        return "there"
    if held.python is None and _DISTRIBUTION.get(held.system) == series:
        return "apt"
    return "copy" if version_of(held.glibc) >= _COPIED_GLIBC else "uv"


def version_of(glibc: str) -> tuple[int, ...]:
    """A version of the C library as numbers; that of Debian 12 where it is not known."""
    return tuple(int(part) for part in (glibc or "2.36").split("."))


def helper(held: BaseImage, series: str) -> str:
    """The official image that a build takes a Python from, or runs one in; empty for none."""
    fits = how(held, series) == "there" and held.uid == 0
    return "" if fits else f"python:{series}-slim-bookworm"


@dataclass(frozen=True, slots=True)
class Ground:
    """What the layers stand on.

    ``base`` is the image, ``held`` what is in it, ``series`` the Python that it should have, and
    ``python`` the official image to take one from, as `helper` tells, with its digest.
    ``environment`` brings a Python by itself, so that none is set up.
    """

    base: str
    held: BaseImage
    series: str
    python: str = ""
    environment: Sequence[tuple[Instruction, ...]] = ()

    @property
    def helper(self) -> str:
        """The image in which uv is fetched."""
        return self.python or helper(self.held, self.series) or self.base

    @property
    def uv_base(self) -> str:
        """What the stage of uv starts from: an image, or the stage that is it."""
        return PYTHON_STAGE if self._way() == "copy" else self.helper

    def _way(self) -> How:
        return "there" if self.environment else how(self.held, self.series)

    def stages(self) -> list[tuple[Instruction, ...]]:
        """The stage before all others: the Python to be copied, if one is."""
        if self._way() != "copy":
            return []
        return [
            (
                Comment((f"The Python {self.series} that {self._name} does not have.",)),
                From(self.helper, PYTHON_STAGE),
            )
        ]

    def shared(self) -> list[tuple[Instruction, ...]]:
        """The stage that others start from; none where it would be the base itself."""
        done = self.done()
        return [(From(self.base, GROUND),), *done] if done else []

    def image(self, *, shared: bool) -> str:
        """What other stages and the image start from."""
        return GROUND if shared else self.base

    def done(self) -> list[tuple[Instruction, ...]]:
        """What is done to the base before anything else."""
        found: list[tuple[Instruction, ...]] = []
        if self.held.uid != 0:
            found.append(
                (
                    Comment((f"Its user is {self.held.uid}; the layers are made as root.",)),
                    Simple("USER", "0"),
                )
            )
        return [*found, *self._python(), *self.environment]

    @property
    def _name(self) -> str:
        return self.base.partition("@")[0]

    def _python(self) -> list[tuple[Instruction, ...]]:
        way = self._way()
        if way == "apt":
            says = f"Python {self.series} is that of the distribution."
            return [(Comment((says,)), *_installed("ca-certificates", "python-is-python3"))]
        if way == "copy":
            # Before one of another series that the base has.
            first = (Simple("ENV", "PATH=/usr/local/bin:$PATH"),) if self.held.python else ()
            return [
                (
                    Comment((f"Python {self.series}, and the libraries that it is linked to:",)),
                    *_installed(*_LIBRARIES),
                    Simple("COPY", f"--from={PYTHON_STAGE} /usr/local/bin/ /usr/local/bin/"),
                    Simple("COPY", f"--from={PYTHON_STAGE} /usr/local/lib/ /usr/local/lib/"),
                    Run(("ldconfig",)),
                    *first,
                )
            ]
        if way == "uv":
            lines = (
                f"Python {self.series}, built to run with any C library; it comes from GitHub, as",
                f"that of the official image needs a newer C library than {self._name} has.",
            )
            folder = "/opt/python"
            return [
                (
                    Comment(lines),
                    *_installed("ca-certificates"),
                    Run(
                        (
                            f"/opt/uv/uv python install --system-certs --no-bin \\\n"
                            f"      --install-dir {folder} {self.series}",
                            f"ln -s {folder}/cpython-{self.series}.* {folder}/current",
                        ),
                        mounts=(CA_SECRET, UV),
                    ),
                    Simple("ENV", f"PATH={folder}/current/bin:$PATH"),
                )
            ]
        if not self.held.certificates:
            says = "The authorities that certificates are checked with."
            return [(Comment((says,)), *_installed("ca-certificates"))]
        return []

    def user(self, uid: int, home: str, folders: str) -> tuple[Comment | Run, ...]:
        """The user of the image, whose home and work folder anyone may write to."""
        made = f"--no-log-init --create-home --home-dir {home}"
        held = self.held
        adds: tuple[str, ...] = (f"useradd --uid {uid} {made} user",)
        if held.uid or uid in held.uids:
            adds = ()
        elif held.assumed:
            adds = (f"{{ id -u {uid} > /dev/null 2>&1 || useradd --uid {uid} {made} user; }}",)
        elif "user" in held.names:
            adds = (f"useradd --uid {uid} {made} notebook",)
        return (
            Comment(("Runs as any user: every uid may write to the home and the work folder.",)),
            Run((*adds, f"install -d -o {uid} -m 0777 {folders}")),
        )


def _installed(*names: str) -> tuple[Comment, Run]:
    """Install system packages without the host's authorities being mounted.

    The package ca-certificates replaces the file that they are mounted over.
    """
    ignored, run = apt_run(names)
    return ignored, replace(run, mounts=())


def series_note(held: BaseImage, base: str, series: str) -> str:
    """A warning about a base with another Python, or one that was only assumed; else empty."""
    name = base.partition("@")[0]
    if held.assumed:
        has = f"Python {series}" if how(held, series) == "there" else "no Python"
        return f"Nothing was asked of the base {name}: by its name it is taken to have {has}."
    if held.python and _series(held.python) != series:
        return (
            f"The base {name} has Python {held.python}, and the notebook was captured with Python "
            f"{series}, which is set up beside it."
        )
    return ""


def preferred(held: BaseImage, series: str) -> tuple[str, ...]:
    """The base's packages as pins, for what the capture leaves open."""
    if how(held, series) != "there":
        return ()
    return tuple(f"{name}=={version}" for name, version in held.packages)


def compared(
    held: BaseImage, series: str, versions: Mapping[str, str]
) -> tuple[dict[str, str], list[str]]:
    """What the base's own packages mean for those that are locked.

    Returns:
        A remark for each name that the base has, and warnings of versions that are replaced.
    """
    if how(held, series) != "there":
        return {}, []
    there: dict[str, str] = {canonicalize_name(name): version for name, version in held.packages}
    remarks: dict[str, str] = {}
    replaced: list[str] = []
    for name, version in sorted(versions.items()):
        old = there.get(name)
        if old == version:
            remarks[name] = "in the base already"
        elif old is not None:
            remarks[name] = f"in place of {old} in the base"
            replaced.append(f"{name} {old} by {version}")
    if not replaced:
        return remarks, []
    listed = ", ".join(replaced)
    return remarks, [
        f"Packages of the base are replaced by the captured versions: {listed}. What else is in "
        "the base may not work with these."
    ]


def _series(python: str) -> str:
    return ".".join(python.split(".")[:2])
