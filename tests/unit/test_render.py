"""What people read, compared whole."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import pytest
from rich.console import Console

import ipydock
from ipydock.errors import BuildError
from ipydock.events import (
    CellFinished,
    Event,
    LogLine,
    StageFinished,
    StageStarted,
    StepFinished,
    StepStarted,
    Warned,
)
from ipydock.models import CellVerdict, Evidence, Loaded, LocalModule, Settings, Verdict
from ipydock.render import capture_view, to_text, verdict_view
from ipydock.terminal import TerminalProgress
from tests import samples


def test_a_capture_shows_doubtful_things_first() -> None:
    found = samples.capture(
        requested=(
            samples.requested("six", "six", "1.17.0"),
            samples.requested("cv2", "opencv-python", None, guess=True),
            samples.requested("mine", None, None, "from mine import x"),
        ),
        loaded=(
            Loaded(distribution="tabulate", version="0.9", by="pandas", needed=True),
            Loaded(distribution="idna", version="3", by="not known"),
        ),
        settings=Settings(locale="C.UTF-8", random={"numpy": True, "random": False}),
        warnings=(
            "Look out.",
            "Module cv2 is not installed where the notebook was captured; opencv-python is a "
            "guess from its name.",
            "Files that cells read are too large to be copied: big.bin.",
            "Look out.",
        ),
    )
    assert to_text(capture_view(found)) == (
        "sample.ipynb needs Python 3.11  captured from 3.11.7; 2 packages with all that these "
        "require\n\n"
        "Doubtful: not installed where the notebook was captured\n"
        "  opencv-python  a guess                cell 1: import cv2\n"
        "  mine           no distribution known  cell 1: from mine import x\n"
        "  Install them there and capture again, or name them when you build: --add-pip "
        "NAME==VERSION.\n\n"
        "Files that will not be in the image\n"
        "  big.bin  1.0 GB, mount\n"
        "  Mount: too large to copy; mount them in the rerun (--mount SOURCE:TARGET), or copy them "
        "all the\n  same (--include).\n\n"
        "Python packages\n"
        "  six  1.17.0  cell 1: import six\n\n"
        "Used by them\n"
        "  tabulate  0.9  pandas\n"
        "  In memory too, but not needed for the results: 1 more.\n\n"
        "System packages\n"
        "  graphviz  cell 2: !dot -V\n\n"
        "Local modules\n"
        "  helper.py\n\n"
        "Files it reads\n"
        "  data/a.csv  0 B\n\n"
        "Known from: what the cells say, the installed packages.\n"
        "It ran with locale C.UTF-8; random numbers of numpy seeded; random numbers of random not "
        "seeded.\n\n"
        "! Look out."
    )


def test_what_a_section_shows_is_no_warning_too(tmp_path: Path) -> None:
    nb = samples.write(tmp_path / "x.ipynb", samples.code("import theano\nopen('no.csv').read()"))
    text = to_text(capture_view(ipydock.capture(nb)))
    assert re.search(r"theano +a guess", text) and re.search(r"no.csv +missing", text)
    assert "!" not in text


@pytest.mark.parametrize("width", [40, 80, 140])
def test_a_view_is_as_wide_as_the_terminal(width: int) -> None:
    place = Evidence(source="source", text="read(" + "x" * 200, cell=0, number=1, line=1)
    long = LocalModule(name="m", path="a" * 90 + ".py", sha256="0", size_bytes=1, evidence=(place,))
    text = to_text(capture_view(samples.capture(local_modules=(long,))), width)
    assert max(map(len, text.splitlines())) <= width
    assert re.search(r"six +1.17.0", text)
    assert "".join(line.split()[0] for line in text.splitlines() if "aaa" in line)[:50] == "a" * 50


def test_a_verdict_says_the_same_of_like_cells_once() -> None:
    def cell(number: int, **more: object) -> CellVerdict:
        return CellVerdict.model_validate({"index": number, "number": number, **more})

    verdict = Verdict(
        notebook="x.ipynb",
        verdict="failed",
        cells=(
            cell(1, status="same"),
            cell(2, status="error", blame="data", detail="FileNotFoundError: x"),
            *(cell(n, status="error", blame="data", detail="NameError: y") for n in range(3, 9)),
            cell(9, status="not-run"),
        ),
    )
    assert to_text(verdict_view(verdict)) == (
        "failed  It fails in the clean environment.\n"
        "  ✓✗✗✗✗✗✗✗-\n"
        "  1 same, 7 error, 1 not run\n\n"
        "  cell 2                       ✗ error  FileNotFoundError: x  [data]\n"
        "  cells 3, 4, 5, 6 and 2 more  ✗ error  NameError: y  [data]"
    )


EVENTS: list[Event] = [
    StageStarted("build", "Build x"),
    StepStarted("build", "1", "RUN quick"),
    StepFinished("build", "1", 0.1),
    StepStarted("build", "2", "RUN slow"),
    LogLine("build", "a line", "2"),
    StepFinished("build", "2", 12.34),
    Warned("build", "careful"),
    CellFinished(0, 1, 3, "ok", 0.1),
    CellFinished(1, 2, 3, "ok", 3.0),
    CellFinished(2, 3, 3, "error", 0.1),
    StageFinished("build", 13.0, "all done"),
]


def lines(*, fail: bool = False, **options: bool) -> list[str]:
    page = io.StringIO()
    with (
        contextlib.suppress(ZeroDivisionError),
        TerminalProgress(Console(file=page), **options) as progress,
    ):
        for event in EVENTS:
            progress(event)
        if fail:
            raise ZeroDivisionError
    return page.getvalue().splitlines()


def test_progress_lists_what_took_its_time() -> None:
    assert lines() == [
        "Build x",
        "   12.3 s    RUN slow",
        "  ! careful",
        "    3.0 s    cell 2 of 3",
        "    0.1 s    cell 3: error",
        "   13.0 s  all done",
    ]


def test_progress_can_say_more_or_nothing() -> None:
    assert "           a line" in lines(verbose=True)
    assert lines(quiet=True) == []


def test_warnings_are_left_to_the_result_if_there_is_one() -> None:
    assert "  ! careful" not in lines(hold=True)
    assert lines(hold=True, fail=True)[-1] == "  ! careful"
    assert lines(hold=True, fail=True, quiet=True) == []


def test_progress_on_a_terminal_ends_with_the_same_lines() -> None:
    page = io.StringIO()
    console = Console(file=page, force_terminal=True, width=60)
    with TerminalProgress(console) as progress:
        for event in EVENTS:
            progress(event)
    assert "all done" in page.getvalue()


def test_of_steps_beside_each_other_one_that_still_runs_is_shown() -> None:
    page = io.StringIO()
    console = Console(file=page, force_terminal=True, width=100)
    with TerminalProgress(console) as progress:
        progress(StageStarted("build", "Build x"))
        progress(StepStarted("build", "1", "RUN long"))
        progress(StepStarted("build", "2", "COPY short"))
        progress(StepFinished("build", "2", 0.1))
        page.truncate(0)
    last = page.getvalue()
    assert "RUN long" in last
    assert "COPY" not in last


@pytest.mark.parametrize("quiet", [False, True])
@pytest.mark.parametrize("terminal", [False, True])
def test_a_failed_build_shows_what_its_step_wrote_last(quiet: bool, terminal: bool) -> None:
    page = io.StringIO()
    console = Console(file=page, force_terminal=terminal, width=30)
    long = "error: Failed to fetch `https://pypi.org/simple/setuptools/`"
    evidence = "\n".join((*(f"line {number}" for number in range(30)), long))
    with (
        pytest.raises(BuildError),
        TerminalProgress(console, quiet=quiet),
    ):
        raise BuildError("The build failed.", evidence=evidence)
    assert f"  | line 29\n  | {long}\n" in page.getvalue()
    assert "line 10" not in page.getvalue()


def test_with_v_the_log_was_shown_already() -> None:
    page = io.StringIO()
    with pytest.raises(BuildError), TerminalProgress(Console(file=page), verbose=True):
        raise BuildError("The build failed.", evidence="a line")
    assert page.getvalue() == ""
