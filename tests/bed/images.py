"""Which base images the bed's registry holds, and making them."""

from __future__ import annotations

import json
import os
import platform
import pwd
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from . import debian, interpreters, layers, registry
from .interpreters import Interpreter
from .layers import Layer
from .process import MAKERS, run, stop
from .registry import Registry
from .state import Bed, BedError, say, write_json

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}  # where Docker has other names
SMALLEST = f"debian:{debian.SUITE}-slim"

_DISTRIBUTION_PYTHON = "3.11"  # the one that bookworm has
_DEBIAN_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_DEBIAN_CONFIG = {"Env": [f"PATH={_DEBIAN_PATH}"], "Cmd": ["bash"]}
_PYTHON_PATH = "/usr/local/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def provide(bed: Bed, port: int, environ: Mapping[str, str]) -> dict[str, str]:
    """Sees to it that the registry holds all base images; returns the digest of each.

    Made anew, all together, when one is missing, when this machine has an interpreter that none was
    made from, or when the code that makes them has changed.
    """
    found = interpreters.find(environ, Path(pwd.getpwuid(os.getuid()).pw_dir))
    store = Registry(port)
    known = recorded(bed)
    if known and is_fresh(known, found) and _are_there(store, known["images"]):
        return dict(known["images"])
    work = bed.data / "make"
    stop(bed, grace=10, names=MAKERS)
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    try:
        made = _make(work, store, found)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    write_json(bed.data / "images.json", record(found, made))
    return made


def record(found: list[Interpreter], made: Mapping[str, str]) -> dict[str, Any]:
    """What is remembered of images: how and of what they were made, and the digest of each."""
    sources = [Path(module.__file__ or "") for module in (debian, interpreters, layers, registry)]
    return {
        "made_by": registry.file_digest([*sources, Path(__file__)]),
        "made_of": [_identity(one) for one in found],
        "images": dict(made),
    }


def recorded(bed: Bed) -> dict[str, Any]:
    """The record of the images that were made; empty where there is none or it is damaged."""
    try:
        known = json.loads((bed.data / "images.json").read_text())
        return known if record([], {}).keys() <= known.keys() else {}
    except (OSError, ValueError, AttributeError):
        return {}


def is_fresh(known: Mapping[str, Any], found: list[Interpreter]) -> bool:
    """Whether images were made by this code, and of all these interpreters or more."""
    wanted = record(found, {})
    return known["made_by"] == wanted["made_by"] and set(wanted["made_of"]) <= set(known["made_of"])


def _identity(interpreter: Interpreter) -> str:
    return f"{interpreter.version} {interpreter.prefix} {interpreter.prefix.stat().st_mtime_ns}"


def _are_there(store: Registry, known: Mapping[str, str]) -> bool:
    parts = [(*image.split(":"), digest) for image, digest in known.items()]
    return all(store.digest(f"library/{name}", tag) == digest for name, tag, digest in parts)


def _make(work: Path, store: Registry, found: list[Interpreter]) -> dict[str, str]:
    root = work / "root"
    say(f"making {SMALLEST}")
    debian.make_root(root)
    base = _debian_layer(root, work)
    made = {SMALLEST: _push(store, SMALLEST, [base], _DEBIAN_CONFIG)}
    say(f"made {SMALLEST}")
    under = [base, _added_layer(root, work / "needs.tar.gz", debian.PYTHON_NEEDS)]
    with ThreadPoolExecutor(min(8, os.cpu_count() or 2)) as pool:
        for result in pool.map(partial(_pyenv_image, root, store, under), found):
            made.update(result)
    if (image := _python_image(_DISTRIBUTION_PYTHON)) not in made:
        target = work / "python.tar.gz"
        parts = [*under, _distribution_python_layer(root, target)]
        made[image] = _push(store, image, parts, _python_config(_DISTRIBUTION_PYTHON))
        say(f"made {image} with Debian's own Python")
    return made


def _pyenv_image(
    root: Path, store: Registry, under: list[Layer], interpreter: Interpreter
) -> dict[str, str]:
    image = _python_image(interpreter.minor)
    copy = root.with_name(f"root-{interpreter.minor}")
    # Hard links: what is done to the copy replaces files and never writes into them.
    run(["cp", "--archive", "--link", root, copy])
    try:
        interpreters.stage(interpreter, copy)
    except BedError as error:
        say(f"leaving out {image}, its interpreter does not run on {debian.SUITE}: {error}")
        return {}
    target = root.with_name(f"python-{interpreter.minor}.tar.gz")
    layer = _python_layer(copy, target, interpreter)
    digest = _push(store, image, [*under, layer], _python_config(interpreter.version))
    say(f"made {image} with {interpreter.version}")
    shutil.rmtree(copy)
    return {image: digest}


def _push(store: Registry, image: str, parts: list[Layer], config: Mapping[str, object]) -> str:
    name, tag = image.split(":")
    machine = platform.machine()
    return store.push(f"library/{name}", tag, parts, config, _ARCHITECTURES.get(machine, machine))


def _python_image(minor: str) -> str:
    return f"python:{minor}-slim-{debian.SUITE}"


def _python_config(version: str) -> dict[str, object]:
    env = [f"PATH={_PYTHON_PATH}", "LANG=C.UTF-8", f"PYTHON_VERSION={version}"]
    return {"Env": env, "Cmd": ["python3"]}


def _debian_layer(root: Path, work: Path) -> Layer:
    for name, text in debian.OFFICIAL_FILES.items():
        # Where apt looks is the machine's affair while packages are added.
        if not name.startswith("etc/apt/sources"):
            (root / name).write_text(text)
    names = layers.fingerprints(root)
    history = f"mmdebstrap --variant=minbase {debian.SUITE}"
    return layers.write_layer(
        root, names, work / "debian.tar.gz", extra=debian.OFFICIAL_FILES, history=history
    )


def _added_layer(root: Path, target: Path, packages: tuple[str, ...]) -> Layer:
    earlier = layers.fingerprints(root)
    debian.add(root, packages)
    new, gone = layers.changed(root, earlier)
    history = f"apt-get install --no-install-recommends {' '.join(packages)}"
    return layers.write_layer(root, new, target, gone=gone, history=history)


def _python_layer(root: Path, target: Path, interpreter: Interpreter) -> Layer:
    names = [name for name in layers.fingerprints(root) if name.startswith("usr/local/")]
    history = f"COPY Python {interpreter.version} /usr/local"
    return layers.write_layer(root, [*names, "etc/ld.so.cache"], target, history=history)


def _distribution_python_layer(root: Path, target: Path) -> Layer:
    earlier = layers.fingerprints(root)
    debian.add(root, ("python3", "python3-pip", "python3-venv"))
    local = root / "usr/local/bin"
    for name in ("python3", f"python{_DISTRIBUTION_PYTHON}", "pip", "pip3"):
        (local / name).symlink_to(f"/usr/bin/{name}")
    (local / "python").symlink_to("python3")
    # The official images have no such mark: pip may install there.
    for mark in root.glob("usr/lib/python3*/EXTERNALLY-MANAGED"):
        mark.unlink()
    new, gone = layers.changed(root, earlier)
    history = "apt-get install --no-install-recommends python3 python3-pip python3-venv"
    return layers.write_layer(root, new, target, gone=gone, history=history)
