"""Kernel managers for kernels in containers, as nbclient and other users of Jupyter want them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager

from . import RELAY_COMMAND
from .provisioner import ContainerProvisioner
from .runlog import About

if TYPE_CHECKING:
    from ..engine.interface import KernelProcess

__all__ = [
    "RELAY_COMMAND",
    "ContainerKernelManager",
    "container_kernel_manager",
    "running_kernel",
]


class ContainerKernelManager(AsyncKernelManager):
    """A kernel manager that needs no kernelspec on disk: its kernels come from ``start``.

    ``start_kernel`` and ``restart_kernel`` raise `KernelStartError` if the kernel never answers.
    """

    provisioner: ContainerProvisioner

    def __init__(
        self,
        *,
        start: Callable[[], KernelProcess],
        start_timeout: float = 60.0,
        about: About | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._spec = KernelSpec(
            argv=["python"],
            display_name="Python 3 (container)",
            language="python",
            interrupt_mode="message",
        )
        self.provisioner = ContainerProvisioner(
            parent=self, kernel_spec=self._spec, start_timeout=start_timeout
        )
        self.provisioner.start = start
        self.provisioner.about = about

    @property
    def kernel_spec(self) -> KernelSpec:
        """The specification, in memory: a Python kernel that is interrupted by a message."""
        return self._spec

    @property
    def why_ended(self) -> str:
        """One sentence on why the kernel died; empty if it lives or was asked to end."""
        return self.provisioner.why_ended

    @property
    def stderr(self) -> str:
        """The last lines of the container's standard error."""
        return self.provisioner.stderr

    def note(self, text: str) -> None:
        """Add a line to the kernel's log, if one is kept."""
        self.provisioner.note(text)


def container_kernel_manager(
    start: Callable[[], KernelProcess],
    *,
    start_timeout: float = 60.0,
    about: About | None = None,
) -> ContainerKernelManager:
    """A manager of kernels in containers, which is not started yet.

    Args:
        start: prepares a container, each time a new one, such as
            ``lambda: engine.kernel(image, command=RELAY_COMMAND, limits=limits)``.
        start_timeout: seconds that a kernel may take from its start to its first answer.
        about: what it is for; then a log of it is kept on this machine.
    """
    return ContainerKernelManager(start=start, start_timeout=start_timeout, about=about)


@asynccontextmanager
async def running_kernel(
    start: Callable[[], KernelProcess],
    *,
    start_timeout: float = 60.0,
    graceful: bool = True,
    arguments: Sequence[str] = (),
    about: About | None = None,
) -> AsyncIterator[ContainerKernelManager]:
    """A started kernel, shut down at the end of the block whatever happens in it.

    ``arguments`` are for ipykernel, such as ``--HistoryManager.hist_file=:memory:``.

    For nbclient: ``NotebookClient(nb, km=manager).async_execute(cleanup_kc=True)`` in the block.

    Raises:
        KernelStartError: the kernel never answered; nothing is left of it.
    """
    manager = container_kernel_manager(start, start_timeout=start_timeout, about=about)
    try:
        await manager.start_kernel(extra_arguments=list(arguments))
        yield manager
    finally:
        if manager.has_kernel:
            await manager.shutdown_kernel(now=not graceful)
        await manager.cleanup_resources()
