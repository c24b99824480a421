"""Progress on a terminal: bars where there is one, plain lines otherwise."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from .events import (
    CellFinished,
    CellStarted,
    Event,
    LogLine,
    StageFinished,
    StageStarted,
    StepFinished,
    StepStarted,
    Warned,
)


class TerminalProgress:
    """Renders events on a console; a context manager, and itself the ``on_event`` callable.

    Args:
        console: where to; standard error for the command line.
        verbose: also show the log lines of what is run.
        quiet: show nothing.
    """

    def __init__(self, console: Console, *, verbose: bool = False, quiet: bool = False) -> None:
        self._console = console
        self._verbose = verbose
        self._quiet = quiet
        self._titles: dict[str, str] = {}
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

    def __call__(self, event: Event) -> None:
        """Take one event."""
        if self._quiet:
            return
        match event:
            case StageStarted():
                self._say(event.title, style="bold")
                self._live(event.title, reset=True)
            case StageFinished():
                self._say(f"  {event.summary}", f"{event.seconds:.1f} s")
                self._hide()
            case StepStarted():
                self._titles[event.step] = event.title
                self._live(event.title)
            case StepFinished():
                self._step(event)
            case CellStarted():
                self._live(f"cell {event.number} of {event.total}", event.number - 1, event.total)
            case CellFinished():
                self._cell(event)
            case LogLine() if self._verbose:
                self._say(f"    {event.line}", style="dim")
            case Warned():
                self._say(f"  ! {event.text}", style="yellow")
            case _:
                pass

    def _step(self, event: StepFinished) -> None:
        # What was there already or took no time is not worth a line.
        if not event.cached and event.seconds >= 0.5:
            self._say(f"    {self._titles[event.step]}", f"{event.seconds:.1f} s", style="dim")

    def _cell(self, event: CellFinished) -> None:
        self._live(f"cell {event.number} of {event.total}", event.number, event.total)
        if event.outcome != "ok":
            self._say(f"    cell {event.number}: {event.outcome}", style="red")
        elif not self._bar or self._verbose:
            self._say(f"    cell {event.number} of {event.total}", f"{event.seconds:.1f} s", "dim")

    def _say(self, text: str, right: str = "", style: str = "") -> None:
        width = max(20, min(self._console.width, 100) - 8)
        line = text if len(text) <= width or not right else text[: width - 1] + "…"
        rendered = Text(f"{line:<{width}} {right:>7}" if right else line, style=style)
        self._console.print(rendered, soft_wrap=True)

    def _live(
        self, text: str, done: int | None = None, total: int | None = None, *, reset: bool = False
    ) -> None:
        if self._bar is None or self._task is None:
            return
        if reset:
            self._bar.reset(self._task, visible=True, total=None)
        room = max(10, self._console.width - 45)
        short = text if len(text) <= room else text[: room - 1] + "…"
        self._bar.update(self._task, description=short, completed=done, total=total, visible=True)

    def _hide(self) -> None:
        if self._bar and self._task is not None:
            self._bar.update(self._task, visible=False)
