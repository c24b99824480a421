"""Files above the notebook's folder, absolute ones, and folders that are written to."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import samples
from tests.command import ipydock

ENGINES = [
    pytest.param("venv", id="venv"),
    pytest.param("docker", id="docker", marks=pytest.mark.engine),
]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A notebook two folders deep that reads and writes above its own."""
    folder = tmp_path / "my project" / "notebooks"
    (folder / "out").mkdir(parents=True)
    (tmp_path / "my project" / "data").mkdir()
    (tmp_path / "my project" / "data" / "x.csv").write_text("a,b\n")
    (tmp_path / "my project" / "lib").mkdir()
    (tmp_path / "my project" / "lib" / "mine.py").write_text("ANSWER = 42\n")
    return samples.write(
        folder / "a.ipynb",
        samples.code("print(open('../data/x.csv').read())", samples.stream("a,b\n\n"), count=1),
        samples.code(
            "import sys\nsys.path.append('../lib')\nimport mine\nmine.ANSWER",
            samples.result(2, text_plain="42"),
            count=2,
        ),
        samples.code(
            "for name in ('../data/y.csv', 'out/f.txt', '../z.txt'):\n"
            "    with open(name, 'w') as stream:\n        stream.write('1')\n"
            "import os\nos.path.basename(os.getcwd())",
            samples.result(3, text_plain="'notebooks'"),
            count=3,
        ),
    )


@pytest.mark.parametrize("engine", ENGINES)
def test_what_lies_above_is_where_the_cells_look_for_it(project: Path, engine: str) -> None:
    more = ("--include", "../data", "--include", "../lib/*.py")
    done = ipydock("verify", project, "--engine", engine, *more)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "reproduced" in done.stdout
    above = project.parent.parent
    assert not (above / "z.txt").exists()
    assert [path.name for path in (above / "data").iterdir()] == ["x.csv"]


def test_a_run_sees_what_lies_above_without_being_told(project: Path) -> None:
    nb = project.with_name("b.ipynb")
    nb.write_bytes(project.read_bytes().replace(b"../z.txt", b"out/z.txt"))
    done = ipydock("verify", nb, "--engine", "venv", "--run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "!" not in done.stdout


@pytest.fixture
def elsewhere() -> Iterator[Path]:
    """A folder that is not below /tmp, which an image has as its own."""
    folder = Path("/srv") / f"ipydock-test-{uuid.uuid4().hex[:8]}"
    try:
        (folder / "nb").mkdir(parents=True)
    except OSError:
        pytest.skip("cannot write to /srv")
    yield folder
    shutil.rmtree(folder)


@pytest.mark.engine
def test_absolute_paths(elsewhere: Path) -> None:
    (elsewhere / "d").mkdir()
    (elsewhere / "d" / "x.csv").write_text("1")
    (elsewhere / "nb" / "own.csv").write_text("2")
    nb = samples.write(
        elsewhere / "nb" / "a.ipynb",
        samples.code(
            f"print(open('{elsewhere}/d/x.csv').read(), open('{elsewhere}/nb/own.csv').read())\n"
            f"print(open('{elsewhere}/nb/new.csv', 'w').write('3'))",
            samples.stream("1 2\n1\n"),
            count=1,
        ),
    )
    done = ipydock("verify", nb, "--engine", "docker", "--include", elsewhere / "d" / "x.csv")
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (elsewhere / "nb" / "new.csv").exists()


def test_a_credential_in_a_cell_is_refused(tmp_path: Path) -> None:
    token = "ghp_" + "wWPw5k4aXcaT4fNP0UcnZwJUVFk6LO0pINUx"
    nb = samples.write(tmp_path / "a.ipynb", samples.code(f"token = '{token}'", count=1))
    done = ipydock("verify", nb, "--engine", "venv")
    assert done.returncode == 6
    assert "Cell 1" in done.stderr and "GitHub token" in done.stderr
    assert token not in done.stdout + done.stderr
    done = ipydock("dockerfile", nb)
    assert token not in done.stdout + done.stderr
