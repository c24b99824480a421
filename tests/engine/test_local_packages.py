"""Packages of the user's own, and what an index has without a wheel, built on real engines."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import uv

from ipydock.engine.client import build_client
from tests import samples
from tests.command import ipydock

ENGINES = [
    pytest.param("venv", id="venv"),
    pytest.param("docker", id="docker", marks=pytest.mark.engine),
]
BACKENDS = {
    "hatch": ("hatchling", "hatchling.build", ""),
    "flit": ("flit_core", "flit_core.buildapi", ""),
    "poetry": ("poetry-core>=2", "poetry.core.masonry.api", ""),
    "compiled": (
        "setuptools>=64",
        "setuptools.build_meta",
        '[[tool.setuptools.ext-modules]]\nname = "p_compiled._fast"\n'
        'sources = ["src/p_compiled/_fast.c"]',
    ),
}
FAST = """
#include <Python.h>
static PyObject *answer(PyObject *self, PyObject *none) { return PyLong_FromLong(42); }
static PyMethodDef methods[] = {{"answer", answer, METH_NOARGS, ""}, {0}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_fast", 0, -1, methods};
PyMODINIT_FUNC PyInit__fast(void) { return PyModule_Create(&module); }
"""


def backed(folder: Path, kind: str) -> Path:
    """A small project of a build backend."""
    requires, backend, more = BACKENDS[kind]
    package = folder / "src" / f"p_{kind}"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(f'"""One."""\n__version__ = "1.0"\nNAME = "{kind}"\n')
    (folder / "pyproject.toml").write_text(
        f'[build-system]\nrequires = ["{requires}"]\nbuild-backend = "{backend}"\n'
        f'[project]\nname = "p-{kind}"\nversion = "1.0"\ndescription = "One."\n{more}\n'
    )
    return folder


def environment(folder: Path, *requirements: str) -> Path:
    """The interpreter of a new environment that can run notebooks."""
    program = uv.find_uv_bin()
    subprocess.run([program, "venv", "-q", "--python", sys.executable, str(folder)], check=True)
    install = [program, "pip", "install", "-q", "--python", str(folder), "ipykernel", *requirements]
    subprocess.run(install, check=True)
    return folder / "bin" / "python"


@pytest.mark.parametrize("engine", ENGINES)
def test_packages_of_all_kinds(tmp_path: Path, engine: str) -> None:
    for kind in BACKENDS:
        backed(tmp_path / kind, kind)
    (tmp_path / "compiled" / "src" / "p_compiled" / "_fast.c").write_text(FAST)
    editable = [word for kind in BACKENDS for word in ("-e", str(tmp_path / kind))]
    env = environment(tmp_path / "env", "docopt==0.6.2", *editable)
    # The notebook lies in the repository of one of them.
    nb = samples.write(
        tmp_path / "compiled" / "nb.ipynb",
        samples.code("import p_hatch, p_flit, p_poetry, docopt\nfrom p_compiled import _fast"),
        samples.code(
            "import importlib.metadata as m\n"
            "[m.version(f'p-{k}') for k in ('hatch', 'flit', 'poetry', 'compiled')]\n"
            "print(p_hatch.NAME, p_poetry.NAME, _fast.answer(), docopt.__version__)",
            samples.stream("hatch poetry 42 0.6.2\n"),
            count=2,
        ),
        samples.code(
            "import os\n"
            "every = [n for d in os.get_exec_path() if os.path.isdir(d) for n in os.listdir(d)]\n"
            "there = {n for n in every if n.endswith('-gcc')}\n"
            f"print('site-packages' in p_flit.__file__, {engine == 'docker'} and bool(there))",
            samples.stream("True False\n"),
            count=3,
        ),
    )
    done = ipydock("verify", nb, "--engine", engine, "--python", env)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "reproduced" in done.stdout


@pytest.mark.engine
def test_a_vendored_context_builds_without_a_network(tmp_path: Path) -> None:
    backed(tmp_path / "hatch", "hatch")
    env = environment(tmp_path / "env", "-e", str(tmp_path / "hatch"))
    nb = samples.write(tmp_path / "nb.ipynb", samples.code("import p_hatch, six\np_hatch.NAME"))
    wanted = ("--python", env, "--add-pip", "six", "--engine", "docker", "--vendor")
    done = ipydock("dockerfile", nb, *wanted, "-o", tmp_path / "made")
    assert done.returncode == 0, done.stderr
    client = build_client()
    assert client is not None
    environ = {**os.environ, **dict(client.env)}
    tag = "ipydock-test/vendored"
    build = [
        *client.words,
        "--no-cache",
        "--network",
        "none",
        "-q",
        "-t",
        tag,
        str(tmp_path / "made"),
    ]
    subprocess.run(build, env=environ, check=True, capture_output=True)
    run = [client.words[0], "run", "--rm", "--network", "none", tag]
    ran = subprocess.run(run, capture_output=True, text=True, check=False)
    subprocess.run([client.words[0], "rmi", "-f", tag], check=True, capture_output=True)
    assert "'hatch'" in ran.stdout, ran.stderr
