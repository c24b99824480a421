"""Where a host takes packages from: settings of pip and uv, credentials, proxies."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from ipydock.credentials import hidden
from ipydock.errors import InputError
from ipydock.hosts import ca_bundle
from ipydock.network.indexes import Index, indexes, uses_loopback
from ipydock.network.keys import Keys
from ipydock.network.pip import pip_settings
from ipydock.network.proxies import proxies

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host whose settings are all in one empty folder."""
    for name in list(os.environ):
        if name.upper().startswith(("PIP_", "UV_", "XDG_", "NETRC", "VIRTUAL_ENV")):
            monkeypatch.delenv(name)
        if name.upper().endswith("_PROXY"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_DIRS", str(tmp_path / "xdg"))
    # A file of our own goes before those of this machine.
    main = write(tmp_path / "pip.conf", "[global]\nextra-index-url =\nfind-links =\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(main))
    return tmp_path


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def urls(**env: str) -> list[str]:
    """What is asked, in this order; the default in brackets."""
    found = indexes({**os.environ, **env})
    return [f"[{one.whole}]" if one.default else one.whole for one in found.indexes]


# --- pip -----------------------------------------------------------------------------------


def test_the_order_of_pips_files(host: Path) -> None:
    write(host / "xdg" / "pip" / "pip.conf", "[global]\nindex-url = shared\ntimeout = 1\n")
    write(host / ".config" / "pip" / "pip.conf", "[global]\nindex_url = user\nproxy = p\n")
    write(host / "env" / "pip.conf", "[install]\nindex-url = 50%site\n[global]\nindex-url = x\n")
    env = {
        "HOME": str(host),
        "XDG_CONFIG_DIRS": str(host / "xdg"),
        "VIRTUAL_ENV": str(host / "env"),
    }
    found = pip_settings(env)
    assert (found["index-url"], found["timeout"], found["proxy"]) == ("50%site", "1", "p")
    assert pip_settings({**env, "PIP_INDEX_URL": "told"})["index-url"] == "told"
    assert pip_settings({**env, "PIP_CONFIG_FILE": os.devnull}) == {}


def test_a_file_of_pip_that_cannot_be_read_shows_nothing_of_it(host: Path) -> None:
    write(host / ".config" / "pip" / "pip.conf", "index-url = https://u:hunter22@x\n")
    with pytest.raises(InputError, match="cannot be read") as raised:
        pip_settings()
    assert "hunter22" not in f"{raised.value.paragraph()} {raised.value.evidence}"
    assert raised.value.__cause__ is None


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({}, []),
        ({"PIP_INDEX_URL": "https://a/s"}, ["[https://a/s]"]),
        ({"PIP_EXTRA_INDEX_URL": "https://a/s\nhttps://b/s"}, ["https://a/s", "https://b/s"]),
        (
            {"PIP_INDEX_URL": "https://a/s", "PIP_EXTRA_INDEX_URL": "https://u:p@b/s"},
            ["https://u:p@b/s", "[https://a/s]"],
        ),
        # The public index is the last, however it is written: names of the other come first.
        (
            {"PIP_INDEX_URL": "https://a/s", "PIP_EXTRA_INDEX_URL": "https://pypi.org/simple"},
            ["https://a/s", "[https://pypi.org/simple]"],
        ),
        # What has copies of other packages is asked by name only.
        (
            {"PIP_EXTRA_INDEX_URL": "https://a/s https://download.pytorch.org/whl/cpu"},
            ["https://a/s"],
        ),
        ({"PIP_EXTRA_INDEX_URL": "file:///opt/simple"}, []),
        ({"PIP_NO_INDEX": "1", "PIP_INDEX_URL": "https://a/s"}, []),
    ],
)
def test_pips_indexes_in_the_order_of_uv(
    host: Path, env: dict[str, str], expected: list[str]
) -> None:
    assert host
    assert urls(**env) == expected


def test_folders_are_told_apart_and_pages_kept(host: Path) -> None:
    assert host
    links = "/opt/wheels https://data.example/links.html"
    found = indexes({**os.environ, "PIP_FIND_LINKS": links, "PIP_EXTRA_INDEX_URL": "file:///x"})
    assert found.folders == ("/opt/wheels", "file:///x")
    assert [one.url for one in found.links] == ["https://data.example/links.html"]
    assert found.environment()["UV_FIND_LINKS"] == "https://data.example/links.html"


# --- uv ------------------------------------------------------------------------------------


def test_uvs_variables_and_files(host: Path) -> None:
    write(
        host / ".config" / "uv" / "uv.toml",
        'index-strategy = "unsafe-first-match"\nallow-insecure-host = ["h"]\n'
        '[[index]]\nname = "mine"\nurl = "https://mine/s"\nignore-error-codes = [403]\n'
        '[[index]]\nname = "named"\nurl = "https://other/s"\n'
        '[[index]]\nname = "apart"\nurl = "https://apart/s"\nexplicit = true\n'
        '[[index]]\nurl = "https://main/s"\ndefault = true\n',
    )
    write(host / "xdg" / "uv" / "uv.toml", '[pip]\nextra-index-url = ["https://shared/s"]\n')
    env = {
        "UV_INDEX": "named=https://told/s https://plain/s",
        "UV_INDEX_NAMED_USERNAME": "me",
        "UV_INDEX_NAMED_PASSWORD": "a/b",
        "PIP_INDEX_URL": "https://pip/s",
    }
    assert urls(**env) == [
        *("https://me:a%2Fb@told/s", "https://plain/s", "https://mine/s", "https://shared/s"),
        "[https://main/s]",
    ]
    found = indexes({**os.environ, **env})
    assert (found.strategy, found.insecure, found.source) == ("unsafe-first-match", ("h",), "uv")
    assert urls(UV_DEFAULT_INDEX="https://d/s")[-1] == "[https://d/s]"
    assert urls(UV_CONFIG_FILE=os.devnull, UV_EXTRA_INDEX_URL="https://e/s") == ["https://e/s"]
    assert urls(UV_NO_CONFIG="1") == []


def test_what_a_build_is_given_says_the_same(host: Path) -> None:
    write(
        host / ".config" / "uv" / "uv.toml",
        'index-url = "https://u:p%22@main/s"\nextra-index-url = ["https://e/s"]\n'
        'find-links = ["https://l/", "/here"]\n[[index]]\nurl = "https://i/s"\nformat = "flat"\n',
    )
    table = tomllib.loads(indexes().toml())
    assert table == {
        "find-links": ["https://l/"],
        "index": [
            {"url": "https://i/s", "format": "flat"},
            {"url": "https://e/s"},
            {"url": "https://u:p%22@main/s", "default": True},
        ],
    }


def test_a_project_says_nothing(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(host / "project" / "uv.toml", 'index-url = "https://evil/s"\n')
    monkeypatch.chdir(host / "project")
    assert urls() == []


def test_credentials_are_not_shown(host: Path) -> None:
    assert host
    env = {**os.environ, "UV_INDEX": "https://bob:hunter22@a/s"}
    found = indexes(env)
    assert "hunter22" not in repr(found)
    assert "hunter22" not in str(found.identity())
    assert found.indexes[0].whole == "https://bob:hunter22@a/s"


def test_the_file_for_a_build_is_ours_alone_and_goes_away(
    host: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert host
    with indexes().secrets() as none:
        assert none == {}
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://u:p@a/s")
    with indexes().secrets() as files:
        path = files["uv"]
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert "https://u:p@a/s" in path.read_text()
    assert not path.parent.exists()


# --- credentials ---------------------------------------------------------------------------


def test_netrc_then_uvs_store(host: Path) -> None:
    write(host / ".netrc", "machine a login bob password n1\nmachine c login eve password n3\n")
    write(
        host / ".local" / "share" / "uv" / "credentials" / "credentials.toml",
        '[[credential]]\nservice = "https://b/"\nusername = "amy"\npassword = "s1"\n'
        '[[credential]]\nservice = "https://b/deep/"\nusername = "amy"\npassword = "s2"\n'
        '[[credential]]\nservice = "https://t/"\nusername = "__token__"\npassword = "s3"\n',
    )
    keys = Keys()
    assert keys.find("https://a/simple", "") == ("bob", "n1")
    assert keys.find("https://a/simple", "other") == ("other", "")
    assert keys.find("https://b/simple", "") == ("amy", "s1")
    assert keys.find("https://b/deep/simple", "amy") == ("amy", "s2")
    assert keys.find("https://t/simple", "") == ("__token__", "s3")
    assert keys.find("http://t/simple", "") == ("", "")


def test_a_netrc_that_cannot_be_read_shows_nothing_of_it(host: Path) -> None:
    write(host / ".netrc", "machine a login bob hunter22\n")
    with pytest.raises(InputError, match="netrc cannot be read") as raised:
        Keys().find("https://a/s", "")
    assert "hunter22" not in raised.value.paragraph()


@pytest.fixture
def keyring(host: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `keyring` program that knows one password, and writes down what it was asked."""
    program = write(
        host / "bin" / "keyring",
        f'#!/bin/sh\necho "$@" >> {host}/asked\n'
        'case "$*" in\n  "get a.example bob") echo k1;;\n'
        '  "get a.example --mode creds") printf "amy\\nk2\\n";;\n  *) exit 1;;\nesac\n',
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return host / "asked"


@pytest.mark.parametrize(
    ("env", "whole"),
    [
        ({"PIP_INDEX_URL": "https://bob@a.example/s"}, "https://bob:k1@a.example/s"),
        # Without a user only where somebody said that the keyring is to be asked.
        ({"PIP_INDEX_URL": "https://a.example/s"}, "https://a.example/s"),
        (
            {"PIP_INDEX_URL": "https://a.example/s", "PIP_KEYRING_PROVIDER": "subprocess"},
            "https://amy:k2@a.example/s",
        ),
        (
            {"PIP_INDEX_URL": "https://bob@a.example/s", "PIP_KEYRING_PROVIDER": "disabled"},
            "https://bob@a.example/s",
        ),
        ({"UV_DEFAULT_INDEX": "https://bob@a.example/s"}, "https://bob@a.example/s"),
        (
            {"UV_DEFAULT_INDEX": "https://bob@a.example/s", "UV_KEYRING_PROVIDER": "subprocess"},
            "https://bob:k1@a.example/s",
        ),
    ],
)
def test_the_keyring(keyring: Path, env: dict[str, str], whole: str) -> None:
    found = indexes({**os.environ, **env})
    assert not keyring.exists()  # reading settings asks for nothing
    assert found.unlocked().indexes[0].whole == whole
    assert keyring.exists() == (":k" in whole)


# --- proxies and the rest --------------------------------------------------------------------


def test_proxies_in_both_cases(host: Path) -> None:
    assert proxies() == {}
    env = {**os.environ, "https_proxy": "http://p:1", "NO_PROXY": "x"}
    assert proxies(env) == {
        **dict.fromkeys(("HTTPS_PROXY", "https_proxy"), "http://p:1"),
        **dict.fromkeys(("NO_PROXY", "no_proxy"), "x"),
    }
    write(host / "pip.conf", "[global]\nproxy = u:p@corp:3128\n")
    assert proxies()["HTTPS_PROXY"] == proxies()["http_proxy"] == "http://u:p@corp:3128"
    assert proxies(env)["HTTPS_PROXY"] == "http://p:1"


@pytest.mark.parametrize(
    ("env", "is_loopback"),
    [
        ({}, False),
        ({"UV_DEFAULT_INDEX": "http://127.0.0.1:8080/simple"}, True),
        ({"UV_DEFAULT_INDEX": "http://[::1]:8080/simple"}, True),
        ({"HTTPS_PROXY": "localhost:3128"}, True),
        ({"HTTPS_PROXY": "http://corp:3128", "NO_PROXY": "localhost"}, False),
    ],
)
def test_what_is_on_loopback(
    host: Path, monkeypatch: pytest.MonkeyPatch, env: dict[str, str], is_loopback: bool
) -> None:
    assert host
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert uses_loopback() is is_loopback


def test_authorities_that_pip_was_told_of(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    bundle = write(host / "ca.pem", "")
    write(host / "pip.conf", f"[global]\ncert = {bundle}\n")
    assert ca_bundle() == bundle


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("see https://bob:pw@x/y and http://tok@z", "see https://***@x/y and http://***@z"),
        ("socks5h://a:b@h:1", "socks5h://***@h:1"),
        (
            "git+ssh://git@x/y, a@b, https://x/@scope/y",
            "git+ssh://git@x/y, a@b, https://x/@scope/y",
        ),
    ],
)
def test_passwords_in_urls_are_hidden(text: str, shown: str) -> None:
    assert hidden(text) == shown


def test_an_index_by_its_url() -> None:
    one = Index("https://x:1/s", "u", "p%40")
    assert one.whole == "https://u:p%40@x:1/s"
    assert "p%40" not in repr(one)


def test_uv_reads_what_is_written(host: Path) -> None:
    """The real uv takes our file, and asks what it says."""
    import uv

    from ipydock.process import ProcessPlan, run
    from tests import network

    with network.index(network.wheel("acme", "1"), login="bob:p/w") as site:
        env: dict[str, Any] = {**os.environ, "PIP_INDEX_URL": site.with_user("bob:p%2Fw")}
        found = indexes(env)
        path = write(host / "uv.toml", found.toml())
        write(host / "in", "acme\n")
        argv = (uv.find_uv_bin(), "pip", "compile", "--quiet", "--no-header", str(host / "in"))
        by_file = run(ProcessPlan(argv, env={**os.environ, "UV_CONFIG_FILE": str(path)}))
        by_variables = run(ProcessPlan(argv, env={**found.environment()}))
    for done in (by_file, by_variables):
        assert done.stdout.startswith("acme==1\n"), done.stderr
    assert not site.refused
