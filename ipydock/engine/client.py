"""The command-line client of an engine: found by what it can do, not by its name or version."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ..process import ProcessPlan, run


@dataclass(frozen=True, slots=True)
class BuildClient:
    """A docker client that can build with BuildKit: the words before a build's options."""

    words: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    version: str


def executables(name: str) -> Iterator[str]:
    """Every program of that name on the PATH, in its order."""
    seen = set()
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        found = shutil.which(name, path=folder) if folder else None
        if found and (real := Path(found).resolve()) not in seen:
            seen.add(real)
            yield found


@cache
def build_client() -> BuildClient | None:
    """The first docker client on the PATH that can drive BuildKit.

    That is one with the buildx plug-in, or a classic one: before version 23 the client spoke
    BuildKit itself when ``DOCKER_BUILDKIT=1`` was set.
    """
    for docker in executables("docker"):
        if version := _answers(docker, "buildx", "version"):
            return BuildClient((docker, "buildx", "build", "--load"), (), version)
        version = _answers(docker, "--version") or ""
        major = version.removeprefix("Docker version ").split(".")[0]
        if major.isdigit() and int(major) < 23:
            return BuildClient((docker, "build"), (("DOCKER_BUILDKIT", "1"),), version)
    return None


def _answers(*argv: str) -> str | None:
    try:
        done = run(ProcessPlan(argv), timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
