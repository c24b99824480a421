"""Progress of a magic: an output that is rewritten in Jupyter, lines on a terminal otherwise."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING

from IPython.display import DisplayHandle, display
from rich.console import Console

from ..errors import IpydockError
from ..events import (
    CellStarted,
    Event,
    LogLine,
    Progressed,
    StageFinished,
    StageStarted,
    StepStarted,
    Warned,
)
from ..terminal import TerminalProgress, progress_in_words
from .result import Progress

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

_EVERY = 0.2  # seconds between two rewrites of the output


class LiveProgress:
    """Renders events in one output of a Jupyter cell."""

    def __init__(self) -> None:
        self._lines: list[tuple[str, str, str]] = []
        self._handle: DisplayHandle | None = None
        self._shown = 0.0
        self._step = ""
        self._share: float | None = None  # of what is under way, where that is known

    def __enter__(self) -> LiveProgress:
        self._handle = display(Progress(()), display_id=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._show(error if isinstance(error, IpydockError) else None)

    def __call__(self, event: Event) -> None:
        """Take one event."""
        if not isinstance(event, LogLine | Warned):
            self._share = None
        match event:
            case StageStarted():
                self._step = ""
                self._lines.append((event.title, "", "now"))
            case StageFinished() if self._lines:
                title = self._lines[-1][0]
                self._lines[-1] = (title, f"{event.summary} ({event.seconds:.1f} s)", "done")
            case StepStarted() if self._lines:
                self._step = event.title[:100]
                self._lines[-1] = (self._lines[-1][0], self._step, "now")
            case Progressed() if self._lines:
                detail = f"{self._step} {progress_in_words(event)}"
                self._lines[-1] = (self._lines[-1][0], detail, "now")
                self._share = event.done / event.total if event.total else None
            case CellStarted() if self._lines:
                detail = f"cell {event.number} of {event.total}"
                self._share = (event.number - 1) / event.total
                self._lines[-1] = (self._lines[-1][0], detail, "now")
            case _:
                return
        if isinstance(event, StageStarted | StageFinished) or (
            time.monotonic() - self._shown > _EVERY
        ):
            self._show()

    def _show(self, failure: IpydockError | None = None) -> None:
        self._shown = time.monotonic()
        if self._handle is not None:
            self._handle.update(Progress(tuple(self._lines), failure, self._share))


def progress_for(shell: InteractiveShell) -> LiveProgress | TerminalProgress:
    """The progress display that suits the shell: only a kernel can rewrite its outputs."""
    if hasattr(shell, "kernel"):
        return LiveProgress()
    return TerminalProgress(Console(file=sys.stderr, highlight=False), hold=True)
