"""The one exception tree.

Every error that ipydock raises on purpose is one of these, and carries three things: what failed
(the message), the evidence (what was seen) and the hint (what to do about it).

    IpydockError                    exit code 1, never raised itself
    +-- InputError                  2   bad usage or bad input
    |   +-- NotebookError           2   not a notebook, truncated, not Python
    |   +-- EnvironmentMissing      2   the interpreter or kernel to capture is not there
    |   +-- LockError               2   no set of packages satisfies what was captured
    +-- EngineError                 3   no usable engine, or it went away
    |   +-- RegistryError           3   a registry did not take an image, or does not answer
    +-- BuildError                  4   the image could not be built
    |   +-- BaseImageError          4   the base image does not exist or cannot be reached
    |   +-- DiskFull                4   no space left where the engine builds
    +-- RerunError                  5   the notebook failed in the container
    |   +-- KernelStartError        5   the kernel never answered
    |   +-- KernelDied              5   the kernel or its container ended
    |   +-- CellTimeout             5   a cell ran longer than it was allowed
    +-- Refused                     6   a secret would be baked in
    +-- Cancelled                   130 interrupted by the user
"""

from __future__ import annotations

from typing import ClassVar


class IpydockError(Exception):
    """Root of the tree.

    Args:
        message: what failed and why, one or two sentences.
        hint: what to do about it; shown after the message.
        evidence: what was seen, such as the last lines of a log; shown with ``-v``
            and wherever there is room for it. The last lines of a build are always shown.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "", evidence: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.evidence = evidence

    def __reduce__(self) -> tuple[object, ...]:
        # Exception pickles its positional arguments only; keep the keyword ones too.
        return (type(self), (self.message,), {"hint": self.hint, "evidence": self.evidence})

    def paragraph(self) -> str:
        """The message and the hint as one paragraph, for a terminal or a page."""
        end = "" if self.message.endswith((".", "!", "?", ":")) or not self.hint else "."
        return f"{self.message}{end} {self.hint}".strip()


class InputError(IpydockError):
    """What was asked for cannot be done as it was asked."""

    exit_code = 2


class NotebookError(InputError):
    """The file is not a notebook that ipydock can work with."""


class EnvironmentMissing(InputError):
    """The interpreter or kernel whose packages should be captured is not there."""


class LockError(InputError):
    """No set of packages satisfies what was captured, or the index is ``unreachable``."""

    unreachable = False


class EngineError(IpydockError):
    """No usable engine, or it went away."""

    exit_code = 3


class RegistryError(EngineError):
    """A registry did not take an image, or does not answer."""


class BuildError(IpydockError):
    """The image could not be built. The evidence is what the failed step wrote last."""

    exit_code = 4

    def last_lines(self, most: int = 15) -> tuple[str, ...]:
        """The end of what the failed step wrote, empty where there is nothing."""
        return tuple(self.evidence.splitlines()[-most:])


class BaseImageError(BuildError):
    """The base image does not exist or cannot be reached."""


class DiskFull(BuildError):
    """There is no space left where the engine builds."""


class RerunError(IpydockError):
    """The notebook failed in the container."""

    exit_code = 5


class KernelStartError(RerunError):
    """The kernel in the container never answered."""


class KernelDied(RerunError):
    """The kernel or its container ended while a cell was running."""


class CellTimeout(RerunError):
    """A cell ran longer than it was allowed to."""


class Refused(IpydockError):
    """Something would be baked into the image that must not be."""

    exit_code = 6


class Cancelled(IpydockError):
    """The user interrupted; nothing was left running."""

    exit_code = 130
