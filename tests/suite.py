"""`python -m tests.suite`: all tests, in the order that takes the least time.

The engines come up while the unit tests run. Of the tests with an engine, most run two at once;
those marked `alone` measure time or count all that the engine holds, and run after them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

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


def main() -> int:
    """1 when a test fails. An engine that was started stays up for the next run, not in CI."""
    was_up = bed("env")
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
        if os.environ.get("CI") and not was_up:
            bed("down")


if __name__ == "__main__":
    sys.exit(main())
