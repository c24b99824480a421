"""The magics' watch in a real kernel: what cells use, told apart, from the first cell or late."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

from ipydock.errors import InputError
from ipydock.magics.dockerize import _check_output
from ipydock.magics.result import Dockerized
from ipydock.models import Capture, ContextFile, DataFile, Program, Recipe
from ipydock.notebook import load
from tests import samples

LOAD = "%load_ext ipydock"
ASK = "found = get_ipython().run_line_magic('dockerize', '--engine venv')"
TELL = "print('CAPTURE', found.capture.model_dump_json())"
USES = (
    "import subprocess, os\nimport six",
    "open('in.csv').read()",
    "subprocess.run(['true'])\nos.environ.get('MY_SETTING')",
    "open('out.txt', 'w').write('x')",
)


class Kernel:
    """A kernel in which a notebook is run cell by cell, as a front end does it."""

    def __init__(self, client: BlockingKernelClient, folder: Path) -> None:
        self.client = client
        self.folder = folder
        self.path = folder / "nb.ipynb"

    def run(self, source: str) -> str:
        """What a cell prints and shows; fails with its error."""
        shown: list[str] = []

        def take(message: dict[str, Any]) -> None:
            content = message["content"]
            shown.append(content.get("text") or content.get("data", {}).get("text/plain", ""))

        reply = self.client.execute_interactive(source, output_hook=take, timeout=60)
        content = reply["content"]
        assert content["status"] == "ok", f"{content['ename']}: {content['evalue']}"
        return "".join(shown)

    def play(self, *sources: str) -> None:
        samples.write(self.path, *map(samples.code, sources))
        for source in sources:
            self.run(source)

    def capture(self) -> Capture:
        """What the result object of `ASK` holds."""
        text = self.run(TELL)
        return Capture.model_validate_json(text[text.index("CAPTURE") + len("CAPTURE ") :])


@pytest.fixture
def kernel(tmp_path: Path) -> Iterator[Kernel]:
    (tmp_path / "in.csv").write_text("a\n1\n")
    manager = KernelManager(kernel_name="python3")
    environment = {**os.environ, "JPY_SESSION_NAME": str(tmp_path / "nb.ipynb")}
    environment.pop("PYTEST_CURRENT_TEST", None)
    manager.start_kernel(cwd=str(tmp_path), env=environment)
    client = manager.blocking_client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        yield Kernel(client, tmp_path)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def places(things: Any) -> dict[str, list[int | None]]:
    """The cells in which each thing was seen to be used."""
    return {
        getattr(thing, "path", None) or thing.name: sorted(
            {place.number for place in thing.evidence if place.source == "session"}
        )
        for thing in things
    }


def test_what_cells_use_is_told_with_the_cell(kernel: Kernel) -> None:
    kernel.play(LOAD, *USES, ASK)
    found = kernel.capture()
    assert found.sources == ("source", "session", "environment")
    assert [r.distribution for r in found.requested] == ["six"]
    assert places(found.files_read) == {"in.csv": [3]}
    assert places(found.files_written) == {"out.txt": [5]}
    assert [(p.name, p.evidence[-1].number) for p in found.programs] == [("true", 4)]
    assert found.env_names == ("MY_SETTING",)
    assert not any("before ipydock was loaded" in text for text in found.unseen)


def test_what_was_before_the_watch_is_said_not_to_be_seen(kernel: Kernel) -> None:
    kernel.play(*USES[:3], LOAD, USES[3], ASK)
    found = kernel.capture()
    assert places(found.files_written) == {"out.txt": [5]}
    assert any("before ipydock was loaded in this session" in text for text in found.unseen)


def test_one_cell_alone(kernel: Kernel) -> None:
    cell = "import six\nopen('other.csv').read()"
    (kernel.folder / "other.csv").write_text("b\n")
    ask = f"found = get_ipython().run_cell_magic('dockerize', '--cell --engine venv', {cell!r})"
    kernel.play(LOAD, *USES, ask)
    found = kernel.capture()
    assert [r.distribution for r in found.requested] == ["six"]
    assert [file.path for file in found.files_read] == ["other.csv"]
    assert not found.files_written and not found.programs and not found.env_names


STATE = """
import os
import re
from ipydock.capture import watch
calls = [c.__name__ for c in get_ipython().events.callbacks["pre_run_cell"]]
print(watch._watching, type(os.environ) is watch.environ.PLAIN, "_before_cell" in calls,
      "dockerize" in get_ipython().magics_manager.magics["line"], watch._since, len(watch._past))
"""


def test_unloading_ends_the_watch_and_loading_begins_it_anew(kernel: Kernel) -> None:
    kernel.run(LOAD)
    kernel.run("open('in.csv').read()")
    assert kernel.run(STATE).split()[:5] == ["True", "False", "True", "True", "0"]
    kernel.run("%unload_ext ipydock")
    before = kernel.run(STATE).split()
    assert before[:4] == ["False", "True", "False", "False"]
    kernel.run("open('out.txt', 'w').write('x')")
    assert kernel.run(STATE).split() == before
    kernel.run(LOAD)
    told = kernel.run(STATE).split()
    assert told[:4] == ["True", "False", "True", "True"]
    assert int(told[4]) > 0  # something may have been missed


def test_reloading_misses_nothing(kernel: Kernel) -> None:
    kernel.run(LOAD)
    kernel.run("%reload_ext ipydock")
    assert kernel.run(STATE).split()[:5] == ["True", "False", "True", "True", "0"]


def test_a_notebook_that_logs_everything_sees_no_messages_of_ours(kernel: Kernel) -> None:
    kernel.run("import logging, sys\nlogging.basicConfig(level=logging.DEBUG, stream=sys.stdout)")
    kernel.run(LOAD)
    assert "DEBUG" in kernel.run("logging.getLogger('docker').debug('mine')")
    # The engine that does not answer is asked, and left.
    kernel.run("import os; os.environ['DOCKER_HOST'] = 'tcp://127.0.0.1:9'")
    assert "DEBUG" not in kernel.run(ASK.replace("--engine venv", ""))
    assert "DEBUG" in kernel.run("logging.getLogger('docker').debug('mine')")


def test_the_view_in_a_notebook() -> None:
    many = tuple(Program(name=f"program{n}", evidence=()) for n in range(20))
    found = samples.capture(
        programs=many,
        env_names=("<b>NAME</b>",),
        requested=(samples.requested("cv2", "opencv-python", None, guess=True),),
        warnings=("Look out.", "Look out."),
    )
    html = Dockerized(found)._repr_mimebundle_()[0]["text/html"]
    order = ["needs Python", "Look out.", "Doubtful", "System packages", "Programs", "Known from"]
    assert sorted(order, key=html.index) == order
    assert html.count("Look out.") == 1
    # Long parts are folded, what is doubtful is not; colours are the theme's.
    assert re.search(r"<summary[^>]*><strong>Programs</strong> <span[^>]*>20</span>", html)
    assert not re.search(r"<summary[^>]*><strong>Doubtful", html)
    assert "&lt;b&gt;NAME" in html and "<b>NAME" not in html
    assert not re.search(r"(?<!, )#[0-9a-f]{3,6}\b", html)


def _recipe(file: ContextFile) -> Recipe:
    return Recipe(
        notebook="x.ipynb",
        notebook_sha256="0",
        base="b",
        python=samples.capture().python,
        dockerfile="FROM b",
        lock="",
        dockerignore="",
        packages=(),
        files=(file,),
        digest="0" * 64,
    )


def test_a_file_that_was_asked_for_is_not_said_to_stay_out() -> None:
    big = DataFile(path="big.bin", sha256=None, policy="mount", size_bytes=10**9)
    found = samples.capture(files_read=(big,))
    taken = ContextFile(path="big.bin", sha256="0", size_bytes=10**9, kind="data")
    left, took = Dockerized(found), Dockerized(found, _recipe(taken))
    out = "Files that will not be in the image"
    for kind in ("text/html", "text/plain"):
        assert out in left._repr_mimebundle_()[0][kind]
        assert out not in took._repr_mimebundle_()[0][kind]
        assert "big.bin" in took._repr_mimebundle_()[0][kind]


def test_where_a_rerun_cannot_be_written_the_mend_is_not_the_magics_own_o(tmp_path: Path) -> None:
    nb = samples.write(tmp_path / "nb.ipynb", samples.code("1"))
    (tmp_path / "nb.rerun.ipynb").mkdir()
    with pytest.raises(InputError, match="is a folder") as caught:
        _check_output(load(nb), tmp_path / "nb.rerun.ipynb")
    assert "ipydock rerun NOTEBOOK -o" in caught.value.hint
