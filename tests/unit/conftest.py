"""Environments that the tests of capture share."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import uv


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with nothing in it."""
    folder = tmp_path_factory.mktemp("envs") / "bare"
    subprocess.run([uv.find_uv_bin(), "venv", "-q", "--python", sys.executable, folder], check=True)
    return folder


@pytest.fixture(scope="session")
def make_env(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Environments with packages from the index, made once each."""
    made: dict[tuple[str, ...], Path] = {}

    def make(*requirements: str, python: str = sys.executable) -> Path:
        key = (python, *requirements)
        if key not in made:
            folder = tmp_path_factory.mktemp("env") / "env"
            uv_bin = uv.find_uv_bin()
            subprocess.run([uv_bin, "venv", "-q", "--python", python, folder], check=True)
            subprocess.run(
                [uv_bin, "pip", "install", "-q", "--python", folder, *requirements], check=True
            )
            made[key] = folder
        return made[key]

    return make


@pytest.fixture
def env(tmp_path: Path, bare: Path) -> Path:
    """An environment that a test may put distributions into."""
    folder = tmp_path / "env"
    subprocess.run([uv.find_uv_bin(), "venv", "-q", "--python", sys.executable, folder], check=True)
    return folder
