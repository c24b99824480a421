"""Why a cell is not reproduced, where the outputs alone say so."""

from __future__ import annotations

from itertools import pairwise

from ..models import Blame

_ENVIRONMENT = {"ModuleNotFoundError", "ImportError", "AttributeError"}
_DATA = {"FileNotFoundError", "IsADirectoryError", "NotADirectoryError"}
_NETWORK = {
    "URLError", "gaierror", "ConnectionError", "ConnectionRefusedError", "ConnectTimeout",
    "MaxRetryError", "NameResolutionError", "SSLError", "ConnectError",
}  # fmt: skip


def of_error(name: str, text: str) -> Blame | None:
    """The blame for an exception that the stored run did not raise, None if it does not tell."""
    if name in _NETWORK or "Name or service not known" in text or "name resolution" in text:
        return "network"
    if name in _ENVIRONMENT:
        return "environment"
    if name in _DATA:
        return "data"
    if name == "MemoryError":
        return "resources"
    return None


def out_of_order(counts: list[int | None]) -> bool:
    """Whether stored execution counts say that the cells were not run from top to bottom."""
    known = [count for count in counts if count is not None]
    return any(later <= earlier for earlier, later in pairwise(known))
