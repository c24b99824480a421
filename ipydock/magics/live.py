"""Progress of a magic: an output that is rewritten in Jupyter, lines on a terminal otherwise."""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING

from IPython.display import DisplayHandle, display
from rich.console import Console

from ..errors import BuildError
from ..events import (
    CellStarted,
    Event,
    LogLine,
    Progressed,
    StageFinished,
    StageStarted,
    StepFinished,
    StepStarted,
    Warned,
)
from ..folding import fold_warnings
from ..terminal import TerminalProgress, progress_in_words
from .result import Line, Progress

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

_EVERY = 0.2  # seconds between two rewrites of the output
_WIDTH = 100  # characters of a step's title


class LiveProgress:
    """Renders events in one output of a Jupyter cell, and the seconds while none come."""

    def __init__(self) -> None:
        self._lines: list[Line] = []
        self._handle: DisplayHandle | None = None
        self._shown = 0.0
        self._began = 0.0
        # The steps under way, the newest last: BuildKit works at several beside each other.
        self._steps: dict[str, str] = {}
        self._share: float | None = None  # of what is under way, where that is known
        self._held: list[str] = []  # warnings, which the result shows; said here if there is none
        self._lock = threading.RLock()
        self._ended = threading.Event()
        self._ticker = threading.Thread(target=self._tick, daemon=True, name="ipydock-progress")

    def __enter__(self) -> LiveProgress:
        self._handle = display(Progress(()), display_id=True)
        self._ticker.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._ticker.join()
        if kind is not None and self._lines and self._lines[-1].state == "now":
            self._lines[-1] = replace(self._lines[-1], state="failed")
        self._share = None
        # The error itself follows as the cell's, which also stops "Run all".
        self._show(
            warnings=tuple(fold_warnings(self._held)) if kind is not None else (),
            last=error.last_lines() if isinstance(error, BuildError) else (),
        )

    def __call__(self, event: Event) -> None:
        """Take one event."""
        with self._lock:
            if not isinstance(event, LogLine | Warned):
                self._share = None
            if not self._take(event):
                return
            if isinstance(event, StageStarted | StageFinished) or (
                time.monotonic() - self._shown > _EVERY
            ):
                self._show()

    def _take(self, event: Event) -> bool:
        """Take an event in; whether it changes what is shown."""
        match event:
            case StageStarted():
                self._steps.clear()
                self._began = time.monotonic()
                self._lines.append(Line(event.title))
            case StageFinished() if self._lines:
                summary = f"{event.summary} ({event.seconds:.1f} s)"
                self._lines[-1] = replace(self._lines[-1], detail=summary, state="done")
            case StepStarted() if self._lines:
                title = event.title
                self._steps[event.step] = title if len(title) <= _WIDTH else title[:_WIDTH] + "…"
                self._detail(self._step())
            case StepFinished() if self._lines:
                self._steps.pop(event.step, None)
                if self._steps:  # else the last one stays until there is another
                    self._detail(self._step())
            case Progressed() if self._lines:
                self._detail(f"{self._step()} {progress_in_words(event)}")
                self._share = event.done / event.total if event.total else None
            case CellStarted() if self._lines:
                self._detail(f"cell {event.number} of {event.total}")
                self._share = (event.number - 1) / event.total
            case Warned():
                self._held.append(event.text)
                return False
            case _:
                return False
        return True

    def _step(self) -> str:
        return next(reversed(self._steps.values()), "")

    def _detail(self, text: str) -> None:
        self._lines[-1] = replace(self._lines[-1], detail=text)

    def _tick(self) -> None:
        while not self._ended.wait(1.0):
            with self._lock:
                if self._lines and self._lines[-1].state == "now":
                    self._show()

    def _show(self, *, warnings: tuple[str, ...] = (), last: tuple[str, ...] = ()) -> None:
        with self._lock:
            self._shown = time.monotonic()
            elapsed = int(self._shown - self._began) if self._lines else 0
            if self._handle is not None:
                stages = tuple(self._lines)
                self._handle.update(Progress(stages, warnings, last, self._share, elapsed))


def progress_for(shell: InteractiveShell) -> LiveProgress | TerminalProgress:
    """The progress display that suits the shell: only a kernel can rewrite its outputs."""
    if hasattr(shell, "kernel"):
        return LiveProgress()
    return TerminalProgress(Console(file=sys.stderr, highlight=False), hold=True)
