"""Which package of this machine owns a file: asked of dpkg, or of rpm."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from .. import process

PATIENCE = 20.0  # seconds for the package manager's answer
MOST = 200  # paths that are asked about


def owners(paths: Iterable[str]) -> dict[str, str]:
    """The packages that own these files, of the files that have an owner.

    Links are followed to the file that a package brought. It takes 0.1 to 0.2 s, whatever the
    number of paths.
    """
    real = {path: os.path.realpath(path) for path in list(dict.fromkeys(paths))[:MOST]}
    real = {path: target for path, target in real.items() if target.startswith("/")}
    return dict(_owners(tuple(sorted(real.items())))) if real else {}


@functools.lru_cache(maxsize=16)
def _owners(real: tuple[tuple[str, str], ...]) -> dict[str, str]:
    if shutil.which("dpkg-query"):
        return _dpkg(dict(real))
    return _rpm(dict(real)) if shutil.which("rpm") else {}


def codename() -> str | None:
    """The name of this machine's Debian release, None on any other system."""
    try:
        lines = Path("/etc/os-release").read_text("utf-8", "replace").splitlines()
    except OSError:
        return None
    fields = {key: value.strip('"') for key, _, value in (line.partition("=") for line in lines)}
    return fields.get("VERSION_CODENAME") if fields.get("ID") == "debian" else None


def _dpkg(real: dict[str, str]) -> dict[str, str]:
    # /bin is a link to /usr/bin, but packages say the one or the other. A pattern has no wildcard
    # of ours in it; those in a file's name are quoted.
    forms = {
        form: path
        for path, target in real.items()
        for form in (target, target.removeprefix("/usr") if target.startswith("/usr/") else target)
    }
    quoted = [_quoted(form) for form in forms]
    found: dict[str, str] = {}
    for line in _lines(("dpkg-query", "--search", "--", *quoted)):
        names, _, file = line.partition(": ")
        if file in forms and not line.startswith("diversion by"):
            name = names.split(",")[0].partition(":")[0]
            found[forms[file]] = name
    return found


def _quoted(path: str) -> str:
    return "".join(f"\\{char}" if char in "*?[]\\" else char for char in path)


def _rpm(real: dict[str, str]) -> dict[str, str]:
    paths = list(real)
    argv = ("rpm", "-qf", "--qf", "%{NAME}\\n", "--", *(real[path] for path in paths))
    lines = _lines(argv)
    if len(lines) != len(paths):
        return {}
    # A file of no package gets a sentence instead of a name.
    return {path: line for path, line in zip(paths, lines, strict=True) if " " not in line}


def _lines(argv: tuple[str, ...]) -> list[str]:
    """What it prints; it fails where one of the paths has no owner, and prints the others."""
    try:
        done = process.run(
            process.ProcessPlan(argv, env={**os.environ, "LC_ALL": "C"}), timeout=PATIENCE
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return done.stdout.splitlines()
