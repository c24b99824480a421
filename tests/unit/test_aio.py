from __future__ import annotations

import asyncio
import signal
import threading
import time

import pytest

from ipydock.aio import in_thread, run_sync
from ipydock.errors import Cancelled
from ipydock.events import Event, OnEvent, StageFinished, ignore
from ipydock.process import Cancellation


def test_events_reach_the_calling_thread() -> None:
    seen: list[tuple[Event, str]] = []

    async def work(emit: OnEvent) -> int:
        emit(StageFinished("build", 1.0, "done"))
        return 7

    value = run_sync(
        work, lambda e: seen.append((e, threading.current_thread().name)), Cancellation()
    )
    assert value == 7
    assert seen == [(StageFinished("build", 1.0, "done"), threading.current_thread().name)]


def test_it_works_inside_a_running_loop() -> None:
    async def inner(_emit: OnEvent) -> str:
        await asyncio.sleep(0)
        return "inner"

    async def outer() -> str:
        return run_sync(inner, ignore, Cancellation())

    assert asyncio.run(outer()) == "inner"


def test_an_error_keeps_its_type() -> None:
    async def work(_emit: OnEvent) -> None:
        raise LookupError("x")

    with pytest.raises(LookupError, match="x"):
        run_sync(work, ignore, Cancellation())


def test_a_raised_flag_cleans_up_first() -> None:
    cancel = Cancellation()
    cleaned = []

    async def work(_emit: OnEvent) -> None:
        cancel.cancel()
        try:
            await asyncio.sleep(60)
        finally:
            cleaned.append(True)

    with pytest.raises(Cancelled):
        run_sync(work, ignore, cancel)
    assert cleaned == [True]


def test_ctrl_c_cleans_up_first() -> None:
    cleaned = []

    async def work(_emit: OnEvent) -> None:
        signal.raise_signal(signal.SIGINT)
        try:
            await asyncio.sleep(60)
        finally:
            cleaned.append(True)

    # A shell that starts the tests in the background has Ctrl-C ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            run_sync(work, ignore, Cancellation())
    finally:
        signal.signal(signal.SIGINT, before)
    assert cleaned == [True]


def test_a_listener_that_fails_ends_the_work() -> None:
    cleaned = []

    async def work(emit: OnEvent) -> None:
        emit(StageFinished("build", 1.0, "done"))
        try:
            await asyncio.sleep(60)
        finally:
            cleaned.append(True)

    def listen(_event: Event) -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        run_sync(work, listen, Cancellation())
    assert cleaned == [True]


def test_cancelling_the_task_ends_the_thread() -> None:
    ended = threading.Event()

    def work(cancel: Cancellation) -> None:
        try:
            while True:
                cancel.check()
                time.sleep(0.01)
        finally:
            ended.set()

    async def main() -> None:
        task = asyncio.create_task(in_thread(work))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert ended.is_set()
