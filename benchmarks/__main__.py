"""Times the loop on the tour notebook, beside the Dockerfile that people write by hand.

``python -m benchmarks`` prints the table of the README. Each figure is one run on this machine, as
a user would start it; "cold" builds without the engine's layer caches but with its base images.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ipydock.engine.client import build_client
from ipydock.hosts import ca_bundle

ROOT = Path(__file__).parent.parent
BY_HAND = """\
FROM python:{series}-slim-bookworm
WORKDIR /work
COPY requirements.txt ./
RUN --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \\
    PIP_CERT=/etc/ssl/certs/ca-certificates.crt pip install --no-cache-dir -r requirements.txt
COPY . ./
CMD ["jupyter", "execute", "tour.ipynb"]
"""


def verify(notebook: Path, *words: str) -> tuple[float, dict[str, Any]]:
    """Seconds of one ``ipydock verify`` as a whole process, and what it said."""
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "ipydock", "verify", str(notebook), "--json", "-q", *words],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return time.monotonic() - began, found


def by_hand(folder: Path, tag: str, *words: str) -> float:
    """Seconds of ``docker build`` with one RUN of pip."""
    client = build_client()
    if client is None:
        raise SystemExit("no docker client can build with BuildKit; `ipydock doctor` says more")
    bundle = ca_bundle()
    secret = ("--secret", f"id=ca,src={bundle}") if bundle else ()
    began = time.monotonic()
    subprocess.run(
        [*client.words, "-q", "-t", tag, *secret, *words, str(folder)],
        env={**os.environ, **dict(client.env)},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return time.monotonic() - began


def edited(notebook: Path) -> None:
    """Change one cell, as an author would."""
    document = json.loads(notebook.read_text(encoding="utf-8"))
    document["cells"][-1]["source"] = ["model  # looked at once more"]
    notebook.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def measure(folder: Path, python: str) -> Table:
    """Run everything once and make the table."""
    where = ("--engine", "docker", "--python", python)
    notebook = folder / "tour.ipynb"
    cold, first = verify(notebook, *where, "--no-cache")
    again, _ = verify(notebook, *where)
    edited(notebook)
    after_edit, _ = verify(notebook, *where)
    pins = [f"{package['name']}=={package['version']}" for package in first["packages"]]
    (folder / "requirements.txt").write_text("\n".join([*pins, "nbclient"]) + "\n")
    series = f"{sys.version_info.major}.{sys.version_info.minor}"
    (folder / "Dockerfile").write_text(BY_HAND.format(series=series))
    pip_cold = by_hand(folder, "ipydock-bench/by-hand", "--no-cache")
    (folder / "tour.ipynb").write_text(notebook.read_text(encoding="utf-8") + "\n")
    pip_edit = by_hand(folder, "ipydock-bench/by-hand")
    build = first["seconds"]["build"]
    size = first["image"]["size_bytes"]
    alone = "nothing run or compared"
    table = Table(title="notebooks/tour.ipynb, seconds")
    for heading in ("", "ipydock verify", "docker build with pip, by hand"):
        table.add_column(heading)
    table.add_row("cold", f"{cold:.1f} (build {build:.1f})", f"{pip_cold:.1f}, {alone}")
    table.add_row("unchanged", f"{again:.1f}", "")
    table.add_row("one cell edited", f"{after_edit:.1f}", f"{pip_edit:.1f}, {alone}")
    hand = _size("ipydock-bench/by-hand")
    table.add_row("image", f"{size / 1e6:.0f} MB", f"{hand / 1e6:.0f} MB")
    return table


def _size(tag: str) -> int:
    import docker

    return int(docker.from_env().images.get(tag).attrs["Size"])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--python", default=sys.executable, help="environment of the notebook")
    python = parser.parse_args().python
    with tempfile.TemporaryDirectory(prefix="ipydock-bench-") as name:
        folder = Path(name)
        for part in ("tour.ipynb", "cleaning.py", "data"):
            subprocess.run(["cp", "-r", str(ROOT / "notebooks" / part), str(folder)], check=True)
        Console().print(measure(folder, python))


if __name__ == "__main__":
    main()
