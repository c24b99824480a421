"""How a package that came from no index is built: its commit, and what version it is told."""

from __future__ import annotations

import re
from collections.abc import Iterator

from packaging.version import InvalidVersion, Version

from .models import LocalPackage

# 1980-01-01: the first time that a zip archive, and so a wheel, can hold (PEP 427).
EPOCH = 315532800

# Tools that read a version off Git, which is not in the build, and what tells them. Sources: the
# documentation of setuptools-scm ("Overriding"; hatch-vcs uses it), pdm-backend, pbr,
# poetry-dynamic-versioning and uv-dynamic-versioning.
_TOLD = {
    "pdm-backend": "PDM_BUILD_SCM_VERSION",
    "pbr": "PBR_VERSION",
    "poetry-dynamic-versioning": "POETRY_DYNAMIC_VERSIONING_BYPASS",
    "uv-dynamic-versioning": "UV_DYNAMIC_VERSIONING_BYPASS",
}


def settings(package: LocalPackage) -> Iterator[tuple[str, str]]:
    """The environment variables with which a package is built, so that two builds are equal."""
    yield "SOURCE_DATE_EPOCH", str(EPOCH)
    try:
        version = str(Version(package.version))
    except InvalidVersion:
        return
    # Asked for in ways that its requirements need not tell (setup_requires). There is one with the
    # distribution's name at its end, too, which hatch-vcs does not know.
    yield "SETUPTOOLS_SCM_PRETEND_VERSION", version
    asked = {re.split(r"[^A-Za-z0-9._-]", one)[0].lower() for one in package.build_requires}
    for tool, variable in _TOLD.items():
        if tool in asked:
            yield variable, version


def commit_of(url: str) -> tuple[str, str, str]:
    """The address, the commit and the subdirectory of ``git+https://...@commit#subdirectory=x``."""
    whole, _, fragment = url.removeprefix("git+").partition("#")
    address, _, commit = whole.rpartition("@")
    return address, commit, fragment.removeprefix("subdirectory=").strip("/")
