"""Packages that came from no index: what of their source is taken, and what stands for them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ipydock.capture import capture
from ipydock.models import Capture, LocalPackage
from tests import samples
from tests.environments import dist_info, git, project, repository


def install(env: Path, name: str, folder: Path, *, version: str = "1.0", **more: str) -> None:
    """Metadata of an editable install, as pip writes it."""
    info = f"{name.replace('-', '_')}-{version}.dist-info"
    url = json.dumps({"url": folder.as_uri(), "dir_info": {"editable": True}})
    files = {f"{info}/direct_url.json": url, f"__editable__.{name}.pth": f"{folder / 'src'}\n"}
    files |= {f"{info}/{path}.txt": text for path, text in more.items()}
    dist_info(env, name, version, files=files)


def taken(found: Capture, name: str) -> LocalPackage:
    return next(p for p in found.local_packages if p.distribution == name)


def paths(package: LocalPackage) -> list[str]:
    return [file.path for file in package.files]


def notebook(folder: Path, *sources: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return samples.write(folder / "nb.ipynb", *map(samples.code, sources))


def test_a_folder_gives_what_git_has_or_would_take(env: Path, tmp_path: Path) -> None:
    folder = project(tmp_path / "repo", "my-own", "my_own")
    (folder / ".gitignore").write_text("*.log\nbuild/\n")
    repository(folder)
    for name in ("new.py", "x.log", "build/lib.py", "docs/guide.ipynb"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("")
    install(env, "my-own", folder)
    found = capture(notebook(tmp_path / "nb", "import my_own"), python=env)
    package = taken(found, "my-own")
    assert (package.path, package.build_requires) == ("../repo", ("uv_build",))
    assert paths(package) == [
        ".gitignore",
        "new.py",
        "pyproject.toml",
        "src/my_own/__init__.py",
    ]
    assert not found.warnings


def test_without_git_what_builds_leave_is_left_out(env: Path, tmp_path: Path) -> None:
    folder = project(tmp_path / "own", "my-own", "my_own")
    left = ("build/x.py", "my_own.egg-info/PKG-INFO", "src/my_own/_x.cpython-311-x86_64.so")
    for name in (*left, "src/my_own/__pycache__/a.pyc", "src/my_own/lib.so"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("")
    install(env, "my-own", folder)
    found = capture(notebook(tmp_path / "nb", "import my_own"), python=env)
    assert paths(taken(found, "my-own")) == [
        "pyproject.toml",
        "src/my_own/__init__.py",
        "src/my_own/lib.so",
    ]


def test_credentials_and_links_that_lead_out_are_not_taken(env: Path, tmp_path: Path) -> None:
    folder = project(tmp_path / "own", "my-own", "my_own")
    (tmp_path / "elsewhere.txt").write_text("x")
    (folder / ".env").write_text("A=1")
    token = "ghp_" + "wWPw5k4aXcaT4fNP0UcnZwJUVFk6LO0pINUx"
    (folder / "src" / "my_own" / "config.py").write_text(f"TOKEN = '{token}'\n")
    (folder / "link.txt").symlink_to(tmp_path / "elsewhere.txt")
    install(env, "my-own", folder)
    found = capture(notebook(tmp_path / "nb", "import my_own"), python=env)
    assert paths(taken(found, "my-own")) == ["pyproject.toml", "src/my_own/__init__.py"]
    said = "my-own is taken without what looks like credentials: .env, src/my_own/config.py"
    assert any(said in warning for warning in found.warnings)
    assert token not in found.model_dump_json()


def test_the_notebooks_own_folder_is_no_part_of_a_package(env: Path, tmp_path: Path) -> None:
    folder = project(tmp_path / "own", "my-own", "my_own")
    install(env, "my-own", folder)
    nb = notebook(folder / "examples", "import my_own, helper")
    (folder / "examples" / "helper.py").write_text("")
    found = capture(nb, python=env)
    assert paths(taken(found, "my-own")) == ["pyproject.toml", "src/my_own/__init__.py"]
    assert [module.path for module in found.local_modules] == ["helper.py"]


def test_of_a_package_around_the_notebook_that_it_does_not_use_nothing_is_said(
    env: Path, tmp_path: Path
) -> None:
    folder = project(tmp_path / "own", "my-own", "my_own")
    (folder / ".env").write_text("A=1")
    install(env, "my-own", folder)
    nb = notebook(folder / "examples", "import helper")
    (folder / "examples" / "helper.py").write_text("")
    found = capture(nb, python=env)
    assert found.local_packages == ()
    assert not any("my-own" in warning for warning in found.warnings)


@pytest.mark.parametrize("layout", ["src", "flat"])
def test_a_package_around_the_notebook_is_not_there_twice(
    env: Path, tmp_path: Path, layout: str
) -> None:
    folder = project(tmp_path / "own", "my-own", "my_mod", **{"inner.py": "import six\n"})
    if layout == "flat":
        (folder / "src" / "my_mod").rename(folder / "my_mod")
    install(env, "my-own", folder, top_level="my_mod\n")
    dist_info(env, "six", "1.0", files={"six.py": ""})
    (folder / "helper.py").write_text("")
    found = capture(notebook(folder, "import my_mod.inner, helper"), python=env)
    assert [module.path for module in found.local_modules] == ["helper.py"]
    assert taken(found, "my-own").modules == ("my_mod", "my_mod.inner")
    asked = {item.import_name: item.distribution for item in found.requested}
    assert asked == {"my_mod": "my-own", "six": "six"}
    assert found.search_path == ()


def test_an_archive_and_a_repository(env: Path, tmp_path: Path) -> None:
    archive = tmp_path / "my_file-1.0.tar.gz"
    archive.write_bytes(b"x")
    commit = "c" * 40
    urls = {
        "my-file": {"url": archive.as_uri(), "archive_info": {}},
        "my-git": {
            "url": "https://user:password@example.org/r.git",
            "vcs_info": {"vcs": "git", "commit_id": commit},
        },
        "my-ssh": {
            "url": "ssh://git@example.org/r.git",
            "vcs_info": {"vcs": "git", "commit_id": commit},
        },
    }
    for name, direct in urls.items():
        module = name.replace("-", "_")
        info = f"{module}-1.0.dist-info/direct_url.json"
        dist_info(env, name, "1.0", files={info: json.dumps(direct), f"{module}.py": ""})
    found = capture(notebook(tmp_path / "nb", "import my_file, my_git, my_ssh"), python=env)
    assert taken(found, "my-file").archive == "my_file-1.0.tar.gz"
    assert taken(found, "my-git").url == f"git+https://example.org/r.git@{commit}"
    assert [p.distribution for p in found.local_packages] == ["my-file", "my-git"]


def test_submodules_belong_to_the_source(env: Path, tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "part.py").write_text("")
    repository(inner)
    folder = project(tmp_path / "own", "my-own", "my_own")
    repository(folder)
    allowed = ("-c", "protocol.file.allow=always")
    git(folder, *allowed, "submodule", "--quiet", "add", str(inner), "src/my_own/inner")
    install(env, "my-own", folder)
    found = capture(notebook(tmp_path / "nb", "import my_own"), python=env)
    assert "src/my_own/inner/part.py" in paths(taken(found, "my-own"))
