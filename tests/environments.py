"""Notebooks and environments for the tests of capture, and what they look at in its result."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import uv

from ipydock.models import Capture, Requested
from ipydock.notebook import Notebook, load
from tests.bed import interpreters


def nb(*sources: str, folder: Path | None = None, **metadata: Any) -> Notebook:
    cells: list[dict[str, Any]] = [
        {"cell_type": "code", "metadata": {}, "source": s, "outputs": [], "execution_count": None}
        for s in sources
    ]
    document = {"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": cells}
    return load(document, folder=folder, name="nb.ipynb")


def find_python(series: str) -> str | None:
    """An interpreter of this series: pyenv's, or one that uv finds."""
    for known in interpreters.find(os.environ, Path.home()):
        if known.minor == series:
            return str(known.prefix / "bin" / f"python{series}")
    find = [uv.find_uv_bin(), "python", "find", "--no-python-downloads", "--system", series]
    done = subprocess.run(find, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def by_import(found: Capture) -> dict[str, Requested]:
    return {item.import_name: item for item in found.requested}


def names(found: Capture) -> dict[str, str | None]:
    return {item.import_name: item.distribution for item in found.requested}


def dist_info(env: Path, name: str, version: str, *lines: str, files: dict[str, str]) -> None:
    """Put a distribution into an environment as an installer leaves it."""
    site = next((env / "lib").glob("python3*")) / "site-packages"
    folder = f"{name.replace('-', '_')}-{version}.dist-info"
    metadata = "\n".join(["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *lines])
    files = {f"{folder}/METADATA": metadata + "\n\nLong text\nName: not-this\n", **files}
    record = "".join(f"{path},sha256=x,1\n" for path in files) + f"{folder}/RECORD,,\n"
    for path, text in {**files, f"{folder}/RECORD": record}.items():
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).write_text(text)


def project(folder: Path, name: str, module: str, *, version: str = "1.0", **more: str) -> Path:
    """A small project that uv builds by itself, with nothing to download; ``more`` are files."""
    package = folder / "src" / module.replace(".", "/")
    package.mkdir(parents=True)
    for path, text in {"__init__.py": f'"""{name}"""\n', **more}.items():
        (package / path).write_text(text)
    (folder / "pyproject.toml").write_text(
        f"""
[build-system]
requires = ["uv_build"]
build-backend = "uv_build"
[project]
name = "{name}"
version = "{version}"
[tool.uv.build-backend]
module-name = "{module}"
"""
    )
    return folder


def git(folder: Path, *words: str) -> str:
    """Run git in a folder, with no settings but its own."""
    env = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=m")
    argv = ["git", "-C", str(folder), *identity, *words]
    return subprocess.run(argv, env=env, capture_output=True, text=True, check=True).stdout.strip()


def repository(folder: Path) -> str:
    """Make a folder a git repository with one commit, and tell which."""
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "first")
    return git(folder, "rev-parse", "HEAD")
