"""Kernels end to end, in plain processes: relay, wire, provisioner, manager and nbclient."""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import DeadKernelError

from ipydock.errors import InputError, KernelStartError
from ipydock.kernel import RELAY_COMMAND
from ipydock.kernel.manager import container_kernel_manager, running_kernel
from ipydock.kernel.provisioner import ContainerProvisioner
from ipydock.kernel.relay import MAGIC
from tests.fakes import LocalKernelProcess
from tests.kernels import client_of, dead, displayed, execute, go, printed, reply_to, text

pytestmark = pytest.mark.slow


class Starter:
    """Makes a process for each start, all of which have their temporary files in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.made: list[LocalKernelProcess] = []
        self.options: dict[str, Any] = {}

    def __call__(self) -> LocalKernelProcess:
        env = {"TMPDIR": str(self.folder), **self.options.get("env", {})}
        self.made.append(LocalKernelProcess(**{**self.options, "env": env}))
        return self.made[-1]


def descriptors() -> set[str]:
    gc.collect()
    return {entry.name for entry in Path("/proc/self/fd").iterdir()}


def processes(folder: Path) -> list[str]:
    """The kernels whose files are in a folder, also those that have lost their parents."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            found += [word for word in entry.read_text().split("\0") if str(folder) in word]
    return found


def children() -> set[str]:
    """Processes that this one has started, also those that ended and were not waited for."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # The program's name is in parentheses and may hold anything; state and parent follow.
            if entry.read_text().rpartition(")")[2].split()[1] == str(os.getpid()):
                found.add(entry.parent.name)
    return found


@pytest.fixture
def start() -> Iterator[Starter]:
    """A way of starting kernels; after the test nothing may be left of them."""
    # Not tmp_path: the name of an ipc socket has to fit in 107 bytes.
    with tempfile.TemporaryDirectory(prefix="k") as name:
        folder = Path(name)
        before, others = descriptors(), children()  # an interpreter that captures ask is kept up
        starter = Starter(folder)
        yield starter
        assert children() <= others
        check_nothing_left(starter, before)


def check_nothing_left(starter: Starter, before: set[str]) -> None:
    assert [thread.name for thread in threading.enumerate()] == [threading.main_thread().name]
    assert len(descriptors()) <= len(before)
    assert processes(starter.folder) == []
    assert all(made.removed for made in starter.made)
    assert list(starter.folder.iterdir()) == []


def test_a_notebook_runs(start: Starter) -> None:
    async def scenario() -> None:
        async with running_kernel(start) as manager:
            first, display, shell, descriptor, failing, refused, hidden = await execute(
                manager,
                "x = 20\nprint('hello')\nx + 1",
                "from IPython.display import HTML, display\ndisplay(HTML('<b>b</b>'))",
                "!echo from a child",
                # ipykernel reads its descriptor 1 in a thread, which may be late for a short cell.
                "import os, time\nos.system('echo on descriptor 1'); time.sleep(1)",
                "1/0",
                "input('name? ')",
                # The relay's own descriptor 1 is not the wire.
                "open(f'/proc/{os.getppid()}/fd/1', 'wb').write(b'not a message'); None",
                allow_errors=True,
            )
            assert first[0]["text"] == "hello\n"
            assert first[1]["data"] == {"text/plain": "21"}
            assert display[0]["data"]["text/html"] == "<b>b</b>"
            assert text(shell).strip() == "from a child"
            assert text(descriptor).strip() == "on descriptor 1"
            assert failing[0]["ename"] == "ZeroDivisionError"
            assert refused[0]["ename"] == "StdinNotImplementedError"
            assert hidden == []
            assert (await execute(manager, "x"))[0][0]["data"] == {"text/plain": "20"}
            assert "not a message" in manager.stderr
            assert await manager.is_alive()
            assert manager.why_ended == ""
        assert manager.why_ended == ""
        assert start.made[0].asked == []

    go(scenario)


def test_nbclient_may_start_and_end_the_kernel_itself(start: Starter) -> None:
    async def scenario() -> None:
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("6 * 7")])
        client = NotebookClient(notebook, km=container_kernel_manager(start))
        await client.async_execute(cleanup_kc=True)
        assert notebook.cells[0].outputs[0]["data"] == {"text/plain": "42"}

    go(scenario)


def test_an_input_request_is_answered(start: Starter) -> None:
    async def scenario() -> None:
        async with running_kernel(start) as manager, client_of(manager) as client:
            request = client.execute("name = input('name? ')\nassert name == 'Ada'")
            asked = await client.get_stdin_msg(timeout=20)
            assert asked["content"]["prompt"] == "name? "
            client.input("Ada")
            reply = await client._async_recv_reply(request, timeout=20)
            assert reply["content"]["status"] == "ok"

    go(scenario)


def test_interrupt_restart_and_a_second_client(start: Starter) -> None:
    async def scenario() -> None:
        async with running_kernel(start) as manager, client_of(manager) as client:
            request = client.execute("import time\nprint('go', flush=True)\ntime.sleep(60)")
            await printed(client, "go")
            await manager.interrupt_kernel()
            reply = await client._async_recv_reply(request, timeout=5)
            assert reply["content"]["ename"] == "KeyboardInterrupt"
            # For a moment after an error ipykernel drops what it is asked, so ask until it answers.
            while (await reply_to(client, "y = 1"))["content"]["status"] == "aborted":
                pass

            await manager.restart_kernel()
            assert [made.removed for made in start.made] == [1, 0]
            assert (await reply_to(client, "y"))["content"]["ename"] == "NameError"

            async with client_of(manager) as late:
                assert (await reply_to(late, "z = 1"))["content"]["status"] == "ok"
                request = client.execute("print('for-both')")
                await asyncio.gather(printed(client, "for-both"), printed(late, "for-both"))
        assert manager.why_ended == ""

    go(scenario)


def test_a_new_subscriber_is_welcomed(start: Starter) -> None:
    async def scenario() -> None:
        async with running_kernel(start) as manager:
            for _ in range(2):
                client = manager.client()
                client.start_channels(shell=False, stdin=False, hb=False, control=False)
                message = await client.get_iopub_msg(timeout=5)
                assert message["msg_type"] == "iopub_welcome"
                client.stop_channels()

    go(scenario)


@pytest.mark.parametrize(
    ("code", "expected", "returncode"),
    [
        ("import os; print('last words', flush=True); os._exit(3)", 3, 3),
        ("import os; os.kill(os.getpid(), 9)", -signal.SIGKILL, 128 + signal.SIGKILL),
    ],
)
def test_a_kernel_that_dies_is_noticed(
    start: Starter, code: str, expected: int, returncode: int
) -> None:
    async def scenario() -> None:
        async with running_kernel(start) as manager:
            began = time.monotonic()
            with pytest.raises(DeadKernelError):
                await execute(manager, code)
            assert time.monotonic() - began < 3  # nbclient looks once a second
            assert await manager.provisioner.poll() == expected
            assert manager.why_ended == f"The process ended with exit code {returncode}."

    go(scenario)


def test_a_kernel_that_died_restarts(start: Starter) -> None:
    async def scenario() -> None:
        async with running_kernel(start) as manager, client_of(manager) as client:
            client.execute("import os; os._exit(1)")
            assert await dead(manager) < 1
            # What jupyter_client asks the dead kernel to do must not reach the next one.
            await manager.restart_kernel()
            assert (await reply_to(client, "1"))["content"]["status"] == "ok"
            assert manager.why_ended == ""

    go(scenario)


def test_a_container_that_goes_away_is_noticed(start: Starter) -> None:
    async def scenario() -> None:
        async with running_kernel(start) as manager, client_of(manager) as client:
            request = "import os, time; os.kill(os.getppid(), 9); time.sleep(60)"
            client.execute(request)
            assert await dead(manager) < 1
            assert manager.why_ended == f"The process ended with exit code {-signal.SIGKILL}."
        # The kernel looks after its parent once a second. Nobody removes the relay's folder; a
        # container's goes with it.
        while processes(start.folder):
            await asyncio.sleep(0.05)
        [folder] = start.folder.iterdir()
        shutil.rmtree(folder)

    go(scenario)


def test_many_small_outputs_arrive_in_order(start: Starter) -> None:
    """Also when the relay gets no time for a while, as on a busy machine."""

    async def scenario() -> None:
        async with running_kernel(start) as manager, client_of(manager) as client:
            client.execute(
                "import os, signal\n"
                "from IPython.display import publish_display_data as show\n"
                "os.kill(os.getppid(), signal.SIGSTOP)\n"
                "for i in range(10_000):\n"
                "    if i == 5000: os.kill(os.getppid(), signal.SIGCONT)\n"
                "    show({'text/plain': str(i)})"
            )
            assert await displayed(client, 10_000) == [str(i) for i in range(10_000)]

    go(scenario)


def test_a_large_output_arrives_whole(start: Starter) -> None:
    async def scenario() -> None:
        async with running_kernel(start) as manager:
            [outputs] = await execute(
                manager,
                "from IPython.display import publish_display_data as show\n"
                "show({'text/plain': 'x' * 30_000_000})",
            )
            assert outputs[0]["data"]["text/plain"] == "x" * 30_000_000

    go(scenario)


def test_requests_wait_for_a_kernel_that_is_busy(start: Starter) -> None:
    async def scenario() -> None:
        async with running_kernel(start) as manager, client_of(manager) as client:
            client.execute("import time\ntime.sleep(0.5)\nseen = []")
            filling = "#" * 60_000  # more than that and pyzmq starts a thread that stays
            requests = [client.execute(f"seen.append({i}) {filling}") for i in range(15)]
            for request in requests:
                await client._async_recv_reply(request, timeout=20)
            reply = await reply_to(client, "assert seen == list(range(15))")
            assert reply["content"]["status"] == "ok"

    go(scenario)


def test_a_kernel_that_does_not_end_is_killed(start: Starter) -> None:
    async def scenario() -> None:
        manager = container_kernel_manager(start)
        manager.shutdown_wait_time = 0.4
        await manager.start_kernel()
        async with client_of(manager) as client:
            client.execute(
                "import signal, time\n"
                "for s in (signal.SIGINT, signal.SIGTERM): signal.signal(s, signal.SIG_IGN)\n"
                "print('go', flush=True)\n"
                "while True: time.sleep(1)"
            )
            await printed(client, "go")
        began = time.monotonic()
        await manager.shutdown_kernel()
        assert time.monotonic() - began < 2
        assert not await manager.is_alive()

    go(scenario)


def test_shutdown_now_is_quick(start: Starter) -> None:
    async def scenario() -> None:
        manager = container_kernel_manager(start)
        await manager.start_kernel()
        began = time.monotonic()
        await manager.shutdown_kernel(now=True)
        assert time.monotonic() - began < 1
        assert not manager.has_kernel

    go(scenario)


def test_what_an_entrypoint_prints_is_not_the_wire(start: Starter) -> None:
    start.options["before"] = ("sh", "-c", 'echo == WELCOME ==; exec "$@"', "sh")

    async def scenario() -> None:
        async with running_kernel(start) as manager:
            assert (await execute(manager, "1"))[0][0]["data"] == {"text/plain": "1"}
            assert "== WELCOME ==" in manager.stderr

    go(scenario)


def test_modules_beside_the_notebook_do_not_reach_the_relay(start: Starter, tmp_path: Path) -> None:
    for name in ("json", "struct", "signal", "zmq", "tempfile"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('not the library')\n")
    start.options["before"] = ("sh", "-c", f'cd {tmp_path}; exec "$@"', "sh")

    async def scenario() -> None:
        async with running_kernel(start) as manager:
            assert (await execute(manager, "1"))[0][0]["data"] == {"text/plain": "1"}

    go(scenario)


def fails_to_start(start: Starter, *, within: float, start_timeout: float = 60) -> KernelStartError:
    async def scenario() -> None:
        async with running_kernel(start, start_timeout=start_timeout):
            pytest.fail("it started")

    began = time.monotonic()
    with pytest.raises(KernelStartError) as caught:
        go(scenario)
    assert time.monotonic() - began < within
    return caught.value


@pytest.mark.parametrize("missing", ["zmq", "ipykernel_launcher"])
def test_an_image_without_ipykernel(start: Starter, tmp_path: Path, missing: str) -> None:
    (tmp_path / f"{missing}.py").write_text(
        f"raise ModuleNotFoundError('No module named {missing!r}')\n"
    )
    start.options["env"] = {"PYTHONPATH": str(tmp_path)}
    error = fails_to_start(start, within=3)
    assert f"No module named {missing!r}" in error.evidence
    assert "ipykernel" in error.hint
    assert "exit code 1" in error.message


def test_an_engine_that_says_no(start: Starter) -> None:
    start.options["argv"] = ("sh", "-c", "echo docker: no such image >&2; exit 125")
    error = fails_to_start(start, within=1)
    assert error.evidence == "docker: no such image"
    assert start.made[0].asked == [125]


def test_a_program_that_does_not_exist(start: Starter) -> None:
    start.options["argv"] = ("/does/not/exist",)
    assert "/does/not/exist" in fails_to_start(start, within=1).message


def test_a_kernel_that_never_answers(start: Starter) -> None:
    start.options["argv"] = ("sh", "-c", "echo waiting >&2; exec sleep 60")
    error = fails_to_start(start, within=4, start_timeout=0.2)
    assert error.message == "The kernel did not answer within 0.2 seconds."
    assert error.evidence == "waiting"


def test_a_wire_that_carries_something_else(start: Starter) -> None:
    start.options["argv"] = ("printf", MAGIC.decode().replace("\0", "\\0") + "who are you?")
    assert "connection broke" in fails_to_start(start, within=1).message


def test_a_start_that_is_cancelled_leaves_nothing(start: Starter) -> None:
    async def scenario() -> None:
        manager = container_kernel_manager(start)
        task = asyncio.ensure_future(manager.start_kernel())
        while not start.made:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not manager.has_kernel

    go(scenario)


def test_the_entry_point_says_what_it_lacks() -> None:
    provisioner = ContainerProvisioner()
    with pytest.raises(InputError, match="no image"):
        asyncio.run(provisioner.launch_kernel([]))


def test_the_relay_ends_with_its_host(start: Starter) -> None:
    """A host that is killed says nothing; its end of the pipe closes."""

    async def scenario() -> None:
        async with running_kernel(start) as manager:
            [outputs] = await execute(manager, "import os\nprint(os.getppid())")
            relay = int(text(outputs))
            assert manager.provisioner._carrier is not None
            manager.provisioner._carrier._process.stdin.close()  # type: ignore[union-attr]
            assert await dead(manager) < 1
            assert manager.why_ended == "The process ended with exit code 0."
            assert not Path(f"/proc/{relay}").exists()

    go(scenario)


def test_the_command_is_one_that_any_image_can_run() -> None:
    assert RELAY_COMMAND[:3] == ("python3", "-u", "-c")
    assert all(len(word) < 32_000 for word in RELAY_COMMAND)
