"""The whole of capture: what is not installed, alternatives, guesses, and the whole result."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from ipydock.capture import capture
from ipydock.models import Capture
from tests.environments import by_import, dist_info, names, nb

GOLDEN = Path(__file__).parent / "golden"


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
        ("graphviz", "cell 2: !apt-get install -y graphviz")
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
