"""Kernels in real containers, as locked up as a rerun's: no network, no capabilities, read-only."""

from __future__ import annotations

import os
import subprocess
import time
import uuid
from collections.abc import Iterator

import pytest
from nbclient.exceptions import DeadKernelError

from ipydock.engine.client import build_client, executables
from ipydock.errors import KernelStartError
from ipydock.hosts import ca_bundle
from ipydock.kernel import RELAY_COMMAND
from ipydock.kernel.manager import running_kernel
from ipydock.process import ProcessPlan
from tests.kernels import client_of, dead, displayed, execute, go, printed, reply_to, text

pytestmark = pytest.mark.engine

LABEL = "ipydock.test=1"
BASE = "python:3.11-slim-bookworm"
DOCKERFILE = f"""\
FROM {BASE}
RUN --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \\
    PIP_CERT=/etc/ssl/certs/ca-certificates.crt \\
    pip install --no-cache-dir --root-user-action=ignore ipykernel
"""
LOCKED_UP = (
    "--network", "none", "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
    "--read-only", "--tmpfs", "/tmp", "--user", "1234", "--log-driver", "none",
)  # fmt: skip


def docker(*arguments: str) -> str:
    program = next(executables("docker"))
    return subprocess.run(
        [program, *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture(scope="module")
def image(docker_host: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    client = build_client()
    if client is None:
        pytest.skip("no docker client that can build with BuildKit")
    context = tmp_path_factory.mktemp("context")
    (context / "Dockerfile").write_text(DOCKERFILE)
    bundle = ca_bundle()
    secret = ("--secret", f"id=ca,src={bundle}") if bundle else ()
    tag = "ipydock-test/kernel"
    subprocess.run(
        [*client.words, "--quiet", "--label", LABEL, "--tag", tag, *secret, str(context)],
        env={**os.environ, **dict(client.env)},
        check=True,
        capture_output=True,
    )
    yield tag
    docker("image", "rm", "--force", tag)


class DockerRun:
    """A kernel's container, started by the docker client."""

    def __init__(self, image: str, *options: str) -> None:
        self.name = f"ipydock-test-{uuid.uuid4().hex[:12]}"
        run = ("run", "--interactive", "--rm", "--name", self.name, "--label", LABEL)
        self.plan = ProcessPlan(
            (next(executables("docker")), *run, *LOCKED_UP, *options, image, *RELAY_COMMAND)
        )

    def why_ended(self, returncode: int | None) -> str:
        return f"exit code {returncode}"

    def remove(self) -> None:
        subprocess.run(
            [next(executables("docker")), "rm", "--force", "--volumes", self.name],
            check=False,
            capture_output=True,
        )


class Starter:
    def __init__(self, image: str) -> None:
        self.image = image
        self.options: tuple[str, ...] = ()
        self.made: list[DockerRun] = []

    def __call__(self) -> DockerRun:
        self.made.append(DockerRun(self.image, *self.options))
        return self.made[-1]


@pytest.fixture
def start(image: str) -> Iterator[Starter]:
    starter = Starter(image)
    yield starter
    for made in starter.made:
        assert docker("ps", "--all", "--quiet", "--filter", f"name={made.name}") == ""


def test_a_notebook_runs_locked_up(start: Starter) -> None:
    async def scenario() -> None:
        async with running_kernel(start) as manager:
            who, write, child, network, orphan, zombies = await execute(
                manager,
                "import os\nprint(os.getuid(), os.getppid())",
                "open('/x', 'w')",
                "!echo on descriptor 1; echo on descriptor 2 >&2",
                "import socket\nsocket.create_connection(('1.1.1.1', 53), timeout=1)",
                "import subprocess, time\nsubprocess.run('(sleep 0.2; true) &', shell=True)\n"
                "time.sleep(0.6)",
                "from pathlib import Path\n"
                "[p for p in Path('/proc').glob('[0-9]*/stat') if ') Z ' in p.read_text()]",
                allow_errors=True,
            )
            assert text(who) == "1234 1\n"
            assert write[0]["ename"] == "OSError"
            assert text(child).split("\r\n")[:2] == ["on descriptor 1", "on descriptor 2"]
            assert network[0]["ename"] == "OSError"
            assert orphan == []
            assert zombies[0]["data"] == {"text/plain": "[]"}

    go(scenario)


def test_interrupt_and_restart(start: Starter) -> None:
    async def scenario() -> None:
        async with running_kernel(start) as manager, client_of(manager) as client:
            request = client.execute("import time; y = 1; print('go', flush=True); time.sleep(60)")
            await printed(client, "go")
            await manager.interrupt_kernel()
            reply = await client._async_recv_reply(request, timeout=5)
            assert reply["content"]["ename"] == "KeyboardInterrupt"
            await manager.restart_kernel()
            assert len({made.name for made in start.made}) == 2
            assert (await reply_to(client, "y"))["content"]["ename"] == "NameError"

    go(scenario)


@pytest.mark.parametrize(
    ("code", "returncode"), [("os._exit(3)", 3), ("os.kill(os.getpid(), 9)", 137)]
)
def test_a_kernel_that_dies(start: Starter, code: str, returncode: int) -> None:
    async def scenario() -> None:
        async with running_kernel(start) as manager:
            began = time.monotonic()
            with pytest.raises(DeadKernelError):
                await execute(manager, f"import os; {code}")
            assert time.monotonic() - began < 5  # nbclient looks once a second
            assert manager.why_ended == f"exit code {returncode}"

    go(scenario)


def test_too_much_memory(start: Starter) -> None:
    start.options = ("--memory", "200m", "--memory-swap", "200m")

    async def scenario() -> None:
        async with running_kernel(start) as manager:
            with pytest.raises(DeadKernelError):
                await execute(manager, "x = bytearray(1_000_000_000)")
            assert manager.why_ended == "exit code 137"

    go(scenario)


def test_a_container_that_is_killed(start: Starter) -> None:
    async def scenario() -> None:
        async with running_kernel(start) as manager:
            docker("kill", start.made[0].name)
            assert await dead(manager) < 1
            assert manager.why_ended == "exit code 137"

    go(scenario)


def test_many_small_and_one_large_output(start: Starter) -> None:
    async def scenario() -> None:
        async with running_kernel(start) as manager:
            async with client_of(manager) as client:
                show = "from IPython.display import publish_display_data as show\n"
                client.execute(f"{show}for i in range(10_000): show({{'text/plain': str(i)}})")
                assert await displayed(client, 10_000) == [str(i) for i in range(10_000)]
            [outputs] = await execute(manager, f"{show}show({{'text/plain': 'x' * 30_000_000}})")
            assert outputs[0]["data"]["text/plain"] == "x" * 30_000_000

    go(scenario)


def test_shutdown_is_quick(start: Starter) -> None:
    async def scenario() -> None:
        for graceful in (True, False):
            async with running_kernel(start, graceful=graceful):
                began = time.monotonic()
            assert time.monotonic() - began < 3

    go(scenario)


@pytest.mark.parametrize(
    ("image_name", "evidence"),
    [(BASE, "No module named"), ("ipydock-test/does-not-exist:0", "ipydock-test/does-not-exist")],
)
def test_an_image_that_cannot_run_a_kernel(start: Starter, image_name: str, evidence: str) -> None:
    if image_name == BASE:
        docker("pull", "--quiet", BASE)  # a build that starts from it leaves no name of it behind
    start.image = image_name
    start.options = ("--pull", "never")

    async def scenario() -> None:
        async with running_kernel(start):
            pytest.fail("it started")

    began = time.monotonic()
    with pytest.raises(KernelStartError) as caught:
        go(scenario)
    assert time.monotonic() - began < 10
    assert evidence in caught.value.evidence
