"""Bytes from and to real processes, ended at once when they are cancelled."""

from __future__ import annotations

import sys
import threading
import time
from itertools import repeat

import pytest

from ipydock.errors import Cancelled
from ipydock.piping import read_from, write_to
from ipydock.process import Cancellation, ProcessPlan


def python(code: str) -> ProcessPlan:
    return ProcessPlan((sys.executable, "-c", code))


def test_standard_output_comes_in_pieces() -> None:
    taken: list[bytes] = []
    code = "import sys; sys.stdout.write('x' * 5_000_000); print('oh', file=sys.stderr); exit(3)"
    done = read_from(python(code), taken.append)
    assert (done.returncode, done.stderr) == (3, "oh\n")
    assert b"".join(taken) == b"x" * 5_000_000


def test_standard_input_is_written_in_pieces() -> None:
    code = "import sys; data = sys.stdin.buffer.read(); print(len(data), data[-3:])"
    done = write_to(python(code), (b"x" * 1_000_000, b"end"))
    assert (done.returncode, done.stdout.strip()) == (0, "1000003 b'end'")


def test_a_process_that_does_not_read_to_the_end_is_no_error() -> None:
    code = "import sys; sys.stdin.buffer.read(10); print('enough', file=sys.stderr); exit(1)"
    done = write_to(python(code), repeat(b"x" * 100_000, 1000))
    assert (done.returncode, done.stderr) == (1, "enough\n")


def test_what_the_taker_raises_ends_the_process() -> None:
    def take(_data: bytes) -> None:
        raise OSError("no room")

    began = time.monotonic()
    with pytest.raises(OSError, match="no room"):
        read_from(python("import time; print('x', flush=True); time.sleep(60)"), take)
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("how", ["silent", "reading nothing", "endless"])
def test_cancelled_within_two_seconds(how: str) -> None:
    flag = Cancellation()
    threading.Timer(0.5, flag.cancel).start()
    ignore = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    began = time.monotonic()
    with pytest.raises(Cancelled):
        if how == "silent":
            read_from(python(f"{ignore}import time; time.sleep(60)"), print, cancel=flag)
        elif how == "endless":
            code = f"{ignore}import sys\nwhile True: sys.stdout.write('x' * 65536)"
            read_from(python(code), lambda _: None, cancel=flag)
        else:
            code = f"{ignore}import time; time.sleep(60)"
            write_to(python(code), repeat(b"x" * 65536), cancel=flag)
    assert time.monotonic() - began < 2
