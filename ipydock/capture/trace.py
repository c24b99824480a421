"""What a log of strace tells: files, programs, addresses, also of C libraries and child processes.

`OPTIONS` are those under which strace writes a log that `parse` reads. Names of hosts are not in
it, since looking one up is a matter of the C library; only the addresses that came of it are.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

CALLS = (
    "open,openat,openat2,creat,execve,execveat,connect,chdir,fchdir,rename,renameat,renameat2,"
    "clone,clone3,fork,vfork"
)
# -y tells of each descriptor which file it is, so that the results of `open` are absolute paths.
OPTIONS = ("-f", "-y", "-qq", "-s", "4096", "-e", "signal=none", "-e", f"trace={CALLS}")
FAST = "--seccomp-bpf"  # stops at those calls alone; from strace 5.3 on

_LINE = re.compile(r"(\d+) +(.*)")
_UNFINISHED = " <unfinished ...>"
_RESUMED = re.compile(r"<\.\.\. \w+ resumed>(.*)")
_CALL = re.compile(r"(\w+)\((.*)\) += (-?\d+)(?:<(.*?)>)?(?: .*)?$")
_TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ESCAPE = re.compile(rb"\\([0-7]{1,3}|x[0-9a-f]{2}|.)")
_NAMED = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"v": b"\v", b"f": b"\f"}
_ADDRESS = re.compile(r'_port=htons\((\d+)\).*?(?:inet_addr\(|inet_pton\(AF_INET6, )"([^"]+)"')
_FOLDER = re.compile(r"(?:AT_FDCWD|\d+)<(.*?)>, ")
_LIBRARY = re.compile(r".*\.so(?:\.\d[\w.]*)?$")
OPENING = ("open", "openat", "openat2", "creat")
FORKS = ("clone", "clone3", "fork", "vfork")
DNS = 53


def parse(
    lines: Iterable[str],
    *,
    begin: str,
    end: str,
    folder: str,
    ignored: Callable[[str], bool],
    own: Callable[[str], bool],
) -> dict[str, Any]:
    """What was used between two marks.

    Args:
        lines: the log.
        begin, end: paths; that somebody tried to open them marks where to start and to stop. A log
            without the second one is taken to its end.
        folder: where the traced program was started.
        ignored: tells of a path whether it is none of the notebook's files.
        own: tells of a program or library whether the interpreter or a distribution brings it.

    Returns:
        ``opened``: [absolute path, "read", "write" or "list"] in order of first use; ``programs``:
        full paths of those that were executed; ``hosts``: addresses of other machines;
        ``libraries``: absolute paths of shared libraries opened, without those that a program of
        the system loads, which come with it.
    """
    found = _Found(ignored, own)
    on = False
    for task, call, arguments, result, told in _calls(lines, folder):
        if call in OPENING and (path := _path(arguments, task.folder[0])) in (begin, end):
            on = path == begin
            if not on:
                break
        elif on:
            found.take(task, call, arguments, result, told)
    return {
        "opened": [list(key) for key in found.opened],
        "programs": list(found.programs),
        "hosts": list(found.hosts),
        "libraries": sorted(found.libraries),
    }


class _Found:
    """What the calls come to, in the order of first use."""

    def __init__(self, ignored: Callable[[str], bool], own: Callable[[str], bool]) -> None:
        self.ignored, self.own = ignored, own
        self.opened: dict[tuple[str, str], None] = {}
        self.programs: dict[str, None] = {}
        self.hosts: dict[str, None] = {}
        self.libraries: dict[str, None] = {}

    def take(self, task: _Task, call: str, arguments: str, result: int, told: str | None) -> None:
        """Take one call in; those that failed used nothing, but a host was sought all the same."""
        if call == "connect":
            self._connect(arguments)
        elif result < 0:
            return
        elif call in OPENING:
            path = unescape(told) if told else _path(arguments, task.folder[0])
            self._open(task, path, _uses(call, arguments))
        elif call.startswith("exec"):
            path = _path(arguments, task.folder[0])
            self.programs[path] = None
            task.foreign = not self.own(path)
        else:  # rename and its like
            self._open(task, _path(arguments, task.folder[0], last=True), ("write",))

    def _open(self, task: _Task, path: str, uses: tuple[str, ...]) -> None:
        if _LIBRARY.match(path):
            if not self.own(path) and not task.foreign:
                self.libraries[path] = None
        elif path.startswith("/") and not self.ignored(path):
            for use in uses:
                # Python lists folders when it imports; what code lists, the audit hook tells.
                if use != "list" or task.foreign:
                    self.opened[path, use] = None

    def _connect(self, arguments: str) -> None:
        for port, host in _ADDRESS.findall(arguments):
            if int(port) != DNS and not _is_own_address(host):
                self.hosts[host] = None


class _Task:
    """A process or thread; ``foreign`` once it has become a program of the system."""

    def __init__(self, folder: list[str], foreign: bool) -> None:
        self.folder = folder  # in a list, which threads share
        self.foreign = foreign

    def child(self, arguments: str) -> _Task:
        return _Task(self.folder if "CLONE_FS" in arguments else self.folder[:], self.foreign)


def _calls(lines: Iterable[str], folder: str) -> Iterator[tuple[_Task, str, str, int, str | None]]:
    """The calls in the order of their ends: task, name, arguments, result, its file."""
    begun: dict[str, str] = {}
    tasks: dict[str, _Task] = {}
    for line in lines:
        found = _LINE.match(line.rstrip("\n"))
        if found is None:
            continue
        number, text = found[1], found[2]
        if number not in tasks:
            tasks[number] = _born(begun, tasks) or _Task([folder], False)
        if text.endswith(_UNFINISHED):
            begun[number] = text[: -len(_UNFINISHED)]
            continue
        if resumed := _RESUMED.match(text):
            text = begun.pop(number, "") + resumed[1]
        if (parts := _CALL.match(text)) is None:
            continue
        task = tasks[number]
        call, arguments, result, told = parts[1], parts[2], int(parts[3]), parts[4]
        if call in FORKS:
            if result > 0:
                tasks.setdefault(str(result), task.child(arguments))
        elif call in ("chdir", "fchdir"):
            if result == 0:
                told = _between(arguments) if call == "fchdir" else None
                task.folder[0] = unescape(told) if told else _path(arguments, task.folder[0])
        else:
            yield task, call, arguments, result, told


def _born(begun: dict[str, str], tasks: dict[str, _Task]) -> _Task | None:
    """A new task whose making has not returned yet; always so with vfork."""
    for number, text in reversed(list(begun.items())):
        if text.startswith(FORKS):
            return tasks[number].child(text)
    return None


def _path(arguments: str, folder: str, *, last: bool = False) -> str:
    """The (first or last) path among the arguments of a call, absolute."""
    texts = _TEXT.findall(arguments)
    if not texts:
        return ""
    if last:
        before = arguments[: arguments.rindex(f'"{texts[-1]}"')]
    else:
        before = arguments[: arguments.index('"')]
    if bases := _FOLDER.findall(before):
        folder = unescape(bases[-1])
    # As text: the traced machine's state is gone, so that no link may be resolved here.
    return os.path.normpath(os.path.join(folder, unescape(texts[-1 if last else 0])))  # noqa: PTH118


def _between(arguments: str) -> str | None:
    found = re.search(r"<(.*)>", arguments)
    return found[1] if found else None


def _uses(call: str, arguments: str) -> tuple[str, ...]:
    flags = _TEXT.sub("", arguments)
    if call == "creat" or "O_WRONLY" in flags:
        return ("write",)
    if "O_RDWR" in flags:
        return ("write",) if "O_TRUNC" in flags or "O_EXCL" in flags else ("read", "write")
    if "O_DIRECTORY" in flags:
        return ("list",)
    return () if "O_PATH" in flags else ("read",)


def _is_own_address(host: str) -> bool:
    return host.startswith(("127.", "0.", "::ffff:127.")) or host in ("::", "::1")


def unescape(text: str) -> str:
    """A path as strace writes it, with escapes as in C."""
    if "\\" not in text:
        return text

    def plain(found: re.Match[bytes]) -> bytes:
        code = found[1]
        if code[:1].isdigit():
            return bytes([int(code, 8) & 255])
        if code[:1] == b"x" and len(code) > 1:
            return bytes([int(code[1:], 16)])
        return _NAMED.get(code, code)

    return os.fsdecode(_ESCAPE.sub(plain, os.fsencode(text)))
