"""What is here to work with, and what to mend."""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlsplit

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from . import __version__
from .credentials import hidden
from .engine.capabilities import ENOUGH_DISK
from .engine.interface import Engine
from .engine.select import NAMES, connect
from .errors import EngineError, IpydockError
from .hosts import ca_bundle, cache_folder
from .network.indexes import indexes
from .network.proxies import proxies

BASE = "python:3.12-slim-bookworm"  # any base will do


_SIGN = {True: ("✓", "green"), False: ("✗", "red"), None: ("·", "dim")}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at, ``ok`` or not; None where that cannot be told.

    ``mend`` is empty where nothing is to be done.
    """

    name: str
    ok: bool | None
    says: str
    mend: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return asdict(self)


def examine() -> list[Finding]:
    """Look at the engines, the disk, the certificates and the package index."""
    return [
        *(finding for name in NAMES for finding in _engine(name)),
        _index(),
        *_proxy(),
        _disk(),
        _certificates(),
        Finding("ipydock", ok=True, says=__version__),
    ]


def view(findings: list[Finding]) -> RenderableType:
    """The findings as text, each with its mend."""
    table = Table.grid(padding=(0, 1), pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in findings:
        sign, style = _SIGN[finding.ok]
        says = Text(finding.says)
        if finding.mend:
            says.append(f"\n{finding.mend}", style="yellow")
        table.add_row(Text(sign, style=style), Text(finding.name, style="bold"), says)
    return table


def _engine(name: str) -> list[Finding]:
    try:
        engine = connect(name)
        info = engine.info()
    except EngineError as error:
        return [Finding(name, ok=False, says=error.message, mend=error.hint)]
    found = [
        Finding(name, ok=not info.notes, says=f"{info.version} at {info.address}. {info.isolation}")
    ]
    found += (
        Finding(f"  {one.name}", ok=one.able, says=one.says, mend=one.mend)
        for one in engine.capabilities()
    )
    if name == "docker":  # podman would pull it
        found.append(_registry(engine))
    return found


def _registry(engine: Engine) -> Finding:
    try:
        pinned = engine.resolve(BASE)
    except IpydockError as error:
        return Finding("  base images", ok=False, says=error.message, mend=error.hint)
    return Finding("  base images", ok=True, says=f"{pinned[:60]}… can be had")


def _index() -> Finding:
    from .recipe.lock import lock, uv_platform

    try:
        known = indexes()
        platform = uv_platform("x86_64")
        locked = lock(["nbformat"], [], python="3.12", platform=platform, fresh=True)
    except IpydockError as error:
        return Finding("package index", ok=False, says=error.message, mend=error.hint)
    hosts = [urlsplit(one.url).netloc for one in known.indexes]
    where = f"; {known.source}'s settings name {', '.join(hosts)}" if hosts else ""
    says = f"reachable (nbformat {locked.versions['nbformat']}){where}"
    if known.folders:
        says += f"; a build does not reach {', '.join(known.folders)}"
    return Finding("package index", ok=True, says=says)


def _proxy() -> list[Finding]:
    found = sorted({hidden(url) for name, url in proxies().items() if name == name.lower()})
    return (
        [Finding("proxies", ok=True, says=f"{', '.join(found)}, for builds too")] if found else []
    )


def _disk() -> Finding:
    folder = cache_folder()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    says = f"{free / 1e9:.0f} GB free at {folder}"
    if free < ENOUGH_DISK:
        return Finding("disk", ok=False, says=says, mend="Free some, or set IPYDOCK_CACHE_DIR.")
    return Finding("disk", ok=True, says=says)


def _certificates() -> Finding:
    bundle = ca_bundle()
    if bundle is None:
        return Finding(
            "certificates",
            ok=True,
            says="No CA bundle of this host was found; builds trust what the base image trusts.",
        )
    return Finding("certificates", ok=True, says=f"{bundle}, given to builds as a secret")
