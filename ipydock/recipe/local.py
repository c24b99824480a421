"""Packages of the user's own: wheels built from their source, in a stage of their own.

They are never looked up on an index, where anyone may have published something of that name.
"""

from __future__ import annotations

import posixpath
import shlex
from collections.abc import Iterable, Sequence

from ..layout import PACKAGES, SCRIPTS
from ..models import LocalPackage
from ..wheelmaking import commit_of, settings
from . import vendor
from .instructions import Comment, Copy, From, Instruction, Run, one_line
from .mounts import CA_SECRET, CACHE, SETTINGS, SETTINGS_FILE, SYSTEM, UV

STAGE = "packages"
MODULES = f"{PACKAGES}/modules.txt"

# Compilers and tools by what the names of source files end with. Sources: the documentation of
# setuptools ("Building Extension Modules"), setuptools-rust, scikit-build-core and meson-python.
# The latter two would have their tools from the index, but for patchelf and a compiler.
_C = ("gcc", "libc6-dev")
_TOOLS = {
    (".c", ".pyx", ".pxd", ".h"): _C,
    (".cc", ".cpp", ".cxx", ".c++", ".hpp", ".hxx"): (*_C, "g++"),
    (".f", ".f90", ".f95", ".for"): (*_C, "gfortran"),
    (".rs", "Cargo.toml"): (*_C, "cargo", "rustc"),
    ("CMakeLists.txt",): (*_C, "cmake", "g++", "make", "ninja-build", "pkg-config"),
    ("meson.build",): (*_C, "g++", "ninja-build", "patchelf", "pkg-config"),
}
_COMPILED = ("build-essential", "pkg-config")  # where the source is not here to be looked at


def lock_name(package: LocalPackage) -> str:
    """What pins the build requirements of a package, in the context."""
    return f"{PACKAGES}/{package.distribution}.lock"


def tools(packages: Iterable[LocalPackage]) -> tuple[str, ...]:
    """The system packages that building these takes, by name."""
    found: set[str] = set()
    for package in packages:
        if package.url is not None:
            found.update((*_COMPILED, "git"))
        elif package.archive and not package.archive.endswith(".whl"):
            found.update(_COMPILED)
        for file in package.files:
            for ends, names in _TOOLS.items():
                if file.path.endswith(ends):
                    found.update(names)
    return tuple(sorted(found))


def stage(
    base: str,
    packages: Sequence[LocalPackage],
    locked: Iterable[str],
    added: Sequence[str] = (),
    *,
    vendored: bool = False,
) -> list[tuple[Instruction, ...]]:
    """The stage that builds them, as paragraphs of the Dockerfile; none where there are none.

    Args:
        base: the image's own base, so that the Python is the same.
        packages: what is to be built.
        locked: the names of the context's files that pin build requirements.
        added: the user's own system packages, which may be what the build needs.
        vendored: all that is downloaded lies in the context.
    """
    if not packages:
        return []
    built = [
        "Packages that came from no index are built here, from their source; what it takes to",
        "build them stays here.",
    ]
    paragraphs: list[tuple[Instruction, ...]] = [(Comment(tuple(built)), From(base, STAGE))]
    needed = tools(packages)
    if needed:
        paragraphs.append(apt_run(sorted({*needed, *added}), vendored=vendored))
    known = frozenset(locked)
    return [
        *paragraphs,
        *(_built(package, lock_name(package) in known, vendored) for package in packages),
    ]


def apt_run(names: Iterable[str], *, vendored: bool = False) -> tuple[Comment, Run]:
    """Install system packages, as the image's own are; if ``vendored``, only where one is not there
    yet, so that a base which has them all needs no network."""
    named = list(names)
    listed = " \\\n      ".join(named)
    there = ""
    if vendored:
        plain = " ".join(name.partition("=")[0] for name in named)
        there = f"dpkg -s {plain} > /dev/null 2>&1 || \\\n    "
    return (
        # The versions of a stable release move only for security fixes, and old ones vanish
        # from the mirrors: pinning them would break the build, not repeat it.
        Comment(("hadolint ignore=DL3008",)),
        Run(
            (
                # Else an index that cannot be had is passed over with a warning.
                f"{there}apt-get update -o APT::Update::Error-Mode=any",
                f"{there}apt-get install -y --no-install-recommends \\\n      {listed}",
                # Logs and the linker's notes hold the time of the build.
                "rm -rf /var/lib/apt/lists/* /var/log/apt /var/log/*.log \\\n"
                "      /var/cache/ldconfig/aux-cache",
            ),
            mounts=(CA_SECRET,),
        ),
    )


def _built(package: LocalPackage, locked: bool, vendored: bool) -> tuple[Instruction, ...]:
    name = package.distribution
    title = f"{name} {one_line(package.version, 40)}"
    if package.archive.endswith(".whl"):
        file = shlex.quote(f"{PACKAGES}/{name}/{package.archive}")
        return Comment((f"{title}, a wheel",)), Run(
            (f"install -D -t /wheels /tmp/{file}",),
            mounts=(f"type=bind,source={PACKAGES}/{name},target=/tmp/{PACKAGES}/{name}",),
        )
    source = f"/src/{name}"
    pins = f"type=bind,source={lock_name(package)},target=/tmp/build.lock"
    words = ["/opt/uv/uv build --wheel --no-sources --python python3"]
    words += [f"{vendor.ALONE} --no-cache"] if vendored else ["--system-certs"]
    words += ["--build-constraints /tmp/build.lock"] if locked else []
    told = (*(() if vendored else (("UV_CONFIG_FILE", SETTINGS_FILE),)), *settings(package))
    asked = [f"{key}={shlex.quote(value)}" for key, value in told]
    needed = (UV, vendor.MOUNT) if vendored else (CA_SECRET, CACHE, UV, SETTINGS)
    mounts = (*needed, *([pins] if locked else []))
    if package.url is None:
        target = shlex.quote(posixpath.join(source, package.archive))
        command = " \\\n      ".join([*asked, *words, f"--out-dir /wheels {target}"])
        return (
            Comment((f"{title}, from {one_line(package.path, 60)}",)),
            Copy(f"{PACKAGES}/{name}/", f"{source}/"),
            Run((command,), mounts=mounts),
        )
    address, commit, inner = commit_of(package.url)
    target = shlex.quote(posixpath.join(source, inner))
    command = " \\\n      ".join([*asked, *words, f"--out-dir /wheels {target}"])
    fetch = (
        f"git init -q {source}",
        f"git -C {source} fetch -q --depth 1 {shlex.quote(address)} {commit}",
        f"git -C {source} checkout -q FETCH_HEAD",
        f"git -C {source} submodule -q update --init --recursive --depth 1",
    )
    return (
        Comment((f"{title}, from {one_line(address, 80)}",)),
        Run(("export GIT_TERMINAL_PROMPT=0", *fetch, command), mounts=mounts),
    )


def installed(packages: Sequence[LocalPackage]) -> list[tuple[Instruction, ...]]:
    """The layer that installs them, after all that they need; none where there are none."""
    if not packages:
        return []
    names = ", ".join(f"{p.distribution} {one_line(p.version, 40)}" for p in packages)
    return [
        (
            Comment(("What was built above and is on no index:", f"  {names}")),
            Run(
                (
                    f"UV_LINK_MODE=copy /opt/uv/uv pip install \\\n"
                    f"      {SYSTEM} --break-system-packages \\\n"
                    "      --no-deps --no-index --no-cache /tmp/wheels/*.whl",
                    "python3 /tmp/bytecode.py < /tmp/modules.txt",
                ),
                mounts=(
                    UV,
                    f"type=bind,from={STAGE},source=/wheels,target=/tmp/wheels",
                    f"type=bind,source={MODULES},target=/tmp/modules.txt",
                    f"type=bind,source={SCRIPTS}/bytecode.py,target=/tmp/bytecode.py",
                ),
            ),
        )
    ]
