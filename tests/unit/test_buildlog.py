"""What a build prints, as events, and what it means when it fails; the texts are real ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from ipydock.engine import buildlog
from ipydock.engine.buildlog import BuildLog
from ipydock.errors import BaseImageError, BuildError, DiskFull
from ipydock.events import Event, LogLine, Progressed, StepFinished, StepStarted

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
        "Store the image",
    ]
    assert [(e.step, e.cached) for e in events if isinstance(e, StepFinished)] == [
        ("6", True),
        ("5", False),
        ("12", False),
    ]
    lines = [e.line for e in events if isinstance(e, LogLine) and e.step == "5"]
    assert lines == [
        "Get:1 http://deb.debian.org/debian bookworm InRelease [151 kB]",
        "Reading package lists...",
    ]
    assert log.path.read_text() == BUILDKIT


def test_titles_are_short(tmp_path: Path) -> None:
    digest = "0d79751badf58d4daadc55866741bdc3e54fc5cd2b117fb8ed730f839e311d1e"
    text = (
        f"#4 [1/4] FROM docker.io/library/python:3.12@sha256:{digest}\n"
        "#5 [2/4] RUN --mount=type=bind,source=x,target=/x     UV_CONFIG_FILE=/opt/uv/uv.toml "
        "UV_LINK_MODE=copy       /opt/uv/uv pip install -r /x\n"
        "#6 [3/4] RUN LANG=C make\n"
    )
    _, events = feed(tmp_path, text)
    assert [e.title for e in events if isinstance(e, StepStarted)] == [
        "FROM docker.io/library/python:3.12@sha256:0d79751badf5…",
        "RUN /opt/uv/uv pip install -r /x",
        "RUN LANG=C make",
    ]


PULL = """\
#4 [1/4] FROM docker.io/library/python:3.12
#4 sha256:0d79751badf58d4daadc55866741bdc3e54fc5cd2b117fb8ed730f839e311d1e 343B / 343B done
#4 sha256:e028921d28d699c6ab993f6643f5d1bb3e6c32cd5642105946e17be00a9393d8 6.29MB / 28.05MB 0.2s
#4 sha256:eb475d1ca82f5e219f618805048c8139a7c9163ea721bb8b1d443eada4e59161 3.15MB / 17.83MB 0.3s
#4 DONE 1.1s
#3 [internal] load .dockerignore
#3 transferring context: 157B done
#5 [internal] load build context
#5 transferring context: 104.86MB 1.4s
#5 transferring context: 314.63MB 4.0s done
#5 DONE 4.1s
"""


def test_how_far_it_is_with_a_bar_where_the_total_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(buildlog, "_EVERY", 0.0)
    events: list[Event] = []
    for sent in (None, 314_640_000):
        with BuildLog(tmp_path / "x.log", events.append, sent) as log:
            for line in PULL.splitlines():
                log.line(line)
    found = [(e.done, e.total) for e in events if isinstance(e, Progressed)]
    pull = [(6_290_343, 28_050_343), (9_440_343, 45_880_343)]
    assert found[:4] == [*pull, (104_860_000, None), (314_630_000, None)]
    assert found[4:] == [*pull, (104_860_000, 314_640_000), (314_630_000, 314_640_000)]
    titles = [e.title for e in events if isinstance(e, StepStarted)]
    assert titles[1] == "Send the files to the engine"
    assert not [e for e in events if isinstance(e, LogLine)]


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
            "#6 [3/3] RUN uv pip install nope-xyz\n"
            "#6 0.9 error: No solution found when resolving dependencies\n"
            "#6 0.9   cause: Because nope-xyz was not found in the package registry and you "
            "require nope-xyz, we can conclude that your requirements are unsatisfiable.\n"
            "#6 ERROR: executor failed running [/bin/sh -c uv]: exit code: 1\n",
            BuildError,
            "not in the package index",
        ),
        (
            "#6 [3/3] RUN uv pip install six==99\n"
            "#6 0.9   cause: Because there is no version of six==99 and you require six==99, we "
            "can conclude that your requirements are unsatisfiable.\n",
            BuildError,
            "not there in that version",
        ),
        (
            "#6 [3/3] RUN uv pip install triton-windows\n"
            "#6 0.9   cause: Because all versions of triton-windows have no wheels with a matching "
            "platform tag (e.g., `manylinux_2_36_x86_64`) and you require triton-windows, we can "
            "conclude that your requirements are unsatisfiable.\n",
            BuildError,
            "no wheel for the image's platform",
        ),
        (
            "#6 [3/3] RUN uv pip install pyaudio\n"
            "#6 0.9   cause: Because all versions of pyaudio have no usable wheels and you require "
            "pyaudio, we can conclude that your requirements are unsatisfiable.\n",
            BuildError,
            "no wheel for the image's platform",
        ),
        (
            "#5 [3/3] RUN uv pip install pyaudio==0.2.14\n"
            "#5 9.1          error: [Errno 2] No such file or directory: 'gcc'\n"
            "#5 9.1 hint: Build failures usually indicate a problem with the package or the build "
            "environment\n#5 ERROR: executor failed running [/bin/sh -c uv]: exit code: 1\n",
            BuildError,
            "cannot be compiled",
        ),
        (
            "#6 [3/3] RUN uv pip install\n#6 1.0 error: Failed to download `six==1.17.0`\n"
            "#6 1.0   cause: Hash mismatch for `six==1.17.0`\n",
            BuildError,
            "not the one that was locked",
        ),
        (
            "#6 [3/3] RUN pip install nope-xyz\n"
            "#6 1.0 ERROR: Could not find a version that satisfies the requirement nope-xyz (from "
            "versions: none)\n#6 1.0 ERROR: No matching distribution found for nope-xyz\n",
            BuildError,
            "not in the package index",
        ),
        (
            "#6 [3/3] RUN pip install six\n"
            "#6 1.0 Could not fetch URL https://pypi.org/simple/six/: There was a problem "
            "confirming the ssl certificate: HTTPSConnectionPool(host='pypi.org', port=443)\n"
            "#6 1.0 ERROR: Could not find a version that satisfies the requirement six (from "
            "versions: none)\n",
            BuildError,
            "certificate",
        ),
        (
            "#6 [2/2] RUN apt-get install graphviz=99\n"
            "#6 4.0 E: Version '99' for 'graphviz' was not found\n"
            "#6 ERROR: executor failed running [/bin/sh -c apt-get]: exit code: 100\n",
            BuildError,
            "not there in that version",
        ),
        (
            "#6 [2/2] RUN python -c x\n#6 0.4 Killed\n"
            "#6 ERROR: executor failed running [/bin/sh -c python -c x]: exit code: 137\n",
            BuildError,
            "no memory left",
        ),
        (
            "#8 [2/2] RUN nosuch\n#8 0.4 /bin/sh: 1: nosuch: not found\n"
            '#8 ERROR: process "/bin/sh -c nosuch" did not complete successfully: exit code: 127\n',
            BuildError,
            "a command is not there",
        ),
        (
            '#7 [2/2] COPY nothere /x\n#7 ERROR: "/nothere" not found: not found\n',
            BuildError,
            "COPY",
        ),
        (
            "failed to solve with frontend dockerfile.v0: failed to create LLB definition: "
            "dockerfile parse error line 3: unknown instruction: RUNN\n",
            BuildError,
            "does not understand",
        ),
        (
            "Error response from daemon: client version 1.10 is too old. Minimum supported API "
            "version is 1.12, please upgrade your client to a newer version\n",
            BuildError,
            "client is too old",
        ),
        (
            "E: You don't have enough free space in /var/cache/apt/archives/.\n",
            DiskFull,
            "no space left",
        ),
        (
            "error: In `--require-hashes` mode, all requirements must have a hash, but none were "
            "provided for: six==1.17.0\n",
            BuildError,
            "without a hash",
        ),
        (
            "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.\n",
            BuildError,
            "not the one that was locked",
        ),
        (
            "hint: An index URL (https://x/simple) could not be queried due to a lack of valid "
            "authentication credentials (401 Unauthorized)\n",
            BuildError,
            "user and password",
        ),
        (
            "  cause: HTTP status client error (403 Forbidden) for url (https://x/six-1.whl)\n",
            BuildError,
            "user and password",
        ),
        (
            "fatal: could not read Username for 'https://x': terminal prompts disabled\n",
            BuildError,
            "Git repository",
        ),
        ("fatal: Authentication failed for 'https://x/y.git/'\n", BuildError, "Git repository"),
        ("  cause: tunnel error: proxy authorization required\n", BuildError, "proxy"),
        (
            "E: Failed to fetch http://x/InRelease  407  Proxy Authentication Required\n",
            BuildError,
            "proxy",
        ),
        (
            "ERROR: numpy-1.0-cp27-cp27m-win32.whl is not a supported wheel on this platform.\n",
            BuildError,
            "no wheel for the image's platform",
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


NO_NETWORK = [
    # uv: no name server, no route, nobody listening, no answer
    "  cause: failed to lookup address information: Temporary failure in name resolution",
    "  cause: dns error",
    "  cause: Network is unreachable (os error 101)",
    "  cause: Connection refused (os error 111)",
    "  cause: operation timed out",
    "  cause: deadline has elapsed",
    # pip
    "broken by 'NewConnectionError('<x>: Failed to establish a new connection: [Errno -3]'",
    # apt, whose `update` is content and whose `install` then says that there is no such package
    "W: Failed to fetch http://deb.debian.org/x  Temporary failure resolving 'deb.debian.org'\n"
    "E: Unable to locate package hello",
    "  Could not connect to 127.0.0.1:9 (127.0.0.1). - connect (111: Connection refused)",
    # git
    "fatal: unable to access 'https://x/y.git/': Could not resolve host: x",
    "fatal: unable to access 'https://x/y.git/': Failed to connect to x port 9 after 0 ms: "
    "Couldn't connect to server",
]


@pytest.mark.parametrize("text", NO_NETWORK)
def test_a_network_that_is_not_there(tmp_path: Path, text: str) -> None:
    said = "".join(f"#5 1.0 {line}\n" for line in text.splitlines())
    log, _ = feed(tmp_path, f"#5 [2/3] RUN x\n{said}#5 ERROR: process x: exit code: 1\n")
    assert "the network cannot be reached from the build" in log.failure().message


# Docker 20.10: two stages beside each other, and the failed one told again at the end.
BESIDE = """\
#8 [stage-1 3/7] RUN uv pip install -r /tmp/requirements.lock
#8 1.274 Downloading jedi (4.7MiB)
#9 [wheels 2/3] RUN uv build --wheel /src/mine
#9 0.350 Building wheel...
#8 3.772  Downloaded jedi has no wheels
#9 30.1 error: Failed to fetch: `https://pypi.org/simple/setuptools/`
#8 3.773  Downloaded pygments
#9 30.1   cause: operation timed out
#9 ERROR: executor failed running [/bin/sh -c uv build --wheel /src/mine]: exit code: 2
#8 3.774  Downloaded numpy
#8 CANCELED
------
 > [wheels 2/3] RUN uv build --wheel /src/mine:
#9 0.350 Building wheel...
#9 30.1   cause: operation timed out
------
executor failed running [/bin/sh -c uv build --wheel /src/mine]: exit code: 2
"""


def test_the_evidence_is_what_the_failed_step_wrote_last(tmp_path: Path) -> None:
    log, _ = feed(tmp_path, BESIDE)
    failure = log.failure()
    assert isinstance(failure, BuildError)
    assert failure.last_lines() == (
        "Building wheel...",
        "error: Failed to fetch: `https://pypi.org/simple/setuptools/`",
        "  cause: operation timed out",
        "exit code: 2",
    )
    assert failure.last_lines(1) == ("exit code: 2",)
    assert "'RUN uv build --wheel /src/mine': the network cannot be reached" in failure.message
    assert log.path.read_text() == BESIDE


def test_the_evidence_of_podman_is_of_its_last_step(tmp_path: Path) -> None:
    text = "STEP 1/2: FROM debian\nSTEP 2/2: RUN false\nno\nError: building: exit status 1\n"
    failure = feed(tmp_path, text)[0].failure()
    assert failure.evidence == "no\nError: building: exit status 1"


def test_what_says_nothing_known_is_told_by_its_last_line(tmp_path: Path) -> None:
    text = "#5 [2/3] RUN make\n#5 1.2 make: *** No rule\n#5 ERROR: process x: exit code: 2\n"
    message = feed(tmp_path, text)[0].failure().message
    assert message == "The build failed in the step 'RUN make': make: *** No rule"


def test_a_build_steers_no_terminal(tmp_path: Path) -> None:
    log, events = feed(tmp_path, "#5 [2/2] RUN x\n#5 0.1 \x1b]0;title\x07\x1b[31mred\x1b[0m\n")
    assert LogLine("build", "red", "5") in events
    assert "\x1b" not in log.path.read_text()
