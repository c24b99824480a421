"""The name map: modules that are not installed where capture runs, and what provides them."""

from __future__ import annotations

from pathlib import Path

import pytest

from ipydock.capture import capture, names
from scripts.name_map import expected
from tests.environments import by_import, nb


@pytest.mark.parametrize(("module", "distribution"), list(expected()))
def test_names_of_notebooks(module: str, distribution: str) -> None:
    known = names.look_up(module)
    assert known is not None
    assert known.distributions[0] == distribution


def test_dotted_names() -> None:
    known = names.look_up("google.cloud.storage.blob")
    assert known is not None
    assert (known.package, known.distributions) == (
        "google.cloud.storage",
        ("google-cloud-storage",),
    )
    auth = names.look_up("google.auth.transport")
    assert auth is not None
    assert (auth.package, auth.distributions[0]) == ("google.auth", "google-auth")
    assert names.look_up("google.cloud.no_such_service") is None
    assert names.look_up("google") is None


def test_what_the_map_says_has_its_source() -> None:
    known = names.mapped("Evtx.Evtx")
    assert known == names.Known(
        "Evtx", ("python-evtx",), "Debian trixie's python3-evtx has this module"
    )


def test_the_curated_list_has_the_first_word() -> None:
    mapped, curated = names.mapped("psycopg2"), names.curated("psycopg2")
    assert mapped
    assert curated
    assert mapped.distributions[0] != curated.distributions[0]
    assert names.look_up("psycopg2") == curated


@pytest.mark.parametrize(
    "module", ["qqq", "", ".", "a" * 100_000, "x.y." * 1000, "a\tb", "yaml\n", "#", "Ünïcode"]
)
def test_what_is_not_known_stays_unknown(module: str) -> None:
    assert names.look_up(module) is None


def test_a_name_of_the_map_is_a_guess(bare: Path, tmp_path: Path) -> None:
    notebook = nb("import Evtx.Evtx\nfrom ruamel import yaml", folder=tmp_path)
    found = capture(notebook, python=bare)
    item = by_import(found)["Evtx"]
    assert (item.distribution, item.version, item.guess) == ("python-evtx", None, True)
    assert [e.source for e in item.evidence] == ["source", "map"]
    assert item.evidence[1].text == "Debian trixie's python3-evtx has this module"
    assert by_import(found)["ruamel.yaml"].distribution == "ruamel-yaml"
    assert any("python-evtx is a guess from its name" in warning for warning in found.warnings)


def test_passwords_of_installs_go_no_further(bare: Path, tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("of_file @ https://u:s3cr3t@host.example/f.whl\n")
    found = capture(
        nb(
            "!pip install git+https://u:s3cr3t@host.example/vcs.git@v1",
            "!pip install https://s3cr3t@host.example/wheel-1.0-py3-none-any.whl",
            "!pip install 'named @ https://u:s3cr3t@host.example/n.whl' -r requirements.txt",
            "!pip install 'https://u:s3cr3t@host.example/x y'",
            "!pip install git+ssh://git@host.example/ssh.git",
            folder=tmp_path,
        ),
        python=bare,
    )
    assert {r.distribution: r.url for r in found.requested}.items() >= {
        "vcs": "git+https://host.example/vcs.git@v1",
        "wheel": "https://host.example/wheel-1.0-py3-none-any.whl",
        "named": "https://host.example/n.whl",
        "of-file": "https://host.example/f.whl",
        "ssh": "git+ssh://git@host.example/ssh.git",
    }.items()
    wishes = [(r.url, r.requirement) for r in found.requested]
    assert "s3cr3t" not in repr((wishes, found.warnings))
