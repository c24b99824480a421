"""Small implementations of ipydock's interfaces that need nothing but this machine."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping

from ipydock.kernel import RELAY_COMMAND
from ipydock.managed import ManagedContainer, ManagedImage
from ipydock.process import ProcessPlan


class LocalKernelProcess:
    """A kernel of this interpreter, in a plain process instead of a container.

    ``argv`` replaces the whole command; ``before`` comes before it, as an entrypoint does; ``env``
    is added to the environment.
    """

    name = "ipydock-local"

    def __init__(
        self,
        *,
        argv: tuple[str, ...] = (sys.executable, *RELAY_COMMAND[1:]),
        before: tuple[str, ...] = (),
        env: Mapping[str, str] | None = None,
    ) -> None:
        inherited = dict(os.environ)
        # ipykernel does not watch the descriptors that children print to when it is being tested.
        inherited.pop("PYTEST_CURRENT_TEST", None)
        self.plan = ProcessPlan((*before, *argv), env={**inherited, **(env or {})})
        self.asked: list[int | None] = []
        self.removed = 0

    def why_ended(self, returncode: int | None) -> str:
        self.asked.append(returncode)
        return f"The process ended with exit code {returncode}."

    def remove(self) -> None:
        self.removed += 1


class FakeObjects:
    """What an engine has of ours, in memory; ``program`` stands for its client."""

    def __init__(
        self,
        images: Iterable[ManagedImage] = (),
        containers: Iterable[ManagedContainer] = (),
        *,
        others: Mapping[str, str] | None = None,
        program: tuple[str, ...] = ("true",),
    ) -> None:
        self._images, self._containers = list(images), list(containers)
        self._others, self._program = dict(others or {}), program
        self.done: list[tuple[str, str]] = []

    def images(self) -> list[ManagedImage]:
        return list(self._images)

    def containers(self) -> list[ManagedContainer]:
        return list(self._containers)

    def other(self, name: str) -> str:
        return self._others.get(name, "")

    def log(self, container: str, tail: int | None) -> str:
        return f"log of {container}, {tail}"

    def stop(self, container: str) -> None:
        self.done.append(("stop", container))

    def remove_container(self, container: str) -> None:
        self.done.append(("rm", container))

    def remove_image(self, image: str) -> None:
        self.done.append(("rmi", image))

    def command(self, *words: str) -> ProcessPlan:
        return ProcessPlan((*self._program, *words))


class FakeEngine:
    """An engine as far as the life cycle and sharing need one."""

    def __init__(self, objects: FakeObjects, name: str = "docker") -> None:
        self.objects = objects
        self.name = name
