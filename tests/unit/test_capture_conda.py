"""Conda environments: the form that conda leaves in conda-meta, around an environment of uv's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ipydock.capture import capture, conda
from tests.environments import by_import, dist_info, nb

FORGE = "https://conda.anaconda.org/conda-forge"


def record(name: str, version: str, build: str, *files: str, **more: Any) -> dict[str, Any]:
    """A record with the keys, in the order and of the kinds, that conda 24 writes for a package."""
    subdir = more.pop("subdir", "linux-64")
    fn = f"{name}-{version}-{build}.conda"
    return {
        "arch": "x86_64" if subdir != "noarch" else None,
        "build": build,
        "build_number": int(build.rpartition("_")[2]),
        "channel": f"{FORGE}/{subdir}",
        "constrains": [],
        "depends": ["libgcc >=13", "python_abi 3.11.* *_cp311"],
        "extracted_package_dir": f"/home/ada/miniforge3/pkgs/{fn[:-6]}",
        "features": "",
        "files": list(files),
        "fn": fn,
        "license": "BSD-3-Clause",
        "link": {"source": f"/home/ada/miniforge3/pkgs/{fn[:-6]}", "type": 1},
        "md5": "0123456789abcdef0123456789abcdef",
        "name": name,
        "package_tarball_full_path": f"/home/ada/miniforge3/pkgs/{fn}",
        "paths_data": {
            "paths": [
                {"_path": f, "path_type": "hardlink", "sha256": "0" * 64, "size_in_bytes": 1}
                for f in files
            ],
            "paths_version": 1,
        },
        "platform": "linux",
        "requested_spec": "None",
        "sha256": "0" * 64,
        "size": 7925462,
        "subdir": subdir,
        "timestamp": 1707225570061,
        "track_features": "",
        "url": f"{FORGE}/{subdir}/{fn}",
        "version": version,
        **more,
    }


def write(env: Path, *records: dict[str, Any]) -> None:
    folder = env / "conda-meta"
    folder.mkdir(exist_ok=True)
    (folder / "history").write_text("==> 2024-02-06 13:19:30 <==\n")
    for item in records:
        name = f"{item['name']}-{item['version']}-{item['build']}.json"
        (folder / name).write_text(json.dumps(item, indent=2))


def test_a_conda_environment(env: Path, tmp_path: Path) -> None:
    site = next((env / "lib").glob("python3*")) / "site-packages"
    inside = str(site.relative_to(env))
    # conda's packages name the folder that they were built in as their direct URL.
    built = json.dumps({"url": "file:///home/conda/feedstock_root/work", "dir_info": {}})
    dist_info(
        env,
        "numpy",
        "1.26.4",
        files={"numpy/__init__.py": "", "numpy-1.26.4.dist-info/direct_url.json": built},
    )
    dist_info(
        env, "pip-made", "2.0", files={"pip_made.py": "", "pip_made-2.0.dist-info/INSTALLER": "pip"}
    )
    write(
        env,
        record("numpy", "1.26.4", "py311h64a7726_0", f"{inside}/numpy-1.26.4.dist-info/METADATA"),
        record("libgdal", "3.8.4", "h7c88fdf_0", "lib/libgdal.so.34"),
        record("tzdata", "2024a", "h0c530f3_0", "share/zoneinfo/UTC", subdir="noarch"),
    )
    (env / "conda-meta" / "broken-1-0.json").write_text("{")
    found = capture(nb("import numpy, pip_made", folder=tmp_path), python=env)
    assert [(p.name, p.version, p.build, p.channel) for p in found.conda] == [
        ("libgdal", "3.8.4", "h7c88fdf_0", "conda-forge"),
        ("numpy", "1.26.4", "py311h64a7726_0", "conda-forge"),
        ("tzdata", "2024a", "h0c530f3_0", "conda-forge"),
    ]
    assert found.conda[0].url == f"{FORGE}/linux-64/libgdal-3.8.4-h7c88fdf_0.conda"
    assert found.conda[0].md5 == "0123456789abcdef0123456789abcdef"
    assert {p.distribution: p.installer for p in found.closure} == {
        "numpy": "conda",
        "pip-made": "pip",
    }
    assert by_import(found)["numpy"].url is None
    assert "conda-meta/broken-1-0.json cannot be read." in found.warnings
    assert "/home/" not in found.model_dump_json()


def test_channels_and_credentials(tmp_path: Path) -> None:
    secret = "https://ada:pw@conda.example.org/t/tk-123/lab/linux-64"
    private = record("a", "1", "h_0", channel=secret, url=f"{secret}/a-1-h_0.conda")
    token = "https://conda.anaconda.org/t/tk-123/group/noarch"
    public = record("b", "1", "h_0", channel=token, url=f"{token}/b-1-h_0.conda")
    main = record("c", "1", "h_0", channel="https://repo.anaconda.com/pkgs/main/linux-64")
    short = record("d", "1", "h_0", channel="conda-forge", url="", md5=None)
    local = record("e", "1", "h_0", channel="file:///home/ada/x/linux-64", url="file:///home/ada/e")
    write(tmp_path, private, public, main, short, local)
    found = {package.name: package for package in conda.read(str(tmp_path)).packages}
    assert {name: package.channel for name, package in found.items()} == {
        "a": "https://conda.example.org/lab",
        "b": "group",
        "c": "pkgs/main",
        "d": "conda-forge",
        "e": "a folder on this machine",
    }
    assert found["a"].url == "https://conda.example.org/lab/linux-64/a-1-h_0.conda"
    assert found["b"].url == "https://conda.anaconda.org/group/noarch/b-1-h_0.conda"
    assert (found["d"].url, found["e"].url) == (None, None)
    text = "".join(package.model_dump_json() for package in found.values())
    assert not any(word in text for word in ("pw", "tk-123", "/home/"))


def test_hostile_records(tmp_path: Path) -> None:
    folder = tmp_path / "conda-meta"
    folder.mkdir()
    for number, text in enumerate(("[]", "null", '{"name": 1}', "[" * 100_000, "\xff", '"x"')):
        (folder / f"{number}.json").write_text(text, encoding="latin-1")
    found = conda.read(str(tmp_path))
    assert found.packages == ()
    assert len(found.broken) == 6
    assert conda.read(str(tmp_path / "nowhere")) == conda.CondaMeta()
