"""File trees to image layers: sorted, times capped, so that equal trees make equal digests."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import tarfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import IO, Any

from .debian import EPOCH

# Below a root file system, what never goes into a layer. Folders stay, their contents do not.
LEFT_OUT = (
    "dev/*",
    "proc/*",
    "sys/*",
    "tmp/*",
    "var/tmp/*",
    "var/lib/apt/lists/*",
    "var/cache/apt/*",
    "var/cache/ldconfig/*",
    "var/cache/debconf/*-old",
    "var/lib/dpkg/*-old",
    "var/log/*.log",
    "var/log/apt/*",
    "etc/*-",
    "etc/apt/sources.list",
    "etc/apt/sources.list.d/*",
    "etc/resolv.conf",
    "etc/hostname",
    "etc/apt/apt.conf.d/99mmdebstrap",
    "etc/dpkg/dpkg.cfg.d/99mmdebstrap",
    "*/__pycache__",
    "*/__pycache__/*",
)

Print = tuple[int, int, int, int]


@dataclass(frozen=True)
class Layer:
    """A compressed layer on disk, with the digests of the compressed and the plain form."""

    path: Path
    digest: str
    diff_id: str
    size: int
    history: str


def fingerprints(root: Path) -> dict[str, Print]:
    """What identifies each file below a root, to tell later what was added or changed."""
    return {name: _print((root / name).lstat()) for name in _names(root)}


def changed(root: Path, earlier: Mapping[str, Print]) -> tuple[list[str], list[str]]:
    """The names below `root` that are new or other than `earlier`, and those that are gone."""
    now = fingerprints(root)
    # A folder's own times change with its contents; only its mode counts.
    new = [name for name, found in now.items() if earlier.get(name) != found]
    return new, [name for name in earlier if name not in now]


def _print(status: os.stat_result) -> Print:
    if stat.S_ISDIR(status.st_mode):
        return status.st_mode, 0, 0, 0
    return status.st_mode, status.st_ino, status.st_size, status.st_mtime_ns


def _names(root: Path) -> list[str]:
    found: list[str] = []
    for folder, folders, files in os.walk(root):
        base = Path(folder).relative_to(root)
        kept = []
        for name in folders:
            path = str(base / name)
            if not left_out(path):
                found.append(path)
                kept.append(name)
        folders[:] = kept
        found += [path for name in files if not left_out(path := str(base / name))]
    return sorted(found)


def left_out(name: str) -> bool:
    """Whether a path below the root never goes into a layer."""
    return any(fnmatchcase(name, pattern) for pattern in LEFT_OUT)


def write_layer(
    root: Path,
    names: Iterable[str],
    target: Path,
    *,
    history: str,
    gone: Iterable[str] = (),
    extra: Mapping[str, str] | None = None,
) -> Layer:
    """Writes the named files below `root` as a layer.

    `gone` names become whiteouts, `extra` maps further names to the text of files of their own.
    """
    texts = dict(extra or {})
    with target.open("wb") as file:
        sink = _Sink(file)
        with tarfile.open(fileobj=sink, mode="w", format=tarfile.GNU_FORMAT) as tar:
            for name in sorted(set(names).difference(texts)):
                _add(tar, root / name, name)
            for name, text in sorted(texts.items()):
                _add_text(tar, name, text)
            for name in sorted(gone):
                path = PurePosixPath(name)
                _add_text(tar, str(path.with_name(f".wh.{path.name}")), "")
        sink.finish()
    return Layer(target, sink.digest, sink.diff_id, target.stat().st_size, history)


def _add(tar: tarfile.TarFile, path: Path, name: str) -> None:
    info = tar.gettarinfo(path, name)
    if info is None:  # a socket
        return
    info.mtime = min(int(info.mtime), EPOCH)
    info.uname = info.gname = ""
    if info.isreg():
        with path.open("rb") as file:
            tar.addfile(info, file)
    else:
        tar.addfile(info)


def _add_text(tar: tarfile.TarFile, name: str, text: str) -> None:
    info = tarfile.TarInfo(name)
    content = text.encode()
    info.size, info.mtime, info.mode = len(content), EPOCH, 0o644
    tar.addfile(info, io.BytesIO(content))


class _Sink(io.RawIOBase):
    """Takes the plain tar, passes it on compressed, and sums up both."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__()
        self._file = file
        self._plain = hashlib.sha256()
        self._packed = hashlib.sha256()
        # Level 1: the layers go over loopback only. 31 asks zlib for a gzip header, without time.
        self._gzip = zlib.compressobj(1, zlib.DEFLATED, 31)
        self._size = 0

    def tell(self) -> int:
        """How much was written."""
        return self._size

    def write(self, data: Any, /) -> int:
        """Takes a part of the tar."""
        self._plain.update(data)
        self._pass(self._gzip.compress(data))
        self._size += len(data)
        return len(data)

    def finish(self) -> None:
        """Writes out what the compressor still holds."""
        self._pass(self._gzip.flush())

    @property
    def digest(self) -> str:
        """The digest of the compressed layer."""
        return f"sha256:{self._packed.hexdigest()}"

    @property
    def diff_id(self) -> str:
        """The digest of the plain layer."""
        return f"sha256:{self._plain.hexdigest()}"

    def _pass(self, data: bytes) -> None:
        self._packed.update(data)
        self._file.write(data)
