"""The same Docker once more, for tests that run at the same time as others.

The BuildKit in Docker 20.10 may end the whole daemon ("panic: failed to get edge") where builds
that have steps in common run at once.
"""

from __future__ import annotations

from . import daemon
from .api import ask
from .newer import mirror
from .state import Bed


def up(bed: Bed) -> dict[str, str]:
    """What to set in the environment to work with it; raises BedError where no bed is up."""
    port = mirror(bed)
    part = bed.part("second")
    part.check()
    if not (part.socket.exists() and ask(part.docker_host).usable):
        daemon.start(part, mirror=port)
    return {"DOCKER_HOST": part.docker_host}
