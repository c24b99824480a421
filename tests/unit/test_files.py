from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from ipydock.files import is_secret, sha256, write_atomic


def test_writing_replaces_the_whole_file(tmp_path: Path) -> None:
    target = tmp_path / "a b.txt"
    write_atomic(target, "one")
    write_atomic(target, "two")
    assert target.read_text() == "two"
    assert [path.name for path in tmp_path.iterdir()] == ["a b.txt"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "x.txt"
    write_atomic(target, "old")
    with pytest.raises(UnicodeEncodeError):
        write_atomic(target, "\ud800")
    with pytest.raises(OSError):
        write_atomic(tmp_path / "no" / "x.txt", "new")
    assert target.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_link_is_followed(tmp_path: Path) -> None:
    real = tmp_path / "real.txt"
    real.write_text("old")
    (tmp_path / "link.txt").symlink_to(real)
    write_atomic(tmp_path / "link.txt", "new")
    assert real.read_text() == "new"


def test_the_digest_is_of_the_content(tmp_path: Path) -> None:
    path = tmp_path / "big"
    path.write_bytes(b"x" * 3_000_000)
    assert sha256(path) == hashlib.sha256(b"x" * 3_000_000).hexdigest()


@pytest.mark.parametrize(
    "path",
    [
        *(".env", ".env.local", "conf/id_rsa", "a/key.pem", ".aws/config", "credentials.json"),
        *(".netrc", "api_token.txt", "kubeconfig", ".pypirc", "my_secrets.yaml", "github_token"),
    ],
)
def test_credentials_are_known_by_name(path: str) -> None:
    assert is_secret(path)


@pytest.mark.parametrize(
    "path", ["data.csv", "tokenizer.json", "keys.csv", "id_rsa.pub", ".env.example", "environment"]
)
def test_other_files_are_not(path: str) -> None:
    assert not is_secret(path)
