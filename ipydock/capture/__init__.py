"""What a notebook needs, with the evidence for each thing: `capture` and `capture_session`."""

from __future__ import annotations

from .merge import capture, capture_session

__all__ = ["capture", "capture_session"]
