"""What a session tells, as findings: with the cell that each thing happened in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat

from ipydock.capture.seen import Session, unseen
from ipydock.notebook import Notebook, load

WATCHED = {
    "since": 0,
    "opened": [["/home/ada/a.csv", "read", 3], ["/home/ada/b.csv", "write", 9]],
    "programs": [["/usr/bin/dot", 3]],
    "hosts": [["example.org", 4]],
    "env_names": [["TOKEN", 3]],
    "lost": 0,
    "demanded": [["openpyxl", "pandas", 3]],
}


def notebook(folder: Path) -> Notebook:
    cells = [
        nbformat.v4.new_markdown_cell("# A"),
        nbformat.v4.new_code_cell("import pandas as pd"),
        nbformat.v4.new_code_cell("pd.read_excel('a.xlsx')\n"),
    ]
    return load(nbformat.v4.new_notebook(cells=cells), folder=folder)


def session(folder: Path, **more: Any) -> Session:
    history = ["", "import pandas as pd", "1", "pd.read_excel('a.xlsx')", "gone()"]
    return Session(notebook(folder), {"history": history, "watched": WATCHED, **more})


def test_an_execution_is_the_cell_with_its_text(tmp_path: Path) -> None:
    found = session(tmp_path).findings()
    read, written = found.paths
    assert (read.path, read.use, read.place.number, read.place.cell) == (
        "/home/ada/a.csv",
        "read",
        2,
        2,
    )
    assert (written.use, written.place.number) == ("write", None)
    assert str(written.place) == "The live kernel"
    assert [place.number for _, place in found.programs + found.hosts + found.env_names] == [
        2,
        None,
        2,
    ]


def test_a_run_tells_which_cells_it_executed(tmp_path: Path) -> None:
    # JSON makes texts of numbers that are keys.
    found = session(tmp_path, cells={"3": [7, 4]}).findings()
    assert (found.paths[0].place.cell, found.paths[0].place.number) == (7, 4)


def test_what_the_trace_saw_has_no_cell(tmp_path: Path) -> None:
    traced = {"opened": [["/home/ada/x.h5", "read"]], "programs": ["/bin/ls"], "hosts": ["1.2.3.4"]}
    found = session(tmp_path, traced=traced).findings()
    last = found.paths[-1]
    assert (last.path, last.place.source, last.place.number) == ("/home/ada/x.h5", "trace", None)
    assert found.programs[-1][0] == "/bin/ls"
    assert found.hosts[-1][0] == "1.2.3.4"


def test_demand_is_known_only_if_all_was_watched(tmp_path: Path) -> None:
    by, place = session(tmp_path).demanded()["openpyxl"]
    assert (by, place.number) == ("pandas", 2)
    late = session(tmp_path, watched={**WATCHED, "since": 2})
    assert late.demanded() == {}
    assert late.findings().paths


def test_what_was_lost_is_said(tmp_path: Path) -> None:
    found = session(tmp_path, watched={**WATCHED, "lost": 12_000}).findings()
    assert "12,000" in found.warnings[0]
    assert not session(tmp_path).findings().warnings


def test_each_source_says_what_it_cannot_see(tmp_path: Path) -> None:
    assert "capture --run" in unseen(None)[0]
    whole = unseen(session(tmp_path))
    assert len(whole) == 1
    assert "C libraries" in whole[0]
    late = unseen(session(tmp_path, watched={**WATCHED, "since": 2}))
    assert "before ipydock was loaded" in late[0]
    traced: dict[str, list[str]] = {"opened": [], "programs": [], "hosts": []}
    assert unseen(session(tmp_path, traced=traced)) == (
        "names of the hosts: system calls hold addresses",
    )
    assert "only show when the code runs" in unseen(session(tmp_path, watched=None))[0]


def test_settings_are_the_sessions(tmp_path: Path) -> None:
    told = {"locale": "C.UTF-8", "timezone": "UTC", "random": {"numpy": False}}
    settings = session(tmp_path, settings=told).settings
    assert settings is not None
    assert settings.random == {"numpy": False}
    assert session(tmp_path).settings is None
