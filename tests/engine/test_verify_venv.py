"""The loop without any container engine: a fresh environment in an empty folder."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

from tests import samples
from tests.command import document, ipydock, paragraph

VENV = ("--engine", "venv")
NOBODY = "unix:///nobody/listens/here.sock"


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A place for temporary files that is empty afterwards; short, as sockets live in it."""
    folder = Path(tempfile.mkdtemp(prefix="t-"))
    yield folder
    assert list(folder.iterdir()) == []
    folder.rmdir()


def test_verify_reproduces_and_says_that_it_is_weaker(notebook: Path, scratch: Path) -> None:
    done = ipydock("verify", notebook, *VENV, TMPDIR=str(scratch))
    assert done.returncode == 0, done.stderr
    assert "reproduced" in done.stdout
    assert "this is weaker" in done.stderr
    assert (notebook.parent / "my nb.rerun.ipynb").exists()
    again = document(ipydock("verify", notebook, *VENV, "--json"))
    assert again["image"]["cached"] is True
    assert again["engine"] == "venv"


def test_auto_takes_it_where_there_is_nothing_else(notebook: Path) -> None:
    done = ipydock("verify", notebook, DOCKER_HOST=NOBODY, PATH=str(notebook.parent))
    assert done.returncode == 0, done.stderr
    assert "Using venv: No Docker engine answers" in done.stderr


def test_the_environment_is_scrubbed_and_the_folder_fresh(tmp_path: Path) -> None:
    (tmp_path / "not asked for.txt").write_text("x")
    nb = samples.write(
        tmp_path / "x.ipynb",
        samples.code(
            "import os\nprint(sorted(os.listdir()))\nprint('SECRET_OF_MINE' in os.environ)\n"
            "print(os.environ['HOME'] == os.path.expanduser('~'), os.environ['LANG'])\n"
            "open('written.txt', 'w').write('x')",
            samples.stream("['x.ipynb']\nFalse\nTrue C.UTF-8\n"),
            samples.result(text_plain="1"),
            count=1,
        ),
    )
    done = ipydock("verify", nb, *VENV, SECRET_OF_MINE="1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (tmp_path / "written.txt").exists()


def test_a_package_that_the_environment_lacks_is_missed(tmp_path: Path) -> None:
    # It is installed where the tests run, and nothing in the notebook asks for it by a name.
    nb = samples.write(tmp_path / "x.ipynb", samples.code("m = 'hypo' + 'thesis'\n__import__(m)"))
    done = ipydock("verify", nb, *VENV, "--json")
    assert done.returncode == 5
    assert document(done)["cells"][0]["blame"] == "environment"


def test_a_kernel_that_dies_and_a_cell_that_never_ends(tmp_path: Path, scratch: Path) -> None:
    dies = samples.write(tmp_path / "dies.ipynb", samples.code("import os; os._exit(3)", count=1))
    done = ipydock("verify", dies, *VENV, "--json", TMPDIR=str(scratch))
    assert done.returncode == 5
    assert "exit code 3" in document(done)["warnings"][0]
    loops = samples.write(tmp_path / "loops.ipynb", samples.code("while True: pass", count=1))
    began = time.monotonic()
    done = ipydock("rerun", loops, *VENV, "--timeout", "1", TMPDIR=str(scratch))
    assert done.returncode == 5
    assert "--timeout" in paragraph(done)
    assert time.monotonic() - began < 30


def test_what_it_cannot_do_is_said(notebook: Path) -> None:
    done = ipydock("verify", notebook, *VENV, "--mount", f"{notebook.parent}:/b")
    assert done.returncode == 2
    assert "no mounts" in paragraph(done)
    done = ipydock("build", notebook, *VENV, "--platform", "linux/arm64")
    assert done.returncode == 2
    assert "this machine only" in paragraph(done)
    done = ipydock("build", notebook, *VENV, "--add-apt", "graphviz")
    assert done.returncode == 0
    assert "System packages are not installed by this engine: graphviz." in done.stderr


def test_a_cell_is_not_run_in_the_users_folder(tmp_path: Path) -> None:
    nb = samples.write(tmp_path / "x.ipynb", samples.code("import os; print(os.getcwd())"))
    assert ipydock("rerun", nb, *VENV).returncode == 0
    executed = nbformat.read(tmp_path / "x.rerun.ipynb", as_version=4)
    assert str(tmp_path) not in executed.cells[0].outputs[0].text


@pytest.mark.parametrize("verb", ["build", "verify"])
def test_an_environment_that_cannot_be_written(notebook: Path, verb: str, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    done = ipydock(verb, notebook, *VENV, IPYDOCK_CACHE_DIR=str(blocked))
    assert done.returncode == 4
    assert "IPYDOCK_CACHE_DIR" in paragraph(done)
