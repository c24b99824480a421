"""Engines that are on the machine already: found by asking them, not by their files."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from .api import ask
from .process import detach, is_alive, ours, program, wait_until
from .state import Bed, BedError, State, say


@dataclass(frozen=True)
class Engine:
    """An engine that answers: its address for DOCKER_HOST, and which one it is."""

    host: str
    words: str


def named(bed: Bed, environ: Mapping[str, str]) -> Engine | None:
    """The engine that DOCKER_HOST names, when it answers and is not this bed's own."""
    host = environ.get("DOCKER_HOST")
    if not host or host == bed.docker_host:
        return None
    answer = ask(host)
    if not answer.usable:
        say(f"DOCKER_HOST is {host}, which is of no use: {answer.words}")
        return None
    return Engine(host, f"{answer.words} at {host}, named by DOCKER_HOST")


def addresses(bed: Bed, environ: Mapping[str, str], uid: int) -> Iterator[tuple[str, str]]:
    """Where else an engine may answer, as (what it is called, address), the likeliest first."""
    if host := _context_host(environ):
        yield "the docker client's context", host
    runtime = environ.get("XDG_RUNTIME_DIR") or f"/run/user/{uid}"
    yield "this bed's Podman service", f"unix://{bed.run / 'podman.sock'}"
    yield "the system's socket", "unix:///var/run/docker.sock"
    yield "the user's socket", f"unix://{runtime}/docker.sock"
    yield "Podman's user socket", f"unix://{runtime}/podman/podman.sock"
    yield "Podman's system socket", "unix:///run/podman/podman.sock"


def present(bed: Bed, environ: Mapping[str, str], uid: int) -> tuple[Engine | None, list[str]]:
    """The first engine that answers, and what each address before it said."""
    said: dict[str, str] = {}
    for where, host in addresses(bed, environ, uid):
        if host in said or host == bed.docker_host:
            continue
        missing = host.startswith("unix://") and not Path(host.removeprefix("unix://")).exists()
        if missing:
            said[host] = f"{host} ({where}): no such socket"
            continue
        answer = ask(host)
        if answer.usable:
            return Engine(host, f"{answer.words} at {host}, named by {where}"), list(said.values())
        said[host] = f"{host} ({where}): {answer.words}"
    return None, list(said.values())


def podman_service(bed: Bed) -> Engine | None:
    """Podman's own service at a socket of this bed, started when it does not run yet.

    None where there is no Podman. Raises BedError when Podman is there and does not answer.
    """
    if program("podman") is None:
        return None
    host = f"unix://{bed.run / 'podman.sock'}"
    log = bed.logs / "podman.log"
    if not any(one.name == "podman" for one in ours(bed)):
        bed.claim()
        State(kind="podman").save(bed)
        say("starting Podman's service")
        service = detach(["podman", "system", "service", "--time=0", host], log, os.environ)
        wait_until(lambda: ask(host).usable, seconds=30, alive=partial(is_alive, service))
    answer = ask(host)
    if not answer.usable:
        raise BedError(
            f"Podman is installed, but its service does not answer: {answer.words}.",
            evidence=log.read_text(errors="replace")[-2000:] if log.exists() else "",
            mend="make `podman info` work, or start Docker.",
        )
    return Engine(host, f"{answer.words} at {host}, its service started by this bed")


def _context_host(environ: Mapping[str, str]) -> str:
    client = program("docker")
    if client is None:
        return ""
    asked = [client, "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"]
    try:
        done = subprocess.run(
            asked,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=10,
            env={key: value for key, value in environ.items() if key != "DOCKER_HOST"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
