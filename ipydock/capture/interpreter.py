"""Which interpreter is captured, and the probe's answer from it."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import EnvironmentMissing
from ..notebook import Notebook
from ..notebook_v4 import printable
from .answerer import Answerer

MOST = 4  # interpreters that are kept up
NAMES = {"python", "python3", f"python3.{sys.version_info[1]}"}  # jupyter_client: this interpreter


_ANSWERERS: dict[tuple[str, tuple[tuple[str, str], ...]], Answerer] = {}
_LOCK = threading.Lock()


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python to ask; ``env`` is what its kernelspec adds to the environment."""

    path: str
    env: tuple[tuple[str, str], ...] = ()
    warnings: tuple[str, ...] = ()


def choose(nb: Notebook, *, python: str | Path | None, kernel: str | None) -> Interpreter:
    """The interpreter whose environment is captured.

    ``python`` if it is given (a program, or the folder of an environment), else the kernel of that
    name, else the notebook's own kernel if it exists here, else this interpreter.

    Raises:
        EnvironmentMissing: what was asked for is not there.
    """
    if python is not None:
        return Interpreter(_program(str(python)))
    if kernel is not None:
        spec = _kernelspecs().get(kernel)
        if spec is None:
            raise EnvironmentMissing(
                f"There is no kernel {printable(kernel)} here.", hint=f"{_kernels_hint()}."
            )
        if str(spec.get("language", "python")).lower() != "python":
            raise EnvironmentMissing(
                f"The kernel {printable(kernel)} is for {printable(str(spec['language']))}, "
                "not for Python."
            )
        found = _of_spec(spec)
        if found is None:
            first = printable(str((spec.get("argv") or [""])[0]))
            raise EnvironmentMissing(
                f"The kernel {printable(kernel)} starts {first}, which is not a Python here.",
                hint="Give its interpreter with --python.",
            )
        return found
    wanted = nb.node["metadata"].get("kernelspec", {})
    name = wanted.get("name") if isinstance(wanted, dict) else None
    if not isinstance(name, str) or name in ("python3", "python"):
        return Interpreter(sys.executable)
    spec = _kernelspecs().get(name)
    found = _of_spec(spec) if spec else None
    if found is not None:
        return found
    return Interpreter(
        sys.executable,
        warnings=(
            f"The notebook's kernel {printable(name[:60])} is not here; what is installed for the "
            "Python that runs ipydock was captured instead (choose with --kernel or --python).",
        ),
    )


def start(interpreter: Interpreter) -> None:
    """Start an interpreter that will be asked, so that it is up by then.

    Raises:
        EnvironmentMissing: it cannot be started.
    """
    key = _key(interpreter)
    with _LOCK:
        if key not in _ANSWERERS:
            _ANSWERERS[key] = Answerer(interpreter.path, dict(key[1]))


def _key(interpreter: Interpreter) -> tuple[str, tuple[tuple[str, str], ...]]:
    return interpreter.path, tuple(sorted({**os.environ, **dict(interpreter.env)}.items()))


def ask(interpreter: Interpreter, request: Mapping[str, Any]) -> dict[str, Any]:
    """The probe's answer from an interpreter, see `ipydock.capture.probe.answer_from`.

    The interpreter stays up for the next question, until this process ends.

    Raises:
        EnvironmentMissing: it is not a Python that can answer.
    """
    key = _key(interpreter)
    with _LOCK:
        answerer = _ANSWERERS.pop(key, None)
        answer = answerer.ask(request) if answerer is not None and answerer.usable else None
        if answerer is None or answer is None:  # none yet, gone, or something was installed
            if answerer is not None:
                answerer.close()
            answerer = Answerer(interpreter.path, dict(key[1]))
            answer = answerer.ask(request)
        if answer is None:
            raise answerer.failure()
        _ANSWERERS[key] = answerer  # the last one used is the last one of the table
        while len(_ANSWERERS) > MOST:
            _ANSWERERS.pop(next(iter(_ANSWERERS))).close()
    return answer


@atexit.register
def close() -> None:
    """End the interpreters that were kept up."""
    with _LOCK:
        while _ANSWERERS:
            _ANSWERERS.popitem()[1].close()


def _program(given: str) -> str:
    """An interpreter from what the user gave: a program, its name, or an environment's folder."""
    for inside in ("bin/python", "bin/python3", "Scripts/python.exe", "python.exe"):
        candidate = Path(given) / inside
        if candidate.is_file():
            return os.path.abspath(candidate)  # noqa: PTH100 - a venv's link must not be resolved
    if os.sep in given:
        path = Path(given).expanduser()
        if path.is_file() and os.access(path, os.X_OK):
            return os.path.abspath(path)  # noqa: PTH100 - as above
        what = "is not a program" if path.exists() else "does not exist"
        if path.is_dir():
            what = "is a folder without a Python in it"
        raise EnvironmentMissing(f"{printable(given)} {what}.", hint=_pythons_hint())
    found = shutil.which(given)
    if found is None:
        raise EnvironmentMissing(f"There is no program {printable(given)}.", hint=_pythons_hint())
    return found


def _of_spec(spec: Mapping[str, Any]) -> Interpreter | None:
    """The interpreter that a kernelspec starts, None if that is not to be had."""
    argv = [str(word) for word in spec.get("argv") or []]
    if not argv:
        return None
    env = spec.get("env") or {}
    extra = tuple(sorted((str(k), str(v)) for k, v in env.items()))
    if argv[0] in NAMES:
        return Interpreter(sys.executable, extra)
    if "nb_conda_kernels.runner" in argv[:4]:
        # runner CONDA_PREFIX ENV_PATH command ...
        at = argv.index("nb_conda_kernels.runner")
        candidate = Path(*argv[at + 2 : at + 3]) / "bin" / "python"
        return Interpreter(str(candidate), extra) if candidate.is_file() else None
    program = shutil.which(argv[0])
    is_python = program and "py" in Path(argv[0]).name.lower()
    return Interpreter(program, extra) if program and is_python else None


def _kernelspecs() -> dict[str, dict[str, Any]]:
    from jupyter_client.kernelspec import KernelSpecManager

    return {name: entry["spec"] for name, entry in KernelSpecManager().get_all_specs().items()}


def _kernels_hint() -> str:
    names = sorted(
        name
        for name, spec in _kernelspecs().items()
        if str(spec.get("language", "python")).lower() == "python"
    )
    return f"Python kernels here: {', '.join(map(printable, names))}" if names else "There is none"


def _pythons_hint() -> str:
    """The interpreters that can be named instead."""
    found = {sys.executable}
    for name in ("python3", *(f"python3.{minor}" for minor in range(8, 15))):
        path = shutil.which(name)
        if path:
            found.add(path)
    return f"Found here: {', '.join(sorted(found))}; kernels: {_kernels_hint().partition(': ')[2]}."
