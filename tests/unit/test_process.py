"""Real processes: streams, time, cancelling, and nothing left behind."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ipydock.errors import Cancelled
from ipydock.process import Cancellation, ProcessPlan, end, given_up, run, spawn


def python(code: str) -> ProcessPlan:
    return ProcessPlan((sys.executable, "-u", "-c", code))


def test_both_streams_and_the_exit_code() -> None:
    lines: list[str] = []
    plan = python("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)")
    done = run(plan, on_line=lines.append)
    assert (done.returncode, done.stdout, done.stderr) == (3, "out\n", "err\n")
    assert sorted(lines) == ["err", "out"]


def test_standard_input_and_undecodable_output() -> None:
    plan = python("import sys; sys.stdout.buffer.write(sys.stdin.buffer.read()[::-1] + b'\\xff')")
    assert run(plan, stdin="abc").stdout == "cba\ufffd"


def test_environment_and_folder(tmp_path: Path) -> None:
    code = "import os; print(os.getcwd(), sorted(k for k in os.environ if k != 'LC_CTYPE'))"
    plan = ProcessPlan((sys.executable, "-c", code), env={"ONLY": "this"}, cwd=tmp_path)
    assert run(plan).stdout == f"{tmp_path} ['ONLY']\n"


def test_a_timeout_ends_the_process() -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        run(python("import time; time.sleep(60)"), timeout=0.3)


def test_a_missing_program() -> None:
    with pytest.raises(FileNotFoundError):
        run(ProcessPlan(("no-such-program-here",)))


def test_cancelling_ends_the_children_too(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    code = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"open({str(pid_file)!r}, 'w').write(str(child.pid))\n"
        "print('ready'); time.sleep(60)\n"
    )
    cancel = Cancellation()
    began = time.monotonic()
    with pytest.raises(Cancelled):
        run(python(code), on_line=lambda _line: cancel.cancel(), cancel=cancel)
    assert time.monotonic() - began < 20
    assert gone(int(pid_file.read_text()))


def test_what_left_the_group_is_ended_too(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    code = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'], "
        "start_new_session=True)\n"
        f"open({str(pid_file)!r}, 'w').write(str(child.pid))\n"
        "print('ready'); time.sleep(60)\n"
    )
    cancel = Cancellation()
    began = time.monotonic()
    with pytest.raises(Cancelled):
        run(python(code), on_line=lambda _line: cancel.cancel(), cancel=cancel)
    assert time.monotonic() - began < 2
    assert gone(int(pid_file.read_text()))


def test_a_call_that_cannot_be_interrupted_is_given_up() -> None:
    assert given_up(lambda: 7, None) == 7
    with pytest.raises(KeyError):
        given_up(lambda: dict[str, int]()["x"], None)
    cancel = Cancellation()
    threading.Timer(0.2, cancel.cancel).start()
    never = threading.Event()
    began = time.monotonic()
    with pytest.raises(Cancelled):
        given_up(lambda: never.wait(30), cancel)
    assert time.monotonic() - began < 1
    never.set()


def test_a_process_that_ignores_the_request_is_killed() -> None:
    process = spawn(
        python("import signal, time; signal.signal(15, signal.SIG_IGN); print(1); time.sleep(60)")
    )
    assert process.stdout is not None
    process.stdout.readline()
    end(process, grace=0.2)
    assert process.returncode == -9
    for stream in (process.stdin, process.stdout, process.stderr):
        assert stream is not None
        stream.close()


def test_no_thread_is_left() -> None:
    before = threading.active_count()
    for _ in range(5):
        run(python("print(1)"))
    assert threading.active_count() == before


def gone(pid: int) -> bool:
    """Whether a process has ended; it may stay a zombie of whoever adopted it."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        os.sched_yield()
    return False
