"""The door to uv, against the real package index."""

from __future__ import annotations

import pytest

from ipydock.errors import Cancelled, LockError
from ipydock.process import Cancellation
from ipydock.recipe.lock import lock, uv_platform

LINUX = uv_platform("x86_64")


def test_a_lock_has_hashes_and_keeps_to_the_constraints() -> None:
    locked = lock(["python-dateutil==2.9.0.post0"], ["six==1.16.0"], python="3.11", platform=LINUX)
    assert locked.versions["six"] == "1.16.0"
    assert set(locked.versions) == {"python-dateutil", "six"}
    assert "--hash=sha256:" in locked.text
    assert "# via the notebook" in locked.text
    assert "requirements.in" not in locked.text


def test_a_constraint_that_nothing_needs_is_left_out() -> None:
    assert set(lock(["six"], ["numpy==1.26.4"], python="3.11", platform=LINUX).versions) == {"six"}


def test_no_solution_names_the_conflict_and_the_mend() -> None:
    with pytest.raises(LockError) as caught:
        lock(["six==99"], [], python="3.11", platform=LINUX)
    assert "six==99" in caught.value.message
    assert "--add-pip" in caught.value.hint


def test_an_index_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_INDEX_URL", "http://127.0.0.1:1/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    with pytest.raises(LockError, match="cannot be reached"):
        lock(["six-that-is-not-cached"], [], python="3.11", platform=LINUX)


def test_a_raised_flag_ends_it() -> None:
    cancel = Cancellation()
    cancel.cancel()
    with pytest.raises(Cancelled):
        lock(["six"], [], python="3.11", platform=LINUX, cancel=cancel)


@pytest.mark.parametrize(
    ("machine", "system", "name"),
    [
        ("x86_64", "linux", "x86_64-manylinux_2_36"),
        ("AMD64", "linux", "x86_64-manylinux_2_36"),
        ("arm64", "linux", "aarch64-manylinux_2_36"),
        ("arm64", "darwin", "aarch64-apple-darwin"),
    ],
)
def test_platforms(machine: str, system: str, name: str) -> None:
    assert uv_platform(machine, system) == name
