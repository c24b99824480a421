"""A package index that wants a password, and a proxy that does, both on loopback and counted."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import re
import select
import socket
import ssl
import subprocess
import threading
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

PYPI = "https://pypi.org"


def wheel(name: str, version: str, **modules: str) -> tuple[str, bytes]:
    """The file name and the bytes of a wheel that has these modules."""
    stem = f"{name.replace('-', '_')}-{version}"
    info = f"{stem}.dist-info"
    files = {
        **{f"{module}.py": text for module, text in modules.items()},
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in (*files, f"{info}/RECORD"))
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for path, text in {**files, f"{info}/RECORD": record}.items():
            archive.writestr(path, text)
    return f"{stem}-py3-none-any.whl", target.getvalue()


@dataclass
class Site:
    """A server on loopback.

    ``asked`` are the paths of the requests that it let in, ``refused`` of those that it did not;
    ``login`` is what it wants, ``USER:PASSWORD``, empty for nothing.
    """

    url: str
    login: str = ""
    asked: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def with_user(self, userinfo: str) -> str:
        """The URL with a user and password."""
        return self.url.replace("://", f"://{userinfo}@", 1)

    def projects(self) -> set[str]:
        """The names that were looked up."""
        found = (re.fullmatch(r"/simple/([^/]+)/", path) for path in self.asked)
        return {match[1] for match in found if match}


@contextlib.contextmanager
def index(
    *wheels: tuple[str, bytes],
    login: str = "",
    upstream: bool = False,
    status: int = 0,
    certificate: Path | None = None,
) -> Iterator[Site]:
    """A package index; ``site.url`` ends with ``/simple``.

    Args:
        wheels: what it has.
        login: ``USER:PASSWORD`` that it wants.
        upstream: whether it has all that PyPI has, too.
        status: what it answers to everything.
        certificate: a file with its key and certificate, to be spoken to in TLS.
    """
    store = _Store(dict(wheels), upstream=upstream, status=status)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if _is_wrong(site, self.headers.get("Authorization")):
                site.refused.append(self.path)
                self.answer(401, b"", "text/plain", "WWW-Authenticate")
            else:
                site.asked.append(self.path)
                self.answer(*store.get(self.path, self.headers.get("Accept", "text/html")))

        do_HEAD = do_GET

        def answer(self, code: int, body: bytes, kind: str, challenge: str = "") -> None:
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            if challenge:
                self.send_header(challenge, 'Basic realm="x"')
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with _served(Handler, certificate) as port:
        scheme = "https" if certificate else "http"
        site = Site(f"{scheme}://127.0.0.1:{port}/simple", login)
        yield site


def _is_wrong(site: Site, given: str | None) -> bool:
    wanted = "Basic " + base64.b64encode(site.login.encode()).decode()
    return bool(site.login) and given != wanted


class _Store:
    """What an index answers: status, body and type."""

    def __init__(self, files: dict[str, bytes], *, upstream: bool, status: int) -> None:
        self._files, self._upstream, self._status = files, upstream, status
        self._pages: dict[str, str] = {}
        for name, data in files.items():
            path = f"/simple/{name.split('-')[0].replace('_', '-').lower()}/"
            digest = hashlib.sha256(data).hexdigest()
            link = f'<a href="/files/{name}#sha256={digest}">{name}</a><br>'
            self._pages[path] = self._pages.get(path, "<!DOCTYPE html>") + link

    def get(self, path: str, accept: str) -> tuple[int, bytes, str]:
        """The answer to a request."""
        if self._status:
            return self._status, b"", "text/plain"
        if path in self._pages:
            return 200, self._pages[path].encode(), "text/html"
        if (name := unquote(path).removeprefix("/files/")) in self._files:
            return 200, self._files[name], "application/octet-stream"
        if not self._upstream:
            return 404, b"", "text/plain"
        request = urllib.request.Request(PYPI + path, headers={"Accept": accept})
        try:
            with urllib.request.urlopen(request, timeout=60) as found:
                return 200, found.read(), found.headers["Content-Type"]
        except urllib.error.HTTPError as error:
            error.close()
            return error.code, b"", "text/plain"


@contextlib.contextmanager
def proxy(login: str = "") -> Iterator[Site]:
    """A forwarding proxy; ``asked`` are the hosts and URLs that it was asked for."""

    class Handler(BaseHTTPRequestHandler):
        def let_in(self) -> bool:
            if _is_wrong(site, self.headers.get("Proxy-Authorization")):
                site.refused.append(self.path)
                self.send_response(407)
                self.send_header("Proxy-Authenticate", 'Basic realm="x"')
                self.send_header("Content-Length", "0")
                self.end_headers()
                return False
            site.asked.append(self.path)
            return True

        def do_CONNECT(self) -> None:
            if not self.let_in():
                return
            host, _, port = self.path.rpartition(":")
            with socket.create_connection((host, int(port)), timeout=60) as there:
                self.send_response(200)
                self.end_headers()
                _join(self.connection, there)

        def do_GET(self) -> None:
            if not self.let_in():
                return
            parts = urlsplit(self.path)
            with socket.create_connection((parts.hostname, parts.port or 80), timeout=60) as there:
                lines = [f"{self.command} {parts._replace(scheme='', netloc='').geturl()} HTTP/1.0"]
                kept = {k: v for k, v in self.headers.items() if not k.startswith("Proxy-")}
                kept["Connection"] = "close"
                lines += [f"{name}: {value}" for name, value in kept.items()]
                there.sendall("\r\n".join([*lines, "", ""]).encode())
                while data := there.recv(1 << 16):
                    self.wfile.write(data)
            self.close_connection = True

        do_HEAD = do_GET

        def log_message(self, *_: Any) -> None:
            pass

    with _served(Handler, None) as port:
        site = Site(f"http://127.0.0.1:{port}", login)
        yield site


def _join(one: socket.socket, other: socket.socket) -> None:
    """Carry bytes both ways until one side ends."""
    while True:
        readable, _, _ = select.select([one, other], [], [], 60)
        if not readable:
            return
        for source in readable:
            data = source.recv(1 << 16)
            if not data:
                return
            (other if source is one else one).sendall(data)


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no fault of the test."""


@contextlib.contextmanager
def _served(handler: type[BaseHTTPRequestHandler], certificate: Path | None) -> Iterator[int]:
    server = _Quiet(("127.0.0.1", 0), handler)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def authority(folder: Path) -> tuple[Path, Path]:
    """A certificate authority's own certificate, and a server's (with its key) for 127.0.0.1."""

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    openssl("req", "-x509", *new, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=Tests")
    openssl("req", *new[:-2], "-keyout", "site.key", "-out", "site.csr", "-subj", "/CN=index")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth\n")
    openssl(
        *("x509", "-req", "-in", "site.csr", "-CA", "ca.pem", "-CAkey", "ca.key"),
        *("-CAcreateserial", "-days", "2", "-extfile", "names", "-out", "site.crt"),
    )
    both = folder / "site.pem"
    both.write_text((folder / "site.key").read_text() + (folder / "site.crt").read_text())
    return folder / "ca.pem", both
