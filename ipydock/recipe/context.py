"""The build context: which files go in, and how they are written to a folder."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from ..errors import InputError, NotebookError, Refused
from ..files import is_secret, sha256, write_atomic
from ..models import ContextFile, Recipe
from ..notebook import Notebook, digest, stripped
from .layers import HEADING


def include(folder: Path, patterns: Sequence[str]) -> tuple[ContextFile, ...]:
    """The files below ``folder`` that glob patterns name; a folder stands for all that is in it.

    Raises:
        InputError: a pattern matches nothing, or leads out of the folder.
        Refused: a file looks like a credential.
    """
    root = folder.resolve()
    found: dict[str, ContextFile] = {}
    for pattern in patterns:
        if Path(pattern).is_absolute() or ".." in Path(pattern).parts:
            raise InputError(
                f"--include {pattern!r} leads out of the notebook's folder.",
                hint="Name files below it, such as data/*.csv.",
            )
        matches = [
            file
            for match in sorted(root.glob(pattern))
            for file in ([match] if match.is_file() else sorted(match.rglob("*")))
            if file.is_file() and file.resolve().is_relative_to(root)
        ]
        if not matches:
            raise InputError(
                f"--include {pattern!r} matches no file in {folder}.",
                hint="Check the spelling; patterns are relative to the notebook's folder.",
            )
        for file in matches:
            path = file.relative_to(root).as_posix()
            if is_secret(path):
                raise Refused(
                    f"{path} looks like a credential and would be baked into the image.",
                    hint="Leave it out and give it to the container with --mount instead.",
                )
            found[path] = ContextFile(
                path=path, sha256=sha256(file), size_bytes=file.stat().st_size, kind="data"
            )
    return tuple(found.values())


def write_context(recipe: Recipe, notebook: Notebook, target: Path) -> None:
    """Write everything that ``docker build`` needs into a folder.

    A folder that an earlier call wrote is replaced; any other folder must be empty or absent.

    Raises:
        InputError: the folder holds something else, or a file changed since it was captured.
        NotebookError: the notebook changed since it was captured.
    """
    if target.exists() and not target.is_dir():
        raise InputError(f"{target} is a file, not a folder.", hint="Choose another -o.")
    if target.is_dir() and any(target.iterdir()) and not _ours(target):
        raise InputError(
            f"{target} holds files that ipydock did not write.",
            hint="Choose an empty folder, so that nothing of yours is overwritten.",
        )
    if digest(notebook.node) != recipe.notebook_sha256:
        raise NotebookError(
            f"{notebook.name} changed since it was captured.", hint="Run the command again."
        )
    for name in ("project", "notebook"):
        shutil.rmtree(target / name, ignore_errors=True)
    (target / "notebook").mkdir(parents=True)
    for file in recipe.files:
        _copy(notebook.folder / file.path, target / "project" / file.path, file)
    name = recipe.notebook
    _write(target / "notebook" / name, stripped(notebook.node))
    _write(target / "requirements.lock", recipe.lock)
    _write(target / ".dockerignore", recipe.dockerignore)
    _write(target / "Dockerfile", recipe.dockerfile)


def _ours(folder: Path) -> bool:
    try:
        with (folder / "Dockerfile").open(encoding="utf-8") as stream:
            return stream.readline().startswith(HEADING)
    except (OSError, UnicodeDecodeError):
        return False


def _copy(source: Path, target: Path, file: ContextFile) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copyfile(source, target)
    except OSError as error:
        raise InputError(
            f"{file.path} cannot be read: {error.strerror}.", hint="Leave it out with --exclude."
        ) from error
    if sha256(target) != file.sha256:
        raise InputError(
            f"{file.path} changed since it was captured.", hint="Run the command again."
        )
    _readable(target)


def _write(target: Path, text: str) -> None:
    write_atomic(target, text)
    _readable(target)


def _readable(path: Path) -> None:
    # The image copies modes: any uid must be able to read, and group 0 to write as on OpenShift.
    path.chmod(0o664)
    os.utime(path, (0, 0))
