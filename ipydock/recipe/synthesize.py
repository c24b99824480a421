"""A capture and the user's options in, the ordered layers of an image out.

Every name that reaches an instruction has either been checked here against the syntax of its kind
or is quoted by `ipydock.recipe.instructions`.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from ..errors import InputError
from ..layout import SDISTS, is_meant
from ..models import (
    BaseImage,
    Capture,
    ContextFile,
    DataFile,
    Download,
    InstructionCell,
    LocalPackage,
    Recipe,
    SourceFile,
    SystemPackage,
)
from ..process import Cancellation
from . import conda, cuda, local, sdists, vendor
from .base import Ground, assumed, compared, preferred, series_note, version_of
from .custom import Custom, from_of, read
from .elsewhere import place as place_elsewhere
from .layers import RUNNING, Layers, scripts
from .lock import Lock, lock, uv_machine, uv_platform, wheel_at
from .lock import files as files_of
from .mounts import CA_SECRET
from .place import layout_of
from .solving import build_locks, by_version, solved, vendored
from .wanted import EXTRA_MODULES, EXTRAS, Wanted, choose

# Debian Policy 5.6.1 and 5.6.12: a name, an architecture, a version.
_APT_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+(:[a-z0-9]+)?(=[A-Za-z0-9.+:~-]+)?")
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PLATFORM = re.compile(r"linux/(amd64|arm64)(/v[0-9]+)?")
_BASE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]*")

_NOTHING = hashlib.sha256().hexdigest()

DOCKERIGNORE = """\
*
!Dockerfile
!requirements*.lock
!modules*.txt
!scripts
!packages
!sdists.lock
!wheels
!data
!project
!root
!copied
!notebook
"""


@dataclass(frozen=True, slots=True)
class Options:
    """What the user adds to or changes in a recipe.

    ``base`` is an image reference, best with a digest; ``add_pip`` are requirement specifiers,
    ``add_apt`` package names, ``env`` name-value pairs, ``files`` what ``--include`` matched, and
    ``exclude`` glob patterns of captured files to leave out. ``folder`` is the notebook's,
    absolute, from which ``files`` that lie above it are seen. ``platform`` is such as
    ``linux/arm64``, where it is not that of the capture; ``system`` is what the packages are locked
    for where that is not Linux. ``instructions`` are Dockerfile instructions of settings, which
    come before those of the capture's cells; what any of them copies is among ``files``, of the
    kind ``copied``. ``extras`` are words of ``--with``. ``origins`` tells who asked for what, as
    ``(option, value) -> origin``, where it was not the command line; ``notes`` are warnings to pass
    on. ``held`` is what the base was found to hold, by default what its name tells, and
    ``python_image`` the image of `ipydock.recipe.base.helper` with its digest.

    Raises:
        InputError: something is not a valid name of its kind.
    """

    base: str | None = None
    add_apt: tuple[str, ...] = ()
    add_pip: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    files: tuple[ContextFile, ...] = ()
    exclude: tuple[str, ...] = ()
    folder: str = ""
    platform: str | None = None
    system: str = "linux"
    instructions: tuple[InstructionCell, ...] = ()
    extras: tuple[str, ...] = ()
    origins: Mapping[tuple[str, str], str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    vendor: bool = False
    held: BaseImage | None = None
    python_image: str = ""

    def __post_init__(self) -> None:
        for name in self.add_apt:
            if not _APT_NAME.fullmatch(name):
                raise InputError(
                    f"{name!r} is not the name of a Debian package.",
                    hint="Give names such as graphviz or libgl1, one --add-apt each.",
                )
        for specifier in self.add_pip:
            try:
                parsed = Requirement(specifier)
            except InvalidRequirement as error:
                raise InputError(
                    f"{specifier!r} is not a requirement specifier: {str(error).splitlines()[0]}.",
                    hint="Give one such as 'gensim' or 'numpy==1.26.4', one --add-pip each.",
                ) from error
            if parsed.url is not None:
                raise InputError(
                    f"--add-pip {parsed.name} names a URL; packages come from the index.",
                    hint=f"Write --add-pip '{parsed.name}==VERSION'.",
                )
        for key, _ in self.env:
            if not _ENV_NAME.fullmatch(key):
                raise InputError(
                    f"{key!r} is not the name of an environment variable.",
                    hint="Write --env NAME=VALUE.",
                )
        if self.platform and not _PLATFORM.fullmatch(self.platform):
            raise InputError(
                f"{self.platform!r} is not a platform that ipydock builds for.",
                hint="Write linux/amd64 or linux/arm64. For both under one name in a registry: "
                "`ipydock push NOTEBOOK -t NAME --platform linux/amd64,linux/arm64`.",
            )
        for word in self.extras:
            if word not in EXTRAS:
                raise InputError(
                    f"There is nothing called {word!r} to add.",
                    hint=f"There is {', '.join(EXTRAS)}.",
                )
        if self.base and not _BASE.fullmatch(self.base):
            raise InputError(
                f"{self.base!r} is not an image reference.",
                hint="Write --base NAME:TAG, such as python:3.12-slim-bookworm.",
            )


def default_base(capture: Capture) -> str:
    """The official Python image of the notebook's Python on Debian 12."""
    return f"python:{capture.python.series}-slim-bookworm"


def base_of(capture: Capture, options: Options) -> str:
    """The base image: the one that was asked for, that of a ``FROM``, that which a conda
    environment or wheels for CUDA need, or the default.

    Raises:
        InputError: there are several ``FROM``, or an instruction is wrong.
        Refused: an instruction holds a credential.
    """
    if options.base:
        return options.base
    named = from_of((*options.instructions, *capture.instructions))
    if named:
        return named[0]
    if not conda.unfit(capture.conda, _machine(capture, options)):
        return conda.IMAGE
    needed = cuda.base(capture)
    return needed[0] if needed else default_base(capture)


def synthesize(
    capture: Capture,
    options: Options | None = None,
    *,
    fresh: bool = False,
    cancel: Cancellation | None = None,
) -> Recipe:
    """Write the Dockerfile, the lock and the list of files for what was captured.

    With ``fresh`` the package index is asked again for what it was asked before.

    Raises:
        LockError: no set of packages satisfies what was captured.
        InputError: a Dockerfile instruction is wrong, or its files are not among the options'.
        Refused: an instruction holds a credential.
    """
    options = options or Options()
    base = base_of(capture, options)
    series = capture.python.series
    held = options.held or assumed(base, series)
    machine = uv_machine(_machine(capture, options))
    by_conda = conda.is_base(base) and not conda.unfit(capture.conda, machine)
    layer = conda.paragraphs() if by_conda else ()
    ground = Ground(base, held, series, options.python_image, layer)
    given = [file for file in options.files if file.kind == "copied"]
    custom = read((*options.instructions, *capture.instructions), given, CA_SECRET)
    wanted = choose(
        capture, options.add_pip, options.origins, machine=machine, extras=options.extras
    )
    wanted.warnings += (*options.notes, *custom.warnings)
    from_conda = conda.take_out(wanted, capture) if by_conda else []
    if not by_conda and (note := series_note(held, base, series)):
        wanted.warnings.append(note)
    if capture.conda and not by_conda and not options.base:
        why = conda.unfit(capture.conda, machine)
        wanted.warnings.append(
            f"The conda environment is made of packages from PyPI instead, because {why}."
        )
    glibc = version_of(held.glibc)
    platform = uv_platform(_machine(capture, options), options.system, glibc)
    solve = partial(
        lock,
        python=series,
        platform=platform,
        preferred=preferred(held, series),
        fresh=fresh,
        cancel=cancel,
    )
    fitting = partial(files_of, python=series, platform=platform, cancel=cancel)
    place_elsewhere(wanted, capture, partial(wheel_at, **fitting.keywords))
    made = solved(wanted, solve, fitting)
    locked = made.whole
    own = _own(wanted, options)
    texts = build_locks(capture, own, wanted, solve)
    uv: Download | None = None
    wheels: tuple[Download, ...] = ()
    if options.vendor:
        uv, wheels = vendored(
            made, own, texts, fitting, python=capture.python.series, machine=machine
        )
    for name in sorted(wanted.packages.keys() - locked.versions.keys()):
        wanted.warnings.append(f"{name} is not for this platform, so it is left out.")
        wanted.drop(name)
    packages = [
        package.model_copy(update={"version": locked.versions[name]})
        for name, package in sorted(wanted.packages.items())
    ]
    remarks, replaced = compared(held, series, locked.versions)
    wanted.warnings += replaced
    apt = _apt(capture, options, made.sourced)
    if options.vendor and (needed := sorted({*(p.name for p in apt), *local.tools(own)})):
        wanted.warnings.append(
            f"The build still needs Debian's mirror, for {', '.join(needed)}: --vendor puts Python "
            "packages into the context and no system packages. A base that has them already "
            "(--base IMAGE) needs no network."
        )
    files = _files(capture, options)
    place = layout_of(files, capture.folder, options.folder)
    wanted.warnings += place.warnings
    searched = () if "PYTHONPATH" in custom.names else _search_path(capture, options, place.workdir)
    env = (*searched, *options.env)
    layers = Layers(
        notebook=capture.notebook,
        ground=ground,
        labels=_labels(capture, ground, locked, machine),
        apt=apt,
        packages=[*packages, *from_conda],
        env=env,
        files=files,
        workdir=place.workdir,
        folder=place.folder,
        custom=custom,
        base_reason=_base_reason(base, custom, options, capture),
        env_reasons=[
            f"{name}: {origin}"
            for (option, name), origin in options.origins.items()
            if option == "env" and name in dict(options.env)
        ],
        local_packages=own,
        sourced=made.sourced,
        vendored=uv,
        added_apt=options.add_apt,
        texts=texts,
        remarks={**remarks, **{canonicalize_name(p.name): "from conda" for p in from_conda}},
    )
    recipe = Recipe(
        notebook=capture.notebook,
        notebook_sha256=capture.notebook_sha256,
        base=base,
        python=capture.python,
        dockerfile=str(layers.dockerfile()),
        lock=_lock_header(capture, options) + (by_version(made.text) if wheels else made.text),
        dockerignore=DOCKERIGNORE,
        packages=tuple(
            sorted((*packages, *from_conda, *wanted.built), key=lambda package: package.name)
        ),
        apt=apt,
        files=(*files, *given),
        modules=tuple(
            sorted(
                {*RUNNING, *capture.modules, *(m for w in options.extras for m in EXTRA_MODULES[w])}
            )
        ),
        scripts=scripts(),
        local_packages=own,
        sdists=made.sdists,
        texts=(
            *texts,
            *(((conda.LOCK, conda.lock(capture.conda, machine)),) if by_conda else ()),
            *(((SDISTS, made.sdists),) if made.sdists else ()),
            *((vendor.sums(wheels),) if wheels else ()),
        ),
        vendored=wheels,
        workdir=place.workdir,
        folder=place.folder,
        platform=options.platform,
        env=options.env,
        warnings=tuple(wanted.warnings),
        digest="",
    )
    return recipe.model_copy(update={"digest": _digest(recipe)})


def _own(wanted: Wanted, options: Options) -> tuple[LocalPackage, ...]:
    """The packages that came from no index, without the files that are to be left out."""

    def is_left_out(package: LocalPackage, file: SourceFile) -> bool:
        path = posixpath.normpath(posixpath.join(package.path, file.path))
        return any(is_meant(path, pattern) for pattern in options.exclude)

    return tuple(
        package.model_copy(
            update={"files": tuple(f for f in package.files if not is_left_out(package, f))}
        )
        for package in wanted.local
    )


def _base_reason(base: str, custom: Custom, options: Options, capture: Capture) -> str:
    """Who asked for the base; empty if nobody did, or it was the command line."""
    name = base.partition("@")[0]
    if custom.base is not None and custom.base.partition("@")[0] == name:
        return f"The base is that of FROM in {custom.base_place}."
    for (option, value), origin in options.origins.items():
        if option == "base" and value.partition("@")[0] == name:
            return f"The base is that of {origin}."
    needed = cuda.base(capture)
    return needed[1] if needed and needed[0] == name else ""


def _labels(
    capture: Capture, ground: Ground, locked: Lock, machine: str
) -> tuple[tuple[str, str], ...]:
    """What the image says of itself: the pre-defined keys of the OCI image specification, and the
    digests of what it was made from."""
    name, _, digest = ground.base.partition("@")
    oci = (
        ("title", capture.notebook),
        ("authors", ", ".join(capture.authors)),
        ("source", capture.repository),
        ("revision", capture.revision),
        ("licenses", capture.licenses),
        ("base.name", name),
        ("base.digest", digest),
    )
    return (
        *((f"org.opencontainers.image.{key}", value) for key, value in oci if value),
        # An image that is in no registry is told from a later one of its name.
        *((("io.ipydock.base.id", ground.held.id),) if ground.held.id else ()),
        ("io.ipydock.python", capture.python.version),
        ("io.ipydock.platform", f"linux {machine}"),
        ("io.ipydock.notebook.sha256", capture.notebook_sha256),
        ("io.ipydock.lock.sha256", hashlib.sha256(locked.text.encode()).hexdigest()),
    )


def _machine(capture: Capture, options: Options) -> str:
    if options.platform is None:
        return capture.python.machine
    return options.platform.split("/")[1]


def _apt(
    capture: Capture, options: Options, sourced: Mapping[str, str]
) -> tuple[SystemPackage, ...]:
    found = {item.name: item for item in (*capture.apt, *sdists.needed(sourced))}
    found |= {item.name: item for item in capture.apt}
    found = {name: item for name, item in found.items() if _APT_NAME.fullmatch(name)}
    for name in options.add_apt:
        who = options.origins.get(("add-apt", name), "--add-apt")
        found[name] = SystemPackage(name=name, reason=f"added with {who}")
    return tuple(found[name] for name in sorted(found))


def _files(capture: Capture, options: Options) -> tuple[ContextFile, ...]:
    found: dict[str, ContextFile] = {}
    for module in capture.local_modules:
        found[module.path] = ContextFile(
            path=module.path, sha256=module.sha256, size_bytes=module.size_bytes, kind="module"
        )
    for data in capture.files_read:
        if data.policy in ("copy", "outside") and (file := _data(data)) is not None:
            found.setdefault(data.path, file)
    found.update({file.path: file for file in options.files if file.kind != "copied"})
    return tuple(
        found[path]
        for path in sorted(found)
        if not any(is_meant(path, pattern) for pattern in options.exclude)
    )


def _data(data: DataFile) -> ContextFile | None:
    if data.path.endswith("/"):
        return ContextFile(path=data.path, sha256=_NOTHING, size_bytes=0, kind="folder")
    if data.sha256 is None or data.size_bytes is None:
        return None
    return ContextFile(path=data.path, sha256=data.sha256, size_bytes=data.size_bytes, kind="data")


def _search_path(capture: Capture, options: Options, workdir: str) -> tuple[tuple[str, str], ...]:
    """PYTHONPATH, where the captured environment searched folders of the project."""
    if not capture.search_path or any(name == "PYTHONPATH" for name, _ in options.env):
        return ()
    return (("PYTHONPATH", ":".join(f"{workdir}/{path}" for path in capture.search_path)),)


def _lock_header(capture: Capture, options: Options) -> str:
    where = f"{options.system} {_machine(capture, options)}"
    return (
        f"# Every distribution with its hashes, for Python {capture.python.series} on {where}.\n"
        "# Made by uv from what ipydock captured; install it with\n"
        "#   uv pip install --require-hashes -r requirements.lock\n"
    )


def _digest(recipe: Recipe) -> str:
    content = recipe.model_dump(
        include={"dockerfile", "lock", "dockerignore", "files", "notebook_sha256", "platform"}
        | {"modules", "scripts", "local_packages", "texts", "sdists"},
        mode="json",
    )
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
