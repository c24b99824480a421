"""The ordered layers of an image, from what changes least to what changes most."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources

from packaging.utils import canonicalize_name

from ..files import CONTEXT_HEADING
from ..layout import DATA, NOTEBOOK, PROJECT, ROOT, SCRIPTS, in_context
from ..models import ContextFile, Download, LocalPackage, Package, SystemPackage
from . import local, sdists, vendor
from .base import Ground
from .custom import Custom
from .instructions import Comment, Copy, Dockerfile, Exec, From, Pairs, Run, Simple
from .mounts import (
    CA_FILE,
    CA_SECRET,
    CACHE,
    KEPT,
    KEPT_FOLDER,
    SETTINGS,
    SETTINGS_FILE,
    SYSTEM,
    UV,
)

# The uv that installs the packages in the image; a constant, so that the same capture gives the
# same bytes whatever uv the host has. scripts/get_uv.py has the digests of its files.
UV_VERSION = "0.13.9"
UID = 1000
WORKDIR = "/work"
HOME = "/home/user"
START = "/opt/notebook/start.py"

# What runs a notebook, besides what it imports itself: compiled with it. Those that the code of
# others names were seen loaded in a kernel, but are imported within functions.
RUNNING = (
    *("IPython.core.debugger", "IPython.core.magics", "debugpy", "debugpy/_vendored/pydevd"),
    *(
        "debugpy.server.api",
        "ipykernel.debugger",
        "ipykernel.ipkernel",
        "ipykernel.kernelapp",
        "ipykernel_launcher",
    ),
    *("matplotlib_inline.backend_inline", "nbclient", "nbformat.v4", "pydevd"),
    *("tornado.platform.asyncio", "zmq.backend.cython"),
)

_LISTED = 20  # file names written out in a comment; the rest is counted


@cache
def scripts() -> tuple[tuple[str, str], ...]:
    """The names and texts of what the build and the image run besides programs of others."""
    folder = resources.files(__package__) / "scripts"
    names = ("bytecode.py", "get_uv.py", "start.py")
    return tuple((name, (folder / name).read_text(encoding="utf-8")) for name in names)


def lock_name(number: int) -> str:
    """The lock of a layer of packages, in the context; the first is number 0."""
    return f"requirements.{number}.lock" if number else "requirements.lock"


def modules_name(number: int) -> str:
    """The names of the modules that are compiled with a layer of packages."""
    return f"modules.{number}.txt" if number else "modules.txt"


def packages_run(number: int, *, vendored: bool = False) -> Run:
    """The layer that installs a lock, see `ipydock.recipe.parts`."""
    settings = "" if vendored else f"UV_CONFIG_FILE={SETTINGS_FILE} "
    where = f"{vendor.ALONE} --no-cache" if vendored else "--system-certs"
    return Run(
        (
            f"{settings}UV_LINK_MODE=copy \\\n"
            f"      /opt/uv/uv pip install {SYSTEM} {where} \\\n"
            "      --break-system-packages --no-deps --require-hashes -r /tmp/requirements.lock",
            f"python3 /tmp/bytecode.py {KEPT_FOLDER} < /tmp/modules.txt",
        ),
        mounts=(
            KEPT,
            *((UV, vendor.MOUNT) if vendored else (CA_SECRET, CACHE, UV, SETTINGS)),
            f"type=bind,source={lock_name(number)},target=/tmp/requirements.lock",
            f"type=bind,source={modules_name(number)},target=/tmp/modules.txt",
            f"type=bind,source={SCRIPTS}/bytecode.py,target=/tmp/bytecode.py",
        ),
    )


@dataclass(frozen=True, slots=True)
class Layers:
    """What goes into an image. All names were checked or will be quoted.

    ``ground`` is what they stand on. ``custom`` are the user's own instructions; ``base_reason``
    and ``env_reasons`` say who asked for the base and for variables, where it was not the command
    line. ``local_packages`` are built in a stage of their own, with what ``texts`` pins, and so are
    the source distributions whose versions are in ``sourced``; ``added_apt`` are the system
    packages that the user named. ``vendored`` is the wheel of uv, where it and all others lie in
    the context. ``remarks`` are what the base has of the packages, by canonical name.
    """

    notebook: str
    ground: Ground
    labels: Sequence[tuple[str, str]]
    apt: Sequence[SystemPackage]
    packages: Sequence[Package]
    env: Sequence[tuple[str, str]]
    files: Sequence[ContextFile]
    workdir: str = WORKDIR
    folder: str = ""
    custom: Custom = field(default_factory=Custom)
    base_reason: str = ""
    env_reasons: Sequence[str] = ()
    local_packages: Sequence[LocalPackage] = ()
    sourced: Mapping[str, str] = field(default_factory=dict)
    added_apt: Sequence[str] = ()
    texts: Sequence[tuple[str, str]] = ()
    vendored: Download | None = None
    remarks: Mapping[str, str] = field(default_factory=dict)

    @property
    def uid(self) -> int:
        """The user of the image, whom its files belong to."""
        return self.ground.held.uid or UID

    def dockerfile(self) -> Dockerfile:
        """The Dockerfile, each line with its reason."""
        out = Dockerfile()
        out.add(
            Comment(
                (
                    f"{CONTEXT_HEADING[2:]}{self.notebook} needs, as captured by ipydock.",
                    "Build it with:",
                    "  docker build -t NAME .",
                    "Behind a network that intercepts TLS add the file of its authorities:",
                    f"  --secret id=ca,src={CA_FILE}",
                    "Where packages come from an index of your own, add the settings of uv:",
                    '  --secret id=uv,src="$HOME/.config/uv/uv.toml"',
                )
            )
        )
        ground = self.ground
        shared = bool(self.sourced or self.local_packages) and bool(ground.shared())
        base = ground.image(shared=shared)
        out.extend(ground.stages())
        out.add(*(vendor.uv_stage(ground.uv_base, self.vendored) if self.vendored else self._uv()))
        if shared:
            out.extend(ground.shared())
        out.extend(sdists.stage(base, self.sourced, self.added_apt))
        out.extend(
            local.stage(
                base,
                self.local_packages,
                [name for name, _ in self.texts],
                self.added_apt,
                vendored=self.vendored is not None,
            )
        )
        out.add(*_reason(self.base_reason), From(base))
        out.extend([] if shared else ground.done())
        out.extend(self.custom.first)
        out.add(*ground.user(self.uid, HOME, f"{HOME} {WORKDIR}"))
        if self.apt:
            out.add(*self._system())
        out.add(*self._python())
        out.extend(sdists.installed(self.sourced))
        out.extend(local.installed(self.local_packages))
        out.extend(self.custom.middle)
        out.add(*self._surroundings())
        if self.files:
            out.add(*self._project())
        # Here and not at the top, so that notebooks with the same packages share their layers.
        out.add(Pairs("LABEL", tuple(self.labels)))
        out.extend(self.custom.labels)
        out.add(
            Comment(("The notebook, without outputs; it changes most often.",)),
            Copy(f"{NOTEBOOK}/", "./", f"{self.uid}:0"),
        )
        out.add(*self._start())
        out.extend(self.custom.last)
        return out

    def _start(self) -> Iterable[Comment | Simple | Exec]:
        """What a container runs, as far as the user's own instructions do not say it."""
        custom = self.custom
        if self.ground.held.healthcheck and not custom.healthcheck:
            yield Comment(("That of the base asks for what does not run here.",))
            yield Simple("HEALTHCHECK", "NONE")
        if not custom.entrypoint:
            yield Comment(
                ("Runs the notebook, or what is named behind the image in `docker run`.",)
            )
        if custom.user is None:
            yield Simple("USER", f"{self.uid}")
        if not custom.entrypoint:
            yield Exec("ENTRYPOINT", ("python3", START))
            if not custom.command:
                yield Exec("CMD", (f"{self.workdir}/{self.notebook}",))

    def _uv(self) -> tuple[Comment, From, Run]:
        return (
            Comment(("uv installs the packages below; it does not stay in the image.",)),
            From(self.ground.uv_base, "uv"),
            Run(
                (f"python3 /tmp/get_uv.py /opt/uv {UV_VERSION} /tmp/uv.toml {KEPT_FOLDER}",),
                mounts=(
                    CA_SECRET,
                    KEPT,
                    "type=secret,id=uv,target=/tmp/uv.toml",
                    f"type=bind,source={SCRIPTS}/get_uv.py,target=/tmp/get_uv.py",
                ),
            ),
        )

    def _system(self) -> tuple[Comment, Comment, Run]:
        return (
            Comment(("System packages:", *_aligned((p.name, p.reason) for p in self.apt))),
            *local.apt_run((p.name for p in self.apt), vendored=self.vendored is not None),
        )

    def _python(self) -> tuple[Comment, Run]:
        lines = _aligned(
            (f"{p.name}=={p.version}", self._said(p))
            for p in self.packages
            if canonicalize_name(p.name) not in self.sourced
        )
        return (
            Comment(
                (
                    "Python packages; requirements.lock pins these and all that they need:",
                    *lines,
                    "What the notebook imports (modules.txt) is compiled to bytecode.",
                )
            ),
            packages_run(0, vendored=self.vendored is not None),
        )

    def _said(self, package: Package) -> str:
        remark = self.remarks.get(canonicalize_name(package.name))
        return f"{package.reason} ({remark})" if remark else package.reason

    def _surroundings(self) -> tuple[Comment | Run | Pairs | Simple | Copy, ...]:
        folders = " ".join(map(shlex.quote, self._folders()))
        return (
            *((Run((f"install -d -o {self.uid} -m 0777 {folders}",)),) if folders else ()),
            *_reason(*self.env_reasons),
            Pairs("ENV", (("HOME", HOME), *self.env)),
            Simple("WORKDIR", self.workdir),
            Copy(f"{SCRIPTS}/start.py", START),
        )

    def _folders(self) -> list[str]:
        """The notebook's folder, and those above it that the project's files are laid out in."""
        path, folders = self.workdir, [self.workdir]
        for _ in self.folder.split("/") if self.folder else ():
            path = path.rpartition("/")[0]
            if self.workdir.startswith(f"{WORKDIR}/"):
                folders.insert(0, path)
        return [folder for folder in folders if folder != WORKDIR]

    def _project(self) -> Iterable[Comment | Copy]:
        up = "../" * (self.folder.count("/") + 1) if self.folder else "./"
        for source, target, says in (
            (ROOT, "/", "Data files that the notebook names by their whole path:"),
            (DATA, up, "Data files that the notebook reads:"),
            (PROJECT, up, "Local modules, which change more often than data:"),
        ):
            names = [file.path for file in self.files if _place(file) == source]
            if names:
                more = len(names) - _LISTED
                listed = [f"  {name}" for name in names[:_LISTED]]
                yield Comment((says, *listed, *([f"  and {more} more"] if more > 0 else [])))
                yield Copy(f"{source}/", target, f"{self.uid}:0")


def _reason(*lines: str) -> tuple[Comment, ...]:
    return (Comment(lines),) if any(lines) else ()


def _place(file: ContextFile) -> str:
    return in_context(file.path, "", is_code=file.kind == "module").partition("/")[0]


def _aligned(rows: Iterable[tuple[str, str]]) -> list[str]:
    pairs = list(rows)
    width = max((len(name) for name, _ in pairs), default=0)
    return [f"  {name:<{width}}  {reason}".rstrip() for name, reason in pairs]
