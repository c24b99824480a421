"""What Podman has of ours: listed, ended and removed through its command line."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from ..errors import EngineError, InputError
from ..managed import ManagedContainer, ManagedImage
from ..process import Completed, ProcessPlan
from . import labels
from .docker_objects import LISTS, STOP_SECONDS, parse_time
from .layers import chains, derived, in_order, layers_of

_GONE = (
    "no such container",
    "no such image",
    "image not known",
    "locating image",
    "no container with",
)


class PodmanObjects:
    """The images and containers of Podman that carry our labels.

    Args:
        program: the podman program.
        run: runs it with some words to its end.
    """

    def __init__(self, program: str, run: Callable[..., Completed]) -> None:
        self._program = program
        self._run = run

    def images(self) -> list[ManagedImage]:
        """The images with our labels."""
        everything = self._inspect(list(dict.fromkeys(self._ids())))
        ours = [item for item in everything if labels.MANAGED in (item.get("Labels") or {})]
        foreign = {
            chain for item in everything if item not in ours for chain in chains(_diff_ids(item))
        }
        users: dict[str, list[str]] = {}
        for item in self._list("ps", "--all"):
            users.setdefault(str(item["ImageID"]), []).append(str(item["Names"][0]))
        by_hand = derived({i["Id"]: (i.get("Labels") or {}, _diff_ids(i)) for i in ours})
        return [self._managed(item, foreign, users, item["Id"] in by_hand) for item in ours]

    def _ids(self) -> list[str]:
        """Those of all images; one that goes meanwhile makes the list fail."""
        for _ in range(LISTS):
            done = self._run("images", "--quiet", "--no-trunc")
            if not _is_gone(done):
                break
            time.sleep(0.1)
        if done.returncode:
            raise _failed("images", done)
        return done.stdout.split()

    def _managed(
        self,
        item: Mapping[str, Any],
        foreign: set[str],
        users: Mapping[str, Sequence[str]],
        by_hand: bool,
    ) -> ManagedImage:
        said = item.get("Labels") or {}
        made = parse_time(str(item.get("Created") or ""))
        return ManagedImage(
            id=item["Id"],
            engine="podman",
            tags=in_order(item.get("RepoTags") or ()),
            notebook=str(said.get(labels.NOTEBOOK, "")),
            recipe=str(said.get(labels.RECIPE, "")),
            created=made,
            size_bytes=int(item.get("Size", 0)),
            used_by=tuple(sorted(users.get(item["Id"], ()))),
            by_hand=by_hand,
            platform=f"{item.get('Os', '')}/{item.get('Architecture', '')}",
            layers=layers_of(_diff_ids(item), self._sizes(item), foreign),
        )

    def _sizes(self, item: Mapping[str, Any]) -> list[int]:
        """The sizes of the layers, lowest first."""
        done = self._run("history", item["Id"], "--format", "json")
        if _is_gone(done):  # removed since it was listed
            return []
        if done.returncode:
            raise _failed("history", done)
        history = json.loads(done.stdout) or []  # newest first, as long as the image's own
        empty = [bool(entry.get("empty_layer")) for entry in item.get("History") or ()]
        if len(history) != len(empty):
            return []
        pairs = zip(reversed(history), empty, strict=True)
        return [int(entry.get("size", 0)) for entry, nothing in pairs if not nothing]

    def containers(self) -> list[ManagedContainer]:
        """The containers with our labels, running or not."""
        found = self._list("ps", "--all", "--filter", f"label={labels.MANAGED}")
        return [_container(item) for item in found]

    def other(self, name: str) -> str:
        """What else of the engine is called so."""
        for kind in ("container", "image"):
            if self._run(kind, "exists", name).returncode == 0:
                return kind
        return ""

    def log(self, container: str, tail: int | None) -> str:
        """The engine's own log of a container."""
        last = () if tail is None else ("--tail", str(tail))
        done = self._run("logs", *last, container)
        if done.returncode and "does not support" not in done.stderr:
            raise _failed("logs", done)
        return done.stdout + (done.stderr if done.returncode == 0 else "")

    def stop(self, container: str) -> None:
        """End a container."""
        self._change("stop", "--time", str(STOP_SECONDS), container)

    def remove_container(self, container: str) -> None:
        """Remove a container, running or not, with its anonymous volumes."""
        self._change("rm", "--force", "--ignore", "--volumes", "--time", "0", container)

    def remove_image(self, image: str) -> None:
        """Remove an image by its id with all its names, or one of its names."""
        found = self._run("image", "inspect", image)
        if found.returncode:
            return
        item = json.loads(found.stdout)[0]
        names = item.get("RepoTags") or [] if image == item["Id"] else [image]
        for name in names:
            self._change("untag", item["Id"], name)
        left = json.loads(self._run("image", "inspect", item["Id"]).stdout or "[{}]")[0]
        if image == item["Id"] or not left.get("RepoTags"):
            self._change("rmi", item["Id"])

    def command(self, *words: str) -> ProcessPlan:
        """Podman with these words."""
        return ProcessPlan((self._program, *words))

    def _change(self, *words: str) -> None:
        done = self._run(*words)
        if done.returncode and not _is_gone(done):
            if "in use" in done.stderr:
                raise InputError(
                    f"{words[-1]} is in use: {done.stderr.strip()[:300]}",
                    hint="Remove what uses it first.",
                )
            raise _failed(words[0], done)

    def _ask(self, *words: str) -> str:
        done = self._run(*words)
        if done.returncode:
            raise _failed(words[0], done)
        return done.stdout

    def _list(self, *words: str) -> list[dict[str, Any]]:
        return json.loads(self._ask(*words, "--format", "json")) or []

    def _inspect(self, ids: Sequence[str]) -> list[dict[str, Any]]:
        if not ids:
            return []
        # One that was removed since it was listed fails the command; the others are told all the
        # same.
        done = self._run("image", "inspect", *ids)
        found: list[dict[str, Any]] = json.loads(done.stdout or "[]")
        return found


def _is_gone(done: Completed) -> bool:
    """Whether what was asked for is not there any more."""
    return bool(done.returncode) and any(gone in done.stderr.lower() for gone in _GONE)


def _failed(word: str, done: Completed) -> EngineError:
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    return EngineError(
        f"`podman {word}` failed: {lines[-1][:300] if lines else 'no message'}",
        hint="`podman info` may tell why.",
        evidence=done.stderr,
    )


def _diff_ids(item: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple((item.get("RootFS") or {}).get("Layers") or ())


def _container(item: Mapping[str, Any]) -> ManagedContainer:
    said = dict(item.get("Labels") or {})
    return ManagedContainer(
        id=item["Id"],
        name=str(item["Names"][0]),
        engine="podman",
        kind="rerun" if said.get(labels.MANAGED) == "kernel" else "by-hand",
        state=str(item.get("State", "")),
        notebook=str(said.get(labels.NOTEBOOK, "")),
        image=str(item.get("Image", "")),
        recipe=str(said.get(labels.RECIPE, "")),
        session=str(said.get(labels.SESSION, "")),
        created=datetime.fromtimestamp(int(item.get("Created", 0)), timezone.utc),
    )
