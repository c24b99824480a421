"""Whether a notebook's stored results can come from running its cells from the top.

From the stored notebook alone: execution counts that are missing or do not rise, and names that no
cell or only a later cell defines. From a session's history: cells that were edited after they ran,
and code that ran and is gone.
"""

from __future__ import annotations

import builtins
from bisect import bisect_left
from collections.abc import Sequence

from ..notebook import CodeCell, Notebook, code_cells, may_raise, without_own_magics
from ..notebook_v4 import printable
from .cellnames import ALWAYS, names_of

MOST = 10  # cells or names listed in one warning


def check(nb: Notebook, history: Sequence[str] | None = None) -> list[str]:
    """What speaks against the results being those of a run from the top, in sentences.

    Args:
        nb: the notebook as it is stored.
        history: what was executed in the session that holds its results, by execution count; None
            without a session, where the stored execution counts tell.
    """
    cells = list(code_cells(nb.node))
    return [
        *(_counts(nb, cells) if history is None else _session(cells, history)),
        *_names(nb, cells),
    ]


# --- execution counts --------------------------------------------------------------------------


def _counts(nb: Notebook, cells: list[CodeCell]) -> list[str]:
    counts = [
        (cell.number, nb.node["cells"][cell.index].get("execution_count"))
        for cell in cells
        if not _is_idle(cell.source)
    ]
    ran = [(number, count) for number, count in counts if type(count) is int]
    if not ran:
        return []  # saved without results: nothing will be compared
    found = []
    never = [number for number, count in counts if type(count) is not int]
    if never:
        found.append(f"{_cells(never)} not run when the notebook was saved, though others were.")
    if moved := _out_of_order(ran):
        found.append(
            f"{_cells(moved)} not run in the order in which the cells stand; a run from the top "
            "may give other results than the stored ones."
        )
    return found


def _is_idle(source: str) -> bool:
    """Whether a cell does nothing: empty, comments, ipydock's own magics."""
    lines = without_own_magics(source).splitlines()
    return all(not line.strip() or line.lstrip().startswith("#") for line in lines)


def _out_of_order(ran: list[tuple[int, int]]) -> list[int]:
    """The fewest cells without which the counts rise: all but a longest rising sequence."""
    tails: list[int] = []  # the lowest count that ends a rising sequence of each length
    lengths = []
    for _, count in ran:
        length = bisect_left(tails, count)
        tails[length : length + 1] = [count]
        lengths.append(length)
    kept = set()
    wanted = len(tails) - 1
    highest = None
    for (number, count), length in reversed(list(zip(ran, lengths, strict=True))):
        if length == wanted and (highest is None or count < highest):
            kept.add(number)
            highest = count
            wanted -= 1
    return [number for number, _ in ran if number not in kept]


def _cells(numbers: Sequence[int]) -> str:
    if len(numbers) == 1:
        return f"Cell {numbers[0]} was"
    more = f" and {len(numbers) - MOST} more" if len(numbers) > MOST else ""
    return f"Cells {', '.join(map(str, numbers[:MOST]))}{more} were"


# --- history of a session ----------------------------------------------------------------------


def _session(cells: list[CodeCell], history: Sequence[str]) -> list[str]:
    last: dict[str, int] = {}  # what was run -> when it was last run
    for count, source in enumerate(history):
        if count and source.strip():
            last[_plain(source)] = count
    ran = [
        (cell.number, last[_plain(cell.source)]) for cell in cells if _plain(cell.source) in last
    ]
    if not ran:
        return []  # another notebook's session, or none of it has been run
    found = []
    # Below the last cell that was run the rest is only yet to be run.
    edited = [
        cell.number
        for cell in cells
        if cell.number < ran[-1][0] and _plain(cell.source) not in last
        if not _is_idle(cell.source)
    ]
    if edited:
        found.append(f"{_cells(edited)} edited after being run in this session, or not run in it.")
    present = {_plain(cell.source) for cell in cells}
    gone = sorted(count for source, count in last.items() if source not in present)
    gone = [count for count in gone if _leaves_something(history[count])]
    if gone:
        more = f" and {len(gone) - MOST} more" if len(gone) > MOST else ""
        found.append(
            f"Code that was run as {', '.join(f'[{count}]' for count in gone[:MOST])}{more} is not "
            "in the notebook as it is saved, but what it defined is still in memory."
        )
    if moved := _out_of_order(ran):
        found.append(f"{_cells(moved)} not run in the order in which the cells stand.")
    return found


def _plain(source: str) -> str:
    return "\n".join(line.rstrip() for line in source.strip().splitlines())


def _leaves_something(source: str) -> bool:
    names = names_of(source)
    return names is None or bool(names.defined)


# --- names -------------------------------------------------------------------------------------


def _names(nb: Notebook, cells: list[CodeCell]) -> list[str]:
    """Names that are used before any cell defines them, or that none defines.

    Nothing is said of what comes after a cell whose names cannot be known (``import *``, ``%run``).
    """
    read = [(cell, names_of(cell.source)) for cell in cells]
    first: dict[str, int] = {}
    for cell, names in read:
        for name in names.defined if names else ():
            first.setdefault(name, cell.number)
    all_known = all(names is not None and not names.hidden for _, names in read)
    known = ALWAYS | set(dir(builtins))
    found: dict[str, tuple[str, str]] = {}  # name -> the cell and what is wrong
    for cell, names in read:
        if names is None or names.hidden:
            break
        wanted = set(names.used)
        if all_known:
            wanted |= names.later - first.keys()
        if not _fails(nb, cell):
            for name in sorted(wanted - known - found.keys()):
                where = first.get(name)
                says = ", which no cell defines" if all_known else ", which no cell above defines"
                if where == cell.number:
                    says = " before that cell defines it"
                elif where is not None:
                    says = f", which only cell {where} defines"
                found[name] = (f"Cell {cell.number} uses", says)
        known |= names.defined
    together: dict[tuple[str, str], list[str]] = {}
    for name, key in found.items():
        together.setdefault(key, []).append(printable(name))
    return [f"{uses} {_listed(names)}{says}." for (uses, says), names in together.items()]


def _listed(names: list[str]) -> str:
    if len(names) > MOST:
        return f"{', '.join(names[:MOST])} and {len(names) - MOST} more"
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _fails(nb: Notebook, cell: CodeCell) -> bool:
    """Whether a cell is known to raise an error: a missing name may be what it shows."""
    node = nb.node["cells"][cell.index]
    return may_raise(node) or any(o.get("output_type") == "error" for o in node["outputs"])
