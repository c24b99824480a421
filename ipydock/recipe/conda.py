"""Conda environments: micromamba puts in exactly the packages that conda-meta listed.

What pip had put in comes on top by uv, as in every other image.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from packaging.utils import canonicalize_name

from ..layout import PACKAGES
from ..models import Capture, CondaPackage, Package
from .instructions import Comment, Instruction, Run, Simple
from .mounts import CA_SECRET
from .wanted import Wanted

IMAGE = "mambaorg/micromamba:2.5.0-debian12-slim"
LOCK = f"{PACKAGES}/conda.txt"
PREFIX = "/opt/conda"  # the environment "base" of that image
_IMAGES = re.compile(r"(?:docker\.io/)?mambaorg/micromamba(?:[:@].*)?")
_SUBDIRS = {"x86_64": "linux-64", "amd64": "linux-64", "aarch64": "linux-aarch64"}
_SUBDIRS["arm64"] = "linux-aarch64"
_FILE = re.compile(r"https?://[^\s#]+/(linux-64|linux-aarch64|noarch)/[^\s/#]+\.(conda|tar\.bz2)")
_MD5 = re.compile(r"[0-9a-f]{32}")


def is_base(base: str) -> bool:
    """Whether an image is one of micromamba's."""
    return bool(_IMAGES.fullmatch(base.partition("@")[0]))


def unfit(packages: Sequence[CondaPackage], machine: str) -> str:
    """Why these cannot be put into an image, as the end of a sentence; empty if they can."""
    if not packages:
        return "there are none"
    wanted = _SUBDIRS.get(machine, "")
    for package in packages:
        match = _FILE.fullmatch(package.url or "")
        if match is None:
            return f"{package.name} was not downloaded from a channel for Linux"
        if match[1] not in (wanted, "noarch"):
            return f"{package.name} is for {match[1]}"
        if not _MD5.fullmatch(package.md5 or ""):
            return f"nothing tells the digest of {package.name}"
    return ""


def lock(packages: Sequence[CondaPackage], machine: str) -> str:
    """The explicit list of packages, Python first: what needs it to be put in comes after it."""
    rows = sorted(packages, key=lambda package: (package.name != "python", package.name))
    lines = [f"{package.url}#{package.md5}" for package in rows]
    return "\n".join((f"# platform: {_SUBDIRS[machine]}", "@EXPLICIT", *lines)) + "\n"


def paragraphs() -> list[tuple[Instruction, ...]]:
    """The layer of the environment."""
    return [
        (
            Comment((f"The conda environment as it was; {LOCK} has each package by its digest.",)),
            Run(
                (
                    "micromamba install --yes --name base --file /tmp/conda.txt",
                    "micromamba clean --all --yes",
                ),
                mounts=(CA_SECRET, f"type=bind,source={LOCK},target=/tmp/conda.txt"),
            ),
            Simple("ENV", f"PATH={PREFIX}/bin:$PATH CONDA_PREFIX={PREFIX}"),
        )
    ]


def take_out(wanted: Wanted, capture: Capture) -> list[Package]:
    """Leave what conda has put in out of what is locked; those that the notebook asks for."""
    found = []
    for pin in capture.closure:
        if pin.installer != "conda":
            continue
        name = canonicalize_name(pin.distribution)
        wanted.excluded.add(name)
        if name in wanted.packages:
            package = wanted.packages[name]
            found.append(package.model_copy(update={"version": pin.version}))
            wanted.drop(name)
    return found
