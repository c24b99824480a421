"""Commands that are run, daemons that outlive us, and telling our daemons from all others."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from .state import Bed, BedError

# What may be left of a run that was killed while it made images: mmdebstrap, and programs whose
# root folder is one that we made.
MAKERS = ("mmdebstrap", "chroot")
# Only programs of these names are ever stopped, and only with one of our paths among their
# arguments, in this order: whoever starts others goes first.
_DAEMONS = ("dockerd", "containerd", "containerd-shim-runc-v2", "podman", "docker-registry", "sshd")
STOPPED = (*MAKERS, *_DAEMONS)
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Process:
    """A daemon of ours that runs."""

    pid: int
    name: str


def program(name: str) -> str | None:
    """Where a program is; the system's own folders come first, so that versions are known ones."""
    return shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin") or shutil.which(name)


def run(
    argv: Sequence[str | Path],
    *,
    mend: str = "",
    env: Mapping[str, str] | None = None,
    timeout: float | None = None,
) -> str:
    """Runs a command to its end and returns its standard output; BedError when it fails."""
    words = [os.fspath(word) for word in argv]
    words[0] = program(words[0]) or words[0]
    try:
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            text=True,
            errors="replace",
            env=None if env is None else dict(env),
            timeout=timeout,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BedError(f"{words[0]} did not run: {error}", mend=mend) from error
    if done.returncode:
        raise BedError(
            f"`{' '.join(words)[:300]}` ended with {done.returncode}.",
            evidence=tail(done.stderr or done.stdout),
            mend=mend,
        )
    return done.stdout


def succeeds(argv: Sequence[str | Path], *, timeout: float = 20) -> bool:
    """Whether a command ends well; its output is dropped."""
    try:
        run(argv, timeout=timeout)
    except BedError:
        return False
    return True


def tail(text: str, lines: int = 15) -> str:
    """The last lines of a text."""
    return "\n".join(text.strip().splitlines()[-lines:])


def detach(
    argv: Sequence[str | Path], log: Path, env: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """Starts a daemon in a session of its own that holds none of our streams open."""
    words = [os.fspath(word) for word in argv]
    words[0] = program(words[0]) or words[0]
    with log.open("wb") as out:
        return subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd="/",
            env=dict(env),
        )


def is_alive(process: subprocess.Popen[bytes]) -> bool:
    """Whether a process that we started still runs."""
    return process.poll() is None


def wait_until(
    condition: Callable[[], bool], *, seconds: float, alive: Callable[[], bool] = lambda: True
) -> bool:
    """Waits until the condition holds; False when time is up or `alive` no longer holds."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end or not alive():
            return condition()
        time.sleep(0.03)
    return True


def ours(bed: Bed, proc: Path = Path("/proc")) -> list[Process]:
    """The daemons of this bed that run, in the order in which they are to be stopped.

    Found by what they are (name, and one of our folders as an argument) and not by a number in a
    file, which may have come to stand for another program.
    """
    found = [
        Process(int(entry.name), name)
        for entry in proc.iterdir()
        if entry.name.isdigit() and (name := _daemon_name(entry, bed.folders))
    ]
    return sorted(found, key=lambda one: (STOPPED.index(one.name), one.pid))


def others(bed: Bed, proc: Path = Path("/proc")) -> bool:
    """Whether a Docker daemon or containerd runs that is not this bed's."""
    mine = {one.pid for one in ours(bed, proc)}
    return any(
        entry.name.isdigit()
        and int(entry.name) not in mine
        and Path(arguments(entry)[0]).name in {"dockerd", "containerd"}
        for entry in proc.iterdir()
    )


def arguments(entry: Path) -> list[str]:
    """The command line of a process; [""] for one that is gone, a zombie or a kernel thread."""
    try:
        return os.fsdecode((entry / "cmdline").read_bytes()).rstrip("\0").split("\0")
    except OSError:
        return [""]


def _daemon_name(entry: Path, folders: Iterable[Path]) -> str:
    words = arguments(entry)
    if words[0].startswith("sshd: "):
        # It writes what it does over its arguments: "sshd: /usr/sbin/sshd -D -f FILE [listener]".
        words = words[0].split()[1:]
    # A script stands behind its interpreter: perl /usr/bin/mmdebstrap.
    script = words[1:2] if Path(words[0]).name == "perl" else []
    name = next((base for word in script + words[:1] if (base := Path(word).name) in STOPPED), "")
    tails = [word.removeprefix("unix://") for word in words[1:]]
    within = any(
        word == str(folder) or word.startswith(f"{folder}/") for word in tails for folder in folders
    )
    if name and within:
        return name
    return "chroot" if any(folder in _root(entry).parents for folder in folders) else ""


def _root(entry: Path) -> Path:
    try:
        return (entry / "root").readlink()
    except OSError:
        return Path("/")


def stop(bed: Bed, *, grace: float, names: Sequence[str] = STOPPED) -> None:
    """Stops this bed's programs of these names: asked first, killed after `grace` seconds."""
    for name in names:
        for sign, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, 10.0)):
            for one in _named(bed, name):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(one.pid, sign)
            if wait_until(partial(_ended, bed, name), seconds=seconds):
                break
        else:
            left = ", ".join(str(one.pid) for one in _named(bed, name))
            raise BedError(
                f"{name} (process {left}) does not end, even when killed.",
                mend="look what it waits for (`ps -o stat,wchan -p PID`); a reboot always helps.",
            )


def _ended(bed: Bed, name: str) -> bool:
    return not _named(bed, name)


def _named(bed: Bed, name: str) -> list[Process]:
    return [one for one in ours(bed) if one.name == name]
