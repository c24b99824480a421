"""The magics in a real kernel, as JupyterLab and VS Code start it, and in plain IPython."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from tests import samples
from tests.command import document, ipydock

LOAD = "%load_ext ipydock"


def play(
    path: Path, *, told: bool = True, allow_errors: bool = False
) -> list[list[dict[str, Any]]]:
    """Run a notebook in a kernel that was told its path, save it, and give each cell's outputs."""
    node = nbformat.read(path, as_version=4)
    client = NotebookClient(
        node,
        resources={"metadata": {"path": str(path.parent)}},
        allow_errors=allow_errors,
        kernel_name="python3",
    )
    environment = {**os.environ, **({"JPY_SESSION_NAME": str(path)} if told else {})}
    client.execute(env=environment)
    nbformat.write(node, path)
    return [[dict(o) for o in cell.outputs] for cell in node.cells]


def shown(outputs: list[dict[str, Any]]) -> dict[str, str]:
    """The bundle that the magic returned."""
    bundle: dict[str, str] = outputs[-1]["data"]
    assert outputs[-1]["metadata"] == {"ipydock": True}
    return bundle


def test_dockerize_shows_what_why_and_the_dockerfile(tmp_path: Path) -> None:
    nb = samples.write(
        tmp_path / "my nb.ipynb",
        samples.code("import six  # <script>alert(1)</script>"),
        samples.code(LOAD),
        samples.code("%dockerize --engine venv"),
    )
    bundle = shown(play(nb)[2])
    assert "my nb.ipynb needs Python" in bundle["text/plain"]
    assert re.search(r"six +\d\S+ +cell 1: import six", bundle["text/plain"])
    assert "FROM python:" in bundle["text/plain"]
    assert "ipydock==" not in bundle["text/plain"]
    assert "<script>" not in bundle["text/html"]
    assert "&lt;script&gt;" in bundle["text/html"]
    assert "FROM python:" in bundle["text/html"]


def test_the_context_can_be_written(tmp_path: Path) -> None:
    nb = samples.write(
        tmp_path / "x.ipynb",
        samples.code("import six"),
        samples.code(f"{LOAD}\n%dockerize --engine venv -o 'a dir'"),
    )
    play(nb)
    assert (tmp_path / "a dir" / "Dockerfile").exists()
    assert "six==" in (tmp_path / "a dir" / "requirements.lock").read_text()
    stripped = json.loads((tmp_path / "a dir" / "notebook" / "x.ipynb").read_text())
    assert stripped["cells"][1]["source"] == [
        "# %load_ext ipydock\n",
        "# %dockerize --engine venv -o 'a dir'",
    ]


def test_an_unsaved_notebook_works_from_the_history(tmp_path: Path) -> None:
    nb = samples.write(
        tmp_path / "x.ipynb",
        samples.code("import six"),
        samples.code(f"{LOAD}\n%dockerize --engine venv"),
    )
    text = shown(play(nb, told=False)[1])["text/plain"]
    assert "six" in text
    assert "There is no notebook file here" in text
    assert "in this session" in text


def test_a_cell_that_is_not_on_disk_yet_is_said(tmp_path: Path) -> None:
    nb = samples.write(tmp_path / "x.ipynb", samples.code(f"{LOAD}\n%dockerize --engine venv"))
    other = tmp_path / "other.ipynb"
    other.write_bytes(nb.read_bytes())
    samples.write(nb, samples.code("import six"))
    node = nbformat.read(other, as_version=4)
    NotebookClient(node, kernel_name="python3").execute(
        env={**os.environ, "JPY_SESSION_NAME": str(nb)}
    )
    text = shown(node.cells[0].outputs)["text/plain"]
    assert "x.ipynb on disk does not hold this cell" in text


def test_visual_studio_code_names_the_notebook(tmp_path: Path) -> None:
    nb = samples.write(
        tmp_path / "x.ipynb",
        samples.code(f"__vsc_ipynb_file__ = {str(tmp_path / 'x.ipynb')!r}"),
        samples.code(f"{LOAD}\n%dockerize --engine venv"),
    )
    assert "x.ipynb needs Python" in shown(play(nb, told=False)[1])["text/plain"]


def test_a_cell_magic_runs_the_cell_and_tells_of_it(tmp_path: Path) -> None:
    nb = samples.write(
        tmp_path / "x.ipynb",
        samples.code(f"{LOAD}\nimport json"),
        samples.code("%%dockerize --engine venv\nimport six\nx = 6\nprint('ran')\nx * 7"),
        samples.code("%%dockerize --cell --engine venv\nimport packaging"),
        samples.code("x + 1"),
    )
    outputs = play(nb)
    assert outputs[1][0]["text"] == "ran\n"
    assert outputs[1][1]["data"]["text/plain"] == "42"
    assert re.search(r"six +\d", shown(outputs[1])["text/plain"])
    alone = shown(outputs[2])["text/plain"]
    assert "packaging" in alone
    assert "six " not in alone
    assert outputs[3][0]["data"]["text/plain"] == "7"


def test_a_cell_that_raises_shows_its_own_error_alone(tmp_path: Path) -> None:
    nb = samples.write(tmp_path / "x.ipynb", samples.code(LOAD), samples.code("%%dockerize\n1 / 0"))
    outputs = play(nb, allow_errors=True)[1]
    assert [o.get("ename") for o in outputs] == ["ZeroDivisionError"]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("%dockerize --nonsense", "No such option"),
        ("%dockerize 'open", "closing quotation"),
        ("%dockerize --engine venv --add-apt 'a b'", "is not the name of a Debian package"),
        ("%dockerize --engine venv --notebook missing.ipynb", "There is no notebook"),
    ],
)
def test_errors_are_one_paragraph(tmp_path: Path, line: str, says: str) -> None:
    nb = samples.write(tmp_path / "x.ipynb", samples.code(LOAD), samples.code(line))
    with pytest.raises(CellExecutionError) as caught:
        play(nb)
    assert says in str(caught.value)
    assert "File " not in str(caught.value)


@pytest.mark.engine
def test_verify_from_a_cell_and_then_from_the_terminal(tmp_path: Path) -> None:
    nb = samples.write(
        tmp_path / "x.ipynb",
        samples.code("import six\nprint(six.PY3)", samples.stream("True\n"), count=1),
        samples.code(f"{LOAD}\n%dockerize --engine docker --verify", count=2),
    )
    bundle = shown(play(nb)[1])
    assert "reproduced" in bundle["text/plain"]
    assert "reproduced" in bundle["text/html"]
    assert (tmp_path / "x.rerun.ipynb").exists()
    # What the magics showed is in the notebook now, and does not count.
    found = document(ipydock("verify", nb, "--engine", "docker", "--json"))
    assert found["verdict"] == "reproduced"
    assert found["image"]["cached"] is True


@pytest.mark.engine
def test_what_differs_may_only_be_unsaved(tmp_path: Path) -> None:
    nb = samples.write(
        tmp_path / "x.ipynb",
        samples.code("print(2)", samples.stream("1\n"), count=1),
        samples.code(f"{LOAD}\n%dockerize --engine docker --verify", count=2),
    )
    text = shown(play(nb)[1])["text/plain"]
    assert "differs" in text
    assert "Compared with the outputs in x.ipynb as it was saved at" in text


def test_plain_ipython_works_in_text(tmp_path: Path) -> None:
    typed = f"import six\n{LOAD}\n%dockerize --engine venv\n%dockerize -h\n"
    done = subprocess.run(
        [sys.executable, "-m", "IPython", "--colors=NoColor", "--no-banner", "--simple-prompt"],
        input=typed,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "IPYTHONDIR": str(tmp_path / "ipython")},
    )
    assert "session.ipynb needs Python" in done.stdout
    assert re.search(r"six +\d\S+ +cell 1: import six", done.stdout)
    assert "FROM python:" in done.stdout
    assert "--verify" in done.stdout
    assert "<div" not in done.stdout
    assert "Look at what session.ipynb needs" in done.stderr
