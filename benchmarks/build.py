"""How long builds take, beside pip in one RUN: ``python -m benchmarks.build [--repeats N]``.

The notebook imports what data scientists import (`WANTED`), pinned in an environment made for it.
Every figure of ipydock is the whole command, from its start to the image; pip's is ``docker
build``. Both start cold with the base image there and no download kept; another notebook, which
needs one package fewer, then finds what the first one downloaded (pip: in a cache mount). The last
rows are limits: what installing and packing the same files take by themselves. Needs Docker with
BuildKit; `make engine` starts one.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

import nbformat
from rich.console import Console
from rich.table import Table

from ipydock import pipeline
from ipydock.engine.client import build_client
from ipydock.engine.select import select
from ipydock.hosts import ca_bundle
from ipydock.recipe.lock import uv_path

WANTED = ("numpy", "pandas", "scipy", "matplotlib", "scikit-learn", "seaborn")
RUNS = ("ipykernel", "nbclient")
MORE = "tabulate"
FEWER = "seaborn"
CELLS = (
    "import numpy as np\nimport pandas as pd\nimport scipy.stats\nimport seaborn as sns",
    "import matplotlib.pyplot as plt",
    "from sklearn.ensemble import RandomForestClassifier\n"
    "from sklearn.linear_model import LinearRegression",
    "np.random.default_rng(0).normal(size=3).mean()",
)
BY_HAND = """\
FROM {base}
ENV BENCHMARK={token}
WORKDIR /work
COPY requirements.txt ./
RUN --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \\
    PIP_CERT=/etc/ssl/certs/ca-certificates.crt pip install --no-cache-dir -r requirements.txt
COPY nb.ipynb ./
"""
PIP_CACHE = "--mount=type=cache,target=/root/.cache/pip"
FORGET = """\
FROM {base}
ARG WHEN
RUN --mount=type=cache,target=/root/.cache/uv --mount=type=cache,target=/root/.cache/ipydock \\
    --mount=type=cache,target=/root/.cache/pip \\
    echo "$WHEN" && rm -rf /root/.cache/uv/* /root/.cache/ipydock/* /root/.cache/pip/*
"""
ALL_BYTECODE = """\
FROM {image}
USER 0
RUN python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash \\
    "$(python3 -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" || true
USER 1000
"""


def seconds(task: Callable[[], object]) -> float:
    """How long a task takes."""
    began = time.perf_counter()
    task()
    return time.perf_counter() - began


class Bench:
    """The workload in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # In a variable that all layers hang on: none is found that another run has made.
        self.token = uuid.uuid4().hex
        self.notebook = folder / "nb.ipynb"
        self.python = folder / "env" / "bin" / "python"
        self.env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        self._run([uv_path(), "venv", "-q", "--python", sys.executable, str(folder / "env")])
        install = (uv_path(), "pip", "install", "-q", "--python", str(self.python))
        self._run([*install, *WANTED, *RUNS, MORE])
        self.write()
        recipe = json.loads(self.ipydock("dockerfile", "--json"))
        self.base = str(recipe["base"])
        (folder / "requirements.lock").write_text(recipe["lock"])
        lines = recipe["lock"].splitlines()
        self.pins = [line.split(" ")[0] for line in lines if line[:1].isalnum()]

    def _run(self, argv: list[str]) -> str:
        done = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True, env=self.env)
        return done.stdout

    def write(self, *more: str, cells: Sequence[str] = CELLS) -> None:
        """Write the notebook, with more cells at its end."""
        made = [nbformat.v4.new_code_cell(source, id=f"c{n}") for n, source in enumerate(cells)]
        made.append(nbformat.v4.new_code_cell(f"%%dockerfile\nENV BENCHMARK={self.token}", id="d"))
        made += [nbformat.v4.new_code_cell(source, id=f"m{n}") for n, source in enumerate(more)]
        nbformat.write(nbformat.v4.new_notebook(cells=made), self.notebook)

    def ipydock(self, verb: str, *words: str) -> str:
        """What a command about the notebook prints."""
        where = ("--python", str(self.python), "--engine", "docker", "-q")
        return self._run(
            [sys.executable, "-m", "ipydock", verb, str(self.notebook), *where, *words]
        ).strip()

    def docker(self, text: str, tag: str, *words: str) -> None:
        """Build an image by hand."""
        client = build_client()
        if client is None:
            raise SystemExit("no docker client can build with BuildKit; `ipydock doctor` says more")
        bundle = ca_bundle()
        secret = ("--secret", f"id=ca,src={bundle}") if bundle else ()
        (self.folder / "Dockerfile").write_text(text)
        (self.folder / ".dockerignore").write_text("env\n")
        subprocess.run(
            [*client.words, "-q", "-t", tag, *secret, *words, str(self.folder)],
            env={**self.env, **dict(client.env)},
            stdout=subprocess.DEVNULL,
            check=True,
        )

    def all(self) -> tuple[dict[str, float], dict[str, float], dict[str, float]]:
        """The figures of pip, of ipydock, and the limits."""
        self.token = uuid.uuid4().hex
        return self.pip(), self.ours(), self.limits()

    # --- the ways -----------------------------------------------------------------------------

    def pip(self) -> dict[str, float]:
        """The Dockerfile that people write."""
        self.write()
        text, tag = BY_HAND.format(base=self.base, token=self.token), "ipydock-bench/pip"
        wanted = self.folder / "requirements.txt"
        wanted.write_text("\n".join(self.pins))
        found = {"cold": seconds(lambda: self.docker(text, tag, "--no-cache"))}
        found["unchanged"] = seconds(lambda: self.docker(text, tag))
        self.write(f"{time.time()}")
        found["edited"] = seconds(lambda: self.docker(text, tag))
        wanted.write_text("\n".join([*self.pins, MORE]))
        found["added"] = seconds(lambda: self.docker(text, tag))
        mounted = text.replace("--mount", f"{PIP_CACHE} --mount", 1).replace("--no-cache-dir ", "")
        self.docker(mounted, tag)
        fewer = [pin for pin in self.pins if not pin.startswith(f"{FEWER}==")]
        wanted.write_text("\n".join(fewer))
        found["another"] = seconds(lambda: self.docker(mounted, tag))
        return {**found, "MB": size(tag)}

    def forget(self) -> None:
        """Empty the cache mounts."""
        now = f"--build-arg=WHEN={time.time()}"
        self.docker(FORGET.format(base=self.base), "ipydock-bench/forget", now)

    def ours(self) -> dict[str, float]:
        """What ipydock does."""
        self.write()
        self.forget()
        found = {"cold": seconds(lambda: self.ipydock("build", "--no-cache"))}
        tag = self.ipydock("build")
        found["MB"] = size(tag)
        found["unchanged"] = seconds(lambda: self.ipydock("build"))
        self.write(f"{time.time()}")
        found["edited"] = seconds(lambda: self.ipydock("build"))
        self.write(f"import {MORE}")
        found["added"] = seconds(lambda: self.ipydock("build"))
        cells = [cell.replace(f"\nimport {FEWER} as sns", "") for cell in CELLS]
        self.write(cells=cells)
        found["another"] = seconds(lambda: self.ipydock("build"))
        self.write()
        return {**found, "edited in a session": self.session(), **self.rerun(tag)}

    def session(self) -> float:
        """Seconds from an edited cell to the image where ipydock is loaded, as in a notebook."""
        engine, _ = select("docker")

        def build() -> None:
            self.write(f"{time.time()}")
            found = pipeline.capture(self.notebook, python=self.python)
            recipe = pipeline.synthesize(found, engine=engine)
            pipeline.build(recipe, self.notebook, engine=engine)

        build()
        return seconds(build)

    def rerun(self, tag: str) -> dict[str, float]:
        """Seconds to run the notebook with the bytecode that there is, and with all of it."""
        self.docker(ALL_BYTECODE.format(image=tag), "ipydock-bench/all")
        runs: dict[str, list[float]] = {tag: [], "ipydock-bench/all": []}
        for _ in range(4):
            for image, spent in runs.items():
                argv = ["docker", "run", "--rm", "--network", "none", image]
                began = time.perf_counter()
                subprocess.run(argv, capture_output=True, check=True)
                spent.append(time.perf_counter() - began)
        ours, full = (statistics.median(spent[1:]) for spent in runs.values())
        return {"rerun": ours, "rerun, all bytecode": full}

    def limits(self) -> dict[str, float]:
        """Installing into an empty folder with an empty cache, and packing that."""
        with tempfile.TemporaryDirectory(dir=self.folder) as name:
            self.env["UV_CACHE_DIR"] = f"{name}/cache"
            lock = str(self.folder / "requirements.lock")
            words = ["--python", str(self.python), "--target", f"{name}/tree", "--no-deps"]
            argv = [uv_path(), "pip", "install", "-q", *words, "--require-hashes", "-r", lock]
            found = {"uv, empty folder": seconds(lambda: self._run(argv))}
            del self.env["UV_CACHE_DIR"]

            def pack() -> None:
                with tarfile.open(f"{name}/layer.tar", "w") as archive:
                    archive.add(f"{name}/tree", ".")

            return {**found, "its tar": seconds(pack)}


def size(tag: str) -> float:
    """Megabytes of an image."""
    argv = ["docker", "image", "inspect", "--format", "{{.Size}}", tag]
    return int(subprocess.run(argv, capture_output=True, text=True, check=True).stdout) / 1e6


def table(pip: dict[str, float], ours: dict[str, float], limits: dict[str, float]) -> Table:
    """The figures side by side."""
    found = Table(title=f"{' '.join((*WANTED, *RUNS))}, seconds")
    for heading in ("", "pip in one RUN", "ipydock build", "times faster"):
        found.add_column(heading, justify="left" if not heading else "right")
    for key, label in (
        ("cold", "cold"),
        ("another", "another notebook, one package fewer"),
        ("added", "one package added"),
        ("edited", "notebook edited"),
        ("unchanged", "nothing changed"),
    ):
        row = (f"{pip[key]:.2f}", f"{ours[key]:.2f}", f"{pip[key] / ours[key]:.1f}")
        found.add_row(label, *row)
    found.add_row("edited, in a session", "", f"{ours['edited in a session']:.2f}", "")
    found.add_row("image, MB", f"{pip['MB']:.0f}", f"{ours['MB']:.0f}", "")
    found.add_row("running it", "", f"{ours['rerun']:.2f}", "")
    found.add_row("  with all bytecode", "", f"{ours['rerun, all bytecode']:.2f}", "")
    for key, value in limits.items():
        found.add_row(f"limit: {key}", "", f"{value:.2f}", "")
    return found


def main() -> None:
    """Print the table: the median of each figure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.build", description=__doc__)
    parser.add_argument("--repeats", type=int, default=1)
    repeats = parser.parse_args().repeats
    with tempfile.TemporaryDirectory(prefix="ipydock-bench-") as name:
        bench = Bench(Path(name))
        rows = [bench.all() for _ in range(repeats)]
    medians = [
        {key: statistics.median(run[way][key] for run in rows) for key in rows[0][way]}
        for way in range(3)
    ]
    Console(width=100).print(table(*medians))
    for pip, ours, _ in rows if repeats > 1 else ():
        Console().print(f"cold: pip {pip['cold']:.1f}, ipydock {ours['cold']:.1f}")


if __name__ == "__main__":
    main()
