"""What the builds of Docker and Podman have in common: their options, the log and its file."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

from ..events import OnEvent
from ..hosts import ca_bundle, cache_folder
from ..models import Recipe
from ..network.indexes import uses_loopback
from ..network.proxies import proxies
from ..process import Cancellation, Completed, ProcessPlan, end, run
from . import labels
from .buildlog import BuildLog


def options(
    recipe: Recipe,
    *,
    tag: str,
    no_cache: bool,
    pull: bool,
    secrets: Mapping[str, Path],
    here: bool = True,
) -> tuple[str, ...]:
    """The options of ``docker build`` and ``podman build`` for a recipe.

    ``secrets`` are files of this machine by the id under which a step may mount them; the host's CA
    bundle is the one called ``ca``. ``here``: the engine runs on this machine.
    """
    bundle = ca_bundle()
    files = {**({"ca": bundle} if bundle else {}), **secrets}
    return (
        "--tag", tag,
        *labels.options(labels.for_image(recipe)),
        *(w for name, file in files.items() for w in ("--secret", f"id={name},src={file}")),
        # By their names: the client takes the values from its environment, see `proxies`.
        *(w for name in proxies() for w in ("--build-arg", name)),
        # What this machine has on its loopback address, a build reaches on no other network.
        *(("--network", "host") if here and uses_loopback() else ()),
        *(("--platform", recipe.platform) if recipe.platform else ()),
        *(("--no-cache",) if no_cache else ()),
        *(("--pull",) if pull else ()),
    )  # fmt: skip


def run_build(
    plan: ProcessPlan,
    recipe: Recipe,
    on_event: OnEvent,
    cancel: Cancellation | None,
    ending: Callable[[subprocess.Popen[bytes]], None] = end,
    *,
    context: Path | None = None,
) -> tuple[Completed, BuildLog]:
    """Run a build's process to its end, with its lines as events and in a file that is kept.

    ``ending`` is how it is ended when ``cancel`` is raised; ``context`` is the folder that is sent.

    Raises:
        Cancelled: ``cancel`` was raised; the process and all that it started are gone.
    """
    with new_log(recipe, on_event, _size(context) if context else None) as log:
        return run(plan, on_line=log.line, cancel=cancel, ending=ending), log


def new_log(recipe: Recipe, on_event: OnEvent, sent: int | None = None) -> BuildLog:
    """The log of a build, in a file of its own; ``sent`` is how many bytes the engine is sent."""
    path = cache_folder() / "logs" / f"{recipe.digest[:12]}-{uuid.uuid4().hex[:6]}.log"
    return BuildLog(path, on_event, sent)


def _size(folder: Path) -> int:
    return sum(entry.lstat().st_size for entry in folder.rglob("*"))
