"""Loading notebooks: what is refused and how, what is mended, what goes into an image."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import nbformat
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ipydock import files, notebook
from ipydock.errors import NotebookError


def document(*sources: str, **metadata: Any) -> dict[str, Any]:
    """An nbformat 4 document with these code cells."""
    return {
        "nbformat": 4,
        "nbformat_minor": 4,
        "metadata": metadata,
        "cells": [
            {
                "cell_type": "code",
                "metadata": {},
                "source": source,
                "outputs": [],
                "execution_count": None,
            }
            for source in sources
        ],
    }


def refused(tmp_path: Path, content: str | bytes) -> str:
    """What the error says about a file with this content."""
    path = tmp_path / "nb.ipynb"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(NotebookError) as caught:
        notebook.load(path)
    return caught.value.paragraph()


def test_missing_names_the_near_ones(tmp_path: Path) -> None:
    (tmp_path / "analysis.ipynb").write_text("{}")
    with pytest.raises(NotebookError) as caught:
        notebook.load(tmp_path / "analisys.ipynb")
    assert "There is no notebook" in caught.value.message
    assert "Did you mean analysis.ipynb?" in caught.value.hint
    assert caught.value.exit_code == 2


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(NotebookError, match="no notebook") as caught:
        notebook.load(tmp_path / "nowhere" / "nb.ipynb")
    assert "does not exist" in caught.value.hint


def test_folder(tmp_path: Path) -> None:
    (tmp_path / "a.ipynb").write_text("{}")
    with pytest.raises(NotebookError, match="is a folder") as caught:
        notebook.load(tmp_path)
    assert "a.ipynb" in caught.value.hint


def test_name_with_nul() -> None:
    with pytest.raises(NotebookError, match="cannot be read"):
        notebook.load("a\0b.ipynb")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is empty"),
        ("  \n", "is empty"),
        ('{"cells": [{"cell_type": "code", "sou', "truncated"),
        ('{"cells": [\n{"cell_type": "code"},', "truncated: its JSON breaks off"),
        ("print('hello')\n", "it is not JSON"),
        ("<!DOCTYPE html><html></html>", "is a web page"),
        ("version https://git-lfs.github.com/spec/v1\noid x\n", "Git LFS pointer"),
        ('{\n<<<<<<< HEAD\n "cells": []\n=======\n>>>>>>> b\n}', "merge conflict (line 2)"),
        (b'{"cells": "\xff\xfe"}', "is not text in utf-8"),
        ("[" * 100_000, "nested too deep"),
        ('{"a": ' * 100_000, "nested too deep"),
        ('{"nbformat": ' + "9" * 5000 + "}", "is not a notebook"),
        ("[1, 2]", "it is not an object"),
        ('"text"', "it is not an object"),
        ('{"a": 1}', "no nbformat number"),
        ('{"cells": [], "nbformat": "4"}', "no nbformat number (nbformat 1?)"),
        ('{"cells": [], "nbformat": true}', "no nbformat number"),
        ('{"nbformat": 4, "metadata": {}}', "it has no list of cells"),
        ('{"nbformat": 4, "cells": {}}', "it has no list of cells"),
        ('{"nbformat": 2, "worksheets": []}', "nbformat 2, which is too old"),
        ('{"nbformat": 1, "cells": []}', "nbformat 1, which is too old"),
        ('{"nbformat": 5, "cells": []}', "nbformat 5; this ipydock knows 3 and 4"),
    ],
)
def test_refused(tmp_path: Path, content: str | bytes, said: str) -> None:
    assert said in refused(tmp_path, content)


def test_truncated_says_where(tmp_path: Path) -> None:
    whole = json.dumps(document("x = 1\n" * 40), indent=1)
    text = refused(tmp_path, whole[: len(whole) // 2])
    assert "truncated" in text
    assert "line " in text


@pytest.mark.parametrize(
    "metadata",
    [
        {"kernelspec": {"name": "ir", "language": "R", "display_name": "R"}},
        {"language_info": {"name": "julia"}},
        {"kernelspec": {"name": "julia-1.9", "display_name": "Julia"}},
        {"kernelspec": {"name": "bash"}},
        {"kernelspec": {"name": ".net-csharp", "language": "C#"}},
    ],
)
def test_other_languages(tmp_path: Path, metadata: dict[str, Any]) -> None:
    text = refused(tmp_path, json.dumps(document("x", **metadata)))
    assert "ipydock works with Python notebooks only" in text


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"kernelspec": {"name": "conda-env-x-py", "language": "python"}},
        {"kernelspec": {"name": "my-irregular-name"}},
        {"language_info": {"name": "python", "version": "3.9.1"}},
        {"kernelspec": {"name": "python3", "language": "Python"}},
        {"kernelspec": "broken", "language_info": 3},
    ],
)
def test_python_is_recognised(metadata: dict[str, Any]) -> None:
    assert notebook.load(document("x", **metadata)).warnings == ()


def test_python_2_is_said() -> None:
    loaded = notebook.load(document("x", language_info={"name": "python", "version": "2.7.9"}))
    assert len(loaded.warnings) == 1
    assert "last run with Python 2.7.9, which is not the language" in loaded.warnings[0]


def test_slightly_invalid_is_mended() -> None:
    raw = document("a", "b")
    raw["cells"][0] = {"cell_type": "code", "source": ["x = 1\n", "y = 2"], "extra": 1, "id": "a b"}
    raw["cells"][1]["outputs"] = [
        {"output_type": "stream", "text": ["a\n", "b"]},
        {"output_type": "execute_result", "data": {"text/plain": ["1"]}},
        {"output_type": "error", "ename": "E", "evalue": "", "traceback": None},
        {"output_type": "nonsense"},
        "nonsense",
    ]
    raw["cells"] += [
        {"cell_type": "markdown", "source": "text", "outputs": []},
        {"cell_type": "heading"},
        None,
    ]
    del raw["metadata"]
    before = json.dumps(raw)
    loaded = notebook.load(raw)
    assert json.dumps(raw) == before, "the caller's node is not touched"
    nbformat.validate({**loaded.node, "cells": [_known(c) for c in loaded.node["cells"]]})
    assert [c.source for c in notebook.code_cells(loaded.node)] == ["x = 1\ny = 2", "b"]
    assert len(loaded.node["cells"][1]["outputs"]) == 3
    assert loaded.node["cells"][1]["outputs"][0]["text"] == "a\nb"
    assert loaded.warnings == ("2 cells of an unknown kind were left out.",)


def _known(cell: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in cell.items() if k != "extra"}


def test_duplicate_ids_are_told_apart() -> None:
    raw = document("a", "b", "c")
    for cell in raw["cells"]:
        cell["id"] = "same"
    ids = [cell["id"] for cell in notebook.load(raw).node["cells"]]
    assert len(set(ids)) == 3


def test_lone_surrogates_are_replaced() -> None:
    raw = document("x = '\ud800'")
    loaded = notebook.load(raw)
    assert next(notebook.code_cells(loaded.node)).source == "x = '\N{REPLACEMENT CHARACTER}'"
    notebook.digest(loaded.node)


def test_nbformat_3_is_upgraded_with_its_outputs(tmp_path: Path) -> None:
    path = tmp_path / "old.ipynb"
    old = {
        "nbformat": 3,
        "nbformat_minor": 0,
        "metadata": {"name": "old"},
        "worksheets": [
            {
                "cells": [
                    {"cell_type": "heading", "level": 2, "source": ["Title"]},
                    {
                        "cell_type": "code",
                        "language": "python",
                        "input": ["import numpy\n", "1"],
                        "prompt_number": 7,
                        "outputs": [
                            {"output_type": "stream", "stream": "stderr", "text": ["a"]},
                            {
                                "output_type": "pyout",
                                "prompt_number": 7,
                                "text": ["1"],
                                "png": "iVBO",
                            },
                            {"output_type": "pyerr", "ename": "E", "evalue": "v", "traceback": []},
                            {"output_type": "display_data", "svg": ["<svg/>"], "metadata": {}},
                        ],
                    },
                ]
            },
            {"cells": [{"cell_type": "code", "input": "2"}]},
        ],
    }
    path.write_text(json.dumps(old))
    before = path.read_bytes()
    loaded = notebook.load(path)
    assert path.read_bytes() == before
    assert "nbformat 3" in loaded.warnings[0]
    nbformat.validate(loaded.node)
    assert loaded.node["cells"][0]["source"] == "## Title"
    cell = loaded.node["cells"][1]
    assert cell["source"] == "import numpy\n1"
    assert cell["execution_count"] == 7
    assert [o["output_type"] for o in cell["outputs"]] == [
        "stream",
        "execute_result",
        "error",
        "display_data",
    ]
    assert cell["outputs"][1]["data"] == {"text/plain": "1", "image/png": "iVBO"}
    assert [c.number for c in notebook.code_cells(loaded.node)] == [1, 2]


def test_nbformat_3_in_another_language(tmp_path: Path) -> None:
    sheet = {"cells": [{"cell_type": "code", "language": "julia", "input": "x"}]}
    text = refused(tmp_path, json.dumps({"nbformat": 3, "worksheets": [sheet]}))
    assert "is a notebook in julia" in text


def test_stripped_forgets_what_a_run_leaves() -> None:
    ran = document("x = 1", "x")
    ran["cells"][1] |= {
        "execution_count": 9,
        "outputs": [{"output_type": "stream", "name": "stdout", "text": "1"}],
        "metadata": {"execution": {"iopub.execute_input": "2020-01-01"}, "tags": ["parameters"]},
        "id": "abc",
    }
    ran["metadata"] = {
        "kernelspec": {"name": "conda-env-x-py", "language": "python", "display_name": "x"},
        "language_info": {"name": "python", "version": "3.9.1"},
        "widgets": {"application/vnd.jupyter.widget-state+json": {}},
    }
    fresh = document("x = 1", "x")
    fresh["cells"][1]["metadata"] = {"tags": ["parameters"]}
    ran_text, fresh_text = (notebook.stripped(notebook.load(nb).node) for nb in (ran, fresh))
    assert ran_text == fresh_text
    node = nbformat.reads(ran_text, 4)
    nbformat.validate(node)
    assert node["metadata"]["kernelspec"]["name"] == "python3"
    assert notebook.digest(notebook.load(ran).node) == notebook.digest(notebook.load(fresh).node)
    changed = notebook.load(document("x = 2", "x"))
    assert notebook.digest(changed.node) != notebook.digest(notebook.load(ran).node)


def test_write_atomic_has_the_mode_of_a_new_file(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        files.write_atomic(tmp_path / "out.ipynb", "text")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "out.ipynb").stat().st_mode) == 0o640
    assert [path.name for path in tmp_path.iterdir()] == ["out.ipynb"]


def test_write_atomic_leaves_nothing_on_failure(tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.mkdir()
    (target / "inside").write_text("")
    with pytest.raises(OSError):
        files.write_atomic(target, "text")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert [path.name for path in target.iterdir()] == ["inside"]


def test_write_atomic_follows_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    files.write_atomic(tmp_path / "link", "new")
    assert (tmp_path / "real").read_text() == "new"
    assert (tmp_path / "link").is_symlink()


KEYS = [
    *["nbformat", "nbformat_minor", "cells", "cell_type", "source", "metadata", "outputs", "data"],
    *["output_type", "text", "kernelspec", "language_info", "name", "language", "worksheets"],
    *["input", "id", "attachments", "traceback"],
]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5), inner, max_size=6)
    ),
    max_leaves=30,
)
cell_like = st.fixed_dictionaries(
    {"cell_type": st.sampled_from(["code", "markdown", "raw", "heading", "x"]) | json_values},
    optional={
        "source": json_values,
        "input": json_values,
        "outputs": st.lists(
            st.fixed_dictionaries(
                {"output_type": st.sampled_from(["stream", "error", "display_data", "pyout"])},
                optional={"data": json_values, "text": json_values, "metadata": json_values},
            )
            | json_values,
            max_size=3,
        ),
        "metadata": json_values,
        "id": json_values,
        "execution_count": json_values,
    },
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.fixed_dictionaries(
        {"nbformat": st.sampled_from([3, 4]) | json_values},
        optional={
            "cells": st.lists(cell_like | json_values, max_size=4),
            "worksheets": st.lists(
                st.fixed_dictionaries({"cells": st.lists(cell_like | json_values, max_size=3)})
                | json_values,
                max_size=2,
            ),
            "metadata": json_values,
            "nbformat_minor": json_values,
        },
    )
)
def test_any_json_is_loaded_or_refused(raw: dict[str, Any]) -> None:
    try:
        loaded = notebook.load(raw)
    except NotebookError as error:
        assert error.message.isprintable()
        return
    text = notebook.stripped(loaded.node)
    nbformat.validate(nbformat.reads(text, 4))
    text.encode()
    assert notebook.stripped(notebook.load(json.loads(text)).node) == text


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_mutated_bytes_are_loaded_or_refused(data: st.DataObject) -> None:
    raw = bytearray(json.dumps(document("import numpy\n", "x = 'é'"), ensure_ascii=False).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        node = notebook.parse(bytes(raw), "nb.ipynb")
    except NotebookError:
        return
    notebook.digest(node)
