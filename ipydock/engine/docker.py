"""Docker: builds with BuildKit through the client, everything else through the Docker SDK."""

from __future__ import annotations

import contextlib
import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import BaseImageError, EngineError, InputError
from ..events import OnEvent
from ..hosts import ca_bundle, cache_folder
from ..models import Image, Limits, Recipe
from ..process import Cancellation, ProcessPlan, run
from . import labels
from .buildlog import BuildLog
from .client import BuildClient, build_client, executables
from .containers import ended, killed_for_memory, new_name, run_options
from .docker_objects import DockerObjects
from .interface import EngineInfo

_MEMORY_SHARE = 0.9  # of the engine's memory, where the user sets no limit


class DockerEngine:
    """A Docker engine, local or remote: ``DOCKER_HOST``, else the current context.

    Raises:
        EngineError: no engine answers.
    """

    name = "docker"

    def __init__(self) -> None:
        self._address, self._sdk = _connect()
        with self._faults():
            self._daemon: dict[str, Any] = self._sdk.info()

    @contextlib.contextmanager
    def _faults(self) -> Iterator[None]:
        """Turn the SDK's and the transport's failures into ours."""
        import docker.errors
        import requests

        try:
            yield
        except (requests.RequestException, docker.errors.APIError) as error:
            said = getattr(error, "explanation", None) or str(error)
            raise EngineError(
                f"The Docker engine at {self._address} does not answer as it should: {said}",
                hint="Is it running? `ipydock doctor` lists the engines and what each can do.",
            ) from error

    def info(self) -> EngineInfo:
        """Say what this engine is."""
        with self._faults():
            daemon = self._sdk.info()
        client = build_client()
        notes = [] if client else [_no_buildkit().paragraph()]
        return EngineInfo(
            name=self.name,
            version=str(daemon.get("ServerVersion", "unknown")),
            address=self._address,
            isolation="The notebook runs in a container: no network, no capabilities.",
            notes=tuple(notes),
        )

    @property
    def identity(self) -> str:
        """The id of the daemon."""
        return str(self._daemon.get("ID", self._address))

    @property
    def objects(self) -> DockerObjects:
        """Its images and containers that carry our labels."""
        return DockerObjects(self._sdk, self._address, self._faults)

    def resolve(self, base: str, *, cancel: Cancellation | None = None) -> str:
        """The base with the digest that its registry says it stands for now."""
        import docker.errors

        if "@sha256:" in base:
            return base
        if cancel is not None:
            cancel.check()
        with self._faults():
            try:
                digest = self._sdk.images.get_registry_data(base).id
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
                        "wants `docker login`.",
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
        if build_client() is None:
            raise _no_buildkit()

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
            size_bytes=int(found.attrs.get("Size", 0)),
            cached=seconds is None,
            seconds=seconds or 0.0,
        )

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
        on_event: OnEvent,
        cancel: Cancellation | None = None,
    ) -> Image:
        """Build the image from a context folder that holds the recipe's files."""
        client = build_client()
        if client is None:
            raise _no_buildkit()
        name = tag or recipe.tag
        began = time.monotonic()
        plan = self._build_plan(client, recipe, context, tag=name, no_cache=no_cache, pull=pull)
        log_path = cache_folder() / "logs" / f"{recipe.digest[:12]}-{uuid.uuid4().hex[:6]}.log"
        with BuildLog(log_path, on_event) as log:
            done = run(plan, on_line=log.line, cancel=cancel)
        if done.returncode:
            self._still_there(log_path)
            raise log.failure()
        with self._faults():
            image = self._sdk.images.get(name)
        built = self._image(image, name, time.monotonic() - began)
        return built.model_copy(update={"log": str(log_path)})

    def _build_plan(
        self,
        client: BuildClient,
        recipe: Recipe,
        context: Path,
        *,
        tag: str,
        no_cache: bool,
        pull: bool,
    ) -> ProcessPlan:
        bundle = ca_bundle()
        argv = (
            *client.words,
            "--progress=plain",
            "--tag",
            tag,
            *labels.options(labels.for_image(recipe)),
            *(("--secret", f"id=ca,src={bundle}") if bundle else ()),
            *(("--platform", recipe.platform) if recipe.platform else ()),
            *(("--no-cache",) if no_cache else ()),
            *(("--pull",) if pull else ()),
            str(context),
        )
        return ProcessPlan(argv, env={**self._environment(), **dict(client.env)})

    def _environment(self) -> dict[str, str]:
        # The client must talk to the engine that the SDK talks to, whatever its context says.
        return {**os.environ, "DOCKER_HOST": self._address}

    def _still_there(self, log: Path) -> None:
        try:
            with self._faults():
                self._sdk.ping()
        except EngineError as error:
            raise EngineError(
                f"The Docker engine at {self._address} went away during the build.",
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
        plan = ProcessPlan(argv, env=self._environment())
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


def _no_buildkit() -> EngineError:
    return EngineError(
        "No docker client on the PATH can build with BuildKit: it needs the buildx plug-in.",
        hint="Install the package docker-buildx-plugin (or docker-buildx), then try again.",
    )


def _connect() -> tuple[str, Any]:
    """The address of the engine and an SDK client for it."""
    import docker
    import docker.errors

    address = os.environ.get("DOCKER_HOST") or _context_address()
    try:
        if "DOCKER_HOST" in os.environ:
            sdk = docker.from_env(timeout=60, use_ssh_client=address.startswith("ssh://"))
        else:
            sdk = docker.DockerClient(
                base_url=address, timeout=60, use_ssh_client=address.startswith("ssh://")
            )
        sdk.ping()
    except (docker.errors.DockerException, OSError) as error:
        raise EngineError(
            f"No Docker engine answers at {address}.",
            hint="Start Docker (or set DOCKER_HOST), or use --engine venv, which needs none.",
            evidence=str(error),
        ) from error
    return address, sdk


def _context_address() -> str:
    """The endpoint of the docker client's current context."""
    from docker.context import ContextAPI

    context = ContextAPI.get_current_context()
    return str(context.Host) if context is not None else "unix:///var/run/docker.sock"
