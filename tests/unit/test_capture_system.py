"""System packages: programs that cells start, libraries that wheels do not bring, releases."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from ipydock.capture import capture, owners, system, tables
from ipydock.models import Capture, Evidence, Program, Requested
from tests import samples


def captured(tmp_path: Path, *sources: str) -> Capture:
    return capture(samples.write(tmp_path / "x.ipynb", *(samples.code(s) for s in sources)))


def programs(*names: str) -> list[Program]:
    return [Program(name=name) for name in names]


def asked(distribution: str, version: str | None = None) -> Requested:
    return Requested(import_name="x", distribution=distribution, version=version, evidence=())


def names(found: system.SystemFindings) -> list[str]:
    return [package.name for package in found.apt]


# --- from a notebook -----------------------------------------------------------------------------


def test_programs_that_cells_start_become_packages(tmp_path: Path) -> None:
    found = captured(tmp_path, "!dot -V", "!git status\n!ls", "!apt-get install -y ffmpeg")
    assert {package.name: package.reason for package in found.apt} == {
        "ffmpeg": "cell 3: !apt-get install -y ffmpeg",
        "git": "cell 2: !git status",
        "graphviz": "cell 1: !dot -V",
    }


def test_a_distribution_that_starts_a_program_brings_it(tmp_path: Path) -> None:
    found = captured(tmp_path, "import graphviz")
    assert [(p.name, p.reason) for p in found.apt] == [("graphviz", "graphviz starts dot")]


def test_a_program_that_is_not_known_is_said(tmp_path: Path) -> None:
    found = captured(tmp_path, "!my_simulator --fast", "!ls\n!python x.py\n!pip install six")
    assert found.apt == ()
    assert sum("my_simulator" in warning for warning in found.warnings) == 1
    assert not any("python" in warning and "--add-apt" in warning for warning in found.warnings)


def test_a_client_of_a_service_of_the_host_is_not_installed(tmp_path: Path) -> None:
    found = captured(tmp_path, "!docker ps")
    assert found.apt == ()
    text = "cell 1: !docker ps will fail in a container: docker needs a service of this machine."
    assert text in found.warnings


def test_a_program_that_a_distribution_brings(tmp_path: Path) -> None:
    found = captured(tmp_path, "!pytest -q")
    assert found.apt == ()
    assert not any("pytest" in warning and "--add-apt" in warning for warning in found.warnings)


def test_files_that_will_not_be_in_the_image_are_said(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("1")
    (tmp_path / "nb").mkdir()
    found = captured(
        tmp_path / "nb", "import pandas as pd\npd.read_csv('../data.csv'); pd.read_csv('gone.csv')"
    )
    assert any("../data.csv" in warning and "--mount" in warning for warning in found.warnings)
    assert any("gone.csv" in warning and "not there" in warning for warning in found.warnings)


# --- tables --------------------------------------------------------------------------------------


def test_the_tables() -> None:
    for release in system.RELEASES:
        assert tables.find(f"debian-{release}.libraries", "libGL.so.1") == ("libgl1",)
        assert tables.find(f"debian-{release}.programs", "ffmpeg") == ("ffmpeg",)
        for present in ("ls", "grep", "libc.so.6", "libstdc++.so.6", "libsqlite3.so.0"):
            assert tables.find(f"debian-{release}.present", present) == ()
        for absent in ("git", "libGL.so.1", "l", "s", "# Source: https", "ls\ngrep", ""):
            assert tables.find(f"debian-{release}.present", absent) is None
    assert tables.find("debian-bookworm.libraries", "libssl.so.3") == ("libssl3",)
    assert tables.find("debian-trixie.libraries", "libssl.so.3") == ("libssl3t64",)


@pytest.mark.parametrize(
    ("program", "package"),
    [
        ("bedtools", "bedtools"),
        ("blastn", "ncbi-blast+"),
        ("convert", "imagemagick"),
        ("dot", "graphviz"),
        ("gcc", "gcc"),
        ("gdalinfo", "gdal-bin"),
        ("java", "default-jre-headless"),
        ("make", "make"),
        ("node", "nodejs"),
        ("pdflatex", "texlive-latex-base"),
        ("ps", "procps"),
        ("psql", "postgresql-client"),
        ("R", "r-base-core"),
        ("tesseract", "tesseract-ocr"),
        ("xelatex", "texlive-xetex"),
    ],
)
@pytest.mark.parametrize("release", system.RELEASES)
def test_programs(program: str, package: str, release: str) -> None:
    assert names(system.packages(programs(program), [], release=release)) == [package]


def test_libraries_by_release() -> None:
    needed = {"opencv-python": ["libgthread-2.0.so.0", "libGL.so.1", "libc.so.6", "libodd.so.9"]}
    found = system.packages([], [asked("opencv-python", "4.10")], needed=needed)
    assert [(p.name, p.reason) for p in found.apt] == [
        ("libgl1", "opencv-python loads libGL.so.1"),
        ("libglib2.0-0", "opencv-python loads libgthread-2.0.so.0"),
    ]
    assert [(x.name, x.package, x.by) for x in found.libraries] == [
        ("libGL.so.1", "libgl1", "opencv-python"),
        ("libgthread-2.0.so.0", "libglib2.0-0", "opencv-python"),
        ("libodd.so.9", None, "opencv-python"),
    ]
    assert len(found.warnings) == 1
    assert "hold libodd.so.9, which packages load" in found.warnings[0]
    newer = system.packages([], [], needed=needed, release="trixie")
    assert names(newer) == ["libgl1", "libglib2.0-0t64"]


def test_distributions_that_are_not_installed_here() -> None:
    found = system.packages([], [asked("lightgbm"), asked("cairosvg"), asked("tabula-py")])
    assert names(found) == ["default-jre-headless", "libcairo2", "libgomp1"]
    assert names(system.packages([], [asked("lightgbm", "4.0")])) == []


def test_another_system_of_the_same_age() -> None:
    found = system.packages(programs("git"), [], release="ubuntu-22.04")
    assert found.warnings == [
        "System packages are named as in Debian bookworm; the base image is of ubuntu-22.04, whose "
        "own names may differ."
    ]
    assert system.packages(programs("ls"), [], release="unknown").warnings == []


@pytest.mark.parametrize(
    ("base", "release"),
    [
        (None, "bookworm"),
        ("python:3.12-slim-trixie", "trixie"),
        ("python:3.12-slim-bookworm@sha256:" + "0" * 64, "bookworm"),
        ("registry.example.org:5000/lib/python:3.9-slim-bullseye", "bullseye"),
        ("python:3.12-slim", "trixie"),
        ("python:3", "trixie"),
        ("debian:13", "trixie"),
        ("debian:12-slim", "bookworm"),
        ("debian:stable-slim", "trixie"),
        ("ubuntu:24.04", "ubuntu-24.04"),
        ("nvidia/cuda:12.4.1-runtime-ubuntu22.04", "ubuntu-22.04"),
        ("buildpack-deps:jammy", "ubuntu-22.04"),
        ("python:3.12-alpine", "unknown"),
        ("fedora:41", "unknown"),
    ],
)
def test_releases(base: str | None, release: str) -> None:
    assert system.release_of(base) == release


# --- what was seen -------------------------------------------------------------------------------


def test_programs_of_an_environment_are_no_system_packages() -> None:
    inside = Program(name="git", path=str(Path(sys.prefix) / "bin" / "git"))
    assert names(system.packages([inside], [])) == []
    assert names(system.packages(programs("git"), [], brought={"git": "fake-git"})) == []


def test_libraries_in_memory(tmp_path: Path) -> None:
    from .test_capture_libraries import made

    files = {
        "libGL.so.1.7.0": made("libGL.so.1", "libX11.so.6"),
        "libX11.so.6": made("libX11.so.6"),
    }
    files["libc.so.6"] = made("libc.so.6")
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    found = system.packages([], [], mapped=[str(tmp_path / name) for name in files])
    assert [(p.name, p.reason) for p in found.apt] == [
        ("libgl1", "libGL.so.1 was in the session's memory")
    ]
    assert [(x.name, x.by) for x in found.libraries] == [("libGL.so.1", "the notebook")]


@pytest.mark.skipif(owners.codename() is None, reason="not a Debian machine")
def test_owners_on_debian(tmp_path: Path) -> None:
    own = tmp_path / "[own]*"
    own.touch()
    shell = shutil.which("sh") or ""
    link = tmp_path / "link"
    link.symlink_to(shutil.which("dpkg-query") or "")
    found = owners.owners([shell, "/usr/bin/env", str(link), str(own), "/nowhere"])
    assert found == {shell: "dash", "/usr/bin/env": "coreutils", str(link): "dpkg"}


@pytest.mark.skipif(owners.codename() is None, reason="not a Debian machine")
def test_a_program_in_no_table_is_of_its_owner_here() -> None:
    """As with a package that is not from Debian's own archive."""
    release = owners.codename() or ""
    assert tables.find(f"debian-{release}.programs", "not-its-name") is None
    evidence = (Evidence(source="session", text="starts it"),)
    odd = Program(name="not-its-name", path="/usr/share/common-licenses/GPL-3", evidence=evidence)
    assert names(system.packages([odd], [], release=release)) == ["base-files"]
    other = system.packages([odd], [], release="bullseye" if release != "bullseye" else "trixie")
    assert names(other) == []
    assert "not-its-name (here of base-files)" in other.warnings[0]
