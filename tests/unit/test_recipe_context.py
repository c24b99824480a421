from __future__ import annotations

import json
from pathlib import Path

import pytest

from ipydock.errors import InputError, NotebookError, Refused
from ipydock.files import sha256
from ipydock.models import ContextFile, Recipe
from ipydock.notebook import digest, load
from ipydock.recipe.context import include, write_context
from tests import samples


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "a folder"
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "x.csv").write_text("1,2\n")
    (folder / "helper.py").write_text("ONE = 1\n")
    samples.write(
        folder / "my nb.ipynb", samples.code("import helper", samples.stream("secret"), count=1)
    )
    return folder


def recipe(folder: Path, *paths: str) -> Recipe:
    return Recipe(
        notebook="my nb.ipynb",
        notebook_sha256=digest(load(folder / "my nb.ipynb").node),
        base="debian",
        python=samples.capture().python,
        dockerfile="# What the notebook my nb.ipynb needs\nFROM debian\n",
        lock="six==1.17.0\n",
        dockerignore="*\n",
        packages=(),
        files=tuple(
            ContextFile(
                path=path,
                sha256=sha256(folder / path),
                size_bytes=(folder / path).stat().st_size,
                kind="module" if path.endswith(".py") else "data",
            )
            for path in paths
        ),
        digest="d" * 64,
    )


def tree(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_the_folder_holds_all_that_docker_build_needs(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "out"
    write_context(recipe(folder, "data/x.csv", "helper.py"), load(folder / "my nb.ipynb"), target)
    assert tree(target) == [
        ".dockerignore",
        "Dockerfile",
        "data/data/x.csv",
        "modules.txt",
        "notebook/my nb.ipynb",
        "project/helper.py",
        "requirements.lock",
    ]
    written = json.loads((target / "notebook" / "my nb.ipynb").read_text())
    assert written["cells"][0]["outputs"] == []
    assert {p.stat().st_mode & 0o777 for p in target.rglob("*") if p.is_file()} == {0o664}


def test_writing_twice_replaces_what_was_written(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "out"
    notebook = load(folder / "my nb.ipynb")
    write_context(recipe(folder, "data/x.csv"), notebook, target)
    write_context(recipe(folder, "helper.py"), notebook, target)
    assert "data/data/x.csv" not in tree(target)
    assert "project/helper.py" in tree(target)


def test_a_folder_that_holds_more_than_a_context_is_not_touched(
    folder: Path, tmp_path: Path
) -> None:
    notebook = load(folder / "my nb.ipynb")
    write_context(recipe(folder, "helper.py"), notebook, tmp_path / "out")
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    before = tree(tmp_path / "out")
    with pytest.raises(InputError, match="did not write"):
        write_context(recipe(folder), notebook, tmp_path / "out")
    assert tree(tmp_path / "out") == before
    # A Dockerfile of ours alone does not make a folder ours.
    mine = tmp_path / "mine"
    (mine / "project").mkdir(parents=True)
    (mine / "project" / "thesis.txt").write_text("mine")
    (mine / "Dockerfile").write_text((tmp_path / "out" / "Dockerfile").read_text())
    with pytest.raises(InputError, match="did not write"):
        write_context(recipe(folder), notebook, mine)
    assert tree(mine) == ["Dockerfile", "project/thesis.txt"]


def test_a_failed_write_leaves_what_was_there(folder: Path, tmp_path: Path) -> None:
    notebook = load(folder / "my nb.ipynb")
    write_context(recipe(folder, "helper.py"), notebook, tmp_path / "out")
    made = recipe(folder, "helper.py", "data/x.csv")
    (folder / "data" / "x.csv").write_text("changed")
    with pytest.raises(InputError, match="changed since"):
        write_context(made, notebook, tmp_path / "out")
    assert "project/helper.py" in tree(tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a folder", "out"]


def test_a_link_to_a_credential_is_refused(folder: Path, tmp_path: Path) -> None:
    (folder / ".env").write_text("TOKEN=x")
    (folder / "settings.txt").symlink_to(folder / ".env")
    with pytest.raises(Refused):
        include(load(folder / "my nb.ipynb"), ["settings.txt"])
    with pytest.raises(Refused):
        write_context(
            recipe(folder, "settings.txt"), load(folder / "my nb.ipynb"), tmp_path / "out"
        )


def test_include_of_everything_leaves_out_the_notebook_and_caches(folder: Path) -> None:
    for name in (".git/config", "__pycache__/x.pyc", "old.rerun.ipynb", "keep.txt"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("x")
    for pattern in (".", "*", "**/*"):
        found = [file.path for file in include(load(folder / "my nb.ipynb"), [pattern])]
        assert found == ["data/x.csv", "helper.py", "keep.txt"], pattern


@pytest.mark.parametrize("pattern", ["**x", "a\x00b"])
def test_what_is_no_pattern_is_said(folder: Path, pattern: str) -> None:
    with pytest.raises(InputError):
        include(load(folder / "my nb.ipynb"), [pattern])


def test_a_folder_of_the_users_is_not_touched(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "mine"
    target.mkdir()
    (target / "Dockerfile").write_text("FROM scratch\n")
    with pytest.raises(InputError, match="did not write"):
        write_context(recipe(folder), load(folder / "my nb.ipynb"), target)
    assert tree(target) == ["Dockerfile"]


def test_a_file_in_the_way(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "mine"
    target.write_text("")
    with pytest.raises(InputError, match="is a file"):
        write_context(recipe(folder), load(folder / "my nb.ipynb"), target)


def test_a_file_that_changed_since_is_said(folder: Path, tmp_path: Path) -> None:
    made = recipe(folder, "data/x.csv")
    (folder / "data" / "x.csv").write_text("3\n")
    with pytest.raises(InputError, match="changed since"):
        write_context(made, load(folder / "my nb.ipynb"), tmp_path / "out")


def test_a_notebook_that_changed_since_is_said(folder: Path, tmp_path: Path) -> None:
    made = recipe(folder)
    samples.write(folder / "my nb.ipynb", samples.code("1 + 1"))
    with pytest.raises(NotebookError, match="changed since"):
        write_context(made, load(folder / "my nb.ipynb"), tmp_path / "out")


def test_new_outputs_alone_change_nothing(folder: Path) -> None:
    before = digest(load(folder / "my nb.ipynb").node)
    samples.write(folder / "my nb.ipynb", samples.code("import helper", count=7))
    assert digest(load(folder / "my nb.ipynb").node) == before


def test_include_takes_files_and_folders(folder: Path) -> None:
    assert [f.path for f in include(load(folder / "my nb.ipynb"), ["data", "*.py"])] == [
        "data/x.csv",
        "helper.py",
    ]


def test_include_takes_files_above_and_absolute_ones(folder: Path) -> None:
    (folder.parent / "shared").mkdir()
    (folder.parent / "shared" / "y.csv").write_text("1")
    notebook = load(folder / "my nb.ipynb")
    for pattern in ("../shared/*.csv", "../shared", "data/../../shared/y.csv"):
        assert [f.path for f in include(notebook, [pattern])] == ["../shared/y.csv"], pattern
    # What is inside is so under every name.
    for pattern in (str(folder / "data"), "../a folder/data/*"):
        assert [f.path for f in include(notebook, [pattern])] == ["data/x.csv"], pattern
    with pytest.raises(Refused):
        (folder.parent / "shared" / ".env").write_text("A=1")
        include(notebook, ["../shared/.env"])


@pytest.mark.parametrize("pattern", ["/etc/passwd", "/usr/share/doc/*/copyright", "/tmp/*"])
def test_include_takes_nothing_of_the_system(folder: Path, pattern: str) -> None:
    with pytest.raises(InputError, match="folder of the system"):
        include(load(folder / "my nb.ipynb"), [pattern])


@pytest.mark.parametrize("pattern", ["/", "//", "../../../../../../../../..", "/*", "**/../../x"])
def test_include_does_not_take_everything(folder: Path, pattern: str) -> None:
    with pytest.raises(InputError):
        include(load(folder / "my nb.ipynb"), [pattern])


def test_files_above_lie_beside_the_names_of_the_folder(folder: Path, tmp_path: Path) -> None:
    (folder.parent / "shared").mkdir()
    (folder.parent / "shared" / "y.csv").write_text("1")
    made = recipe(folder, "../shared/y.csv", "helper.py")
    made = made.model_copy(update={"folder": "a folder"})
    write_context(made, load(folder / "my nb.ipynb"), tmp_path / "out")
    assert {"data/shared/y.csv", "project/a folder/helper.py"} <= set(tree(tmp_path / "out"))


def test_absolute_files_and_empty_folders(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "elsewhere" / "y.csv"
    path.parent.mkdir()
    path.write_text("1")
    made = recipe(folder, str(path))
    empty = ContextFile(path="out/", sha256=sha256(Path("/dev/null")), size_bytes=0, kind="folder")
    made = made.model_copy(update={"files": (*made.files, empty)})
    target = tmp_path / "out"
    write_context(made, load(folder / "my nb.ipynb"), target)
    assert f"root{path}" in tree(target)
    assert (target / "data" / "out").is_dir()
    assert (target / "data" / "out").stat().st_mode & 0o777 == 0o775
    # It is still ours, and is replaced.
    write_context(recipe(folder), load(folder / "my nb.ipynb"), target)
    assert not (target / "root").exists()


GITHUB = "ghp_" + "wWPw5k4aXcaT4fNP0UcnZwJUVFk6LO0pINUx"


def test_files_that_hold_a_credential_are_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "helper.py").write_text(f"TOKEN = '{GITHUB}'\n")
    with pytest.raises(Refused, match=r"helper.py holds a credential \(GitHub token\)") as raised:
        write_context(recipe(folder, "helper.py"), load(folder / "my nb.ipynb"), tmp_path / "out")
    assert GITHUB not in str(raised.value.paragraph())
    assert not (tmp_path / "out" / "project").exists()


def test_cells_that_hold_a_credential_are_refused(folder: Path, tmp_path: Path) -> None:
    samples.write(folder / "my nb.ipynb", samples.code("1"), samples.code(f"\nt = '{GITHUB}'"))
    made = recipe(folder)
    with pytest.raises(Refused, match=r"Cell 2 of .* \(GitHub token\) in line 2") as raised:
        write_context(made, load(folder / "my nb.ipynb"), tmp_path / "out")
    assert GITHUB not in raised.value.paragraph()
    samples.write(
        folder / "my nb.ipynb", samples.code(f"t = '{GITHUB}'  # pragma: allowlist secret")
    )
    write_context(recipe(folder), load(folder / "my nb.ipynb"), tmp_path / "out")


def test_include_follows_no_link_out_of_the_folder(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.txt"
    outside.write_text("x")
    (folder / "link.txt").symlink_to(outside)
    with pytest.raises(InputError, match="matches no file"):
        include(load(folder / "my nb.ipynb"), ["link.txt"])


def test_include_refuses_credentials(folder: Path) -> None:
    (folder / ".env").write_text("TOKEN=x")
    with pytest.raises(Refused, match="looks like a credential"):
        include(load(folder / "my nb.ipynb"), [".env"])


def test_a_pattern_without_a_match_is_said(folder: Path) -> None:
    with pytest.raises(InputError, match="matches no file"):
        include(load(folder / "my nb.ipynb"), ["*.parquet"])


def test_a_file_that_cannot_be_read(folder: Path, tmp_path: Path) -> None:
    made = recipe(folder, "data/x.csv")
    (folder / "data" / "x.csv").unlink()
    with pytest.raises(InputError, match="cannot be read"):
        write_context(made, load(folder / "my nb.ipynb"), tmp_path / "out")
