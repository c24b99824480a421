"""What a build prints, as events, and what it means when it fails; the texts are real ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from ipydock.engine.buildlog import BuildLog
from ipydock.errors import BaseImageError, BuildError, DiskFull
from ipydock.events import Event, LogLine, StepFinished, StepStarted

BUILDKIT = """\
#1 [internal] load build definition from Dockerfile
#1 sha256:3510057a377c6f2720fc891f4accc15e57b2976791571b8aa009e1dee0a56dce
#1 transferring dockerfile: 2.07kB done
#1 DONE 0.0s

#5 [stage-1 2/6] RUN --mount=type=secret,id=ca,target=/x     apt-get update && rm -rf y
#5 sha256:c63e8d0b4ca33f6798b28fdd372d2ddf677f0a44e74b4a77b99e004e2df580d8
#5 0.480 Get:1 http://deb.debian.org/debian bookworm InRelease [151 kB]
#5 ...

#6 [uv 2/2] RUN pip install uv
#6 sha256:c2c6e4696e79da85b501644fff8bd868cecee3044988d1fa9ce4aacb23a4ed8a
#6 CACHED

#5 [stage-1 2/6] RUN --mount=type=secret,id=ca,target=/x     apt-get update && rm -rf y
#5 3.062 Reading package lists...
#5 DONE 9.9s

#12 exporting to image
#12 exporting layers 1.9s done
#12 DONE 1.9s
"""


def feed(tmp_path: Path, text: str) -> tuple[BuildLog, list[Event]]:
    events: list[Event] = []
    with BuildLog(tmp_path / "logs" / "x.log", events.append) as log:
        for line in text.splitlines():
            log.line(line)
    return log, events


def test_steps_and_lines_of_buildkit(tmp_path: Path) -> None:
    log, events = feed(tmp_path, BUILDKIT)
    assert [e.title for e in events if isinstance(e, StepStarted)] == [
        "RUN apt-get update && rm -rf y",
        "RUN pip install uv",
    ]
    assert [(e.step, e.cached) for e in events if isinstance(e, StepFinished)] == [
        ("6", True),
        ("5", False),
    ]
    lines = [e.line for e in events if isinstance(e, LogLine) and e.step == "5"]
    assert lines == [
        "Get:1 http://deb.debian.org/debian bookworm InRelease [151 kB]",
        "Reading package lists...",
    ]
    assert log.path.read_text() == BUILDKIT


def test_steps_of_podman(tmp_path: Path) -> None:
    text = "[2/2] STEP 1/3: FROM debian\nSTEP 2/3: RUN echo hi\nhi\nSTEP 3/3: USER 1000\n"
    _, events = feed(tmp_path, text)
    assert [e.title for e in events if isinstance(e, StepStarted)] == [
        "FROM debian",
        "RUN echo hi",
        "USER 1000",
    ]
    assert LogLine("build", "hi", "2/3") in events


@pytest.mark.parametrize(
    ("text", "kind", "says"),
    [
        (
            "#3 [internal] load metadata for docker.io/library/python:9.9-slim\n"
            '#3 ERROR: failed to do request: Head "https://x/v2/y": dial tcp: no such host\n',
            BaseImageError,
            "base image",
        ),
        (
            "#3 [internal] load metadata for docker.io/library/nope:1\n"
            "#3 ERROR: docker.io/library/nope:1: not found\n"
            " > [internal] load metadata for docker.io/library/nope:1:\n"
            "ERROR: failed to solve: nope:1: failed to resolve source metadata for nope:1\n",
            BaseImageError,
            "base image",
        ),
        (
            "#5 [2/2] RUN x\n#5 0.2 dd: error writing '/x': No space left on device\n"
            "#5 ERROR: executor failed running [/bin/sh -c x]: exit code: 1\n",
            DiskFull,
            "no space left",
        ),
        (
            "#5 [2/3] RUN apt-get install -y nope\n#5 1.2 E: Unable to locate package nope\n"
            "#5 ERROR: executor failed running\n",
            BuildError,
            "no such name",
        ),
        (
            "#5 [2/3] RUN uv pip install\n#5 1.2 error: Failed to fetch: `https://x`\n"
            "#5 1.3   cause: invalid peer certificate: UnknownIssuer\n#5 ERROR: exit code: 2\n",
            BuildError,
            "certificate",
        ),
        (
            "#5 [2/3] RUN make\n#5 1.2 make: *** No rule to make target\n#5 ERROR: exit code: 2\n",
            BuildError,
            "RUN make",
        ),
    ],
)
def test_what_a_failure_means(tmp_path: Path, text: str, kind: type[BuildError], says: str) -> None:
    log, _ = feed(tmp_path, text)
    failure = log.failure()
    assert type(failure) is kind
    assert says in failure.message
    assert str(log.path) in failure.hint
    assert failure.evidence
