"""``--vendor``: the wheels lie in the build context, so that a build needs no package index.

Each file is one that the lock names with its digest, and the best that there is for the image's
Python and platform. Files are kept in the cache under their digest, as contexts are made anew.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import queue
import shutil
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from ..errors import InputError, LockError
from ..events import OnEvent, Progressed
from ..hosts import ca_bundle, cache_folder
from ..layout import WHEELS
from ..models import Download
from ..network.indexes import Indexes, indexes
from ..network.proxies import proxies
from ..process import Cancellation, given_up
from .instructions import Comment, From, Run
from .lock import LockedFiles

_AT_ONCE = 6  # connections
_CHUNK = 1 << 18  # bytes
_PATIENCE = 60.0  # seconds without a byte
# The C libraries that wheels are made for, newest first, down from that of Debian 12 (PEP 600), and
# what they were called before (PEP 513, 571, 599).
_GLIBC = range(36, 4, -1)
_OLDER = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}

# How uv is told to install from the folder alone; it is mounted there in each step that does.
ALONE = "--no-index --find-links /tmp/wheels"
MOUNT = f"type=bind,source={WHEELS},target=/tmp/wheels"


def chosen(files: Iterable[LockedFiles], *, python: str, machine: str) -> tuple[Download, ...]:
    """The wheel of each pin that suits best, by name.

    Args:
        files: those of each pin that fit at all.
        python: interpreter series, such as ``3.11``.
        machine: as wheels call it, such as ``x86_64``.

    Raises:
        InputError: a pin has no wheel, or none with a digest.
    """
    ranks = {tag: number for number, tag in enumerate(_tags(python, machine))}
    found: dict[str, Download] = {}
    for item in files:
        wheels = [wheel for wheel in item.wheels if wheel.sha256]
        if not wheels:
            raise InputError(
                f"{item.name} {item.version} cannot be vendored: the index has no wheel of it for "
                f"Python {python} on {machine}, and to build one takes the network.",
                hint=f"Take a version that has one (--add-pip '{item.name}==VERSION'), or leave "
                "--vendor out.",
            )
        best = min(wheels, key=lambda wheel: (_rank(wheel.name, ranks), wheel.name))
        found[best.name] = best
    return tuple(found[name] for name in sorted(found))


def _tags(python: str, machine: str) -> Iterator[Tag]:
    version = tuple(int(part) for part in python.split("."))
    platforms = [
        f"{name}_{machine}"
        for minor in _GLIBC
        for name in (f"manylinux_2_{minor}", *([_OLDER[minor]] if minor in _OLDER else []))
    ]
    platforms.append(f"linux_{machine}")
    yield from cpython_tags(version, platforms=platforms)
    yield from compatible_tags(version, f"cp{''.join(python.split('.'))}", platforms)


def _rank(name: str, ranks: dict[Tag, int]) -> int:
    try:
        tags = parse_wheel_filename(name)[3]
    except InvalidWheelFilename:
        return len(ranks)
    return min((ranks[tag] for tag in tags if tag in ranks), default=len(ranks))


def uv_stage(base: str, uv: Download) -> tuple[Comment, From, Run]:
    """The stage that takes uv out of its wheel."""
    release = "-".join(uv.name.split("-")[:2])
    return (
        Comment(("uv installs the packages below; it does not stay in the image.",)),
        From(base, "uv"),
        Run(
            (
                f"sha256sum --check {_SUMS}",
                f"python3 -m zipfile -e /tmp/wheels/{uv.name} /tmp/uv",
                f"install -D -t /opt/uv /tmp/uv/{release}.data/scripts/uv",
            ),
            mounts=(MOUNT,),
        ),
    )


_SUMS = "/tmp/wheels/SHA256SUMS"  # noqa: S108 - a path in the build


def sums(downloads: Sequence[Download]) -> tuple[str, str]:
    """The file of the context that holds the digests of the others, as sha256sum reads it."""
    text = "".join(f"{file.sha256}  /tmp/wheels/{file.name}\n" for file in downloads)
    return f"{WHEELS}/SHA256SUMS", text


# --- downloading -----------------------------------------------------------------------------


def kept(file: Download) -> Path:
    """Where a file is kept on this machine once it was downloaded."""
    return cache_folder() / WHEELS / file.sha256


def fetch(
    downloads: Sequence[Download], on_event: OnEvent, cancel: Cancellation | None = None
) -> None:
    """Download what is not kept yet.

    Raises:
        LockError: a file cannot be had, or is not what the lock names.
        Cancelled: ``cancel`` was raised.
    """
    missing = [file for file in downloads if not kept(file).is_file()]
    if not missing:
        return
    kept(missing[0]).parent.mkdir(parents=True, exist_ok=True)
    sizes = [file.size_bytes for file in missing]
    total = None if None in sizes else sum(size or 0 for size in sizes)
    flag = Cancellation()
    try:
        given_up(lambda: _all(missing, total, on_event, flag), cancel)
    finally:
        flag.cancel()  # what still downloads ends with its next piece


def _all(
    files: Sequence[Download], total: int | None, on_event: OnEvent, flag: Cancellation
) -> None:
    known = indexes().unlocked()
    opener = _opener()
    waiting: queue.SimpleQueue[Download] = queue.SimpleQueue()
    told: queue.SimpleQueue[int | BaseException | None] = queue.SimpleQueue()
    for file in sorted(files, key=lambda file: -(file.size_bytes or 0)):
        waiting.put(file)

    def work() -> None:
        try:
            while not flag.requested:
                _download(opener, waiting.get_nowait(), known, told, flag)
        except queue.Empty:
            told.put(None)
        except BaseException as error:  # noqa: BLE001 - handed on to the thread that waits
            told.put(error)

    workers = min(_AT_ONCE, len(files))
    for _ in range(workers):
        threading.Thread(target=work, daemon=True).start()
    done = 0
    while workers:
        item = told.get()
        if isinstance(item, BaseException):
            raise item
        if item is None:
            workers -= 1
            continue
        done += item
        if not flag.requested:
            on_event(Progressed("synthesize", done, total))


def _opener() -> urllib.request.OpenerDirector:
    bundle = ca_bundle()
    context = ssl.create_default_context(cafile=str(bundle) if bundle else None)
    urls = {name.lower().removesuffix("_proxy"): url for name, url in proxies().items()}
    return urllib.request.build_opener(
        urllib.request.ProxyHandler({kind: url for kind, url in urls.items() if kind != "no"}),
        urllib.request.HTTPSHandler(context=context),
    )


def _download(
    opener: urllib.request.OpenerDirector,
    file: Download,
    known: Indexes,
    told: queue.SimpleQueue[int | BaseException | None],
    flag: Cancellation,
) -> None:
    # An address that uv had from the index; what comes from there must have the lock's digest.
    request = urllib.request.Request(file.url)  # noqa: S310
    host = urlsplit(file.url).netloc
    for index in (*known.indexes, *known.links):
        if index.password and urlsplit(index.url).netloc == host:
            secret = f"{unquote(index.user)}:{unquote(index.password)}".encode()
            # Not sent on to another host that it redirects to.
            value = f"Basic {base64.b64encode(secret).decode()}"
            request.add_unredirected_header("Authorization", value)
            break
    target = kept(file)
    part = target.with_name(f"{file.sha256}.{os.getpid()}-{threading.get_ident()}.part")
    digest = hashlib.sha256()
    try:
        with opener.open(request, timeout=_PATIENCE) as answer, part.open("wb") as stream:
            while piece := answer.read(_CHUNK):
                if flag.requested:
                    return
                digest.update(piece)
                stream.write(piece)
                told.put(len(piece))
        if digest.hexdigest() != file.sha256:
            raise LockError(
                f"{file.name} from {host} is not what the index said it is.",
                hint="Try again; if it stays so, somebody in between changes downloads.",
            )
        part.replace(target)
    except (OSError, urllib.error.URLError) as error:
        reason = getattr(error, "reason", None) or str(error)
        if isinstance(error, urllib.error.HTTPError):
            error.close()  # it is the answer as well
        raise LockError(
            f"{file.name} cannot be downloaded from {host}: {reason}.",
            hint="Check the network, proxy and certificates; `ipydock doctor` tells.",
        ) from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def put(downloads: Sequence[Download], folder: Path) -> None:
    """Put files that were fetched into the context.

    Raises:
        InputError: one was not fetched.
    """
    for file in downloads:
        source = kept(file)
        if not source.is_file():
            raise InputError(f"{file.name} was not downloaded.", hint="Run the command again.")
        target = folder / WHEELS / file.name
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(source, target)
