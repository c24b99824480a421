"""``%%dockerfile``: checked when the cell runs, the line and the cell named."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ipydock.errors import InputError, Refused
from ipydock.magics.dockerfile import check
from ipydock.models import InstructionCell
from ipydock.notebook import load
from tests import samples

HEAD = "%%dockerfile\n"
CELLS = (
    "%load_ext ipydock",
    f"{HEAD}ENV A=<b>\nRUN a \\\n  b\nCOPY x.txt /x\nUSER 7",
    f"{HEAD}ENV A=1\nLABLE a=b",
    f"\n\n{HEAD}COPY y.txt /y",
    f"{HEAD}# nothing",
    "%%dockerfile --build\nENV A=1",
)
# Runs cells as a front end does, and tells what each showed and how it failed.
PLAY = """
import json, sys
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
for source in json.loads(sys.stdin.read()):
    done = shell.run_cell(source, store_history=True)
    error = done.error_in_exec or done.error_before_exec
    data = shell.display_formatter.format(done.result)[0] if done.result is not None else {}
    print("TOLD", json.dumps([data, str(error or "")]))
print("TOLD", json.dumps([{}, str("dockerfile" in shell.magics_manager.magics["cell"])]))
shell.run_cell("%unload_ext ipydock")
print("TOLD", json.dumps([{}, str("dockerfile" in shell.magics_manager.magics["cell"])]))
"""


def play(nb: Path, *sources: str) -> list[tuple[dict[str, str], str]]:
    done = subprocess.run(
        [sys.executable, "-c", PLAY],
        input=json.dumps(sources),
        cwd=nb.parent,
        env={**os.environ, "JPY_SESSION_NAME": str(nb), "IPYTHONDIR": str(nb.parent / "ipython")},
        capture_output=True,
        text=True,
        check=True,
    )
    told = [line for line in done.stdout.splitlines() if line.startswith("TOLD ")]
    return [tuple(json.loads(line[5:])) for line in told]


def test_cells_are_checked_when_they_run(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("x")
    # The third cell was edited after it was saved, so that its number is not known.
    saved = [*CELLS[:2], "%%dockerfile\nENV A=1", *CELLS[3:]]
    nb = samples.write(tmp_path / "x.ipynb", *map(samples.code, saved))
    _, good, wrong, missing, empty, options, loaded, unloaded = play(nb, *CELLS)
    text = good[0]["text/plain"]
    order = ["env a=<b>", "run a \\\n", "copy x.txt /x", "at the end", "user 7", "nothing was run"]
    assert sorted(order, key=text.lower().index) == order
    assert "COPY takes 1 file (1 B)" in text
    assert "ENV A=&lt;b&gt;" in good[0]["text/html"] and "<b>" not in good[0]["text/html"]
    assert wrong[1].startswith("This cell, line 3: LABLE is not an instruction")
    assert missing[1].startswith("Cell 4, line 4: y.txt is not in the notebook's folder")
    assert "holds no instructions" in empty[1]
    assert "takes no options" in options[1]
    assert (loaded[1], unloaded[1]) == ("True", "False")


def test_a_secret_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("A=1")
    notebook = load(samples.write(tmp_path / "x.ipynb", samples.code("1")))
    cell = InstructionCell(text="COPY .env /x", origin="cell 3", number=3, line=2)
    with pytest.raises(Refused, match=r"^Cell 3, line 2: \.env looks like a credential"):
        check(cell, notebook)
    with pytest.raises(InputError, match="holds no instructions"):
        check(cell.model_copy(update={"text": "\n"}), notebook)
