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

from .models import Blame, Capture, CellStatus, Evidence, Recipe, Requested, Verdict
from .recipe.wanted import needed

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


def capture_view(capture: Capture) -> RenderableType:
    """What the notebook needs: doubtful things first, each with its reason."""
    python = capture.python
    parts: list[RenderableType] = [
        _head(f"{capture.notebook} needs Python {python.series}", f"captured from {python.version}")
    ]
    doubtful = [item for item in capture.requested if item.guess or item.version is None]
    if doubtful:
        rows = [
            (
                item.distribution or item.import_name,
                _doubt(item),
                _why(item.evidence),
            )
            for item in doubtful
        ]
        parts.append(_section("Doubtful: not installed where the notebook was captured", rows))
    sure = [item for item in capture.requested if item not in doubtful]
    parts.append(
        _section(
            "Python packages",
            [(item.distribution or "", item.version or "", _why(item.evidence)) for item in sure],
        )
    )
    used = needed(capture.loaded)
    parts.append(_section("In use with them", [(i.distribution, i.version, i.by) for i in used]))
    if more := len(capture.loaded) - len(used):
        parts.append(Text(f"  and {more} more in memory that the results do not need", style="dim"))
    parts.append(_section("System packages", [(p.name, "", p.reason) for p in capture.apt]))
    parts.append(
        _section("Local modules", [(m.path, "", _why(m.evidence)) for m in capture.local_modules])
    )
    parts.append(
        _section(
            "Files",
            [(f.path, _size(f.size_bytes, f.policy), _why(f.evidence)) for f in capture.files_read],
        )
    )
    parts.append(_section("Programs", [(p.name, "", _why(p.evidence)) for p in capture.programs]))
    parts.append(_notes(capture.warnings))
    return Group(*parts)


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


def _section(title: str, rows: Sequence[tuple[str, str, str]]) -> RenderableType:
    if not rows:
        return Text("", end="")
    table = _table()
    for name, middle, why in rows:
        table.add_row(Text(name), Text(middle, style="cyan"), Text(why, style="dim"))
    return Group(Text(f"\n{title}", style="bold"), Padding(table, (0, 0, 0, 2)))


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


def _size(size: int | None, policy: str) -> str:
    if size is None:
        return policy
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}" + ("" if policy == "copy" else f", {policy}")
    return f"{size} B" + ("" if policy == "copy" else f", {policy}")


def relative(path: str) -> str:
    """A path as it is easiest to read: relative to the current folder if it is below it."""
    try:
        short = os.path.relpath(path)
    except ValueError:  # another drive
        return path
    return path if short.startswith("..") else short
