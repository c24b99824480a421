"""Progress on a terminal: bars where there is one, plain lines otherwise."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from .errors import BuildError
from .events import (
    CellFinished,
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
from .folding import fold_warnings, size_in_words

_SILENCE = 10.0  # seconds without a line after which one says how far a step is
_WORTH_A_LINE = 0.5  # seconds: what took less is counted, not listed


def progress_in_words(event: Progressed) -> str:
    """How far a stage is, such as ``120.0 MB of 600.0 MB`` or ``3 of 7 layers``."""
    if event.unit == "B":
        done = size_in_words(event.done)
        return done if event.total is None else f"{done} of {size_in_words(event.total)}"
    return f"{event.done}{'' if event.total is None else f' of {event.total}'} {event.unit}"


class TerminalProgress:
    """Renders events on a console; a context manager, and itself the ``on_event`` callable.

    Of a build that fails it shows the last lines, also if it is quiet: they belong to the error.

    Args:
        console: where to; standard error for the command line.
        verbose: also show the log lines of what is run.
        quiet: show nothing.
        hold: keep warnings back, since the result shows them; they are said if there is none.
    """

    def __init__(
        self,
        console: Console,
        *,
        verbose: bool = False,
        quiet: bool = False,
        hold: bool = False,
    ) -> None:
        self.warned = False  # whether there was any warning, shown or not
        self._held: list[str] | None = [] if hold else None
        self._console = console
        self._verbose = verbose
        self._quiet = quiet
        self._titles: dict[str, str] = {}
        self._now = ""  # what is under way
        self._told = time.monotonic()  # when a line was last written
        self._bar: Progress | None = None
        if console.is_terminal and not quiet:
            self._bar = Progress(
                SpinnerColumn(),
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=24),
                TimeElapsedColumn(),
                console=console,
                transient=True,
            )
        self._task = self._bar.add_task("", visible=False, total=None) if self._bar else None

    def __enter__(self) -> TerminalProgress:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar:
            self._bar.stop()
        if kind is not None and not self._quiet:
            for text in fold_warnings(self._held or ()):
                self._say(f"  ! {text}", style="yellow")
        if isinstance(error, BuildError) and not self._verbose:  # with -v they were shown
            for text in error.last_lines():
                self._console.print(Text(f"  | {text}"), soft_wrap=True)

    def __call__(self, event: Event) -> None:
        """Take one event."""
        self.warned = self.warned or isinstance(event, Warned)
        if self._quiet:
            return
        match event:
            case StageStarted():
                self._now = event.title
                self._titles.clear()
                self._say(event.title, style="bold")
                self._live(event.title, reset=True)
            case StageFinished():
                self._say(event.summary, event.seconds)
                self._hide()
            case StepStarted():
                self._titles[event.step] = self._now = event.title
                self._live(event.title)
            case StepFinished():
                self._step(event)
            case Progressed():
                self._progressed(event)
            case CellStarted():
                self._live(f"cell {event.number} of {event.total}", event.number - 1, event.total)
            case CellFinished():
                self._cell(event)
            case LogLine() if self._verbose:
                self._say(f"           {event.line}", style="dim")
            case Warned() if self._held is not None:
                self._held.append(event.text)
            case Warned():
                self._say(f"  ! {event.text}", style="yellow")
            case _:
                pass

    def _progressed(self, event: Progressed) -> None:
        words = progress_in_words(event)
        self._live(self._now, event.done, event.total, words=words)
        if self._bar is None and time.monotonic() - self._told > _SILENCE:
            self._say(f"           {self._now[:80]}: {words}", style="dim")

    def _step(self, event: StepFinished) -> None:
        # What was there already or took no time is not worth a line.
        if not event.cached and event.seconds >= _WORTH_A_LINE:
            self._say(f"  {self._titles[event.step][:120]}", event.seconds, style="dim")
        # BuildKit works at several steps beside each other: what still runs is shown again.
        self._titles.pop(event.step, None)
        if self._titles:
            self._now = next(reversed(self._titles.values()))
            self._live(self._now)

    def _cell(self, event: CellFinished) -> None:
        self._live(f"cell {event.number} of {event.total}", event.number, event.total)
        if event.outcome != "ok":
            self._say(f"  cell {event.number}: {event.outcome}", event.seconds, style="red")
        elif self._verbose or event.seconds >= _WORTH_A_LINE:
            self._say(f"  cell {event.number} of {event.total}", event.seconds, style="dim")

    def _say(self, text: str, seconds: float | None = None, style: str = "") -> None:
        self._told = time.monotonic()
        line = text if seconds is None else f"{seconds:7.1f} s  {text}"
        if self._console.is_terminal and len(line) > self._console.width:
            line = line[: self._console.width - 1] + "…"
        self._console.print(Text(line, style=style), soft_wrap=True)

    def _live(
        self,
        text: str,
        done: int = 0,
        total: int | None = None,
        *,
        words: str = "",
        reset: bool = False,
    ) -> None:
        """Show what is under way: a bar of how much is done, or one that only moves."""
        if self._bar is None or self._task is None:
            return
        if reset:  # the seconds that are shown are the stage's
            self._bar.reset(self._task, visible=True, total=None)
        room = max(10, self._console.width - 45 - len(words))
        short = text if len(text) <= room else text[: room - 1] + "…"
        # `update` cannot take a total back that was known.
        self._bar.tasks[0].total = total
        text = f"{short} {words}".rstrip()
        self._bar.update(self._task, description=text, completed=done, visible=True)

    def _hide(self) -> None:
        if self._bar and self._task is not None:
            self._bar.update(self._task, visible=False)
