"""What the distribution's package manager has to install before a private engine can start."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .process import program, run, succeeds
from .state import BedError, say

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_POLICY = Path("/usr/sbin/policy-rc.d")


@dataclass(frozen=True)
class Need:
    """A package, and what is there once it is installed: a program or a file."""

    package: str
    brings: str
    # Split off from another package in some releases only.
    optional: bool = False

    def met(self) -> bool:
        """Whether it is there, wherever it came from."""
        if self.brings.startswith("/"):
            return Path(self.brings).exists()
        return program(self.brings) is not None


NEEDS = (
    Need("docker.io", "dockerd"),
    Need("docker-cli", "/usr/bin/docker", optional=True),
    Need("docker-buildx", "/usr/libexec/docker/cli-plugins/docker-buildx", optional=True),
    Need("containerd", "containerd"),
    Need("runc", "runc"),
    Need("docker-registry", "docker-registry"),
    Need("mmdebstrap", "mmdebstrap"),
    Need("debian-archive-keyring", str(KEYRING)),
    Need("iptables", "iptables"),
    Need("iproute2", "ip"),
    Need("mount", "umount"),
    Need("ca-certificates", "/etc/ssl/certs/ca-certificates.crt"),
)
# What tests use besides an engine.
TOOLS = (
    Need("strace", "strace"),
    Need("podman", "podman"),
    Need("openssh-server", "/usr/sbin/sshd"),
    Need("openssh-client", "ssh"),
)
# Without its parser, dockerd cannot start a container where the kernel has AppArmor on.
_APPARMOR = Need("apparmor", "apparmor_parser")


def os_release(text: str) -> dict[str, str]:
    """The fields of an /etc/os-release."""
    pairs = (line.split("=", 1) for line in text.splitlines() if "=" in line)
    return {key.strip(): value.strip().strip("\"'") for key, value in pairs}


def is_debian_like(release: dict[str, str]) -> bool:
    """Whether the packages here are Debian's or Ubuntu's."""
    return bool({"debian", "ubuntu"} & {release.get("ID"), *release.get("ID_LIKE", "").split()})


def missing() -> list[Need]:
    """What is not there yet."""
    switch = Path("/sys/module/apparmor/parameters/enabled")
    apparmor = switch.exists() and switch.read_text().strip() == "Y"
    wanted = (*NEEDS, _APPARMOR) if apparmor else NEEDS
    lacking = [need for need in wanted if not need.met()]
    # Optional ones alone are not worth an `apt-get update` at each start: a release without them
    # would be asked for them for ever.
    return lacking if any(not need.optional for need in lacking) else []


def install() -> None:
    """Installs what an engine lacks from the distribution; BedError says why it could not."""
    if lacking := missing():
        _install(lacking)
        if still := [need.brings for need in missing() if not need.optional]:
            raise BedError(
                f"apt was to bring {', '.join(need.package for need in lacking)}, and still there "
                f"is no {', '.join(still)}.",
                mend="put the named programs on this machine by hand.",
            )


def install_tools() -> None:
    """Installs what tests use besides an engine, where that can be done; else they are left out."""
    release = Path("/etc/os-release")
    known = release.exists() and is_debian_like(os_release(release.read_text()))
    lacking = [need for need in TOOLS if not need.met()]
    if lacking and known and os.getuid() == 0:
        _install(lacking)


def _install(lacking: list[Need]) -> None:
    mend = (
        "look at the lines above: most often the package mirror or a proxy cannot be reached, or"
        " another apt runs. `apt-get update` by hand shows it."
    )
    apt = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=120"]
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    say("apt-get update")
    trouble = ""
    try:
        run([*apt, "-oAPT::Update::Error-Mode=any", "update"], env=env)
    except BedError as error:
        # Often some third party's source, which is not needed; what is missing will show.
        trouble = str(error)
    names = [
        need.package
        for need in lacking
        if not need.optional or succeeds(["apt-cache", "show", "--no-all-versions", need.package])
    ]
    say(f"apt-get install {' '.join(names)}")
    with _no_services():
        try:
            run([*apt, "install", "-y", "--no-install-recommends", *names], env=env)
        except BedError as error:
            raise BedError(
                f"{', '.join(names)} could not be installed.",
                evidence=f"{trouble}\n{error}",
                mend=mend,
            ) from error


@contextlib.contextmanager
def _no_services() -> Iterator[None]:
    # Debian starts a service when it is installed. Ours are private ones, and docker-registry's
    # own would listen on every address of the machine.
    if _POLICY.exists():
        yield
        return
    _POLICY.write_text("#!/bin/sh\nexit 101\n")
    _POLICY.chmod(0o755)
    try:
        yield
    finally:
        _POLICY.unlink()
