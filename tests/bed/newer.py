"""A current Docker beside the distribution's own: that of the next Debian release, unpacked.

Two daemons can be had of it, each on loopback as well as on a socket: `newer` keeps images as
Docker always did, `containerd` in containerd's image store. Both take base images from the bed's
registry.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from . import daemon, debian
from .api import ask
from .packages import KEYRING
from .process import run
from .state import Bed, BedError, State, say, write_json

SUITE = "trixie"
# The system's runc does: another one would want the next release's C library.
PACKAGES = ("docker.io", "docker-cli", "docker-buildx", "containerd")
_SETTINGS: dict[str, dict[str, object]] = {
    "newer": {},
    "containerd": {"features": {"containerd-snapshotter": True}},
}


def up(bed: Bed, kind: str) -> dict[str, str]:
    """What to set in the environment to work with that daemon, started when it is not up.

    `PATH` there is what comes before the machine's own.
    """
    port = mirror(bed)
    programs = unpacked(bed)
    part = bed.part(kind, programs)
    part.check()
    config = part.run / "config"
    known = part.run / "part.json"
    if not (known.exists() and part.socket.exists() and ask(part.docker_host).usable):
        address = f"tcp://127.0.0.1:{daemon.free_port()}"
        # Said outright that there is no encryption, dockerd does not wait before it starts.
        settings = {**_SETTINGS[kind], "hosts": [address], "tls": False}
        daemon.start(part, mirror=port, settings=settings)
        shutil.rmtree(config, ignore_errors=True)  # a context there names the former address
        config.mkdir()
        plugins = {"cliPluginsExtraDirs": [str(programs / "usr/libexec/docker/cli-plugins")]}
        write_json(config / "config.json", plugins)
        write_json(known, {"DOCKER_HOST": address})
    return {
        **json.loads(known.read_text()),
        "DOCKER_CONFIG": str(config),
        "PATH": str(programs / "usr/bin"),
        "BED_SOCKET": part.docker_host,
    }


def mirror(bed: Bed) -> int:
    """The port of the bed's registry. Raises BedError where it does not run."""
    state = State.load(bed)
    if not daemon.running(bed, state):
        raise BedError(
            "Further engines take their base images from this bed's registry, which is not up.",
            mend="as root on Debian or Ubuntu, set IPYDOCK_BED to a folder and `make engine`.",
        )
    return state.port


def unpacked(bed: Bed) -> Path:
    """The folder of the programs; fetched and unpacked when they are not there."""
    place = bed.data / "newer"
    if (place / "usr/sbin/dockerd").exists():
        return place
    work = bed.data / "newer.part"
    shutil.rmtree(work, ignore_errors=True)
    for name in ("lists/partial", "cache/archives/partial", "root"):
        (work / name).mkdir(parents=True)
    say(f"fetching {', '.join(PACKAGES)} of Debian {SUITE}")
    sources = work / "sources.list"
    sources.write_text(_source())
    apt = [
        "apt-get", "-qq", f"-oDir::Etc::SourceList={sources}", "-oDir::Etc::SourceParts=/dev/null",
        f"-oDir::State::lists={work}/lists", f"-oDir::Cache={work}/cache",
        "-oAcquire::Languages=none", "-oAPT::Sandbox::User=root",
    ]  # fmt: skip
    mend = "the Debian package mirror has to be reachable; `apt-get update` shows whether it is."
    run([*apt, "update"], mend=mend)
    run(["sh", "-c", 'cd "$0" && exec "$@"', work, *apt, "download", *PACKAGES], mend=mend)
    for package in sorted(work.glob("*.deb")):
        run(["dpkg-deb", "-x", package, work / "root"])
    shutil.rmtree(place, ignore_errors=True)
    (work / "root").rename(place)
    shutil.rmtree(work)
    return place


def _source() -> str:
    """The machine's own mirror of Debian, for the other release."""
    fields = "$(REPO_URI)|$(RELEASE)|$(COMPONENT)"
    targets = run(["apt-get", "indextargets", "--format", fields, "Created-By: Packages"])
    first = next(
        line for line in debian.sources_list(targets).splitlines()
        if line.endswith(f" {debian.SUITE} main")
    )  # fmt: skip
    address = first.split()[-3]
    return f"deb [signed-by={KEYRING} target=Packages] {os.fspath(address)} {SUITE} main\n"
