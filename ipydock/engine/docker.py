"""Docker: builds with BuildKit through the client, everything else through the Docker SDK."""

from __future__ import annotations

import contextlib
import platform
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import BaseImageError, EngineError, InputError
from ..events import OnEvent
from ..models import Image, Limits, Recipe
from ..network.proxies import proxies
from ..process import Cancellation, ProcessPlan, given_up
from . import labels
from .building import options, run_build
from .capabilities import of_docker
from .client import BuildClient, Probed, executables, probe
from .connection import Connection
from .containers import ended, killed_for_memory, new_name, run_options
from .docker_objects import DockerObjects
from .endpoint import find
from .interface import NO_SECRETS, Capability, EngineInfo

_MEMORY_SHARE = 0.9  # of the engine's memory, where the user sets no limit


class DockerEngine:
    """A Docker engine, local or remote: ``DOCKER_HOST``, else the current context.

    Raises:
        EngineError: no engine answers.
    """

    name = "docker"

    def __init__(self) -> None:
        self._connection = Connection(find())
        self._endpoint = self._connection.endpoint
        self._sdk = self._connection.sdk
        self._faults = self._connection.faults
        with self._faults():
            self._daemon: dict[str, Any] = self._sdk.info()

    def close(self) -> None:
        """Close the connections to it."""
        self._connection.close()

    @property
    def other_host(self) -> str:
        """The name of the machine it runs on, if that is not this one."""
        name = str(self._daemon.get("Name", ""))
        return name if self._endpoint.elsewhere and name != platform.node() else ""

    def info(self) -> EngineInfo:
        """Say what this engine is."""
        with self._faults():
            daemon = self._sdk.info()
        notes: tuple[str, ...] = ()
        try:
            self.can_build()
        except EngineError as error:
            notes = (error.paragraph(),)
        return EngineInfo(
            name=self.name,
            version=str(daemon.get("ServerVersion", "unknown")),
            address=self._endpoint.address,
            isolation="The notebook runs in a container: no network, no capabilities.",
            notes=notes,
        )

    def capabilities(self) -> tuple[Capability, ...]:
        """What it can do, each thing asked or tried."""
        return of_docker(self._endpoint, self._connection, self._daemon)

    @property
    def identity(self) -> str:
        """The id of the daemon."""
        return str(self._daemon.get("ID", self._endpoint.address))

    @property
    def objects(self) -> DockerObjects:
        """Its images and containers that carry our labels."""
        return DockerObjects(self._sdk, self._endpoint.environment, self._faults)

    def resolve(self, base: str, *, cancel: Cancellation | None = None) -> str:
        """The base with the digest that its registry says it stands for now."""
        import docker.errors

        if "@sha256:" in base:
            return base
        with self._faults():
            try:
                digest = given_up(lambda: self._sdk.images.get_registry_data(base).id, cancel)
            except docker.errors.APIError as error:
                if error.status_code == 400:
                    raise InputError(
                        f"{base!r} is not an image reference.", hint="Check --base."
                    ) from error
                digest = self._local_digest(base)
                if digest is None:
                    raise BaseImageError(
                        f"The base image {base} does not exist or cannot be reached: "
                        f"{error.explanation or error}",
                        hint="Check its name (--base), the network, and whether its registry "
                        "wants `docker login`. --engine venv needs no image.",
                    ) from error
        # An image that was only ever built here has no digest in any registry.
        return f"{base}@{digest}" if digest else base

    def _local_digest(self, base: str) -> str | None:
        """The digest of an image that is here; empty if it has none; None if it is not here."""
        import docker.errors

        try:
            attributes = self._sdk.images.get(base).attrs
        except docker.errors.ImageNotFound:
            return None
        known: list[str] = attributes.get("RepoDigests") or []
        return known[0].partition("@")[2] if known else ""

    def can_build(self) -> None:
        """Raise `EngineError` if no client can drive BuildKit."""
        self._client()

    def _client(self) -> BuildClient:
        if self._connection.is_podman:
            raise EngineError(
                f"The engine at {self._endpoint.address} is Podman, whose Docker API has no "
                "BuildKit.",
                hint="Use --engine podman.",
            )
        probed = probe(self._endpoint.environment())
        if probed.client is None:
            raise _no_buildkit(probed)
        return probed.client

    def find(self, recipe: Recipe) -> Image | None:
        """The image of this recipe, if it has been built already."""
        with self._faults():
            found = self._sdk.images.list(filters={"label": f"{labels.RECIPE}={recipe.digest}"})
        if not found:
            return None
        # An image made from this one carries its labels too, and has more layers.
        original = min(found, key=lambda image: len(image.attrs["RootFS"].get("Layers") or ()))
        return self._image(original, recipe.tag)

    def inspect(self, reference: str) -> Image:
        """An image by name or id."""
        import docker.errors

        with self._faults():
            try:
                return self._image(self._sdk.images.get(reference), reference)
            except docker.errors.APIError as error:
                if error.status_code not in (400, 404):
                    raise
                raise InputError(
                    f"The Docker engine has no image {reference}.",
                    hint="Build it first: ipydock build NOTEBOOK -t TAG.",
                ) from error

    def _image(self, found: Any, tag: str, seconds: float | None = None) -> Image:
        return Image(
            id=found.id,
            tag=tag if tag in found.tags or not found.tags else found.tags[0],
            engine=self.name,
            recipe=str((found.labels or {}).get(labels.RECIPE, "")),
            size_bytes=self._size(found),
            cached=seconds is None,
            seconds=seconds or 0.0,
        )

    def _size(self, found: Any) -> int:
        """What an image takes unpacked, in bytes; containerd's store tells what it takes packed."""
        import docker.errors

        if "containerd" in dict(self._daemon.get("DriverStatus") or ()).get("driver-type", ""):
            # Of one for another platform, which was never unpacked, it tells only that.
            with contextlib.suppress(docker.errors.NotFound):
                return sum(int(layer.get("Size", 0)) for layer in found.history())
        return int(found.attrs.get("Size", 0))

    def tag(self, image: Image, tag: str) -> Image:
        """Give an image one more name."""
        with self._faults():
            self._sdk.images.get(image.id).tag(tag)
        return image.model_copy(update={"tag": tag})

    def build(
        self,
        recipe: Recipe,
        context: Path,
        *,
        tag: str | None = None,
        no_cache: bool = False,
        pull: bool = False,
        secrets: Mapping[str, Path] = NO_SECRETS,
        on_event: OnEvent,
        cancel: Cancellation | None = None,
    ) -> Image:
        """Build the image from a context folder that holds the recipe's files."""
        name = tag or recipe.tag
        began = time.monotonic()
        client = self._client()
        argv = (
            *client.words,
            "--progress=plain",
            *options(
                recipe,
                tag=name,
                no_cache=no_cache,
                pull=pull,
                secrets=secrets,
                here=not self.other_host,
            ),
            str(context),
        )
        plan = ProcessPlan(
            argv, env={**self._endpoint.environment(), **proxies(), **dict(client.env)}
        )
        done, log = run_build(plan, recipe, on_event, cancel, context=context)
        if done.returncode:
            self._still_there(log.path)
            raise log.failure()
        with self._faults():
            image = self._sdk.images.get(name)
        built = self._image(image, name, time.monotonic() - began)
        return built.model_copy(update={"log": str(log.path)})

    def _still_there(self, log: Path) -> None:
        try:
            with self._faults():
                self._sdk.ping()
        except EngineError as error:
            raise EngineError(
                f"The Docker engine at {self._endpoint.address} went away during the build.",
                hint=f"Start it again and repeat the command; the log so far is in {log}.",
                evidence=error.message,
            ) from error

    def kernel(self, image: Image, *, command: tuple[str, ...], limits: Limits) -> DockerKernel:
        """Prepare a container; it is started by the process of the returned plan."""
        docker = next(executables("docker"), None)
        if docker is None:
            raise EngineError(
                "There is no docker client on the PATH.", hint="Install the docker client."
            )
        name = new_name()
        memory = limits.memory or str(int(self._daemon.get("MemTotal", 0) * _MEMORY_SHARE))
        argv = (
            docker, "run", "--interactive", "--rm", "--name", name, "--pull", "never",
            *labels.options(labels.for_container(image.recipe)),
            *run_options(limits, memory),
            "--entrypoint", command[0], image.id, *command[1:],
        )  # fmt: skip
        plan = ProcessPlan(argv, env=self._endpoint.environment())
        return DockerKernel(plan, name, self._sdk, memory)


class DockerKernel:
    """A container that runs one kernel and is gone when that ends."""

    def __init__(self, plan: ProcessPlan, name: str, sdk: Any, memory: str) -> None:
        self.plan = plan
        self.name = name
        self._sdk = sdk
        self._memory = memory
        self._since = int(time.time()) - 1

    def why_ended(self, returncode: int | None) -> str:
        """Say whether it was killed for using too much memory, crashed or ended by itself."""
        return killed_for_memory(self._memory) if self._out_of_memory() else ended(returncode)

    def _out_of_memory(self) -> bool:
        import docker.errors
        import requests

        try:
            events = self._sdk.api.events(
                since=self._since,
                until=int(time.time()) + 1,
                filters={"container": self.name, "event": "oom"},
                decode=True,
            )
            return any(True for _ in events)
        except (docker.errors.APIError, requests.RequestException):
            return False  # the engine is gone too, which the caller reports

    def remove(self) -> None:
        """Remove the container, running or not; nothing happens if it is gone already."""
        import docker.errors
        import requests

        with contextlib.suppress(docker.errors.APIError, requests.RequestException):
            self._sdk.api.remove_container(self.name, force=True, v=True)


def _no_buildkit(probed: Probed) -> EngineError:
    return EngineError(
        f"No docker client on the PATH can build with BuildKit. {' '.join(probed.said)}",
        hint="Install the package docker-buildx-plugin (or docker-buildx), or go back to the "
        "engine's own builder with `docker buildx use default`.",
    )
