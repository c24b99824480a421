"""The one door to uv: requirements in, a lock with hashes out.

A lock is remembered for what it was made from, so that an unchanged notebook keeps its lock, and
with it its image, even where something is not pinned and the index has newer files by now.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from packaging.utils import canonicalize_name, parse_wheel_filename

from ..credentials import hidden
from ..errors import LockError
from ..files import write_atomic
from ..hosts import cache_folder
from ..models import Download
from ..network.indexes import Index, Indexes, indexes
from ..process import Cancellation, ProcessPlan, run
from .lock_errors import explain

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_MACHINES = {"amd64": "x86_64", "x86_64": "x86_64", "arm64": "aarch64", "aarch64": "aarch64"}
# An entry of a lock: a version, or a wheel by its URL.
_PREFERRED = "preferred.txt"
_PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)(?:==([^\s;\\]+)| @ (\S+\.whl)(?:#\S*)?)")


@dataclass(frozen=True, slots=True)
class Lock:
    """A requirements file with hashes, and the version of each distribution in it."""

    text: str
    versions: dict[str, str]


@dataclass(frozen=True, slots=True)
class LockedFiles:
    """The files of one pin that fit a platform; no wheels mean that it has to be built."""

    name: str
    version: str
    wheels: tuple[Download, ...]
    sdist: Download | None


def uv_path() -> str:
    """The uv that came with ipydock."""
    import uv

    return uv.find_uv_bin()


def uv_platform(machine: str, system: str = "linux", glibc: tuple[int, ...] = (2, 36)) -> str:
    """The name by which uv calls a platform.

    On Linux with the C library of Debian 12 (2.36), or an older one if the image has that.
    """
    known = uv_machine(machine)
    if system == "darwin":
        return f"{known}-apple-darwin"
    older = [minor for minor in (28, 31, 32, 33, 34, 35, 36) if (2, minor) <= glibc]
    return f"{known}-manylinux_2_{older[-1] if older else 17}"


def uv_machine(machine: str) -> str:
    """The name by which wheels and uv call a machine that Docker may call ``amd64``."""
    return _MACHINES.get(machine.lower(), machine)


def lock(
    requirements: Sequence[str],
    constraints: Sequence[str],
    *,
    python: str,
    platform: str,
    excluded: Sequence[str] = (),
    build: bool | Sequence[str] = False,
    preferred: Sequence[str] = (),
    fresh: bool = False,
    cancel: Cancellation | None = None,
) -> Lock:
    """Resolve requirements to exact versions with the hashes of every file of each.

    Args:
        requirements: what is wanted, such as ``pandas==2.2.1`` or ``gensim``.
        constraints: versions to keep to where one of these is needed, such as ``numpy==1.26.4``.
        python: interpreter series, such as ``3.11``.
        platform: as uv calls it, see `uv_platform`.
        excluded: names that are never looked up, whoever requires them.
        build: let uv run a source distribution's own code to learn what it needs. Only for what
            is installed on this machine already, and so has run here before. Names are those
            that have no wheel; of all others only wheels count.
        preferred: versions to take where nothing says otherwise, such as ``ipykernel==6.30.1``.
        fresh: ask the index, even if the answer to the same question is remembered.
        cancel: ends uv when raised.

    Raises:
        LockError: there is no solution, or the index cannot be reached.
        InputError: the settings of pip or uv on this host cannot be read.
        Cancelled: ``cancel`` was raised.
    """
    known = indexes()
    question = (requirements, constraints, python, platform, excluded, build, preferred)
    remembered = _remembered(question, known)
    if not fresh and (text := _read(remembered)):
        return Lock(text=text, versions=_versions(text))
    wheels: tuple[str, ...] = () if build else ("--no-build",)
    if not isinstance(build, bool):  # a name here is an exception to the rule before it
        wheels = ("--only-binary", ":all:", *(w for name in build for w in ("--no-binary", name)))
    done = _compile(
        (
            "--generate-hashes", "--python-version", python, "--python-platform", platform,
            *wheels,
            *(("--excludes", "excludes.txt") if excluded else ()),
            "--constraints", "constraints.txt",
        ),
        {
            **({_PREFERRED: "\n".join(preferred)} if preferred else {}),
            "requirements.in": "\n".join(requirements),
            "constraints.txt": "\n".join(constraints),
            "excludes.txt": "\n".join(excluded),
        },
        known,
        cancel,
    )  # fmt: skip
    text = done.replace("# via -r requirements.in", "# via the notebook").replace(
        "#   -r requirements.in", "#   the notebook"
    )
    _keep(remembered, text)
    return Lock(text=text, versions=_versions(text))


def files(
    text: str, *, python: str, platform: str, cancel: Cancellation | None = None
) -> tuple[LockedFiles, ...]:
    """The files of each pin of a lock that fit this Python and platform.

    Args:
        text: a lock as `lock` returns it.
        python: interpreter series, such as ``3.11``.
        platform: as uv calls it, see `uv_platform`.
        cancel: ends uv when raised.

    Raises:
        LockError: the index cannot be reached, or lacks a pin.
        Cancelled: ``cancel`` was raised.
    """
    known = indexes()
    remembered = _remembered(("files", text, python, platform), known)
    answer = _read(remembered)
    if not answer:
        answer = _compile(
            (
                "--format", "pylock.toml", "--no-deps", "--python-version", python,
                "--python-platform", platform,
            ),
            {"requirements.in": text},
            known,
            cancel,
        )  # fmt: skip
        _keep(remembered, hidden(answer))
    return tuple(_files(item) for item in tomllib.loads(answer).get("packages", ()))


def wheel_at(
    index: str, pin: str, *, python: str, platform: str, cancel: Cancellation | None = None
) -> Download | None:
    """The wheel of a pin that fits this Python and platform, from one index and no other.

    Raises:
        LockError: the index cannot be reached, or lacks the pin.
        Cancelled: ``cancel`` was raised.
    """
    alone = Indexes(indexes=(Index(index, default=True),), source="pip")
    remembered = _remembered(("wheel", pin, python, platform), alone)
    answer = _read(remembered)
    if not answer:
        answer = _compile(
            (
                "--format", "pylock.toml", "--no-deps", "--no-config", "--no-build",
                "--python-version", python, "--python-platform", platform,
            ),
            {"requirements.in": pin},
            alone,
            cancel,
        )  # fmt: skip
        _keep(remembered, answer)
    found = [_files(item) for item in tomllib.loads(answer).get("packages", ())]
    return next((wheel for item in found for wheel in item.wheels), None)


def _compile(
    words: Sequence[str],
    inputs: Mapping[str, str],
    known: Indexes,
    cancel: Cancellation | None,
) -> str:
    """What ``uv pip compile`` says of ``requirements.in`` among these files."""
    with tempfile.TemporaryDirectory(prefix="ipydock-lock-") as folder:
        for name, text in inputs.items():
            Path(folder, name).write_text(f"{text}\n", encoding="utf-8")
        # What it would write to, if there already, tells it what to keep to.
        kept = ("--output-file", _PREFERRED) if _PREFERRED in inputs else ()
        plan = ProcessPlan(
            (
                uv_path(), "pip", "compile", "--quiet", "--no-progress", "--no-header", *kept,
                # Any will do; it only runs what a source distribution needs to tell its metadata.
                "--color=never", "--python", sys.executable, *words, "requirements.in",
            ),
            env=known.unlocked().environment(),
            cwd=Path(folder),
        )  # fmt: skip
        try:
            done = run(plan, cancel=cancel, timeout=600)
            found = done.stdout
            if kept:
                found = Path(folder, _PREFERRED).read_text(encoding="utf-8")
        except subprocess.TimeoutExpired as error:
            raise LockError(
                "Locking the packages took longer than 10 minutes.",
                hint="Is the package index reachable? `ipydock doctor` tells.",
            ) from error
    if done.returncode:
        raise explain(done.stderr.strip(), known)
    return found


def _keep(remembered: Path, text: str) -> None:
    with contextlib.suppress(OSError):  # then the index is asked the next time
        remembered.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(remembered, text)


def _files(item: Mapping[str, Any]) -> LockedFiles:
    """One package of a pylock.toml (PEP 751)."""
    sdist = item.get("sdist")
    wheels = [*item.get("wheels", ()), *([item["archive"]] if "archive" in item else [])]
    found = tuple(_download(wheel) for wheel in wheels)
    # Of what a URL names the version may be left out.
    version = item.get("version") or str(parse_wheel_filename(found[0].name)[1])
    return LockedFiles(
        name=canonicalize_name(item["name"]),
        version=str(version),
        wheels=found,
        sdist=_download(sdist) if sdist else None,
    )


def _download(file: Mapping[str, Any]) -> Download:
    url = without_user(str(file.get("url") or file.get("path", "")))
    name = str(file.get("name") or _file_name(url))
    return Download(
        name=name,
        url=url,
        sha256=str(file["hashes"].get("sha256", "")),
        size_bytes=file.get("size"),
    )


def without_user(url: str) -> str:
    """A URL without user and password."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def entries(text: str) -> dict[str, str]:
    """The text of each entry of a lock, by its name and version (``numpy==2.4.1``)."""
    found: dict[str, str] = {}
    pin = ""
    for line in text.splitlines(keepends=True):
        if named := _pin(line):
            pin = "==".join(named)
            found[pin] = line
        elif pin and line.startswith(" "):
            found[pin] += line
    return found


def _remembered(question: object, known: Indexes) -> Path:
    """Where the answer to a question to uv is kept, under all that it depends on."""
    # Where packages come from is told by what was read of it, without its credentials.
    told = ("UV_INDEX", "UV_DEFAULT_INDEX", "UV_EXTRA_INDEX", "UV_KEYRING", "UV_PUBLISH")
    settings = sorted(
        item
        for item in os.environ.items()
        if item[0].startswith("UV_") and not item[0].startswith(told)
    )
    depends = [uv_path(), question, known.identity(), settings]
    key = hashlib.sha256(json.dumps(depends).encode()).hexdigest()
    return cache_folder() / "locks" / f"{key[:32]}.lock"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""


def _versions(text: str) -> dict[str, str]:
    return dict(pin for pin in map(_pin, text.splitlines()) if pin)


def _pin(line: str) -> tuple[str, str] | None:
    """The name and version of the entry that begins with a line."""
    match = _PIN.match(line)
    if match is None:
        return None
    version = match[2] or str(parse_wheel_filename(_file_name(match[3]))[1])
    return canonicalize_name(match[1]), version


def _file_name(url: str) -> str:
    return unquote(urlsplit(url).path.rpartition("/")[2])
