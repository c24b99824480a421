"""Generated Dockerfiles pass hadolint: the golden ones, which the other tests hold in place."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.Dockerfile"))


@pytest.mark.parametrize("dockerfile", GOLDEN, ids=lambda path: path.stem)
def test_hadolint_finds_nothing(dockerfile: Path) -> None:
    hadolint = shutil.which("hadolint", path=Path(sys.executable).parent)
    assert hadolint, "the test extra brings hadolint"
    done = subprocess.run([hadolint, str(dockerfile)], capture_output=True, text=True, check=False)
    assert done.stdout == ""
    assert done.returncode == 0


def test_there_is_something_to_lint() -> None:
    assert GOLDEN
