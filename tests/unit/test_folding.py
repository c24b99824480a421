"""Long lists as people see them."""

from __future__ import annotations

from ipydock.folding import (
    Item,
    cells_in_words,
    fold_paths,
    fold_warnings,
    reason,
    size_in_words,
)
from ipydock.models import Evidence
from tests import samples

PARSE = "does not parse: invalid syntax (line {}); only imports and file names were read."


def item(path: str, kind: str = "", number: int = 1, size: int | None = 1000) -> Item:
    places = (samples.evidence("import x", number),)
    return Item(path, kind, reason(places), places, kind, size)


def shown(*items: Item) -> list[tuple[str, str, str]]:
    return [(row.name, row.remark, row.why) for row in fold_paths(items)]


def test_a_short_list_stays_as_it_is() -> None:
    items = [item(f"data/{n}.csv") for n in range(12)]
    assert fold_paths(items) == items


def test_the_files_of_one_folder_and_kind_are_one_row() -> None:
    items = [
        *(item(f"../lib/sub/{n}.py", number=n) for n in range(1, 8)),
        *(item(f"/home/me/x/{n}.csv", "outside", size=None) for n in range(4)),
        *(item(f"/home/me/x/deep/{n}.csv", "missing", size=None) for n in range(4)),
        *(item(f"{n}.png") for n in range(5)),
        *(item(f"data/{n}.csv") for n in range(2)),
    ]
    assert shown(*items) == [
        ("../lib/sub/", "7 files, 7.0 kB", "cells 1, 2, 3, 4 and 3 more: import x"),
        ("/home/me/x/", "4 files, outside", "cell 1: import x"),
        ("/home/me/x/deep/", "4 files, missing", "cell 1: import x"),
        ("*.png", "5 files, 5.0 kB", "cell 1: import x"),
        ("data/0.csv", "", "cell 1: import x"),
        ("data/1.csv", "", "cell 1: import x"),
    ]


def test_the_same_of_several_cells_is_said_once() -> None:
    warnings = [
        "First.",
        *(f"Cell {n} {PARSE.format(n)}" for n in (2, 3, 9, 10, 11, 12)),
        "Cell 4: module cPickle is of Python 2; it is called pickle in Python 3.",
        "Cell 7: module cPickle is of Python 2; it is called pickle in Python 3.",
        "First.",
        "Cell 8 uses x, which no cell defines.",
    ]
    assert fold_warnings(warnings) == [
        "First.",
        "Cells 2, 3, 9, 10 and 2 more do not parse; the first: invalid syntax (line 2); only "
        "imports and file names were read.",
        "Cells 4 and 7: module cPickle is of Python 2; it is called pickle in Python 3.",
        "Cell 8 uses x, which no cell defines.",
    ]
    assert fold_warnings([f"Cell 1 {PARSE.format(1)}"]) == [f"Cell 1 {PARSE.format(1)}"]


def test_cells_and_sizes_in_words() -> None:
    assert cells_in_words([3, 3]) == "cell 3"
    assert cells_in_words([3, 1, 3]) == "cells 3 and 1"
    assert cells_in_words([1, 2, 3, 4]) == "cells 1, 2, 3 and 4"
    assert [size_in_words(n) for n in (0, 999, 1500, 2_000_000)] == [
        "0 B",
        "999 B",
        "1.5 kB",
        "2.0 MB",
    ]


def test_a_reason_names_each_place_once() -> None:
    def in_file(path: str) -> Evidence:
        return Evidence(source="source", text="import x", line=3, path=path)

    first, again, second = (samples.evidence("import x", n, n) for n in (1, 1, 2))
    assert reason([]) == ""
    assert reason([first, again]) == "cell 1: import x"
    assert reason([first, second]) == "cells 1 and 2: import x"
    assert reason([first, in_file("a.py")]) == "cell 1, a.py: import x"
    assert reason([first, in_file("a.py"), in_file("b.py")]) == "cell 1, a.py and 1 more: import x"
    assert reason([in_file("a.py"), first]) == "a.py:3: import x (and 1 more)"
    assert reason([Evidence(source="session", text="x is loaded")]) == "x is loaded"
