"""What Docker and Podman have in common: the options of a run, and why a container ended."""

from __future__ import annotations

import signal
import uuid

from ..errors import InputError
from ..models import Limits


def new_name() -> str:
    """A name for a container that no other has."""
    return f"ipydock-{uuid.uuid4().hex[:12]}"


def run_options(limits: Limits, memory: str) -> tuple[str, ...]:
    """What a rerun may use, as options of ``docker run`` and ``podman run``.

    Raises:
        InputError: a mount is not written as ``SOURCE:TARGET`` or ``SOURCE:TARGET:rw``.
    """
    for mount in limits.mounts:
        parts = mount.split(":")
        if len(parts) not in (2, 3) or not all(parts) or parts[2:] not in ([], ["rw"], ["ro"]):
            raise InputError(
                f"{mount!r} is not a mount.",
                hint="Write --mount SOURCE:TARGET or SOURCE:TARGET:rw.",
            )
    return (
        # Standard output carries the wire; the engine would write all of it to its log as well.
        "--log-driver", "none",
        "--network", "bridge" if limits.network else "none",
        "--cap-drop", "ALL",
        "--security-opt", "no-new-privileges",
        "--pids-limit", str(limits.pids),
        *(("--memory", memory, "--memory-swap", memory) if memory not in ("", "0") else ()),
        *(("--cpus", str(limits.cpus)) if limits.cpus else ()),
        *(
            word
            for mount in limits.mounts
            for word in ("--volume", mount if mount.count(":") == 2 else f"{mount}:ro")
        ),
    )  # fmt: skip


def killed_for_memory(memory: str) -> str:
    """The sentence for a kernel that was killed at its memory limit."""
    limit = f"{int(memory) / 1e9:.1f} GB" if memory.isdigit() else memory
    return (
        f"The kernel was killed because it used more memory than its limit of {limit}; allow it "
        "more with --memory."
    )


def ended(returncode: int | None) -> str:
    """The sentence for a kernel that ended with an exit code, negative or over 128 for a signal."""
    if returncode is None:
        return "The kernel ended without saying why."
    number = -returncode if returncode < 0 else returncode - 128
    if number > 0:
        names = {sig.value: sig.name for sig in signal.Signals}
        return f"The kernel was ended by signal {names.get(number, number)}."
    return f"The kernel ended by itself with exit code {returncode}."
