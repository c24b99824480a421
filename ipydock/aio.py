"""Coroutines run from ordinary code, also inside a running event loop, and ended on request."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from .events import Event, OnEvent
from .process import Cancellation, interrupts_raise

T = TypeVar("T")
_POLL = 0.05  # seconds between looks at the flag


def run_sync(
    make: Callable[[OnEvent], Coroutine[Any, Any, T]], on_event: OnEvent, cancel: Cancellation
) -> T:
    """Run a coroutine to its end in a thread with a loop of its own.

    A thread, because a kernel or a Jupyter server has a running loop already. What the coroutine
    reports reaches ``on_event`` in the calling thread. Ctrl-C there raises ``cancel``, waits until
    the coroutine has cleaned up, and goes on to the caller.

    Raises:
        Cancelled: ``cancel`` was raised.
    """
    outcome: list[T] = []
    failure: list[BaseException] = []
    reported: queue.SimpleQueue[Event | None] = queue.SimpleQueue()

    def body() -> None:
        try:
            outcome.append(asyncio.run(_guarded(make(reported.put), cancel)))
        except BaseException as error:  # noqa: BLE001 - handed on to the calling thread
            failure.append(error)
        finally:
            reported.put(None)

    thread = threading.Thread(target=body, name="ipydock-loop")
    with interrupts_raise(cancel):
        thread.start()
        try:
            while (event := _next(reported)) is not None:
                on_event(event)
        except BaseException:
            cancel.cancel()  # nobody listens any more, as after `ipydock ... | head`
            raise
        finally:
            thread.join()
    if failure:
        raise failure[0]
    return outcome[0]


def _next(reported: queue.SimpleQueue[Event | None]) -> Event | None:
    """The next event; None after the last."""
    while True:
        # With a timeout, because a signal that another thread got wakes no blocking call.
        with contextlib.suppress(queue.Empty):
            return reported.get(timeout=_POLL)


async def in_thread(function: Callable[[Cancellation], T], cancel: Cancellation | None = None) -> T:
    """Run blocking code that takes a cancellation flag without blocking the loop.

    When the awaiting task is cancelled, the flag is raised and the code's clean-up is waited for.
    """
    flag = cancel or Cancellation()
    future = asyncio.get_running_loop().run_in_executor(None, function, flag)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        flag.cancel()
        await asyncio.wait({future})
        future.exception()  # that it was cancelled is known; asked for, so that it is not logged
        raise


async def _guarded(coroutine: Coroutine[Any, Any, T], cancel: Cancellation) -> T:
    task = asyncio.ensure_future(coroutine)
    while not task.done():
        await asyncio.wait({task}, timeout=_POLL)
        if cancel.requested and not task.done():
            task.cancel()
            await asyncio.wait({task})
            cancel.check()
    return task.result()
