"""Captures and notebooks that several tests use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat

from ipydock.models import (
    Capture,
    DataFile,
    Evidence,
    LocalModule,
    Pinned,
    PythonInfo,
    Requested,
    SystemPackage,
)

EMPTY_SHA = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def evidence(text: str, number: int = 1, line: int = 1) -> Evidence:
    return Evidence(source="source", text=text, cell=number - 1, number=number, line=line)


def requested(
    module: str, distribution: str | None, version: str | None, text: str = "", **more: Any
) -> Requested:
    return Requested(
        import_name=module,
        distribution=distribution,
        version=version,
        evidence=(evidence(text or f"import {module}"),),
        **more,
    )


def capture(**changes: Any) -> Capture:
    """A small capture with one of everything."""
    found = Capture(
        notebook="sample.ipynb",
        notebook_sha256="1" * 64,
        sources=("source", "environment"),
        python=PythonInfo(version="3.11.7"),
        authors=("Ada Lovelace",),
        requested=(
            requested("dateutil", "python-dateutil", "2.9.0.post0", "import dateutil"),
            requested("six", "six", "1.17.0", "import six"),
        ),
        closure=(
            Pinned(distribution="python-dateutil", version="2.9.0.post0"),
            Pinned(distribution="six", version="1.17.0", required_by=("python-dateutil",)),
        ),
        apt=(SystemPackage(name="graphviz", reason="cell 2: !dot -V"),),
        files_read=(
            DataFile(path="data/a.csv", sha256=EMPTY_SHA, size_bytes=0, policy="copy"),
            DataFile(path="big.bin", sha256=EMPTY_SHA, size_bytes=10**9, policy="mount"),
        ),
        local_modules=(
            LocalModule(name="helper", path="helper.py", sha256=EMPTY_SHA, size_bytes=0),
        ),
    )
    return found.model_copy(update=changes)


def code(
    source: str, *outputs: dict[str, Any], count: int | None = None, **metadata: Any
) -> nbformat.NotebookNode:
    """A code cell as a run would have left it; ``count`` None: as if it had never run."""
    cell: nbformat.NotebookNode = nbformat.v4.new_code_cell(
        source,
        outputs=[nbformat.from_dict(output) for output in outputs],
        execution_count=count,
        metadata=metadata,
    )
    return cell


def stream(text: str, name: str = "stdout") -> dict[str, Any]:
    return {"output_type": "stream", "name": name, "text": text}


def result(count: int = 1, **data: Any) -> dict[str, Any]:
    bundle = {key.replace("_", "/", 1): value for key, value in data.items()}
    return {
        "output_type": "execute_result",
        "execution_count": count,
        "data": bundle,
        "metadata": {},
    }


def error(name: str, value: str) -> dict[str, Any]:
    return {"output_type": "error", "ename": name, "evalue": value, "traceback": []}


def notebook(*cells: nbformat.NotebookNode, **metadata: Any) -> nbformat.NotebookNode:
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"
    node: nbformat.NotebookNode = nbformat.v4.new_notebook(
        cells=list(cells), metadata={"language_info": {"name": "python"}, **metadata}
    )
    return node


def write(path: Path, *cells: nbformat.NotebookNode, **metadata: Any) -> Path:
    nbformat.write(notebook(*cells, **metadata), path)
    return path
