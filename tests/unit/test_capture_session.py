"""What a live kernel adds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ipydock.capture import capture, capture_session, live, probe
from ipydock.models import Capture
from tests.environments import by_import, names, nb

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


LAZY = """
import importlib.util, sys, types
sys.path.insert(0, {root!r})
package = types.ModuleType("probing")
package.__path__ = [{probe!r}]
sys.modules["probing"] = package
from probing import live, watch
watch.start()

class Proxy:  # as those that stand for a database, or a request that there is not
    @property
    def __class__(self):
        raise RuntimeError("asked what it is")
    def __getattribute__(self, name):
        raise RuntimeError("asked for " + name)
    def __call__(self):
        pass

class Meta(type):
    def __getattribute__(cls, name):
        raise RuntimeError("asked for " + name)

class Odd(metaclass=Meta):
    pass

spec = importlib.util.find_spec("colorsys")
spec.loader = importlib.util.LazyLoader(spec.loader)
lazy = importlib.util.module_from_spec(spec)
sys.modules["colorsys"] = lazy
spec.loader.exec_module(lazy)
proxy = sys.modules["proxy"] = Proxy()
types.proxy, types.Odd = proxy, Odd
sys.path += [5, None, b"x", "/nul\\0"]
told = live.session({{"folder": ".", "modules": {{}}}})
loaded = "ONE_THIRD" in object.__getattribute__(lazy, "__dict__")
assert not loaded, "a lazy module was loaded"
assert told["watched"] is not None
"""


def test_asking_a_session_runs_none_of_its_code(tmp_path: Path) -> None:
    folder = Path(probe.__file__).parent
    code = LAZY.format(root=str(folder.parents[1]), probe=str(folder))
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_what_a_session_claims_to_have_loaded_may_be_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.py")
    notebook = nb("import pipe", folder=tmp_path)
    told = live.session({"folder": str(tmp_path), "modules": {"pipe": []}})
    found = capture(notebook, session={**told, "local": {"pipe": "pipe.py"}})
    assert found.local_modules == ()
    assert "The live kernel: pipe.py cannot be read." in found.warnings


def test_a_user_without_a_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that is started with any uid."""
    notebook = nb("open('~/data.csv')", folder=tmp_path)
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 54321)
    found = capture(notebook)
    assert [(file.path, file.policy) for file in found.files_read] == [("~/data.csv", "outside")]
