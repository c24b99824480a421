"""Whether the stored results can come from a run from the top; and credentials in cells."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ipydock.capture import leaks
from ipydock.capture.files import Folder
from ipydock.capture.order import check
from ipydock.models import LocalModule
from ipydock.notebook import Notebook, load
from tests import samples


def notebook(*sources: str, counts: list[int | None] | None = None) -> Notebook:
    numbers = counts if counts is not None else list(range(1, len(sources) + 1))
    cells = [samples.code(s, count=n) for s, n in zip(sources, numbers, strict=True)]
    return load(samples.notebook(*cells))


def names(*sources: str) -> list[str]:
    return check(notebook(*sources))


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([1, 2, 3, 4], ""),
        ([3, 7, 8, 20], ""),
        ([None, None, None, None], ""),
        ([5, 2, 3, 4], "Cell 1 was not run in the order"),
        ([1, 2, 9, 4], "Cell 3 was not run in the order"),
        ([1, 2, 2, 3], "Cell 2 was not run in the order"),
        ([2, 3, 1, 4], "Cell 3 was not run in the order"),
        ([1, None, 2, 3], "Cell 2 was not run when the notebook was saved"),
        ([1, 2, None, None], "Cells 3, 4 were not run when the notebook was saved"),
        ([4, 3, 2, 1], "Cells 1, 2, 3 were not run in the order"),
    ],
)
def test_counts(counts: list[int | None], expected: str) -> None:
    found = check(notebook("a = 1", "b = 1", "c = 1", "d = 1", counts=counts))
    assert [w[: len(expected)] for w in found] == ([expected] if expected else [])


def test_cells_that_do_nothing_need_no_count() -> None:
    sources = ("a = 1", "", "# a comment", "%load_ext ipydock\n%dockerize", "b = 1")
    assert check(notebook(*sources, counts=[1, None, None, 9, 2])) == []


def test_counts_of_any_type_are_borne() -> None:
    nb = notebook("a = 1", "b = 2")
    nb.node["cells"][0]["execution_count"] = "one"
    nb.node["cells"][1]["execution_count"] = True
    assert check(nb) == []


def test_what_was_edited_or_removed_since() -> None:
    nb = notebook("a = 1", "b = a + 1", "c = b", "d = c", "%dockerize")
    history = ["", "a = 1", "b = a + 2", "e = 5", "c = b ", "print(1)", "%dockerize"]
    assert check(nb, history) == [
        "Cells 2, 4 were edited after being run in this session, or not run in it.",
        "Code that was run as [2], [3] is not in the notebook as it is saved, but what it defined "
        "is still in memory.",
    ]
    assert check(nb, ["", "a = 1", "b = a + 1"]) == []  # the rest is yet to be run
    assert check(nb, ["", "x = 1"]) == []  # some other notebook's session


def test_order_in_a_session() -> None:
    nb = notebook("a = 1", "b = 2", "c = 3")
    assert check(nb, ["", "a = 1", "c = 3", "b = 2"]) == [
        "Cell 2 was not run in the order in which the cells stand."
    ]
    assert check(nb, ["", "c = 3", "a = 1", "b = 2", "c = 3"]) == []


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        (["print(x)"], "Cell 1 uses x, which no cell defines."),
        (["print(x)", "x = 1"], "Cell 1 uses x, which only cell 2 defines."),
        (["x = x + 1"], "Cell 1 uses x before that cell defines it."),
        (["x += 1"], "Cell 1 uses x before that cell defines it."),
        (["print(x, y, z)"], "Cell 1 uses x, y and z, which no cell defines."),
        (["def f():\n    return x"], "Cell 1 uses x, which no cell defines."),
        (["[a for a in b]"], "Cell 1 uses b, which no cell defines."),
        (["class A(B):\n    x = 1"], "Cell 1 uses B, which no cell defines."),
        (["@deco\ndef f(): pass"], "Cell 1 uses deco, which no cell defines."),
        (["f = lambda a=b: a"], "Cell 1 uses b, which no cell defines."),
        (["%%time\nprint(x)"], "Cell 1 uses x, which no cell defines."),
        (["print(x)", "from m import *"], "Cell 1 uses x, which no cell above defines."),
    ],
)
def test_names_that_are_missing(sources: list[str], expected: str) -> None:
    assert names(*sources) == [expected]


@pytest.mark.parametrize(
    "sources",
    [
        ["x = 1", "print(x)"],
        ["import a.b as c, d.e\nfrom f import g as h", "c, d, h"],
        ["def f():\n    return x", "x = 1"],
        ["def f(a, *b, c=1, **d):\n    e = a\n    return [g for g in b if g] + [c, d, e]"],
        ["def f():\n    global made\n    made = 1", "f()\nmade"],
        ["class A:\n    x = 1\n    y = x\n    def f(self):\n        return A, __class__"],
        ["for i in range(3):\n    j = i", "i, j"],
        ["with open('a') as f:\n    f.read()", "f.closed"],
        ["try:\n    x\nexcept NameError:\n    x = 1", "x"],
        ["try:\n    pass\nexcept ValueError as e:\n    print(e)"],
        ["if input():\n    x = 1", "x"],
        ["a, (b, *c) = 1, (2, 3)", "a, b, c"],
        ["if (n := 10) > 5:\n    print(n)", "n"],
        ["print(n) if (n := 10) else 0"],
        ["{k: v for k, v in {}.items()}", "sum(x * y for x in [1] for y in [x])"],
        ["In, Out, _, __, ___, _i, _1, _i2, display(1), get_ipython(), exit"],
        ["%matplotlib inline\nprint(1)", "len([])"],
        ["%time x = 1", "x"],
        ["%%time\nx = 1", "x"],
        ["%%capture out\nprint(1)", "out.show()"],
        ["%%bash --out listing\nls", "listing"],
        ["files = !ls", "files"],
        ["%pylab inline", "plot([1])"],
        ["%run other.ipynb", "from_there"],
        ["from numpy import *", "zeros(3)"],
        ["exec(open('a.py').read())", "from_there"],
        ["get_ipython().run_line_magic('run', 'x.py')", "from_there"],
        ["%%my_magic\nx = 1", "x"],
        ["x = ", "y"],
        ["ls", "pwd"],
        ["run setup.py", "from_there"],
        ["x: int = 1\ny: 'Later'", "x"],
        ["def f(x: Later) -> Later: ..."],
        ["x = 1\ndel x"],
        ["import os; del os"],
        ["lambda z: z + 1"],
        ["async def f():\n    async for a in b():\n        yield a\nasync def b():\n    yield 1"],
        ["await f()", "x = 1"][1:],
        ["for x in xrange(3): print(unicode(x))"],
        ["x?", "x = 1"][1:],
        ["__name__, __file__"],
        ["print(f'{1 + 1} {len([])}')"],
    ],
)
def test_names_that_are_there(sources: list[str]) -> None:
    assert names(*sources) == []


@pytest.mark.skipif(sys.version_info < (3, 10), reason="match is of 3.10")
def test_match_statements() -> None:
    source = "match [1]:\n    case [a, *b]:\n        a, b\n    case {'k': v, **r}:\n        v, r"
    assert names(source, "a, b, v, r") == []


def test_a_cell_that_fails_on_purpose_is_believed() -> None:
    cell = samples.code("print(x)", samples.error("NameError", "x"), count=1)
    assert check(load(samples.notebook(cell))) == []
    tagged = samples.code("print(x)", count=1, tags=["raises-exception"])
    assert check(load(samples.notebook(tagged))) == []


def test_many_names_are_one_sentence() -> None:
    (found,) = names(", ".join(f"n{i:02}" for i in range(15)))
    assert found.endswith("n09 and 5 more, which no cell defines.")


GITHUB = "ghp_" + "wWPw5k4aXcaT4fNP0UcnZwJUVFk6LO0pINUx"


def test_credentials_in_cells_and_modules(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(f"\nKEY = '{GITHUB}'\n")
    nb = notebook("x = 1", f"y = 2\ntoken = '{GITHUB}'", "import mine")
    module = LocalModule(name="mine", path="mine.py", sha256="0" * 64, size_bytes=1)
    found = leaks.check(nb, Folder(tmp_path), [module])
    assert [text.partition(".")[0] for text in found] == [
        "Cell 2 holds a credential (GitHub token) in line 2",
        "mine",
    ]
    assert "mine.py holds a credential (GitHub token) in line 2" in found[1]
    assert not any(GITHUB in text for text in found)
    assert "os.environ" in found[0]
