"""Put the uv program into a folder: `python get_uv.py FOLDER VERSION`.

uv installs the packages of the image and does not stay in it. Its wheel holds one program, which
is all that is taken; pip would need several seconds for the same. What is downloaded must be one of
the two files whose SHA-256 is written here, wherever the package index has it from.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
import platform
import re
import ssl
import sys
import urllib.error
import urllib.parse
import urllib.request
import zipfile

INDEX = "https://pypi.org/simple"
SHA256 = {
    "x86_64": "d7f459fe4fd247d830351c75686d3996ace3c6f3f728eb0e85a30b7ada0cef19",
    "aarch64": "5435c5ce14a56431208ca0996416d310f1598e8c2c8ba707688985a16bb82dbe",
}
AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"


def get(url: str) -> tuple[str, bytes]:
    """The URL after redirects and the bytes behind it; a user and password in it are sent apart."""
    parts = urllib.parse.urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    request = urllib.request.Request(urllib.parse.urlunsplit(parts._replace(netloc=host)))
    if at:
        secret = base64.b64encode(urllib.parse.unquote(user).encode()).decode()
        request.add_header("Authorization", f"Basic {secret}")
    file = AUTHORITIES if os.path.exists(AUTHORITIES) else None
    context = ssl.create_default_context(cafile=file)
    with urllib.request.urlopen(request, context=context, timeout=120) as answer:
        return parts._replace(netloc=user + at + host).geturl(), answer.read()


def main(folder: str, version: str) -> None:
    """Find the wheel on the index by its digest, check it, and take the program out of it."""
    wanted = SHA256.get(platform.machine())
    if wanted is None:
        sys.exit(f"There is no uv for {platform.machine()}.")
    index = os.environ.get("UV_DEFAULT_INDEX") or os.environ.get("PIP_INDEX_URL") or INDEX
    page, text = get(index.rstrip("/") + "/uv/")
    link = re.search(rf'href="([^"#]+)#sha256={wanted}', text.decode())
    if link is None:
        sys.exit(f"The package index has no uv {version} with the digest {wanted}.")
    target = urllib.parse.urljoin(page, link[1].replace("&amp;", "&"))
    if urllib.parse.urlsplit(target).hostname != urllib.parse.urlsplit(page).hostname:
        target = link[1]  # elsewhere, where the index's password has no business
    wheel = get(target)[1]
    if hashlib.sha256(wheel).hexdigest() != wanted:
        sys.exit(f"What was downloaded for uv {version} is not what was asked for.")
    os.makedirs(folder, exist_ok=True)
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        name = next(name for name in archive.namelist() if name.endswith("/scripts/uv"))
        path = os.path.join(folder, "uv")
        with open(path, "wb") as program:
            program.write(archive.read(name))
    os.chmod(path, 0o755)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except urllib.error.URLError as error:
        # Never the address: it may hold a password.
        sys.exit(f"uv cannot be downloaded from the package index: {error.reason}")
