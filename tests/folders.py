"""Folders with files and cells that name them, for the tests of capture."""

from __future__ import annotations

from pathlib import Path

from ipydock.capture import files, local
from ipydock.capture.findings import Findings
from ipydock.capture.source import scan_cells
from ipydock.notebook import CodeCell


def scan(*sources: str) -> Findings:
    return scan_cells(CodeCell(i, i + 1, source) for i, source in enumerate(sources))


def resolve(folder: Path, *sources: str) -> files.Files:
    return files.resolve(files.Folder(folder), scan(*sources).paths, set())


def read(folder: Path, *sources: str) -> dict[str, str]:
    """Path and policy of the files that are read."""
    return {file.path: file.policy for file in resolve(folder, *sources).read}


def follow(folder: Path, *sources: str, namespaces: frozenset[str] = frozenset()) -> local.Followed:
    return local.follow(files.Folder(folder), scan(*sources), namespaces)


def write(folder: Path, *empty: str, **contents: str) -> None:
    """Files by name; in keywords ``__`` stands for a slash and the last ``_`` for the dot."""
    named = {name.replace("__", "/"): text for name, text in contents.items()}
    for name, text in {**dict.fromkeys(empty, ""), **named}.items():
        path = folder / name
        if name in named:
            path = path.with_name(".".join(path.name.rsplit("_", 1)))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
