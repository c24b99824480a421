"""The progress of a magic in a notebook: steps, seconds, what failed; errors in a paragraph."""

from __future__ import annotations

import html
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from IPython.core.displaypub import DisplayPublisher
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell

from ipydock.errors import BuildError, Cancelled, InputError
from ipydock.events import Progressed, StageStarted, StepFinished, StepStarted, Warned
from ipydock.magics.calm import calmly
from ipydock.magics.live import LiveProgress

BUILD = StageStarted("build", "Build <b>x</b>")


@pytest.fixture
def pages() -> Iterator[list[str]]:
    """The HTML of the output, each time it is written, without tags."""
    told: list[str] = []

    class Publisher(DisplayPublisher):
        def publish(self, data: dict[str, Any], *_args: Any, **_more: Any) -> None:
            text = data.get("text/html", "")
            assert "<b>" not in text
            bar = re.search(r'<progress max="1" value="([^"]*)"', text)
            words = " ".join(html.unescape(re.sub(r"<[^>]*>", " ", text)).split())
            told.append(words + (f" [{bar[1]}]" if bar else ""))

    shell = InteractiveShell.instance()
    before, shell.display_pub = shell.display_pub, Publisher()  # type: ignore[no-untyped-call]
    yield told
    shell.display_pub = before


def test_the_seconds_go_on_while_nothing_is_reported(pages: list[str]) -> None:
    with LiveProgress() as progress:
        progress(BUILD)
        progress(StepStarted("build", "1", "RUN sleep"))
        end = time.monotonic() + 20
        while not any("RUN sleep 2 s" in page for page in pages):
            assert time.monotonic() < end
            time.sleep(0.05)


def test_of_steps_beside_each_other_one_that_still_runs_is_shown(pages: list[str]) -> None:
    with LiveProgress() as progress:
        progress(BUILD)
        progress(StepStarted("build", "1", "RUN " + "x" * 200))
        progress(StepStarted("build", "2", "COPY short"))
        progress(StepFinished("build", "2", 0.1))
    assert "COPY" not in pages[-1]
    assert pages[-1].endswith("RUN " + "x" * 96 + "…")


def test_sizes_and_a_bar_where_the_total_is_known(pages: list[str]) -> None:
    with LiveProgress() as progress:
        progress(BUILD)
        progress(StepStarted("build", "1", "Send the files"))
        time.sleep(0.25)  # it is not written more often
        progress(Progressed("build", 50_000_000, 200_000_000))
        assert pages[-1].endswith("Send the files 50.0 MB of 200.0 MB [0.250]")


def test_a_failed_build_shows_the_step_and_its_last_lines(pages: list[str]) -> None:
    with pytest.raises(BuildError), LiveProgress() as progress:
        progress(BUILD)
        progress(StepStarted("build", "1", "RUN false"))
        raise BuildError("It failed.", evidence="\n".join(f"line {n} <b>" for n in range(40)))
    assert "✗ Build <b>x</b> RUN false" in pages[-1]
    assert pages[-1].endswith("line 38 <b> line 39 <b>")
    assert "line 9 " not in pages[-1]


def test_warnings_are_said_where_no_result_will_show_them(pages: list[str]) -> None:
    with LiveProgress() as progress:
        progress(BUILD)
        progress(Warned("build", "Look <b>out</b>."))
    assert "Look" not in pages[-1]
    with pytest.raises(KeyboardInterrupt), LiveProgress() as progress:
        progress(BUILD)
        progress(Warned("build", "Look <b>out</b>."))
        raise KeyboardInterrupt
    assert pages[-1].endswith("! Look <b>out</b>.")


@pytest.mark.parametrize(
    ("error", "kind", "says"),
    [
        (BuildError("It failed", hint="Mend it."), BuildError, "Error: It failed. Mend it."),
        (InputError("It is wrong", hint="Mend it."), UsageError, ""),
        (KeyboardInterrupt(), Cancelled, "Error: Interrupted; nothing was left running."),
    ],
)
def test_errors_and_interrupts_have_no_traceback(
    error: BaseException, kind: type[Exception], says: str
) -> None:
    with pytest.raises(kind) as caught, calmly():
        raise error
    assert caught.value.__suppress_context__
    if kind is UsageError:
        assert str(caught.value) == "It is wrong. Mend it."
    else:
        assert caught.value._render_traceback_() == [says]  # type: ignore[attr-defined]
