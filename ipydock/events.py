"""The one progress vocabulary: what every stage reports and every front end renders.

A stage takes ``on_event: Callable[[Event], None]`` and never prints. Events are plain frozen data;
``to_dict`` gives the JSON form, whose ``"event"`` key names the class.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

Stage: TypeAlias = Literal[
    "capture", "synthesize", "build", "rerun", "compare", "push", "save", "load"
]
CellOutcome: TypeAlias = Literal["ok", "error", "timeout", "died"]


@dataclass(frozen=True, slots=True)
class StageStarted:
    """A stage begins."""

    stage: Stage
    title: str


@dataclass(frozen=True, slots=True)
class StepStarted:
    """A step inside a stage begins, such as one Dockerfile instruction."""

    stage: Stage
    step: str
    title: str


@dataclass(frozen=True, slots=True)
class StepFinished:
    """A step is done; ``cached`` if it was there already and cost nothing."""

    stage: Stage
    step: str
    seconds: float
    cached: bool = False


@dataclass(frozen=True, slots=True)
class Progressed:
    """How far a stage is: ``done`` of ``total``, which is None where it is not known.

    ``unit`` is ``B`` for bytes, else the noun that is counted.
    """

    stage: Stage
    done: int
    total: int | None
    unit: str = "B"


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of output of whatever the stage runs; ``step`` is empty if it is not known."""

    stage: Stage
    line: str
    step: str = ""


@dataclass(frozen=True, slots=True)
class CellStarted:
    """A code cell starts; ``index`` counts from 0 over all cells, ``number`` from 1 over code."""

    index: int
    number: int
    total: int


@dataclass(frozen=True, slots=True)
class CellFinished:
    """A code cell has ended."""

    index: int
    number: int
    total: int
    outcome: CellOutcome
    seconds: float


@dataclass(frozen=True, slots=True)
class Warned:
    """Something the user should know; the stage goes on."""

    stage: Stage
    text: str


@dataclass(frozen=True, slots=True)
class StageFinished:
    """A stage is done; ``summary`` is one line for people."""

    stage: Stage
    seconds: float
    summary: str


Event: TypeAlias = (
    StageStarted
    | StepStarted
    | StepFinished
    | Progressed
    | LogLine
    | CellStarted
    | CellFinished
    | Warned
    | StageFinished
)
OnEvent: TypeAlias = Callable[[Event], None]


def ignore(_event: Event) -> None:
    """The listener for callers that want no progress."""


def to_dict(event: Event) -> dict[str, Any]:
    """The JSON form of an event."""
    return {"event": type(event).__name__, **dataclasses.asdict(event)}
