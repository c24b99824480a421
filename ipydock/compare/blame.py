"""Why a cell is not reproduced, where the notebook and its outputs say so."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from ..models import Blame

_BY_NAME: dict[str, Blame] = {
    **dict.fromkeys(("ModuleNotFoundError", "ImportError", "ExecutableNotFound"), "environment"),
    **dict.fromkeys(("AttributeError", "CommandNotFoundError"), "environment"),
    **dict.fromkeys(("FileNotFoundError", "IsADirectoryError", "NotADirectoryError"), "data"),
    **dict.fromkeys(("URLError", "gaierror", "ConnectionError", "ConnectTimeout"), "network"),
    **dict.fromkeys(("ConnectionRefusedError", "MaxRetryError", "ConnectError"), "network"),
    **dict.fromkeys(("NameResolutionError", "SSLError"), "network"),
    "MemoryError": "resources",
    "SyntaxError": "code",
    "IndentationError": "code",
    "StdinNotImplementedError": "code",
}
_NO_NETWORK = re.compile(
    r"Name or service not known|[Tt]emporary failure in name resolution|Network is unreachable"
)
_NAME = re.compile(r"name '([^'\W]\w*)' is not defined")


def of_error(name: str, text: str) -> Blame | None:
    """The blame for an exception, by its type and message; None if they do not tell."""
    return "network" if _NO_NETWORK.search(text) else _BY_NAME.get(name)


def out_of_order(counts: Sequence[int | None]) -> bool:
    """Whether stored execution counts say that the cells were not run from top to bottom."""
    known = [count for count in counts if count is not None]
    return any(later <= earlier for earlier, later in pairwise(known))


def missing_name(text: str) -> str:
    """The name that a NameError is about; empty if it is about none."""
    found = _NAME.search(text)
    return found[1] if found else ""


def defines(source: str, name: str) -> bool:
    """Whether a cell's source binds a name, as far as its lines show."""
    word = re.escape(name)
    return bool(
        re.search(
            rf"^\s*(def|class)\s+{word}\b|^\s*(from\s.*\s)?import\s.*\b{word}\b|\bas\s+{word}\b|"
            rf"^[^=#(]*\b{word}\b[^=#(]*=[^=]|\bfor\s[^:]*\b{word}\b",
            source,
            re.MULTILINE,
        )
    )
