"""The Jupyter kernel provisioner: a kernel's life, from its container's start to its removal."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, cast

import traitlets
from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning.provisioner_base import KernelProvisionerBase
from jupyter_client.session import Session

from ..errors import InputError, KernelStartError
from ..process import spawn
from .carrier import PROBE, Carrier
from .relay import RELAY, SHELL
from .runlog import About, RunLog
from .wire import Ports, pack

if TYPE_CHECKING:
    from ..engine.interface import KernelProcess

MOMENT = 0.5  # seconds; a kernel takes 0.2 to end, and jupyter_client would look every 0.1


class ContainerProvisioner(KernelProvisionerBase):
    """Runs each kernel in a container of its own, a fresh one for each start.

    ``launch_kernel`` returns when the kernel has answered a request, so that whatever goes wrong at
    the start is raised there, as `KernelStartError` with the container's standard error as its
    evidence. The ports stay the same when the kernel restarts, so that clients stay connected.
    """

    start: Callable[[], KernelProcess] | None = None
    """Prepares a container, each time a new one; to be set before the first start."""
    start_timeout = traitlets.Float(
        60.0, config=True, help="Seconds that a kernel may take from its start to its first answer."
    )

    about: About | None = None
    """What the kernel is for: then a log is kept of each start, see `ipydock.kernel.runlog`."""

    _ports: Ports | None = None
    _carrier: Carrier | None = None  # of the kernel that there is
    _last: Carrier | None = None  # of that one, or else of the one before

    # --- what ipydock asks -----------------------------------------------------------------------

    @property
    def why_ended(self) -> str:
        """One sentence on why the kernel died; empty while it lives or if it was asked to end.

        Waits until its container is gone if it has just died, a few seconds at most.
        """
        if self._last is None or not self._last.ended.done():
            return ""
        self._last.gone.result()
        return self._last.why

    @property
    def stderr(self) -> str:
        """The last lines of the container's standard error, up to 200."""
        return "" if self._last is None else self._last.stderr

    def note(self, text: str) -> None:
        """Add a line to the log of the kernel that runs, if one is kept."""
        if self._carrier is not None and self._carrier.log is not None:
            self._carrier.log.note(text)

    # --- what jupyter_client asks ----------------------------------------------------------------

    @property
    def has_process(self) -> bool:
        """Whether there is a container, be it running or not yet removed."""
        return self._carrier is not None

    async def poll(self) -> int | None:
        """The exit code of the kernel, negative for a signal; None while it runs."""
        if self._carrier is None:
            return 0
        return self._carrier.ended.result() if self._carrier.ended.done() else None

    async def wait(self) -> int | None:
        """Wait until the kernel has ended and its container is gone; gives the exit code."""
        carrier = self._carrier
        if carrier is None:
            return 0
        await _any_of(carrier.ended)
        await self._see_out()
        return carrier.ended.result()

    async def send_signal(self, signum: int) -> None:
        """Send a signal to the kernel and the processes that it has started."""
        if self._carrier is not None:
            self._carrier.send({"signal": int(signum)})

    async def kill(self, restart: bool = False) -> None:  # noqa: ARG002
        """Kill the kernel and everything else in its container; returns when it is gone."""
        await self._see_out()

    async def terminate(self, restart: bool = False) -> None:  # noqa: ARG002
        """Ask the kernel to end, by a signal."""
        if self._carrier is not None:
            self._carrier.expected = True
            await self.send_signal(signal.SIGTERM)

    async def shutdown_requested(self, restart: bool = False) -> None:  # noqa: ARG002
        """The kernel has been asked to end; give it a moment to do so."""
        if self._carrier is not None:
            self._carrier.expected = True
            await _any_of(self._carrier.ended, timeout=MOMENT)

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        """Take the kernel's extra arguments. Nothing of the host's environment goes along."""
        return {"cmd": list(kwargs.get("extra_arguments") or ())}

    async def launch_kernel(self, cmd: list[str], **_kwargs: Any) -> KernelConnectionInfo:
        """Start the kernel and wait until it answers.

        Args:
            cmd: arguments for ipykernel, such as ``--HistoryManager.hist_file=:memory:``.

        Raises:
            KernelStartError: it ended or did not answer in time; nothing is left of it.
            InputError: ``start`` is not set.
            EngineError: whatever ``start`` raises.
        """
        if self.start is None:
            raise InputError("This kernel has no image.", hint="Start it through ipydock.")
        if self._ports is None:
            self._ports = Ports()
        session: Session = cast(Any, self.parent).session
        try:
            carrier = await self._launch(self.start, self._ports, session.clone(), cmd)
            await _any_of(carrier.answered, carrier.ended, timeout=self.start_timeout)
            if not carrier.answered.done() or carrier.ended.done():
                raise await self._start_error(carrier)
        except BaseException:
            self._abandon()
            raise
        key: dict[str, Any] = {"key": session.key, "signature_scheme": session.signature_scheme}
        return cast(KernelConnectionInfo, {**self._ports.info(), **key})

    async def cleanup(self, restart: bool = False) -> None:
        """Remove the container; unless it restarts, close the ports too."""
        await self._see_out()
        if not restart:
            self._close_ports()

    # --- how -------------------------------------------------------------------------------------

    async def _launch(
        self,
        start: Callable[[], KernelProcess],
        ports: Ports,
        session: Session,
        arguments: list[str],
    ) -> Carrier:
        config = {
            "connection": {
                "key": session.key.decode(),
                "signature_scheme": session.signature_scheme,
                "kernel_name": "python3",
            },
            "arguments": arguments,
        }
        probe = session.serialize(session.msg("kernel_info_request", {}), ident=PROBE)
        first = [pack(RELAY, [json.dumps(config).encode()]), pack(SHELL, probe)]

        def welcome(topic: bytes) -> list[bytes]:
            content = {"subscription": topic.decode("utf-8", "replace")}
            return session.serialize(session.msg("iopub_welcome", content), ident=topic or None)

        def launch() -> Carrier:
            kernel = start()
            try:
                process = spawn(kernel.plan)
            except BaseException:
                kernel.remove()
                raise
            self._carrier = self._last = Carrier(
                ports=ports,
                kernel=kernel,
                process=process,
                first=first,
                welcome=welcome,
                log=RunLog(kernel.name, self.about) if self.about and kernel.name else None,
            )
            self._carrier.start()
            return self._carrier

        # An engine may take a while to prepare a container, and the loop has others to serve.
        with ThreadPoolExecutor(1) as executor:
            try:
                return await asyncio.get_running_loop().run_in_executor(executor, launch)
            except OSError as error:
                raise KernelStartError(f"The container could not be started: {error}.") from error

    async def _start_error(self, carrier: Carrier) -> KernelStartError:
        message = f"The kernel did not answer within {self.start_timeout:g} seconds."
        if carrier.ended.done():
            await _any_of(carrier.gone)
            message = f"The kernel did not start. {carrier.why}"
        hint = ""
        if "No module named" in carrier.stderr:
            hint = "The image's `python` must have ipykernel."
        return KernelStartError(message, hint=hint, evidence=carrier.stderr)

    async def _see_out(self) -> None:
        carrier = self._carrier
        if carrier is not None:
            carrier.close()
            await _any_of(carrier.gone)
            carrier.join()
            self._carrier = None

    def _abandon(self) -> None:
        """Leave nothing behind after a start that failed or was cancelled; takes what it takes."""
        if self._carrier is not None:
            self._carrier.close()
            self._carrier.join()
            self._carrier = None
        self._close_ports()

    def _close_ports(self) -> None:
        if self._ports is not None:
            self._ports.close()
            self._ports = None


async def _any_of(*futures: Future[int], timeout: float | None = None) -> None:
    """Wait until one of the futures is done, or for so many seconds."""
    waiters = [asyncio.wrap_future(future) for future in futures]
    try:
        await asyncio.wait(waiters, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for waiter in waiters:
            waiter.cancel()
