"""Notebooks run in their own environment, with real kernels of several Pythons."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest

import ipydock
from ipydock import pipeline
from ipydock.capture.interpreter import Interpreter
from ipydock.errors import Cancelled, EnvironmentMissing, InputError, KernelDied
from ipydock.events import CellFinished, Event, ignore
from ipydock.notebook import Notebook, load
from ipydock.process import Cancellation
from ipydock.session import Observed, observe
from tests.command import document, paragraph
from tests.command import ipydock as command
from tests.environments import find_python

pytestmark = pytest.mark.slow
SERIES = ("3.8", "3.10", "3.12", "3.13")


@pytest.fixture(autouse=True)
def _not_in_a_test(monkeypatch: pytest.MonkeyPatch) -> None:
    # ipykernel does not watch the descriptors that children print to when it is being tested.
    monkeypatch.delenv("PYTEST_CURRENT_TEST", raising=False)


def saved(folder: Path, *cells: str) -> Notebook:
    node = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nbformat.write(node, folder / "nb.ipynb")
    return load(folder / "nb.ipynb")


def run(notebook: Notebook, python: str = sys.executable, **options: Any) -> Observed:
    request = {"folder": str(notebook.folder), "modules": {}}
    options = {"on_event": ignore, "timeout": 60, **options}
    return observe(notebook, Interpreter(python), request, **options)


def opened(seen: Observed, folder: Path) -> list[tuple[str, str, int]]:
    return [
        (str(Path(path).relative_to(folder)), use, count)
        for path, use, count in seen.session["watched"]["opened"]
        if Path(path).is_relative_to(folder)
    ]


@pytest.mark.parametrize("series", SERIES)
def test_each_python(series: str, tmp_path: Path, make_env: Callable[..., Path]) -> None:
    python = find_python(series)
    if python is None:
        pytest.skip(f"no Python {series} here")
    (tmp_path / "data.csv").write_text("1\n")
    (tmp_path / "helper.py").write_text("def read():\n    return open('data.csv').read()\n")
    notebook = saved(
        tmp_path,
        "import helper, subprocess",
        "",
        "helper.read()\nopen('out.txt', 'w').close()\n1 / 0",
        "subprocess.run(['true'])",
        "import os\nos.environ.get('TOKEN_NAME')\nthis is no Python",
        "print(sorted(name for name in globals() if 'ipydock' in name))",
    )
    before = notebook.path.read_bytes() if notebook.path else b""
    events: list[Event] = []
    env = make_env("ipykernel", python=python)
    seen = run(notebook, str(env / "bin" / "python"), on_event=events.append)
    told = seen.session
    assert told["python"]["version"].startswith(f"{series}.")
    assert opened(seen, tmp_path) == [("data.csv", "read", 2), ("out.txt", "write", 2)]
    assert [(Path(path).name, n) for path, n in told["watched"]["programs"]] == [("true", 3)]
    assert told["watched"]["env_names"] == []  # that cell does not parse, so it did not run
    assert told["watched"]["since"] == 0
    assert told["cells"] == {1: [0, 1], 2: [2, 3], 3: [3, 4], 4: [4, 5], 5: [5, 6]}
    assert told["history"][3] == "subprocess.run(['true'])"
    assert told["local"] == {"helper": "helper.py"}
    assert "ZeroDivisionError in cell 3; SyntaxError in cell 5. What" in seen.warnings[0]
    assert [e.outcome for e in events if isinstance(e, CellFinished)].count("error") == 2
    assert notebook.path is not None and notebook.path.read_bytes() == before
    assert json.dumps(told)


def test_hostile_notebooks(tmp_path: Path) -> None:
    notebook = saved(
        tmp_path,
        "import sys\nsys.addaudithook(lambda event, args: None)",
        "open_before, exec, eval, __import__ = open, None, None, __import__\n"
        "def open(*words): return open_before(*words)\nopen('a.txt', 'w').close()",
        "import os, tempfile\nos.chdir(tempfile.mkdtemp())\nopen('relative.txt', 'w').close()",
        "if os.fork() == 0: os._exit(0)\nos.wait()\nNone",
        "import threading\nt = threading.Thread(target=lambda: open(\n"
        f"    {str(tmp_path / 'b.txt')!r}, 'w').close())\nt.start(); t.join()",
        "import asyncio\nawait asyncio.sleep(0)\n"
        "p = await asyncio.create_subprocess_exec('true')\nawait p.wait()",
        "import multiprocessing\nmultiprocessing.get_context('fork').Pool(1).map(abs, [1])",
        "os.environ.clear()",
        "print('x' * 10_000_000)",
        "for name in list(sys.modules):\n    if 'json' in name: del sys.modules[name]",
        "class Shadow:\n    def __getattr__(self, name): raise RuntimeError(name)\n"
        "sys.modules['shadow'] = Shadow()\ndel In, Out\n%reset -f",
        f"open({str(tmp_path / 'last.txt')!r}, 'w').close()",
    )
    seen = run(notebook)
    names = {name: count for name, _, count in opened(seen, tmp_path)}
    assert {"a.txt": 2, "b.txt": 5}.items() <= names.items() and "last.txt" in names
    assert any(path.endswith("/relative.txt") for path, _, _ in seen.session["watched"]["opened"])
    assert any(path.endswith("/true") for path, _ in seen.session["watched"]["programs"])
    assert not seen.warnings, seen.warnings


def test_a_kernel_that_dies(tmp_path: Path) -> None:
    notebook = saved(tmp_path, "1", "import os; os.kill(os.getpid(), 9)")
    with pytest.raises(KernelDied) as caught:
        run(notebook)
    assert "cell 2" in caught.value.message and "SIGKILL" in caught.value.message
    assert "without --run" in caught.value.hint


def test_a_cell_that_takes_too_long_is_stopped_and_the_rest_is_told(tmp_path: Path) -> None:
    notebook = saved(tmp_path, "open('a.txt', 'w').close()", "while True: pass", "1")
    seen = run(notebook, timeout=1)
    assert opened(seen, tmp_path) == [("a.txt", "write", 1)]
    assert "Cell 2 ran longer than 1 s" in seen.warnings[-1]


def test_cancelled(tmp_path: Path) -> None:
    notebook = saved(tmp_path, "open('up', 'w').close()\nwhile True: pass")
    cancel = Cancellation()

    def listen(event: Event) -> None:
        if not (tmp_path / "up").exists():
            cancel.cancel()

    with pytest.raises(Cancelled):
        run(notebook, on_event=listen, cancel=cancel)


def test_ctrl_c_leaves_nothing_running(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    saved(tmp_path, f"import os\nopen({str(pid)!r}, 'w').write(str(os.getpid()))\nwhile 1: pass")
    argv = [sys.executable, "-m", "ipydock", "capture", str(tmp_path / "nb.ipynb"), "--run"]
    process = subprocess.Popen(argv, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 30
    while not (pid.exists() and pid.read_text()):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130 and "nothing was left running" in errors
    # An orphan that has ended is there until it is collected, which some containers never do.
    command_line = Path("/proc", pid.read_text(), "cmdline")
    assert not command_line.exists() or not command_line.read_bytes()


def test_no_ipykernel(tmp_path: Path, bare: Path) -> None:
    with pytest.raises(EnvironmentMissing) as caught:
        run(saved(tmp_path, "1"), str(bare / "bin" / "python"))
    assert "has no ipykernel" in caught.value.message
    assert "-m pip install ipykernel" in caught.value.hint


def test_traced(tmp_path: Path) -> None:
    if shutil.which("strace") is None:
        pytest.skip("no strace here")
    (tmp_path / "data.txt").write_text("1\n")
    notebook = saved(tmp_path, "!cat data.txt | wc -l", "open('out.txt', 'w').close()\nNone")
    told = run(notebook, traced=True).session["traced"]
    assert [str(tmp_path / "data.txt"), "read"] in told["opened"]
    assert [str(tmp_path / "out.txt"), "write"] in told["opened"]
    assert {"cat", "wc"} <= {Path(path).name for path in told["programs"]}
    assert all(Path(path).is_relative_to(tmp_path) for path, _ in told["opened"])


def test_no_strace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError) as caught:
        run(saved(tmp_path, "1"), traced=True)
    assert "apt-get install strace" in caught.value.hint
    (tmp_path / "strace").write_text(
        "#!/bin/sh\necho 'ptrace: Operation not permitted' >&2; exit 1"
    )
    (tmp_path / "strace").chmod(0o755)
    with pytest.raises(InputError, match="not allowed"):
        run(saved(tmp_path, "1"), traced=True)


def test_the_whole_capture(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a\n1\n")
    saved(tmp_path, "name = 'x' + '.csv'\nopen(name).read()", "raise KeyError('gone')")
    done = command("capture", tmp_path / "nb.ipynb", "--run", "--json")
    assert done.returncode == 0, done.stderr
    found = document(done)
    assert [(file["path"], file["policy"]) for file in found["files_read"]] == [("x.csv", "copy")]
    assert found["files_read"][0]["evidence"][0]["cell"] == 0
    assert "session" in found["sources"]
    assert any("KeyError in cell 2" in text for text in found["warnings"])


def test_bad_usage_is_one_paragraph(tmp_path: Path, bare: Path) -> None:
    saved(tmp_path, "1")
    done = command("capture", tmp_path / "nb.ipynb", "--run", "--python", bare)
    assert done.returncode == 2
    assert "has no ipykernel" in paragraph(done)


def test_the_async_form(tmp_path: Path) -> None:
    saved(tmp_path, "open('a.txt', 'w').close()")
    found = asyncio.run(ipydock.capture_async(tmp_path / "nb.ipynb", run=True))
    assert [file for file in found.files_written if "a.txt" in str(file)]
    assert pipeline.capture_async is ipydock.capture_async
