"""What is shown of a build that fails: the end of what the failed step wrote."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import uv

from ipydock.engine.interface import Engine
from ipydock.errors import BuildError
from tests import samples
from tests.command import ipydock, paragraph
from tests.engine.builds import LOCAL, context, recipe

pytestmark = pytest.mark.engine
PROJECT = """\
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "mine"
version = "1.0"
"""


@pytest.mark.parametrize("engine", LOCAL, indirect=True)
def test_the_lines_are_those_of_the_failed_step(engine: Engine, tmp_path: Path) -> None:
    made = recipe(engine, "RUN echo before", "RUN echo first; echo second; exit 3")
    with pytest.raises(BuildError) as caught:
        engine.build(made, context(tmp_path, made), on_event=lambda _event: None)
    lines = caught.value.last_lines()
    assert lines[:2] == ("first", "second")
    assert "3" in lines[-1]
    assert not any("before" in line for line in lines)


def test_a_wheel_that_cannot_be_built(tmp_path: Path) -> None:
    """In a stage beside that of the other packages, whose lines come in between."""
    package = tmp_path / "package"
    package.mkdir()
    (package / "pyproject.toml").write_text(PROJECT)
    (package / "mine.py").write_text("x = 1\n")
    program = uv.find_uv_bin()
    env = tmp_path / "env"
    subprocess.run([program, "venv", "-q", "--python", sys.executable, str(env)], check=True)
    python = env / "bin" / "python"
    install = [program, "pip", "install", "-q", "--python", str(python), "-e", str(package)]
    subprocess.run(install, check=True)
    (package / "setup.py").write_text("raise SystemExit('the tables: operation timed out')\n")
    nb = samples.write(tmp_path / "x.ipynb", samples.code("import mine"))
    done = ipydock("verify", nb, "--python", python, "--engine", "docker", "--json")
    assert done.returncode == 4, done.stderr
    assert done.stdout == ""
    assert "  | the tables: operation timed out\n" in done.stderr
    assert "the network cannot be reached from the build" in paragraph(done)
