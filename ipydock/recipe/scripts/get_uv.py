"""Put the uv program into a folder: `python get_uv.py FOLDER VERSION [SETTINGS [KEPT]]`.

uv installs the packages of the image and does not stay in it. Its wheel holds one program, which
is all that is taken; pip would need several seconds for the same. What is downloaded must be one of
the two files whose SHA-256 is written here, wherever a package index has it from.

SETTINGS is a uv.toml that says which indexes there are; without that file it is PyPI. Beside the
program an empty uv.toml is written, over which the next steps mount the same. KEPT is a folder that
outlives the build; a wheel that lies there is checked as a downloaded one is.
"""

from __future__ import annotations

import base64
import hashlib
import html
import io
import json
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
QUOTED = r"\"(?:[^\"\\]|\\.)*\"|'[^']*'"


def strings(text: str) -> list[str]:
    """The strings of a piece of TOML."""
    found = re.findall(QUOTED, text)
    return [json.loads(one) if one.startswith('"') else one[1:-1] for one in found]


def values(settings: str, key: str) -> list[str]:
    """The strings that a uv.toml has for a key, in their order; `tomllib` came with Python 3.11."""
    found: list[str] = []
    pattern = rf"^\s*(?:pip\.)?{key}\s*=\s*({QUOTED}|\[(?:\s|,|#.*|{QUOTED})*\])"
    for value in re.findall(pattern, settings, re.MULTILINE):
        found += strings(value)
    return found


def indexes(settings: str) -> list[str]:
    """The indexes that a uv.toml names, in the order in which uv asks them."""
    blocks = re.split(r"^\s*\[", settings, flags=re.MULTILINE)
    named = [block for block in blocks if block.startswith("[index]]")]
    default = [one for one in named if re.search(r"^\s*default\s*=\s*true", one, re.MULTILINE)]
    found = [url for one in named if one not in default for url in values(one, "url")]
    found += values(settings, "extra-index-url")
    found += [url for one in default for url in values(one, "url")] or values(settings, "index-url")
    return found if default or values(settings, "index-url") else [*found, INDEX]


def get(url: str, insecure: list[str]) -> tuple[str, bytes]:
    """The URL after redirects and the bytes behind it; a user and password in it are sent apart."""
    parts = urllib.parse.urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    request = urllib.request.Request(urllib.parse.urlunsplit(parts._replace(netloc=host)))
    if at:
        name, _, password = user.partition(":")
        secret = f"{urllib.parse.unquote(name)}:{urllib.parse.unquote(password)}"
        # Not sent on to another host that it redirects to.
        header = f"Basic {base64.b64encode(secret.encode()).decode()}"
        request.add_unredirected_header("Authorization", header)
    file = AUTHORITIES if os.path.exists(AUTHORITIES) else None
    context = ssl.create_default_context(cafile=file)
    if {parts.hostname, host} & set(insecure):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    with urllib.request.urlopen(request, context=context, timeout=120) as answer:
        return answer.geturl(), answer.read()


def wheel_of(index: str, wanted: str, insecure: list[str]) -> bytes | None:
    """The bytes of the wheel with that digest, None where the index does not have it."""
    page, text = get(index.rstrip("/") + "/uv/", insecure)
    link = re.search(rf"""href=["']([^"'#]+)#sha256={wanted}""", text.decode())
    if link is None:
        return None
    target = urllib.parse.urljoin(page, html.unescape(link[1]))
    here, there = urllib.parse.urlsplit(index), urllib.parse.urlsplit(target)
    user, at, host = here.netloc.rpartition("@")
    if (there.scheme, there.netloc) == (here.scheme, host):
        # Elsewhere the password has no business.
        target = there._replace(netloc=user + at + host).geturl()
    wheel = get(target, insecure)[1]
    if hashlib.sha256(wheel).hexdigest() != wanted:
        sys.exit("What was downloaded for uv is not what was asked for.")
    return wheel


def said(error: urllib.error.URLError) -> str:
    """What went wrong; never the address, which may hold a password."""
    if not isinstance(error, urllib.error.HTTPError):
        return str(error.reason)
    return f"{error.code} {error.reason}"


def kept_wheel(path: str, wanted: str) -> bytes | None:
    """The bytes of the wheel that an earlier build left, None where there is none."""
    if not os.path.exists(path):
        return None
    with open(path, "rb") as file:
        wheel = file.read()
    return wheel if hashlib.sha256(wheel).hexdigest() == wanted else None


def downloaded(version: str, wanted: str, file: str) -> bytes:
    """The bytes of the wheel from the first index that has it."""
    settings = ""
    if os.path.exists(file):
        with open(file, encoding="utf-8") as stream:
            settings = stream.read()
    faults: list[str] = []
    for index in indexes(settings):
        host = urllib.parse.urlsplit(index).hostname
        try:
            wheel = wheel_of(index, wanted, values(settings, "allow-insecure-host"))
        except urllib.error.URLError as error:
            faults.append(f"the package index {host} answers: {said(error)}")
            continue
        if wheel is not None:
            return wheel
        faults.append(f"the package index {host} does not have it")
    sys.exit(f"uv {version} cannot be downloaded: {'; '.join(faults)}")


def main(folder: str, version: str, file: str = "", kept: str = "") -> None:
    """Find the wheel by its digest, check it, and take the program out of it."""
    wanted = SHA256.get(platform.machine())
    if wanted is None:
        sys.exit(f"There is no uv for {platform.machine()}.")
    store = os.path.join(kept, f"uv-{wanted}.whl") if kept else ""
    wheel = kept_wheel(store, wanted)
    if wheel is None:
        wheel = downloaded(version, wanted, file)
        if store:
            part = f"{store}.{os.getpid()}"  # another build may be at the same file
            with open(part, "wb") as stream:
                stream.write(wheel)
            os.replace(part, store)
    os.makedirs(folder, exist_ok=True)
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        name = next(name for name in archive.namelist() if name.endswith("/scripts/uv"))
        path = os.path.join(folder, "uv")
        with open(path, "wb") as program:
            program.write(archive.read(name))
    os.chmod(path, 0o755)
    with open(os.path.join(folder, "uv.toml"), "wb"):
        pass


if __name__ == "__main__":
    main(*sys.argv[1:])
