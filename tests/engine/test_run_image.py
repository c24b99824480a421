"""What `docker run IMAGE` does with an image that ipydock built: for people without ipydock."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import select
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import samples
from tests.command import document, ipydock

pytestmark = pytest.mark.engine
QUICK = 5.0  # seconds that stopping may take, of the ten after which `docker stop` kills


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory, docker_host: str) -> str:
    """One image for all tests here: cells, a script, JupyterLab."""
    del docker_host
    folder = tmp_path_factory.mktemp("run")
    (folder / "script.py").write_text(
        "import os, sys, six\nprint(sys.argv[1:], os.getuid(), os.getcwd(), six.__name__)\n"
    )
    (folder / "sleeps.py").write_text("import time\nprint('up', flush=True)\ntime.sleep(60)\n")
    notebook = samples.write(
        folder / "a nb.ipynb",
        samples.code("import os, six\nprint('hello', os.getuid())"),
        samples.code("if os.environ.get('FAIL'):\n    1 / 0"),
        samples.code("import time\ntime.sleep(float(os.environ.get('SLEEP', 0)))\nprint('slept')"),
    )
    words = ("--engine", "docker", "--with", "lab", "--include", "*.py", "--json")
    done = ipydock("build", notebook, *words, "--add-pip", "six==1.17.0")
    assert done.returncode == 0, done.stderr
    return str(document(done)["tag"])


def run(*words: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["docker", "run", "--rm", *words],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


@contextlib.contextmanager
def started(sdk: Any, *words: str) -> Iterator[tuple[subprocess.Popen[str], Any]]:
    """A container in the foreground, and the engine's record of it."""
    name = f"ipydock-test-{uuid.uuid4().hex[:8]}"
    process = subprocess.Popen(
        ["docker", "run", "--rm", "--name", name, *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process, name
    finally:
        with contextlib.suppress(Exception):
            sdk.api.remove_container(name, force=True)
        process.kill()
        process.communicate()


def until(process: subprocess.Popen[str], pattern: str) -> re.Match[str]:
    """Read what it says until a line has this."""
    assert process.stdout is not None
    seen = ""
    for line in process.stdout:
        seen += line
        if match := re.search(pattern, line):
            return match
    pytest.fail(f"{pattern!r} never came: {seen}")


def stop(name: str) -> float:
    began = time.monotonic()
    subprocess.run(["docker", "stop", name], capture_output=True, check=True)
    return time.monotonic() - began


def test_the_notebook_runs_and_comes_back_on_standard_output(image: str) -> None:
    done = run("--network", "none", "-u", "12345", image)
    assert done.returncode == 0, done.stderr
    cells = json.loads(done.stdout)["cells"]
    assert "".join(cells[0]["outputs"][0]["text"]) == "hello 12345\n"
    assert "cell 3 of 3" in done.stderr


def test_the_notebook_comes_back_in_a_mounted_folder(image: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    out.chmod(0o777)
    done = run("-v", f"{out}:/out", "-e", "FAIL=1", image)
    assert (done.returncode, done.stdout) == (1, "")
    assert "A cell raised ZeroDivisionError: division by zero" in done.stderr
    cells = json.loads((out / "a nb.ipynb").read_text())["cells"]
    assert cells[1]["outputs"][0]["ename"] == "ZeroDivisionError"
    (out / "a nb.ipynb").unlink()
    out.chmod(0o755)
    refused = run("-v", f"{out}:/out", image)
    assert refused.returncode == 1
    assert "Run with --user $(id -u)" in refused.stderr


def test_scripts_and_programs_run(image: str) -> None:
    done = run("-u", "12345", image, "script.py", "a b", "-c")
    assert done.stdout == "['a b', '-c'] 12345 /work six\n"
    assert run(image, "sh", "-c", "exit 7").returncode == 7
    assert run(image, "sh", "-c", "kill -KILL $$").returncode == 137
    assert run(image, "no-such-program").returncode == 1


def test_what_has_lost_its_parent_is_taken_up(image: str) -> None:
    code = (
        "import os, subprocess, time\n"
        "subprocess.run(['sh', '-c', 'sleep 0.1 &']); time.sleep(0.5)\n"
        "states = [open(f'/proc/{p}/stat').read().split()[2] for p in os.listdir('/proc') "
        "if p.isdigit()]\n"
        "print(os.getpid() != 1, 'Z' in states)"
    )
    assert run(image, "python3", "-c", code).stdout == "True False\n"


@pytest.mark.parametrize("words", [("sleeps.py",), ("sh", "-c", "echo up; sleep 60; true")])
def test_docker_stop_does_not_wait_for_what_listens_to_no_signal(
    image: str, sdk: Any, words: tuple[str, ...]
) -> None:
    with started(sdk, image, *words) as (process, name):
        until(process, "^up$")
        assert stop(name) < QUICK
        assert process.wait(5) == 143


def test_a_stopped_notebook_hands_over_what_it_has(image: str, sdk: Any, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with started(sdk, "-v", f"{tmp_path}:/out", "-e", "SLEEP=60", image) as (process, name):
        until(process, "cell 3 of 3")
        assert stop(name) < QUICK
        until(process, "Stopped")
        assert process.wait(5) == 143
    cells = json.loads((tmp_path / "a nb.ipynb").read_text())["cells"]
    assert "".join(cells[0]["outputs"][0]["text"]) == "hello 1000\n"


def typed(container: list[str], *steps: tuple[str, str]) -> tuple[str, int]:
    """What a terminal shows, typing each answer after what it waits for; and the exit code."""
    process, terminal = pty.fork()
    if process == 0:
        os.execvp("docker", ["docker", "run", "--rm", "-it", *container])
    seen = ""
    try:
        for waited, answer in (*steps, ("\0", "")):
            while waited not in seen:
                ready, _, _ = select.select([terminal], [], [], 60)
                assert ready, f"{waited!r} never came: {seen}"
                try:
                    seen += os.read(terminal, 4096).decode(errors="replace")
                except OSError:  # the other end is closed
                    assert waited == "\0", f"{waited!r} never came: {seen}"
                    break
            os.write(terminal, answer.encode()) if answer else None
    finally:
        _, status = os.waitpid(process, 0)
        os.close(terminal)
    return seen, os.waitstatus_to_exitcode(status)


def test_a_prompt_at_a_terminal(image: str) -> None:
    # IPython asks the terminal where its cursor is; a dumb one is not asked.
    seen, code = typed(
        ["-e", "TERM=dumb", image, "ipython", "--simple-prompt"],
        ("In [1]:", "import time; print(6 * 7, 'begun'); time.sleep(60)\n"),
        ("42 begun", "\x03"),
        ("KeyboardInterrupt", ""),
        ("In [2]:", "exit\n"),
    )
    assert code == 0, seen


def test_ctrl_c_at_a_terminal_ends_the_notebook(image: str) -> None:
    began = time.monotonic()
    seen, code = typed(["-e", "SLEEP=60", image], ("cell 3 of 3", "\x03"))
    assert code == 130, seen
    assert time.monotonic() - began < 30
    assert "hello 1000" in seen  # what it has is shown


def test_a_terminal_that_closes_stops_the_shell_in_it(image: str) -> None:
    seen, code = typed([image, "sh"], ("$ ", "exit 3\n"))
    assert code == 3, seen


def answer(url: str) -> int:
    """The status, from when it listens on: the address is told a little before that."""
    for _ in range(100):
        try:
            with urllib.request.urlopen(url, timeout=10) as reply:
                return int(reply.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            time.sleep(0.1)
    pytest.fail("nothing listens")


@pytest.mark.parametrize("user", ["1000", "12345", "0"])
def test_jupyterlab_answers_to_those_who_have_its_token(image: str, sdk: Any, user: str) -> None:
    words = ("-u", user, "-p", "127.0.0.1::8888", image, "lab")
    with started(sdk, *words) as (process, name):
        token = until(process, r"http://127\.0\.0\.1:8888/lab\?token=([0-9a-f]{20,})")[1]
        port = sdk.api.port(name, 8888)[0]["HostPort"]
        base = f"http://127.0.0.1:{port}"
        assert answer(f"{base}/lab?token={token}") == 200
        assert answer(f"{base}/api/contents?token={token}") == 200
        assert answer(f"{base}/api/contents") == 403
        with urllib.request.urlopen(f"{base}/lab", timeout=10) as reply:
            assert "/login" in reply.geturl()
        assert stop(name) < QUICK
        assert process.wait(5) == 0


def test_without_lab_it_says_how_to_have_it(notebook: Path) -> None:
    done = ipydock("build", notebook, "--engine", "docker", "--python", sys.executable)
    assert done.returncode == 0, done.stderr
    refused = run(done.stdout.strip(), "lab")
    assert refused.returncode == 1
    assert "--with lab" in refused.stderr
