"""The environments of the venv engine, told of and removed as images are."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ..errors import EngineError, InputError
from ..managed import ManagedContainer, ManagedImage
from ..models import Recipe
from ..process import ProcessPlan


class VenvObjects:
    """The environments below a folder, one for each recipe.

    Args:
        folder: what holds them.
        complete: the file that an environment has once it is complete.
    """

    def __init__(self, folder: Path, complete: str) -> None:
        self._folder = folder
        self._complete = complete

    def images(self) -> list[ManagedImage]:
        """The environments; one without a name was cut short, or made by another version."""
        running = _in_use(self._folder)
        return [
            self._image(home, running.get(home.name, ()))
            for home in sorted(self._folder.glob("*"))
            if home.is_dir() and not home.is_symlink()
        ]

    def _image(self, home: Path, users: tuple[str, ...]) -> ManagedImage:
        notebook, recipe = "", home.name
        tags: tuple[str, ...] = ()
        try:
            said = json.loads((home / self._complete).read_text(encoding="utf-8"))
            notebook, recipe = str(said["notebook"]), str(said["digest"])
            named: dict[str, Any] = {"notebook": notebook, "digest": recipe}
            tags = (Recipe.model_construct(**named).tag,)
        except (OSError, ValueError, KeyError, TypeError):
            pass  # cut short: it has no name, and `prune` removes it
        sizes = [entry.lstat() for entry in home.rglob("*")]
        return ManagedImage(
            id=str(home),
            engine="venv",
            tags=tags,
            notebook=notebook,
            recipe=recipe,
            created=datetime.fromtimestamp(home.stat().st_mtime, timezone.utc),
            size_bytes=sum(s.st_size for s in sizes),
            # uv links files from its cache; those stay there.
            unique_bytes=sum(s.st_size for s in sizes if s.st_nlink == 1),
            used_by=users,
        )

    def containers(self) -> list[ManagedContainer]:
        """None: what runs in an environment is a process of the command that started it."""
        return []

    def other(self, name: str) -> str:
        """Nothing else is kept there."""
        del name
        return ""

    def log(self, container: str, tail: int | None) -> str:
        """There are no containers."""
        del tail
        raise InputError(f"The venv engine has no container {container}.")

    def stop(self, container: str) -> None:
        """There are no containers."""
        self.log(container, None)

    def remove_container(self, container: str) -> None:
        """There are no containers."""
        self.log(container, None)

    def remove_image(self, image: str) -> None:
        """Remove an environment, by its folder or name."""
        for home in [i.id for i in self.images() if image in (i.id, *i.tags)]:
            with self._unlocked(Path(home)):
                shutil.rmtree(home, ignore_errors=True)
                if Path(home).exists():
                    raise EngineError(f"{home} cannot be removed.", hint="Remove it by hand.")

    @contextmanager
    def _unlocked(self, home: Path) -> Iterator[None]:
        """Hold the lock of an environment, which whoever makes it holds too."""
        with home.with_name(f"{home.name}.lock").open("w") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise InputError(
                    f"{home.name} is being made at this moment.", hint="Try again afterwards."
                ) from error
            yield

    def command(self, *words: str) -> ProcessPlan:
        """An environment belongs to this machine: its paths are in it."""
        raise InputError(
            f"`{words[0]}` is for images; an environment of the venv engine cannot leave this "
            "machine.",
            hint="Build an image with --engine docker or --engine podman.",
        )


def _in_use(folder: Path) -> dict[str, tuple[str, ...]]:
    """The processes that run in each environment, by the name of its folder (Linux only)."""
    found: dict[str, tuple[str, ...]] = {}
    prefix = f"{folder}{os.sep}".encode()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            program = (process / "cmdline").read_bytes().partition(b"\0")[0]
        except OSError:  # it has ended, or it is somebody else's
            continue
        if program.startswith(prefix):
            name = os.fsdecode(program[len(prefix) :]).partition(os.sep)[0]
            found[name] = (*found.get(name, ()), f"process {process.name}")
    return found
