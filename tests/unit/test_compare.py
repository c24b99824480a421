from __future__ import annotations

import base64
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ipydock.compare.blame import defines
from ipydock.compare.notebooks import compare
from ipydock.compare.outputs import compare_outputs
from ipydock.compare.text import normalized, normalized_markup
from ipydock.models import CellRun, Rerun, Verdict
from ipydock.notebook import load
from tests.samples import code, error, notebook, result, stream


def verdict(old: list[Any], new: list[Any], **changes: Any) -> Verdict:
    outcomes = changes.pop("outcomes", None)
    runs = []
    for index, cell in enumerate(new):
        raised = any(o["output_type"] == "error" for o in cell["outputs"])
        outcome = outcomes[index] if outcomes else ("error" if raised else "ok")
        runs.append(CellRun(index=index, number=index + 1, outcome=outcome, seconds=1.0))
    rerun = Rerun(
        notebook=notebook(*new),
        path=None,
        image="x",
        engine="docker",
        cells=tuple(runs),
        seconds=1.0,
        **changes,
    )
    return compare(load(notebook(*old), name="nb.ipynb"), rerun)


def statuses(found: Verdict) -> list[str]:
    return [cell.status for cell in found.cells]


def test_equal_outputs_are_the_same() -> None:
    cell = code("1 + 1", result(text_plain="2"), count=1)
    found = verdict([cell], [cell])
    assert (found.verdict, statuses(found)) == ("reproduced", ["same"])


def test_a_changed_number_is_shown() -> None:
    found = verdict(
        [code("x", stream("a\nmean 0.25\n"), count=1)],
        [code("x", stream("a\nmean 0.26\n"), count=1)],
    )
    assert (found.verdict, statuses(found)) == ("differs", ["different"])
    assert found.cells[0].detail == "stdout: 'mean 0.25' -> 'mean 0.26'"


def test_a_new_exception_fails() -> None:
    found = verdict(
        [code("import x", count=1)],
        [code("import x", error("ModuleNotFoundError", "No module named 'x'"), count=1)],
    )
    assert (found.verdict, statuses(found)) == ("failed", ["error"])
    assert found.cells[0].blame == "environment"
    assert found.blame == ("environment",)
    assert "No module named 'x'" in found.cells[0].detail


@pytest.mark.parametrize(
    ("name", "value", "blame"),
    [
        ("FileNotFoundError", "No such file: 'x.csv'", "data"),
        ("URLError", "<urlopen error [Errno -3] Temporary failure in name resolution>", "network"),
        ("MemoryError", "", "resources"),
        ("ZeroDivisionError", "division by zero", None),
    ],
)
def test_blame_of_an_exception(name: str, value: str, blame: str | None) -> None:
    found = verdict([code("x", count=1)], [code("x", error(name, value), count=1)])
    assert found.cells[0].blame == blame


def test_an_exception_that_was_there_before_is_the_same() -> None:
    cell = code("1/0", error("ZeroDivisionError", "division by zero"), count=1)
    assert verdict([cell], [cell]).verdict == "reproduced"


def test_another_exception_than_before_differs() -> None:
    found = verdict(
        [code("x", error("ValueError", "a"), count=1)],
        [code("x", error("TypeError", "b"), count=1)],
    )
    assert statuses(found) == ["different"]
    assert "ValueError" in found.cells[0].detail


def test_an_exception_that_is_gone_is_fixed() -> None:
    found = verdict([code("x", error("ValueError", "a"), count=1)], [code("x", count=1)])
    assert (found.verdict, statuses(found)) == ("differs", ["fixed"])


def test_without_stored_outputs_there_is_nothing_to_compare() -> None:
    found = verdict([code("1")], [code("1", result(text_plain="1"), count=1)])
    assert (found.verdict, statuses(found)) == ("unverifiable", ["no-baseline"])


def test_an_output_that_appears_or_vanishes_differs() -> None:
    with_output = code("x", result(text_plain="1"), count=1)
    without = code("x", count=1)
    assert compare_outputs(with_output.outputs, without.outputs) == (
        "1 outputs (text/plain) -> no output"
    )
    assert statuses(verdict([with_output], [without])) == ["different"]
    other = code("y", result(text_plain="2"), count=2)
    assert statuses(verdict([without, other], [with_output, other])) == ["different", "same"]


def test_cells_after_a_dead_kernel_are_not_run() -> None:
    cells = [code("a", stream("a"), count=1), code("b", count=2), code("c", count=3)]
    found = verdict(cells, cells, outcomes=["ok", "died", "not-run"], failure="It died.")
    assert (found.verdict, statuses(found)) == ("failed", ["same", "error", "not-run"])
    assert found.warnings[0] == "It died."


NO_X = error("NameError", "name 'x' is not defined")


def test_a_name_error_where_cells_ran_out_of_order() -> None:
    old = [code("print(x)", stream("1\n"), count=2), code("x = 1", count=1)]
    found = verdict(old, [code("print(x)", NO_X, count=1), old[1]])
    assert found.cells[0].blame == "execution-order"
    assert "cell 2, further down, sets it" in found.cells[0].detail
    assert any("out of order" in text for text in found.warnings)


def test_a_name_error_after_a_cell_that_failed() -> None:
    old = [code("x = get()", count=1), code("print(x)", stream("1\n"), count=2)]
    new = [code("x = get()", error("URLError", "no"), count=1), code("print(x)", NO_X, count=2)]
    found = verdict(old, new)
    assert [cell.blame for cell in found.cells] == ["network", "network"]
    assert "(cell 1, which sets it, failed)" in found.cells[1].detail


def test_a_name_error_that_nothing_explains() -> None:
    old = [code("print(x)", stream("1\n"), count=1)]
    assert verdict(old, [code("print(x)", NO_X, count=1)]).cells[0].blame is None


@pytest.mark.parametrize(
    "source",
    [
        "x = 1",
        "  x, y = 1, 2",
        "x += 1",
        "import x",
        "from a import b, x",
        "import a as x",
        "def x(): pass",
        "class x: pass",
        "for x in y: pass",
        "with open(f) as x: pass",
        "x: int = 1",
    ],
)
def test_what_binds_a_name(source: str) -> None:
    assert defines(source, "x")


@pytest.mark.parametrize("source", ["print(x)", "y = x", "x == 1", "f(x=1)", "xx = 1", "# x = 1"])
def test_what_does_not_bind_a_name(source: str) -> None:
    assert not defines(source, "x")


def test_a_cleared_notebook_that_keeps_its_counts_has_no_baseline() -> None:
    found = verdict(
        [code("1", count=1), code("x = 1", count=2)],
        [code("1", result(text_plain="1"), count=1), code("x = 1", count=2)],
    )
    assert (found.verdict, statuses(found)) == ("unverifiable", ["no-baseline", "no-baseline"])


def test_empty_cells_do_not_count() -> None:
    assert verdict([code("  ")], [code("  ")]).cells == ()


def test_what_ipydock_showed_does_not_count() -> None:
    own = result(text_plain="Dockerfile") | {"metadata": {"ipydock": True}}
    old = code("%%dockerize\n1", result(text_plain="1"), own, count=1)
    new = code("# %%dockerize\n1", result(text_plain="1"), count=1)
    assert statuses(verdict([old], [new])) == ["same"]


def test_the_cuts_of_a_stream_and_the_race_of_two_do_not_count() -> None:
    old = [stream("a\n"), stream("w", "stderr"), stream("b\n")]
    new = [stream("w", "stderr"), stream("a\nb\n")]
    assert compare_outputs(old, new) == ""


@pytest.mark.parametrize("text", ["a" * 1_000_000, "site-packages/" * 50_000, "x\n" * 200_000])
def test_long_text_is_compared_in_little_time(text: str) -> None:
    # The suite's time limit is what fails here: backtracking would take hours.
    assert compare_outputs([stream(text)], [stream(text)]) == ""
    assert compare_outputs([stream(text)], [stream(text + "y")]) != ""


def test_a_cell_that_may_raise_and_has_nothing_stored_has_no_baseline() -> None:
    old = code("1/0", count=1, tags=["raises-exception"])
    new = code("1/0", error("ZeroDivisionError", ""), count=1)
    other = code("2", result(text_plain="2"), count=2)
    found = verdict([old, other], [new, other])
    assert (found.verdict, statuses(found)) == ("reproduced", ["no-baseline", "same"])


def test_execution_counts_do_not_count() -> None:
    assert compare_outputs([result(1, text_plain="1")], [result(9, text_plain="1")]) == ""


def test_a_line_that_was_added_or_is_gone_is_said_so() -> None:
    old, new = [stream("a\nc\n")], [stream("a\nb\nc\n")]
    assert compare_outputs(old, new) == "stdout: added 'b'"
    assert compare_outputs(new, old) == "stdout: gone 'b'"


def test_plain_text_is_shown_before_html_and_style_sheets_do_not_count() -> None:
    old = [result(text_html="<style>a</style><b>1</b>", text_plain="1")]
    new = [result(text_html="<style>b</style><b>2</b>", text_plain="2")]
    assert compare_outputs(old, new) == "text/plain: '1' -> '2'"
    same = [result(text_html="<style>b</style><b>1</b>", text_plain="1")]
    assert compare_outputs(old, same) == ""


def test_html_is_compared_beside_its_text() -> None:
    old = [result(text_plain="a", text_html="<b>a</b>")]
    new = [result(text_plain="a", text_html="<b>b</b>")]
    assert compare_outputs(old, new).startswith("text/html")


def test_a_type_that_only_one_side_has_does_not_hide_the_rest() -> None:
    old = [result(text_plain="a")]
    new = [result(text_plain="a", text_html="<b>a</b>")]
    assert compare_outputs(old, new) == ""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("<Axes at 0x7f3a1c2b3d40>", "<Axes at 0x55d0e0ff1230>"),
        ("/tmp/ipykernel_12/345.py:3: UserWarning: x", "/tmp/ipykernel_9/1.py:3: UserWarning: x"),
        ("/home/ann/env/lib/python3.11/site-packages/a.py:1", "/usr/lib/site-packages/a.py:1"),
        ("\x1b[31mred\x1b[0m", "red"),
        (" 10%|# |\r 50%|## |\r100%|###|\n", "100%|###|\n"),
        ("line  \n", "line\n"),
    ],
)
def test_what_always_changes_in_text_is_taken_out(old: str, new: str) -> None:
    assert normalized(old) == normalized(new)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('<div id="sk-container-id-1">', '<div id="sk-container-id-7">'),
        ("<style>\na\n</style><b>1</b>", "<style>b</style><b>1</b>"),
        ("<svg><!-- by dot 2.40\n--></svg>", "<svg><!-- by dot 2.43\n--></svg>"),
        ('<table id="T_1a2b3">', '<table id="T_9f8e7">'),
    ],
)
def test_what_is_not_seen_in_markup_is_taken_out(old: str, new: str) -> None:
    assert normalized_markup(old) == normalized_markup(new)
    assert normalized_markup(old) != normalized_markup(new + "<b>more</b>")


@pytest.mark.parametrize(("old", "new"), [("0x1F", "0x2F"), ("a  b", "a b"), ("1.0", "1.00")])
def test_what_means_something_stays(old: str, new: str) -> None:
    assert normalized(old) != normalized(new)


@given(st.text())
def test_normalizing_twice_is_normalizing_once(text: str) -> None:
    once = normalized(text)
    assert normalized(once) == once


def picture(colour: int = 0, size: int = 8, spot: int = 0, level: int = 6) -> str:
    image = Image.new("RGB", (size, size), (colour, 0, 0))
    for index in range(spot):
        image.putpixel((index, 0), (255, 255, 255))
    page = io.BytesIO()
    image.save(page, "PNG", compress_level=level)
    return base64.b64encode(page.getvalue()).decode()


def plain(colour: tuple[int, ...]) -> str:
    page = io.BytesIO()
    Image.new("RGBA" if len(colour) == 4 else "RGB", (4, 4), colour).save(page, "PNG")
    return base64.b64encode(page.getvalue()).decode()


def test_pictures_are_compared_by_pixels() -> None:
    def shown(png: str) -> list[dict[str, Any]]:
        return [result(image_png=png, text_plain="<Figure>")]

    assert picture(level=0) != picture(level=9)
    assert compare_outputs(shown(picture(level=0)), shown(picture(level=9))) == ""
    assert "12.50%" in compare_outputs(shown(picture()), shown(picture(spot=8)))
    assert "8x8 pixels -> 9x9" in compare_outputs(shown(picture()), shown(picture(size=9)))
    for old, new in (((0, 0, 0), (0, 0, 4)), ((0, 0, 0), (1, 0, 0))):
        pair = [shown(plain(colour)) for colour in (old, new)]
        assert "100.00%" in compare_outputs(*pair)
    assert "100.00%" in compare_outputs(shown(plain((0, 0, 0, 0))), shown(plain((0, 0, 0, 255))))
    assert "cannot be read" in compare_outputs(shown(picture()), shown("bm90IGEgcG5n"))
