"""The generators of the shipped tables, on indexes of a handful of packages."""

from __future__ import annotations

import gzip
import lzma
from pathlib import Path

import pytest

from scripts import name_map, system_tables, tables
from scripts.debian import Release, closure

CONTENTS = """\
usr/bin/tool                                            utils/tool,utils/other-tool
bin/ls                                                  utils/coreutils
usr/lib/x86_64-linux-gnu/libfoo.so                      libdevel/libfoo-dev
usr/lib/x86_64-linux-gnu/libfoo.so.3                    libs/libfoo3t64,utils/foo-fork
usr/lib/x86_64-linux-gnu/libfoo.so.3.1.4                libs/libfoo3t64
usr/lib/x86_64-linux-gnu/blas/libblas.so.3              libs/libblas3
usr/lib/x86_64-linux-gnu/atlas/libblas.so.3             libs/libatlas3
lib/x86_64-linux-gnu/libc.so.6                          libs/libc6
usr/share/doc/tool/read me                              utils/tool
usr/lib/python3/dist-packages/PyYAML-6.0.dist-info/METADATA python/python3-yaml
usr/lib/python3/dist-packages/yaml/__init__.py          python/python3-yaml
usr/lib/python3/dist-packages/yaml/tests/__init__.py    python/python3-yaml
usr/lib/python3/dist-packages/_yaml.cpython-311-x86_64-linux-gnu.so python/python3-yaml
usr/lib/python3/dist-packages/google_auth-2.dist-info/RECORD python/python3-google-auth
usr/lib/python3/dist-packages/google/auth/__init__.py   python/python3-google-auth
usr/lib/python3/dist-packages/two-1.egg-info            python/python3-two
usr/lib/python3/dist-packages/three-1.egg-info/PKG-INFO python/python3-two
usr/lib/python3/dist-packages/two.py                    python/python3-two
"""
PACKAGES = "".join(
    f"Package: {name}\nPriority: {priority}\nSection: {section}\n{more}\n"
    for name, priority, section, more in (
        ("tool", "optional", "utils", ""),
        ("other-tool", "optional", "utils", ""),
        ("coreutils", "required", "utils", "Essential: yes\nPre-Depends: libc6 (>= 2)\n"),
        ("libc6", "optional", "libs", "Depends: nowhere | libblas, gone\n"),
        ("libfoo-dev", "optional", "libdevel", ""),
        ("libfoo3t64", "optional", "libs", ""),
        ("foo-fork", "optional", "utils", ""),
        ("libblas3", "optional", "libs", "Provides: libblas\n"),
        ("libatlas3", "optional", "libs", ""),
        ("python3-yaml", "optional", "python", ""),
        ("python3-google-auth", "optional", "python", ""),
        ("python3-two", "optional", "python", ""),
    )
)


@pytest.fixture
def release(tmp_path: Path) -> Release:
    folder = tmp_path / "toy"
    folder.mkdir()
    (folder / "InRelease").write_text("Codename: toy\nDate: Sat, 11 Jul 2026 10:16:37 UTC\n")
    (folder / "main_Contents-amd64.gz").write_bytes(gzip.compress(CONTENTS.encode()))
    (folder / "main_Contents-all.gz").write_bytes(gzip.compress(b""))
    (folder / "main_binary-amd64_Packages.xz").write_bytes(lzma.compress(PACKAGES.encode()))
    return Release("toy", tmp_path)


def rows(folder: Path, name: str) -> list[str]:
    text = gzip.decompress((folder / f"{name}.txt.gz").read_bytes()).decode()
    head = [line for line in text.splitlines() if line.startswith("# ")]
    assert len(head) == 3
    assert "2026-07-11" in head[1]
    return text.splitlines()[3:]


def test_system_tables(release: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "FOLDER", tmp_path / "out")
    release.fetch()  # nothing is missing, so nothing is fetched
    system_tables.write(release)
    assert rows(tables.FOLDER, "debian-toy.libraries") == [
        "libblas.so.3\tlibblas3",
        "libc.so.6\tlibc6",
        "libfoo.so.3\tlibfoo3t64 foo-fork",
    ]
    assert rows(tables.FOLDER, "debian-toy.programs") == ["ls\tcoreutils", "tool\ttool other-tool"]
    assert rows(tables.FOLDER, "debian-toy.present") == ["libblas.so.3", "libc.so.6", "ls"]
    first = {path.name: path.read_bytes() for path in tables.FOLDER.iterdir()}
    system_tables.write(release)
    assert first == {path.name: path.read_bytes() for path in tables.FOLDER.iterdir()}


def test_a_closure_takes_the_first_alternative_that_there_is(release: Release) -> None:
    assert closure(["coreutils"], release.packages()) == {"coreutils", "libc6", "libblas3"}


def test_the_name_map(release: Release) -> None:
    found = name_map.Map()
    name_map.from_debian(found, release)
    assert found.rows() == {
        "google.auth": "google-auth python3-google-auth/toy",
        "yaml": "pyyaml python3-yaml/toy",
    }


def test_the_names_that_files_are_imported_by() -> None:
    paths = ["a/__init__.py", "a/b.py", "ns/x/__init__.py", "ns/y.py", "tests/t.py", "_p.py"]
    assert name_map.tops([*paths, "p/_in.abi3.so", "p/__init__.py"]) == {"a", "ns.x", "ns.y", "p"}
