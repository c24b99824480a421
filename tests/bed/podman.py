"""Podman with a store of the bed's own, whose pulls go to the bed's registry.

Nothing of the machine's Podman is changed: it is told all by files that its environment names.
"""

from __future__ import annotations

import sys
from pathlib import Path

from .newer import mirror
from .process import program, run
from .state import Bed, BedError

# Without CAP_SYS_RESOURCE, as in many containers, no process may be given higher limits than ours:
# then runc refuses what Podman asks for.
_RUNTIME = """\
#!{python} -ES
import json, os, sys

words = sys.argv[1:]
if "create" in words or "run" in words:
    places = [words[i + 1] for i, word in enumerate(words) if word in ("--bundle", "-b")]
    path = os.path.join(places[0] if places else ".", "config.json")
    with open(path) as file:
        config = json.load(file)
    if config.get("process", {{}}).pop("rlimits", None):
        with open(path, "w") as file:
            json.dump(config, file)
os.execv("{runc}", ["runc", *words])
"""
_ENGINE = """\
[containers]
# A bridge of Podman's would leave rules in the host's firewall.
netns = "host"

[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "bed"

[engine.runtimes]
bed = ["{runtime}"]
"""
_STORAGE = """\
[storage]
driver = "overlay"
graphroot = "{data}/store"
runroot = "{run}/run"
"""
_REGISTRIES = """\
[[registry]]
prefix = "docker.io"
location = "docker.io"

[[registry.mirror]]
location = "127.0.0.1:{port}"
insecure = true
"""


def up(bed: Bed) -> dict[str, str]:
    """What to set in the environment so that `podman` works in this bed; raises BedError."""
    port = mirror(bed)
    podman, runc = program("podman"), program("runc")
    if podman is None or runc is None:
        raise BedError("There is no podman here.", mend="install the packages podman and runc.")
    part = bed.part("podman")
    for folder in part.folders:
        folder.mkdir(parents=True, exist_ok=True)
    runtime = part.run / "runtime"
    runtime.write_text(_RUNTIME.format(python=Path(sys.executable).resolve(), runc=runc))
    runtime.chmod(0o755)
    texts = {
        "CONTAINERS_CONF": _ENGINE.format(runtime=runtime),
        "CONTAINERS_STORAGE_CONF": _STORAGE.format(data=part.data, run=part.run),
        "CONTAINERS_REGISTRIES_CONF": _REGISTRIES.format(port=port),
    }
    env = {}
    for name, text in texts.items():
        file = part.run / f"{name.lower()}.conf"
        file.write_text(text)
        env[name] = str(file)
    run([podman, "info"], env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", **env})
    return env
