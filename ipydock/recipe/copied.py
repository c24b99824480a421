"""The files that the user's own ``COPY`` instructions take into the build context."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from .. import credentials
from ..errors import InputError, Refused
from ..files import SKIPPED_FOLDERS, is_secret, sha256
from ..layout import is_meant
from ..models import ContextFile, InstructionCell
from ..notebook import Notebook
from .custom import checked, is_source, sources
from .parse import Instruction


def copied(
    notebook: Notebook, cells: Iterable[InstructionCell], exclude: Sequence[str] = ()
) -> tuple[ContextFile, ...]:
    """What the ``COPY`` instructions of these cells take from the notebook's folder.

    A folder stands for all that is in it, but for the notebook itself, its reruns, and folders of
    caches, environments and version control; ``exclude`` are patterns of files to leave out.

    Raises:
        InputError: an instruction is wrong, or what it takes is not there or lies outside the
            folder; cell and line are named.
        Refused: a file looks like a credential, or holds one.
    """
    root = notebook.folder.resolve()
    found: dict[str, ContextFile] = {}
    for item in (item for cell in cells for item in checked(cell)):
        for source in sources(item):
            for path in _named(item, root, source, notebook.name):
                name = path.relative_to(root).as_posix()
                if not any(is_meant(name, pattern) for pattern in exclude):
                    found[name] = _file(item, root, name)
            if not any(is_source(name, source) for name in found):
                raise item.wrong(
                    f"{source} is not in the notebook's folder, or nothing of it is left.",
                    "COPY takes files and folders by their path from there.",
                )
    return tuple(found[name] for name in sorted(found))


def _named(item: Instruction, root: Path, source: str, notebook: str) -> list[Path]:
    """The files that a source names, whether they may be copied or not."""
    try:
        named = [root] if source == "." else sorted(root.glob(source))
    except (ValueError, NotImplementedError) as error:
        raise item.wrong(f"{source} is not a pattern of files: {error}.") from error
    files: list[Path] = []
    for path in named:
        files += _below(path) if path.is_dir() else [path]
    return [
        path for path in files if path != root / notebook and not path.name.endswith(".rerun.ipynb")
    ]


def _below(top: Path) -> Iterator[Path]:
    for folder, names, inside in os.walk(top):
        names[:] = sorted(set(names) - SKIPPED_FOLDERS)  # which os.walk then enters
        yield from (Path(folder, name) for name in sorted(inside))


def _file(item: Instruction, root: Path, name: str) -> ContextFile:
    path = root / name
    real = path.resolve()
    if not real.is_relative_to(root):
        raise item.wrong(
            f"{name} is a link that leads out of the notebook's folder.",
            "Put the file itself there.",
        )
    inside = real.relative_to(root).as_posix()
    if is_secret(name) or is_secret(inside):
        raise _refused(item, f"{name} looks like a credential")
    try:
        kind = credentials.in_file(real)
        if kind is not None:
            raise _refused(item, f"{name} holds a credential ({kind})")
        status = real.stat()
        return ContextFile(
            path=name,
            sha256=sha256(real),
            size_bytes=status.st_size,
            kind="copied",
            executable=bool(status.st_mode & 0o100),
        )
    except OSError as error:
        raise InputError(
            f"{item.wrong(f'{name} cannot be read').message}: {error.strerror}.",
            hint="Leave it out with --exclude.",
        ) from error


def _refused(item: Instruction, what: str) -> Refused:
    return Refused(
        f"{item.wrong(what).message} and would be baked into the image.",
        hint="Leave it out (--exclude) and give it to the container with --mount instead.",
    )
