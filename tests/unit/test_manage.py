"""The verbs of the life cycle on the command line and in IPython, without a container engine."""

from __future__ import annotations

import gc
import json
import os
import re
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ipydock.cli import cli
from ipydock.errors import IpydockError
from ipydock.magics.manage import Shown
from ipydock.manage_view import (
    Page,
    Table,
    ago,
    containers_page,
    images_page,
    log_page,
    removal_page,
)
from ipydock.manage_view import to_rich as rich
from ipydock.managed import Action, Listing, Log, Removal
from ipydock.render import to_text
from ipydock.shown import plain
from tests.unit.test_lifecycle import A, container

# The Docker SDK leaves the socket of a failed connection to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
NOBODY = "unix:///nobody/listens/here.sock"


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    home = tmp_path / "environments" / ("1" * 24)
    home.mkdir(parents=True)
    (home / "recipe.json").write_text(f'{{"notebook": "my nb.ipynb", "digest": "{"1" * 64}"}}')
    (tmp_path / "environments" / ("2" * 24)).mkdir()
    return tmp_path


def run(cache: Path, *words: str) -> Result:
    env = {"DOCKER_HOST": NOBODY, "PATH": "", "IPYDOCK_CACHE_DIR": str(cache)}
    done = CliRunner().invoke(cli, words, env=env)
    gc.collect()
    return done


def listed(cache: Path) -> list[str]:
    found = Listing.model_validate_json(run(cache, "images", "--json").stdout)
    assert {image.engine for image in found.images} <= {"venv"}
    return sorted(image.notebook for image in found.images)


def test_listed_pruned_and_removed(cache: Path) -> None:
    done = run(cache, "images")
    assert done.exit_code == 0, done.output
    assert "ipydock/my-nb:111111111111" in done.stdout
    assert "cut short" in done.stdout
    assert "No Docker engine answers" in done.stderr  # why there are none of its images
    assert listed(cache) == ["", "my nb.ipynb"]
    plan = Removal.model_validate_json(run(cache, "prune", "--older-than", "7d", "--json").stdout)
    assert (plan.done, [action.what for action in plan.removed]) == (False, ["2" * 12])
    done = run(cache, "prune")
    assert "Would remove image 222222222222 (was cut short)" in done.stdout
    assert "Nothing was removed; --yes does it." in done.stderr
    assert listed(cache) == ["", "my nb.ipynb"]
    assert json.loads(run(cache, "prune", "--yes", "--json").stdout)["done"] is True
    assert listed(cache) == ["my nb.ipynb"]
    done = run(cache, "rm", "ipydock/my-nb:111111111111")
    assert done.stdout == "Removed image ipydock/my-nb:111111111111\n"
    assert run(cache, "images").stdout == "There are no images of ipydock's.\n"


def test_an_engine_that_was_named_is_missed_beside_others(cache: Path) -> None:
    env = {"DOCKER_HOST": NOBODY, "IPYDOCK_CACHE_DIR": str(cache)}  # podman may be on the PATH
    done = CliRunner().invoke(cli, ("images",), env=env)
    gc.collect()
    assert "No Docker engine answers" in done.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("rm", "nothing"), "There is no image or container nothing"),
        (("logs", "ipydock-nothing"), "There is no image or container ipydock-nothing"),
        (("logs", "../../x"), "There is no image or container"),
        (("stop", "ipydock/my-nb:111111111111"), "is an image"),
        (("prune", "--older-than", "soon"), "'soon' is not an age"),
        (("save", "nothing", "-o", "x.tar"), "There is no image"),
        (("images", "--engine", "docker"), "No Docker engine answers"),
        (("load", "x.tar", "--engine", "podman"), "There is no podman"),
    ],
)
def test_errors_say_what_is_wrong(cache: Path, words: tuple[str, ...], says: str) -> None:
    error = run(cache, *words).exception
    assert isinstance(error, IpydockError)
    assert error.exit_code == (3 if words[-2] == "--engine" else 2)
    assert says in error.paragraph()
    assert error.hint


@pytest.mark.parametrize("words", [("rm",), ("rm", "a", "--all"), ("stop",), ("save", "x")])
def test_bad_usage(cache: Path, words: tuple[str, ...]) -> None:
    assert run(cache, *words).exit_code == 2


def test_in_html_ids_and_words_stay_whole() -> None:
    html = Shown(images_page(Listing(images=(A,))))._repr_mimebundle_()[0]["text/html"]
    styles = re.findall(r'<td style="([^"]*)">[^<]', html)
    assert len(styles) > 5
    assert all("white-space: pre;" in style for style in styles)
    long = Page(None, table=Table(("WHAT",), (("<b>" + "a sentence " * 20,),)))
    html = Shown(long)._repr_mimebundle_()[0]["text/html"]
    assert "white-space: pre-wrap" in html
    assert "<b>" not in html


TYPED = """\
%load_ext ipydock
%ipydock
%ipydock images
%ipydock prune
%ipydock nonsense
%ipydock rm nothing
%ipydock logs -h
found = %ipydock images
print(sorted(found.document), "<td" in found._repr_mimebundle_()[0]["text/html"])
%ipydock ps --json
print(get_ipython().Completer.complete(line_buffer="%ipydock pr", text="pr")[1])
print(get_ipython().Completer.complete(line_buffer="%ipydock ps --en", text="--en")[1])
print(get_ipython().Completer.complete(line_buffer="%ipydock rm ", text="")[1])
%unload_ext ipydock
%ipydock ps
"""


def test_the_same_in_a_notebook(cache: Path, tmp_path: Path) -> None:
    environment = {"DOCKER_HOST": NOBODY, "PATH": "", "IPYDOCK_CACHE_DIR": str(cache)}
    done = subprocess.run(
        [sys.executable, "-m", "IPython", "--colors=NoColor", "--no-banner", "--simple-prompt"],
        input=TYPED,
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={**os.environ, **environment, "IPYTHONDIR": str(tmp_path / "ipython")},
    )
    out = done.stdout + done.stderr
    assert "Usage: %ipydock VERB" in out
    assert "ipydock/my-nb:111111111111" in out
    assert "Would remove image 222222222222 (was cut short)" in out
    assert "Nothing was removed; add --yes to do it." in out
    assert "has no verb 'nonsense'" in out
    assert "There is no image or container nothing" in out
    assert "--tail" in out
    assert "['containers', 'images', 'schema', 'silent'] True" in out
    assert json.dumps("containers") in out
    assert "['prune']" in out
    assert "['--engine']" in out
    assert "['ipydock/my-nb:111111111111']" in out
    assert "Line magic function `%ipydock` not found" in out


def test_rows_of_images_and_containers() -> None:
    text = to_text(rich(images_page(Listing(images=(A,)))), 200)
    assert "ipydock/a:1" in text
    assert "aaaaaaaaaaaa" in text
    by_hand = container("web", kind="by-hand", session="")
    text = to_text(rich(containers_page(Listing(containers=(by_hand,)))), 200)
    assert "started by hand" in text


def test_what_would_steer_a_terminal_is_left_out() -> None:
    hostile = "\x1b]0;title\x07\x1b[31mred\x1b[0m\r\x08\u202eend\n\tx"
    assert plain(hostile) == "redend\n\tx"
    named = A.model_copy(update={"notebook": hostile, "tags": ()})
    for page in (
        images_page(Listing(images=(named,))),
        log_page(Log(name="x", source="x", text=hostile)),
    ):
        assert "\x1b" not in to_text(rich(page), 200)


def test_freed_is_said_with_what_may_be_kept() -> None:
    action = Action(thing="image", what="x:1", id="1")
    page = removal_page(Removal(done=True, removed=(action,), freed_bytes=5_000_000))
    assert page.lines == ("Removed image x:1",)
    assert "Freed 5.0 MB" in page.notes[0]
    page = removal_page(Removal(done=False))
    assert page.lines == ("There is nothing to remove.",)


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "now"), (1, "1 second"), (7300, "2 hours"), (8 * 86400, "1 week")]
)
def test_ages_in_words(seconds: int, words: str) -> None:
    now = datetime(2026, 1, 1, tzinfo=timezone.utc)
    assert ago(now - timedelta(seconds=seconds), now) == words
