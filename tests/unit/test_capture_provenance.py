from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ipydock.capture.provenance import provenance
from ipydock.notebook import load
from ipydock.recipe.synthesize import Options, synthesize
from tests import samples

BASE = "python:3.11-slim-bookworm@sha256:" + "a" * 64


def git(folder: Path, *words: str) -> str:
    settings = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    done = subprocess.run(
        ["git", *settings, *words], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def repository(folder: Path, remote: str = "https://example.org/me/nb.git") -> Path:
    """A repository with a committed notebook in a folder of it."""
    (folder / "sub").mkdir()
    nb = samples.write(folder / "sub" / "a nb.ipynb", samples.code("1 + 1"))
    git(folder, "init", "-q")
    git(folder, "remote", "add", "origin", remote)
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "one")
    return nb


def test_the_remote_and_the_last_commit_of_the_notebook(tmp_path: Path) -> None:
    nb = repository(tmp_path)
    commit = git(tmp_path, "rev-parse", "HEAD")
    (tmp_path / "other").write_text("")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "another file")
    found = provenance(load(nb))
    assert (found.source, found.revision) == ("https://example.org/me/nb.git", commit)


@pytest.mark.parametrize(
    ("remote", "source"),
    [
        ("https://me:secret@example.org/me/nb.git", "https://example.org/me/nb.git"),
        ("git@example.org:me/nb.git", "ssh://git@example.org/me/nb.git"),
        ("/srv/nb.git", ""),
    ],
)
def test_no_credential_and_no_path_of_this_machine(
    tmp_path: Path, remote: str, source: str
) -> None:
    assert provenance(load(repository(tmp_path, remote))).source == source


def test_a_change_counts_and_an_output_does_not(tmp_path: Path) -> None:
    nb = repository(tmp_path)
    commit = git(tmp_path, "rev-parse", "HEAD")
    samples.write(nb, samples.code("1 + 1", samples.result(1, text_plain="2"), count=1))
    assert provenance(load(nb)).revision == commit
    samples.write(nb, samples.code("1 + 2"))
    assert provenance(load(nb)).revision == f"{commit}-dirty"


def test_a_notebook_that_was_never_committed_has_no_revision(tmp_path: Path) -> None:
    repository(tmp_path)
    fresh = samples.write(tmp_path / "fresh.ipynb", samples.code("1"))
    found = provenance(load(fresh))
    assert (found.source, found.revision) == ("", "")


def test_the_repository_runs_nothing_of_its_own(tmp_path: Path) -> None:
    nb = repository(tmp_path)
    ran = tmp_path / "ran"
    for name in ("core.fsmonitor", "log.showSignature", "gpg.program", "diff.external"):
        git(tmp_path, "config", name, f"touch {ran}" if "." in name else "true")
    provenance(load(nb))
    assert not ran.exists()


@pytest.mark.parametrize(
    ("project", "licenses"),
    [
        ("license = 'mit OR apache-2.0'", "MIT OR Apache-2.0"),
        ("license = {text = 'BSD-3-Clause'}", "BSD-3-Clause"),
        ("license = {text = 'Do what you want with it.'}", ""),
        ("license = {file = 'LICENSE'}", ""),
        ("version = '1'", ""),
    ],
)
def test_the_licence_of_the_project(tmp_path: Path, project: str, licenses: str) -> None:
    nb = repository(tmp_path)
    (tmp_path / "pyproject.toml").write_text(f"[project]\nname = 'x'\n{project}\n")
    assert provenance(load(nb)).licenses == licenses


def test_the_licence_of_the_notebook_comes_first(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[project]\nlicense = 'MIT'\n")
    nb = samples.write(tmp_path / "x.ipynb", samples.code("1"), license={"name": "CC-BY-4.0"})
    assert provenance(load(nb)).licenses == "CC-BY-4.0"


def test_labels_tell_where_it_came_from() -> None:
    known = {"repository": "https://example.org/nb", "revision": "a" * 40, "licenses": "MIT"}
    text = synthesize(samples.capture(**known), Options(base=BASE)).dockerfile
    assert 'org.opencontainers.image.source="https://example.org/nb"' in text
    assert f'org.opencontainers.image.revision="{"a" * 40}"' in text
    assert 'org.opencontainers.image.licenses="MIT"' in text
    assert 'io.ipydock.python="3.11.7"' in text
    assert 'io.ipydock.platform="linux x86_64"' in text
    bare = synthesize(samples.capture(), Options(base=BASE)).dockerfile
    assert "image.source" not in bare and "image.revision" not in bare
