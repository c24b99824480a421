"""What a base image holds, asked of the image itself in a container that is gone a second later.

The answer is kept under the image's digest, so that it is asked for once.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import subprocess
from pathlib import Path
from typing import Any

from ..errors import BaseImageError, EngineError, InputError
from ..files import write_atomic
from ..hosts import cache_folder
from ..models import BaseImage
from ..process import Cancellation, Completed, run
from . import labels
from .interface import Engine

_VERSION = 1  # of what is asked; answers to an older question do not count
_PATIENCE = 1800.0  # seconds, in which it may have to be pulled
_MARK = "ipydock "
# uv looks for installed packages in these two folders alone, and so does this. Any Python.
_PYTHON = r"""
import json, platform, sys, sysconfig
found = []
try:
    from importlib.metadata import distributions
    folders = sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
    found = [(d.metadata["Name"], d.version) for d in distributions(path=folders)]
except ImportError:
    pass
print("ipydock packages " + json.dumps(sorted(pair for pair in found if all(pair))))
print("ipydock python " + platform.python_version())
"""
_SCRIPT = f"""
. /etc/os-release
echo "{_MARK}system ${{ID:-}} ${{VERSION_ID:-}} ${{ID_LIKE:-}}"
echo "{_MARK}glibc $(getconf GNU_LIBC_VERSION)"
while IFS=: read -r name _ uid _; do echo "{_MARK}user $uid $name"; done < /etc/passwd
test -s /etc/ssl/certs/ca-certificates.crt && echo "{_MARK}certificates"
if command -v python3 > /dev/null; then python3 -c "$1"; fi
exit 0
"""


def examine(
    engine: Engine,
    base: str,
    *,
    platform: str | None = None,
    cancel: Cancellation | None = None,
) -> BaseImage | None:
    """What an image holds; None if it is for a processor whose programs do not run there.

    Args:
        engine: it is asked to pull the image if it does not have it.
        base: the image, best with its digest.
        platform: such as ``linux/arm64``, if not the engine's own.
        cancel: ends it when raised.

    Raises:
        BaseImageError: it cannot be pulled or started.
        InputError: it is neither Debian nor Ubuntu, nor made from one.
        Cancelled: ``cancel`` was raised.
    """
    identity = "" if "@sha256:" in base else _inspect(engine, base, "{{.Id}}", cancel)
    path = _file(f"{_VERSION} {base} {identity} {platform}")
    with contextlib.suppress(OSError, ValueError):  # not asked yet, or cut short
        return BaseImage.model_validate_json(path.read_text(encoding="utf-8"))
    words = ("--platform", platform) if platform else ()
    done = _ask(
        engine, cancel,
        "run", "--rm", "--network", "none", "--cap-drop", "ALL", "--user", "0",
        *labels.options(labels.for_probe()), *words,
        "--entrypoint", "/bin/sh", base, "-c", _SCRIPT, "sh", _PYTHON,
    )  # fmt: skip
    if "exec format error" in (done.stderr + done.stdout).lower():
        return None
    if done.returncode in (126, 127):
        raise InputError(
            f"{base.partition('@')[0]} has no shell, so nothing can be installed in it.",
            hint="Choose a --base that is Debian or Ubuntu, or made from one.",
        )
    if done.returncode:
        raise BaseImageError(
            f"{base.partition('@')[0]} cannot be looked at: {_last(done.stderr)}",
            hint="`docker run --rm IMAGE` shows whether it starts at all.",
            evidence=done.stderr,
        )
    config = json.loads(_inspect(engine, base, "{{json .Config}}", cancel))
    found = _read(base, done.stdout, config).model_copy(update={"id": identity})
    with contextlib.suppress(OSError):  # then it is asked again the next time
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, found.model_dump_json(indent=1) + "\n")
    return found


def _ask(engine: Engine, cancel: Cancellation | None, *words: str) -> Completed:
    try:
        return run(engine.objects.command(*words), timeout=_PATIENCE, cancel=cancel)
    except subprocess.TimeoutExpired as error:
        raise EngineError(f"`{words[0]}` of the base image did not end.") from error


def _inspect(engine: Engine, base: str, form: str, cancel: Cancellation | None) -> str:
    done = _ask(engine, cancel, "image", "inspect", "--format", form, base)
    if done.returncode:
        raise BaseImageError(
            f"{base.partition('@')[0]} cannot be looked at: {_last(done.stderr)}",
            hint="Check its name (--base).",
            evidence=done.stderr,
        )
    return done.stdout.strip()


def _read(base: str, text: str, config: dict[str, Any]) -> BaseImage:
    told: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith(_MARK):
            key, _, value = line.removeprefix(_MARK).partition(" ")
            told.setdefault(key, []).append(value)
    system, version, like = [*told.get("system", [""])[0].split(" ", 2), "", ""][:3]
    if "debian" not in f"{system} {like}".split():
        raise InputError(
            f"{base.partition('@')[0]} is {system or 'an unknown system'}, not Debian or Ubuntu.",
            hint="Choose a --base that is Debian or Ubuntu, or made from one.",
        )
    users = {
        name: int(uid)
        for uid, _, name in (line.partition(" ") for line in told.get("user", ()))
        if uid.isdecimal()
    }
    user = str(config.get("User") or "").partition(":")[0]
    glibc = re.search(r"\d+\.\d+", told.get("glibc", [""])[0])
    return BaseImage(
        system=f"{system}-{version}",
        glibc=glibc[0] if glibc else "",
        python=told.get("python", [None])[0],
        packages=tuple((n, v) for n, v in json.loads(told.get("packages", ["[]"])[0])),
        uid=int(user) if user.isdecimal() else users.get(user, 0),
        uids=tuple(sorted(set(users.values()))),
        names=tuple(sorted(users)),
        certificates="certificates" in told,
        healthcheck=bool(config.get("Healthcheck")),
    )


def _file(key: str) -> Path:
    return cache_folder() / "bases" / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"


def _last(stderr: str) -> str:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "no message"
