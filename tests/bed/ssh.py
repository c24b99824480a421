"""An SSH server on loopback, with keys made for it alone, behind which the newer Docker is.

No file of the user's SSH is read or written: a program called `ssh` stands before the real one and
names the bed's settings.
"""

from __future__ import annotations

import getpass
import json
from functools import partial
from pathlib import Path

from . import daemon, newer
from .process import SYSTEM_PATH, detach, is_alive, program, run, succeeds, wait_until
from .state import Bed, BedError, write_json

_SERVER = """\
ListenAddress 127.0.0.1:{port}
HostKey {folder}/host
PidFile none
AuthorizedKeysFile {folder}/user.pub
StrictModes no
UsePAM no
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
SetEnv DOCKER_HOST={socket} PATH={path}
"""
_CLIENT = """\
Host 127.0.0.1
    IdentityFile {folder}/user
    IdentitiesOnly yes
    UserKnownHostsFile {folder}/known_hosts
    StrictHostKeyChecking yes
"""


def up(bed: Bed) -> dict[str, str]:
    """What to set in the environment to reach the newer Docker by ssh://; raises BedError."""
    env = newer.up(bed, "newer")
    ssh = program("ssh")
    if program("sshd") is None or ssh is None:
        raise BedError("There is no SSH server here.", mend="install the package openssh-server.")
    folder = bed.run / "ssh"
    known = folder / "address.json"
    if not known.exists() or not _answers(folder, env):
        _start(bed, folder, env, ssh)
    path = f"{folder / 'bin'}:{env['PATH']}"
    return {**env, **json.loads(known.read_text()), "PATH": path}


def _start(bed: Bed, folder: Path, env: dict[str, str], ssh: str) -> None:
    (folder / "bin").mkdir(parents=True, exist_ok=True)
    for name in ("host", "user"):
        (folder / name).unlink(missing_ok=True)
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name])
    port = daemon.free_port()
    path = f"{env['PATH']}:{SYSTEM_PATH}"
    config = folder / "sshd_config"
    config.write_text(_SERVER.format(port=port, folder=folder, socket=env["BED_SOCKET"], path=path))
    (folder / "ssh_config").write_text(_CLIENT.format(folder=folder))
    key = (folder / "host.pub").read_text()
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {key}")
    wrapper = folder / "bin" / "ssh"
    wrapper.write_text(f'#!/bin/sh\nexec {ssh} -F {folder}/ssh_config "$@"\n')
    wrapper.chmod(0o755)
    # Where the server's own service was never started, the folder it insists on is not there.
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    log = bed.logs / "sshd.log"
    sshd = program("sshd")
    server = detach([sshd or "sshd", "-D", "-e", "-f", config], log, {"PATH": SYSTEM_PATH})
    write_json(
        folder / "address.json",
        {"DOCKER_HOST": f"ssh://{getpass.getuser()}@127.0.0.1:{port}"},
    )
    if not wait_until(partial(_answers, folder, env), seconds=15, alive=partial(is_alive, server)):
        raise BedError(
            "The SSH server does not let us in.",
            evidence=log.read_text(errors="replace")[-2000:],
            mend="read its log above.",
        )


def _answers(folder: Path, env: dict[str, str]) -> bool:
    address = json.loads((folder / "address.json").read_text())["DOCKER_HOST"]
    host, _, port = address.removeprefix("ssh://").rpartition(":")
    return succeeds([folder / "bin" / "ssh", "-p", port, host, "docker", "version"])
