"""What all tests share: a cache of their own, and the engine for those that need one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
IN_CI = bool(os.environ.get("CI"))


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Logs, pins and environments of the tests stay out of the user's cache."""
    before = os.environ.get("IPYDOCK_CACHE_DIR")
    os.environ["IPYDOCK_CACHE_DIR"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ["IPYDOCK_CACHE_DIR"]
    else:
        os.environ["IPYDOCK_CACHE_DIR"] = before


@pytest.fixture(scope="session")
def docker_host() -> str:
    """The address of a real engine, started by the test bed if there is none.

    Of tests that run at once each worker has one of its own, where the engine is the bed's. It is
    left up for the next run; tests/suite.py takes it down in CI, where there is no next one.
    """
    done = _bed("up")
    if done.returncode:
        (pytest.fail if IN_CI else pytest.skip)(f"no container engine: {done.stderr.strip()}")
    address = done.stdout.strip().splitlines()[-1].removeprefix("DOCKER_HOST=")
    if os.environ.get("PYTEST_XDIST_WORKER", "gw0") != "gw0":
        second = _bed("also", "second")
        if second.returncode == 0:
            address = json.loads(second.stdout)["DOCKER_HOST"]
    os.environ["DOCKER_HOST"] = address
    return address


def _bed(*words: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "tests.bed", *words]
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture(autouse=True)
def _engine_for_marked(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("engine"):
        request.getfixturevalue("docker_host")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say by name what this machine could not run."""
    skipped = terminalreporter.stats.get("skipped", [])
    if skipped:
        terminalreporter.section("NOT RUN ON THIS MACHINE", sep="!", red=True, bold=True)
        for report in skipped:
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
            terminalreporter.line(f"{report.nodeid}: {reason}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI nothing may be left out."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if IN_CI and reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
