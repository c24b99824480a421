"""What a Docker engine has of ours: listed, ended and removed through the Docker SDK."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from datetime import datetime, timezone
from typing import Any

from ..errors import EngineError, InputError
from ..managed import ManagedContainer, ManagedImage
from ..process import ProcessPlan
from . import labels
from .client import executables
from .layers import chains, derived, in_order, layers_of

STOP_SECONDS = 3  # between asking a container to end and killing it
LISTS = 10  # tries; each is disturbed only by an image that goes in that moment
_LISTED_SECONDS = 2.0  # that a list may be behind
# A layer is what these made; all other instructions only change the configuration.
_MAKE_LAYERS = ("RUN ", "COPY ", "ADD ", "WORKDIR ")


class DockerObjects:
    """The images and containers of a Docker engine that carry our labels.

    Args:
        sdk: the client of the engine.
        environment: makes that of a command-line client which is to talk to the same engine.
        faults: turns the SDK's failures into ours.
    """

    def __init__(
        self,
        sdk: Any,
        environment: Callable[[], Mapping[str, str]],
        faults: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._sdk = sdk
        self._environment = environment
        self._faults = faults

    def images(self) -> list[ManagedImage]:
        """The images with our labels."""
        with self._faults():
            users = self._users()
            ours: list[dict[str, Any]] = []
            foreign: set[str] = set()
            for summary in self._listed():
                found = self._inspect_image(summary["Id"])
                if found is None:
                    continue
                if labels.MANAGED in (summary.get("Labels") or {}):
                    ours.append(found)
                else:
                    foreign |= set(chains(_diff_ids(found)))
            by_hand = derived({i["Id"]: (_labels(i), _diff_ids(i)) for i in ours})
            return [
                self._managed(item, foreign, users, by_hand=item["Id"] in by_hand) for item in ours
            ]

    def _listed(self) -> Any:
        """All images; with the containerd store one that goes meanwhile makes the list fail."""
        import docker.errors

        for _ in range(LISTS - 1):
            with suppress(docker.errors.NotFound):
                return self._sdk.api.images()
            time.sleep(0.1)
        return self._sdk.api.images()

    def _users(self) -> dict[str, list[str]]:
        """The names of the containers of each image."""
        found: dict[str, list[str]] = {}
        for item in self._sdk.api.containers(all=True):
            found.setdefault(str(item["ImageID"]), []).append(_name(item))
        return found

    def _inspect_image(self, reference: str) -> dict[str, Any] | None:
        import docker.errors

        with suppress(docker.errors.NotFound):  # removed since it was listed
            found: dict[str, Any] = self._sdk.api.inspect_image(reference)
            return found
        return None

    def _managed(
        self,
        item: Mapping[str, Any],
        foreign: set[str],
        users: Mapping[str, Sequence[str]],
        *,
        by_hand: bool,
    ) -> ManagedImage:
        said = _labels(item)
        sizes = self._sizes(item["Id"])
        return ManagedImage(
            id=item["Id"],
            engine="docker",
            tags=in_order(item.get("RepoTags") or ()),
            notebook=said.get(labels.NOTEBOOK, ""),
            recipe=said.get(labels.RECIPE, ""),
            created=_made(item),
            # The containerd image store says in Size what the packed layers take.
            size_bytes=sum(sizes) or int(item.get("Size", 0)),
            used_by=tuple(sorted(users.get(item["Id"], ()))),
            by_hand=by_hand,
            platform=f"{item.get('Os', '')}/{item.get('Architecture', '')}",
            layers=layers_of(_diff_ids(item), sizes or [0] * len(_diff_ids(item)), foreign),
        )

    def _sizes(self, image: str) -> list[int]:
        """The sizes of an image's layers, lowest first; none where they are not told."""
        import docker.errors

        # The containerd image store does not know those of one that was never unpacked, such as
        # one for another platform.
        with suppress(docker.errors.NotFound):
            return _layer_sizes(self._sdk.api.history(image))
        return []

    def containers(self) -> list[ManagedContainer]:
        """The containers with our labels, running or not."""
        with self._faults():
            found = self._sdk.api.containers(all=True, filters={"label": labels.MANAGED})
        return [_container(item) for item in found]

    def other(self, name: str) -> str:
        """What else of the engine is called so."""
        import docker.errors

        with self._faults():
            for kind, look in (
                ("container", self._sdk.api.inspect_container),
                ("image", self._sdk.api.inspect_image),
            ):
                try:
                    look(name)
                except docker.errors.APIError as error:
                    if error.status_code not in (400, 404):
                        raise
                else:
                    return kind
        return ""

    def log(self, container: str, tail: int | None) -> str:
        """The engine's own log of a container."""
        import docker.errors

        with self._faults():
            try:
                data = self._sdk.api.logs(container, tail="all" if tail is None else tail)
            except docker.errors.APIError as error:
                if "does not support reading" not in str(error.explanation):
                    raise
                return ""  # it was started with a log driver that keeps nothing here
        return bytes(data).decode("utf-8", "replace")

    def stop(self, container: str) -> None:
        """End a container."""
        import docker.errors

        with self._faults(), suppress(docker.errors.NotFound):
            self._sdk.api.stop(container, timeout=STOP_SECONDS)
            # Lists come from a copy that follows the engine's state a moment later.
            deadline = time.monotonic() + _LISTED_SECONDS
            only = {"id": container, "status": "running"}
            while self._sdk.api.containers(filters=only) and time.monotonic() < deadline:
                time.sleep(0.05)

    def remove_container(self, container: str) -> None:
        """Remove a container, running or not, with its anonymous volumes."""
        import docker.errors

        with self._faults():
            try:
                self._sdk.api.remove_container(container, force=True, v=True)
            except docker.errors.APIError as error:
                # Gone, or going: one that was run with --rm removes itself as well.
                gone = error.status_code == 404
                if not gone and "already in progress" not in str(error.explanation):
                    raise

    def remove_image(self, image: str) -> None:
        """Remove an image by its id with all its names, or one of its names."""
        import docker.errors

        with self._faults():
            try:
                found = self._inspect_image(image)
                names = (found or {}).get("RepoTags") or [] if image.startswith("sha256:") else []
                for name in names or [image]:
                    self._sdk.api.remove_image(name, noprune=True)
                if names and self._inspect_image(image) is not None:  # names by digest are left
                    self._sdk.api.remove_image(image, force=True, noprune=True)
            except docker.errors.NotFound:
                pass
            except docker.errors.APIError as error:
                if error.status_code != 409:
                    raise
                raise InputError(
                    f"{image} is in use: {error.explanation}", hint="Remove what uses it first."
                ) from error

    def command(self, *words: str) -> ProcessPlan:
        """The docker client with these words, told to talk to this engine."""
        docker = next(executables("docker"), None)
        if docker is None:
            raise EngineError(
                "There is no docker client on the PATH.", hint="Install the docker client."
            )
        return ProcessPlan((docker, *words), env=self._environment())


def _labels(item: Mapping[str, Any]) -> dict[str, str]:
    return dict((item.get("Config") or {}).get("Labels") or {})


def _diff_ids(item: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple((item.get("RootFS") or {}).get("Layers") or ())


def _layer_sizes(history: Iterable[Mapping[str, Any]]) -> list[int]:
    """The sizes of the layers, lowest first, from a history whose newest entry comes first."""
    return [
        int(entry["Size"])
        for entry in reversed(list(history))
        if entry["Size"] or str(entry.get("CreatedBy", "")).startswith(_MAKE_LAYERS)
    ]


def _name(item: Mapping[str, Any]) -> str:
    names = item.get("Names") or [item["Id"][:12]]
    return str(names[0]).lstrip("/")


def _made(item: Mapping[str, Any]) -> datetime:
    """When an image was made; where its builder fixed that time, when it was last named here."""
    made = parse_time(str(item.get("Created") or ""))
    named = parse_time(str((item.get("Metadata") or {}).get("LastTagTime") or ""))
    return made if made.year > 2000 else max(made, named)


def parse_time(text: str) -> datetime:
    """A time of RFC 3339 with any number of decimals, as engines write it; 1970 if there is none.

    Go's zero time (the year 1) stands for none too.
    """
    whole, _, rest = text.partition(".")
    zone = rest.lstrip("0123456789") if rest else ""
    try:
        found = datetime.fromisoformat((whole + zone).replace("Z", "+00:00"))
    except ValueError:
        found = datetime.fromtimestamp(0, timezone.utc)
    if found.year < 1970:
        return datetime.fromtimestamp(0, timezone.utc)
    return found if found.tzinfo else found.replace(tzinfo=timezone.utc)


def _container(item: Mapping[str, Any]) -> ManagedContainer:
    said = dict(item.get("Labels") or {})
    return ManagedContainer(
        id=item["Id"],
        name=_name(item),
        engine="docker",
        kind="rerun" if said.get(labels.MANAGED) == "kernel" else "by-hand",
        state=str(item.get("State", "")),
        notebook=said.get(labels.NOTEBOOK, ""),
        image=str(item.get("Image", "")),
        recipe=said.get(labels.RECIPE, ""),
        session=said.get(labels.SESSION, ""),
        created=datetime.fromtimestamp(int(item.get("Created", 0)), timezone.utc),
    )
