"""What a capture, a recipe, a verdict look like in text: for the terminal and for plain IPython."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from .models import (
    Blame,
    Capture,
    CellStatus,
    DataFile,
    Evidence,
    Recipe,
    Requested,
    Verdict,
)

MOST_ROWS = 200  # of one section; the JSON has them all
SIGN: dict[CellStatus, tuple[str, str, str]] = {
    # status: (sign, colour, in words)
    "same": ("✓", "green", "same"),
    "close": ("✓", "green", "close"),
    "volatile": ("~", "cyan", "volatile"),
    "different": ("≠", "yellow", "different"),
    "error": ("✗", "red", "error"),
    "fixed": ("+", "cyan", "fixed"),
    "no-baseline": ("·", "dim", "nothing stored"),
    "not-run": ("-", "dim", "not run"),
}
WORDS = {
    "reproduced": ("green", "The results are the same."),
    "reproduced-with-volatile": ("green", "The results are the same but for what always changes."),
    "differs": ("yellow", "It runs, but some results differ."),
    "failed": ("red", "It fails in the clean environment."),
    "unverifiable": ("cyan", "It runs, but no outputs are stored to compare with."),
}


def to_text(view: RenderableType, width: int = 100) -> str:
    """A view as plain text, for ``repr`` and for logs."""
    page = io.StringIO()
    # Within Jupyter a console would display the view by itself instead of writing it.
    console = Console(file=page, width=width, color_system=None, force_jupyter=False)
    console.print(view, crop=False)
    return "\n".join(line.rstrip() for line in page.getvalue().splitlines())


@dataclass(frozen=True, slots=True)
class Section:
    """A part of what a notebook needs: rows of name, a short remark and the reason."""

    title: str
    rows: tuple[tuple[str, str, str], ...]
    note: str = ""
    doubtful: bool = False


def sections(capture: Capture) -> list[Section]:
    """What the notebook needs, doubtful things first, each with its reason; no empty parts."""
    doubtful = [item for item in capture.requested if item.guess or item.version is None]
    needed = [item for item in capture.loaded if item.needed]
    idle = len(capture.loaded) - len(needed)
    parts = [
        Section(
            "Doubtful: not installed where the notebook was captured",
            tuple(
                (item.distribution or item.import_name, _doubt(item), _why(item.evidence))
                for item in doubtful
            ),
            "Install them there and capture again, or name them with --add-pip NAME==VERSION.",
            doubtful=True,
        ),
        Section(
            "Python packages",
            tuple(
                (item.distribution or "", item.version or "", _why(item.evidence))
                for item in capture.requested
                if item not in doubtful
            ),
        ),
        Section(
            "Used by them",
            tuple(
                (item.distribution, item.version, _by(item.by, item.evidence)) for item in needed
            ),
            f"In memory too, but not needed for the results: {idle} more." if idle else "",
        ),
        Section("System packages", tuple((p.name, "", p.reason) for p in capture.apt)),
        Section("Programs", tuple((p.name, "", _why(p.evidence)) for p in capture.programs)),
        Section(
            "Local modules", tuple((m.path, "", _why(m.evidence)) for m in capture.local_modules)
        ),
        Section(
            "Files it reads",
            tuple((f.path, _size(f), _why(f.evidence)) for f in capture.files_read),
        ),
        Section(
            "Files it writes", tuple((f.path, "", _why(f.evidence)) for f in capture.files_written)
        ),
        Section(
            "Network",
            tuple((host, "", "") for host in capture.hosts),
            "The rerun has no network unless --network on allows it.",
        ),
        Section(
            "Environment variables",
            tuple((name, "", "") for name in capture.env_names),
            "Their values are not captured; give them with --env NAME=VALUE.",
        ),
    ]
    return [part for part in parts if part.rows]


def capture_view(capture: Capture) -> RenderableType:
    """What the notebook needs, where that is known from, and what could not be seen."""
    python = capture.python
    parts: list[RenderableType] = [
        _head(f"{capture.notebook} needs Python {python.series}", f"captured from {python.version}")
    ]
    for section in sections(capture):
        table = _table()
        for name, middle, why in section.rows[:MOST_ROWS]:
            table.add_row(Text(name), Text(middle, style="cyan"), Text(why, style="dim"))
        if len(section.rows) > MOST_ROWS:
            table.add_row(Text(f"and {len(section.rows) - MOST_ROWS} more", style="dim"), "", "")
        title = Text(f"\n{section.title}", style="bold yellow" if section.doubtful else "bold")
        parts += [title, Padding(table, (0, 0, 0, 2))]
        if section.note:
            parts.append(Padding(Text(section.note, style="dim"), (0, 0, 0, 2)))
    parts += [Text(""), Text(f"Known from: {known_from(capture)}.", style="dim")]
    parts += [Text(f"Not seen: {text}.", style="dim") for text in capture.unseen]
    parts.append(_notes(capture.warnings))
    return Group(*parts)


def known_from(capture: Capture) -> str:
    """The sources that were used, in words."""
    words = {
        "source": "what the cells say",
        "session": "what happened when they ran",
        "trace": "system calls",
        "environment": "the installed packages",
    }
    return ", ".join(words[source] for source in capture.sources if source in words)


def recipe_view(recipe: Recipe) -> RenderableType:
    """The Dockerfile and what should be known about it."""
    return Group(
        Text(recipe.dockerfile.rstrip(), no_wrap=True, overflow="ignore"),
        _notes(recipe.warnings),
    )


def verdict_view(verdict: Verdict) -> RenderableType:
    """The verdict in words, a strip of all cells, and each cell that is not the same."""
    colour, words = WORDS[verdict.verdict]
    strip = Text("  ")
    for cell in verdict.cells:
        sign, style, _ = SIGN[cell.status]
        strip.append(sign, style=style)
    counts: dict[CellStatus, int] = {
        status: verdict.count(status) for status in SIGN if verdict.count(status)
    }
    summary = ", ".join(f"{count} {SIGN[status][2]}" for status, count in counts.items())
    table = _table()
    for row in notable(verdict):
        sign, style, word = SIGN[row.status]
        detail = Text(row.detail)
        if row.blame:
            detail.append(f"  [{row.blame}]", style="bold")
        table.add_row(row.cells, Text(f"{sign} {word}", style=style), detail)
    parts: list[RenderableType] = [
        Text.assemble((f"{verdict.verdict}", f"bold {colour}"), f"  {words}"),
        strip,
        Text(f"  {summary}" if summary else "  no code cells", style="dim"),
    ]
    if table.row_count:
        parts.append(Padding(table, (1, 0, 0, 2)))
    return Group(*parts, _notes(verdict.warnings))


@dataclass(frozen=True, slots=True)
class Row:
    """Cells of which the same is to be said; ``cells`` is such as ``cells 3, 5, 6 and 9 more``."""

    cells: str
    status: CellStatus
    blame: Blame | None
    detail: str


def notable(verdict: Verdict) -> list[Row]:
    """What a reader should look at: the cells that are not the same, alike ones together."""
    groups: dict[tuple[CellStatus, Blame | None, str], list[int]] = {}
    for cell in verdict.cells:
        if cell.status not in ("same", "no-baseline", "not-run"):
            groups.setdefault((cell.status, cell.blame, cell.detail), []).append(cell.number)
    return [Row(_cells(numbers), *key) for key, numbers in groups.items()]


def _cells(numbers: list[int]) -> str:
    if len(numbers) == 1:
        return f"cell {numbers[0]}"
    more = f" and {len(numbers) - 4} more" if len(numbers) > 4 else ""
    return f"cells {', '.join(map(str, numbers[:4]))}{more}"


def _doubt(item: Requested) -> str:
    if item.distribution is None:
        return "no distribution known"
    return "a guess" if item.guess else "the notebook installs it"


def _head(title: str, detail: str) -> Text:
    return Text.assemble((title, "bold"), (f"  {detail}", "dim"))


def _notes(warnings: Iterable[str]) -> RenderableType:
    lines = [Text.assemble(("! ", "yellow"), text) for text in dict.fromkeys(warnings)]
    return Group(Text(""), *lines) if lines else Text("", end="")


def _table() -> Table:
    table = Table.grid(padding=(0, 2), pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    return table


def _why(evidence: Sequence[Evidence]) -> str:
    if not evidence:
        return ""
    more = len(evidence) - 1
    return f"{evidence[0]}" + (f" (and {more} more)" if more else "")


def _by(by: str, evidence: Sequence[Evidence]) -> str:
    return f"{by}; {_why(evidence)}" if evidence else by


def _size(file: DataFile) -> str:
    """How large a file is and what becomes of it, where that is not simply copying."""
    policy = "" if file.policy == "copy" else file.policy
    if file.size_bytes is None:
        return policy
    size = f"{file.size_bytes} B"
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if file.size_bytes >= scale:
            size = f"{file.size_bytes / scale:.1f} {unit}"
            break
    return f"{size}, {policy}" if policy else size


def relative(path: str) -> str:
    """A path as it is easiest to read: relative to the current folder if it is below it."""
    try:
        short = os.path.relpath(path)
    except ValueError:  # another drive
        return path
    return path if short.startswith("..") else short
