"""How long capture takes: ``python -m benchmarks.speed [FOLDER]``.

Prints how long ``import ipydock`` takes, capturing a notebook of 100 cells from the live session
that ran it (pandas, scikit-learn and matplotlib in memory), and capturing 1,000 notebooks in one
process by their source alone: those below FOLDER, again and again.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from itertools import cycle, islice
from pathlib import Path

from rich.console import Console
from rich.table import Table

from ipydock.capture import capture
from ipydock.errors import NotebookError

IMPORT = "import time; t = time.perf_counter(); import ipydock; print(time.perf_counter() - t)"
LIVE = """
import json, time
from IPython.core.interactiveshell import InteractiveShell
import nbformat
shell = InteractiveShell.instance()
sources = ["%load_ext ipydock", "import pandas as pd", "import sklearn.linear_model",
           "import matplotlib.pyplot as plt", "import numpy as np"]
sources += [f"x{n} = np.arange({n})\\ny{n} = pd.Series(x{n}).sum()" for n in range(95)]
for source in sources:
    shell.run_cell(source, store_history=True)
cells = [nbformat.v4.new_code_cell(s) for s in sources]
from ipydock.capture import capture_session
spent = []
for _ in range(11):
    began = time.perf_counter()
    capture_session(nbformat.v4.new_notebook(cells=cells))
    spent.append(time.perf_counter() - began)
print(json.dumps(spent))
"""


def child(code: str) -> str:
    """What a fresh interpreter prints last."""
    done = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout.splitlines()[-1]


def many(folder: Path, count: int) -> tuple[float, int, int]:
    """Seconds for ``count`` notebooks, how many were captured and how many are no notebooks."""
    found = sorted(p for p in folder.rglob("*.ipynb") if ".ipynb_checkpoints" not in p.parts)
    if not found:
        raise SystemExit(f"there are no notebooks below {folder}")
    captured = refused = 0
    began = time.perf_counter()
    for path in islice(cycle(found), count):
        try:
            capture(path)
            captured += 1
        except NotebookError:
            refused += 1
    return time.perf_counter() - began, captured, refused


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", default=Path("notebooks"))
    parser.add_argument("--count", type=int, default=1000)
    given = parser.parse_args()
    table = Table("", "min", "median", "max")
    imports = [float(child(IMPORT)) for _ in range(7)]
    first, *live = json.loads(child(LIVE))
    for name, spent in (("import ipydock", imports), ("live capture, 100 cells", live)):
        figures = (min(spent), statistics.median(spent), max(spent))
        table.add_row(name, *(f"{1000 * seconds:.0f} ms" for seconds in figures))
    table.add_row("  the first one of a session", f"{1000 * first:.0f} ms")
    seconds, captured, refused = many(given.folder, given.count)
    table.add_row(
        f"{given.count} notebooks by their source",
        f"{1000 * seconds / given.count:.0f} ms each",
        f"{captured} captured",
        f"{refused} are no notebooks",
    )
    Console().print(table)


if __name__ == "__main__":
    main()
