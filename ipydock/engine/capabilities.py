"""What an engine can do, for `ipydock doctor`: each thing asked of it or tried, never guessed."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..process import ProcessPlan, run
from .client import BuildClient, asked, last_line
from .connection import Connection
from .endpoint import Endpoint
from .interface import Capability

ENOUGH_DISK = 5e9  # bytes: an image of a data-science notebook takes 0.6 GB, its build caches more
# Read and not built: its first stage is not needed, so nothing is run and no image is pulled.
_TRIAL = """\
FROM scratch AS tried
RUN --mount=type=cache,target=/cache --mount=type=secret,id=ca --mount=type=bind,target=/src true
FROM scratch
LABEL io.ipydock.trial=1
"""
_NO_SECRETS = (
    "Upgrade the engine: from Docker 20.10 and Podman 4.0 on, builds have cache and secret mounts."
)
_EMULATION = (
    "To build for other processors install QEMU's user emulation on the engine's host (package "
    "qemu-user-static, or `docker run --privileged --rm tonistiigi/binfmt --install all`)."
)


def of_docker(
    endpoint: Endpoint, connection: Connection, daemon: Mapping[str, Any]
) -> tuple[Capability, ...]:
    """What a Docker engine and the client for it can do.

    Args:
        endpoint: how it is reached.
        connection: the connection to it.
        daemon: what it answers to ``/info``.
    """
    probed = asked(endpoint.environment())
    found = [_reached(endpoint, daemon)]
    if connection.is_podman:
        mend = "Use --engine podman: Podman's Docker API has no BuildKit."
        found.append(Capability("build", able=False, says="this is Podman", mend=mend))
    elif probed.client is None:
        mend = "Install the package docker-buildx-plugin (or docker-buildx)."
        found.append(Capability("build", able=False, says=" ".join(probed.said), mend=mend))
    else:
        found += [
            Capability("build", able=True, says=probed.client.says),
            _trial(probed.client, endpoint),
            _docker_platforms(probed.client, endpoint, daemon),
        ]
    found += [_store(probed.client, daemon), *_isolation(daemon), _mirrors(daemon)]
    root = "" if endpoint.elsewhere else str(daemon.get("DockerRootDir", ""))
    found.append(disk(root, "docker builder prune", _host(daemon)))
    return tuple(found)


def of_podman(program: str, info: Mapping[str, Any]) -> tuple[Capability, ...]:
    """What a Podman can do; ``info`` is what `podman info` tells."""
    host, store = info.get("host", {}), info.get("store", {})
    security = host.get("security", {})
    told = [name for name in ("seccomp", "apparmor", "selinux") if security.get(f"{name}Enabled")]
    rootless = bool(security.get("rootless"))
    runtime = host.get("ociRuntime", {}).get("name", "unknown")
    emulated = _binfmt()
    return (
        Capability("build", able=True, says=f"Buildah {host.get('buildahVersion', 'unknown')}"),
        _podman_trial(program),
        Capability("platforms", able=None, says=_platforms([], host.get("arch", ""), emulated)),
        Capability(
            "image store",
            able=True,
            says=f"{store.get('graphDriverName', 'unknown')} in {store.get('graphRoot', '?')}",
        ),
        Capability(
            "isolation",
            able=True,
            says=f"{'without' if rootless else 'with'} root, runtime {runtime}, "
            f"{', '.join(told) or 'no security modules'}",
        ),
        _podman_limits(host, rootless=rootless),
        disk(str(store.get("graphRoot", "")), "podman system prune", str(host.get("hostname", ""))),
    )


def disk(root: str, prune: str, host: str) -> Capability:
    """The free space where an engine keeps its images, if that is a folder of this machine."""
    path = Path(root)
    if not root or not path.is_dir():
        says = f"not to be seen from here: images are kept on {host or 'another machine'}"
        return Capability("disk", able=None, says=says)
    free = shutil.disk_usage(path).free
    says = f"{free / 1e9:.0f} GB free at {root}"
    mend = "" if free >= ENOUGH_DISK else f"Free some: `{prune}` removes what builds left."
    return Capability("disk", able=free >= ENOUGH_DISK, says=says, mend=mend)


def _reached(endpoint: Endpoint, daemon: Mapping[str, Any]) -> Capability:
    says = f"{endpoint.address}, named by {endpoint.named_by}"
    if endpoint.elsewhere:
        says += (
            f"; it is on {_host(daemon)}: paths given with --mount are looked up there, and the "
            "files of a build are sent there"
        )
    return Capability("address", able=True, says=says)


def _host(daemon: Mapping[str, Any]) -> str:
    return str(daemon.get("Name", ""))


def _trial(client: BuildClient, endpoint: Endpoint) -> Capability:
    """Let the builder read a Dockerfile that uses what our recipes use."""
    words = tuple(word for word in client.words if word != "--load")
    env = {**endpoint.environment(), **dict(client.env)}
    argv = (*words, "--progress=plain", "--output", "type=tar,dest=/dev/null", "-")
    plan = ProcessPlan(argv, env=env)
    return _tried(plan, _TRIAL)


def _podman_trial(program: str) -> Capability:
    with tempfile.TemporaryDirectory(prefix="ipydock-trial-") as folder:
        file = Path(folder, "Dockerfile")
        # Buildah reads a stage when it comes to it. Nothing is there that could be run, so the end
        # is always an error; it tells whether the mounts were understood.
        file.write_text(_TRIAL.partition("FROM scratch\n")[0], encoding="utf-8")
        argv = (program, "build", "--no-cache", "--secret", f"id=ca,src={file}", folder)
        return _tried(ProcessPlan(argv), "", well=r"executable file|no such file or directory")


def _tried(plan: ProcessPlan, stdin: str, well: str = "") -> Capability:
    name = "cache, secrets"
    try:
        done = run(plan, stdin=stdin, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Capability(name, able=False, says=f"a trial build did not end: {error}")
    said = done.stdout + done.stderr
    if done.returncode == 0 or (well and re.search(well, said)):
        return Capability(name, able=True, says="cache and secret mounts in builds (tried)")
    says = f"a trial build failed: {last_line(said)}"
    return Capability(name, able=False, says=says, mend=_NO_SECRETS)


def _docker_platforms(
    client: BuildClient, endpoint: Endpoint, daemon: Mapping[str, Any]
) -> Capability:
    emulated = [] if endpoint.elsewhere else _binfmt()
    says = _platforms(client.platforms, str(daemon.get("Architecture", "")), emulated)
    several = len({p.split("/")[1] for p in client.platforms if "/" in p} - {"386"}) > 1
    able = True if several or emulated else None
    return Capability("platforms", able=able, says=says, mend="" if able else _EMULATION)


def _platforms(known: tuple[str, ...] | list[str], native: str, emulated: list[str]) -> str:
    says = ", ".join(known) if known else f"its own ({native})"
    if emulated:
        return f"{says}; emulated on this machine: {', '.join(emulated)}"
    return says if known else f"{says}; others are not told"


def _binfmt() -> list[str]:
    """The processors whose programs this machine's kernel hands to QEMU."""
    folder = Path("/proc/sys/fs/binfmt_misc")
    try:
        return sorted(entry.name[5:] for entry in folder.glob("qemu-*"))
    except OSError:
        return []


def _store(client: BuildClient | None, daemon: Mapping[str, Any]) -> Capability:
    status = {str(k): str(v) for k, v in daemon.get("DriverStatus") or ()}
    kind = status.get("driver-type", "")
    driver = str(daemon.get("Driver", "unknown"))
    if "containerd" in kind:
        says = f"containerd's ({driver}): images of several platforms can be kept"
        return Capability("image store", able=True, says=says)
    says = f"{driver}: images of one platform each"
    if client is not None and not client.in_engine:
        says += f"; the {client.driver} builder can push those of several"
    if driver == "vfs":
        mend = "vfs copies every layer whole: set the storage driver overlay2 in daemon.json."
        return Capability("image store", able=True, says=says, mend=mend)
    return Capability("image store", able=True, says=says)


def _isolation(daemon: Mapping[str, Any]) -> Iterator[Capability]:
    options = [str(o).removeprefix("name=") for o in daemon.get("SecurityOptions") or ()]
    says = ", ".join(option.partition(",")[0] for option in options) or "no security modules"
    yield Capability("isolation", able=True, says=f"containers with {says}")
    names = {"MemoryLimit": "memory", "CpuCfsQuota": "CPU time", "PidsLimit": "processes"}
    lacking = [word for key, word in names.items() if daemon.get(key) is False]
    if lacking:
        yield Capability(
            "limits",
            able=False,
            says=f"{', '.join(lacking)} cannot be limited",
            mend="Give the engine's host the cgroup controllers for them (for a rootless engine "
            "delegate them with systemd).",
        )
    else:
        yield Capability("limits", able=True, says="memory, CPU time and processes")


def _podman_limits(host: Mapping[str, Any], *, rootless: bool) -> Capability:
    there = set(host.get("cgroupControllers") or ())
    names = {"memory": "memory", "cpu": "CPU time", "pids": "processes"}
    lacking = [word for key, word in names.items() if key not in there]
    if not lacking:
        return Capability("limits", able=True, says="memory, CPU time and processes")
    how = " (for a rootless engine delegate them with systemd)" if rootless else ""
    return Capability(
        "limits",
        able=False,
        says=f"{', '.join(lacking)} cannot be limited",
        mend=f"Give this machine the cgroup controllers for them{how}.",
    )


def _mirrors(daemon: Mapping[str, Any]) -> Capability:
    mirrors = (daemon.get("RegistryConfig") or {}).get("Mirrors") or ()
    proxy = daemon.get("HttpsProxy") or daemon.get("HttpProxy")
    says = [f"mirror {', '.join(mirrors)}" if mirrors else "no mirror"]
    says.append("through a proxy" if proxy else "no proxy")
    return Capability("registry way", able=True, says=", ".join(says))
