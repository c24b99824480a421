"""Ending and removing what a bed started: daemons, containers, mounts, folders, traces."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
from functools import partial
from pathlib import Path

from . import network
from .api import request
from .process import others, ours, run, stop, succeeds, wait_until
from .state import MARKER, PARTS, Bed, BedError, State, say

# What Docker and containerd leave outside the folders that they are given.
_TRACES = tuple(
    map(Path, ("/run/docker", "/run/runc", "/run/containerd", "/opt/containerd", "/run/sshd"))
)
_KEY = Path("/etc/docker/key.json")
_CGROUPS = Path("/sys/fs/cgroup")


def take_down(bed: Bed) -> None:
    """Stops what this bed started and removes its folders, if there is anything of it."""
    state = State.load(bed)
    if not ours(bed) and not any(folder.exists() for folder in bed.folders):
        say("nothing of this bed is here")
        return
    for kind in PARTS:
        part = bed.part(kind)
        if part.run.exists():
            take_down(part)
    _empty(bed)
    clear(bed)
    shared = others(bed)
    if state.kind == "docker" or network.has_bridge(bed):
        network.undo(bed, state.before, shared=shared)
    for folder in bed.folders:
        _remove(folder)
    if bed.root:
        with contextlib.suppress(OSError):
            bed.root.rmdir()
    if not shared:
        _remove_traces(state.before.get("absent", []))
    say("down: daemons stopped, folders removed (installed packages stay)")


def clear(bed: Bed) -> None:
    """Ends and removes what earlier runs left, apart from the images and the state."""
    if left := ours(bed):
        say(f"stopping {', '.join(f'{one.name} ({one.pid})' for one in left)}")
    stop(bed, grace=20)
    _remove_cgroups(bed)
    _unmount(bed)
    if (bed.run / MARKER).exists():
        shutil.rmtree(bed.run / "exec", ignore_errors=True)
        for name in ("docker.sock", "dockerd.pid", "podman.sock"):
            (bed.run / name).unlink(missing_ok=True)


def _empty(bed: Bed) -> None:
    """Removes running containers and users' networks, while there is a daemon that knows them."""
    # Otherwise dockerd waits for each container to end by itself, and leaves each bridge.
    with contextlib.suppress(OSError):
        running = [f"/containers/{one['Id']}?force=1" for one in _list(bed, "/containers/json")]
        networks = [f"/networks/{one['Id']}" for one in _list(bed, "/networks")]
        for path in (*running, *networks):
            # Docker's own three networks cannot be removed, and say so.
            with contextlib.suppress(OSError):
                request(bed.docker_host, path, method="DELETE", timeout=30)


def _list(bed: Bed, path: str) -> list[dict[str, str]]:
    return list(request(bed.docker_host, path))


def _remove_cgroups(bed: Bed) -> None:
    tops = [_CGROUPS / bed.name, *_CGROUPS.glob(f"*/{bed.name}")]
    folders = [Path(path) for top in tops for path, _, _ in os.walk(top, topdown=False)]
    # Containers of a daemon that was killed live on; their control groups tell them.
    left = {pid for folder in folders for pid in _members(folder)}
    if os.getpid() in left:
        say("running inside a container of a bed of the same name: its control groups stay")
        return
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    for folder in folders:
        wait_until(partial(_rmdir, folder), seconds=5)


def _members(folder: Path) -> list[int]:
    # 0 stands for a process that this namespace cannot see; to kill() it would be ourselves.
    with contextlib.suppress(OSError):
        return [pid for pid in map(int, (folder / "cgroup.procs").read_text().split()) if pid > 0]
    return []


def _rmdir(folder: Path) -> bool:
    with contextlib.suppress(OSError):
        folder.rmdir()
    return not folder.exists()


def mounts_below(mountinfo: str, folders: tuple[Path, ...]) -> list[str]:
    """Mount points below the folders, from the text of a mountinfo, the last mounted first."""
    points = [_plain(line.split(" ")[4]) for line in mountinfo.splitlines()]
    # Not the folders themselves: those are mounts that someone gave us.
    return [
        point
        for point in reversed(points)
        if any(folder in Path(point).parents for folder in folders)
    ]


def _plain(point: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), point)


def _mounted(*folders: Path) -> list[str]:
    return mounts_below(Path("/proc/self/mountinfo").read_text(), folders)


def _unmount(bed: Bed) -> None:
    for point in _mounted(*bed.folders):
        if not succeeds(["umount", point]):
            run(["umount", "--lazy", point], mend=f"end what uses {point}, and try again.")


def _remove(folder: Path) -> None:
    if not folder.exists():
        return
    if not (folder / MARKER).exists():
        say(f"{folder} was not made by this bed; it stays")
        return
    # Through a mount that is still there, the deletion would reach files that are not ours.
    if points := _mounted(folder):
        raise BedError(
            f"{folder} still holds mounts.",
            evidence="\n".join(points),
            mend="unmount them and run it again.",
        )
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    if not folder.is_mount():
        folder.rmdir()


def absent_traces() -> list[str]:
    """What Docker leaves on a machine and is not there yet."""
    return [str(path) for path in (*_TRACES, _KEY) if not path.exists()]


def _remove_traces(absent: list[str]) -> None:
    for trace in _TRACES:
        if str(trace) in absent:
            for path, _, files in os.walk(trace, topdown=False):
                for name in files:
                    if (file := Path(path, name)).is_socket():
                        file.unlink()
                with contextlib.suppress(OSError):
                    Path(path).rmdir()
    if str(_KEY) in absent:
        _KEY.unlink(missing_ok=True)
