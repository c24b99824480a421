"""`python -m tests.suite`: all tests, in the order that takes the least time.

The engines come up while the unit tests run. Of the tests with an engine, most run two at once;
those marked `alone` measure time or count all that the engine holds, and run after them.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.bed.process import succeeds
from tests.bed.state import Bed

ROOT = Path(__file__).parent.parent
# Tests fetch packages by the hundred: what failed at the network is tried again, and counted.
NETWORK = (
    "cannot be (reached|downloaded)|is not known here|Temporary failure in name resolution"
    "|dns error|Could not resolve|operation timed out|deadline has elapsed"
)
AGAIN = ("--reruns", "2", "--reruns-delay", "20", "--only-rerun", NETWORK)
UNIT = ("tests/unit", "-n", "2", *AGAIN)
TOGETHER = ("tests/engine", "-m", "not alone", "-n", "2", "--dist", "loadfile", *AGAIN)
ALONE = ("tests/engine", "-m", "alone", *AGAIN)
# What does not come up here is told by the tests that need it: they try again.
ENGINES = '"$0" -m tests.bed up && "$0" -m tests.bed also'


def bed(verb: str) -> bool:
    """Whether `tests.bed VERB` did what it says; what it prints is dropped."""
    words = [sys.executable, "-m", "tests.bed", verb]
    return subprocess.run(words, cwd=ROOT, check=False, capture_output=True).returncode == 0


def passes(*words: str) -> bool:
    """Whether these tests pass; an interrupt ends all."""
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", *words], cwd=ROOT, check=False)
    if done.returncode == 2:
        raise KeyboardInterrupt
    return done.returncode == 0


def free_memory() -> float:
    """In bytes; 0 where it cannot be told."""
    with contextlib.suppress(OSError):
        found = re.search(r"MemAvailable: *(\d+) kB", Path("/proc/meminfo").read_text())
        return float(found[1]) * 1024 if found else 0
    return 0


@contextlib.contextmanager
def taken_down() -> Iterator[None]:
    """Within the block engines may be started, which are gone afterwards.

    Their files are in memory where there is plenty: a run writes gigabytes, which some disks take a
    minute to delete.
    """
    folder = Bed.find(os.environ, os.getuid()).data
    mounted = False
    if os.getuid() == 0 and free_memory() > 16e9:
        folder.mkdir(parents=True, exist_ok=True)
        mounted = succeeds(["mount", "-t", "tmpfs", "-o", "size=12g,mode=755", "tmpfs", folder])
    try:
        yield
    finally:
        bed("down")
        if mounted:
            succeeds(["umount", folder])
            with contextlib.suppress(OSError):  # what was there before is seen again, and stays
                folder.rmdir()


def main() -> int:
    """Runs all tests. An engine that was started stays up for the next run, but not in CI."""
    once = os.environ.get("CI") and not bed("env")
    with taken_down() if once else contextlib.nullcontext():
        return tested()


def tested() -> int:
    """Brings the engines up and runs the tests; 1 when one fails."""
    engines = subprocess.Popen(
        ["sh", "-c", ENGINES, sys.executable],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        passed = passes(*UNIT)
        engines.wait()
        if passed:
            # Both run, so that all that fail are told.
            passed = all([passes(*TOGETHER, "--durations=15"), passes(*ALONE, "--durations=5")])
        return 0 if passed else 1
    except KeyboardInterrupt:
        return 130
    finally:
        engines.terminate()
        engines.wait()


if __name__ == "__main__":
    sys.exit(main())
