"""What an engine is: how an image is made from a recipe and a kernel is started in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from ..events import OnEvent
from ..managed import ManagedContainer, ManagedImage
from ..models import Image, Limits, Recipe
from ..process import Cancellation, ProcessPlan


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What `doctor` and the reports say about an engine.

    ``isolation`` is one sentence on what stands between the notebook and the host.
    """

    name: str
    version: str
    address: str
    isolation: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Capability:
    """One thing that an engine can do or not, as it was asked or tried; None: it does not say.

    ``mend`` is what to do where it lacks something.
    """

    name: str
    able: bool | None
    says: str
    mend: str = ""


NO_SECRETS: Mapping[str, Path] = MappingProxyType({})


class KernelProcess(Protocol):
    """A kernel's container (or plain process), from before it is started until it is gone.

    ``plan`` is a process whose standard input and output carry the wire of `ipydock.kernel`; ending
    that process or calling ``remove`` ends the kernel.
    """

    @property
    def name(self) -> str:
        """The container's, by which `ipydock logs` finds its log; empty where none is kept."""

    @property
    def plan(self) -> ProcessPlan:
        """The process to start on the host."""

    def why_ended(self, returncode: int | None) -> str:
        """One sentence on why it ended, such as that it was killed for using too much memory."""

    def remove(self) -> None:
        """Remove whatever is left of it. May be called at any time and more than once."""


class Objects(Protocol):
    """What an engine has of ours, by our labels.

    The methods that change something take the whole id (or one of an image's names) of an image or
    container that was listed before; one that has gone meanwhile is no error.
    """

    def images(self) -> list[ManagedImage]:
        """The images with our labels, those included that were made by hand from one of them."""

    def containers(self) -> list[ManagedContainer]:
        """The containers with our labels, running or not."""

    def other(self, name: str) -> str:
        """What else of the engine is called so: ``image``, ``container``, or empty for nothing."""

    def log(self, container: str, tail: int | None) -> str:
        """The engine's own log of a container, all of it or its last lines."""

    def stop(self, container: str) -> None:
        """End a container: asked first, killed after a few seconds."""

    def remove_container(self, container: str) -> None:
        """Remove a container, running or not, with its anonymous volumes."""

    def remove_image(self, image: str) -> None:
        """Remove an image by its id with all its names, or one of its names.

        Raises:
            InputError: a container uses it.
        """

    def command(self, *words: str) -> ProcessPlan:
        """The engine's client with these words, such as ``push NAME``; it finds credentials itself.

        Raises:
            InputError: nothing can be moved from or to this engine.
            EngineError: there is no such client.
        """


class Engine(Protocol):
    """A way of making images and of starting kernels in them."""

    @property
    def name(self) -> str:
        """``docker``, ``podman`` or ``venv``."""

    @property
    def objects(self) -> Objects:
        """What it has of ours."""

    def info(self) -> EngineInfo:
        """Say what this engine is. Raises `EngineError` if it does not answer."""

    def capabilities(self) -> tuple[Capability, ...]:
        """What it can do, each thing asked or tried; this may take some seconds."""

    @property
    def other_host(self) -> str:
        """The name of the machine it runs on if that is another: there mounted paths are looked up.

        Empty for this machine.
        """

    @property
    def identity(self) -> str:
        """What tells this engine from others of its kind, on this machine or another."""

    def resolve(self, base: str, *, cancel: Cancellation | None = None) -> str:
        """The base with the digest that its registry says it stands for now.

        That is ``name:tag@sha256:...``; a base that has no digest is returned as it is.

        Raises:
            BaseImageError: it does not exist or cannot be reached.
        """

    def can_build(self) -> None:
        """Raise `EngineError` if it answers and yet cannot build images."""

    def find(self, recipe: Recipe) -> Image | None:
        """The image of this recipe, if it has been built already."""

    def tag(self, image: Image, tag: str) -> Image:
        """Give an image one more name."""

    def inspect(self, reference: str) -> Image:
        """An image by name or id. Raises `InputError` if it is not there."""

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
        """Build the image from a context folder that holds the recipe's files.

        ``secrets`` are files of this machine by the id under which the recipe's steps mount them.

        Raises:
            BuildError: a step failed; the evidence holds the last lines of the log.
            EngineError: the engine went away.
            Cancelled: ``cancel`` was raised; no build is left running.
        """

    def kernel(self, image: Image, *, command: tuple[str, ...], limits: Limits) -> KernelProcess:
        """Prepare a kernel: ``command`` is what runs in the image, on its Python."""
