"""Which engine to use, and why."""

from __future__ import annotations

from collections.abc import Callable

from ..errors import EngineError, InputError
from .interface import Engine

NAMES = ("docker", "podman", "venv")


def _docker() -> Engine:
    from .docker import DockerEngine

    return DockerEngine()


def _podman() -> Engine:
    from .podman import PodmanEngine

    return PodmanEngine()


def _venv() -> Engine:
    from .venv import VenvEngine

    return VenvEngine()


_MAKERS: dict[str, Callable[[], Engine]] = {"docker": _docker, "podman": _podman, "venv": _venv}


def connect(name: str) -> Engine:
    """The engine of that name.

    Raises:
        InputError: there is no such kind of engine.
        EngineError: it does not answer.
    """
    if name not in _MAKERS:
        raise InputError(
            f"There is no engine called {name!r}.", hint=f"Choose auto, {', '.join(NAMES)}."
        )
    return _MAKERS[name]()


def select(name: str = "auto") -> tuple[Engine, str]:
    """The engine to use and one sentence on why.

    ``auto`` takes the first that works of docker, podman and venv.

    Raises:
        InputError: there is no such kind of engine.
        EngineError: the engine that was named does not answer.
    """
    if name != "auto":
        return connect(name), f"Using {name}, as asked."
    found: list[str] = []
    for candidate in NAMES:
        try:
            engine = connect(candidate)
            engine.can_build()
        except EngineError as error:
            found.append(error.message)
            continue
        why = f"Using {candidate}: {' '.join(found)}" if found else f"Using {candidate}."
        return engine, why
    raise EngineError("No engine works: " + " ".join(found), hint="`ipydock doctor` tells more.")
