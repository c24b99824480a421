"""What a build keeps of earlier ones, and that it is never too much."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import uv

from tests import samples
from tests.command import document, ipydock

pytestmark = pytest.mark.engine
NOTHING = "Nothing changed"


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment of the tests' own, which they may change."""
    folder = tmp_path_factory.mktemp("fast") / "env"
    venv = [uv.find_uv_bin(), "venv", "-q", "--python", sys.executable, str(folder)]
    subprocess.run(venv, check=True)
    install(folder, "six==1.16.0")
    return folder


def install(env: Path, *requirements: str) -> None:
    words = [uv.find_uv_bin(), "pip", "install", "-q", "--python", str(env), *requirements]
    subprocess.run(words, check=True)


def write(folder: Path, *sources: str) -> Path:
    return samples.write(folder / "nb.ipynb", *(samples.code(source) for source in sources))


def layers(sdk: Any, image: str) -> list[str]:
    found: list[str] = sdk.images.get(image).attrs["RootFS"]["Layers"]
    return found


def run(image: str, code: str) -> str:
    docker = ["docker", "run", "--rm", "--network", "none", image, "python3", "-c", code]
    return subprocess.run(docker, capture_output=True, text=True, check=True).stdout


def test_the_same_command_is_answered_at_once_until_something_changes(
    env: Path, tmp_path: Path, sdk: Any
) -> None:
    (tmp_path / "x.csv").write_text("1")
    notebook = write(tmp_path, "import six", "open('x.csv').read()")
    words = ("build", notebook, "--python", env, "--engine", "docker")
    first = ipydock(*words)
    assert first.returncode == 0, first.stderr
    again = ipydock(*words)
    assert again.stdout == first.stdout
    assert again.stderr.startswith(NOTHING)
    # A file that is read, another package, the image itself.
    (tmp_path / "x.csv").write_text("22")
    changed = ipydock(*words)
    assert NOTHING not in changed.stderr and changed.stdout != first.stdout
    assert ipydock(*words).stderr.startswith(NOTHING)
    install(env, "six==1.17.0")
    upgraded = ipydock(*words)
    assert NOTHING not in upgraded.stderr and upgraded.stdout != changed.stdout
    sdk.images.remove(upgraded.stdout.strip())
    rebuilt = ipydock(*words)
    assert NOTHING not in rebuilt.stderr and rebuilt.stdout == upgraded.stdout
    # Other options, and a file that was not there.
    assert NOTHING not in ipydock(*words, "--env", "A=1").stderr
    (tmp_path / "pyproject.toml").write_text("[tool.ipydock]\nadd-pip = ['tabulate==0.9.0']\n")
    assert ipydock(*words).stdout != rebuilt.stdout


def test_an_edited_cell_keeps_every_layer_but_the_last(env: Path, tmp_path: Path, sdk: Any) -> None:
    words = ("build", tmp_path / "nb.ipynb", "--python", env, "--engine", "docker", "--json")
    write(tmp_path, "import six")
    first = document(ipydock(*words))
    write(tmp_path, "import six", "1 + 1")
    second = document(ipydock(*words))
    assert first["id"] != second["id"]
    assert layers(sdk, first["id"])[:-1] == layers(sdk, second["id"])[:-1]


def test_a_package_more_adds_a_layer_and_a_package_less_leaves_none(
    env: Path, tmp_path: Path, sdk: Any
) -> None:
    install(env, "toml==0.10.2")
    words = ("build", tmp_path / "nb.ipynb", "--python", env, "--engine", "docker", "--json")
    write(tmp_path, "import six")
    first = document(ipydock(*words))
    write(tmp_path, "import six, toml")
    second = document(ipydock(*words))
    before, after = layers(sdk, first["id"]), layers(sdk, second["id"])
    # That of the packages is kept, and the new one comes after it.
    assert len(after) == len(before) + 1
    kept = next(n for n, pair in enumerate(zip(before, after, strict=False)) if len({*pair}) > 1)
    assert kept >= len(before) - 3
    assert run(second["id"], "import os, toml; print(os.path.exists(toml.__cached__))") == "True\n"
    write(tmp_path, "import six, six.moves")
    third = document(ipydock(*words))
    assert run(third["id"], "import importlib.util as u; print(u.find_spec('toml'))") == "None\n"
    assert len(layers(sdk, third["id"])) == len(before)
