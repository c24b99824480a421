"""Where a notebook's own source is, of which revision it is, and under which licence.

It goes into the labels of the image (the pre-defined keys of the OCI image specification). Outputs
do not count, as they are not in the image either: a notebook that was only run again is no change.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

from .. import notebook
from ..errors import IpydockError
from ..notebook import Notebook
from .origins import git, reachable

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_COMMIT = re.compile(r"[0-9a-f]{40,64}")


@dataclass(frozen=True, slots=True)
class Provenance:
    """``source`` is a URL without credentials, ``revision`` a commit with ``-dirty`` behind it if
    the notebook differs from that, ``licenses`` an SPDX expression; each empty if not known."""

    source: str = ""
    revision: str = ""
    licenses: str = ""


def provenance(nb: Notebook) -> Provenance:
    """What the notebook's folder and metadata tell of it."""
    folder = nb.folder.resolve()
    root = next((p for p in (folder, *folder.parents) if (p / ".git").exists()), None)
    licenses = _license(nb, folder, root)
    if root is None:
        return Provenance(licenses=licenses)
    path = f"./{nb.name}"
    commit = git(str(folder), "rev-list", "--max-count=1", "HEAD", "--", path)
    if not commit or not _COMMIT.fullmatch(commit):
        return Provenance(licenses=licenses)
    committed = git(str(folder), "cat-file", "blob", f"HEAD:{path}")
    dirty = committed is None or not _same(nb, committed)
    return Provenance(
        source=_source(folder),
        revision=f"{commit}-dirty" if dirty else commit,
        licenses=licenses,
    )


def _same(nb: Notebook, committed: str) -> bool:
    """Whether a committed notebook is this one, but for its outputs."""
    try:
        node = notebook.load(json.loads(committed)).node
    except (ValueError, IpydockError):
        return False
    return notebook.digest(node) == notebook.digest(nb.node)


def _source(folder: Path) -> str:
    """The URL of the remote, ``origin`` before others, that other machines reach."""
    names = (git(str(folder), "remote") or "").split()
    for name in sorted(names, key=lambda name: (name != "origin", name)):
        url = git(str(folder), "config", "--get", f"remote.{name}.url")
        found = reachable(url) if url else None
        if found is not None and found.isprintable():
            return found
    return ""


def _license(nb: Notebook, folder: Path, root: Path | None) -> str:
    """The SPDX expression of the notebook's metadata, else that of the project it lies in."""
    own = _expression(nb.node["metadata"].get("license"))
    if own:
        return own
    # Without a repository only the notebook's own folder is taken to be the project.
    for place in (folder, *folder.parents):
        if root is None and place != folder:
            break
        try:
            text = (place / "pyproject.toml").read_text(encoding="utf-8")
            project = tomllib.loads(text).get("project")
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
            project = None  # whoever reads its settings says what is wrong with it
        if isinstance(project, dict):
            return _expression(project.get("license"))
        if place == root:
            break
    return ""


def _expression(value: Any) -> str:
    """An SPDX expression, as text (PEP 639) or in a table; empty if it is none."""
    if isinstance(value, Mapping):
        value = next((value[k] for k in ("spdx", "identifier", "text", "name") if k in value), None)
    if not isinstance(value, str) or len(value) > 200:  # the text of a licence, not its name
        return ""
    try:
        return str(canonicalize_license_expression(value))
    except InvalidLicenseExpression:
        return ""
