"""Local modules, scripts and notebooks that are followed from import to import."""

from __future__ import annotations

from pathlib import Path

import pytest

from ipydock.capture import files, local
from tests.folders import follow, scan, write


def paths(followed: local.Followed) -> list[str]:
    return sorted(followed.modules)


def external(followed: local.Followed) -> list[str]:
    return sorted({item.module for item in followed.external})


def test_modules_are_followed(tmp_path: Path) -> None:
    write(
        tmp_path,
        helper_py="import pandas\nfrom pack.sub import deep\n",
        pack__sub__deep_py="import scipy",
        pack__sub__sibling_py="import sympy",
        pack__top_py="import networkx",
        pack__tests__test_a_py="import pytest",
        unused_py="import torch",
    )
    (tmp_path / "pack" / "__init__.py").touch()
    (tmp_path / "pack/sub/__init__.py").write_text("from . import sibling\nfrom .. import top\n")
    followed = follow(tmp_path, "from helper import x\nimport json")
    assert paths(followed) == [
        "helper.py",
        "pack/__init__.py",
        "pack/sub/__init__.py",
        "pack/sub/deep.py",
        "pack/sub/sibling.py",
        "pack/tests/test_a.py",
        "pack/top.py",
    ]
    assert external(followed) == ["json", "networkx", "pandas", "scipy", "sympy"]
    modules = {m.path: m for m in local.local_modules(files.Folder(tmp_path), followed)}
    assert modules["pack/sub/deep.py"].name == "pack.sub.deep"
    assert modules["pack/sub/__init__.py"].name == "pack.sub"
    assert [str(e) for e in modules["helper.py"].evidence] == ["cell 1: from helper import x"]
    assert str(modules["pack/sub/sibling.py"].evidence[-1]).startswith("pack/sub/__init__.py:1")


def package(folder: Path, text: str = "") -> None:
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text(text)


def test_a_package_hides_what_is_installed(tmp_path: Path) -> None:
    package(tmp_path / "numpy", "import six")
    followed = follow(tmp_path, "import numpy")
    assert paths(followed) == ["numpy/__init__.py"]
    assert external(followed) == ["six"]


def test_a_folder_without_init_does_not(tmp_path: Path) -> None:
    write(tmp_path, numpy__notes_txt="", numpy__extra_py="import six")
    assert external(follow(tmp_path, "import numpy")) == ["numpy"]
    followed = follow(tmp_path, "from numpy import extra", namespaces=frozenset({"numpy"}))
    assert paths(followed) == ["numpy/extra.py"]
    assert external(followed) == ["six"]


def test_what_the_kernel_has_loaded_cannot_be_hidden(tmp_path: Path) -> None:
    write(tmp_path, random_py="", statistics_py="")
    followed = follow(tmp_path, "import random, statistics")
    assert paths(followed) == ["statistics.py"]


def test_search_paths(tmp_path: Path) -> None:
    write(tmp_path, src__mine_py="import six", lib__other_py="")
    followed = follow(
        tmp_path,
        "import sys\nsys.path.insert(0, 'src'); sys.path.append('./lib')\n"
        "sys.path.append('../up'); sys.path.append('/opt/x')",
        "import mine, other",
    )
    assert paths(followed) == ["lib/other.py", "src/mine.py"]
    names = [m.name for m in local.local_modules(files.Folder(tmp_path), followed)]
    assert names == ["other", "mine"]
    assert followed.findings.warnings == [
        f"Cell 1: sys.path gets {path}, which is outside the notebook's folder; modules from there "
        "are not captured unless they are named with --include."
        for path in ("../up", "/opt/x")
    ]


def test_modules_through_links_out_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "secret.py").write_text("import six")
    folder = tmp_path / "nb"
    folder.mkdir()
    (folder / "mine.py").symlink_to("../secret.py")
    followed = follow(folder, "import mine")
    assert paths(followed) == []
    assert external(followed) == ["mine"]


def test_scripts_and_notebooks_that_are_run(tmp_path: Path) -> None:
    write(
        tmp_path,
        jobs__job_py="import beside, six\nopen('a.csv')",
        jobs__beside_py="import sympy",
        other_ipynb='{"nbformat": 4, "metadata": {}, "cells": [{"cell_type": "code", '
        '"source": "import pandas\\n%run other.ipynb", "outputs": [], "metadata": {}}]}',
        broken_ipynb="{",
    )
    followed = follow(tmp_path, "%run jobs/job.py", "%run other.ipynb", "%run broken.ipynb")
    assert paths(followed) == ["jobs/beside.py", "jobs/job.py"]
    assert external(followed) == ["pandas", "six", "sympy"]
    pandas = next(i for i in followed.external if i.module == "pandas")
    assert str(pandas.place) == "other.ipynb, cell 1"
    assert any("broken.ipynb is truncated" in w for w in followed.findings.warnings)
    named = {p.path for p in followed.findings.paths if p.use == "read"}
    assert {"other.ipynb", "a.csv"} <= named


def test_a_module_that_a_cell_writes(tmp_path: Path) -> None:
    followed = follow(tmp_path, "%%writefile mine.py\nimport six\n", "import mine")
    assert external(followed) == ["six"]
    assert paths(followed) == []


def test_circular_imports(tmp_path: Path) -> None:
    write(tmp_path, a_py="import b", b_py="import a\nfrom . import a")
    assert paths(follow(tmp_path, "import a")) == ["a.py", "b.py"]


def test_a_module_with_credentials_is_left(tmp_path: Path) -> None:
    write(tmp_path, credentials_py="KEY = 1")
    followed = follow(tmp_path, "from credentials import KEY")
    assert paths(followed) == []
    assert "credentials.py looks like it holds credentials" in followed.findings.warnings[0]


def test_relative_imports_do_not_leave_the_folder(tmp_path: Path) -> None:
    (tmp_path / "up.py").write_text("import six")
    folder = tmp_path / "nb"
    package(folder / "p", "from .... import up\nfrom ... import up\nfrom .. import up")
    assert paths(follow(folder, "import p")) == ["p/__init__.py"]


NOTEBOOK = (
    '{"nbformat": 4, "metadata": {}, "cells": [{"cell_type": "code", "source": "import pandas", '
    '"outputs": [], "metadata": {}}]}'
)


@pytest.mark.parametrize(
    "how",
    ["import import_ipynb", "import nbimporter", "import sys\nsys.meta_path.append(Finder())"],
)
def test_notebooks_imported_as_modules(tmp_path: Path, how: str) -> None:
    write(tmp_path, other_ipynb=NOTEBOOK, both_ipynb=NOTEBOOK, both_py="import six")
    followed = follow(tmp_path, how, "import other, both")
    assert {"pandas", "six"} <= set(external(followed))
    assert not {"other", "both"} & set(external(followed))
    assert [p.path for p in followed.findings.paths] == ["other.ipynb"]
    assert paths(followed) == ["both.py"]
    # Without anything that could do so it is a module like any other.
    assert external(follow(tmp_path, "import other")) == ["other"]


def test_data_inside_local_packages(tmp_path: Path) -> None:
    write(
        tmp_path,
        pack__a_py="from pathlib import Path\nHERE = Path(__file__).resolve().parent\n"
        "open(HERE / 'a.csv')\nopen(HERE.parent / 'top.csv')",
        pack__b_py="import os\nopen(os.path.join(os.path.dirname(__file__), 'd', 'b.csv'))",
        pack__c_py="from importlib.resources import files, open_text\n"
        "files('pack').joinpath('c.csv').read_text()\nopen_text(__package__, 'e.csv')\n"
        "import pkgutil; pkgutil.get_data('pack', 'd/f.csv')",
        src__deep__inner_py="from importlib import resources\n"
        "(resources.files('deep') / 'g.csv').read_text()",
        **{f"pack__{name}_csv": "1" for name in "ace"},
        pack__d__b_csv="1",
        pack__d__f_csv="1",
        top_csv="1",
        src__deep__g_csv="1",
    )
    for folder in ("pack", "src/deep"):
        (tmp_path / folder / "__init__.py").touch()
    followed = follow(
        tmp_path,
        "import sys; sys.path.append('src')",
        "from pack import a, b, c",
        "import deep.inner",
    )
    found = files.resolve(files.Folder(tmp_path), followed.findings.paths, set(followed.modules))
    assert {f.path for f in found.read if f.policy == "copy"} == {
        *("pack/a.csv", "pack/c.csv", "pack/e.csv", "pack/d/b.csv", "pack/d/f.csv"),
        *("top.csv", "src/deep/g.csv"),
    }


def test_data_that_a_module_reads_is_relative_to_the_notebook(tmp_path: Path) -> None:
    write(tmp_path, lib__m_py="open('data/a.csv')", data__a_csv="1", lib__data__a_csv="2")
    (tmp_path / "lib" / "__init__.py").touch()
    followed = follow(tmp_path, "from lib import m")
    assert [(p.path, p.use) for p in followed.findings.paths] == [("data/a.csv", "read")]


def test_modules_that_a_session_loaded_from_outside(tmp_path: Path) -> None:
    folder = tmp_path / "x" / "nb"
    folder.mkdir(parents=True)
    write(tmp_path, x__lib__mine_py="import pandas, other", x__lib__other_py="open('d.csv')")
    write(tmp_path, far__abs_py="import scipy", x__lib__unused_py="import torch")
    loaded = {
        "mine": str(tmp_path / "x/lib/mine.py"),
        "other": str(tmp_path / "x/lib/other.py"),
        "abs": str(tmp_path / "far/abs.py"),
    }
    found = scan(
        f"import sys\nsys.path += ['../lib', {str(tmp_path / 'far')!r}]", "import mine, abs"
    )
    followed = local.follow(files.Folder(folder), found, outside=loaded)
    far = str(tmp_path / "far/abs.py")
    assert paths(followed) == ["../lib/mine.py", "../lib/other.py", far]
    assert external(followed) == ["pandas", "scipy", "sys"]
    assert followed.findings.warnings == []
    modules = {m.path: m for m in local.local_modules(files.Folder(folder), followed)}
    assert modules["../lib/mine.py"].name == "mine"
    data = files.resolve(files.Folder(folder), followed.findings.paths, set(modules))
    assert data.folder == "nb"
