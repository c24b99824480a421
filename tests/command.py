"""The ``ipydock`` command, run as a user would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


def ipydock(
    *words: str | Path, cwd: Path | None = None, timeout: float = 300, **env: str
) -> subprocess.CompletedProcess[str]:
    """Run the command to its end; ``env`` adds to the environment."""
    return subprocess.run(
        [sys.executable, "-m", "ipydock", *map(str, words)],
        cwd=cwd,
        env={**_environment(), **env},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def _environment() -> dict[str, str]:
    # Compiling all of ipydock anew at each start would be most of what these tests take.
    return {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}


def read_until(process: subprocess.Popen[str], words: str) -> None:
    """Read standard error until a line holds these words; fails if it ends before."""
    assert process.stderr is not None
    seen = ""
    for line in process.stderr:
        seen += line
        if words in line:
            return
    pytest.fail(f"{words!r} never came: {seen}")


def document(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The one JSON document on standard output."""
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def paragraph(done: subprocess.CompletedProcess[str]) -> str:
    """The one paragraph of an error; fails if there is a traceback or anything after it."""
    assert "Traceback" not in done.stderr, done.stderr
    _, found, text = f"\n{done.stderr}".rpartition("\nError: ")
    assert found, done.stderr
    assert text.count("\n") == 1, text
    return text.strip()
