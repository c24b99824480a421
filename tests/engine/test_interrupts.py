"""Ctrl-C in every stage: exit code 130, one line, nothing left running, nothing written."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests import samples
from tests.command import read_until
from tests.engine.conftest import containers

pytestmark = pytest.mark.engine


def start(notebook: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "ipydock", "verify", str(notebook), "--engine", "docker", *words],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    )


def interrupt_after(process: subprocess.Popen[str], words: str, sig: int = signal.SIGINT) -> str:
    """Send the signal once these words are on standard error; the rest of standard error."""
    read_until(process, words)
    time.sleep(0.3)  # into the stage, so that it is under way and not only announced
    process.send_signal(sig)
    began = time.monotonic()
    _, rest = process.communicate(timeout=60)
    assert time.monotonic() - began < 20
    return rest


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM])
def test_while_the_notebook_runs(tmp_path: Path, sdk: Any, sig: int) -> None:
    nb = samples.write(tmp_path / "x.ipynb", samples.code("import time; time.sleep(600)"))
    process = start(nb, "-v")
    rest = interrupt_after(process, "Rerun x.ipynb", sig)
    assert process.returncode == 130, rest
    assert rest.strip().endswith("Interrupted; nothing was left running.")
    assert "Traceback" not in rest
    assert containers(sdk) == []
    assert [path.name for path in tmp_path.iterdir()] == ["x.ipynb"]


def test_while_the_image_is_built(tmp_path: Path, sdk: Any) -> None:
    nb = samples.write(tmp_path / "x.ipynb", samples.code("import six"))
    process = start(nb, "-v", "--no-cache", "--add-apt", "graphviz")
    rest = interrupt_after(process, "Get:1 ")
    assert process.returncode == 130, rest
    assert rest.strip().endswith("Interrupted; nothing was left running.")
    done = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    assert not [line for line in done.stdout.splitlines() if str(tmp_path) in line]
    assert not [line for line in done.stdout.splitlines() if "ipydock-context-" in line]


@pytest.mark.parametrize("stage", ["Look at what", "Write the Dockerfile"])
def test_while_it_looks_and_writes(tmp_path: Path, stage: str) -> None:
    # A lock that takes its time: an index that accepts and never answers.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        os.environ["UV_INDEX_URL"] = f"http://127.0.0.1:{silent.getsockname()[1]}/simple"
        try:
            nb = samples.write(tmp_path / "x.ipynb", samples.code("import never_seen_before, cv2"))
            process = start(nb)
        finally:
            del os.environ["UV_INDEX_URL"]
        rest = interrupt_after(process, stage)
    assert process.returncode == 130, rest
    assert rest.strip().endswith("Interrupted; nothing was left running.")


def test_before_anything_has_begun(tmp_path: Path) -> None:
    nb = samples.write(tmp_path / "x.ipynb", samples.code("1"))
    process = start(nb)
    rest = interrupt_after(process, "Using docker")
    assert process.returncode == 130, rest


def test_a_killed_ipydock_leaves_no_container(tmp_path: Path, sdk: Any) -> None:
    nb = samples.write(tmp_path / "x.ipynb", samples.code("import time; time.sleep(600)"))
    process = start(nb, "-v")
    interrupt_after(process, "Rerun x.ipynb", signal.SIGKILL)
    deadline = time.monotonic() + 15
    while containers(sdk) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert containers(sdk) == []
