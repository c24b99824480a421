"""Where distributions came from: direct URLs, indexes, owners; environments made by uv."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import uv

from ipydock.capture import capture, interpreter
from ipydock.capture.distributions import Environment
from ipydock.capture.origins import Origin, index_of, origin
from tests.environments import (
    by_import,
    dist_info,
    find_python,
    git,
    names,
    nb,
    project,
    repository,
)

OTHERS = ["3.8", "3.10", "3.12", "3.13"]


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Projects to install from: a folder, a git repository, and wheels."""
    root = tmp_path_factory.mktemp("sources")
    (root / "nb").mkdir()
    project(root / "edit", "my-edit", "my_edit")
    project(root / "vcs" / "py", "my-vcs", "ns.vcs")
    repository(root / "vcs")
    project(root / "wheel", "my-wheel", "ns.wheel", **{"inner.py": ""})
    project(root / "torch", "torch", "torch", version="2.4.0+cpu")
    for name in ("wheel", "torch"):
        where = ["-o", str(root / "wheels"), str(root / name)]
        subprocess.run([uv.find_uv_bin(), "build", "-q", "--wheel", *where], check=True)
    return root


def environment(env: Path, folder: Path) -> Environment:
    chosen = interpreter.Interpreter(str(env / "bin" / "python"))
    return Environment(interpreter.ask(chosen, {"folder": str(folder)}), str(folder))


@pytest.mark.parametrize("series", OTHERS)
def test_what_uv_installs(
    series: str, sources: Path, make_env: Callable[..., Path], tmp_path: Path
) -> None:
    python = find_python(series)
    if python is None:
        pytest.skip(f"Python {series} is not on this machine")
    wheel = next((sources / "wheels").glob("my_wheel*"))
    env = make_env(
        *("-e", str(sources / "edit"), str(wheel)),
        f"my-vcs @ git+file://{sources / 'vcs'}#subdirectory=py",
        *("torch==2.4.0+cpu", "--no-index", "--find-links", str(sources / "wheels")),
        python=python,
    )
    found = capture(
        nb(
            "import my_edit, torch\nfrom ns import vcs\nimport ns.wheel.inner",
            folder=sources / "nb",
        ),
        python=env,
    )
    assert found.python.series == series
    assert names(found) == {
        "my_edit": "my-edit",
        "ns.vcs": "my-vcs",
        "ns.wheel": "my-wheel",
        "torch": "torch",
    }
    commit = git(sources / "vcs", "rev-parse", "HEAD")
    assert {r.import_name: r.url for r in found.requested} == {
        "my_edit": "file:../edit#editable",
        "ns.vcs": f"git+file:../vcs@{commit}#subdirectory=py",
        "ns.wheel": f"file:../wheels/{wheel.name}",
        "torch": None,
    }
    known = environment(env, tmp_path)
    assert {d.installer for d in known.installed.values()} == {"uv"}
    assert known.installed["torch"].index == ("https://download.pytorch.org/whl/cpu", None)
    said = known.doubts(["my-edit", "my-vcs", "my-wheel", "torch"])
    assert [line.partition(":")[0].split()[0] for line in said] == ["my-edit", "my-vcs", "my-wheel"]
    assert "it is a folder on this machine, in no git repository" in said[0]
    assert "that commit is on none of its remotes" in said[1]
    assert "it is a file on this machine" in said[2]


BACKENDS = {
    "setuptools": ("setuptools>=64", "setuptools.build_meta", ""),
    # A package in a folder of another name needs setuptools' import hook.
    "hook": (
        "setuptools>=64",
        "setuptools.build_meta",
        '[tool.setuptools]\npackages = ["m_hook"]\npackage-dir = {m_hook = "src/m_hook"}',
    ),
    "hatch": (
        "hatchling",
        "hatchling.build",
        '[tool.hatch.build.targets.wheel]\npackages = ["src/m_hatch"]',
    ),
    "flit": ("flit_core", "flit_core.buildapi", '[tool.flit.module]\nname = "m_flit"'),
    "poetry": (
        "poetry-core>=2",
        "poetry.core.masonry.api",
        '[tool.poetry]\npackages = [{include = "m_poetry", from = "src"}]',
    ),
    "pdm": ("pdm-backend", "pdm.backend", ""),
    "scikit": (
        "scikit-build-core",
        "scikit_build_core.build",
        '[tool.scikit-build]\nwheel.packages = ["src/m_scikit"]\nwheel.cmake = false',
    ),
    "meson": ("meson-python", "mesonpy", ""),
}
MESON = """
project('p-meson', version: '1.0')
python = import('python').find_installation(pure: true)
python.install_sources('src/m_meson/__init__.py', 'src/m_meson/sub.py', subdir: 'm_meson')
"""


@pytest.mark.slow
def test_editable_installs_of_every_kind(make_env: Callable[..., Path], tmp_path: Path) -> None:
    flags = []
    for name, (requires, backend, settings) in BACKENDS.items():
        folder = project(
            tmp_path / name, f"p-{name}", f"m_{name}", **{"sub.py": "raise SystemExit"}
        )
        (folder / "pyproject.toml").write_text(
            f'[build-system]\nrequires = ["{requires}"]\nbuild-backend = "{backend}"\n'
            f'[project]\nname = "p-{name}"\nversion = "1.0"\ndescription = "x"\n{settings}\n'
        )
        flags += ["-e", str(folder)]
    (tmp_path / "meson" / "meson.build").write_text(MESON)
    env = make_env(*flags)
    # meson-python's hook compiles when it is asked for a module; capture must not.
    (tmp_path / "meson" / "meson.build").write_text("not meson")
    folder = tmp_path / "nb"
    folder.mkdir()
    found = capture(nb(*(f"import m_{name}.sub" for name in BACKENDS), folder=folder), python=env)
    assert names(found) == {f"m_{name}": f"p-{name}" for name in BACKENDS}
    assert {r.url for r in found.requested} == {f"file:../{name}#editable" for name in BACKENDS}


# --- who owns what -------------------------------------------------------------------------------


def test_namespace_packages_of_three_kinds(env: Path, tmp_path: Path) -> None:
    pkgutil = "__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n"
    resources = "__import__('pkg_resources').declare_namespace(__name__)\n"
    for first, kind, init in (("a", "pku", pkgutil), ("b", "res", resources), ("c", "pep", "")):
        for part in ("one", "two"):
            files = {f"{kind}/{part}/__init__.py": ""}
            if init:
                files[f"{kind}/__init__.py"] = init
            dist_info(env, f"{first}-{part}", "1.0", files=files)
    # The parts of one namespace may lie in several folders of the search path.
    other = tmp_path / "other"
    (other / "pku" / "three").mkdir(parents=True)
    (other / "pku" / "__init__.py").write_text(pkgutil)
    (other / "pku" / "three" / "__init__.py").touch()
    pth = {"d.pth": f"{other}\n"}
    dist_info(env, "d-three", "1.0", files=pth)
    cells = [f"from {kind} import one\nimport {kind}.two" for kind in ("pku", "res", "pep")]
    folder = tmp_path / "nb"
    folder.mkdir()
    found = capture(nb(*cells, "import pku.three", folder=folder), python=env)
    assert names(found) == {
        "pep.one": "c-one",
        "pep.two": "c-two",
        "pku.one": "a-one",
        "pku.three": "d-three",
        "pku.two": "a-two",
        "res.one": "b-one",
        "res.two": "b-two",
    }
    assert found.warnings == ()


def test_compiled_modules(env: Path, tmp_path: Path) -> None:
    suffix = f"cpython-{sys.version_info[0]}{sys.version_info[1]}-x86_64-linux-gnu.so"
    dist_info(env, "fast", "1", files={f"_fast.{suffix}": "", f"pk/core.{suffix}": ""})
    dist_info(env, "plain", "1", files={"abi.abi3.so": "", "with,comma.py": ""})
    found = capture(nb("import _fast, abi, pk.core", folder=tmp_path), python=env)
    assert names(found) == {"_fast": "fast", "abi": "plain", "pk.core": "fast"}


def test_setup_py_develop_is_an_editable_install(env: Path, tmp_path: Path) -> None:
    """As old pip and setuptools left it: a link, a line in a .pth file, egg-info in the source."""
    source = tmp_path / "lib"
    egg = source / "src" / "oldlib.egg-info"
    egg.mkdir(parents=True)
    (source / "setup.py").touch()
    (source / "src" / "oldlib.py").touch()
    (egg / "PKG-INFO").write_text("Name: oldlib\nVersion: 0.1\n")
    (egg / "top_level.txt").write_text("oldlib\n")
    site = next((env / "lib").glob("python3*")) / "site-packages"
    (site / "easy-install.pth").write_text(f"{source / 'src'}\n")
    (site / "oldlib.egg-link").write_text(f"{source / 'src'}\n../")
    folder = tmp_path / "nb"
    folder.mkdir()
    found = capture(nb("import oldlib", folder=folder), python=env)
    # The name may be anybody's on an index: it must not be looked up there.
    assert by_import(found)["oldlib"].url == "file:../lib#editable"


def test_a_package_that_says_it_spreads_but_has_one_owner(env: Path, tmp_path: Path) -> None:
    """As PyQt5: its libraries are a distribution of their own, in a folder of the same package."""
    pkgutil = "from pkgutil import extend_path\n__path__ = extend_path(__path__, __name__)\n"
    dist_info(env, "gui", "5", files={"gui/__init__.py": pkgutil, "gui/core.py": ""})
    dist_info(env, "gui-libs", "5", files={"gui/libs/libgui.so.5": ""})
    found = capture(nb("import gui", "from gui import core", folder=tmp_path), python=env)
    assert names(found) == {"gui": "gui", "gui.core": "gui"}


def test_programs_of_distributions(env: Path, tmp_path: Path) -> None:
    dist_info(env, "Tool", "1", files={"tool.py": "", "../../../bin/tool": "", "a/bin/b": ""})
    assert environment(env, tmp_path).programs["tool"] == "tool"
    assert "b" not in environment(env, tmp_path).programs
    dist_info(env, "pip", "1", files={"pip.py": "", "../../../bin/pip": ""})
    found = capture(nb("!tool run", "!pip list\n!tool", folder=tmp_path), python=env)
    (item,) = found.requested
    assert (item.import_name, item.distribution, item.version) == ("tool", "tool", "1")
    assert [e.number for e in item.evidence] == [1, 2]
    assert found.apt == ()


# --- direct URLs ---------------------------------------------------------------------------------


def test_direct_urls(tmp_path: Path) -> None:
    folder = str(tmp_path / "nb")
    assert origin(None, folder) is None
    vcs = {"vcs": "git", "commit_id": "abc", "requested_revision": "main"}
    url = "https://user:token@github.com/a/b.git"
    assert origin({"url": url, "vcs_info": vcs, "subdirectory": "py"}, folder) == Origin(
        "git+https://github.com/a/b.git@abc#subdirectory=py"
    )
    assert origin({"url": "ssh://git:pw@x.org/a", "vcs_info": vcs}, folder) == Origin(
        "git+ssh://git@x.org/a@abc"
    )
    archive = {"url": "https://x.org/a-1.whl", "archive_info": {"hash": "sha256=1"}}
    assert origin(archive, folder) == Origin("https://x.org/a-1.whl#sha256=1")
    local = {"url": f"file://{tmp_path}/my%20lib", "dir_info": {"editable": True}}
    assert origin(local, folder) == Origin(
        "file:../my lib#editable", "the folder is not there any more"
    )


def test_a_folder_that_is_published(tmp_path: Path) -> None:
    root = tmp_path / "mono"
    project(root / "lib", "lib", "lib")
    info = {"url": (root / "lib").as_uri(), "dir_info": {"editable": True}}

    def told() -> Origin:
        found = origin(info, str(tmp_path))
        assert found is not None
        return found

    commit = repository(root)
    where = "file:mono/lib#editable"
    unpushed = "its commit is on no remote that other machines reach; push it"
    assert told() == Origin(where, unpushed)
    git(root, "remote", "add", "origin", "https://me:secret@git.example.org/a/mono.git")
    assert told() == Origin(where, unpushed)
    git(root, "update-ref", "refs/remotes/origin/main", "HEAD")
    published = f"git+https://git.example.org/a/mono.git@{commit}#subdirectory=lib"
    assert told() == Origin(published)
    (root / "elsewhere.txt").touch()
    assert told() == Origin(published)
    (root / "lib" / "new.py").touch()
    assert told() == Origin(where, "it is a folder with changes that are not committed")
    (root / "lib" / "new.py").unlink()
    for address, expected in (
        ("git@git.example.org:a/mono.git", "ssh://git@git.example.org/a/mono.git"),
        ("ssh://git@git.example.org:22/a/m", "ssh://git@git.example.org:22/a/m"),
    ):
        git(root, "remote", "set-url", "origin", address)
        assert told() == Origin(f"git+{expected}@{commit}#subdirectory=lib")
    git(root, "remote", "set-url", "origin", str(tmp_path / "bare.git"))
    assert told() == Origin(where, unpushed)
    # The same for what was installed from a repository on this machine.
    vcs = {"url": root.as_uri(), "vcs_info": {"vcs": "git", "commit_id": commit}}
    assert (origin(vcs, str(tmp_path)) or Origin("")).url == f"git+file:mono@{commit}"
    git(root, "remote", "set-url", "origin", "https://git.example.org/m")
    assert origin(vcs, str(tmp_path)) == Origin(f"git+https://git.example.org/m@{commit}")


@pytest.mark.parametrize(
    ("name", "version", "index"),
    [
        ("torch", "2.4.0", None),
        ("torch", "2.4.0+cpu", "https://download.pytorch.org/whl/cpu"),
        ("torchvision", "0.19.0+cu124", "https://download.pytorch.org/whl/cu124"),
        ("torch", "2.5.0+rocm6.2", "https://download.pytorch.org/whl/rocm6.2"),
        ("auto-gptq", "0.7.1+cu118", "https://huggingface.github.io/autogptq-index/whl/cu118/"),
    ],
)
def test_indexes_of_local_versions(name: str, version: str, index: str | None) -> None:
    assert index_of(name, version) == (index, None)


def test_local_versions_without_an_index() -> None:
    index, said = index_of("jaxlib", "0.4.23+cuda12.cudnn89")
    assert index is None
    assert said
    assert "jax_cuda_releases.html" in said
    index, said = index_of("torch-scatter", "2.1.2+pt24cu121")
    assert said
    assert "torch-2.4.0+cu121.html" in said
    index, said = index_of("mylib", "1.0+git.abc")
    assert said
    assert "not known where it came from" in said
    assert "--add-pip mylib==1.0" in said


def test_git_runs_nothing_that_a_repository_names(tmp_path: Path) -> None:
    ran = tmp_path / "ran"

    def hostile(folder: Path) -> None:
        """Settings that name programs, and a file that git must compare."""
        program = f"touch {ran}; cat"
        for key in ("filter.evil.clean", "filter.evil.process", "core.fsmonitor", "diff.external"):
            git(folder, "config", key, program)
        git(folder, "config", "filter.evil.required", "true")
        git(folder, "config", "core.hooksPath", str(tmp_path / "hooks"))
        (folder / "a.txt").touch()

    (tmp_path / "hooks").mkdir()
    (tmp_path / "hooks" / "post-index-change").write_text(f"#!/bin/sh\ntouch {ran}\n")
    (tmp_path / "hooks" / "post-index-change").chmod(0o755)
    for name in ("inner", "outer"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.txt").write_text("a\n")
        (tmp_path / name / ".gitattributes").write_text("* filter=evil\n")
        repository(tmp_path / name)
    outer, module = tmp_path / "outer", tmp_path / "outer" / "module"
    allowed = ("-c", "protocol.file.allow=always")
    git(outer, *allowed, "submodule", "--quiet", "add", str(tmp_path / "inner"), "module")
    git(outer, "commit", "-q", "-m", "a module")
    git(outer, "remote", "add", "origin", "https://example.org/outer.git")
    git(outer, "update-ref", "refs/remotes/origin/m", "HEAD")
    hostile(outer)
    hostile(module)
    info = {"url": outer.as_uri(), "dir_info": {"editable": True}}
    commit = git(outer, "rev-parse", "HEAD")
    published = Origin(f"git+https://example.org/outer.git@{commit}")
    assert origin(info, str(tmp_path)) == published
    (module / "a.txt").write_text("b\n")
    changed = origin(info, str(tmp_path))
    assert changed is not None
    assert changed.reason == "it is a folder with changes that are not committed"
    # A partial clone must not go and get what it lacks.
    git(outer, "config", "remote.origin.url", f"ext::sh -c 'touch {ran}'")
    git(outer, "config", "protocol.ext.allow", "always")
    git(outer, "config", "remote.origin.promisor", "true")
    git(outer, "config", "extensions.partialClone", "origin")
    vcs = {"url": outer.as_uri(), "vcs_info": {"vcs": "git", "commit_id": "1" * 40}}
    assert origin(vcs, str(tmp_path)) is not None
    assert not ran.exists()
    # It is the settings that make it safe: git by itself runs them.
    git(outer, "config", "--unset", "extensions.partialClone")
    subprocess.run(["git", "-C", str(outer), "status"], capture_output=True, check=False)
    assert ran.exists()


ODD_URLS = [
    *("[]", "null", '"x"', '{"url": 5}', '{"url": "file://["}', '{"url": "https://u:p@[::1/x"}'),
    '{"url": "file:///tmp/x\\u0000y", "dir_info": {"editable": true}}',
    '{"url": "file:///tmp/%00", "dir_info": {"editable": true}}',
    '{"url": "file:///tmp/\\ud800", "dir_info": {"editable": true}}',
    '{"url": "file:///no", "dir_info": [1]}',
    '{"url": "file:///no", "dir_info": {"editable": true}, "subdirectory": "\\u0000"}',
    '{"url": "https://a.example/b", "archive_info": {"hash": [1]}}',
    '{"url": "https://a.example/b", "vcs_info": {"vcs": 5, "commit_id": ["--x"]}}',
    '{"url": "file:///tmp", "vcs_info": {"vcs": "git", "commit_id": "--output=/tmp/x"}}',
    "[" * 100_000,
]
ODD_FIELDS = [
    "Requires-Dist: a (>=",
    "Requires-Dist: a; " + "(" * 5000 + "os_name == 'x'" + ")" * 5000,
    "Requires-Dist: " + "(" * 50_000,
    "Requires-Dist: \0",
]


def test_metadata_may_be_anything(env: Path, tmp_path: Path) -> None:
    cells = []
    for number, text in enumerate(ODD_URLS):
        info = f"odd{number}-1.0.dist-info/direct_url.json"
        dist_info(env, f"odd{number}", "1.0", files={f"odd{number}.py": "", info: text})
        cells.append(f"import odd{number}")
    for number, line in enumerate(ODD_FIELDS):
        dist_info(env, f"field{number}", "1.0", line, files={f"field{number}.py": ""})
        cells.append(f"import field{number}")
    dist_info(env, "nonsense", "not!a!version", files={"nonsense.py": ""})
    site = next((env / "lib").glob("python3*")) / "site-packages"
    (site / "loop-1.0.dist-info").symlink_to("loop-1.0.dist-info")
    (site / "file-1.0.dist-info").write_bytes(bytes(range(256)))
    found = capture(nb(*cells, "!pip install nonsense>=1", folder=tmp_path), python=env)
    urls = {pinned.distribution: pinned.url for pinned in found.closure}
    assert {name for name, url in urls.items() if url} == {
        *("odd9", "odd10", "odd11", "odd12", "odd13"),
    }
    assert urls["odd12"] == "git+https://a.example/b"
    assert len(urls) == len(cells) + 1
