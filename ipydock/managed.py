"""What ipydock made and started on an engine, as `ps`, `images` and the others tell of it.

Frozen pydantic models like those of `ipydock.models`; ``--json`` gives their JSON. Sizes are in
bytes, times are UTC.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal, TypeAlias

from pydantic import Field

from .models import Document, Model

Kind: TypeAlias = Literal["rerun", "by-hand"]
Thing: TypeAlias = Literal["image", "container", "name", "log"]


class Layer(Model):
    """A layer of an image: what tells it from others with what is below it, and its size.

    ``foreign``: an image that is not ipydock's has it too, such as the base.
    """

    chain: str
    size_bytes: int
    foreign: bool = False


class ManagedImage(Document):
    """An image that carries our labels, or an environment of the venv engine.

    ``size_bytes`` is with all layers; ``unique_bytes`` of it is in no other image, and None where
    the engine does not tell. ``used_by`` are the names of the containers made from it.
    ``by_hand``: somebody built or committed it on top of one of ours, and so it only inherited the
    labels. ``platform`` is such as ``linux/amd64``; ``log`` is the file of its build's output.
    """

    id: str
    engine: str
    tags: tuple[str, ...]
    notebook: str
    recipe: str
    created: datetime
    size_bytes: int
    unique_bytes: int | None = None
    used_by: tuple[str, ...] = ()
    by_hand: bool = False
    platform: str = ""
    log: str | None = None
    layers: tuple[Layer, ...] = Field(default=(), exclude=True, repr=False)

    @property
    def short(self) -> str:
        """The id as it is shown."""
        return self.id.removeprefix("sha256:").rpartition("/")[2][:12]

    @property
    def name(self) -> str:
        """What to call it: its first name, else its id."""
        return self.tags[0] if self.tags else self.short


class ManagedContainer(Document):
    """A container in which ipydock runs a notebook, or one started by hand from our image.

    ``state`` is the engine's word (``running``, ``exited``, ...); ``ended`` is ipydock's for a
    rerun whose container is gone and whose log is still here. ``session`` is that of the program
    which started it, empty for one that was started by hand. ``log`` is the file with its log.
    """

    id: str
    name: str
    engine: str
    kind: Kind
    state: str
    notebook: str
    image: str
    recipe: str
    session: str
    created: datetime
    log: str | None = None

    @property
    def short(self) -> str:
        """The id as it is shown."""
        return self.id[:12]

    @property
    def running(self) -> bool:
        """Whether it does, or may at once."""
        return self.state in ("running", "paused", "restarting", "stopping")


class Listing(Document):
    """What `ipydock images` and `ipydock ps` found.

    ``silent`` says why no engine with containers answers, where none does.
    """

    images: tuple[ManagedImage, ...] = ()
    containers: tuple[ManagedContainer, ...] = ()
    silent: tuple[str, ...] = ()


class Action(Model):
    """One thing done, or to be done, and the reason.

    ``what`` is what the thing is called and ``id`` what its engine knows it by; a ``name`` is one
    of several of an image. ``engine`` is empty for the log of a build.
    """

    thing: Thing
    what: str
    id: str
    engine: str = ""
    reason: str = ""


class Removal(Document):
    """What was removed (``done``) or would be; ``kept`` is what was not, each with its reason.

    ``freed_bytes`` counts shared layers once, and those of images that stay not at all; an
    engine's build cache may hold on to some. None where the engine does not tell.
    """

    done: bool
    removed: tuple[Action, ...] = ()
    kept: tuple[Action, ...] = ()
    freed_bytes: int | None = None


class Log(Document):
    """The log of a rerun, a build or a container; ``source`` says which, ``path`` where it is."""

    name: str
    source: str
    text: str
    path: str | None = None


class Pushed(Document):
    """An image in a registry: ``reference`` there, its ``digest``, and the platforms it is for."""

    reference: str
    digest: str
    platforms: tuple[str, ...] = ()


class Archive(Document):
    """A saved image: the file, its size, and what is in it."""

    path: str
    size_bytes: int
    image: str
    tags: tuple[str, ...]


class LoadedImages(Document):
    """The images that an archive brought."""

    path: str
    images: tuple[ManagedImage, ...]
