"""What it costs to be watched: `python -m benchmarks.probe [--python PATH] [--repeats N]`.

Processes do the same piece of work by turns, a few milliseconds each: one as it is, one with an
audit hook that does nothing, one with the watch injected; so all see the same machine, however busy
it is. A cost is the ratio of their processor seconds, as the median over the pieces of a repeat;
each repeat starts new processes. The noise is the ratio of neighbouring pieces of the first one.

What an empty hook costs is what Python spends on making the event's arguments and on the call: no
watch that is told of opened files by an audit hook can cost less.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from ipydock.capture import inject

PIECES = 100  # a repeat has so many, of 1,000 opens each where files are opened
# Each defines `work(n)`, the n-th piece; what is before it is not measured.
WORKLOADS = {
    "100,000 opens of 1,000 small files": """
names = [folder + "/" + str(n) for n in range(1000)]
def work(n):
    for name in names:
        with open(name) as file:
            file.read()
""",
    "100,000 small files opened once": f"""
names = [folder + "/" + str(n) for n in range({PIECES} * 1000)]
def work(n):
    for name in names[n * 1000 : n * 1000 + 1000]:
        with open(name) as file:
            file.read()
""",
    "arithmetic in Python": """
def work(n):
    total = 0
    for i in range(100_000):
        total += i * i % 7
""",
    "arithmetic in numpy": """
import numpy
values = numpy.random.default_rng(0).random((300, 300))
def work(n):
    for _ in range(3):
        values @ values
        numpy.sort(values, axis=0)
""",
}
CHILD = """
import resource, sys
folder = sys.argv[1]
{setup}
{hook}
def spent():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
for line in sys.stdin:
    began = spent()
    work(int(line))
    print(spent() - began, flush=True)
"""


# All have the probe in memory: any import shifts where later objects lie, which makes pure
# arithmetic some percent faster or slower.
LOADED = inject.expression({"do": "stop"})
HOOKS = {
    "as it is": LOADED,
    "empty hook": f"{LOADED}\nsys.addaudithook(lambda event, args: None)",
    "watch": inject.expression({"do": "watch"}),
}


class Worker:
    """A process that does pieces of a workload when it is asked to."""

    def __init__(self, python: str, setup: str, hook: str, folder: str) -> None:
        words = [python, "-c", CHILD.format(setup=setup, hook=hook), folder]
        self.process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def piece(self, number: int) -> float:
        """Processor seconds of one piece."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(f"{number}\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def close(self) -> None:
        self.process.communicate()


def repeat(python: str, setup: str, folder: str) -> tuple[float, float, float, float]:
    """Seconds as it is; costs of the empty hook and of the watch, and noise, as parts of one."""
    workers = [Worker(python, setup, hook, folder) for hook in HOOKS.values()]
    spent: list[list[float]] = [[], [], []]
    try:
        for number in range(PIECES):
            for turn in range(3):
                at = (number + turn) % 3
                spent[at].append(workers[at].piece(number))
    finally:
        for worker in workers:
            worker.close()
    plain, empty, watched = spent
    return (
        sum(plain),
        _ratio(empty, plain),
        _ratio(watched, plain),
        _ratio(plain[1::2], plain[::2]),
    )


def _ratio(one: list[float], other: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(one, other, strict=True)) - 1


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", default=sys.executable, help="interpreter to measure")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    print(f"{options.repeats} repeats of {PIECES} pairs, processor seconds, {options.python}\n")
    print("| workload | seconds: min | median | empty hook: min | median | watch: min | median |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        for number in range(PIECES * 1000):
            Path(folder, str(number)).write_text("x")
        for name, setup in WORKLOADS.items():
            runs = [repeat(options.python, setup, folder) for _ in range(options.repeats)]
            seconds, empty, watched, noise = zip(*runs, strict=True)
            cells = [name, f"{min(seconds):.3f}", f"{statistics.median(seconds):.3f}"]
            for costs in (empty, watched):
                cells += [f"{min(costs):+.1%}", f"{statistics.median(costs):+.1%}"]
            cells[0] += f" (noise {min(noise):+.1%} to {max(noise):+.1%})"
            print(f"| {' | '.join(cells)} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
