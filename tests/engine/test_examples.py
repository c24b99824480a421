"""The notebooks of notebooks/, verified in real containers in the environment of the tests."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from ipydock.recipe.lock import uv_path
from tests.command import document, ipydock

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
EXAMPLES = sorted(path.name for path in NOTEBOOKS.glob("*.ipynb") if ".rerun." not in path.name)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    target = tmp_path / "notebooks"
    shutil.copytree(NOTEBOOKS, target, ignore=shutil.ignore_patterns("*.rerun.ipynb"))
    return target


@pytest.mark.engine
@pytest.mark.parametrize("name", EXAMPLES)
def test_each_example_is_reproduced(folder: Path, name: str) -> None:
    done = ipydock("verify", folder / name, "--engine", "docker", "--json", timeout=600)
    assert done.returncode == 0, done.stderr + done.stdout
    assert document(done)["verdict"] == "reproduced"


def test_the_classical_stack_is_found_by_its_names(folder: Path) -> None:
    nb = folder / "data-science-2016.ipynb"
    found = document(ipydock("capture", nb, "--json"))
    names = {item["import"]: item["distribution"] for item in found["requested"]}
    assert names["sklearn"] == "scikit-learn"
    assert names["dateutil"] == "python-dateutil"
    assert set(names.values()) == {
        "gensim",
        "matplotlib",
        "numpy",
        "pandas",
        "python-dateutil",
        "scikit-learn",
        "scipy",
        "seaborn",
    }
    assert not any(item["guess"] for item in found["requested"])


@pytest.mark.engine
def test_its_dockerfile_replaces_the_one_by_hand(folder: Path) -> None:
    nb = folder / "data-science-2016.ipynb"
    text = ipydock("dockerfile", nb, "--engine", "docker").stdout
    assert re.search(r"^FROM python:3\.\d+-slim-bookworm@sha256:[0-9a-f]{64}$", text, re.MULTILINE)
    assert 'org.opencontainers.image.authors="The ipydock developers"' in text
    assert "apt-get" not in text  # nothing of it is needed
    for name in ("scikit-learn", "python-dateutil", "gensim", "seaborn"):
        assert re.search(rf"^#   {name}==\S+ +cell 1: ", text, re.MULTILINE), name
    assert 'CMD ["/work/data-science-2016.ipynb"]' in text


def test_names_are_known_where_nothing_is_installed(folder: Path, tmp_path: Path) -> None:

    empty = tmp_path / "empty"
    subprocess.run([uv_path(), "venv", "-q", str(empty)], check=True)
    nb = folder / "data-science-2016.ipynb"
    found = document(ipydock("capture", nb, "--python", empty / "bin/python", "--json"))
    by_import = {item["import"]: item for item in found["requested"]}
    assert by_import["sklearn"]["distribution"] == "scikit-learn"
    assert by_import["dateutil"]["distribution"] == "python-dateutil"
    assert all(item["guess"] and item["version"] is None for item in found["requested"])
