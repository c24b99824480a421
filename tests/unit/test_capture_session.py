"""What a live kernel adds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

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
