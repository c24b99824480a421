"""The whole of capture: environments, alternatives, guesses, sessions; real interpreters."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import uv

from ipydock.capture import capture, capture_session, live, probe
from ipydock.capture.distributions import Environment, direct_url
from ipydock.errors import EnvironmentMissing
from ipydock.models import Capture, Requested
from ipydock.notebook import Notebook, load
from tests.bed import interpreters

GOLDEN = Path(__file__).parent / "golden"


def nb(*sources: str, folder: Path | None = None, **metadata: Any) -> Notebook:
    cells: list[dict[str, Any]] = [
        {"cell_type": "code", "metadata": {}, "source": s, "outputs": [], "execution_count": None}
        for s in sources
    ]
    document = {"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": cells}
    return load(document, folder=folder, name="nb.ipynb")


def find_python(series: str) -> str | None:
    """An interpreter of this series: pyenv's, or one that uv finds."""
    for known in interpreters.find(os.environ, Path.home()):
        if known.minor == series:
            return str(known.prefix / "bin" / f"python{series}")
    find = [uv.find_uv_bin(), "python", "find", "--no-python-downloads", "--system", series]
    done = subprocess.run(find, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def by_import(found: Capture) -> dict[str, Requested]:
    return {item.import_name: item for item in found.requested}


def names(found: Capture) -> dict[str, str | None]:
    return {item.import_name: item.distribution for item in found.requested}


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with nothing in it."""
    folder = tmp_path_factory.mktemp("envs") / "bare"
    subprocess.run([uv.find_uv_bin(), "venv", "-q", "--python", sys.executable, folder], check=True)
    return folder


@pytest.fixture(scope="session")
def make_env(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Environments with packages from the index, made once each."""
    made: dict[tuple[str, ...], Path] = {}

    def make(*requirements: str, python: str = sys.executable) -> Path:
        key = (python, *requirements)
        if key not in made:
            folder = tmp_path_factory.mktemp("env") / "env"
            uv_bin = uv.find_uv_bin()
            subprocess.run([uv_bin, "venv", "-q", "--python", python, folder], check=True)
            subprocess.run(
                [uv_bin, "pip", "install", "-q", "--python", folder, *requirements], check=True
            )
            made[key] = folder
        return made[key]

    return make


def dist_info(env: Path, name: str, version: str, *lines: str, files: dict[str, str]) -> None:
    """Put a distribution into an environment as an installer leaves it."""
    site = next((env / "lib").glob("python3*")) / "site-packages"
    folder = f"{name.replace('-', '_')}-{version}.dist-info"
    metadata = "\n".join(["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *lines])
    files = {f"{folder}/METADATA": metadata + "\n\nLong text\nName: not-this\n", **files}
    record = "".join(f"{path},sha256=x,1\n" for path in files) + f"{folder}/RECORD,,\n"
    for path, text in {**files, f"{folder}/RECORD": record}.items():
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).write_text(text)


@pytest.fixture
def env(tmp_path: Path, bare: Path) -> Path:
    """An environment that a test may put distributions into."""
    folder = tmp_path / "env"
    subprocess.run([uv.find_uv_bin(), "venv", "-q", "--python", sys.executable, folder], check=True)
    return folder


# --- distributions -------------------------------------------------------------------------------


def test_modules_belong_to_distributions(env: Path, tmp_path: Path) -> None:
    dist_info(env, "Scikit_Learn.x", "1.0", files={"sk/__init__.py": "raise SystemExit"})
    dist_info(env, "google-cloud-storage", "2.0", files={"google/cloud/storage/__init__.py": ""})
    dist_info(env, "google-auth", "3.0", files={"google/auth/__init__.py": "", "single.py": ""})
    found = capture(
        nb(
            "import sk.linear, single, json",
            "from google.cloud import storage",
            "import google.auth.x",
            folder=tmp_path,
        ),
        python=env,
    )
    assert names(found) == {
        "google.auth": "google-auth",
        "google.cloud.storage": "google-cloud-storage",
        "single": "google-auth",
        "sk": "scikit-learn-x",
    }
    assert by_import(found)["sk"].version == "1.0"
    assert not any(item.guess for item in found.requested)
    assert found.warnings == ()
    assert found.sources == ("source", "environment")


def test_the_closure_with_markers_and_extras(env: Path, tmp_path: Path) -> None:
    dist_info(
        env,
        "top",
        "1.0",
        "Requires-Dist: Base_Lib>=1",
        "Requires-Dist: windows-only; sys_platform == 'win32'",
        "Requires-Dist: old-python; python_version < '3'",
        "Requires-Dist: sheet[fast]; extra == 'excel'",
        "Requires-Dist: top[excel]; extra == 'all'",
        "Requires-Dist: not a requirement !!",
        "Requires-Dist: absent>2",
        files={"top/__init__.py": ""},
    )
    dist_info(env, "base-lib", "0.5", "Requires-Dist: top", files={"base_lib.py": ""})
    dist_info(env, "sheet", "1.0", "Requires-Dist: quick; extra == 'fast'", files={"sheet.py": ""})
    dist_info(env, "quick", "1.0", files={"quick.py": ""})
    plain = capture(nb("import top", folder=tmp_path), python=env)
    assert [(p.distribution, p.required_by) for p in plain.closure] == [
        ("base-lib", ("top",)),
        ("top", ("base-lib",)),
    ]
    assert plain.warnings == (
        "top requires Base_Lib>=1, but 0.5 is installed.",
        "top requires absent, which is not installed.",
    )
    extra = capture(nb("%pip install top[all]", folder=tmp_path), python=env)
    assert [p.distribution for p in extra.closure] == ["base-lib", "quick", "sheet", "top"]
    assert by_import(extra)["top"].requirement == "top[all]"


def test_two_owners_and_no_owner(env: Path, tmp_path: Path) -> None:
    for name in ("opencv-python", "opencv-python-headless"):
        dist_info(env, name, "4.0", files={"cv2/__init__.py": ""})
    site = next((env / "lib").glob("python3*")) / "site-packages"
    (site / "stray.py").touch()
    found = capture(nb("import cv2, stray", folder=tmp_path), python=env)
    assert names(found) == {"cv2": "opencv-python", "stray": None}
    assert "cv2 is in opencv-python and opencv-python-headless" in found.warnings[0]
    assert "module stray is installed, but no metadata says" in found.warnings[1]


def test_old_metadata(env: Path, tmp_path: Path) -> None:
    site = next((env / "lib").glob("python3*")) / "site-packages"
    egg = site / "old_thing-1.2.egg-info"
    egg.mkdir()
    (egg / "PKG-INFO").write_text("Name: old-thing\nVersion: 1.2\n")
    (egg / "top_level.txt").write_text("oldmod\n")
    (egg / "requires.txt").write_text("base\n\n[x]\nextra\n")
    (site / "oldmod").mkdir()
    (site / "oldmod" / "__init__.py").touch()
    (site / "flat-2.0.egg-info").write_text("Name: flat\nVersion: 2.0\n")
    dist_info(env, "base", "1", files={"base.py": ""})
    (site / "broken-1.dist-info").mkdir()
    (site / "broken-1.dist-info" / "METADATA").write_bytes(b"\xff\xfe\x00")
    found = capture(nb("import oldmod", folder=tmp_path), python=env)
    assert names(found) == {"oldmod": "old-thing"}
    assert [p.distribution for p in found.closure] == ["base", "old-thing"]


def test_direct_urls(tmp_path: Path) -> None:
    folder = str(tmp_path / "nb")
    assert direct_url(None, folder) is None
    assert (
        direct_url(
            {
                "url": "https://user:token@github.com/a/b.git",
                "vcs_info": {"vcs": "git", "commit_id": "abc", "requested_revision": "main"},
                "subdirectory": "py",
            },
            folder,
        )
        == "git+https://github.com/a/b.git@abc#subdirectory=py"
    )
    assert (
        direct_url({"url": "https://x.org/a-1.whl", "archive_info": {"hash": "sha256=1"}}, folder)
        == "https://x.org/a-1.whl#sha256=1"
    )
    local = {"url": f"file://{tmp_path}/my%20lib", "dir_info": {"editable": True}}
    assert direct_url(local, folder) == "file:../my lib#editable"


def test_an_editable_install_outside_the_folder(env: Path, tmp_path: Path) -> None:
    source = tmp_path / "lib"
    (source / "mylib").mkdir(parents=True)
    (source / "mylib" / "__init__.py").touch()
    url = json.dumps({"url": source.as_uri(), "dir_info": {"editable": True}})
    dist_info(
        env,
        "my-lib",
        "0.1",
        files={
            "__editable__.my_lib.pth": f"{source}\n",
            "my_lib-0.1.dist-info/direct_url.json": url,
        },
    )
    folder = tmp_path / "nb"
    folder.mkdir()
    found = capture(nb("import mylib", folder=folder), python=env)
    assert names(found) == {"mylib": "my-lib"}
    assert by_import(found)["mylib"].url == "file:../lib#editable"
    inside = capture(nb("import mylib", folder=source), python=env)
    assert names(inside) == {}
    assert [m.path for m in inside.local_modules] == ["mylib/__init__.py"]


def test_an_environment_inside_the_notebooks_folder(tmp_path: Path, env: Path) -> None:
    dist_info(env, "six", "1.0", files={"six.py": ""})
    found = capture(nb("import six, json", folder=tmp_path), python=env / "bin" / "python")
    assert names(found) == {"six": "six"}
    assert found.local_modules == ()


def test_the_probe_imports_nothing_it_is_asked_about(env: Path, tmp_path: Path) -> None:
    dist_info(env, "loud", "1.0", files={"loud/__init__.py": "open('ran', 'w')", "loud/b.py": ""})
    (tmp_path / "json.py").write_text("open('ran', 'w')")
    (tmp_path / "ns").mkdir()
    (tmp_path / "ns" / "mod.py").write_text("open('ran', 'w')")
    found = capture(nb("import loud.b, ns.mod", folder=tmp_path), python=env)
    assert names(found) == {"loud": "loud"}
    assert [m.path for m in found.local_modules] == ["ns/mod.py"]
    assert not any(Path(f, "ran").exists() for f in (tmp_path, Path.cwd()))


def test_a_folder_named_like_a_library(env: Path, tmp_path: Path) -> None:
    (tmp_path / "numpy").mkdir()
    (tmp_path / "numpy" / "intro.md").touch()
    missing = capture(nb("import numpy as np", folder=tmp_path), python=env)
    assert by_import(missing)["numpy"].guess
    dist_info(env, "numpy", "2.0", files={"numpy/__init__.py": ""})
    found = capture(nb("import numpy as np", folder=tmp_path), python=env)
    assert (names(found), found.local_modules) == ({"numpy": "numpy"}, ())
    (tmp_path / "numpy" / "__init__.py").touch()
    shadowed = capture(nb("import numpy as np", folder=tmp_path), python=env)
    assert names(shadowed) == {}
    assert [m.path for m in shadowed.local_modules] == ["numpy/__init__.py"]


# --- not installed -------------------------------------------------------------------------------


def test_modules_that_are_not_installed(bare: Path, tmp_path: Path) -> None:
    found = capture(
        nb(
            "import sklearn, numpy, qqq\nfrom dateutil.parser import parse",
            "from google.cloud import storage\nimport cPickle\nimport yaml",
            folder=tmp_path,
        ),
        python=bare,
    )
    assert {r.import_name: (r.distribution, r.version, r.guess) for r in found.requested} == {
        "dateutil": ("python-dateutil", None, True),
        "google.cloud.storage": ("google-cloud-storage", None, True),
        "numpy": ("numpy", None, True),
        "qqq": (None, None, False),
        "sklearn": ("scikit-learn", None, True),
        "yaml": ("pyyaml", None, True),
    }
    assert found.closure == ()
    assert any("module qqq is not installed" in w and "--add-pip" in w for w in found.warnings)
    assert any("cPickle is of Python 2; it is called pickle" in w for w in found.warnings)
    reasons = by_import(found)["sklearn"].evidence
    assert [e.source for e in reasons] == ["source", "map"]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("try:\n  import cPickle as p\nexcept ImportError:\n  import pickle as p", {}),
        ("try:\n  import qqq\nexcept ImportError:\n  import json", {}),
        ("try:\n  import numexpr\nexcept ImportError:\n  numexpr = None", {}),
        ("try:\n  import qqq\nexcept ImportError:\n  import numpy", {"numpy": "numpy"}),
        ("try:\n  import numpy\nexcept ImportError:\n  import qqq", {"numpy": "numpy"}),
        ("try:\n  import numpy\nexcept ImportError:\n  import scipy", {"numpy": "numpy"}),
        ("try:\n  import numpy\nexcept ImportError:\n  raise", {"numpy": "numpy"}),
        ("try:\n  import numpy, json\nexcept ImportError:\n  raise", {"numpy": "numpy"}),
    ],
)
def test_alternatives(bare: Path, tmp_path: Path, source: str, expected: dict[str, str]) -> None:
    assert names(capture(nb(source, folder=tmp_path), python=bare)) == expected


def test_what_the_notebook_installs_itself(bare: Path, tmp_path: Path) -> None:
    found = capture(
        nb(
            "%pip install opencv-contrib-python my-thing==1.2 git+https://github.com/a/tool@v1",
            "import cv2, my_thing\n!conda install -c x numpy=1.2 weirdpkg",
            "!pip install -r requirements.txt",
            folder=tmp_path,
        ),
        python=bare,
    )
    assert names(found) == {
        "cv2": "opencv-contrib-python",
        "my_thing": "my-thing",
        "numpy": "numpy",
        "tool": "tool",
    }
    items = by_import(found)
    assert not items["cv2"].guess
    assert items["my_thing"].requirement == "my-thing==1.2"
    assert [e.number for e in items["my_thing"].evidence] == [1, 2]
    assert items["tool"].url == "git+https://github.com/a/tool@v1"
    assert items["numpy"].guess
    assert any("weirdpkg comes from conda" in w for w in found.warnings)
    assert [(f.path, f.policy) for f in found.files_read] == [("requirements.txt", "missing")]
    (tmp_path / "requirements.txt").write_text("# what\nsix>=1 # why\n-e .\n\npandas[excel]\n")
    found = capture(nb("!pip install -r requirements.txt", folder=tmp_path), python=bare)
    assert names(found) == {"pandas": "pandas", "six": "six"}
    assert by_import(found)["pandas"].requirement == "pandas[excel]"


def test_an_install_that_differs_from_what_is_installed(env: Path, tmp_path: Path) -> None:
    dist_info(env, "six", "1.16", files={"six.py": ""})
    found = capture(nb("%pip install six==1.10", "import six", folder=tmp_path), python=env)
    assert by_import(found)["six"].version == "1.16"
    assert "six==1.10 is asked for, but 1.16 is installed and was captured" in found.warnings[0]


# --- everything else -----------------------------------------------------------------------------


def test_the_rest_of_the_capture(bare: Path, tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("import os\nos.environ['HELPER']\n")
    (tmp_path / "a.csv").write_text("1")
    found = capture(
        nb(
            "import helper\nopen('a.csv'); open('nb.ipynb')",
            "!apt-get install -y graphviz\n!dot -V",
            "import os, requests\nrequests.get('https://api.example.org/x')\nos.environ['TOKEN']",
            folder=tmp_path,
            authors=[{"name": "Ada"}, "Grace", {"x": 1}, {"name": "Ada"}],
            language_info={"name": "python", "version": "3.4.1"},
        ),
        python=bare,
    )
    assert [(a.name, a.reason) for a in found.apt] == [
        ("graphviz", "Cell 2: !apt-get install -y graphviz")
    ]
    assert [p.name for p in found.programs] == ["dot"]
    assert found.hosts == ("api.example.org",)
    assert found.env_names == ("HELPER", "TOKEN")
    assert [f.path for f in found.files_read] == ["a.csv"]
    assert [m.path for m in found.local_modules] == ["helper.py"]
    assert found.authors == ("Ada", "Grace")
    assert found.unseen
    assert any("last run with Python 3.4.1" in w for w in found.warnings)


def test_the_same_input_gives_the_same_json_without_paths(bare: Path, tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("import scipy, six")
    notebook = nb("import helper, pandas, yaml\nopen('helper.py')", folder=tmp_path)
    texts = {capture(notebook, python=bare).model_dump_json() for _ in range(2)}
    (text,) = texts
    assert str(tmp_path) not in text
    assert str(bare) not in text
    assert Capture.model_validate_json(text).model_dump_json() == text


def test_golden(env: Path, tmp_path: Path) -> None:
    """One small notebook with one of everything, compared whole (IPYDOCK_GOLDEN=1 renews it)."""
    dist_info(env, "pandas", "2.0", "Requires-Dist: six", files={"pandas/__init__.py": ""})
    dist_info(env, "six", "1.16.0", files={"six.py": ""})
    folder = tmp_path / "nb"
    folder.mkdir()
    (folder / "tools.py").write_text("import six\n")
    (folder / "in.csv").write_text("a\n1\n")
    found = capture(
        nb(
            "%matplotlib inline\nimport pandas as pd\nfrom tools import clean\n",
            "df = pd.read_csv('in.csv')\ndf.to_csv('out.csv')\nopen('gone.csv')",
            "!dot -V\nimport os\nos.environ['KEY']\nx = = 1",
            folder=folder,
        ),
        python=env,
    )
    data = json.loads(found.model_dump_json())
    data |= {"python": {"version": "X"}, "notebook_sha256": "X"}
    text = json.dumps(data, indent=1) + "\n"
    golden = GOLDEN / "capture.json"
    if os.environ.get("IPYDOCK_GOLDEN"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(text)
    assert text == golden.read_text()


# --- which interpreter ---------------------------------------------------------------------------


def test_wrong_interpreters(tmp_path: Path, bare: Path) -> None:
    notebook = nb("import six", folder=tmp_path)
    with pytest.raises(EnvironmentMissing, match="does not exist") as caught:
        capture(notebook, python=tmp_path / "no" / "python")
    assert sys.executable in caught.value.hint
    with pytest.raises(EnvironmentMissing, match="folder without a Python"):
        capture(notebook, python=tmp_path)
    with pytest.raises(EnvironmentMissing, match="no program qqq-python"):
        capture(notebook, python="qqq-python")
    plain = tmp_path / "plain"
    plain.write_text("")
    with pytest.raises(EnvironmentMissing, match="is not a program"):
        capture(notebook, python=plain)
    for program in ("cat", "true", "false"):
        with pytest.raises(EnvironmentMissing, match="not a Python that can be captured"):
            capture(notebook, python=program)
    broken = tmp_path / "broken"
    broken.write_text("not a program of any kind")
    broken.chmod(0o755)
    with pytest.raises(EnvironmentMissing, match="cannot be run"):
        capture(notebook, python=broken)


@pytest.fixture
def kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Installs a kernelspec where only this test sees it."""
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))

    def install(name: str, *argv: str, **more: Any) -> None:
        folder = tmp_path / "jupyter" / "kernels" / name
        folder.mkdir(parents=True)
        spec = {"argv": list(argv), "display_name": name, "language": "python", **more}
        (folder / "kernel.json").write_text(json.dumps(spec))

    return install


def test_kernels(kernels: Callable[..., None], env: Path, tmp_path: Path) -> None:
    dist_info(env, "six", "1.0", files={"six.py": ""})
    folder = tmp_path / "nb"
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "inner.py").write_text("import six")
    lib = tmp_path / "pythonpath"
    lib.mkdir()
    (lib / "extra.py").touch()
    search = f"{lib}:{folder / 'src'}"
    launch = ("-m", "ipykernel_launcher", "-f", "{connection_file}")
    kernels("mine", str(env / "bin" / "python"), *launch, env={"PYTHONPATH": search})
    kernels("stale", "/nowhere/bin/python", *launch)
    kernels("rlang", "R", language="R")
    kernels("wrapped", "bash", "-c", "python -m ipykernel_launcher")
    found = capture(nb("import inner, extra", folder=folder), kernel="mine")
    assert by_import(found)["six"].version == "1.0"
    assert [(m.name, m.path) for m in found.local_modules] == [("inner", "src/inner.py")]
    assert found.warnings == (
        "Cell 1: module inner is found in src, which is on the search path of the captured "
        "environment.",
        "Cell 1: module extra is found outside the notebook's folder and belongs to no installed "
        "distribution; it is not captured.",
    )
    own = nb("import six", folder=tmp_path, kernelspec={"name": "mine", "language": "python"})
    assert by_import(capture(own))["six"].version == "1.0"
    stale = nb("x", folder=tmp_path, kernelspec={"name": "stale", "language": "python"})
    assert "kernel stale is not here" in capture(stale).warnings[0]
    with pytest.raises(EnvironmentMissing, match="no kernel other here") as caught:
        capture(nb("x"), kernel="other")
    assert "mine" in caught.value.hint
    assert "rlang" not in caught.value.hint
    with pytest.raises(EnvironmentMissing, match="is for R, not for Python"):
        capture(nb("x"), kernel="rlang")
    with pytest.raises(EnvironmentMissing, match="starts bash, which is not a Python"):
        capture(nb("x"), kernel="wrapped")


def test_the_notebooks_kernel_python3_is_this_interpreter(tmp_path: Path) -> None:
    found = capture(
        nb("import nbformat", folder=tmp_path, kernelspec={"name": "python3", "language": "python"})
    )
    assert by_import(found)["nbformat"].version
    assert found.python.series == f"{sys.version_info[0]}.{sys.version_info[1]}"


@pytest.mark.parametrize("series", ["3.8", "3.9", "3.10", "3.12", "3.13"])
def test_other_interpreters(series: str, tmp_path: Path) -> None:
    python = find_python(series)
    if python is None:
        pytest.skip(f"Python {series} is not on this machine")
    found = capture(nb("import json, qqq, xml.dom", folder=tmp_path), python=python)
    assert found.python.series == series
    assert names(found) == {"qqq": None}


@pytest.mark.slow
def test_a_real_environment(make_env: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_env("python-dateutil==2.9.0.post0", "six==1.16.0", "pyyaml")
    found = capture(
        nb("import dateutil.parser, yaml\nfrom six.moves import urllib", folder=tmp_path),
        python=folder,
    )
    assert names(found) == {"dateutil": "python-dateutil", "six": "six", "yaml": "pyyaml"}
    assert by_import(found)["dateutil"].version == "2.9.0.post0"
    assert [(p.distribution, p.required_by) for p in found.closure] == [
        ("python-dateutil", ()),
        ("pyyaml", ()),
        ("six", ("python-dateutil",)),
    ]
    assert found.warnings == ()


@pytest.mark.slow
def test_real_editable_and_namespace_packages(
    make_env: Callable[..., Path], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    source = tmp_path_factory.mktemp("source")
    for name, module in (("ns-one", "ns/one"), ("plain-two", "plain_two")):
        project = source / name
        (project / module).mkdir(parents=True)
        (project / module / "__init__.py").write_text(f'"""{name}"""\n__version__ = "1.0"\n')
        (project / "pyproject.toml").write_text(
            textwrap.dedent(
                f"""
                [build-system]
                requires = ["flit_core>=3.3"]
                build-backend = "flit_core.buildapi"
                [project]
                name = "{name}"
                version = "1.0"
                description = "test"
                [tool.flit.module]
                name = "{module.replace("/", ".")}"
                """
            )
        )
    folder = make_env(str(source / "ns-one"), "-e", str(source / "plain-two"))
    found = capture(nb("from ns import one\nimport plain_two", folder=tmp_path), python=folder)
    assert names(found) == {"ns.one": "ns-one", "plain_two": "plain-two"}
    urls = {item.distribution: item.url for item in found.requested}
    assert (urls["ns-one"] or "").endswith("/ns-one")
    assert (urls["plain-two"] or "").endswith("/plain-two#editable")


# --- sessions ------------------------------------------------------------------------------------

SESSION = """
import json, sys
sys.path.insert(0, {root!r})
import nbformat as nbf, helper
alias = helper
import importlib
dyn = importlib.import_module("packaging.version")
from ipydock.capture import capture_session, live
from ipydock.notebook import load
nb = load(json.loads({document!r}), folder={folder!r}, name="nb.ipynb")
found = capture_session(nb)
print(json.dumps([json.loads(found.model_dump_json()), live.session({{"folder": {folder!r}}})]))
"""


def test_a_session(tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("import platformdirs\n")
    (tmp_path / "dynamic.py").write_text("")
    notebook = nb("import nbformat, helper, never_imported", folder=tmp_path)
    code = SESSION.format(
        root=str(Path(probe.__file__).parents[2]),
        document=json.dumps(notebook.node),
        folder=str(tmp_path),
    )
    (tmp_path / "run.py").write_text("import dynamic\n" + code)
    done = subprocess.run(
        [sys.executable, tmp_path / "run.py"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    data, told = json.loads(done.stdout)
    found = Capture.model_validate(data)
    assert found.sources == ("source", "session", "environment")
    assert names(found)["nbformat"] == "nbformat"
    assert names(found)["never_imported"] is None
    assert names(found)["packaging"] == "packaging"
    assert by_import(found)["packaging"].evidence[0].source == "session"
    assert {m.path for m in found.local_modules} == {"helper.py", "dynamic.py"}
    asked = {p.distribution for p in found.closure}
    assert {item.distribution for item in found.loaded} & asked == {"ipykernel"}
    assert "ipydock" not in names(found)
    # The same from what a remote kernel told, with the rest asked of its interpreter.
    again = capture(notebook, session=told)
    assert names(again) == names(found)
    assert again.loaded == found.loaded


def test_a_session_in_this_process(tmp_path: Path) -> None:
    found = capture_session(nb("import pydantic", folder=tmp_path))
    assert names(found)["pydantic"] == "pydantic"
    told = live.session({"folder": str(tmp_path), "modules": {"pydantic": []}})
    assert json.loads(json.dumps(told))["modules"]["pydantic"]["kind"] == "distribution"
    assert "__main__" not in told["loaded"]


def test_environments_are_plain_data(bare: Path, tmp_path: Path) -> None:
    answer = json.loads(
        subprocess.run(
            [bare / "bin" / "python", "-I", probe.__file__],
            input=json.dumps({"folder": str(tmp_path), "modules": {}}),
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    )
    environment = Environment(answer, str(tmp_path))
    assert "json" in environment.stdlib
    assert environment.markers["python_version"] == ".".join(map(str, sys.version_info[:2]))
