"""Which base images the bed's registry holds, and making them."""

from __future__ import annotations

import json
import os
import platform
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from . import debian, interpreters, layers, registry
from .interpreters import Interpreter
from .layers import Layer
from .process import MAKERS, run, stop
from .registry import Registry
from .state import Bed, BedError, say, write_json

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "ppc64le": "ppc64le", "s390x": "s390x"}
SMALLEST = f"debian:{debian.SUITE}-slim"

_RECORD = "images.json"
_DISTRIBUTION_PYTHON = "3.11"  # the one that bookworm has
_DEBIAN_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PYTHON_PATH = "/usr/local/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def provide(bed: Bed, port: int, environ: Mapping[str, str]) -> dict[str, str]:
    """Sees to it that the registry holds all base images; returns the digest of each.

    Made anew, all together, when one is missing, when the interpreters of this machine are others,
    or when the code that makes them is.
    """
    found = interpreters.find(environ, Path.home())
    made_from = _made_from(found)
    known = recorded(bed, made_from)
    store = Registry(port)
    if known and all(
        store.digest(f"library/{name}", tag) == digest
        for name, tag, digest in ((*image.split(":"), digest) for image, digest in known.items())
    ):
        return known
    work = bed.data / "make"
    stop(bed, grace=10, names=MAKERS)
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    try:
        made = _make(work, store, found)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    write_json(bed.data / _RECORD, {"made_from": made_from, "images": made})
    return made


def recorded(bed: Bed, made_from: str = "") -> dict[str, str]:
    """The digest of each image that was made; with `made_from`, only if made from just that."""
    try:
        known = json.loads((bed.data / _RECORD).read_text())
        return dict(known["images"]) if made_from in ("", known["made_from"]) else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _made_from(found: list[Interpreter]) -> str:
    sources = [Path(module.__file__ or "") for module in (debian, interpreters, layers, registry)]
    words = [f"{one.version} {one.prefix} {one.prefix.stat().st_mtime_ns}" for one in found]
    return registry.file_digest([*sources, Path(__file__)], *words)


def _make(work: Path, store: Registry, found: list[Interpreter]) -> dict[str, str]:
    root = work / "root"
    say(f"making {SMALLEST}")
    debian.make_root(root)
    base = _debian_layer(root, work)
    made = {
        SMALLEST: store.push(
            "library/debian",
            f"{debian.SUITE}-slim",
            [base],
            {"Env": [f"PATH={_DEBIAN_PATH}"], "Cmd": ["bash"]},
            _architecture(),
        )
    }
    say(f"made {SMALLEST}")
    with_needs = _added_layer(root, work / "needs.tar.gz", debian.PYTHON_NEEDS)
    under = [base, with_needs]

    def python(interpreter: Interpreter | None) -> dict[str, str]:
        minor = interpreter.minor if interpreter else _DISTRIBUTION_PYTHON
        copy = work / f"root-{minor}"
        # Hard links: nothing in the copy is written in place but what belongs to one version.
        # dpkg is not that careful, so its copy is a real one.
        run(["cp", "--archive", *(["--link"] if interpreter else []), root, copy])
        target = work / f"python-{minor}.tar.gz"
        try:
            if interpreter:
                interpreters.stage(interpreter, copy)
                layer = _python_layer(copy, target, interpreter)
            else:
                layer = _distribution_python_layer(copy, target)
        except BedError as error:
            say(f"leaving out python:{minor}: it does not run on {debian.SUITE}: {error}")
            return {}
        version = interpreter.version if interpreter else _DISTRIBUTION_PYTHON
        env = [f"PATH={_PYTHON_PATH}", "LANG=C.UTF-8", f"PYTHON_VERSION={version}"]
        tag = f"{minor}-slim-{debian.SUITE}"
        digest = store.push(
            "library/python",
            tag,
            [*under, layer],
            {"Env": env, "Cmd": ["python3"]},
            _architecture(),
        )
        say(f"made python:{tag}")
        shutil.rmtree(copy)
        return {f"python:{tag}": digest}

    wanted: list[Interpreter | None] = [*found]
    with ThreadPoolExecutor(max(2, os.cpu_count() or 2)) as pool:
        for result in pool.map(python, wanted):
            made.update(result)
    if f"python:{_DISTRIBUTION_PYTHON}-slim-{debian.SUITE}" not in made:
        made.update(python(None))
    return made


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


def _architecture() -> str:
    return _ARCHITECTURES.get(platform.machine(), platform.machine())
