"""What uv is told on this host: its configuration files, user before system.

The files are those of uv's documentation ("Configuration files"). A ``uv.toml`` or
``pyproject.toml`` of a project is not read, see `ipydock.network.indexes`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import InputError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_LISTS = ("index", "extra-index-url", "find-links", "allow-insecure-host")
_SINGLE = ("index-url", "no-index", "index-strategy", "keyring-provider")
_TRUE = ("1", "true", "yes", "on", "y", "t")


def uv_settings(environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """uv's settings about indexes, as they stand in ``uv.toml``; ``[pip]`` goes before the rest.

    Raises:
        InputError: a file cannot be read; uv would fail with it, too.
    """
    environ = os.environ if environ is None else environ
    found: dict[str, Any] = {}
    for path in uv_files(environ):
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            continue
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise InputError(
                # Not its text: a line that cannot be parsed may be the one with a password.
                f"uv's settings in {path} cannot be read ({type(error).__name__}).",
                hint="Mend the file, or set UV_CONFIG_FILE to another one.",
            ) from None
        inner = table.get("pip")
        for part in (inner if isinstance(inner, dict) else {}, table):
            for name in _LISTS:
                if isinstance(part.get(name), list):
                    found[name] = [*found.get(name, []), *part[name]]
            for name in _SINGLE:
                if name in part:
                    found.setdefault(name, part[name])
    found["index"] = [row for row in found.get("index", []) if isinstance(row, dict)]
    return found


def is_true(value: str | None) -> bool:
    """Whether a variable is set to what uv and pip take for yes."""
    return (value or "").strip().lower() in _TRUE


def uv_files(environ: Mapping[str, str]) -> Iterator[Path]:
    """The files of settings that uv looks for, there or not; what earlier ones say goes first."""
    if named := environ.get("UV_CONFIG_FILE"):
        yield Path(named)
        return
    if is_true(environ.get("UV_NO_CONFIG")):
        return
    home = Path(environ.get("HOME") or Path.home())
    yield Path(environ.get("XDG_CONFIG_HOME") or home / ".config", "uv", "uv.toml")
    folders = (environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(os.pathsep)
    system = [Path(folder, "uv", "uv.toml") for folder in folders if folder]
    system.append(Path("/etc/uv/uv.toml"))
    # uv takes the first of these that is there.
    yield next((path for path in system if path.is_file()), system[-1])
