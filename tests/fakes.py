"""Small implementations of ipydock's interfaces that need nothing but this machine."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from ipydock.kernel import RELAY_COMMAND
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
