"""``[tool.ipydock]`` and ``metadata.ipydock``: found, checked, and added to the options."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ipydock import options_for
from ipydock.errors import InputError, Refused
from ipydock.notebook import Notebook, load
from ipydock.settings import settled
from tests import samples
from tests.command import document, ipydock, paragraph

TOKEN = "ghp_" + "aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC1dE3fG5"


def project(tmp_path: Path, text: str, *, folder: str = "nbs", **metadata: Any) -> Notebook:
    """A notebook in a folder of a repository whose pyproject.toml ends with this text."""
    (tmp_path / ".git").mkdir(exist_ok=True)
    (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    (tmp_path / "pyproject.toml").write_text(f"[project]\nname = 'x'\n{text}\n")
    return load(samples.write(tmp_path / folder / "x.ipynb", samples.code("1"), **metadata))


EVERYTHING = """
[tool.ipydock]
base = "debian:bookworm-slim"
platform = "linux/arm64"
add-apt = ["graphviz"]
add-pip = ["six==1.16.0"]
include = ["data/*.csv"]
exclude = ["*.tmp", "old/x"]
tag = "me/x:1"
dockerfile = ["ENV A=1", "RUN a \\\\", "  b"]
network = "on"
memory = "2g"
cpus = 2
timeout = 60
env = { MODE = "test" }
"""


def test_every_setting_is_an_option(tmp_path: Path) -> None:
    found = settled(project(tmp_path, EVERYTHING), {})
    assert found["base"] == "debian:bookworm-slim"
    assert found["platform"] == "linux/arm64"
    assert (found["add_apt"], found["add_pip"]) == (("graphviz",), ("six==1.16.0",))
    # As they are seen from the notebook; a name without a folder means files anywhere.
    assert found["include"] == ("../data/*.csv",)
    assert found["exclude"] == ("*.tmp", "../old/x")
    assert found["env"] == ("MODE=test",)
    assert found["tag"] == "me/x:1"
    assert (found["network"], found["memory"], found["cpus"]) == ("on", "2g", 2)
    assert found["timeout"] == 60
    (cell,) = found["instructions"]
    assert cell.text == "ENV A=1\nRUN a \\\n  b"
    assert cell.origin == "../pyproject.toml [tool.ipydock] dockerfile"
    assert found["origins"]["add-apt", "graphviz"] == "../pyproject.toml [tool.ipydock]"
    assert any("may use the network" in note for note in found["notes"])


def test_without_settings_options_have_their_defaults(tmp_path: Path) -> None:
    found = settled(project(tmp_path, ""), {})
    assert (found["base"], found["network"], found["timeout"]) == (None, "off", 1800)
    assert found["notes"] == ()


def test_lists_add_up_and_the_nearer_value_counts(tmp_path: Path) -> None:
    notebook = project(
        tmp_path,
        "[tool.ipydock]\nadd-apt = ['a1']\nadd-pip = ['six==1.14']\nbase = 'x:1'\nmemory = '1g'\n"
        "cpus = 1\nenv = {A = 'p', B = 'p', C = 'p'}",
        ipydock={"add-apt": ["b1"], "add-pip": ["six==1.15"], "base": "y:1", "memory": "2g"}
        | {"env": {"A": "n", "B": "n"}},
    )
    found = settled(
        notebook,
        {"add_apt": ("c1",), "add_pip": ("six==1.16",), "memory": "3g", "env": ("A=c",)},
    )
    assert found["add_apt"] == ("c1", "b1", "a1")
    assert found["add_pip"] == ("six==1.16", "six==1.15", "six==1.14")
    assert (found["base"], found["memory"], found["cpus"]) == ("y:1", "3g", 1)
    assert set(found["env"]) == {"A=c", "B=n", "C=p"}
    assert found["origins"]["base", "y:1"] == "x.ipynb metadata.ipydock"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("add_apt = ['x']", "no setting 'add_apt'. Did you mean add-apt?"),
        ("colour = 'red'", "There are add-apt, add-pip"),
        ("mount = ['/:/host']", "no setting 'mount'"),
        ("add-apt = 'graphviz'", 'add-apt = ["graphviz"]'),
        ("add-apt = [1]", "text in quotes"),
        ("add-apt = ['a; rm']", "is not the name of a Debian package"),
        ("add-pip = ['not one!']", "is not a requirement specifier"),
        ("base = 'a b'", "is not an image reference"),
        ("platform = 'windows'", "is not a platform"),
        ("tag = 'A B'", "is not a name for an image"),
        ("memory = 'much'", "is not an amount of memory"),
        ("network = true", '"on" or "off"'),
        ("cpus = 0", "more than 0"),
        ("cpus = '2'", "a number"),
        ("timeout = -1", "0 or more"),
        ("env = ['A=1']", "a table"),
        ("env = {A = 1}", "text in quotes"),
        ("env = {'A B' = '1'}", "is not the name of an environment variable"),
        ("include = ['/etc/hosts']", "leads out of the folder"),
        ("include = ['../x']", "leads out of the folder"),
        ("include = ['~/x']", "leads out of the folder"),
        ("dockerfile = 3", "dockerfile is '3'"),
    ],
)
def test_a_wrong_setting_is_said_with_its_file(tmp_path: Path, line: str, words: str) -> None:
    notebook = project(tmp_path, f"[tool.ipydock]\n{line}")
    with pytest.raises(InputError) as caught:
        settled(notebook, {})
    assert caught.value.message.startswith("../pyproject.toml [tool.ipydock]")
    assert words in caught.value.paragraph()


def test_wrong_metadata_is_said_with_its_notebook(tmp_path: Path) -> None:
    for metadata in ({"bases": "x"}, "text", ["list"]):
        with pytest.raises(InputError, match=r"^x\.ipynb metadata\.ipydock"):
            settled(project(tmp_path, "", ipydock=metadata), {})


def test_a_file_that_is_not_toml_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.\./pyproject\.toml is not TOML"):
        settled(project(tmp_path, "[tool.ipydock"), {})


def test_a_credential_is_refused_and_not_shown(tmp_path: Path) -> None:
    for line in (f"env = {{T = '{TOKEN}'}}", f"dockerfile = 'ENV T={TOKEN}'"):
        with pytest.raises(Refused) as caught:
            settled(project(tmp_path, f"[tool.ipydock]\n{line}"), {})
        assert TOKEN not in str(caught.value.paragraph())


def test_a_project_ends_at_its_repository(tmp_path: Path) -> None:
    notebook = project(tmp_path, "[tool.ipydock]\nbase = 'x:1'", folder="repo/nbs")
    assert settled(notebook, {})["base"] == "x:1"
    (tmp_path / "repo" / ".git").write_text("gitdir: elsewhere")
    assert settled(notebook, {})["base"] is None


def test_the_nearest_settings_count_and_files_without_any_do_not(tmp_path: Path) -> None:
    notebook = project(tmp_path, "[tool.ipydock]\nbase = 'x:1'", folder="a/b")
    (tmp_path / "a" / "b" / "pyproject.toml").write_text("[project]\nname = 'inner'\n")
    assert settled(notebook, {})["base"] == "x:1"
    (tmp_path / "a" / "pyproject.toml").write_text("[tool.ipydock]\nbase = 'y:1'\n")
    assert settled(notebook, {})["base"] == "y:1"


def test_nothing_is_taken_from_where_anyone_may_write(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "pyproject.toml").write_text("[tool.ipydock]\nbase = 'x:1'\n")
    (shared / "mine").mkdir()
    path = samples.write(shared / "mine" / "x.ipynb", samples.code("1"))
    assert settled(load(path), {})["base"] == "x:1"
    shared.chmod(0o1777)
    assert settled(load(path), {})["base"] is None


def test_options_for_a_notebook(tmp_path: Path) -> None:
    notebook = project(tmp_path, EVERYTHING)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.csv").write_text("1")
    found = options_for(notebook)
    assert found.base == "debian:bookworm-slim"
    assert [file.path for file in found.files] == ["../data/a.csv"]
    assert found.instructions[0].text.startswith("ENV A=1")


NOBODY = "tcp://127.0.0.1:9"


def test_the_command_line_takes_them_and_has_the_last_word(tmp_path: Path) -> None:
    notebook = project(
        tmp_path,
        "[tool.ipydock]\nbase = 'python:3.11-bookworm'\nadd-pip = ['six==1.16.0']\n"
        "add-apt = ['graphviz']\nenv = {MODE = 'test'}\ndockerfile = 'LABEL a=b'",
    )
    assert notebook.path is not None
    done = ipydock("dockerfile", notebook.path, "--json", DOCKER_HOST=NOBODY, PATH="")
    text = document(done)["dockerfile"]
    origin = "../pyproject.toml [tool.ipydock]"
    assert f"# The base is that of {origin}.\nFROM python:3.11-bookworm\n" in text
    assert f"#   graphviz  added with {origin}\n" in text
    assert f"six==1.16.0        added with {origin}" in text
    assert f'# MODE: {origin}\nENV HOME="/home/user" \\\n    MODE="test"\n' in text
    assert f"# {origin} dockerfile:\nLABEL a=b\n" in text
    more = ("--base", "python:3.11-slim-bookworm", "--add-pip", "six==1.17.0", "--env", "MODE=mine")
    done = ipydock("dockerfile", notebook.path, *more, DOCKER_HOST=NOBODY, PATH="")
    assert "\nFROM python:3.11-slim-bookworm\n" in done.stdout
    assert "six==1.17.0        added with --add-pip" in done.stdout
    assert 'MODE="mine"' in done.stdout and f"MODE: {origin}" not in done.stdout


def test_the_command_line_names_file_and_key(tmp_path: Path) -> None:
    notebook = project(tmp_path, "[tool.ipydock]\nbass = 'x'")
    assert notebook.path is not None
    done = ipydock("dockerfile", notebook.path)
    assert done.returncode == 2
    assert paragraph(done) == (
        "../pyproject.toml [tool.ipydock] has no setting 'bass'. Did you mean base?"
    )


def test_with_lab_is_a_setting(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.ipydock]\nwith = ['lab']\n")
    nb = samples.write(tmp_path / "x.ipynb", samples.code("1"))
    assert options_for(nb).extras == ("lab",)
    (tmp_path / "pyproject.toml").write_text("[tool.ipydock]\nwith = ['labb']\n")
    with pytest.raises(InputError) as raised:
        options_for(nb)
    assert 'It should be "lab".' in raised.value.hint
