"""What the stages after the capture make: Recipe, Image, Rerun, Verdict, and their parts."""

from __future__ import annotations

import re
from typing import Any, Literal, TypeAlias

from .base import Document, Model
from .captured import LocalPackage, Policy, PythonInfo, SystemPackage

CellStatus: TypeAlias = Literal[
    "same", "close", "volatile", "different", "error", "fixed", "no-baseline", "not-run"
]
VerdictWord: TypeAlias = Literal[
    "reproduced", "reproduced-with-volatile", "differs", "failed", "unverifiable"
]
Blame: TypeAlias = Literal[
    "environment", "data", "network", "nondeterminism", "execution-order", "resources", "code"
]


# --- recipe ----------------------------------------------------------------------------------


class Package(Model):
    """A package line of the recipe. ``version`` is None only before locking."""

    name: str
    version: str | None
    reason: str
    guess: bool = False


class Download(Model):
    """A file of a package index: its address, without credentials, and what it must be.

    ``sha256`` is hexadecimal, empty where the index has none; ``size_bytes`` is None where it does
    not tell.
    """

    name: str
    url: str
    sha256: str
    size_bytes: int | None = None


class ContextFile(Model):
    """A file that is copied into the build context.

    ``path`` is as in `DataFile`; a ``folder`` is empty and has a slash at its end. What is
    ``copied`` is taken by a ``COPY`` of the user's, which keeps whether it is ``executable``.
    """

    path: str
    sha256: str
    size_bytes: int
    kind: Literal["module", "data", "folder", "copied"]
    executable: bool = False


class BaseImage(Model):
    """What a base image holds.

    ``system`` is such as ``debian-12``, ``glibc`` such as ``2.36``; ``python`` is the version of
    the first ``python3`` on its search path, None if there is none, and ``packages`` are names and
    versions of what is installed with it. ``uid`` is that of its default user; ``uids`` and
    ``names`` are those of all users. ``certificates`` tells that it has a list of authorities, and
    ``healthcheck`` that it has a check. ``id`` is the image's own, where it has no digest in a
    registry. ``assumed``: nothing was asked, it is what the image's name tells.
    """

    system: str = ""
    glibc: str = ""
    python: str | None = None
    packages: tuple[tuple[str, str], ...] = ()
    uid: int = 0
    uids: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    certificates: bool = True
    healthcheck: bool = False
    id: str = ""
    assumed: bool = False


class Recipe(Document):
    """Everything that determines an image.

    ``platform`` is such as ``linux/arm64``, None for that of the engine. ``digest`` is the SHA-256
    over all of the other fields that reach the image; the image's tag is
    made from it, so that an unchanged notebook is not built again. ``workdir`` is the notebook's
    folder in the image and ``folder`` its last names, as many as files lie above it. ``modules``
    are compiled to bytecode, with all that they import. ``scripts`` are the names and texts of what
    the build and the image run besides. ``local_packages`` are built in a stage of their own, and
    so are the source distributions that ``sdists`` pins; ``texts`` are the paths and contents of
    further files of the context. ``vendored`` is what is downloaded into the context, so that the
    build needs no index.
    """

    notebook: str
    notebook_sha256: str
    base: str
    python: PythonInfo
    dockerfile: str
    lock: str
    dockerignore: str
    packages: tuple[Package, ...]
    apt: tuple[SystemPackage, ...] = ()
    files: tuple[ContextFile, ...] = ()
    modules: tuple[str, ...] = ()
    scripts: tuple[tuple[str, str], ...] = ()
    local_packages: tuple[LocalPackage, ...] = ()
    sdists: str = ""
    texts: tuple[tuple[str, str], ...] = ()
    vendored: tuple[Download, ...] = ()
    workdir: str = "/work"
    folder: str = ""
    platform: str | None = None
    env: tuple[tuple[str, str], ...] = ()
    warnings: tuple[str, ...] = ()
    digest: str

    @property
    def tag(self) -> str:
        """The default tag of the image."""
        stem = self.notebook.removesuffix(".ipynb").lower()
        safe = "".join(c if c.isascii() and c.isalnum() else "-" for c in stem).strip("-")
        return f"ipydock/{safe or 'notebook'}:{self.digest[:12]}"


# --- engine ----------------------------------------------------------------------------------


class Image(Document):
    """An image (or, for the venv engine, an environment) made from a recipe.

    ``cached`` is true when it was there already; ``seconds`` is what it cost this time; ``log`` is
    the file that holds the build's output, None if nothing was built.
    """

    id: str
    tag: str
    engine: str
    recipe: str
    size_bytes: int
    cached: bool
    seconds: float
    log: str | None = None


class Limits(Model):
    """What a rerun may use.

    ``memory`` as engines write it (``4g``), None for most of what the engine has; ``cpus`` a number
    of cores; ``pids`` a number of processes; ``timeout`` seconds for each cell, None for no limit;
    ``mounts`` as ``SOURCE:TARGET`` with ``:rw`` if the notebook may write there.
    """

    network: bool = False
    memory: str | None = None
    cpus: float | None = None
    pids: int = 4096
    timeout: float | None = 1800.0
    mounts: tuple[str, ...] = ()


# --- rerun and compare -----------------------------------------------------------------------


class CellRun(Model):
    """How one code cell went in the rerun."""

    index: int
    number: int
    outcome: Literal["ok", "error", "timeout", "died", "not-run"]
    seconds: float


class Rerun(Document):
    """An executed notebook. ``notebook`` is the nbformat 4 document, ``path`` where it was written.

    ``failure`` is None when every cell was run (cells may still have raised), else one paragraph.
    """

    notebook: dict[str, Any]
    path: str | None
    image: str
    engine: str
    cells: tuple[CellRun, ...]
    seconds: float
    failure: str | None = None
    warnings: tuple[str, ...] = ()


class CellVerdict(Model):
    """What became of one code cell."""

    index: int
    number: int
    status: CellStatus
    blame: Blame | None = None
    detail: str = ""


# A host with a port, path components and a tag; distribution/reference, "grammar".
_TAG = re.compile(
    r"([A-Za-z0-9.-]+(:[0-9]+)?/)?[a-z0-9]+([._-]+[a-z0-9]+)*(/[a-z0-9]+([._-]+[a-z0-9]+)*)*"
    r"(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?"
)


def is_tag(name: str) -> bool:
    """Whether an image can have this name."""
    return len(name) <= 255 and bool(_TAG.fullmatch(name))


class ImageSummary(Model):
    """What a verdict says of the image."""

    id: str
    tag: str
    size_bytes: int
    cached: bool


class Seconds(Model):
    """How long each stage took; None for one that was not part of it."""

    capture: float | None = None
    build: float | None = None
    rerun: float | None = None
    compare: float | None = None


class FileSummary(Model):
    """What a verdict says of a file."""

    path: str
    sha256: str | None
    policy: Policy


class Verdict(Document):
    """Whether the results are the same, cell by cell: the JSON of ``verify --json``.

    `ipydock.compare` fills the first five fields; `ipydock.verify` also says what the rerun ran on.
    """

    notebook: str
    verdict: VerdictWord
    blame: tuple[Blame, ...] = ()
    cells: tuple[CellVerdict, ...] = ()
    warnings: tuple[str, ...] = ()
    image: ImageSummary | None = None
    engine: str | None = None
    seconds: Seconds = Seconds()
    packages: tuple[Package, ...] = ()
    apt: tuple[SystemPackage, ...] = ()
    files: tuple[FileSummary, ...] = ()
    executed: str | None = None

    def count(self, *statuses: CellStatus) -> int:
        """How many cells have one of these statuses."""
        return sum(cell.status in statuses for cell in self.cells)
