"""What is installed and whose it is; real interpreters and environments."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ipydock.capture import answerer, capture, interpreter, probe
from ipydock.capture.distributions import Environment
from ipydock.errors import EnvironmentMissing
from tests.environments import by_import, dist_info, find_python, names, nb


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


# --- asking again and again ------------------------------------------------------------------


def ask(env: Path, folder: Path, *modules: str) -> dict[str, Any]:
    chosen = interpreter.Interpreter(str(env / "bin" / "python"))
    request = {"folder": str(folder), "modules": {name: [] for name in modules}}
    return interpreter.ask(chosen, request)


def test_an_interpreter_is_started_once(env: Path, tmp_path: Path) -> None:
    dist_info(env, "six", "1.0", files={"six.py": ""})
    first = ask(env, tmp_path, "six")
    second = ask(env, tmp_path, "json", "mine")
    assert first["modules"]["six"] == {
        "kind": "distribution",
        "distributions": ["six"],
        "package": "six",
    }
    assert second["modules"]["mine"] == {"kind": "missing"}
    assert {**first, "modules": None} == {**second, "modules": None}
    (tmp_path / "mine.py").touch()
    assert ask(env, tmp_path, "mine")["modules"]["mine"]["kind"] == "local"
    (running,) = [a for (path, _), a in interpreter._ANSWERERS.items() if str(env) in path]
    running._process.kill()
    running._process.wait()
    assert ask(env, tmp_path, "six") == first
    interpreter.close()
    assert not interpreter._ANSWERERS
    assert ask(env, tmp_path, "six") == first


def test_what_is_installed_meanwhile_is_seen(env: Path, tmp_path: Path) -> None:
    assert ask(env, tmp_path, "six")["modules"]["six"] == {"kind": "missing"}
    dist_info(env, "six", "1.0", files={"six.py": ""})
    assert ask(env, tmp_path, "six")["modules"]["six"]["kind"] == "distribution"
    # A .pth file counts from the start of an interpreter on.
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "plain.py").touch()
    site = next((env / "lib").glob("python3*")) / "site-packages"
    (site / "mine.pth").write_text(f"{tmp_path / 'lib'}\n")
    found = ask(env, tmp_path / "nb", "plain")["modules"]["plain"]
    assert found == {"kind": "elsewhere", "package": "plain"}


def test_an_environment_that_prints_when_it_starts(env: Path, tmp_path: Path) -> None:
    site = next((env / "lib").glob("python3*")) / "site-packages"
    noise = "import sys; print('{}'); print('x' * 200_000, file=sys.stderr); print('no newline'"
    (site / "noise.pth").write_text(f"{noise}, end='')\n")
    assert ask(env, tmp_path, "json")["modules"]["json"]["kind"] == "stdlib"
    (site / "noise.pth").write_text("import os; os._exit(3)\n")
    with pytest.raises(EnvironmentMissing, match="is not a Python that can be captured"):
        ask(env, tmp_path, "json")


def test_only_some_interpreters_are_kept(env: Path, tmp_path: Path) -> None:
    python = str(env / "bin" / "python")
    for number in range(interpreter.MOST + 2):
        interpreter.ask(interpreter.Interpreter(python, (("N", str(number)),)), {})
    assert len(interpreter._ANSWERERS) == interpreter.MOST
    ((_, environ), *_) = interpreter._ANSWERERS
    assert ("N", "2") in environ
    interpreter.close()


def test_an_answer_that_does_not_come(
    env: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = next((env / "lib").glob("python3*")) / "site-packages"
    (site / "slow.pth").write_text("import time; time.sleep(60)\n")
    monkeypatch.setattr(answerer, "PATIENCE", 0.3)
    with pytest.raises(EnvironmentMissing, match="did not say what is installed within"):
        ask(env, tmp_path, "json")
    assert not [a for (path, _), a in interpreter._ANSWERERS.items() if str(env) in path]


def test_environments_are_plain_data(bare: Path, tmp_path: Path) -> None:
    answer = json.loads(
        subprocess.run(
            [bare / "bin" / "python", "-I", "-c", answerer.START, Path(probe.__file__).parent],
            input=json.dumps({"folder": str(tmp_path), "modules": {}}),
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    )
    environment = Environment(answer, str(tmp_path))
    assert "json" in environment.stdlib
    assert environment.markers["python_version"] == ".".join(map(str, sys.version_info[:2]))
