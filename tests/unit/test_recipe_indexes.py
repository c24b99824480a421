"""Locking, and fetching uv, from indexes that want a password, are away, or refuse."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import os
import platform
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from functools import partial
from importlib import resources
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import ipydock
from ipydock.errors import LockError
from ipydock.models import Pinned
from ipydock.recipe.elsewhere import place
from ipydock.recipe.lock import files, lock, uv_platform, wheel_at
from ipydock.recipe.synthesize import synthesize
from ipydock.recipe.wanted import choose
from tests import network, samples

HERE: dict[str, Any] = {"python": "3.11", "platform": uv_platform("x86_64")}
ACME = network.wheel("acme", "1.0")
SECRET = "hunter22/%"
LOGIN = f"bob:{SECRET}"
IN_URL = "bob:hunter22%2F%25"


@pytest.fixture(autouse=True)
def bare_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A host that says nothing of indexes, with caches of its own."""
    for name in list(os.environ):
        if name.startswith(("PIP_", "UV_", "NETRC")) or name.upper().endswith("_PROXY"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    monkeypatch.setenv("IPYDOCK_CACHE_DIR", str(tmp_path / "cache"))
    yield
    kept = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert not any("hunter22" in path.read_text() for path in kept)


def test_a_lock_from_an_index_with_a_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with network.index(ACME, login=LOGIN) as site:
        monkeypatch.setenv("PIP_INDEX_URL", site.url)
        with pytest.raises(LockError, match="wants a valid user and password") as raised:
            lock(["acme"], [], **HERE)
        assert raised.value.unreachable
        netrc = tmp_path / ".netrc"
        netrc.write_text(f"machine 127.0.0.1 login bob password {SECRET}\n")
        found = lock(["acme"], [], **HERE)
        assert found.versions == {"acme": "1.0"}
        assert site.url not in found.text
        # It is remembered for the index, whatever the password is.
        netrc.unlink()
        site.asked.clear()
        monkeypatch.setenv("PIP_INDEX_URL", site.with_user(IN_URL))
        assert lock(["acme"], [], **HERE) == found
        assert not site.asked
        (file,) = files(found.text, **HERE)
        assert file.wheels[0].sha256 == hashlib.sha256(ACME[1]).hexdigest()
        assert "hunter22" not in file.wheels[0].url


def test_a_private_name_is_not_looked_up_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    strangers = network.wheel("acme", "99.0")
    theirs = network.wheel("common", "2.0")
    with network.index(ACME, login=LOGIN) as mine, network.index(strangers, theirs) as public:
        monkeypatch.setenv("PIP_EXTRA_INDEX_URL", mine.with_user(IN_URL))
        monkeypatch.setenv("PIP_INDEX_URL", public.url)
        found = lock(["acme", "common"], [], **HERE)
        assert found.versions == {"acme": "1.0", "common": "2.0"}
        assert public.projects() == {"common"}
        with pytest.raises(LockError, match="may be a stranger's") as raised:
            lock(["acme==99.0"], [], **HERE)
        assert "hunter22" not in raised.value.paragraph() + raised.value.evidence
        assert public.projects() == {"common"}
        monkeypatch.setenv("UV_INDEX_STRATEGY", "unsafe-best-match")
        assert lock(["acme==99.0"], [], **HERE).versions == {"acme": "99.0"}


@pytest.mark.parametrize(
    ("status", "says"),
    [(403, "wants a valid user and password"), (407, "proxy"), (503, "cannot be reached")],
)
def test_an_index_that_refuses(monkeypatch: pytest.MonkeyPatch, status: int, says: str) -> None:
    with network.index(status=status) as site:
        monkeypatch.setenv("PIP_INDEX_URL", site.with_user(IN_URL))
        with pytest.raises(LockError, match=says) as raised:
            lock(["acme"], [], **HERE)
    error = raised.value
    assert error.unreachable
    assert error.hint
    assert site.url.split("/")[2] in error.message
    assert "hunter22" not in f"{error.message} {error.hint} {error.evidence}"


def test_a_proxy_that_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    with network.proxy("me:other") as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.with_user(IN_URL))
        monkeypatch.setenv("PIP_INDEX_URL", "https://index.invalid/simple")
        with pytest.raises(LockError, match=r"proxy does not let.*index\.invalid") as raised:
            lock(["acme"], [], **HERE)
    assert proxy.refused
    assert "hunter22" not in raised.value.paragraph() + raised.value.evidence


def test_a_host_that_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", f"https://{IN_URL}@index.invalid/simple")
    with pytest.raises(LockError, match=r"at index\.invalid is not known") as raised:
        lock(["acme"], [], **HERE)
    assert "hunter22" not in raised.value.paragraph() + raised.value.evidence


def test_a_certificate_that_is_not_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority, server = network.authority(tmp_path)
    with network.index(ACME, certificate=server) as site:
        monkeypatch.setenv("PIP_INDEX_URL", site.url)
        with pytest.raises(LockError, match="is not trusted"):
            lock(["acme"], [], **HERE)
        monkeypatch.setenv("SSL_CERT_FILE", str(authority))
        assert lock(["acme"], [], **HERE).versions == {"acme": "1.0"}


def test_folders_of_this_machine_are_named_where_nothing_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ACME[0]).write_bytes(ACME[1])
    with network.index() as site:
        monkeypatch.setenv("PIP_INDEX_URL", site.url)
        monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
        with pytest.raises(LockError, match="acme") as raised:
            lock(["acme"], [], **HERE)
    assert str(tmp_path) in raised.value.hint


# --- versions on an index of their own ------------------------------------------------------


def test_a_local_version_comes_from_its_own_index() -> None:
    torch = network.wheel("tinytorch", "2.4.0+cpu")
    # It has copies of what others have, too.
    with network.index(torch, network.wheel("six", "0.1")) as own:
        found = samples.capture(
            requested=(
                samples.requested("tinytorch", "tinytorch", "2.4.0+cpu"),
                samples.requested("six", "six", "1.17.0"),
            ),
            closure=(
                Pinned(distribution="tinytorch", version="2.4.0+cpu", index=own.url),
                Pinned(distribution="six", version="1.17.0"),
            ),
        )
        recipe = synthesize(found)
        assert own.projects() == {"tinytorch"}
    digest = hashlib.sha256(torch[1]).hexdigest()
    assert f"tinytorch @ {own.url.removesuffix('/simple')}/files/tinytorch-2.4.0" in recipe.lock
    assert f"--hash=sha256:{digest}" in recipe.lock
    assert "six==1.17.0" in recipe.lock
    assert ("tinytorch", "2.4.0+cpu") in {(p.name, p.version) for p in recipe.packages}
    assert not any("tinytorch" in text for text in recipe.warnings)


def test_an_index_of_its_own_that_is_away_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    found = samples.capture(
        closure=(Pinned(distribution="six", version="1.17.0", index="https://away.invalid/x"),)
    )
    wanted = choose(found, (), {})
    place(wanted, found, partial(wheel_at, **HERE))
    assert wanted.specifiers["six"] == "six==1.17.0"
    (said,) = [text for text in wanted.warnings if "away.invalid" in text]
    assert said.startswith("six==1.17.0 is not taken from https://away.invalid/x: ")
    assert monkeypatch


# --- get_uv.py -------------------------------------------------------------------------------


@pytest.fixture
def script() -> Path:
    with resources.as_file(resources.files(ipydock) / "recipe/scripts/get_uv.py") as path:
        return path


@pytest.fixture
def get_uv(script: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("get_uv", script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ("", ["https://pypi.org/simple"]),
        ('index-url = "https://u:p%40@a/s" # x\n', ["https://u:p%40@a/s"]),
        (
            "[pip]\nextra-index-url = [\n  'https://b/s', # why\n  \"https://c/s\"]\n",
            ["https://b/s", "https://c/s", "https://pypi.org/simple"],
        ),
        (
            '[[index]]\nurl = "https://d/s"\ndefault = true\n[[index]]\nname = "x"\n'
            'url = "https://e/s"\n',
            ["https://e/s", "https://d/s"],
        ),
        ('# index-url = "https://no/s"\n', ["https://pypi.org/simple"]),
    ],
)
def test_the_indexes_that_a_uv_toml_names(
    get_uv: ModuleType, settings: str, expected: list[str]
) -> None:
    assert get_uv.indexes(settings) == expected


def test_uv_is_not_taken_from_where_it_is_not_what_was_asked_for(
    script: Path, tmp_path: Path
) -> None:
    with network.index(network.wheel("uv", "0.13.9"), login=LOGIN) as site:
        settings = tmp_path / "uv.toml"
        for login, says in ((IN_URL, "does not have it"), ("bob:x", "answers: 401 Unauthorized")):
            settings.write_text(f'[[index]]\nurl = "{site.with_user(login)}"\ndefault = true\n')
            argv = [sys.executable, str(script), str(tmp_path / "out"), "0.13.9", str(settings)]
            done = subprocess.run(argv, capture_output=True, text=True, check=False)
            assert done.returncode == 1
            assert done.stderr == (
                f"uv 0.13.9 cannot be downloaded: the package index 127.0.0.1 {says}\n"
            )
    assert not (tmp_path / "out").exists()


def test_a_kept_uv_is_checked_and_taken(
    get_uv: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = io.BytesIO()
    with zipfile.ZipFile(store, "w") as wheel:
        wheel.writestr("uv-0.13.9.data/scripts/uv", "the program")
    wanted = hashlib.sha256(store.getvalue()).hexdigest()
    monkeypatch.setattr(get_uv, "SHA256", {platform.machine(): wanted})
    settings = tmp_path / "uv.toml"
    settings.write_text('index-url = "http://127.0.0.1:9/simple"\n')  # nobody is there
    words = (str(tmp_path / "out"), "0.13.9", str(settings), str(tmp_path))
    kept = tmp_path / f"uv-{wanted}.whl"
    kept.write_bytes(store.getvalue()[1:])
    with pytest.raises(SystemExit, match="cannot be downloaded"):
        get_uv.main(*words)
    kept.write_bytes(store.getvalue())
    get_uv.main(*words)
    assert (tmp_path / "out" / "uv").read_text() == "the program"
