"""Images on other bases: without Python, with packages, with a user and an environment."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uv

from tests import samples
from tests.command import document, ipydock, paragraph
from tests.environments import find_python

pytestmark = pytest.mark.engine
DOCKER = ("--engine", "docker")
OWN = f"{sys.version_info.major}.{sys.version_info.minor}"
DISTRIBUTION = "3.11"  # the Python of Debian 12
OTHER = next((s for s in ("3.12", "3.13", "3.10") if s != OWN and find_python(s)), "")


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return environment(tmp_path_factory.mktemp("bases"), OWN)


def environment(folder: Path, series: str) -> Path:
    """An environment with one small package, on a Python of a series."""
    python = sys.executable if series == OWN else str(find_python(series))
    made = folder / "env"
    subprocess.run([uv.find_uv_bin(), "venv", "-q", "--python", python, str(made)], check=True)
    words = ["pip", "install", "-q", "--python", str(made), "six==1.17.0", "toml==0.10.2"]
    subprocess.run([uv.find_uv_bin(), *words], check=True)
    return made


@pytest.fixture
def base(sdk: Any, tmp_path: Path) -> Iterator[Any]:
    """Makes an image of these lines of a Dockerfile, gone after the test."""
    made: list[str] = []

    def make(*lines: str) -> str:
        tag = f"ipydock-test-base/{uuid.uuid4().hex[:8]}:1"
        (tmp_path / "Dockerfile").write_text("\n".join(lines) + "\n")
        sdk.images.build(path=str(tmp_path), tag=tag, rm=True)
        made.append(tag)
        return tag

    yield make
    for tag in made:
        sdk.images.remove(tag, force=True)


def notebook(folder: Path, code: str, told: str) -> Path:
    folder = folder / "nb"
    folder.mkdir()
    return samples.write(folder / "x.ipynb", samples.code(code, samples.stream(told), count=1))


def verified(nb: Path, *words: str | Path) -> dict[str, Any]:
    done = ipydock("verify", nb, *DOCKER, "--json", *words)
    assert done.returncode == 0, done.stderr + done.stdout
    return document(done)


def dockerfile(nb: Path, *words: str | Path) -> str:
    done = ipydock("dockerfile", nb, *DOCKER, *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


TELLS = (
    "import ssl, sqlite3, bz2, lzma, ctypes, readline, sys, six\n"
    "print(sys.version_info[:2], sys.prefix, six.__version__)"
)


@pytest.mark.skipif(OWN != DISTRIBUTION, reason="needs the Python that Debian 12 has")
def test_a_base_without_python_gets_that_of_the_distribution(env: Path, tmp_path: Path) -> None:
    nb = notebook(tmp_path, TELLS, "(3, 11) /usr 1.17.0\n")
    words = ("--python", env, "--base", "debian:bookworm-slim")
    found = verified(nb, *words)
    assert "is that of the distribution" in dockerfile(nb, *words)
    done = subprocess.run(
        ["docker", "run", "--rm", "-u", "12345", found["image"]["tag"]],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "/usr 1.17.0" in done.stdout, done.stderr


@pytest.mark.skipif(not OTHER, reason="needs a second Python")
def test_a_base_without_python_gets_that_of_the_official_image(tmp_path: Path) -> None:
    other = environment(tmp_path, OTHER)
    version = tuple(map(int, OTHER.split(".")))
    nb = notebook(tmp_path, TELLS, f"{version} /usr/local 1.17.0\n")
    words = ("--python", other, "--base", "debian:bookworm-slim")
    verified(nb, *words)
    assert "COPY --from=python /usr/local/lib/" in dockerfile(nb, *words)


@pytest.mark.skipif(not OTHER, reason="needs a second Python")
def test_a_base_with_another_python_gets_the_captured_one(tmp_path: Path) -> None:
    other = environment(tmp_path, OTHER)
    version = tuple(map(int, OTHER.split(".")))
    nb = notebook(tmp_path, TELLS, f"{version} /usr/local 1.17.0\n")
    found = verified(nb, "--python", other, "--base", f"python:{OWN}-slim-bookworm")
    assert any("is set up beside it" in text for text in found["warnings"])


def test_what_the_base_holds_is_not_installed_again(
    env: Path, tmp_path: Path, base: Any, sdk: Any
) -> None:
    site = next((env / "lib").glob("python3*")) / "site-packages"
    for name in ("six.py", "six-1.17.0.dist-info"):
        subprocess.run(["cp", "-r", str(site / name), str(tmp_path)], check=True)
    old = tmp_path / "toml-0.10.1.dist-info"
    old.mkdir()
    (old / "METADATA").write_text("Metadata-Version: 2.1\nName: toml\nVersion: 0.10.1\n")
    (old / "RECORD").write_text("".join(f"{old.name}/{n},,\n" for n in ("METADATA", "RECORD")))
    image = base(
        f"FROM python:{OWN}-slim-bookworm",
        f"COPY six.py /usr/local/lib/python{OWN}/site-packages/",
        *(
            f"COPY {name} /usr/local/lib/python{OWN}/site-packages/{name}/"
            for name in ("six-1.17.0.dist-info", old.name)
        ),
        f"RUN touch -d 2001-01-01 /usr/local/lib/python{OWN}/site-packages/six.py",
    )
    code = (
        "import datetime, os, six, toml\n"
        "print(datetime.date.fromtimestamp(os.path.getmtime(six.__file__)).year)\n"
        "print(toml.__version__)"
    )
    nb = notebook(tmp_path, code, "2001\n0.10.2\n")
    found = verified(nb, "--python", env, "--base", image)
    text = dockerfile(nb, "--python", env, "--base", image)
    assert "import datetime, os, six, toml (in the base already)" in text
    assert "in place of 0.10.1 in the base" in text
    assert any("toml 0.10.1 by 0.10.2" in warning for warning in found["warnings"])


def test_a_base_with_a_user_an_environment_and_a_check_of_its_own(
    env: Path, tmp_path: Path, base: Any, sdk: Any
) -> None:
    image = base(
        f"FROM python:{OWN}-slim-bookworm",
        "RUN useradd --uid 1000 taken && useradd --uid 4321 --create-home app",
        "RUN python3 -m venv /opt/venv && chown -R app /opt/venv",
        'ENV PATH="/opt/venv/bin:$PATH"',
        'SHELL ["/bin/bash", "-o", "pipefail", "-c"]',
        "HEALTHCHECK CMD exit 1",
        "WORKDIR /somewhere",
        'ENTRYPOINT ["echo", "that of the base"]',
        "USER app",
    )
    code = (
        "import os, sys, six\n"
        "print(os.getuid(), sys.prefix, os.getcwd(), os.environ['HOME'])\n"
        "open('written', 'w').close(); open(os.path.expanduser('~/written'), 'w').close()"
    )
    nb = notebook(tmp_path, code, "4321 /opt/venv /work /home/user\n")
    found = verified(nb, "--python", env, "--base", image)
    config = sdk.images.get(found["image"]["tag"]).attrs["Config"]
    assert config["User"] == "4321"
    assert config["Entrypoint"][0] == "python3"
    assert config["Healthcheck"]["Test"] == ["NONE"]
    run = ["docker", "run", "--rm", "-u", "999", found["image"]["tag"], "ipython", "--version"]
    assert subprocess.run(run, capture_output=True, check=False).returncode == 0


def test_a_base_that_is_neither_debian_nor_ubuntu_is_told(
    env: Path, tmp_path: Path, base: Any
) -> None:
    image = base("FROM debian:bookworm-slim", "RUN echo ID=alpine > /etc/os-release")
    nb = notebook(tmp_path, "1", "")
    done = ipydock("build", nb, *DOCKER, "--python", env, "--base", image)
    assert done.returncode == 2
    assert "is alpine, not Debian or Ubuntu" in paragraph(done)


def test_packages_of_ones_own_are_built_on_a_base_without_python(tmp_path: Path) -> None:
    env = environment(tmp_path, OWN)
    source = tmp_path / "mine"
    source.mkdir()
    (source / "mine.py").write_text("answer = 42\n")
    (source / "pyproject.toml").write_text(
        "[build-system]\nrequires = ['setuptools']\nbuild-backend = 'setuptools.build_meta'\n"
        "[project]\nname = 'mine'\nversion = '1.0'\n[tool.setuptools]\npy-modules = ['mine']\n"
    )
    words = ["pip", "install", "-q", "--python", str(env), "-e", str(source)]
    subprocess.run([uv.find_uv_bin(), *words], check=True)
    nb = notebook(tmp_path, "import mine\nprint(mine.answer)", "42\n")
    verified(nb, "--python", env, "--base", "debian:bookworm-slim")
