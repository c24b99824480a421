"""Archives of images: compressed while they are written, looked into before they are loaded.

What is in them is the "docker-archive" that ``docker save`` and ``podman save`` write: a tar file
with a ``manifest.json`` that names the images' configurations and tags, since Docker 25 also an OCI
image layout (``index.json``; OCI image-spec, image-layout.md).
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import secrets
import sys
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from .errors import DiskFull, InputError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

SUFFIXES = (".tar.zst", ".tar.gz", ".tgz", ".tar")
CHUNK = 1 << 20
_SYNC = 64 << 20  # bytes between two syncs, so that the last one does not take long
_SMALL = 4 << 20  # a configuration or manifest is not larger
_MOST = 64 << 20  # of these together: an archive may come from anyone
_DAMAGE = (tarfile.TarError, EOFError, zlib.error, zstd.ZstdError, gzip.BadGzipFile)


def suffix_of(path: Path) -> str:
    """Which kind of archive a file is to be, by its name.

    Raises:
        InputError: it is none that ipydock writes.
    """
    for suffix in SUFFIXES:
        if path.name.lower().endswith(suffix):
            return suffix
    raise InputError(
        f"{path.name} does not say how to pack.", hint=f"End it in one of {', '.join(SUFFIXES)}."
    )


class Writer:
    """Writes an archive under another name and renames it once it is whole.

    A context manager; if the block is left by an exception, nothing is left of the file.

    Raises:
        InputError: the file cannot be written.
        DiskFull: there is no space left.
    """

    def __init__(self, path: Path) -> None:
        suffix = suffix_of(path)
        if path.is_dir() or not path.parent.is_dir():
            raise InputError(f"{path} cannot be written.", hint="Name a file in a folder that is.")
        self._path = path.resolve() if path.is_symlink() else path
        self._part = self._path.with_name(f".{self._path.name[:100]}.{secrets.token_hex(6)}.part")
        self._unsynced = 0
        with self._faults():
            self._file = self._part.open("xb")
        self._packed: IO[bytes] = self._file
        if suffix == ".tar.zst":
            options: dict[int, int] = {
                zstd.CompressionParameter.nb_workers: os.cpu_count() or 1,
                zstd.CompressionParameter.checksum_flag: 1,
            }
            self._packed = cast(IO[bytes], zstd.ZstdFile(self._file, "wb", options=options))
        elif suffix != ".tar":
            packed = gzip.GzipFile("", "wb", compresslevel=6, fileobj=self._file, mtime=0)
            self._packed = cast(IO[bytes], packed)

    def __enter__(self) -> Writer:
        return self

    def write(self, data: bytes) -> None:
        """Add a piece."""
        with self._faults():
            self._packed.write(data)
            self._unsynced += len(data)
            if self._unsynced >= _SYNC:
                self._unsynced = 0
                os.fdatasync(self._file.fileno())

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            with self._faults():
                if kind is None:
                    if self._packed is not self._file:
                        self._packed.close()
                    self._file.flush()
                    os.fsync(self._file.fileno())
                    self._file.close()
                    self._part.replace(self._path)
        finally:
            with contextlib.suppress(OSError, ValueError):
                self._packed.close()
            with contextlib.suppress(OSError):
                self._file.close()
            with contextlib.suppress(OSError):
                self._part.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            kind = DiskFull if error.errno in (28, 122) else InputError  # ENOSPC, EDQUOT
            raise kind(
                f"{self._path} cannot be written: {error.strerror}.",
                hint="Choose another -o, on a disk with room for it.",
            ) from error


@contextlib.contextmanager
def unpacked(path: Path) -> Iterator[IO[bytes]]:
    """An archive as it was before it was packed; how that was done is told by its first bytes.

    Raises:
        InputError: it cannot be read, or is damaged.
    """
    try:
        with path.open("rb") as file:
            head = file.read(4)
            file.seek(0)
            if head.startswith(b"\x1f\x8b"):
                stream: Any = gzip.GzipFile(fileobj=file, mode="rb")
            elif head == b"\x28\xb5\x2f\xfd":
                stream = zstd.ZstdFile(file, "rb")
            else:
                stream = file
            yield stream
    except _DAMAGE as error:
        raise InputError(
            f"{path} is damaged, cut short or no archive of an image: {error}",
            hint="Save it again with `ipydock save IMAGE -o FILE.tar.zst`, and copy it whole.",
        ) from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error


@dataclass(frozen=True, slots=True)
class Packed:
    """An image in an archive: its id (the digest of its configuration), names and labels."""

    id: str
    tags: tuple[str, ...]
    labels: Mapping[str, str]


def contents(path: Path, on_bytes: Callable[[int], None]) -> list[Packed]:
    """The images in an archive. All of it is read, so that one that is cut short is told.

    Args:
        path: the archive.
        on_bytes: called with how much was read so far; what it raises ends the reading.

    Raises:
        InputError: it is damaged, or no archive of images.
    """
    kept: dict[str, bytes] = {}
    with unpacked(path) as stream:
        counted = _Counted(stream, on_bytes)
        # Its types ask for more of a file than reading it as a stream does.
        with tarfile.open(fileobj=counted, mode="r|", bufsize=CHUNK) as tar:  # type: ignore[call-overload]
            for member in tar:
                if not member.isfile() or member.size > _SMALL:
                    continue
                if not member.name.endswith(".json") and not member.name.startswith("blobs/"):
                    continue
                if sum(map(len, kept.values())) + member.size > _MOST:
                    raise tarfile.TarError("it has too many small files")
                kept[member.name.removeprefix("./")] = _of(tar.extractfile(member)).read()
        while counted.read(CHUNK):  # the check sum is at the end
            pass
    try:
        found = _images(kept)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path} holds a description of images that cannot be read: {error}"
        ) from error
    if not found:
        raise InputError(
            f"{path} holds no image.", hint="`ipydock save IMAGE -o FILE.tar.zst` writes one."
        )
    return found


class _Counted:
    """Reads on, telling how much was read."""

    def __init__(self, stream: IO[bytes], on_bytes: Callable[[int], None]) -> None:
        self._stream, self._on_bytes, self._done = stream, on_bytes, 0

    def read(self, size: int) -> bytes:
        data = self._stream.read(size)
        self._done += len(data)
        self._on_bytes(self._done)
        return data


def _of(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise tarfile.TarError("a file in it cannot be read")
    return stream


def _images(kept: Mapping[str, bytes]) -> list[Packed]:
    """What ``manifest.json`` and, where there is one, ``index.json`` name."""
    tags: dict[str, list[str]] = {}
    for entry in json.loads(kept.get("manifest.json", b"[]")):
        tags.setdefault(str(entry["Config"]), []).extend(entry.get("RepoTags") or ())
    index = json.loads(kept.get("index.json", b"{}"))
    for name, config in _configurations(index, kept):
        tags.setdefault(config, []).extend([name] if name else [])
    found = []
    for config, names in tags.items():
        said = json.loads(kept[config])
        digest = config.rpartition("/")[2].removesuffix(".json")
        labels = dict((said.get("config") or {}).get("Labels") or {})
        found.append(Packed(f"sha256:{digest}", tuple(dict.fromkeys(names)), labels))
    return found


def _configurations(
    index: Mapping[str, Any], kept: Mapping[str, bytes], depth: int = 0
) -> Iterator[tuple[str, str]]:
    """A name, where there is one, and the configuration of each image in an OCI layout."""
    for entry in index.get("manifests") or ():
        notes = entry.get("annotations") or {}
        name = str(notes.get("io.containerd.image.name") or "")
        blob = kept.get(_blob(entry))
        # An index may list platforms that were not saved, and attestations, which are no images.
        if blob is None or (entry.get("platform") or {}).get("os") == "unknown":
            continue
        manifest = json.loads(blob)
        if "manifests" in manifest and depth < 3:
            nested = _configurations(manifest, kept, depth + 1)
            yield from ((inner or name, config) for inner, config in nested)
        elif "config" in manifest:
            yield name, _blob(manifest["config"])


def _blob(entry: Mapping[str, Any]) -> str:
    return f"blobs/{str(entry['digest']).replace(':', '/')}"
