"""The data that crosses a boundary: Capture, Recipe, Image, Rerun and Verdict.

All are frozen pydantic models; ``model_dump_json()`` is the JSON that files, ``--json`` and other
programs get. Two ways of naming a cell occur in all of them: ``index`` (or ``cell``) counts from 0
over all cells of the notebook, as nbformat does; ``number`` counts from 1 over the code cells,
which is what a reader sees as ``[3]`` after "Restart kernel and run all".
"""

from __future__ import annotations

import re
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

SCHEMA: Literal[1] = 1
# What a distribution's own archives are called (PEP 427, PEP 625 and what was before it).
ARCHIVES = (".whl", ".tar.gz", ".zip", ".tar.bz2", ".tar.xz", ".tgz")

Source: TypeAlias = Literal["source", "session", "trace", "environment", "map", "user"]
Policy: TypeAlias = Literal["copy", "mount", "generated", "missing", "outside"]
CellStatus: TypeAlias = Literal[
    "same", "close", "volatile", "different", "error", "fixed", "no-baseline", "not-run"
]
VerdictWord: TypeAlias = Literal[
    "reproduced", "reproduced-with-volatile", "differs", "failed", "unverifiable"
]
Blame: TypeAlias = Literal[
    "environment", "data", "network", "nondeterminism", "execution-order", "resources", "code"
]


class Model(BaseModel):
    """Base of all: immutable, strict about unknown fields, JSON by alias."""

    model_config = ConfigDict(
        defer_build=True,  # most commands need few of them
        frozen=True,
        extra="forbid",
        serialize_by_alias=True,
        validate_by_name=True,
        validate_by_alias=True,
    )


class Document(Model):
    """A model that stands alone in a file and so carries its schema version."""

    schema_version: Literal[1] = Field(default=SCHEMA, alias="schema")


# --- capture -------------------------------------------------------------------------------


class Evidence(Model):
    """Where a finding comes from.

    ``path`` is the local module it was seen in (relative to the notebook's folder) where it was not
    the notebook itself; ``line`` counts from 1 within the cell or the file; ``text`` is that
    line, or a short sentence.
    """

    source: Source
    text: str
    cell: int | None = None
    number: int | None = None
    line: int | None = None
    path: str | None = None

    def __str__(self) -> str:
        where = f"{self.path}:{self.line}" if self.path else f"cell {self.number}"
        return f"{where}: {self.text}" if self.path or self.number is not None else self.text


class Requested(Model):
    """A distribution that the notebook asked for by importing (or installing) something.

    ``distribution`` is None where no name is known; ``version`` is None where it is not installed;
    ``guess`` marks a name that comes from a table or from the import name, not from metadata.
    ``url`` is a direct URL (PEP 610) if it was installed from one. ``requirement`` is what the
    notebook itself gave to pip or conda (``pandas[excel]<3``), if it did.
    """

    import_name: str = Field(alias="import")
    distribution: str | None
    version: str | None
    evidence: tuple[Evidence, ...]
    guess: bool = False
    url: str | None = None
    requirement: str | None = None


class Loaded(Model):
    """A distribution that was in use without having been asked for, and who loaded it.

    ``needed`` tells that the notebook's behaviour used it, so that it belongs into the image; what
    a library imports only because it is there is not needed (see `ipydock.capture.plugins`).
    """

    distribution: str
    version: str
    by: str
    needed: bool = False
    evidence: tuple[Evidence, ...] = ()


class Pinned(Model):
    """One distribution of the closure, with the distributions that require it.

    ``installer`` is what put it there (``pip``, ``uv``, ``conda``); ``index`` is an index besides
    PyPI that its local version (``2.4.0+cpu``) comes from, where it is known.
    """

    distribution: str
    version: str
    required_by: tuple[str, ...] = ()
    url: str | None = None
    installer: str | None = None
    index: str | None = None


class CondaPackage(Model):
    """A package of a conda environment, as its conda-meta tells; ``url`` has no credentials."""

    name: str
    version: str
    build: str
    channel: str
    url: str | None = None
    md5: str | None = None


class SystemPackage(Model):
    """A package of the base image's distribution."""

    name: str
    reason: str


class DataFile(Model):
    """A file that the notebook names or opened.

    ``path`` is POSIX and relative to the notebook's folder (``../x.csv`` above it), or absolute
    where the notebook names it so; a slash at its end means a folder that must be there.
    ``sha256`` and ``size_bytes`` are None where the file is missing or was not read.
    """

    path: str
    sha256: str | None
    size_bytes: int | None
    policy: Policy
    evidence: tuple[Evidence, ...] = ()


class LocalModule(Model):
    """A Python file beside the notebook that the notebook imports, directly or not."""

    name: str
    path: str
    sha256: str
    size_bytes: int
    evidence: tuple[Evidence, ...] = ()


class SourceFile(Model):
    """A file of a package's source; ``path`` is relative to the package's folder."""

    path: str
    sha256: str
    size_bytes: int
    executable: bool = False


class LocalPackage(Model):
    """A distribution that came from no index, and what it can be built from elsewhere.

    Either ``files`` below ``path`` (relative to the notebook's folder): a folder with its source,
    or a folder of which one archive or wheel is named. Or ``url``, a Git repository that is reached
    by HTTP, with the commit (``git+https://host/owner/repo@commit#subdirectory=py``).
    ``build_requires`` is what its build backend asks for (PEP 518), and ``modules`` are those of
    its modules that the notebook's folder has too, which the package then stands for.
    """

    distribution: str
    version: str
    path: str = ""
    files: tuple[SourceFile, ...] = ()
    url: str | None = None
    build_requires: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()

    @property
    def archive(self) -> str:
        """The name of the archive or wheel that it is, empty if it is a folder or repository."""
        name = self.files[0].path if len(self.files) == 1 else ""
        return name if name.endswith(ARCHIVES) else ""


class Program(Model):
    """A program that the notebook starts; ``path`` is where it was seen to be started from."""

    name: str
    path: str | None = None
    evidence: tuple[Evidence, ...] = ()


class Library(Model):
    """A shared library that no wheel brings.

    ``name`` is its soname; ``package`` is the system package that has it, None where that is not
    known; ``by`` is what needs it (a distribution, or ``the notebook``).
    """

    name: str
    package: str | None
    by: str


class InstructionCell(Model):
    """Dockerfile instructions of the user's: a ``%%dockerfile`` cell, or a setting.

    ``origin`` is such as ``cell 3`` or ``pyproject.toml [tool.ipydock] dockerfile``; ``line`` is
    the line of it, from 1, on which ``text`` begins; ``cell`` and ``number`` are None for settings.
    """

    text: str
    origin: str
    line: int = 1
    cell: int | None = None
    number: int | None = None


class Settings(Model):
    """What results can depend on besides code and data, as the session had it.

    ``locale`` is such as ``en_US.UTF-8`` and ``timezone`` such as ``Europe/Berlin``; ``random``
    tells for each random generator that is in memory (``random``, ``numpy``, ``torch``) whether the
    notebook seeded it.
    """

    locale: str | None = None
    timezone: str | None = None
    random: dict[str, bool] = Field(default_factory=dict)


class PythonInfo(Model):
    """The interpreter that was captured, such as CPython 3.11.7 on linux x86_64."""

    version: str
    implementation: str = "CPython"
    system: str = "linux"
    machine: str = "x86_64"

    @property
    def series(self) -> str:
        """Major and minor version, such as ``3.11``."""
        return ".".join(self.version.split(".")[:2])


class Capture(Document):
    """What a notebook needs, with the evidence for each thing.

    ``notebook`` is the file name; ``notebook_sha256`` is the digest of the notebook without outputs
    (see `ipydock.notebook.stripped`); ``authors`` comes from its metadata, and ``repository``,
    ``revision`` and ``licenses`` from `ipydock.capture.provenance`; ``unseen`` lists what the
    sources that were used cannot see; ``settings`` is there if a session was seen.
    ``folder`` is the part of the notebook's own path that the image must mirror: the last names of
    its folder where cells reach above it, all of it (absolute) where they name it so, else empty.
    ``search_path`` are folders below it that are on the search path of the captured environment.
    ``instructions`` are the ``%%dockerfile`` cells, as they are. ``modules`` are the dotted names
    of what the notebook's own code imports from elsewhere. ``local_packages`` are those of the
    closure that came from no index and can be built elsewhere.
    """

    notebook: str
    notebook_sha256: str
    authors: tuple[str, ...] = ()
    repository: str = ""
    revision: str = ""
    licenses: str = ""
    sources: tuple[Source, ...]
    python: PythonInfo
    requested: tuple[Requested, ...] = ()
    loaded: tuple[Loaded, ...] = ()
    closure: tuple[Pinned, ...] = ()
    apt: tuple[SystemPackage, ...] = ()
    files_read: tuple[DataFile, ...] = ()
    files_written: tuple[DataFile, ...] = ()
    programs: tuple[Program, ...] = ()
    libraries: tuple[Library, ...] = ()
    conda: tuple[CondaPackage, ...] = ()
    settings: Settings | None = None
    hosts: tuple[str, ...] = ()
    env_names: tuple[str, ...] = ()
    local_modules: tuple[LocalModule, ...] = ()
    local_packages: tuple[LocalPackage, ...] = ()
    folder: str = ""
    search_path: tuple[str, ...] = ()
    instructions: tuple[InstructionCell, ...] = ()
    modules: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


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
