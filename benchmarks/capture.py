"""How complete and how exact capture is, on public notebooks, beside what people use today.

``python -m benchmarks.capture FOLDER --python ENV/bin/python`` runs each notebook of `NOTEBOOKS`
that is below FOLDER under a system-call trace (`benchmarks.truth`) and compares what it really used
with what ``ipydock capture`` says (from the source alone, with ``--run``, with ``--trace``), and
with what pipreqs, pigar and ``pip freeze`` say about the same folder. Every miss is named.

Recall of distributions: of those that were loaded, without those that a library loads only because
they are installed, the part that installing what a tool names (with all that it requires) brings.
Precision: of the distributions that a tool names, the part that was loaded. Files, programs and
libraries: of those used, the part that is listed, and of those listed, the part that was used.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uv
from packaging.utils import canonicalize_name
from rich.console import Console
from rich.table import Table

from .truth import Machine, Used

# Of the repositories that they are named after (owner+name), as checked out below FOLDER.
NOTEBOOKS = """
AllenDowney+ThinkStats/examples/variability.ipynb
AllenDowney+ThinkStats/nb/chap01.ipynb
donnemartin+data-science-ipython-notebooks/scikit-learn/scikit-learn-gmm.ipynb
donnemartin+data-science-ipython-notebooks/kaggle/titanic.ipynb
donnemartin+data-science-ipython-notebooks/matplotlib/matplotlib-applied.ipynb
donnemartin+data-science-ipython-notebooks/numpy/numpy.ipynb
donnemartin+data-science-ipython-notebooks/pandas/pandas.ipynb
donnemartin+data-science-ipython-notebooks/pandas/03.07-Merge-and-Join.ipynb
donnemartin+data-science-ipython-notebooks/python-data/files.ipynb
donnemartin+data-science-ipython-notebooks/scikit-learn/scikit-learn-pca.ipynb
donnemartin+data-science-ipython-notebooks/scikit-learn/scikit-learn-random-forest.ipynb
fonnesbeck+statistical-analysis-python-tutorial/1. Introduction to Pandas.ipynb
fonnesbeck+statistical-analysis-python-tutorial/2. Data Wrangling with Pandas.ipynb
fonnesbeck+statistical-analysis-python-tutorial/3. Plotting and Visualization.ipynb
fonnesbeck+statistical-analysis-python-tutorial/4. Statistical Data Modeling.ipynb
ipython+ipython-in-depth/examples/IPython Kernel/Capturing Output.ipynb
ipython+ipython-in-depth/examples/IPython Kernel/Cell Magics.ipynb
ipython+ipython-in-depth/examples/IPython Kernel/Rich Output.ipynb
ipython+ipython-in-depth/examples/IPython Kernel/Beyond Plain Python.ipynb
ipython+ipython-in-depth/examples/IPython Kernel/SymPy.ipynb
ipython+ipython-in-depth/examples/Notebook/Importing Notebooks.ipynb
statsmodels+statsmodels/examples/notebooks/copula.ipynb
statsmodels+statsmodels/examples/notebooks/glm.ipynb
statsmodels+statsmodels/examples/notebooks/ols.ipynb
statsmodels+statsmodels/examples/notebooks/regression_plots.ipynb
statsmodels+statsmodels/examples/notebooks/stl_decomposition.ipynb
xflr6+graphviz/examples/graphviz-engines.ipynb
xflr6+graphviz/examples/graphviz-notebook.ipynb
"""
MODES = {
    "ipydock (source)": [],
    "ipydock --run": ["--run"],
    "ipydock --trace": ["--trace"],
}
KINDS = ("distributions", "files", "programs", "libraries")
_IMPORT = re.compile(r"^\s*(?:from|import)\s+([A-Za-z_][\w.]*)", re.MULTILINE)
# What python:X-slim-bookworm has, by its Dockerfile and what its Python is linked to.
EVERY_IMAGE = (
    "libc6 libgcc-s1 libstdc++6 zlib1g libssl3 libffi8 libsqlite3-0 libbz2-1.0 liblzma5 "
    "libreadline8 libncursesw6 libtinfo6 libuuid1 libexpat1 libgdbm6 libdb5.3"
)
_PYPI = "https://pypi.org/pypi/"  # what pipreqs asks by default is gone


@dataclass
class Score:
    """Counts of one tool for one kind: used and found, used, named and used, named."""

    found: int = 0
    used: int = 0
    right: int = 0
    named: int = 0
    missed: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    wrong: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(
        self, notebook: str, used: set[str], covered: set[str], named: set[str], any_: set[str]
    ) -> None:
        """Count one notebook: ``covered`` against ``used``, ``named`` against ``any_``."""
        self.found += len(used & covered)
        self.used += len(used)
        self.right += len(named & any_)
        self.named += len(named)
        for name in sorted(used - covered):
            self.missed[name].append(notebook)
        for name in sorted(named - any_):
            self.wrong[name].append(notebook)

    def __str__(self) -> str:
        recall = f"{100 * self.found / self.used:.0f} %" if self.used else "-"
        precision = f"{100 * self.right / self.named:.0f} %" if self.named else "-"
        return f"{recall} / {precision}  ({self.found}/{self.used}, {self.right}/{self.named})"


class Benchmark:
    """The scores of every tool over all notebooks."""

    def __init__(
        self, folder: Path, machine: Machine, scratch: Path, timeout: int, asked: str = ""
    ) -> None:
        """Compare on the notebooks below ``folder``, copied to ``scratch`` before each run."""
        self.folder = folder
        self.machine = machine
        self.scratch = scratch
        self.timeout = timeout
        self.asked = asked
        # In the environment, as people use them, but not installed into it.
        target = scratch / "tools"
        install = [uv.find_uv_bin(), "pip", "install", "-q", "--python", str(machine.python)]
        subprocess.run([*install, "--target", str(target), "pipreqs", "pigar"], check=True)
        self.tools = {"PYTHONPATH": str(target), "JUPYTER_PATH": f"{target}/share/jupyter"}
        self.scores: dict[tuple[str, str], Score] = defaultdict(Score)

    def notebook(self, name: str) -> Used:
        """Run one notebook under the trace and ask every tool about it."""
        used = self.machine.run(self._fresh(name), self.timeout)
        copy = self.scratch / "copy"
        used.files = {
            str(Path(f).relative_to(copy)) for f in used.files if f.startswith(f"{copy}/")
        }
        used.programs = {Path(p).name for p in used.programs}
        used.libraries = {Path(p).name for p in used.libraries - _every_image()}
        wanted = self._wanted(self.folder / name, used)
        for tool, words in MODES.items():
            told = self._ipydock(self._fresh(name), words) if self.asked in tool else None
            if told is not None:
                self._count(tool, name, used, wanted, told)
        for tool, names in self._others(name).items():
            covered = self.machine.closure(names | {"ipykernel"})
            self.scores[tool, "distributions"].add(
                name, wanted, covered, names, used.distributions | self.machine.kernel.distributions
            )
        return used

    def _fresh(self, name: str) -> Path:
        """A copy of the notebook's repository as it was published; the path of the notebook."""
        repository, _, inner = name.partition("/")
        copy = self.scratch / "copy"
        if copy.exists():
            shutil.rmtree(copy)
        shutil.copytree(self.folder / repository, copy)
        return copy / inner

    def _wanted(self, notebook: Path, used: Used) -> set[str]:
        """What was loaded, without what is loaded only because it is installed."""
        text = "\n".join(
            "".join(cell["source"] if "source" in cell else cell.get("input", ""))
            for cell in _cells(json.loads(notebook.read_text()))
        )
        modules = set(_IMPORT.findall(text))
        tops = {module.partition(".")[0] for module in modules}
        owners = {n for n, names in self.machine.tops.items() if tops & set(names)}
        direct = self.machine.closure(owners | {"ipykernel"})
        extra = used.distributions - direct
        return used.distributions - (extra & self.machine.incidental(used.distributions, modules))

    def _ipydock(self, notebook: Path, words: list[str]) -> dict[str, Any] | None:
        command = [sys.executable, "-m", "ipydock", "capture", str(notebook), "--json", "-q"]
        command += ["--python", str(self.machine.python), *words]
        done = subprocess.run(
            command, capture_output=True, text=True, env=self.machine.env, check=False
        )
        if done.returncode:
            print(f"  {notebook.name} {words}: {done.stderr.strip()}", file=sys.stderr)
            return None
        told: dict[str, Any] = json.loads(done.stdout)
        return told

    def _count(
        self, tool: str, notebook: str, used: Used, wanted: set[str], told: dict[str, Any]
    ) -> None:
        asked = {r["distribution"] for r in told["requested"] if r["version"] is not None}
        asked |= {item["distribution"] for item in told["loaded"] if item["needed"]} - {"ipykernel"}
        covered = {pin["distribution"] for pin in told["closure"]}
        loaded = used.distributions | self.machine.kernel.distributions
        self.scores[tool, "distributions"].add(notebook, wanted, covered, asked, loaded)
        inner = Path(notebook.partition("/")[2]).parent
        files = {
            str(inner / f["path"]) if not f["path"].startswith("/") else _inside(f["path"])
            for f in told["files_read"]
            if f["policy"] in ("copy", "mount", "outside")
        } | {str(inner / m["path"]) for m in told["local_modules"]}
        self._plain(tool, "files", notebook, used.files, {_normal(f) for f in files})
        self._plain(
            tool, "programs", notebook, used.programs, {p["name"] for p in told["programs"]}
        )
        self._plain(
            tool, "libraries", notebook, used.libraries, {p["name"] for p in told["libraries"]}
        )

    def _plain(self, tool: str, kind: str, notebook: str, used: set[str], named: set[str]) -> None:
        self.scores[tool, kind].add(notebook, used, named, named, used)

    def _others(self, name: str) -> dict[str, set[str]]:
        """What the other tools say about a folder that holds this notebook alone."""
        alone = self.scratch / "alone"
        if alone.exists():
            shutil.rmtree(alone)
        alone.mkdir()
        shutil.copy(self.folder / name, alone)
        python = str(self.machine.python)
        pigar = ["generate", "--dry-run", "--question-answer=no", "--auto-select", str(alone)]
        pipreqs = ["--scan-notebooks", "--mode=no-pin", "--print", "--pypi-server", _PYPI]
        commands = {
            "pipreqs": [python, "-m", "pipreqs.pipreqs", *pipreqs, str(alone)],
            "pigar": [python, "-m", "pigar", *pigar],
            "pip freeze": [uv.find_uv_bin(), "pip", "freeze", "--python", python],
        }
        told = {}
        for tool, words in commands.items():
            if self.asked not in tool:
                continue
            try:
                done = subprocess.run(
                    words,
                    capture_output=True,
                    text=True,
                    timeout=120,
                    env=self.machine.env | self.tools,
                    check=False,
                )
            except (FileNotFoundError, subprocess.TimeoutExpired) as error:
                print(f"  {tool}: {error}", file=sys.stderr)
                continue
            if done.returncode:
                print(f"  {tool}: {done.stderr.strip()[-300:]}", file=sys.stderr)
            told[tool] = {
                str(canonicalize_name(found[1]))
                for line in done.stdout.splitlines()
                if (found := re.match(r"([A-Za-z0-9][\w.-]*)\s*(==|$)", line))
            }
        return told


def _cells(node: dict[str, Any]) -> Iterable[dict[str, Any]]:
    sheets = node.get("worksheets") or [node]
    return [c for s in sheets for c in s["cells"] if c["cell_type"] == "code"]


def _normal(path: str) -> str:
    parts: list[str] = []
    for part in Path(path).parts:
        if part == ".." and parts:
            parts.pop()
        elif part != "..":
            parts.append(part)
    return "/".join(parts)


def _inside(path: str) -> str:
    return path.partition("/copy/")[2] or path


def _every_image() -> set[str]:
    """Libraries that every image has, by the packages that own them here."""
    command = ["dpkg", "-L", *EVERY_IMAGE.split()]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return {form for p in done.stdout.split() for form in (p, f"/usr{p}")}


def main() -> None:
    """Print the table, and every miss by name."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="checkouts of the repositories, as OWNER+NAME")
    parser.add_argument("--python", type=Path, required=True, help="the environment to run them in")
    parser.add_argument("--timeout", type=int, default=120, help="seconds a cell")
    parser.add_argument("--tool", default="", help="tools whose name in the table contains this")
    parser.add_argument("--only", default="", help="notebooks whose path contains this")
    given = parser.parse_args()
    names = [n for n in NOTEBOOKS.splitlines() if n and given.only in n]
    with tempfile.TemporaryDirectory() as scratch:
        machine = Machine(given.python.absolute(), Path(scratch))
        benchmark = Benchmark(given.folder, machine, Path(scratch), given.timeout, given.tool)
        for name in names:
            used = benchmark.notebook(name)
            print(
                f"{name}: {len(used.distributions)} distributions, {len(used.files)} files, "
                f"{len(used.programs)} programs, {len(used.libraries)} libraries",
                file=sys.stderr,
            )
    _print(benchmark, len(names))


def _print(benchmark: Benchmark, count: int) -> None:
    console = Console(width=150)
    table = Table(title=f"{count} public notebooks: recall / precision")
    table.add_column("")
    for kind in KINDS:
        table.add_column(kind)
    tools = list(dict.fromkeys(tool for tool, _ in benchmark.scores))
    for tool in tools:
        scores = benchmark.scores
        table.add_row(
            tool, *(str(scores[tool, kind]) if (tool, kind) in scores else "-" for kind in KINDS)
        )
    console.print(table)
    for (tool, kind), score in benchmark.scores.items():
        if tool.startswith("ipydock"):
            for what, names in (("missed", score.missed), ("not used", score.wrong)):
                for name, where in sorted(names.items()):
                    console.print(f"{tool}, {kind}, {what}: {name}  ({', '.join(where)})")


if __name__ == "__main__":
    main()
