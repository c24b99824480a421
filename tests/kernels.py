"""What the tests of kernels do with a kernel, wherever it runs."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import nbformat
from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.session import Session
from nbclient import NotebookClient

from ipydock.kernel.manager import ContainerKernelManager

Outputs = list[dict[str, Any]]


async def execute(manager: ContainerKernelManager, *sources: str, **options: Any) -> list[Outputs]:
    """The outputs of cells that nbclient runs in a kernel that there is already."""
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    notebook = nbformat.v4.new_notebook(cells=cells)
    client = NotebookClient(notebook, km=manager, timeout=60, **options)
    try:
        await client.async_execute()
    finally:
        if client.kc is not None:
            client.kc.stop_channels()
    return [cell["outputs"] for cell in cells]


def text(outputs: Outputs) -> str:
    return "".join(output.get("text", "") for output in outputs)


@asynccontextmanager
async def client_of(manager: ContainerKernelManager) -> AsyncIterator[AsyncKernelClient]:
    # As every front end does: two clients of one session would take each other's replies.
    client = manager.client(session=Session(key=manager.session.key))
    client.start_channels()
    try:
        await client.wait_for_ready(timeout=20)
        yield client
    finally:
        client.stop_channels()


async def reply_to(client: AsyncKernelClient, code: str) -> dict[str, Any]:
    return await client._async_recv_reply(client.execute(code), timeout=20)


async def printed(client: AsyncKernelClient, word: str) -> None:
    """Wait until a cell has printed a word."""
    while True:
        message = await client.get_iopub_msg(timeout=20)
        if word in message["content"].get("text", ""):
            return


async def dead(manager: ContainerKernelManager) -> float:
    """Seconds until the kernel is found dead."""
    began = time.monotonic()
    while await manager.is_alive():
        await asyncio.sleep(0.01)
        assert time.monotonic() - began < 10
    return time.monotonic() - began


def go(scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(scenario())


async def displayed(client: AsyncKernelClient, count: int) -> list[str]:
    """The texts of so many outputs; read raw, since Jupyter's client takes longer than a kernel."""
    got: list[str] = []
    while len(got) < count:
        frames = await asyncio.wait_for(client.iopub_channel.socket.recv_multipart(), 20)
        if b'"display_data"' in frames[3]:
            got.append(json.loads(frames[-1])["data"]["text/plain"])
    return got
