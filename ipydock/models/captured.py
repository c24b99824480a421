"""The Capture and what it is made of: what a notebook needs, and the evidence."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import Field

from .base import Document, Model

# What a distribution's own archives are called (PEP 427, PEP 625 and what was before it).
ARCHIVES = (".whl", ".tar.gz", ".zip", ".tar.bz2", ".tar.xz", ".tgz")

Source: TypeAlias = Literal["source", "session", "trace", "environment", "map", "user"]
Policy: TypeAlias = Literal["copy", "mount", "generated", "missing", "outside"]


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
