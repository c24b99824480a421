"""What a notebook needs, with the evidence for each thing: `capture` and `capture_session`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .merge import capture, capture_session

__all__ = ["capture", "capture_session"]


def __getattr__(name: str) -> Any:
    # The watch is started in kernels when ipydock is loaded there, and needs nothing of the rest.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import merge

    return getattr(merge, name)
