"""Logs of strace, made here, and what they tell."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ipydock.capture import trace

MARKS = {"begin": "/ipydock-begin", "end": "/ipydock-end"}


def read(lines: list[str], folder: str = "/work", **rules: Any) -> dict[str, Any]:
    rules = {"ignored": lambda path: False, "own": lambda path: False, **rules}
    begin, end = MARKS["begin"], MARKS["end"]
    return trace.parse(lines, begin=begin, end=end, folder=folder, **rules)


def between(*lines: str) -> list[str]:
    mark = '9 openat(AT_FDCWD</work>, "{}", O_RDONLY|O_CLOEXEC) = -1 ENOENT (No such file)'
    return [mark.format("/ipydock-begin"), *lines, mark.format("/ipydock-end")]


@pytest.fixture
def traced(tmp_path: Path) -> Any:
    """The findings of a Python script, run under strace."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("no strace here")

    def run(code: str) -> dict[str, Any]:
        script, log = tmp_path / "script.py", tmp_path / "log"
        mark = "try: open({!r})\nexcept OSError: pass\n"
        begin, end = mark.format(MARKS["begin"]), mark.format(MARKS["end"])
        script.write_text(f"{begin}{code}\n{end}open('after.txt', 'w')\n")
        argv = [strace, *trace.OPTIONS, "-o", str(log), "--", sys.executable, str(script)]
        done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
        if "ptrace" in done.stderr:
            pytest.skip("strace may not trace here")
        assert done.returncode == 0, done.stderr
        with log.open(encoding="utf-8", errors="surrogateescape") as lines:
            return read(
                list(lines),
                str(tmp_path),
                ignored=lambda path: not path.startswith(f"{tmp_path}/"),
                own=lambda path: path.startswith((sys.base_prefix, sys.prefix)),
            )

    return run


def test_a_process_its_threads_and_children(traced: Any, tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "a.txt").write_text("1\n")
    (tmp_path / "tool").write_text("#!/bin/sh\ncat inner/a.txt | wc -l\n")
    (tmp_path / "tool").chmod(0o755)
    name = 'é "q"\n>.txt'
    found = traced(f"""
import os, socket, subprocess, threading
open({name!r}, "w").close()
open("both.txt", "a+").close()
threads = [threading.Thread(target=lambda: open("inner/a.txt").close()) for _ in range(3)]
[t.start() for t in threads]; [t.join() for t in threads]
os.chdir("inner")
os.rename("../both.txt", "moved.txt")
subprocess.run(["./tool"], cwd="..", stdout=subprocess.DEVNULL)
try: subprocess.run(["./none"])
except OSError: pass
for family, address in ((socket.AF_INET, ("192.0.2.1", 80)), (socket.AF_INET6, ("2001:db8::1", 80)),
                        (socket.AF_INET, ("127.0.0.1", 1)), (socket.AF_INET, ("192.0.2.9", 53))):
    connection = socket.socket(family)
    connection.settimeout(0.05)
    try: connection.connect(address)
    except OSError: pass
""")
    opened = [(str(Path(path).relative_to(tmp_path)), use) for path, use in found["opened"]]
    assert opened == [
        (name, "write"),
        ("both.txt", "read"),
        ("both.txt", "write"),
        ("inner/a.txt", "read"),
        ("inner/moved.txt", "write"),
        ("tool", "read"),
    ]
    names = [Path(path).name for path in found["programs"]]
    assert names[0] == "tool" and sorted(names[1:]) == ["cat", "wc"]
    assert found["programs"][0] == str(tmp_path / "tool")
    assert set(found["hosts"]) == {"192.0.2.1", "2001:db8::1"}
    assert not any("libselinux" in path for path in found["libraries"])


def test_lines_that_are_cut_in_two() -> None:
    found = read(
        between(
            '9 openat(AT_FDCWD</work>, "a", O_RDONLY <unfinished ...>',
            '7 openat(AT_FDCWD</work>, "b", O_WRONLY|O_CREAT, 0666) = 3</work/b>',
            "9 <... openat resumed>)             = 4</work/a>",
            "9 vfork( <unfinished ...>",
            '11 chdir("/elsewhere") = 0',
            '11 execve("./x", ["./x"], 0x7ffd /* 3 vars */ <unfinished ...>',
            "9 <... vfork resumed>) = 11",
            "11 <... execve resumed>) = 0",
            '11 openat(AT_FDCWD</elsewhere>, "/lib/libx.so.1", O_RDONLY) = 3</lib/libx.so.1>',
            '9 openat(AT_FDCWD</work>, "/usr/lib/liby.so.2", O_RDONLY) = 5</usr/lib/liby.so.2>',
            '9 openat(AT_FDCWD</work>, "/usr/lib/libz.so", O_RDONLY) = -1 ENOENT (No such file)',
            "9 +++ exited with 0 +++",
            "nonsense",
        )
    )
    assert found["opened"] == [["/work/b", "write"], ["/work/a", "read"]]
    assert found["programs"] == ["/elsewhere/x"]
    assert found["libraries"] == ["/usr/lib/liby.so.2"]  # libx comes with the program


def test_only_what_is_between_the_marks() -> None:
    line = '9 openat(AT_FDCWD</work>, "{0}", O_RDONLY) = 3</work/{0}>'
    found = read([line.format("before"), *between(line.format("a")), line.format("after")])
    assert found["opened"] == [["/work/a", "read"]]


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("plain", "plain"),
        (r"\303\251", "é"),
        (r"a\"b\\c\n", 'a"b\\c\n'),
        (r"\76\1x", ">\1x"),
        (r"\377", "\udcff"),
    ],
)
def test_escapes(text: str, plain: str) -> None:
    assert trace.unescape(text) == plain
