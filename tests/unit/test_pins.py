from __future__ import annotations

from pathlib import Path

import pytest

from ipydock.engine.pins import pin
from ipydock.engine.venv import VenvEngine
from ipydock.process import Cancellation


class Registry(VenvEngine):
    """An engine whose registry moves a tag whenever it is asked."""

    def __init__(self, identity: str = "one") -> None:
        self.asked = 0
        self._identity = identity

    @property
    def identity(self) -> str:
        return self._identity

    def resolve(self, base: str, *, cancel: Cancellation | None = None) -> str:
        self.asked += 1
        return base if "@" in base else f"{base}@sha256:{self.asked:064d}"


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IPYDOCK_CACHE_DIR", str(tmp_path / "not yet there"))


def test_a_tag_is_asked_for_once() -> None:
    engine = Registry()
    assert pin(engine, "debian:12") == pin(engine, "debian:12")
    assert engine.asked == 1


def test_pull_asks_again_and_remembers_that() -> None:
    engine = Registry()
    first = pin(engine, "debian:12")
    second = pin(engine, "debian:12", pull=True)
    assert first != second
    assert pin(engine, "debian:12") == second


def test_engines_do_not_share_pins() -> None:
    one, other = Registry("one"), Registry("other")
    pin(one, "debian:12")
    pin(other, "debian:12")
    assert (one.asked, other.asked) == (1, 1)


def test_what_has_a_digest_keeps_it() -> None:
    digest = "debian:12@sha256:" + "a" * 64
    assert pin(Registry(), digest) == digest


def test_a_damaged_file_is_made_anew(tmp_path: Path) -> None:
    engine = Registry()
    pin(engine, "debian:12")
    (tmp_path / "not yet there" / "pins.json").write_text('{"one deb')
    pin(engine, "debian:12")
    assert engine.asked == 2
