"""A capture and the user's options in, the ordered layers of an image out.

Every name that reaches an instruction has either been checked here against the syntax of its kind
or is quoted by `ipydock.recipe.instructions`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from ..errors import InputError
from ..models import Capture, ContextFile, Package, Recipe, SystemPackage
from ..process import Cancellation
from .instructions import one_line
from .layers import WORKDIR, Layers
from .lock import Lock, lock, uv_platform

# All that is added to what the notebook needs. IPython, which ipykernel brings, can run a notebook
# file by itself once nbformat is there, and that is the image's command.
ADDED = (
    ("ipykernel", "the notebook's kernel"),
    ("nbformat", "lets `docker run` execute the notebook"),
)

# Debian Policy 5.6.1 and 5.6.12: a name, an architecture, a version.
_APT_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+(:[a-z0-9]+)?(=[A-Za-z0-9.+:~-]+)?")
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BASE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]*")

DOCKERIGNORE = """\
*
!Dockerfile
!requirements.lock
!project
!notebook
"""


@dataclass(frozen=True, slots=True)
class Options:
    """What the user adds to or changes in a recipe.

    ``base`` is an image reference, best with a digest; ``add_pip`` are requirement specifiers,
    ``add_apt`` package names, ``env`` name-value pairs, ``files`` what ``--include`` matched, and
    ``exclude`` glob patterns of captured files to leave out. ``system`` and ``machine`` say for
    what the packages are locked where that is not Linux on the machine of the capture.
    """

    base: str | None = None
    add_apt: tuple[str, ...] = ()
    add_pip: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    files: tuple[ContextFile, ...] = ()
    exclude: tuple[str, ...] = ()
    system: str = "linux"
    machine: str | None = None


def default_base(capture: Capture) -> str:
    """The official Python image of the notebook's Python on Debian 12."""
    return f"python:{capture.python.series}-slim-bookworm"


def synthesize(
    capture: Capture,
    options: Options | None = None,
    *,
    cancel: Cancellation | None = None,
) -> Recipe:
    """Write the Dockerfile, the lock and the list of files for what was captured.

    Raises:
        InputError: an option is not a valid name of its kind.
        LockError: no set of packages satisfies what was captured.
    """
    options = options or Options()
    _check(options)
    base = options.base or default_base(capture)
    wanted, constraints, warnings = _wanted(capture, options)
    locked = lock(
        [requirement for requirement, _ in wanted],
        constraints,
        python=capture.python.series,
        platform=uv_platform(options.machine or capture.python.machine, options.system),
        cancel=cancel,
    )
    packages = _versioned([package for _, package in wanted], locked)
    apt = _apt(capture, options)
    files = _files(capture, options)
    if "@sha256:" not in base:
        warnings.append(
            f"The base {base} is not pinned by digest, because no engine was asked what it stands "
            "for now."
        )
    layers = Layers(
        notebook=capture.notebook,
        base=base,
        authors=capture.authors,
        apt=apt,
        packages=packages,
        env=options.env,
        files=files,
    )
    recipe = Recipe(
        notebook=capture.notebook,
        notebook_sha256=capture.notebook_sha256,
        base=base,
        python=capture.python,
        dockerfile=str(layers.dockerfile()),
        lock=_lock_header(capture) + locked.text,
        dockerignore=DOCKERIGNORE,
        packages=tuple(packages),
        apt=apt,
        files=files,
        workdir=WORKDIR,
        env=options.env,
        warnings=tuple(warnings),
        digest="",
    )
    return recipe.model_copy(update={"digest": _digest(recipe)})


def _check(options: Options) -> None:
    for name in options.add_apt:
        if not _APT_NAME.fullmatch(name):
            raise InputError(
                f"{name!r} is not the name of a Debian package.",
                hint="Give names such as graphviz or libgl1, one --add-apt each.",
            )
    for specifier in options.add_pip:
        try:
            Requirement(specifier)
        except InvalidRequirement as error:
            raise InputError(
                f"{specifier!r} is not a requirement specifier: {str(error).splitlines()[0]}.",
                hint="Give one such as 'gensim' or 'numpy==1.26.4', one --add-pip each.",
            ) from error
    for key, _ in options.env:
        if not _ENV_NAME.fullmatch(key):
            raise InputError(
                f"{key!r} is not the name of an environment variable.",
                hint="Write --env NAME=VALUE.",
            )
    if options.base and not _BASE.fullmatch(options.base):
        raise InputError(
            f"{options.base!r} is not an image reference.",
            hint="Write --base NAME:TAG, such as python:3.12-slim-bookworm.",
        )


def _wanted(
    capture: Capture, options: Options
) -> tuple[list[tuple[str, Package]], list[str], list[str]]:
    """The requirement specifiers with their package lines, the constraints, and warnings."""
    warnings: list[str] = []
    added = {canonicalize_name(Requirement(text).name): text for text in options.add_pip}
    chosen: dict[str, tuple[str, Package]] = {}

    def choose(name: str, version: str | None, reason: str, *, guess: bool = False) -> None:
        key = canonicalize_name(name)
        if key in added or key in chosen:
            return
        specifier = f"{name}=={version}" if version else name
        chosen[key] = (specifier, Package(name=name, version=version, reason=reason, guess=guess))

    for item in capture.requested:
        if item.distribution is None:
            continue
        reason = one_line(str(item.evidence[0]) if item.evidence else f"import {item.import_name}")
        if item.url:
            warnings.append(
                f"{item.distribution} was installed from {_kind(item.url)}, which the image cannot "
                "reach; the recipe takes the version of that name from the package index if there "
                "is one."
            )
        if item.guess:
            reason += f" (a guess: {item.import_name} is not installed where it was captured)"
            warnings.append(
                f"{item.distribution} is a guess for `import {item.import_name}`, which is not "
                "installed where the notebook was captured; the newest version that fits is taken."
            )
        choose(item.distribution, item.version, reason, guess=item.guess)
    for loaded in capture.loaded:
        choose(loaded.distribution, loaded.version, f"loaded by {one_line(loaded.by, 60)}")
    for key, text in added.items():
        chosen[key] = (
            text,
            Package(name=Requirement(text).name, version=None, reason="added with --add-pip"),
        )
    constraints = [
        f"{pin.distribution}=={pin.version}"
        for pin in capture.closure
        if canonicalize_name(pin.distribution) not in added and not pin.url
    ]
    for name, reason in ADDED:
        choose(name, None, reason)
    return [chosen[name] for name in sorted(chosen)], constraints, warnings


def _kind(url: str) -> str:
    return "a folder or file of this machine" if url.startswith("file:") else "a direct URL"


def _versioned(packages: Sequence[Package], locked: Lock) -> list[Package]:
    return [
        package.model_copy(update={"version": locked.versions.get(canonicalize_name(package.name))})
        for package in packages
    ]


def _apt(capture: Capture, options: Options) -> tuple[SystemPackage, ...]:
    found = {item.name: item for item in capture.apt if _APT_NAME.fullmatch(item.name)}
    for name in options.add_apt:
        found[name] = SystemPackage(name=name, reason="added with --add-apt")
    return tuple(found[name] for name in sorted(found))


def _files(capture: Capture, options: Options) -> tuple[ContextFile, ...]:
    found: dict[str, ContextFile] = {}
    for module in capture.local_modules:
        found[module.path] = ContextFile(
            path=module.path, sha256=module.sha256, size_bytes=module.size_bytes, kind="module"
        )
    for data in capture.files_read:
        if data.policy == "copy" and data.sha256 is not None and data.size_bytes is not None:
            found.setdefault(
                data.path,
                ContextFile(
                    path=data.path, sha256=data.sha256, size_bytes=data.size_bytes, kind="data"
                ),
            )
    found.update({file.path: file for file in options.files})
    return tuple(
        found[path]
        for path in sorted(found)
        if not any(fnmatch(path, pattern) for pattern in options.exclude)
    )


def _lock_header(capture: Capture) -> str:
    python = capture.python
    return (
        f"# Every distribution of the image with its hashes, for Python {python.series} on Linux "
        f"{python.machine}.\n# Made by uv from what ipydock captured; `uv pip install "
        "--require-hashes -r requirements.lock`.\n"
    )


def _digest(recipe: Recipe) -> str:
    content = recipe.model_dump(
        include={"dockerfile", "lock", "dockerignore", "files", "notebook_sha256"}, mode="json"
    )
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
