"""What a capture, a recipe, a verdict look like in text: for the terminal and for plain IPython."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from .folding import (
    Item,
    cells_in_words,
    fold_paths,
    fold_warnings,
    reason,
    size_in_words,
)
from .models import (
    Blame,
    Capture,
    CellStatus,
    DataFile,
    Evidence,
    Policy,
    Recipe,
    Requested,
    Settings,
    Verdict,
)

GUESSED = "is a guess from its name."  # the end of a warning of `ipydock.capture.requested`
# The start of a warning of `ipydock.capture.files`; the section says more.
FILES = "Files that cells read "
LEFT_OUT: dict[Policy, str] = {
    "missing": "not there now; put them where the cell looks for them.",
    "outside": "not looked at, since only the notebook names them; take them in when you build "
    "(--include '../data/*'), let --run see that they are really opened, or mount their folder "
    "(--mount SOURCE:TARGET).",
    "mount": "too large to copy; mount them in the rerun (--mount SOURCE:TARGET), or copy them all "
    "the same (--include).",
}
WIDTH = 100  # of what is written where no terminal says how wide it is
MOST_ROWS = 100  # of one section; the JSON has them all
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


def to_text(view: RenderableType, width: int = WIDTH) -> str:
    """A view as plain text, for ``repr`` and for logs."""
    page = io.StringIO()
    # Within Jupyter a console would display the view by itself instead of writing it.
    console = Console(file=page, width=width, color_system=None, force_jupyter=False)
    console.print(view, crop=False)
    return "\n".join(line.rstrip() for line in page.getvalue().splitlines())


@dataclass(frozen=True, slots=True)
class Section:
    """A part of what a notebook needs; ``note`` says what to know or do about all of it."""

    title: str
    rows: tuple[Item, ...]
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
                Item(item.distribution or item.import_name, _doubt(item), reason(item.evidence))
                for item in doubtful
            ),
            "Install them there and capture again, or name them when you build: "
            "--add-pip NAME==VERSION.",
            doubtful=True,
        ),
        Section(
            "Files that will not be in the image",
            _files([file for file in capture.files_read if _stays_out(file)]),
            " ".join(
                f"{policy.capitalize()}: {says}"
                for policy, says in LEFT_OUT.items()
                if any(file.policy == policy and _stays_out(file) for file in capture.files_read)
            ),
            doubtful=True,
        ),
        Section(
            "Python packages",
            tuple(
                Item(item.distribution or "", item.version or "", reason(item.evidence))
                for item in capture.requested
                if item not in doubtful
            ),
        ),
        Section(
            "Used by them",
            tuple(
                Item(item.distribution, item.version, _by(item.by, item.evidence))
                for item in needed
            ),
            f"In memory too, but not needed for the results: {idle} more." if idle else "",
        ),
        Section("System packages", tuple(Item(p.name, "", p.reason) for p in capture.apt)),
        Section("Programs", tuple(Item(p.name, "", reason(p.evidence)) for p in capture.programs)),
        Section(
            "Local modules",
            tuple(
                fold_paths(
                    [
                        Item(m.path, "", reason(m.evidence), m.evidence, size=m.size_bytes)
                        for m in capture.local_modules
                    ]
                )
            ),
        ),
        Section(
            "Files it reads",
            _files([file for file in capture.files_read if not _stays_out(file)]),
        ),
        Section("Files it writes", _files(capture.files_written, kinds=False)),
        Section(
            "Network",
            tuple(Item(host) for host in capture.hosts),
            "The rerun has no network unless --network on allows it.",
        ),
        Section(
            "Environment variables",
            tuple(Item(name) for name in capture.env_names),
            "Their values are not captured; give them with --env NAME=VALUE.",
        ),
    ]
    return [part for part in parts if part.rows]


def capture_view(capture: Capture) -> RenderableType:
    """What the notebook needs, where that is known from, and what could not be seen."""
    parts: list[RenderableType] = [_head(*heading(capture))]
    for section in sections(capture):
        style = "yellow" if section.doubtful else ""
        parts.append(Text(f"\n{section.title}", style=f"bold {style}"))
        parts.append(Padding(_Rows(section.rows), (0, 0, 0, 2)))
        if section.note:
            parts.append(Padding(Text(section.note, style="dim"), (0, 0, 0, 2)))
    parts.append(Text(""))
    parts += [Text(line, style="dim") for line in footing(capture)]
    parts.append(notes_view(notes_of(capture)))
    return Group(*parts)


def heading(capture: Capture) -> tuple[str, str]:
    """What is captured, in a line, and with how much it comes."""
    python = capture.python
    detail = f"captured from {python.version}"
    if len(capture.closure) > 1:
        detail += f"; {len(capture.closure)} packages with all that these require"
    return f"{capture.notebook} needs Python {python.series}", detail


def footing(capture: Capture) -> list[str]:
    """Where it is known from, how the session was set, and what could not be seen."""
    lines = [f"Known from: {known_from(capture)}."]
    if capture.settings is not None and (told := _settings(capture.settings)):
        lines.append(told)
    return [*lines, *(f"Not seen: {text}." for text in capture.unseen)]


def notes_of(capture: Capture) -> list[str]:
    """What to be warned of, each thing once: what a doubtful section shows is left to it."""
    return fold_warnings(
        text
        for text in capture.warnings
        if not text.endswith(GUESSED) and not text.startswith(FILES)
    )


def known_from(capture: Capture) -> str:
    """The sources that were used, in words."""
    words = {
        "source": "what the cells say",
        "session": "what happened when they ran",
        "trace": "system calls",
        "environment": "the installed packages",
    }
    return ", ".join(words[source] for source in capture.sources if source in words)


def _settings(settings: Settings) -> str:
    parts = []
    if settings.locale:
        parts.append(f"locale {settings.locale}")
    if settings.timezone:
        parts.append(f"timezone {settings.timezone}")
    for seeded, words in ((True, "seeded"), (False, "not seeded")):
        names = [name for name, value in settings.random.items() if value is seeded]
        if names:
            parts.append(f"random numbers of {', '.join(names)} {words}")
    return f"It ran with {'; '.join(parts)}." if parts else ""


def recipe_view(recipe: Recipe) -> RenderableType:
    """The Dockerfile and what should be known about it."""
    return Group(
        Text(recipe.dockerfile.rstrip(), no_wrap=True, overflow="ignore"),
        notes_view(fold_warnings(recipe.warnings)),
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
    return Group(*parts, notes_view(fold_warnings(verdict.warnings)))


@dataclass(frozen=True, slots=True)
class Row:
    """Cells of which the same is to be said; ``cells`` is such as ``cells 3, 5 and 7``."""

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
    return [Row(cells_in_words(numbers), *key) for key, numbers in groups.items()]


def _doubt(item: Requested) -> str:
    if item.distribution is None:
        return "no distribution known"
    return "a guess" if item.guess else "the notebook installs it"


def _head(title: str, detail: str) -> Text:
    return Text.assemble((title, "bold"), (f"  {detail}", "dim"))


def notes_view(lines: Sequence[str]) -> RenderableType:
    """Warnings, each with its sign; nothing if there are none."""
    if not lines:
        return Text("", end="")
    table = Table.grid(padding=(0, 1), pad_edge=False)
    for text in lines:
        table.add_row(Text("!", style="yellow"), Text(text))
    return Group(Text(""), table)


@dataclass(frozen=True, slots=True)
class _Rows:
    """Items in columns as wide as they need to be; a reason has one line, cut where it ends."""

    items: Sequence[Item]

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        shown = self.items[:MOST_ROWS]
        room = options.max_width
        name = min(max(cell_len(item.name) for item in shown), room // 2)
        remark = min(max(cell_len(item.remark) for item in shown), room // 3)
        table = Table.grid(padding=(0, 2), pad_edge=False)
        table.add_column(overflow="fold", width=name)
        if remark:
            table.add_column(overflow="fold", width=remark, style="cyan")
        left = room - name - 2 - (remark + 2 if remark else 0)
        table.add_column(no_wrap=True, overflow="ellipsis", max_width=left, style="dim")
        for item in shown:
            style = "yellow" if item.doubtful else ""
            middle = [Text(item.remark)] if remark else []
            table.add_row(Text(item.name, style), *middle, Text(" ".join(item.why.split())))
        yield table
        if len(self.items) > MOST_ROWS:
            yield Text(f"and {len(self.items) - MOST_ROWS} more", style="dim")


def _table() -> Table:
    table = Table.grid(padding=(0, 2), pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    return table


def _files(files: Iterable[DataFile], *, kinds: bool = True) -> tuple[Item, ...]:
    return tuple(
        fold_paths(
            [
                Item(
                    file.path,
                    _size(file) if kinds else "",
                    reason(file.evidence),
                    file.evidence,
                    kind=file.policy if kinds and file.policy != "copy" else "",
                    size=file.size_bytes,
                    doubtful=_stays_out(file),
                )
                for file in files
            ]
        )
    )


def _stays_out(file: DataFile) -> bool:
    """Whether the image will be without a file that is read; one above it may be in it."""
    return file.policy in ("missing", "mount") or (file.policy == "outside" and not file.sha256)


def _by(by: str, evidence: Sequence[Evidence]) -> str:
    return f"{by}; {reason(evidence)}" if evidence else by


def _size(file: DataFile) -> str:
    """How large a file is and what becomes of it, where that is not simply copying."""
    policy = "" if file.policy == "copy" else file.policy
    if file.path.endswith("/"):
        return f"folder, {policy}" if policy else "folder"
    if file.size_bytes is None:
        return policy
    size = size_in_words(file.size_bytes)
    return f"{size}, {policy}" if policy else size


def relative(path: str) -> str:
    """A path as it is easiest to read: relative to the current folder if it is below it."""
    try:
        short = os.path.relpath(path)
    except ValueError:  # another drive
        return path
    return path if short.startswith("..") else short
