"""What `ps`, `images` and the others show: pages of tables and lines that front ends render."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from .doctor import Finding
from .engine.labels import session
from .folding import size_in_words
from .managed import Action, Listing, Log, ManagedContainer, ManagedImage, Removal
from .shown import plain

_UNITS = (("week", 7 * 86400), ("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1))


@dataclass(frozen=True, slots=True)
class Table:
    """Columns with headings; a row has a text for each."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Page:
    """What a verb has to show. ``document`` is its JSON form, plain data.

    ``log`` is text as it is. ``notes`` are remarks on the whole, such as an engine that does not
    answer. ``carry_out`` is set where this is only a plan: it does it and gives the page after it.
    """

    document: Any
    lines: tuple[str, ...] = ()
    table: Table | None = None
    log: str | None = None
    notes: tuple[str, ...] = ()
    carry_out: Callable[[], Page] | None = field(default=None, compare=False)


def to_rich(page: Page) -> RenderableType:
    """The page for a terminal."""
    parts: list[RenderableType] = []
    if page.table is not None:
        table = RichTable.grid(padding=(0, 2), pad_edge=False)
        for heading in page.table.headings:
            table.add_column(overflow="fold", no_wrap=heading in ("AGE", "SIZE", "OWN", "ID"))
        table.add_row(*(Text(heading, style="bold") for heading in page.table.headings))
        for row in page.table.rows:
            table.add_row(*map(Text, row))
        parts.append(table)
    parts += [Text(line) for line in page.lines]
    if page.log is not None:
        parts.append(Text(page.log.rstrip("\n")))
    parts += [Text(note, style="dim") for note in page.notes]
    return Group(*parts)


def ago(when: datetime, now: datetime | None = None) -> str:
    """How long ago something was, in its largest unit: ``3 days``."""
    seconds = ((now or datetime.now(timezone.utc)) - when).total_seconds()
    for unit, length in _UNITS:
        if seconds >= length:
            count = int(seconds // length)
            return f"{count} {unit}{'s' if count > 1 else ''}"
    return "now"


def images_page(found: Listing) -> Page:
    """A row for each image, and what all take together."""
    if not found.images:
        return Page(_json(found), lines=("There are no images of ipydock's.",), notes=_notes(found))
    engines = len({image.engine for image in found.images}) > 1
    headings = ("NAME", "ID", "NOTEBOOK", "AGE", "SIZE", "OWN", "RECIPE", "REMARK")
    rows = [_image_row(image, engines=engines) for image in found.images]
    note = "SIZE is with all layers, OWN what no other image has."
    return Page(_json(found), table=Table(headings, tuple(rows)), notes=(note, *_notes(found)))


def _image_row(image: ManagedImage, *, engines: bool) -> tuple[str, ...]:
    remarks = []
    if engines:
        remarks.append(image.engine)
    if image.by_hand:
        remarks.append("made by hand")
    if not image.tags and image.engine == "venv":
        remarks.append("cut short")
    if image.used_by:
        remarks.append(f"in use by {', '.join(image.used_by)}")
    return tuple(
        map(
            plain,
            (
                "\n".join(image.tags) or "-",
                image.short,
                image.notebook or "-",
                ago(image.created),
                size_in_words(image.size_bytes),
                "?" if image.unique_bytes is None else size_in_words(image.unique_bytes),
                image.recipe[:12],
                "; ".join(remarks),
            ),
        )
    )


def containers_page(found: Listing) -> Page:
    """A row for each container."""
    if not found.containers:
        line = "No container of ipydock's is there; `ipydock ps --all` also lists what has ended."
        return Page(_json(found), lines=(line,), notes=_notes(found))
    headings = ("CONTAINER", "NOTEBOOK", "IMAGE", "STATE", "SINCE", "SESSION", "ENGINE")
    rows = tuple(tuple(map(plain, _container_row(c))) for c in found.containers)
    return Page(_json(found), table=Table(headings, rows), notes=_notes(found))


def _container_row(container: ManagedContainer) -> tuple[str, ...]:
    who = container.session[:8]
    if container.kind == "by-hand":
        who = "started by hand"
    elif container.session == session():
        who = "this one"
    return (
        container.name,
        container.notebook or "-",
        container.image.removeprefix("sha256:")[:60],
        container.state,
        ago(container.created),
        who,
        container.engine,
    )


def log_page(log: Log) -> Page:
    """A log as it is, under a line that says of what."""
    note = f"The file is {log.path}." if log.path else ""
    return Page(
        _json(log), lines=(plain(log.source),), log=plain(log.text), notes=(note,) if note else ()
    )


def removal_page(
    done: Removal,
    *,
    verb: str = "Removed",
    carry_out: Callable[[], Page] | None = None,
    nothing: str = "There is nothing to remove.",
) -> Page:
    """What was removed or would be, and what was not and why."""
    word = verb if done.done else "Would remove"
    counted = [action for action in done.removed if action.thing != "log"]
    logs = len(done.removed) - len(counted)
    lines = [f"{word} {_action(action)}" for action in counted]
    if logs:
        lines.append(f"{word} {logs} log{'s' if logs > 1 else ''}")
    lines += [f"Left {_action(action)}" for action in done.kept]
    if not done.removed:
        lines.append(nothing)
    notes: tuple[str, ...] = ()
    if any(action.thing == "image" for action in done.removed):
        freed = done.freed_bytes
        size = "an unknown size" if freed is None else size_in_words(freed)
        notes = (
            f"{'Freed' if done.done else 'That frees'} {size}; what the engine's build cache "
            "shares with them is only freed with it (docker builder prune).",
        )
    return Page(_json(done), lines=tuple(map(plain, lines)), notes=notes, carry_out=carry_out)


def _action(action: Action) -> str:
    text = f"{action.thing} {action.what}"
    return f"{text} ({action.reason})" if action.reason else text


def doctor_page(findings: Sequence[Finding]) -> Page:
    """The findings of the doctor as a table."""
    rows = tuple(("✓" if f.ok else "✗", f.name, f.says, f.mend) for f in findings)
    return Page([f.to_dict() for f in findings], table=Table(("", "WHAT", "FOUND", "MEND"), rows))


def _json(document: Any) -> Any:
    return document.model_dump(mode="json")


def _notes(found: Listing) -> tuple[str, ...]:
    return found.silent
