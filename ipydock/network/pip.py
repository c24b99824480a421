"""What pip is told on this host: its configuration files and its environment variables.

pip itself is not asked, since an environment made by uv has none. Files and order are those of
pip's documentation ("Configuration"): global, user, site, then ``PIP_CONFIG_FILE``, then variables;
of a file, what ``[install]`` says goes before ``[global]``. uv reads none of them.
"""

from __future__ import annotations

import configparser
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from ..errors import InputError

_SECTIONS = ("global", "install")


def pip_settings(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """pip's settings by their long option without dashes, such as ``index-url``.

    Raises:
        InputError: a file cannot be read; pip would fail with it, too.
    """
    environ = os.environ if environ is None else environ
    found: dict[str, dict[str, str]] = {section: {} for section in _SECTIONS}
    for path in pip_files(environ):
        # pip's own values hold percent signs (in passwords), so nothing is interpolated.
        parser = configparser.RawConfigParser()
        try:
            parser.read_string(path.read_text(encoding="utf-8"), str(path))
        except FileNotFoundError:
            continue
        except (OSError, UnicodeDecodeError, configparser.Error) as error:
            raise InputError(
                # Not its text: a line that cannot be parsed may be the one with a password.
                f"pip's settings in {path} cannot be read ({type(error).__name__}).",
                hint="Mend the file, or set PIP_CONFIG_FILE to another one.",
            ) from None
        for section in _SECTIONS:
            if parser.has_section(section):
                items = parser.items(section)
                found[section] |= {_key(name): value.strip() for name, value in items}
    variables = {
        _key(name[4:]): value
        for name, value in environ.items()
        if name.startswith("PIP_") and value and name != "PIP_CONFIG_FILE"
    }
    return {**found["global"], **found["install"], **variables}


def _key(name: str) -> str:
    return name.lower().replace("_", "-").removeprefix("--")


def pip_files(environ: Mapping[str, str]) -> Iterator[Path]:
    """The files of settings that pip looks for, there or not; later ones have the last word."""
    named = environ.get("PIP_CONFIG_FILE")
    if named == os.devnull:  # pip's way of saying: none
        return
    home = Path(environ.get("HOME") or Path.home())
    mac = sys.platform == "darwin"
    xdg = environ.get("XDG_CONFIG_DIRS") or "/etc/xdg"
    shared = ["/Library/Application Support"] if mac else reversed(xdg.split(os.pathsep))
    yield from (Path(folder, "pip", "pip.conf") for folder in shared if folder)
    if not mac:
        yield Path("/etc/pip.conf")
    yield home / ".pip" / "pip.conf"
    support = home / "Library" / "Application Support" / "pip"
    config = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    yield support / "pip.conf" if mac and support.is_dir() else config / "pip" / "pip.conf"
    yield Path(environ.get("VIRTUAL_ENV") or sys.prefix) / "pip.conf"
    if named:
        yield Path(named)
