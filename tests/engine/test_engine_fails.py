"""An engine that runs out of disk, or goes away: a second, private one that may be broken."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import samples
from tests.bed import cleanup
from tests.bed.state import Bed
from tests.command import ipydock, paragraph, read_until

pytestmark = pytest.mark.engine
ROOT = Path(__file__).parents[2]
START = """
import sys
from tests.bed import daemon
from tests.bed.state import Bed
daemon.start(Bed.find({"IPYDOCK_BED": sys.argv[1]}, 0), mirror=int(sys.argv[2]))
"""
SMALL = 480_000_000  # bytes: the base image fits, the packages of the notebook below do not


@pytest.fixture
def second(tmp_path_factory: pytest.TempPathFactory, sdk: Any) -> Iterator[Bed]:
    """A Docker engine of our own on a small disk, with the same base images."""
    if os.getuid() != 0 or not shutil.which("dockerd"):
        pytest.skip("a second engine needs root and dockerd")
    mirrors = sdk.info()["RegistryConfig"]["Mirrors"]
    if not mirrors:
        pytest.skip("the engine in use has no mirror to share")
    root = Path("/tmp", f"ipydock-second-{os.getpid()}")
    bed = Bed.find({"IPYDOCK_BED": str(root)}, 0)
    root.mkdir()
    try:
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={SMALL}", "tmpfs", str(root)], check=True
        )
        port = mirrors[0].rstrip("/").rpartition(":")[2]
        # In a process of its own, as the daemon is to outlive whoever starts it.
        subprocess.run([sys.executable, "-c", START, str(root), port], cwd=ROOT, check=True)
        yield bed
    finally:
        cleanup.take_down(bed)
        subprocess.run(["umount", "-l", str(root)], check=False, capture_output=True)
        shutil.rmtree(root, ignore_errors=True)


def test_no_space_is_left_in_the_build(second: Bed, tmp_path: Path) -> None:
    nb = samples.write(
        tmp_path / "x.ipynb", samples.code("import numpy, scipy, pandas, matplotlib")
    )
    done = ipydock("verify", nb, "--engine", "docker", DOCKER_HOST=second.docker_host)
    assert done.returncode == 4, done.stderr
    assert "no space left" in paragraph(done)
    assert "docker builder prune" in paragraph(done)
    assert [path.name for path in tmp_path.iterdir()] == ["x.ipynb"]


def broken_at(second: Bed, words: str, *argv: str) -> tuple[int, str]:
    """Kill the engine once these words came; the exit code and the rest of standard error."""
    with subprocess.Popen(
        [sys.executable, "-m", "ipydock", "verify", *argv, "--engine", "docker", "-v"],
        env={**os.environ, "DOCKER_HOST": second.docker_host},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    ) as process:
        read_until(process, words)
        time.sleep(2)
        os.kill(int((second.run / "dockerd.pid").read_text()), signal.SIGKILL)
        began = time.monotonic()
        assert process.stderr is not None
        rest = process.stderr.read()
        code = process.wait(timeout=60)
        assert time.monotonic() - began < 60
        return code, rest


def test_the_engine_stops_half_way(second: Bed, tmp_path: Path) -> None:
    nb = samples.write(tmp_path / "x.ipynb", samples.code("import six"))
    code, rest = broken_at(second, "Get:1 ", str(nb), "--add-apt", "graphviz")
    assert code == 3, rest
    assert "went away during the build" in rest
    assert [path.name for path in tmp_path.iterdir()] == ["x.ipynb"]


def test_the_engine_stops_while_the_notebook_runs(second: Bed, tmp_path: Path) -> None:
    nb = samples.write(tmp_path / "x.ipynb", samples.code("import time; time.sleep(600)"))
    code, rest = broken_at(second, "Rerun x.ipynb", str(nb))
    assert code == 3, rest
    assert "went away while the notebook ran" in rest
