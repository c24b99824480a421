"""What a cell printed, put together."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_output

from ipydock.engine.venv import VenvEngine
from ipydock.events import ignore
from ipydock.models import Image, Limits
from ipydock.rerun import execute
from ipydock.streams import joined
from tests.environments import nb
from tests.fakes import LocalKernelProcess


def stream(text: str, name: str = "stdout") -> dict[str, object]:
    return {"output_type": "stream", "name": name, "text": text}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a\n",
        "a\rb",
        "a\rb\r",
        "a\r\nb",
        "a\r\r\nb\rc\n\rd",
        "\r",
        "\r\r",
        "\n\r\n",
        "50%\r100%\n",
    ],
)
def test_carriage_returns_are_those_of_nbclient(text: str) -> None:
    rule = NotebookClient.async_execute_cell.__globals__["_RGX_CARRIAGERETURN"]
    assert joined([stream(text)])[0]["text"] == rule.sub("", text)


def test_pieces() -> None:
    shown = new_output("display_data", {"text/plain": "x"})
    outputs = [stream("a"), stream("E", "stderr"), stream("b"), shown, stream("F", "stderr")]
    assert joined(outputs) == [stream("ab"), stream("EF", "stderr"), shown]
    assert joined([stream("E", "stderr"), stream("a"), shown]) == [
        stream("a"),
        stream("E", "stderr"),
        shown,
    ]
    assert joined([]) == []


def test_long_lines_and_many_pieces_take_no_time() -> None:
    began = time.process_time()
    assert joined([stream("x" * 10_000_000)])[0]["text"] == "x" * 10_000_000
    assert len(str(joined([stream("x\r" * 50) for _ in range(100_000)])[0]["text"])) == 2
    assert time.process_time() - began < 2


class HereEngine(VenvEngine):
    """Runs kernels of this interpreter, whatever the image."""

    def kernel(self, image: Image, *, command: tuple[str, ...], limits: Limits) -> Any:
        return LocalKernelProcess()


def test_a_rerun_with_a_long_line_ends() -> None:
    notebook = nb("import sys\nprint('x' * 10_000_000, flush=True)\nsys.stdout.write('y')\n1")
    image = Image(
        id="x", tag="x", engine="venv", recipe="x", size_bytes=0, cached=True, seconds=0.0
    )
    run = execute(notebook, image, engine=HereEngine(), limits=Limits(), out=None, on_event=ignore)
    executed = asyncio.run(asyncio.wait_for(run, 60))
    printed, value = executed.notebook["cells"][0]["outputs"]
    assert "".join(printed["text"]) == "x" * 10_000_000 + "\ny"
    assert value["output_type"] == "execute_result"
