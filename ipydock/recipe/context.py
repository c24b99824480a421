"""The build context: which files go in, and how they are written to a folder."""

from __future__ import annotations

import os
import posixpath
import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from .. import credentials
from ..errors import InputError, NotebookError, Refused
from ..files import (
    CONTEXT_ENTRIES,
    SKIPPED_FOLDERS,
    is_context,
    is_secret,
    sha256,
    write_atomic,
)
from ..layout import COPIED, DATA, NOTEBOOK, PACKAGES, PROJECT, ROOT, WHEELS, in_context, is_system
from ..models import ContextFile, LocalPackage, Recipe, SourceFile
from ..notebook import Notebook, attached, digest, stripped
from ..wheelmaking import EPOCH
from . import vendor
from .parts import Part, texts, whole


def include(notebook: Notebook, patterns: Sequence[str]) -> tuple[ContextFile, ...]:
    """The files that glob patterns name, relative to the notebook's folder or absolute.

    A folder stands for all that is in it, but for the notebook itself, its reruns, and folders of
    caches, environments and version control.

    Raises:
        InputError: a pattern matches nothing, or only what an image has files of its own for.
        Refused: a file looks like a credential, or holds one.
    """
    root = notebook.folder.resolve()
    found: dict[str, ContextFile] = {}
    for pattern in patterns:
        matches = [file for file in _matching(root, pattern) if file != root / notebook.name]
        if not matches:
            raise InputError(
                f"--include {pattern!r} matches no file in {notebook.folder}.",
                hint="Check the spelling; patterns are relative to the notebook's folder.",
            )
        for file in matches:
            path = _name(root, file, absolute=pattern.startswith("/"))
            _refuse_secret(root, path)
            found[path] = ContextFile(
                path=path, sha256=sha256(file), size_bytes=file.stat().st_size, kind="data"
            )
    return tuple(found.values())


def _name(root: Path, file: Path, *, absolute: bool) -> str:
    """A file as `ContextFile` names it.

    Raises:
        InputError: it is in a folder of the system.
    """
    if file.is_relative_to(root):
        return file.relative_to(root).as_posix()
    if not absolute:
        return posixpath.relpath(file.as_posix(), root.as_posix())
    _refuse_system(file.as_posix())
    return file.as_posix()


def _refuse_system(path: str) -> None:
    if is_system(path):
        raise InputError(
            f"{path} lies in a folder of the system, where the image has files of its own.",
            hint="Mount it (--mount), or copy it to a folder of yours.",
        )


def _matching(root: Path, pattern: str) -> list[Path]:
    # What the pattern starts with is a folder by its text; `..` in a glob would stay in the names.
    fixed = posixpath.normpath(posixpath.join(root.as_posix(), re.split(r"[*?[]", pattern)[0]))
    whole = posixpath.normpath(posixpath.join(root.as_posix(), pattern))
    if "\0" in pattern or whole.strip("/") == "" or fixed.strip("/") == "":
        raise InputError(
            f"--include {pattern!r} is not a pattern of files.",
            hint="Name files or folders, such as data/*.csv or ../data.",
        )
    inside = f"{whole}/".startswith(f"{root.as_posix()}/")
    if pattern.startswith("/") and not inside:
        _refuse_system(fixed)
    start = root if inside else Path("/")
    # Where the user points outside, only what is below that counts as a cache or an environment.
    top = root if inside else Path(fixed).parent
    try:
        parts = whole[len(start.as_posix()) :].lstrip("/")
        named = sorted(start.glob(parts)) if parts else [start]
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
        and (not inside or file.resolve().is_relative_to(root))
        and SKIPPED_FOLDERS.isdisjoint(file.relative_to(top).parts)
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


def _refuse_content(data: bytes, path: str) -> None:
    """Raise `Refused` for a file that holds a credential, by its content."""
    kind = credentials.in_bytes(data)
    if kind is not None:
        raise Refused(
            f"{path} holds a credential ({kind}), which would be baked into the image.",
            hint="Leave the file out (--exclude) and give it to the container with --mount, or "
            "take the credential out of it. A line of code that only looks so may say "
            "`# pragma: allowlist secret`.",
        )


def _refuse_cells(notebook: Notebook) -> None:
    """Raise `Refused` for a credential in the text of a cell.

    A cell of text is named by the code cell before it, as readers count only these.
    """
    number = 0
    for cell in notebook.node["cells"]:
        is_code = cell["cell_type"] == "code"
        number += is_code
        where = f"Cell {number}" if is_code else f"The text after cell {number}"
        for secret in credentials.find(cell["source"]):
            raise Refused(
                f"{where} of {notebook.name} holds a credential ({secret.kind}) in line "
                f"{secret.line}, which would be baked into the image.",
                hint="Read it from the environment (os.environ) or from a file that is mounted "
                "(--mount). A line that only looks so may say `# pragma: allowlist secret`.",
            )
    for name, data in attached(notebook.node):
        if kind := credentials.in_bytes(data):
            raise Refused(
                f"The attachment {name!r} of {notebook.name} holds a credential ({kind}), which "
                "would be baked into the image.",
                hint="Take the attachment out of its cell.",
            )


def write_context(
    recipe: Recipe, notebook: Notebook, target: Path, parts: Sequence[Part] | None = None
) -> None:
    """Write everything that ``docker build`` needs into a folder.

    Without ``parts`` all packages are in one layer, as in the recipe.

    A folder that an earlier call wrote is replaced; any other folder must be empty or absent. A
    call that fails leaves the folder as it was.

    Raises:
        InputError: the folder holds something else, or a file changed since it was captured.
        NotebookError: the notebook changed since it was captured.
        Refused: a file looks like a credential or holds one, or a cell does.
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
        _fill(recipe, notebook, fresh, texts(recipe, parts or whole(recipe)))
        for entry in sorted({*CONTEXT_ENTRIES, *(path.name for path in fresh.iterdir())}):
            _remove(target / entry)
            if (fresh / entry).exists():
                (fresh / entry).rename(target / entry)


def _fill(
    recipe: Recipe, notebook: Notebook, folder: Path, written: Sequence[tuple[str, str]]
) -> None:
    _refuse_cells(notebook)
    (folder / NOTEBOOK).mkdir()
    for file in recipe.files:
        if file.kind == "copied":
            target = folder / COPIED / file.path
        else:
            target = folder / in_context(file.path, recipe.folder, is_code=file.kind == "module")
        if file.kind == "folder":
            target.mkdir(parents=True, exist_ok=True)
            continue
        _refuse_secret(notebook.folder.resolve(), file.path)
        _copy(notebook.folder.resolve() / file.path, target, file)
    for package in recipe.local_packages:
        _copy_package(notebook.folder.resolve(), package, folder / PACKAGES / package.distribution)
    vendor.put(recipe.vendored, folder)
    for wheel in (folder / WHEELS).glob("*"):
        _readable(wheel)
    _write(folder / NOTEBOOK / recipe.notebook, stripped(notebook.node))
    for name, text in (*written, (".dockerignore", recipe.dockerignore)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        _write(folder / name, text)
    for name in (DATA, PROJECT, ROOT, COPIED):
        for path, _, _ in os.walk(folder / name):
            Path(path).chmod(0o775)  # group 0 may write, as on OpenShift; whatever the umask is


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
    with target.open("rb") as stream:
        _refuse_content(stream.read(credentials.MOST_BYTES), file.path)
    _readable(target, executable=file.executable)


def _copy_package(root: Path, package: LocalPackage, target: Path) -> None:
    """Copy the source of a package, with the same times and modes whoever does it."""
    for file in package.files:
        path = posixpath.normpath(posixpath.join(package.path, file.path))
        _refuse_secret(root, path)
        copied = target / file.path
        _copy(root / package.path / file.path, copied, _named(file, path))
        os.utime(copied, (EPOCH, EPOCH))
    for path, _, _ in os.walk(target):
        Path(path).chmod(0o775)


def _named(file: SourceFile, path: str) -> ContextFile:
    return ContextFile(
        path=path,
        sha256=file.sha256,
        size_bytes=file.size_bytes,
        kind="copied",
        executable=file.executable,
    )


def _write(target: Path, text: str) -> None:
    write_atomic(target, text)
    _readable(target)


def _readable(path: Path, *, executable: bool = False) -> None:
    # The image copies modes: any uid must be able to read, and group 0 to write as on OpenShift.
    path.chmod(0o775 if executable else 0o664)
    os.utime(path, (0, 0))
