"""Python trees of this machine (pyenv's), put into a root as python:X.Y-slim has them."""

from __future__ import annotations

import re
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .debian import inside
from .process import run
from .state import BedError

OLDEST = (3, 8)
_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)")
_PROGRAM = re.compile(r"(python|idle|pydoc|2to3)[-\d.]*(-config)?")
# As in the official images: no tests, no byte code, no static library.
_DROPPED = shutil.ignore_patterns(
    "test", "tests", "idle_test", "__pycache__", "*.py[co]", "libpython*.a", "EXTERNALLY-MANAGED"
)
_PIP = """\
#!/usr/local/bin/python{minor}
import sys
from pip._internal.cli.main import main
if __name__ == "__main__":
    sys.exit(main())
"""
_CHECK = "import bz2, ctypes, hashlib, lzma, pip, sqlite3, ssl, sys, zlib; print(sys.version)"


@dataclass(frozen=True)
class Interpreter:
    """A Python installed under a folder of its own."""

    version: str
    prefix: Path

    @property
    def minor(self) -> str:
        """The version without its last part: 3.12."""
        return self.version.rpartition(".")[0]


def find(environ: Mapping[str, str], home: Path) -> list[Interpreter]:
    """The newest patch release of each Python from 3.8 on that pyenv has, oldest first."""
    root = Path(environ.get("PYENV_ROOT") or home / ".pyenv")
    newest: dict[tuple[int, int], tuple[int, Interpreter]] = {}
    for prefix in sorted((root / "versions").glob("*")):
        match = _VERSION.fullmatch(prefix.name)
        if not match or prefix.is_symlink():
            continue
        major, minor, patch = map(int, match.groups())
        if not (prefix / "bin" / f"python{major}.{minor}").exists() or (major, minor) < OLDEST:
            continue
        known = newest.get((major, minor))
        if known is None or known[0] < patch:
            newest[major, minor] = (patch, Interpreter(prefix.name, prefix))
    return [interpreter for _, (_, interpreter) in sorted(newest.items())]


def stage(interpreter: Interpreter, root: Path) -> None:
    """Puts an interpreter into a root file system at /usr/local, with pip, and tries it there.

    Raises BedError when it does not run there, as one that was built for a newer libc.
    """
    local = root / "usr/local"
    library = f"lib/python{interpreter.minor}"
    _copy_programs(interpreter.prefix / "bin", local / "bin")
    for name in ("include", "share/man/man1", "lib/pkgconfig"):
        if (source := interpreter.prefix / name).is_dir():
            shutil.copytree(source, local / name, symlinks=True, dirs_exist_ok=True)
    for shared in interpreter.prefix.glob("lib/libpython*.so*"):
        shutil.copy2(shared, local / "lib", follow_symlinks=False)
    shutil.copytree(
        interpreter.prefix / library,
        local / library,
        symlinks=True,
        ignore=lambda folder, names: _left_out(interpreter, folder, names),
    )
    (local / library / "site-packages").mkdir(exist_ok=True)
    for name in ("python", "idle", "pydoc"):
        _link(local / "bin" / name, f"{name}3")
        _link(local / "bin" / f"{name}3", f"{name}{interpreter.minor}")
    _link(local / "bin/python-config", "python3-config")
    _relocate(interpreter.prefix, local, library)
    run(["ldconfig", "-r", root])
    _install_pip(interpreter, local, library)
    inside(root, [f"/usr/local/bin/python{interpreter.minor}", "-B", "-c", _CHECK])


def _left_out(interpreter: Interpreter, folder: str, names: list[str]) -> set[str]:
    if Path(folder).name == "site-packages":
        return set(names)
    return set(_DROPPED(folder, names))


def _copy_programs(source: Path, target: Path) -> None:
    for program in source.iterdir():
        if _PROGRAM.fullmatch(program.name):
            shutil.copy2(program, target, follow_symlinks=False)


def _link(path: Path, target: str) -> None:
    if (path.parent / target).exists():
        path.unlink(missing_ok=True)
        path.symlink_to(target)


def _relocate(prefix: Path, local: Path, library: str) -> None:
    """Writes /usr/local where text files name the folder that the interpreter was built for."""
    patterns = (
        "bin/*",
        "lib/pkgconfig/*.pc",
        f"{library}/_sysconfigdata*.py",
        f"{library}/config-*/Makefile",
        f"{library}/config-*/python-config.py",
    )
    for path in (path for pattern in patterns for path in local.glob(pattern)):
        if path.is_symlink():
            continue
        content = path.read_bytes()
        # A changed length would break a program; text has no zero bytes.
        if b"\0" not in content and bytes(prefix) in content:
            path.write_bytes(content.replace(bytes(prefix), b"/usr/local"))


def _install_pip(interpreter: Interpreter, local: Path, library: str) -> None:
    # ensurepip takes 3 s for what is unpacking: it imports pip from the archive and compiles all.
    bundled = local / library / "ensurepip/_bundled"
    for name in ("pip", "setuptools"):
        wheels = sorted(bundled.glob(f"{name}-*.whl"), key=_release)
        if wheels:
            unpack_wheel(wheels[-1], local / library / "site-packages")
        elif name == "pip":
            raise BedError(f"{interpreter.prefix} has no pip in its ensurepip.")
    for name in ("pip", "pip3", f"pip{interpreter.minor}"):
        program = local / "bin" / name
        program.write_text(_PIP.format(minor=interpreter.minor))
        program.chmod(0o755)


def unpack_wheel(wheel: Path, packages: Path) -> None:
    """Installs a pure wheel the way an installer would, so that pip can later replace it."""
    name, version = wheel.name.split("-")[:2]
    info = packages / f"{name}-{version}.dist-info"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    (info / "INSTALLER").write_text("pip\n")
    with (info / "RECORD").open("a") as record:
        record.write(f"{info.name}/INSTALLER,,\n")
        if name == "pip":
            minor = packages.parent.name.removeprefix("python")
            for program in ("pip", "pip3", f"pip{minor}"):
                record.write(f"../../../bin/{program},,\n")


def _release(wheel: Path) -> list[int]:
    return [int(part) for part in wheel.name.split("-")[1].split(".") if part.isdigit()]
