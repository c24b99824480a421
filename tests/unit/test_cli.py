"""The command on good and bad input, without a container engine."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from ipydock import cli, doctor
from ipydock.cli_errors import run
from ipydock.models import Capture
from tests import samples
from tests.command import document, ipydock, paragraph

NOBODY = "unix:///nobody/listens/here.sock"


@pytest.fixture
def notebook(tmp_path: Path) -> Path:
    (tmp_path / "helper.py").write_text("import json\n")
    (tmp_path / "x.csv").write_text("a\n1\n")
    return samples.write(
        tmp_path / "my nb.ipynb",
        samples.code("import helper, pydantic\nopen('x.csv').read()", count=1),
    )


Here = Callable[..., "CompletedProcess[str]"]


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Here:
    """The command in this process: starting one for each takes twenty times as long."""

    def call(*words: str | Path) -> CompletedProcess[str]:
        monkeypatch.setenv("DOCKER_HOST", NOBODY)
        monkeypatch.setattr(sys, "argv", ["ipydock", *map(str, words)])
        ended = run(cli.cli)
        told = capsys.readouterr()
        return CompletedProcess(words, ended, told.out, told.err)

    return call


def listing(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


def test_help_tells_a_newcomer_where_to_start() -> None:
    done = ipydock("--help")
    assert done.returncode == 0
    assert "Start with `ipydock verify NOTEBOOK`" in done.stdout
    for verb in ("capture", "dockerfile", "build", "rerun", "verify", "doctor"):
        assert verb in done.stdout


def test_capture_shows_what_and_why(notebook: Path) -> None:
    done = ipydock("capture", notebook)
    assert done.returncode == 0, done.stderr
    assert "pydantic" in done.stdout
    assert "cell 1: import helper, pydantic" in done.stdout
    assert "helper.py" in done.stdout
    assert "x.csv" in done.stdout


def test_capture_json_is_one_document(notebook: Path) -> None:
    done = ipydock("capture", notebook, "--json")
    found = Capture.model_validate_json(done.stdout)
    assert [item.distribution for item in found.requested] == ["pydantic"]
    assert document(done)["schema"] == 1


def test_capture_writes_nothing_but_what_it_is_asked_to(notebook: Path, tmp_path: Path) -> None:
    before = listing(tmp_path)
    ipydock("capture", notebook)
    assert listing(tmp_path) == before
    done = ipydock("capture", notebook, "-o", tmp_path / "capture.json", "-q")
    assert done.returncode == 0
    assert json.loads((tmp_path / "capture.json").read_text())["notebook"] == "my nb.ipynb"
    assert done.stderr == ""


def test_the_dockerfile_goes_to_standard_output(notebook: Path, tmp_path: Path) -> None:
    before = listing(tmp_path)
    done = ipydock("dockerfile", notebook, DOCKER_HOST=NOBODY, PATH="")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("# What the notebook my nb.ipynb needs")
    assert "pydantic==" in done.stdout
    assert listing(tmp_path) == before


def test_the_build_context_goes_to_a_folder(notebook: Path, tmp_path: Path) -> None:
    done = ipydock("dockerfile", notebook, "-o", tmp_path / "out dir", DOCKER_HOST=NOBODY, PATH="")
    assert done.returncode == 0, done.stderr
    assert listing(tmp_path / "out dir") == [
        *(".dockerignore", "Dockerfile", "bytecode.py", "data", "get_uv.py", "helper.py"),
        *("modules.txt", "my nb.ipynb", "notebook", "project", "requirements.lock", "scripts"),
        *("start.py", "x.csv"),
    ]


BAD = {
    "missing": (None, "There is no notebook"),
    "text": ("hello", "is not JSON"),
    "empty": ("", "is empty"),
    "truncated": ('{"cells": [{"cell_type": "code", "sour', "is truncated"),
    "other": ('{"a": 1}', "not a notebook"),
    "list": ("[1, 2]", "not a notebook"),
    "r": (
        json.dumps(
            {
                "cells": [],
                "metadata": {"kernelspec": {"name": "ir", "language": "R", "display_name": "R"}},
                "nbformat": 4,
                "nbformat_minor": 4,
            }
        ),
        "R",
    ),
    "future": ('{"cells": [], "metadata": {}, "nbformat": 9, "nbformat_minor": 0}', "9"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_notebooks_are_one_clear_paragraph(tmp_path: Path, name: str, here: Here) -> None:
    content, says = BAD[name]
    path = tmp_path / f"{name}.ipynb"
    if content is not None:
        path.write_text(content)
    before = listing(tmp_path)
    done = here("verify", path, "--engine", "venv")
    assert done.returncode == 2
    assert says in paragraph(done)
    assert done.stdout == ""
    assert listing(tmp_path) == before


def test_nbformat_3_is_upgraded_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "old.ipynb"
    old = {
        "metadata": {"name": "old"},
        "nbformat": 3,
        "nbformat_minor": 0,
        "worksheets": [
            {
                "cells": [
                    {
                        "cell_type": "code",
                        "collapsed": False,
                        "input": ["import pydantic"],
                        "language": "python",
                        "metadata": {},
                        "outputs": [],
                        "prompt_number": 1,
                    }
                ],
                "metadata": {},
            }
        ],
    }
    path.write_text(json.dumps(old))
    done = ipydock("capture", path, "--json")
    assert done.returncode == 0, done.stderr
    assert [r["distribution"] for r in document(done)["requested"]] == ["pydantic"]
    assert json.loads(path.read_text()) == old


def test_a_cell_that_does_not_parse_is_said_and_the_rest_goes_on(tmp_path: Path) -> None:
    path = samples.write(
        tmp_path / "x.ipynb", samples.code("def f(:"), samples.code("import pydantic")
    )
    found = document(ipydock("capture", path, "--json"))
    assert [r["distribution"] for r in found["requested"]] == ["pydantic"]
    assert any("ell 1" in text for text in found["warnings"])


def test_a_module_that_is_not_installed_is_said(tmp_path: Path) -> None:
    path = samples.write(tmp_path / "x.ipynb", samples.code("import cv2, nobody_knows_this"))
    found = document(ipydock("capture", path, "--json"))
    by_name = {item["import"]: item for item in found["requested"]}
    assert by_name["cv2"]["guess"] is True
    assert by_name["cv2"]["version"] is None
    assert by_name["nobody_knows_this"]["distribution"] is None
    assert any("nobody_knows_this" in text for text in found["warnings"])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("verify",), "Missing argument"),
        (("verify", "NB", "--engine", "lxc"), "Invalid value"),
        (("nonsense",), "No such command"),
        (("capture", "NB", "--python", "/no/such/python"), "/no/such/python"),
        (("capture", "NB", "--kernel", "no-such-kernel"), "no-such-kernel"),
        (("verify", "NB", "-o", "NB", "--engine", "venv"), "never written to"),
        (("verify", "NB", "-o", "/no/such/dir/x.ipynb", "--engine", "venv"), "does not exist"),
        (("rerun", "NB", "-o", "/tmp", "--engine", "venv"), "is a folder"),
        (("rerun", "NB", "-o", "x" * 300, "--engine", "venv"), "cannot be written"),
        (("rerun", "NB", "-o", "CSV", "--engine", "venv"), "is not a notebook"),
        (("capture", "NB", "-o", "NB"), "is the notebook itself"),
        (("rerun", "NB", "--memory", "lots", "--engine", "venv"), "amount of memory"),
        (("rerun", "NB", "--cpus", "-3", "--engine", "venv"), "more than 0"),
        (("rerun", "NB", "--mount", "/no/such/place:/x", "--engine", "venv"), "to mount"),
        (("verify", "NB", "--mount", "/tmp:x", "--engine", "docker"), "not a mount"),
        (("rerun", "NB", "--mount", "/tmp:/x:no", "--engine", "docker"), "not a mount"),
        (("dockerfile", "NB", "--env", "NOVALUE", "--engine", "venv"), "NOVALUE"),
        (("dockerfile", "NB", "--add-apt", "a b", "--engine", "venv"), "a b"),
        (("dockerfile", "NB", "--include", "*.nothing", "--engine", "venv"), "matches no file"),
        (("build", "NB", "-t", "Not A Tag", "--engine", "venv"), "not a name for an image"),
        (
            ("build", "NB", "--platform", "linux/amd64,linux/arm64", "--engine", "venv"),
            "`ipydock push NOTEBOOK -t NAME --platform linux/amd64,linux/arm64`",
        ),
    ],
)
def test_bad_usage(notebook: Path, words: tuple[str, ...], says: str, here: Here) -> None:
    before = notebook.read_bytes()
    names = {"NB": str(notebook), "CSV": str(notebook.parent / "x.csv")}
    places = [names.get(word, word) for word in words]
    done = here(*places)
    assert done.returncode == 2, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert notebook.read_bytes() == before


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("verify", "--engine", "docker"), 3, "No Docker engine answers"),
        (("build", "--engine", "docker"), 3, "No Docker engine answers"),
    ],
)
def test_what_an_engine_is_asked_about(
    notebook: Path, words: tuple[str, ...], code: int, says: str
) -> None:
    """In processes: docker's client leaves the socket open that nobody answered."""
    done = ipydock(words[0], notebook, *words[1:], DOCKER_HOST=NOBODY)
    assert done.returncode == code, done.stderr
    assert says in paragraph(done)


def test_a_defect_is_not_taken_for_a_difference(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(doctor, "examine", broken)
    monkeypatch.setattr(sys, "argv", ["ipydock", "doctor"])
    assert run(cli.cli) == 70
    assert "ZeroDivisionError: oh. This is a defect" in capsys.readouterr().err


def test_verbose_shows_where_an_error_comes_from(tmp_path: Path) -> None:
    done = ipydock("capture", tmp_path / "x.ipynb", "-v")
    assert "Traceback" in done.stderr


@pytest.mark.slow
def test_doctor_says_what_is_here_and_what_to_mend() -> None:
    done = ipydock("doctor", "--json", DOCKER_HOST=NOBODY)
    assert done.returncode == 0, done.stderr
    findings = {finding["name"]: finding for finding in json.loads(done.stdout)}
    assert findings["docker"]["ok"] is False
    assert findings["docker"]["mend"]
    assert findings["venv"]["ok"] is True
    assert "weaker" in findings["venv"]["says"]
    assert "✗ docker" in ipydock("doctor", DOCKER_HOST=NOBODY).stdout
