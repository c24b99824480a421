"""`python3 -m tests.bed VERB`; the last line of `up` and `env` is for `eval`.

`also KIND` brings up a further engine beside it and prints as JSON what its environment is; without
KIND it brings up all of them.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from . import cleanup, daemon, engines, images, newer, packages, podman, second, ssh
from .api import ask, request
from .process import ours
from .state import Bed, BedError, State, say


def up(bed: Bed) -> str:
    """The address of an engine that answers: one that is there already, else a private one."""
    if engine := _named(bed):
        say(f"using {engine.words}")
        return engine.host
    with bed.lock():
        state = State.load(bed)
        if daemon.running(bed, state):
            say(f"using this bed's {ask(bed.docker_host).words}")
        else:
            engine, said = _present(bed)
            if engine:
                say(f"using {engine.words}")
                return engine.host
            if not _can_be_private(os.getuid()):
                return _podman_or_fail(bed, said)
            packages.install()
            state = daemon.start(bed)
        made = images.provide(bed, state.port, os.environ)
        if not state.proven:
            daemon.prove(bed, images.SMALLEST)
            state.proven = True
            state.save(bed)
        say(f"ready; base images: {', '.join(made)}")
    return bed.docker_host


def env(bed: Bed) -> str:
    """The address of the engine that `up` would use without starting anything."""
    if engine := _named(bed):
        return engine.host
    if bed.socket.exists() and ask(bed.docker_host).usable:
        return bed.docker_host
    engine, said = _present(bed)
    if engine is None:
        raise BedError("No engine is up.", evidence="\n".join(said), mend="run `make engine`.")
    return engine.host


def status(bed: Bed) -> int:
    """Prints what of this bed is up; 0 when an engine answers, else 1."""
    if not bed.socket.exists() or not (answer := ask(bed.docker_host)).usable:
        engine, said = _present(bed)
        for line in [f"engine    {engine.words}"] if engine else ["engine    none", *said]:
            sys.stdout.write(f"{line}\n")
        return 0 if engine else 1
    state = State.load(bed)
    containers = request(bed.docker_host, "/containers/json")
    lines = [
        f"engine    {answer.words} at {bed.docker_host}",
        *(f"running   {one.name}, process {one.pid}" for one in ours(bed)),
        f"running   {len(containers)} containers",
        f"mirror    http://127.0.0.1:{state.port}",
        f"bridge    {bed.bridge} {state.subnet}",
        *(
            f"image     {name} {digest}"
            for name, digest in images.recorded(bed).get("images", {}).items()
        ),
        f"logs      {bed.logs}",
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


# Further engines beside the one that is up: each gives what to set in the environment.
_ALSO: dict[str, Callable[[Bed], dict[str, str]]] = {
    "newer": partial(newer.up, kind="newer"),
    "containerd": partial(newer.up, kind="containerd"),
    "podman": podman.up,
    "second": second.up,
    "ssh": ssh.up,
}


def main() -> int:
    """Runs one verb; the exit code is 0 when it did what it says."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.bed", description=__doc__)
    parser.add_argument("verb", choices=["up", "down", "status", "env", "tools", "also"])
    parser.add_argument("kind", nargs="?", choices=sorted(_ALSO), help="of engine, for `also`")
    given = parser.parse_args()
    verb = given.verb
    os.umask(0o022)
    try:
        bed = Bed.find(os.environ, os.getuid())
        if verb == "status":
            return status(bed)
        if verb == "tools":
            packages.install_tools()
            return 0
        if verb == "also":
            for kind in [given.kind] if given.kind else _ALSO:
                with bed.lock():
                    sys.stdout.write(json.dumps(_ALSO[kind](bed)) + "\n")
            return 0
        if verb == "down":
            with bed.lock() as lock:
                cleanup.take_down(bed)
                lock.unlink()
            return 0
        sys.stdout.write(f"DOCKER_HOST={up(bed) if verb == 'up' else env(bed)}\n")
    except BedError as error:
        sys.stderr.write(f"bed: {error}\n")
        return 1
    except PermissionError as error:
        sys.stderr.write(f"bed: {error}\nWhat to do: run it as root (sudo make engine).\n")
        return 1
    except OSError as error:
        sys.stderr.write(
            f"bed: {error}\nWhat to do: look at the disk's room (`df -h`) and health.\n"
        )
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("bed: interrupted; `make engine` goes on, `make engine-down` clears up.\n")
        return 130
    return 0


def _named(bed: Bed) -> engines.Engine | None:
    return None if bed.private else engines.named(bed, os.environ)


def _present(bed: Bed) -> tuple[engines.Engine | None, list[str]]:
    return (None, []) if bed.private else engines.present(bed, os.environ, os.getuid())


def _can_be_private(uid: int) -> bool:
    release = Path("/etc/os-release")
    known = release.exists() and packages.is_debian_like(packages.os_release(release.read_text()))
    return uid == 0 and known


def _podman_or_fail(bed: Bed, said: list[str]) -> str:
    if engine := engines.podman_service(bed):
        say(f"using {engine.words}")
        return engine.host
    mend = (
        "start Docker (`sudo systemctl start docker`, or Docker Desktop) and make sure that this"
        " user may use it (`sudo usermod -aG docker $USER`, then log in again); or install Podman;"
        " or, on Debian or Ubuntu, run `sudo make engine`, which starts a private Docker."
    )
    raise BedError(
        "No container engine answers, and a private one can be started only by root on Debian or"
        " Ubuntu.",
        evidence="\n".join(said),
        mend=mend,
    )


if __name__ == "__main__":
    sys.exit(main())
