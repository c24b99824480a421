"""The build context: which files go in, and how they are written to a folder."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ..errors import InputError, NotebookError, Refused
from ..files import (
    CONTEXT_ENTRIES,
    SKIPPED_FOLDERS,
    is_context,
    is_secret,
    sha256,
    write_atomic,
)
from ..models import ContextFile, Recipe
from ..notebook import Notebook, digest, stripped


def include(notebook: Notebook, patterns: Sequence[str]) -> tuple[ContextFile, ...]:
    """The files below the notebook's folder that glob patterns name.

    A folder stands for all that is in it, but for the notebook itself, its reruns, and folders of
    caches, environments and version control.

    Raises:
        InputError: a pattern matches nothing, or leads out of the folder.
        Refused: a file looks like a credential.
    """
    root = notebook.folder.resolve()
    found: dict[str, ContextFile] = {}
    for pattern in patterns:
        matches = [file for file in _matching(root, pattern) if file.name != notebook.name]
        if not matches:
            raise InputError(
                f"--include {pattern!r} matches no file in {notebook.folder}.",
                hint="Check the spelling; patterns are relative to the notebook's folder.",
            )
        for file in matches:
            path = file.relative_to(root).as_posix()
            _refuse_secret(root, path)
            found[path] = ContextFile(
                path=path, sha256=sha256(file), size_bytes=file.stat().st_size, kind="data"
            )
    return tuple(found.values())


def _matching(root: Path, pattern: str) -> list[Path]:
    if Path(pattern).is_absolute() or ".." in Path(pattern).parts:
        raise InputError(
            f"--include {pattern!r} leads out of the notebook's folder.",
            hint="Name files below it, such as data/*.csv.",
        )
    try:
        named = sorted(root.glob(pattern)) if Path(pattern).parts else [root]
    except ValueError as error:
        raise InputError(f"--include {pattern!r} is not a pattern: {error}.") from error
    files = (
        file
        for match in named
        for file in ([match] if match.is_file() else sorted(match.rglob("*")))
    )
    return [
        file
        for file in files
        if file.is_file()
        and file.resolve().is_relative_to(root)
        and SKIPPED_FOLDERS.isdisjoint(file.relative_to(root).parts)
        and not file.name.endswith(".rerun.ipynb")
    ]


def _refuse_secret(root: Path, path: str) -> None:
    """Raise `Refused` for a file that looks like a credential, by its name or what it links to."""
    real = (root / path).resolve()
    if is_secret(path) or is_secret(real.as_posix().removeprefix(f"{root.as_posix()}/")):
        raise Refused(
            f"{path} looks like a credential and would be baked into the image.",
            hint="Leave it out (--exclude) and give it to the container with --mount instead.",
        )


def write_context(recipe: Recipe, notebook: Notebook, target: Path) -> None:
    """Write everything that ``docker build`` needs into a folder.

    A folder that an earlier call wrote is replaced; any other folder must be empty or absent. A
    call that fails leaves the folder as it was.

    Raises:
        InputError: the folder holds something else, or a file changed since it was captured.
        NotebookError: the notebook changed since it was captured.
        Refused: a file looks like a credential.
    """
    if target.exists() and not target.is_dir():
        raise InputError(f"{target} is a file, not a folder.", hint="Choose another -o.")
    if target.is_dir() and any(target.iterdir()) and not is_context(target):
        raise InputError(
            f"{target} holds files that ipydock did not write.",
            hint="Choose an empty folder, so that nothing of yours is overwritten.",
        )
    if digest(notebook.node) != recipe.notebook_sha256:
        raise NotebookError(
            f"{notebook.name} changed since it was captured.", hint="Run the command again."
        )
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".ipydock-", dir=target.parent) as name:
        fresh = Path(name)
        _fill(recipe, notebook, fresh)
        for entry in CONTEXT_ENTRIES:
            _remove(target / entry)
            if (fresh / entry).exists():
                (fresh / entry).rename(target / entry)


def _fill(recipe: Recipe, notebook: Notebook, folder: Path) -> None:
    (folder / "notebook").mkdir()
    for file in recipe.files:
        _refuse_secret(notebook.folder.resolve(), file.path)
        _copy(notebook.folder / file.path, folder / "project" / file.path, file)
    _write(folder / "notebook" / recipe.notebook, stripped(notebook.node))
    _write(folder / "requirements.lock", recipe.lock)
    _write(folder / ".dockerignore", recipe.dockerignore)
    _write(folder / "Dockerfile", recipe.dockerfile)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


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
