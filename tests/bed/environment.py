"""`python3 -m tests.bed.environment FOLDER REQUIREMENT...`: a virtual environment from nothing.

It runs with the machine's own Python, of which Debian leaves out what `venv` needs.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from .state import BedError, say

OLDEST = (3, 10)
BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")


def trusting() -> dict[str, str]:
    """Our environment, with pip and uv told to trust what the machine trusts."""
    names = ("SSL_CERT_FILE", "PIP_CERT") if BUNDLE.is_file() else ()
    return {**{name: str(BUNDLE) for name in names}, **os.environ}


def make(folder: Path) -> None:
    """Make the virtual environment with uv in it, unless it is there.

    Raises BedError where this Python cannot.
    """
    if sys.version_info < OLDEST:
        raise BedError(
            f"Python {sys.version.split()[0]} is too old: ipydock needs 3.10 or newer.",
            mend="name another: make PYTHON=python3.12 ...",
        )
    if (folder / "bin" / "uv").exists():
        return
    done = _venv(folder)
    if done.returncode and os.getuid() == 0 and shutil.which("apt-get"):
        # Debian and Ubuntu have ensurepip in a package of its own.
        name = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
        say(f"installing {name}")
        for words in (["update", "-q"], ["install", "-y", "-q", "--no-install-recommends", name]):
            subprocess.run(["apt-get", *words], check=False, stdout=sys.stderr.fileno())
        done = _venv(folder)
    if done.returncode:
        raise BedError(
            "This Python cannot make a virtual environment.",
            evidence=(done.stdout + done.stderr).strip(),
            mend="install its venv module, on Debian and Ubuntu with `apt-get install "
            "python3-venv`.",
        )
    _run([str(folder / "bin" / "python"), "-m", "pip", "install", "-q", "uv"])


def install(folder: Path, requirements: list[str]) -> None:
    """Install into it with uv."""
    python = str(folder / "bin" / "python")
    _run([str(folder / "bin" / "uv"), "pip", "install", "-q", "--python", python, *requirements])


def _venv(folder: Path) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "venv", "--clear", str(folder)]
    return subprocess.run(words, check=False, capture_output=True, text=True)


def _run(words: list[str]) -> None:
    done = subprocess.run(words, check=False, env=trusting(), capture_output=True, text=True)
    if done.returncode:
        raise BedError(
            f"`{' '.join(words[:4])} ...` failed.",
            evidence=(done.stdout + done.stderr).strip()[-2000:],
            mend="is the package index reachable from here?",
        )


def main() -> int:
    """Make and fill the environment named on the command line."""
    folder, requirements = Path(sys.argv[1]), sys.argv[2:]
    try:
        say(f"Python packages into {folder}")
        make(folder)
        install(folder, requirements)
    except BedError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
