"""Credentials told by their form. Those here are made up; none opens anything."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from ipydock.credentials import find, in_bytes, in_file, mask

# Put together, so that no scanner takes this file for one that leaks.
GITHUB = "ghp_" + "wWPw5k4aXcaT4fNP0UcnZwJUVFk6LO0pINUx"
SECRETS = {
    "AWS access key": "AKIA" + "IOSFODNN7REALKEY",
    "GitHub token": GITHUB,
    "GitHub fine-grained token": "github_pat_"
    + "11ABCDEFG0aB3dE5gH7jK9_"
    + "aB3dE5gH7jK" * 5
    + "aB3d",
    "GitLab token": "glpat-" + "aB3dE5gH7jK9mN1pQ3sT",
    "Slack token": "xoxb-" + "263594206564-2343594206574-FGqddMF8t08v8N7Oq4i57vs1",
    "Stripe key": "sk_live_" + "4eC39HqLyjWDarjtT1zdp7dc",
    "JSON web token": "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"
    + ".eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIn0"
    + ".SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c",
    "OpenAI key": "sk-" + "a1B2c3D4e5F6g7H8i9J0T3BlbkFJZ1y2X3w4V5u6T7s8R9q0",
    "PyPI token": "pypi-AgEIcHlwaS5vcmc" + "aB3" * 30,
    "SendGrid key": "SG."
    + "aB3dE5gH7jK9mN1pQ3sTuV."
    + "aB3dE5gH7jK9mN1pQ3sTuVaB3dE5gH7jK9mN1pQ3sTu",
    "Azure storage key": "AccountKey=" + "aB3/" * 21 + "aB==",
    "Google API key": "AIza" + "SyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY",
    "Hugging Face token": "hf_" + "aBcDeFgHiJkLmNoPqRsTuVwXyZabcdefgh",
    "password in a URL": "postgresql://" + "bob:Zx9hunterXy@db.example.com/x",
    "private key": "-----BEGIN RSA PRIVATE" + " KEY-----",
}  # fmt: skip


@pytest.mark.parametrize("kind", sorted(SECRETS))
def test_forms(kind: str) -> None:
    text = f"x = 1\nkey = '{SECRETS[kind]}'\n"
    assert [(found.kind, found.line) for found in find(text)] == [(kind, 2)]
    assert in_bytes(text.encode()) == kind
    masked = mask(text)
    assert masked.startswith("x = 1\n")
    for piece in SECRETS[kind].split("@")[0].split("//")[-1].removeprefix("-----").split("."):
        assert piece not in masked


@pytest.mark.parametrize(
    "text",
    [
        "import os\ntoken = os.environ['TOKEN']",
        "password = 'correct horse'",
        "url = 'postgresql://user:password@localhost/db'",
        "url = f'https://{user}:{password}@example.org'",
        "url = 'https://<user>:<token>@example.org'",
        "AKIA" + "IOSFODNN7EXAMPLE",
        "ghp_" + "x" * 36,
        "uuid = '3f2504e0-4f89-11d3-9a0c-0305e82cbc73'",
        "git+https://github.com/a/b@main",
        "https://example.org/a:b/c@d",
        f"t = '{GITHUB}'  # pragma: allowlist secret",
        "",
    ],
)
def test_what_is_none(text: str) -> None:
    assert find(text) == []
    assert mask(text) == text


def test_masking_keeps_what_is_around() -> None:
    assert mask(f"a('{GITHUB}'), b") == "a('***'), b"
    url = SECRETS["password in a URL"]
    assert mask(url) == "postgresql://***@db.example.com/x"
    assert mask(f"{GITHUB} {GITHUB}") == "*** ***"


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    path.write_bytes(b"\x00\xff" * 1000 + SECRETS["Stripe key"].encode())
    assert in_file(path) == "Stripe key"
    path.write_bytes(b"\x00\xff" * 1000)
    assert in_file(path) is None


@pytest.mark.parametrize(
    "text",
    [
        *["=eyJ" * 250_000, "-eyJ" * 250_000, "-sk" * 330_000 + "T3BlbkFJ"],
        *["aws'" * 250_000, "://a:" * 200_000, "eyJ." * 250_000, "xoxb-1-" * 140_000],
        *["sk-a" * 200_000 + "T3BlbkFJ", "//" * 500_000 + "_authToken", "glpat-" * 150_000],
    ],
    ids=lambda text: text[:6],
)
def test_no_text_makes_it_slow(text: str) -> None:
    began = time.process_time()
    find(text)
    assert time.process_time() - began < 1


def test_the_detector_is_imported_only_where_there_is_something_to_ask() -> None:
    code = (
        "import sys; from ipydock.credentials import find\n"
        "find('import numpy; pd.read_csv(\"https://example.org/a.csv\")')\n"
        "assert 'detect_secrets' not in sys.modules\n"
        f"find({GITHUB!r}); assert 'detect_secrets' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
