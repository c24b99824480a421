"""The private Docker daemon and the registry that is its mirror: start, use again, stop."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from . import network
from .api import ask, request
from .cleanup import absent_traces, clear
from .process import SYSTEM_PATH, detach, is_alive, ours, stop, tail, wait_until
from .state import Bed, BedError, State, say

_MENDS = (
    ("no space left", "make room on the disk, or set IPYDOCK_BED to a folder on a larger one."),
    ("iptables", "check `iptables -t nat -S`; in a container, it has to be a privileged one."),
    ("ermission denied", "run as root with all capabilities; in a container, a privileged one."),
    ("not permitted", "run as root with all capabilities; in a container, a privileged one."),
    ("cgroup", "mount the cgroup file systems below /sys/fs/cgroup (package cgroupfs-mount)."),
)


def running(bed: Bed, state: State) -> bool:
    """Whether this bed's daemon and registry both run and answer."""
    names = {one.name for one in ours(bed)}
    return (
        state.kind == "docker"
        and {"dockerd", "docker-registry"} <= names
        and _registry_answers(state.port)
        and ask(bed.docker_host).usable
    )


def start(
    bed: Bed, *, mirror: int | None = None, settings: Mapping[str, object] | None = None
) -> State:
    """Starts registry and daemon, after clearing what a killed run left; both answer afterwards.

    With `mirror`, the port of another bed's registry, no registry is started. `settings` are more
    lines of the daemon's configuration; its `hosts` are added to the bed's own socket.

    Raises BedError, with nothing left running, when one does not come up.
    """
    bed.claim()
    state = State.load(bed)
    clear(bed)
    if not state.before or not network.has_bridge(bed):
        # Without our bridge this is a first start (also the first after a reboot).
        state.before = {**network.before(), "absent": absent_traces()}
    state.kind = "docker"
    state.proven = False
    state.save(bed)
    try:
        state.subnet = network.make_bridge(bed)
        state.port = mirror or _start_registry(bed, state.port)
        state.save(bed)
        _start_dockerd(bed, state, settings or {})
    except BaseException:
        stop(bed, grace=5)
        raise
    return state


def prove(bed: Bed, image: str) -> None:
    """Pulls an image through the mirror and runs it once, so that `up` means what it says.

    A daemon may well answer and yet lack what containers need: then it is stopped, and BedError
    raised.
    """
    try:
        _pull_and_run(bed, image)
    except OSError as error:
        evidence = f"{error}\n{_log_tail(bed.logs / 'dockerd.log')}"
        stop(bed, grace=10)
        raise BedError(
            "The Docker daemon came up, but it cannot pull and run a container.",
            evidence=evidence,
            mend=_mend(evidence),
        ) from error
    say(f"pulled {image} and ran it")


def _pull_and_run(bed: Bed, image: str) -> None:
    call = partial(request, bed.docker_host, timeout=120)
    known = any(image in (one["RepoTags"] or []) for one in call("/images/json"))
    repository, tag = image.split(":")
    pulled = call(f"/images/create?fromImage={repository}&tag={tag}", method="POST")
    if "error" in pulled:
        raise OSError(pulled["error"])
    name = f"{bed.name}-proof"
    what = {"Image": image, "Cmd": ["true"], "HostConfig": {"Memory": 64 << 20}}
    with contextlib.suppress(OSError):
        # One that a killed run left.
        call(f"/containers/{name}?force=1", method="DELETE")
    call(f"/containers/create?name={name}", method="POST", body=what)
    try:
        call(f"/containers/{name}/start", method="POST")
        code = call(f"/containers/{name}/wait", method="POST")["StatusCode"]
    finally:
        call(f"/containers/{name}?force=1", method="DELETE")
    if code != 0:
        raise OSError(f"`true` ended with {code} in a container of {image}")
    if not known:
        # Whoever asks for it next is to pull it really.
        call(f"/images/{image}", method="DELETE")


def registry_config(bed: Bed, port: int) -> str:
    """The registry's configuration; JSON is YAML too."""
    return json.dumps(
        {
            "version": 0.1,
            "log": {"level": "warn", "accesslog": {"disabled": True}},
            "storage": {
                "filesystem": {"rootdirectory": str(bed.data / "registry")},
                "delete": {"enabled": True},
            },
            "http": {"addr": f"127.0.0.1:{port}"},
        },
        indent=1,
    )


def dockerd_config(bed: Bed, port: int, settings: Mapping[str, Any] = MappingProxyType({})) -> str:
    """The daemon's configuration; as a file of ours, the system's own daemon.json is not read."""
    return json.dumps(
        {
            **settings,
            "hosts": [bed.docker_host, *settings.get("hosts", ())],
            "data-root": str(bed.data / "docker"),
            "exec-root": str(bed.run / "exec"),
            "pidfile": str(bed.run / "dockerd.pid"),
            "bridge": bed.bridge,
            "registry-mirrors": [f"http://127.0.0.1:{port}"],
            # A parent of our own, so that what a killed daemon leaves can be told and removed. The
            # systemd driver would not take such a name.
            "exec-opts": ["native.cgroupdriver=cgroupfs"],
            "cgroup-parent": f"/{bed.name}",
            "shutdown-timeout": 5,
            "log-level": "warn",
        },
        indent=1,
    )


def _start_registry(bed: Bed, wish: int) -> int:
    log = bed.logs / "registry.log"
    for port in (wish or free_port(), free_port(), free_port()):
        config = bed.data / "registry.yml"
        config.write_text(registry_config(bed, port))
        process = detach(["docker-registry", "serve", config], log, _environment())
        if wait_until(
            partial(_registry_answers, port), seconds=20, alive=partial(is_alive, process)
        ):
            say(f"registry on 127.0.0.1:{port}")
            return port
        stop(bed, grace=2)
    raise BedError(
        "docker-registry did not come up.",
        evidence=_log_tail(log),
        mend="read its log above; the registry needs a loopback port and room on the disk.",
    )


def _start_dockerd(bed: Bed, state: State, settings: Mapping[str, object]) -> None:
    config = bed.run / "daemon.json"
    config.write_text(dockerd_config(bed, state.port, settings))
    log = bed.logs / "dockerd.log"
    env = _environment()
    dockerd = Path("dockerd")
    if bed.programs:
        dockerd = bed.programs / "usr/sbin/dockerd"
        # It starts containerd and its shims by their names; runc stays the system's.
        env["PATH"] = f"{bed.programs}/usr/sbin:{bed.programs}/usr/bin:{SYSTEM_PATH}"
    process = detach([dockerd, "--config-file", config], log, env)
    alive = partial(is_alive, process)
    if not wait_until(lambda: ask(bed.docker_host).usable, seconds=60, alive=alive):
        text = _log_tail(log)
        how = "does not answer after 60 s" if alive() else f"ended with {process.returncode}"
        raise BedError(f"dockerd {how}; the end of {log}:", evidence=text, mend=_mend(text))
    say(f"{ask(bed.docker_host).words} at {bed.docker_host}, bridge {bed.bridge} {state.subnet}")


def _mend(text: str) -> str:
    return next((mend for sign, mend in _MENDS if sign in text), "read the lines above.")


def _environment() -> dict[str, str]:
    env = {key: value for key, value in os.environ.items() if not key.startswith("DOCKER_")}
    env["PATH"] = SYSTEM_PATH
    # The mirror is on loopback; a proxy would look for it on its own machine.
    for key in ("NO_PROXY", "no_proxy"):
        env[key] = ",".join(filter(None, [env.get(key), "127.0.0.1", "localhost"]))
    return env


def _registry_answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/v2/")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def free_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


def _log_tail(log: Path) -> str:
    try:
        return tail(log.read_text(errors="replace"))
    except OSError as error:
        return str(error)
