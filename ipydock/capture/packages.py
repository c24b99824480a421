"""Distributions that came from no index, and the source that an image can build them from.

What was installed from a folder, editable or not, or from a wheel or archive on this machine is
taken from there; what came from a Git repository by its commit. Of a folder those files count that
git has or would take, as they are what its author would publish; without git, all but what builds
leave behind.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from .. import credentials
from ..files import SKIPPED_FOLDERS, is_secret, sha256
from ..models import ARCHIVES, LocalPackage, SourceFile
from ..notebook_v4 import printable
from .distributions import Distribution, Environment
from .origins import COMMIT, listed

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PROJECT = ("pyproject.toml", "setup.py")
# Of one package: more is no source, but a folder with data in it.
MOST_FILES = 20_000
MOST_BYTES = 200_000_000
DEFAULT_REQUIRES = ("setuptools>=40.8.0",)  # where pyproject.toml names no build backend (PEP 518)
NAMED = 3  # files that a warning names
# What builds leave in a folder that is in no repository.
LEFT = re.compile(r"(.*\.(py[co]|egg-info|dist-info)|.*\.cpython-\d+.*\.so|build|dist|\.eggs)")
SCM = ("http", "https", "git")  # schemes by which anyone may fetch


class Packages:
    """The sources of distributions, each looked for once.

    Args:
        environment: the captured one.
        folder: the notebook's.
    """

    def __init__(self, environment: Environment, folder: Path) -> None:
        self.environment = environment
        self.folder = Path(os.path.realpath(folder))
        self.warnings: list[str] = []
        self.modules: dict[str, list[str]] = {}  # claimed, by distribution
        self._known: dict[str, LocalPackage | None] = {}

    def find(self, names: Iterable[str]) -> tuple[LocalPackage, ...]:
        """Those of these distributions that came from no index and can be built elsewhere."""
        found = (self._of(self.environment.installed[name]) for name in sorted(names))
        return tuple(
            package.model_copy(
                update={"modules": tuple(self.modules.get(package.distribution, ()))}
            )
            for package in found
            if package is not None
        )

    def owner(self, path: str) -> str | None:
        """The editable distribution that a file of the notebook's folder is a module of.

        The package stands for such a file: beside it, it would be there twice, and without what
        was compiled for it.
        """
        real = os.path.realpath(self.folder / path)
        for name, dist in self.environment.installed.items():
            root = editable(dist)
            if root is None or not real.startswith(f"{root}/"):
                continue
            top = real[len(root) + 1 :].removeprefix("src/").partition("/")[0]
            # Its source is read, and what is odd about it said, only where it is needed.
            if top in _tops(dist) and self._of(dist) is not None:
                return name
        return None

    def _of(self, dist: Distribution) -> LocalPackage | None:
        if dist.name not in self._known:
            self._known[dist.name] = self._look(dist)
        return self._known[dist.name]

    def _look(self, dist: Distribution) -> LocalPackage | None:
        info = dist.direct
        url = info.get("url")
        if not isinstance(url, str):
            return None
        parts = urlsplit(url)
        if parts.scheme == "file" and "vcs_info" not in info:
            place = Path(os.path.realpath(unquote(parts.path)))
            if "archive_info" in info:
                return self._archive(dist, place)
            inner = info.get("subdirectory")
            return self._folder(dist, place / inner if isinstance(inner, str) else place)
        repository = _repository(dist)
        if repository is None:
            return None
        return LocalPackage(distribution=dist.name, version=dist.version, url=repository)

    def _archive(self, dist: Distribution, place: Path) -> LocalPackage | None:
        if not place.is_file() or not place.name.endswith(ARCHIVES):
            return None
        return LocalPackage(
            distribution=dist.name,
            version=dist.version,
            path=self._relative(place.parent),
            files=(SourceFile(path=place.name, sha256=sha256(place), size_bytes=_size(place)),),
        )

    def _folder(self, dist: Distribution, place: Path) -> LocalPackage | None:
        if not any((place / name).is_file() for name in PROJECT):
            return None
        names = [name for name in _source(place) if not self._is_beside(place, name)]
        fit = [name for name in names if _is_inside(place, name)]
        if len(fit) > MOST_FILES or sum(_size(place / name) for name in fit) > MOST_BYTES:
            self.warnings.append(
                f"The source of {dist.name} has more than {MOST_FILES} files or "
                f"{MOST_BYTES // 10**6} MB in {self._relative(place)}, so it is not taken."
            )
            return None
        secret = [name for name in fit if _holds_secret(place, name)]
        if secret:
            more = f" and {len(secret) - NAMED} more" if len(secret) > NAMED else ""
            self.warnings.append(
                f"The source of {dist.name} is taken without what looks like credentials: "
                f"{printable(', '.join(secret[:NAMED]))}{more}."
            )
        return LocalPackage(
            distribution=dist.name,
            version=dist.version,
            path=self._relative(place),
            files=tuple(_file(place, name) for name in fit if name not in secret),
            build_requires=_build_requires(place),
        )

    def _is_beside(self, place: Path, name: str) -> bool:
        """Whether a file belongs to the notebook and not to the package it lies in.

        A package that holds the notebook would be built anew whenever that is edited.
        """
        if name.endswith(".ipynb"):
            return True
        if self.folder == place or not self.folder.is_relative_to(place):
            return False
        if (self.folder / "__init__.py").exists():
            return False
        return (place / name).is_relative_to(self.folder)

    def _relative(self, place: Path) -> str:
        return printable(os.path.relpath(place, self.folder).replace(os.sep, "/"))


def editable(dist: Distribution) -> str | None:
    """The folder of an editable install, with links resolved; None for any other."""
    info: Any = dist.direct.get("dir_info")
    url = dist.direct.get("url")
    if not isinstance(url, str) or not isinstance(info, dict) or not info.get("editable"):
        return None
    return os.path.realpath(unquote(urlsplit(url).path))


def _tops(dist: Distribution) -> frozenset[str]:
    """The files and folders that hold its modules, as far as that is known.

    Metadata tells no more than setuptools' list; others are called as the package is, by custom.
    """
    names = {dist.name.replace("-", "_"), dist.name}
    with contextlib.suppress(OSError, UnicodeDecodeError):
        names.update(Path(dist.info, "top_level.txt").read_text(encoding="utf-8").split())
    return frozenset(one for name in names for one in (name, f"{name}.py"))


def _repository(dist: Distribution) -> str | None:
    """The repository and commit, if it is one that can be fetched without a key."""
    url = dist.url or ""
    if not url.startswith(tuple(f"git+{scheme}://" for scheme in SCM)):
        return None
    address, _, rest = url.rpartition("@")
    commit = rest.partition("#")[0]
    plain = address and "?" not in address and re.fullmatch(r"[0-9a-fA-F]{40,64}", commit)
    return url if plain and COMMIT.fullmatch(commit) else None


def _source(place: Path) -> Iterator[str]:
    """The files of a project's source, relative to it."""
    named = listed(str(place))
    if named is not None:
        yield from (name for name in named if not name.endswith((".pyc", ".pyo")))
        return
    for folder, folders, files in os.walk(place):
        folders[:] = sorted(
            name for name in folders if name not in SKIPPED_FOLDERS and not LEFT.fullmatch(name)
        )
        base = Path(folder).relative_to(place)
        yield from ((base / name).as_posix() for name in sorted(files) if not LEFT.fullmatch(name))


def _is_inside(place: Path, name: str) -> bool:
    """Whether it is a file that is there, has a name that text can hold, and lies inside."""
    path = place / name
    try:
        name.encode()
        return path.is_file() and path.resolve().is_relative_to(place) and printable(name) == name
    except (OSError, ValueError):
        return False


def _holds_secret(place: Path, name: str) -> bool:
    real = (place / name).resolve()
    if is_secret(name) or is_secret(real.relative_to(place).as_posix()):
        return True
    try:
        return credentials.in_file(real) is not None
    except OSError:
        return True  # it cannot be read, so it cannot be taken either


def _file(place: Path, name: str) -> SourceFile:
    path = place / name
    return SourceFile(
        path=name,
        sha256=sha256(path),
        size_bytes=_size(path),
        executable=bool(path.stat().st_mode & 0o100),
    )


def _size(path: Path) -> int:
    return path.stat().st_size


def _build_requires(place: Path) -> tuple[str, ...]:
    try:
        project = tomllib.loads((place / "pyproject.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return DEFAULT_REQUIRES
    system = project.get("build-system")
    listed_ones = system.get("requires") if isinstance(system, dict) else None
    if not isinstance(listed_ones, list):
        return DEFAULT_REQUIRES
    return tuple(one for one in listed_ones if isinstance(one, str))
