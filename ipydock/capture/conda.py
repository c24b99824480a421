"""The packages of a conda environment, from its conda-meta folder.

conda, mamba and micromamba leave one JSON file there for each package that they put in.
"""

from __future__ import annotations

import functools
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..models import CondaPackage
from ..notebook_v4 import printable
from .origins import without_credentials

# A token of anaconda.org or of a private channel: /t/<token>/ in front of the channel.
TOKEN = re.compile(r"/t/[^/]+(?=/)")
PUBLIC = frozenset({"conda.anaconda.org", "repo.anaconda.com", "repo.prefix.dev", "prefix.dev"})
INFO = re.compile(r"/([^/]+\.(?:dist-info|egg-info))(?:/|$)")


@dataclass(frozen=True, slots=True)
class CondaMeta:
    """What conda-meta tells.

    ``infos`` are the names of the metadata folders of Python distributions that conda put in;
    ``broken`` are files that could not be read.
    """

    packages: tuple[CondaPackage, ...] = ()
    infos: frozenset[str] = frozenset()
    broken: tuple[str, ...] = ()


def read(prefix: str) -> CondaMeta:
    """The conda packages of an environment, by name; nothing where it is none of conda's."""
    folder = Path(prefix, "conda-meta")
    return _read(folder, folder.stat().st_mtime_ns) if folder.is_dir() else CondaMeta()


@functools.lru_cache(maxsize=4)
def _read(folder: Path, _changed: int) -> CondaMeta:
    packages, infos, broken = [], set[str](), []
    for path in sorted(folder.glob("*.json")):
        try:
            record = json.loads(path.read_bytes())
            if not isinstance(record, dict):
                raise ValueError("not a package's record")
            packages.append(_package(record))
        except (OSError, ValueError, KeyError, RecursionError):
            broken.append(printable(path.name))
            continue
        files = record.get("files")
        for name in files if isinstance(files, list) else ():
            match = INFO.search(name) if isinstance(name, str) and "-info" in name else None
            if match:
                infos.add(match[1])
    packages.sort(key=lambda package: package.name)
    return CondaMeta(tuple(packages), frozenset(infos), tuple(broken))


def _package(record: dict[str, Any]) -> CondaPackage:
    url, md5 = record.get("url"), record.get("md5")
    clean = _clean(url) if isinstance(url, str) and url else None
    return CondaPackage(
        name=printable(str(record["name"])),
        version=printable(str(record["version"])),
        build=printable(str(record.get("build") or record.get("build_string") or "")),
        channel=_channel(str(record.get("channel") or ""), clean),
        url=clean,
        md5=md5 if isinstance(md5, str) else None,
    )


def _clean(url: str) -> str | None:
    """A package's URL without credentials; a path of this machine is none."""
    if urlsplit(url).scheme not in ("http", "https"):
        return None
    return printable(TOKEN.sub("", without_credentials(url)))


def _channel(channel: str, url: str | None) -> str:
    """A channel as one writes it: its name, or its address where it is not a public one."""
    if "://" not in channel:
        return printable(TOKEN.sub("", "/" + channel).lstrip("/"))
    clean = _clean(channel) or (url.rsplit("/", 2)[0] if url else None)
    if clean is None:
        return "a folder on this machine"
    parts = urlsplit(clean)
    path = re.sub(r"/(?:noarch|(?:linux|osx|win|emscripten)-[a-z0-9_]+)/?$", "", parts.path)
    if parts.netloc in PUBLIC:
        return path.strip("/")
    return f"{parts.scheme}://{parts.netloc}{path}"
