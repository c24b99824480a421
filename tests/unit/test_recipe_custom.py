"""Where the user's own instructions stand in a Dockerfile, in which form, and with which files."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from ipydock.errors import InputError, Refused
from ipydock.models import ContextFile, InstructionCell, Recipe
from ipydock.notebook import Notebook, digest, instruction_cells, load
from ipydock.recipe.context import write_context
from ipydock.recipe.copied import copied
from ipydock.recipe.custom import read
from ipydock.recipe.synthesize import Options, base_of, synthesize
from ipydock.settings import options_for, settled
from tests import samples

GOLDEN = Path(__file__).parent / "golden" / "custom.Dockerfile"
BASE = "python:3.11-slim-bookworm@sha256:" + "a" * 64
PINNED: dict[str, Any] = {"add_pip": ("ipykernel==6.30.1", "nbclient==0.10.4", "nbformat==5.10.4")}
TOKEN = "ghp_" + "aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC1dE3fG5"
EVERYTHING = (
    f"FROM {BASE}\nARG GREETING=hello\n"
    "# read by the notebook\nENV MODE=test \\\n    WORD=$GREETING",
    "WORKDIR /opt/tool\nCOPY tool.sh conf ./\n"
    "RUN --mount=type=cache,target=/var/cache/x \\\n    ./tool.sh > out.txt",
    'SHELL ["/bin/bash", "-o", "pipefail", "-c"]\nRUN <<-\'EOF\'\n\techo "$MODE"\n\tEOF',
    "LABEL org.example.kind=test\nEXPOSE 8080 53/udp\nVOLUME /data\nSTOPSIGNAL SIGINT\n"
    'HEALTHCHECK --interval=5m CMD ["test", "-e", "/x"]\nUSER 4321\nCMD ["python3", "-V"]',
)


def cells(*texts: str) -> tuple[InstructionCell, ...]:
    return tuple(
        InstructionCell(text=text, origin=f"cell {n}", number=n, line=2)
        for n, text in enumerate(texts, 1)
    )


def in_context(*paths: str) -> tuple[ContextFile, ...]:
    return tuple(
        ContextFile(path=path, sha256=samples.EMPTY_SHA, size_bytes=0, kind="copied")
        for path in paths
    )


def recipe_of(*texts: str, files: tuple[str, ...] = (), **options: Any) -> Recipe:
    capture = samples.capture(instructions=cells(*texts))
    return synthesize(capture, Options(files=in_context(*files), **PINNED, **options))


def test_everything_has_its_place() -> None:
    recipe = recipe_of(*EVERYTHING, files=("tool.sh", "conf/a.conf"))
    # What others publish in the meantime changes the lock.
    text = re.sub(r"(?<=lock\.sha256=\")\w+", "0" * 64, recipe.dockerfile)
    if os.environ.get("IPYDOCK_GOLDEN"):
        GOLDEN.write_text(text, encoding="utf-8")
    assert text == GOLDEN.read_text(encoding="utf-8")
    assert [f.path for f in recipe.files if f.kind == "copied"] == ["tool.sh", "conf/a.conf"]
    assert recipe.warnings == ()


def test_instructions_change_the_digest() -> None:
    assert recipe_of("ENV A=1").digest != recipe_of("ENV A=2").digest


def test_the_base_is_that_of_from_unless_another_is_asked_for() -> None:
    capture = samples.capture(instructions=cells("FROM debian:bookworm"))
    assert base_of(capture, Options()) == "debian:bookworm"
    assert base_of(capture, Options(base="x:1")) == "x:1"
    assert base_of(samples.capture(), Options()) == "python:3.11-slim-bookworm"


def test_settings_come_before_cells() -> None:
    setting = InstructionCell(text="FROM a:1\nENV A=1\nCMD x", origin="pyproject.toml dockerfile")
    custom = read((setting, *cells("FROM b:1\nENV A=2\nCMD y")), ())
    assert [str(line) for block in custom.first for line in block] == [
        "# pyproject.toml dockerfile:",
        "ENV A=1",
        "# Cell 1:",
        "ENV A=2",
    ]
    assert custom.base == "b:1"
    assert [str(line) for block in custom.last for line in block] == ["# Cell 1:", "CMD y"]
    assert custom.warnings == []


def test_what_replaces_ours() -> None:
    text = recipe_of('ENTRYPOINT ["a"]').dockerfile
    assert text.count("ENTRYPOINT") == 1 and "\nCMD" not in text and "\nUSER 1000\n" in text
    text = recipe_of("CMD a").dockerfile
    assert "start.py" in text.partition("ENTRYPOINT")[2] and text.count("\nCMD") == 1
    text = recipe_of("USER me").dockerfile
    assert "USER 1000" not in text and text.endswith("USER me\n")


def test_a_shell_is_that_of_what_needs_one_and_of_nothing_else() -> None:
    custom = read(cells('SHELL ["a"]\nRUN x\nCMD y'), ())
    assert str(custom.middle[-1][-1]) == 'SHELL ["/bin/sh", "-c"]'
    assert str(custom.last[0][-1]) == 'SHELL ["a"]'
    custom = read(cells('SHELL ["a"]\nHEALTHCHECK CMD y\nCMD ["y"]'), ())
    assert str(custom.last[0][-1]) == 'SHELL ["a"]'
    custom = read(cells('SHELL ["a"]\nCMD ["y"]\nHEALTHCHECK CMD ["z"]'), ())
    assert [str(line) for line in custom.last[0]] == [
        "# Cell 1:",
        'CMD ["y"]',
        'HEALTHCHECK CMD ["z"]',
    ]


def test_what_is_said() -> None:
    warned = recipe_of("CMD a\nUSER a\nRUN b", "CMD b\nUSER root\nENV HOME=/x").warnings
    assert any("CMD of cell 1, line 2 gives way to that of cell 2, line 2" in w for w in warned)
    assert any("USER of cell 1, line 3 is not that of the RUN and COPY" in w for w in warned)
    assert any("run as root" in w for w in warned)
    assert any("HOME is set by ipydock" in w for w in warned)


@pytest.mark.parametrize(
    ("texts", "place", "words"),
    [
        (("FROM a:1", "ENV A=1\nFROM b:1"), "Cell 2, line 3", "other is in cell 1, line 2"),
        (("FROM a:1 AS x",), "Cell 1, line 2", "name one image"),
        (("FROM $BASE",), "Cell 1, line 2", "name one image"),
        (("FROM --platform=linux/arm64 a:1",), "Cell 1, line 2", "no options"),
        (("FROM scratch",), "Cell 1, line 2", "name one image"),
        (("COPY $X /y",), "Cell 1, line 2", "is not plain"),
        (('COPY "a" /y',), "Cell 1, line 2", "is not plain"),
        (("COPY **/x /y",), "Cell 1, line 2", "is not plain"),
        (("COPY /x /y",), "Cell 1, line 2", "lies outside"),
        (("COPY ../x /y",), "Cell 1, line 2", "lies outside"),
        (('COPY ["a/../../x", "/y"]',), "Cell 1, line 2", "lies outside"),
        (("COPY https://example.org/x /y",), "Cell 1, line 2", "lies outside"),
        (("COPY --from=uv /x /y",), "Cell 1, line 2", "tag or digest"),
        (("COPY --from=0 /x /y",), "Cell 1, line 2", "tag or digest"),
        (("COPY --from /x /y",), "Cell 1, line 2", "tag or digest"),
        (("RUN --network=host x",), "Cell 1, line 2", "--network=host"),
        (("RUN --mount=type=secret,id=pip x",), "Cell 1, line 2", "type=secret"),
        (("RUN --mount=type=ssh x",), "Cell 1, line 2", "type=ssh"),
        (("RUN --mount=target=/x x",), "Cell 1, line 2", "type=bind"),
        (("RUN --mount=type=bind,from=uv,target=/x x",), "Cell 1, line 2", "from= of a mount"),
        (("RUN --mount=type=cache,from=uv,target=/x x",), "Cell 1, line 2", "from= of a mount"),
        (("COPY nowhere /y",), "Cell 1, line 2", "options_for"),
        (("RUN <<EOF\n" + "x" * 61_000 + "\nEOF",), "Cell 1, line 2", "longer than a line"),
    ],
)
def test_what_is_not_taken_in(texts: tuple[str, ...], place: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        read(cells(*texts), ())
    assert caught.value.message.startswith(f"{place}: ")
    assert words in caught.value.paragraph()


@pytest.mark.parametrize("text", [f"ENV T={TOKEN}", f"# {TOKEN}", f"RUN <<EOF\n{TOKEN}\nEOF"])
def test_a_credential_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(Refused) as caught:
        read(cells("ENV A=1", f"ENV B=2\n{text}"), ())
    assert caught.value.message.startswith("Cell 2, line ")
    assert TOKEN not in caught.value.paragraph()


def line_of(text: str, *files: str) -> str:
    """The last line of what becomes of one instruction."""
    return str(read(cells(text), in_context(*files)).middle[0][-1]).splitlines()[-1].strip()


def test_the_forms_of_copy() -> None:
    assert line_of("COPY a b /c/", "a", "b/x") == "COPY copied/a copied/b /c/"
    assert line_of("copy --link . /c", "a") == "COPY --link copied/ /c"
    assert line_of("COPY ./a $X/", "a") == "COPY copied/a $X/"
    assert line_of('COPY ["a b", "/c d"]', "a b") == 'COPY ["copied/a b", "/c d"]'
    assert line_of("COPY d/*.csv /c/", "d/x.csv") == "COPY copied/d/*.csv /c/"
    assert line_of("COPY --from=a/b:1 /x /y") == "COPY --from=a/b:1 /x /y"


def test_a_here_document_becomes_one_word_for_the_shell() -> None:
    assert line_of("RUN <<EOF\na\nb\nEOF") == 'RUN ["/bin/sh", "-c", "a\\nb\\n"]'
    assert line_of("RUN <<-EOF\n\ta\n\tEOF") == 'RUN ["/bin/sh", "-c", "a\\n"]'
    assert (
        line_of("RUN cat <<'E' > /x\na\nE") == 'RUN ["/bin/sh", "-c", "cat <<\'E\' > /x\\na\\nE"]'
    )
    assert "mktemp" in line_of("RUN <<EOF\n#!/usr/bin/env python3\nprint(1)\nEOF")


# --- the files -----------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "nb" / "conf" / "__pycache__").mkdir(parents=True)
    root = tmp_path / "nb"
    (root / "conf" / "a.conf").write_text("a")
    (root / "conf" / "__pycache__" / "x.pyc").write_text("x")
    (root / "tool.sh").write_text("#!/bin/sh\n")
    (root / "tool.sh").chmod(0o755)
    (tmp_path / "outside.txt").write_text("x")
    return root


def notebook_with(folder: Path, *texts: str) -> Notebook:
    code = [samples.code(f"%%dockerfile\n{text}") for text in texts]
    return load(samples.write(folder / "x.ipynb", *code))


def taken(notebook: Notebook, *exclude: str) -> list[str]:
    found = copied(notebook, instruction_cells(notebook.node), exclude)
    return [file.path + ("*" if file.executable else "") for file in found]


def test_what_copy_takes(folder: Path) -> None:
    assert taken(notebook_with(folder, "COPY conf tool.sh /x/")) == ["conf/a.conf", "tool.sh*"]
    assert taken(notebook_with(folder, "COPY . /x/")) == ["conf/a.conf", "tool.sh*"]
    assert taken(notebook_with(folder, "COPY *.sh /x/")) == ["tool.sh*"]
    assert taken(notebook_with(folder, "COPY . /x/"), "conf") == ["tool.sh*"]


def test_what_copy_does_not_take(folder: Path) -> None:
    (folder / "link.txt").symlink_to("../outside.txt")
    (folder / ".env").write_text("A=1")
    (folder / "held.txt").write_text(TOKEN)
    for source, error, words in (
        ("nowhere", InputError, "is not in the notebook's folder"),
        ("conf/__pycache__x", InputError, "is not in the notebook's folder"),
        ("link.txt", InputError, "leads out of the notebook's folder"),
        (".env", Refused, "looks like a credential"),
        ("held.txt", Refused, "holds a credential (GitHub token)"),
        (".", Refused, "credential"),
    ):
        with pytest.raises(error) as caught:
            taken(notebook_with(folder, "ENV A=1", f"ENV B=1\nCOPY {source} /x/"))
        assert caught.value.message.startswith("Cell 2, line 3: "), source
        assert words in caught.value.message


def test_the_files_are_in_the_context(folder: Path, tmp_path: Path) -> None:
    notebook = notebook_with(folder, "COPY conf tool.sh /opt/")
    options = options_for(notebook)
    capture = samples.capture(
        notebook="x.ipynb",
        notebook_sha256=digest(notebook.node),
        instructions=instruction_cells(notebook.node),
        files_read=(),
        local_modules=(),
    )
    recipe = synthesize(capture, options)
    write_context(recipe, notebook, tmp_path / "out")
    assert (tmp_path / "out" / "copied" / "conf" / "a.conf").read_text() == "a"
    mode = (tmp_path / "out" / "copied" / "tool.sh").stat().st_mode
    assert mode & 0o777 == 0o775
    assert "!copied" in (tmp_path / "out" / ".dockerignore").read_text()
    assert not (tmp_path / "out" / "data").exists()
    # Only the mode of a file changed: that is another image.
    (folder / "tool.sh").chmod(0o644)
    assert synthesize(capture, options_for(notebook)).digest != recipe.digest


def test_a_base_on_the_command_line_has_the_last_word(folder: Path) -> None:
    from ipydock.options import recipe_options_of

    notebook = notebook_with(folder, "FROM a:1")
    assert options_for(notebook).base == "a:1"
    found = recipe_options_of(notebook, settled(notebook, {"base": "b:1"}))
    assert found.base == "b:1"
    assert found.notes == ("FROM a:1 of cell 1, line 2 gives way to --base b:1.",)


def test_the_cells_of_a_notebook() -> None:
    node = samples.notebook(
        samples.code("%%dockerfile\nENV A=1"),
        samples.code("\n  %%dockerfile  \nENV B=1\n"),
        samples.code("%%dockerfiles\nENV C=1"),
        samples.code("x = '''\n%%dockerfile\n'''"),
        samples.code("%%dockerfile"),
    )
    found = [(cell.number, cell.line, cell.text) for cell in instruction_cells(node)]
    assert found == [(1, 2, "ENV A=1"), (2, 3, "ENV B=1\n"), (5, 2, "")]
