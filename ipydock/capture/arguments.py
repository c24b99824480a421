"""What the arguments of audit events mean: standard library only, as the probe."""
# Paths are compared as text here, links unresolved:
# ruff: noqa: PTH100, PTH109, PTH113, PTH117, PTH118

from __future__ import annotations

import os
from typing import Any


def absolute(name: Any, folder: str | None) -> str | None:
    """A path as absolute, None if it cannot be told; ``folder`` is where a relative one starts."""
    if isinstance(name, int):  # a descriptor: whatever opened it was seen
        return None
    path = os.fsdecode(name)
    if not os.path.isabs(path):
        if folder is None:
            return None
        path = os.path.join(folder, path)
    return os.path.normpath(path)


def uses(flags: int) -> tuple[str, ...]:
    """What a file is opened for, from the flags of the system call."""
    access = flags & (os.O_WRONLY | os.O_RDWR)
    if access == os.O_RDONLY:
        return ("read",)
    if access == os.O_WRONLY or flags & (os.O_TRUNC | os.O_EXCL):
        return ("write",)
    return ("read", "write")


def database(name: Any) -> str | None:
    """The file of an SQLite database, which may be named by a URI; None for one in memory."""
    path = os.fsdecode(name)
    if path.startswith("file:"):
        from urllib.parse import unquote

        path = unquote(path[5:].split("?")[0].split("#")[0])
        path = path[path.index("/", 2) :] if path.startswith("//") else path
    return path if path and not path.startswith(":") else None


def program(name: Any, cwd: Any, env: Any) -> str | None:
    """The full path of a program, found as the operating system finds it."""
    name = os.fsdecode(name)
    if os.sep in name:
        tried = [os.path.join(os.getcwd(), os.fsdecode(cwd or ""), name)]
    else:
        tried = [os.path.join(folder, name) for folder in os.get_exec_path(env)]
    for path in tried:
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return os.path.abspath(path)
    return None


def remote(hosts: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Hosts other than this one; addresses only where no name can have stood for them.

    Args:
        hosts: [name or address, execution count].
    """
    named = {cell for host, cell in hosts if not _is_address(host)}
    return [
        (host, cell)
        for host, cell in hosts
        if host not in ("localhost", "0.0.0.0", "::", "::1")  # noqa: S104 - nothing is bound
        and not host.startswith("127.")
        and not (_is_address(host) and cell in named)
    ]


def _is_address(host: str) -> bool:
    return ":" in host or host.replace(".", "").isdigit()
