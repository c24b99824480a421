"""Credentials in the notebook's own text and in its local modules, which all go into the image."""

from __future__ import annotations

from collections.abc import Iterable

from .. import credentials
from ..models import LocalModule
from ..notebook import Notebook
from ..notebook_v4 import printable
from .folder import Folder

MEND = (
    "It would be baked into the image, so building is refused. Read it from the environment "
    "(os.environ) or from a mounted file (--mount); a line that only looks so may say "
    "`# pragma: allowlist secret`."
)


def check(nb: Notebook, folder: Folder, modules: Iterable[LocalModule]) -> list[str]:
    """A sentence for each credential, with its kind and place and never its value."""
    found = []
    number = 0
    for cell in nb.node["cells"]:
        is_code = cell["cell_type"] == "code"
        number += is_code
        where = f"Cell {number}" if is_code else f"The text after cell {number}"
        found += [
            f"{where} holds a credential ({secret.kind}) in line {secret.line}. {MEND}"
            for secret in credentials.find(cell["source"])
        ]
    for module in modules:
        data = folder.read(module.path) if module.path.endswith(".py") else None
        found += [
            f"{printable(module.path)} holds a credential ({secret.kind}) in line {secret.line}. "
            f"{MEND}"
            for secret in credentials.find((data or b"").decode("latin-1"))
        ]
    return found
