"""A build whose every input is as it was: answered by looking at file times and the engine alone.

``ipydock build`` of an unchanged notebook finds its image by capturing, locking and comparing
digests; most of that time goes into loading libraries. After a build this module notes what the
answer hung on (the command line, the environment variables, the time and size of every file, and
the time of every folder in which a new file would count); the same command then costs a `stat` of
each and one question to the engine. Whatever differs, or is not known here, takes the long way. It
imports nothing that is slow to load.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import socket
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import __version__
from .errors import EngineError
from .hosts import cache_folder

if TYPE_CHECKING:
    from .models import Image, Recipe

_FLEETING = ("_", "SHLVL", "OLDPWD", "COLUMNS", "LINES")  # variables that say nothing of a build
_UNIX = "unix://"
_MOST_BYTES = 1 << 22  # of the engine's answer


def replay(words: Sequence[str]) -> bool:
    """Answer a command from its note; whether that could be done.

    Args:
        words: the command line after the program's name.
    """
    try:
        note = json.loads(_file(words).read_text(encoding="utf-8"))
        image, said, shown = note["image"], note["said"], note["shown"]
        if _seen(path for path, *_ in note["seen"]) != note["seen"]:
            return False
    except (OSError, ValueError, KeyError, TypeError):  # no note, or cut short
        return False
    if _engine_has(image["tag"]) != image["id"]:
        return False
    if said:
        sys.stderr.write(f"{said}\n")
    sys.stdout.write(f"{shown}\n")
    return True


def note(
    words: Sequence[str],
    *,
    inputs: Iterable[Path],
    image: Image,
    said: str,
    shown: str,
) -> None:
    """Keep what a build's answer hung on.

    Args:
        words: the command line after the program's name.
        inputs: files and folders; one that is not there counts as that.
        image: what was built or found.
        said: what the command says on standard error when it is repeated.
        shown: what it prints.
    """
    if image.engine != "docker" or _engine_has(image.tag) != image.id:
        return
    document = {
        "seen": _seen(sorted({str(path) for path in inputs})),
        "image": {"id": image.id, "tag": image.tag},
        "said": said,
        "shown": shown,
    }
    path = _file(words)
    with contextlib.suppress(OSError):  # then the next time takes the long way
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document), encoding="utf-8")


def inputs(notebook: Path, recipe: Recipe, python: str) -> set[Path]:
    """The files and folders that an image of this recipe hung on.

    Args:
        notebook: its file.
        recipe: what it came to.
        python: the interpreter whose packages were captured.
    """
    from .network.pip import pip_files
    from .network.uv import uv_files

    folder = notebook.absolute().parent
    files = {folder / file.path for file in recipe.files}
    for package in recipe.local_packages:
        files |= {folder / package.path / file.path for file in package.files}
    files |= {folder / own.path / file.path for own in recipe.local_packages for file in own.files}
    found = {notebook.absolute(), folder, *files, *(file.parent for file in files)}
    found |= {above / "pyproject.toml" for above in (folder, *folder.parents)}
    # What the labels tell of the repository: each commit and each change of a remote.
    for above in (folder, *folder.parents):
        found |= {above / ".git" / name for name in ("HEAD", "config", "logs/HEAD")}
    program = Path(python).absolute()
    prefix = program.parent.parent
    home = Path.home()
    for root in {prefix, program.resolve().parent.parent, home / ".local", Path("/usr/local")}:
        found |= {root / "pyvenv.cfg", root / "lib/python3/dist-packages"}
        for name in ("site-packages", "dist-packages"):
            found.add(root / "lib" / f"python{recipe.python.series}" / name)
    found |= {program, program.resolve(), cache_folder() / "pins.json"}
    found |= {*pip_files(os.environ), *uv_files(os.environ)}
    return found | {Path(os.environ.get("DOCKER_CONFIG") or home / ".docker") / "config.json"}


def _file(words: Sequence[str]) -> Path:
    environ = sorted(item for item in os.environ.items() if item[0] not in _FLEETING)
    key = json.dumps([__version__, sys.executable, str(Path.cwd()), list(words), environ])
    return cache_folder() / "builds" / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"


def _seen(paths: Iterable[str]) -> list[list[Any]]:
    """Each path with its time of change (ns), size (bytes) and mode; -1 where there is nothing."""
    found: list[list[Any]] = []
    for path in paths:
        try:
            status = os.stat(path)  # noqa: PTH116 - hundreds of them, each a thousandth as quick
            found.append([path, status.st_mtime_ns, status.st_size, status.st_mode])
        except OSError:
            found.append([path, -1])
    return found


def _engine_has(tag: str) -> str | None:
    """The id of the image of that name on the Docker engine of this machine, None if unknown."""
    from .engine.endpoint import find

    try:
        address = find().address
        if not address.startswith(_UNIX):
            return None
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(2)
            connection.connect(address.removeprefix(_UNIX))
            # HTTP 1.0, so that the answer is whole and ends the connection.
            connection.sendall(f"GET /images/{tag}/json HTTP/1.0\r\nHost: docker\r\n\r\n".encode())
            answer = b""
            while (piece := connection.recv(1 << 16)) and len(answer) < _MOST_BYTES:
                answer += piece
        head, _, body = answer.partition(b"\r\n\r\n")
        if b" 200 " not in head.partition(b"\r\n")[0]:
            return None
        return str(json.loads(body)["Id"])
    except (OSError, ValueError, KeyError, EngineError):
        return None  # the long way says what is wrong
