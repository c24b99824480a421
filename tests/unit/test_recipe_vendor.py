"""Wheels for the build context: which, and how they are downloaded."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ipydock.errors import Cancelled, InputError, LockError
from ipydock.events import Event, Progressed, ignore
from ipydock.models import Download
from ipydock.process import Cancellation
from ipydock.recipe.lock import LockedFiles, files
from ipydock.recipe.vendor import chosen, fetch, kept, put

CONTENT = b"a wheel" * 100_000


def wheel(name: str, sha256: str = "a" * 64) -> Download:
    return Download(name=name, url=f"https://example.org/{name}", sha256=sha256)


def locked(*names: str) -> LockedFiles:
    return LockedFiles("x", "1.0", tuple(map(wheel, names)), None)


@pytest.mark.parametrize(
    ("best", "others"),
    [
        ("x-1.0-cp311-cp311-manylinux_2_28_x86_64.whl", ["x-1.0-py3-none-any.whl"]),
        (
            "x-1.0-cp311-cp311-manylinux_2_28_x86_64.whl",
            ["x-1.0-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"],
        ),
        (
            "x-1.0-cp311-cp311-manylinux2014_x86_64.whl",
            ["x-1.0-cp39-abi3-manylinux2014_x86_64.whl", "x-1.0-py3-none-any.whl"],
        ),
    ],
)
def test_the_wheel_that_an_installer_would_take(best: str, others: list[str]) -> None:
    found = chosen([locked(*others, best)], python="3.11", machine="x86_64")
    assert [file.name for file in found] == [best]


def test_what_has_no_wheel_cannot_be_vendored() -> None:
    with pytest.raises(InputError, match=r"x 1\.0 cannot be vendored"):
        chosen([locked()], python="3.11", machine="x86_64")


def test_the_files_of_a_lock() -> None:
    found = files("six==1.17.0\n", python="3.11", platform="x86_64-manylinux_2_36")
    assert [file.name for file in found[0].wheels] == ["six-1.17.0-py2.py3-none-any.whl"]
    assert len(found[0].wheels[0].sha256) == 64


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server that has the content under any name, and never ends `/slow`."""
    monkeypatch.setenv("IPYDOCK_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(404 if self.path == "/none" else 200)
            self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            if self.path == "/slow":
                self.wfile.write(b"x")
                over.wait(30)
            else:
                self.wfile.write(CONTENT)

        def log_message(self, *_words: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{served.server_port}"
        over.set()
        served.shutdown()


def download(url: str, name: str = "x.whl", content: bytes = CONTENT) -> Download:
    digest = hashlib.sha256(content).hexdigest()
    return Download(name=name, url=url, sha256=digest, size_bytes=len(content))


def test_files_are_downloaded_once_and_put_into_the_context(server: str, tmp_path: Path) -> None:
    events: list[Event] = []
    file = download(f"{server}/x.whl")
    fetch([file], events.append)
    last = events[-1]
    assert isinstance(last, Progressed)
    assert (last.done, last.total, last.unit) == (len(CONTENT), len(CONTENT), "B")
    events.clear()
    fetch([file], events.append)
    assert events == []
    put([file], tmp_path)
    assert (tmp_path / "wheels" / "x.whl").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("path", "content", "says"),
    [("x", b"other", "is not what the index said"), ("none", CONTENT, "cannot be downloaded")],
)
def test_a_download_that_fails_leaves_nothing(
    server: str, path: str, content: bytes, says: str
) -> None:
    file = download(f"{server}/{path}", content=content)
    with pytest.raises(LockError, match=says):
        fetch([file], ignore)
    assert list(kept(file).parent.iterdir()) == []


def test_a_download_is_cancelled_at_once(server: str) -> None:
    cancel = Cancellation()
    threading.Timer(0.3, cancel.cancel).start()
    began = time.monotonic()
    with pytest.raises(Cancelled):
        fetch([download(f"{server}/slow")], ignore, cancel)
    assert time.monotonic() - began < 2
