"""Credentials for an index that are kept elsewhere: netrc, uv's own store, a keyring."""

from __future__ import annotations

import netrc
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..errors import InputError
from ..process import ProcessPlan, run

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_PATIENCE = 30.0  # seconds for a keyring, which may ask its user to unlock it


class Keys:
    """Where credentials are looked up, in the order of uv: netrc, uv's store, the keyring.

    Args:
        environ: the environment that names the files.
        keyring: ask the program ``keyring``, if it is installed. It is asked for a user's password
            only, or, where ``anyone``, also for a URL that names no user.
    """

    def __init__(
        self,
        *,
        keyring: bool = False,
        anyone: bool = False,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self._environ = os.environ if environ is None else environ
        self._home = Path(self._environ.get("HOME") or Path.home())
        self._keyring = shutil.which("keyring") if keyring else None
        self._anyone = anyone

    def find(self, url: str, user: str) -> tuple[str, str]:
        """The user and password for a URL, empty where none are known; both as they are.

        Raises:
            InputError: a file cannot be read.
        """
        return (
            self._in_netrc(urlsplit(url).hostname or "", user)
            or self._in_store(url, user)
            or self._in_keyring(url, user)
            or (user, "")
        )

    def _in_netrc(self, host: str, user: str) -> tuple[str, str] | None:
        named = self._environ.get("NETRC")
        places = [Path(named)] if named else [self._home / ".netrc", self._home / "_netrc"]
        path = next((place for place in places if place.is_file()), None)
        if path is None:
            return None
        try:
            found = netrc.netrc(str(path)).authenticators(host)
        except (OSError, netrc.NetrcParseError, UnicodeDecodeError) as error:
            raise InputError(
                # Not its text: it may hold the password.
                f"The credentials in {path} cannot be read ({type(error).__name__}).",
                hint="Mend the file, or set NETRC to another one.",
            ) from None
        if found is None or not found[2] or (user and found[0] != user):
            return None
        return found[0], found[2]

    def _in_store(self, url: str, user: str) -> tuple[str, str] | None:
        """What `uv auth login` kept in its file."""
        data = Path(self._environ.get("XDG_DATA_HOME") or self._home / ".local" / "share")
        folder = Path(self._environ.get("UV_CREDENTIALS_DIR") or data / "uv" / "credentials")
        path = folder / "credentials.toml"
        try:
            kept = tomllib.loads(path.read_text(encoding="utf-8")).get("credential", [])
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise InputError(
                f"uv's credentials in {path} cannot be read ({type(error).__name__}).",
                hint="`uv auth logout` and `uv auth login` write them anew.",
            ) from None
        fitting = [one for one in kept if _is_for(one, url, user)]
        best = max(fitting, key=lambda one: len(str(one["service"])), default=None)
        if best is None:
            return None
        return str(best.get("username") or "__token__"), str(best["password"])

    def _in_keyring(self, url: str, user: str) -> tuple[str, str] | None:
        if self._keyring is None:
            return None
        for service in (url, urlsplit(url).netloc):
            if user:
                answer = self._ask("get", service, user)
                if answer:
                    return user, answer[0]
            elif self._anyone:
                answer = self._ask("get", service, "--mode", "creds")
                if len(answer) == 2:
                    return answer[0], answer[1]
        return None

    def _ask(self, *words: str) -> list[str]:
        """The lines that `keyring` answers; none where it knows nothing."""
        plan = ProcessPlan((str(self._keyring), *words))
        try:
            done = run(plan, timeout=_PATIENCE)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise InputError(
                f"The keyring did not answer ({type(error).__name__}).",
                hint="Unlock it, or set PIP_KEYRING_PROVIDER=disabled (pip), "
                "UV_KEYRING_PROVIDER=disabled (uv).",
            ) from error
        return done.stdout.splitlines() if done.returncode == 0 else []


def _is_for(one: Any, url: str, user: str) -> bool:
    """Whether an entry of uv's store is for a URL: its service is the start of it."""
    if not isinstance(one, dict) or not one.get("password"):
        return False
    if user and one.get("username") not in (user, None):
        return False
    wanted, service = urlsplit(url), urlsplit(str(one.get("service", "")))
    if (wanted.scheme, wanted.netloc) != (service.scheme, service.netloc):
        return False
    start = service.path.rstrip("/")
    return wanted.path == start or wanted.path.startswith(f"{start}/")
