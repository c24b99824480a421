"""Long lists made short for people; the JSON has all of it."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from .models import Evidence

MANY = 12  # rows of one list above which those of one folder become one
FEW = 3  # of one folder: not worth it


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that a notebook needs: its name, a short remark and the reason.

    ``kind`` is what things must have in common to become one (the policy of a file); ``size`` is in
    bytes, None where it is not known; ``doubtful`` marks what is to be looked at.
    """

    name: str
    remark: str = ""
    why: str = ""
    evidence: tuple[Evidence, ...] = ()
    kind: str = ""
    size: int | None = None
    doubtful: bool = False


def fold_paths(items: Sequence[Item]) -> list[Item]:
    """Files as they are; where there are many, those of one folder and kind in one row.

    Of files beside the notebook, which have no folder, those with one suffix become one.
    """
    if len(items) <= MANY:
        return list(items)
    groups: dict[tuple[str, str], list[Item]] = {}
    for item in items:
        groups.setdefault((_group(item.name), item.kind), []).append(item)
    rows = []
    for (group, kind), members in groups.items():
        if len(members) <= FEW:
            rows += members
            continue
        folders = [posixpath.dirname(member.name) for member in members]
        inside = "*" not in group
        sizes = [member.size for member in members if member.size is not None]
        total = f", {size_in_words(sum(sizes))}" if sizes and any(sizes) else ""
        places = tuple(dict.fromkeys(e for member in members for e in member.evidence))
        rows.append(
            replace(
                members[0],
                name=f"{posixpath.commonpath(folders).rstrip('/')}/" if inside else group,
                remark=f"{len(members)} files{total}{f', {kind}' if kind else ''}",
                why=reason(places),
                evidence=places,
                size=sum(sizes),
            )
        )
    return rows


def _group(path: str) -> str:
    """The outermost folder, above or below the notebook, or ``*.csv`` where there is none."""
    parts = path.rstrip("/").split("/")
    above = next((i for i, part in enumerate(parts) if part not in ("..", "")), 0)
    if len(parts) - above > 1:
        return "/".join(parts[: above + 1])
    return "/".join([*parts[:above], f"*{posixpath.splitext(parts[-1])[1]}"])


_CELL = re.compile(r"Cell (\d+)(:| does not parse:) (.*)", re.DOTALL)
_LINE = re.compile(r" \(line \d+\)(?=;|\.?$)")


def fold_warnings(warnings: Iterable[str]) -> list[str]:
    """Each warning once, and what is the same of several cells once for all of them.

    Cells that do not parse make one warning, with the reason of the first.
    """
    cells: dict[str, list[int]] = {}
    first: dict[str, str] = {}
    order: list[str] = []
    for text in dict.fromkeys(warnings):
        match = _CELL.fullmatch(text)
        key = text
        if match:
            broken = match[2] != ":"
            key = match[2] if broken else _LINE.sub("", match[3])
            cells.setdefault(key, []).append(int(match[1]))
        if key not in first:
            first[key] = text
            order.append(key)
    return [_of_cells(first[key], cells.get(key, [])) for key in order]


def _of_cells(text: str, numbers: list[int]) -> str:
    match = _CELL.fullmatch(text)
    if match is None or len(numbers) < 2:
        return text
    who = cells_in_words(numbers).capitalize()
    if match[2] == ":":
        return f"{who}: {_LINE.sub('', match[3])}"
    return f"{who} do not parse; the first: {match[3]}"


def cells_in_words(numbers: Sequence[int], most: int = 4) -> str:
    """Such as ``cell 2`` or ``cells 2, 3, 4, 5 and 9 more``; each number once, as they come."""
    numbers = list(dict.fromkeys(numbers))
    if len(numbers) == 1:
        return f"cell {numbers[0]}"
    if len(numbers) > most:
        head = ", ".join(map(str, numbers[:most]))
        return f"cells {head} and {len(numbers) - most} more"
    return f"cells {', '.join(map(str, numbers[:-1]))} and {numbers[-1]}"


def reason(evidence: Sequence[Evidence]) -> str:
    """All cells that something was found in, and what the first of them says."""
    if not evidence:
        return ""
    first = evidence[0]
    if first.path or first.number is None:
        more = len({str(place) for place in evidence}) - 1
        return f"{first}{f' (and {more} more)' if more else ''}"
    inside = [e.number for e in evidence if e.number is not None and not e.path]
    files = list(dict.fromkeys(e.path for e in evidence if e.path))
    where = cells_in_words(inside)
    if files:
        where += f", {files[0]}" if len(files) == 1 else f", {files[0]} and {len(files) - 1} more"
    return f"{where}: {first.text}"


def size_in_words(size: int) -> str:
    """Bytes as people write them: ``0 B``, ``1.5 MB``."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}"
    return f"{size} B"
