"""Notebooks that nobody would write, and real ones with bytes changed.

Whatever a notebook holds: no crash, no hang, and on its word no file outside its folder is touched
and no process started. ``IPYDOCK_FUZZ=5000`` makes that many of each kind instead of a few;
``IPYDOCK_FUZZ_NOTEBOOKS=FOLDER`` takes the notebooks to change from there.
"""

from __future__ import annotations

import json
import os
import random
import sys
import sysconfig
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import ipydock
from ipydock.capture import interpreter
from ipydock.capture.merge import capture
from ipydock.errors import IpydockError

EXAMPLES = int(os.environ.get("IPYDOCK_FUZZ", "80"))
NOTEBOOKS = Path(os.environ.get("IPYDOCK_FUZZ_NOTEBOOKS", Path(__file__).parents[2] / "notebooks"))
LONGEST = 1.0  # seconds of this process, so that other work on the machine does not count
few = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    phases=(Phase.explicit, Phase.generate),  # making a failure small takes minutes
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
pytestmark = pytest.mark.timeout(0 if EXAMPLES > 1000 else 180)

# --- what the process does while it captures -----------------------------------------------------

WATCHED = frozenset(
    {"open", "os.listdir", "os.scandir", "subprocess.Popen", "os.system", "os.exec", "os.fork"}
    | {"os.posix_spawn", "socket.connect", "os.remove", "os.mkdir", "os.rename", "os.chdir"}
    | {"shutil.copyfile", "shutil.rmtree", "os.symlink", "os.chmod", "os.truncate", "exec_cell"}
)
_seen: list[tuple[str, str]] | None = None


def _audit(event: str, args: tuple[Any, ...]) -> None:
    if _seen is not None and event in WATCHED:
        first = args[0] if args else ""
        if not isinstance(first, int):  # a descriptor that was opened before
            _seen.append((event, os.fsdecode(first) if first else ""))


sys.addaudithook(_audit)
# Python's own files, ours, and the metadata of what is installed.
READABLE = tuple(
    str(Path(path).resolve())
    for path in {
        *(sys.prefix, sys.base_prefix, str(Path(ipydock.__file__).parent)),
        *(sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")),
    }
)


def touched(folder: Path, work: Callable[[], object]) -> list[tuple[str, str]]:
    """What work touched outside the folder, and any process that it started."""
    global _seen  # noqa: PLW0603 - an audit hook cannot be taken out again
    _seen = []
    try:
        work()
    finally:
        events, _seen = _seen, None
    # Python looks for the text of a syntax error in a file named like what it parsed.
    allowed = (str(folder), "/etc/os-release", "<unknown>", *READABLE)
    return [
        (event, path)
        for event, path in events
        if event not in ("open", "os.listdir", "os.scandir")
        or not any(f"{path}/".startswith(f"{prefix}/") for prefix in allowed)
    ]


class Told(dict[str, Any]):
    """What the environment says of modules: of those not asked about, that they are missing."""

    def get(self, name: str, _default: object = None) -> Any:
        return super().get(name, {"kind": "missing"})


class Bench:
    """Where notebooks are tried: a folder, and a real answer of this environment.

    Nobody is asked again for each notebook, so no process is started.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.answer = answer()

    def check(self, text: bytes) -> None:
        """A notebook is captured or refused in our own words, in time and in its folder."""
        path = self.folder / "fuzz.ipynb"
        path.write_bytes(text)
        result: list[str] = []

        def work() -> None:
            try:
                result.append(capture(path, session=self.answer).model_dump_json())
            except IpydockError as error:
                result.append(json.dumps(error.paragraph()))

        spent = LONGEST
        for _ in range(2):  # the first may have to read what is kept for the others
            began = time.process_time()
            assert not touched(self.folder, work)
            spent = min(spent, time.process_time() - began)
            if spent < LONGEST:
                break
        assert spent < LONGEST
        assert json.loads(result[0])


def answer() -> dict[str, Any]:
    """What this environment answers."""
    modules: dict[str, list[str]] = {
        name: [] for name in ("numpy", "pandas", "os", "six", "google", "IPython")
    }
    chosen = interpreter.Interpreter(sys.executable)
    told = interpreter.ask(chosen, {"folder": "/nonexistent", "modules": modules})
    return {**told, "modules": Told(told["modules"])}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The notebook's folder, with things beside it that are nobody's business."""
    above = tmp_path_factory.mktemp("above")
    folder = above / "project" / "nb"
    (folder / "data").mkdir(parents=True)
    (folder / "pack").mkdir()
    for path, text in {
        "../secret.csv": "1",
        "../lib/mod.py": "import six",
        "../../up.txt": "x",
        "data/a.csv": "1,2",
        "data/b.csv": "3,4",
        "helper.py": "import json, pack\nopen('../secret.csv')\n",
        "pack/__init__.py": "from . import inner\nfrom .. import helper",
        "pack/inner.py": "import sys\nsys.path.append('../../lib')",
        "broken.py": "def (:\n",
        "other.ipynb": '{"nbformat": 4, "metadata": {}, "cells": []}',
        ".env": "TOKEN=1",
    }.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    (folder / "link.csv").symlink_to(above / "project" / "secret.csv")
    (folder / "linked").symlink_to(above / "project" / "lib")
    (folder / "loop").symlink_to("loop")
    return folder.resolve()


@pytest.fixture(scope="module")
def bench(folder: Path) -> Bench:
    return Bench(folder)


# --- notebooks that nobody would write ------------------------------------------------------------

PATHS = (
    *("data/a.csv", "data", "data/*.csv", "link.csv", "linked/mod.py", "loop", ".env", "helper.py"),
    *("../secret.csv", "../../up.txt", "../*", "../**/*", "../lib", "/etc/passwd", "/", "~", "~/x"),
    *("/proc/self/environ", "../nb/data/a.csv", "..", ".", "", "a\x00b", "\ud800.csv", "\u202e.c"),
    *("x" * 3000, "*" * 60, "data/../../secret.csv", "//etc//passwd", "C:\\x.csv", "data//a.csv"),
    *("file:///etc/passwd", "https://user:pass@h.example/a.csv", "s3://b/k", "{x}/a.csv", "$HOME"),
    *("linked", "linked/*", "./././data", "data/" * 200, "?" * 50, "-", "a b;rm -rf ..", "`id`"),
)  # fmt: skip
FRAGMENTS = (
    *("import {n}", "from {n} import *", "from {n} import {n} as x", "from ..{n} import y"),
    *("import {n}.{n}.{n}", "importlib.import_module({s})", "__import__({s})", "%load_ext {p}"),
    *("open({s})", "open({s}, 'w')", "pd.read_csv({s})", "Path({s}).read_text()", "glob.glob({s})"),
    *("os.listdir({s})", "os.chdir({s})", "os.walk({s})", "(Path({s}) / {s}).glob({s})", "D = {s}"),
    *("open(D + {s})", "open(f'{{D}}/{p}')", "D += {s}", "np.load(os.path.join(D, {s}))"),
    *("sys.path.append({s})", "sys.path += [{s}, {s}]", "sys.path.insert(0, str(Path({s})))"),
    *("%run {p}", "%run -i {p}", "!cat {p} | head", "!pip install {p}", "%pip install -r {p}"),
    *("!apt-get install -y {n}", "%cd {p}", "%%bash\ncat {p}\n", "%%writefile {p}\nimport {n}\n"),
    *("%%time\nopen({s})", "%%cython\ncimport {n}", "%%script {p}\n{p}", "%%{n}\n{p}", "%{p}"),
    *("exec(open({s}).read())", "runpy.run_path({s})", "subprocess.run([{s}, {s}])", "!{p}", "{p}"),
    *("try:\n    import {n}\nexcept ImportError:\n    import {n}", "def f():\n    return {n}"),
    *("class A({n}):\n    x = {n}", "{n} = {n}", "del {n}", "[{n} for {n} in {n}]", "x = !ls {p}"),
    *("Image({s})", "create_engine({s})", "token = {s}", "{s}", "'''{p}", "({p}", "print {s}"),
    *("import import_ipynb\nimport {n}", "pkgutil.get_data({s}, {s})", "files({s}) / {s}", "?{n}"),
    *("os.environ[{s}]", "%env {p}", "requests.get({s})", "urlretrieve({s}, {s})", "x = {d}"),
    *("!{p} > {p} 2>&1", "%sql {p}", "shutil.copy({s}, {s})", "%store -r {n}", "ghp_{k}", "{d}"),
)  # fmt: skip
DEEP = (
    *("(" * 150 + ")" * 150, "[" * 90 + "]" * 90, "-" * 5000 + "1", "x" + ".y" * 3000),
    *("f(" * 80 + ")" * 80, "'a' + " * 900 + "'b'", "lambda: " * 300 + "1", "not " * 1500 + "1"),
    *("\n".join(" " * i + "if 1:" for i in range(95)), "# " + "é" * 20_000, "0x" + "f" * 5000),
    *("Path('a')" + ".parent" * 500, "Path('a')" + " / 'b'" * 500, "import a" + ".b" * 2000),
)  # fmt: skip
NAMES = ("numpy", "helper", "pack", "broken", "mod", "other", "os", "six", "é", "x", "class", "a.b")
paths = st.one_of(st.sampled_from(PATHS), st.text(max_size=40))
fragments = st.builds(
    lambda form, name, path, deep, key: form.format(n=name, p=path, s=repr(path), d=deep, k=key),
    st.sampled_from(FRAGMENTS),
    st.sampled_from(NAMES),
    paths,
    st.sampled_from(DEEP),
    st.sampled_from(["x" * 36, "wWPw5k4aXcaT4fNP0UcnZwJUVFk6LO0pINUx"]),
)
sources = st.one_of(
    st.lists(fragments, max_size=5).map("\n".join),
    st.lists(st.one_of(fragments, st.text(max_size=30)), max_size=5).map(" ".join),
    st.text(max_size=200),
)
odd = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=10)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


def sometimes(usual: st.SearchStrategy[Any], rare: st.SearchStrategy[Any] = odd) -> Any:
    return st.integers(0, 11).flatmap(lambda n: rare if n == 7 else usual)


cells = st.fixed_dictionaries(
    {
        "cell_type": sometimes(st.sampled_from(["code", "code", "code", "markdown", "raw"])),
        "source": sometimes(st.one_of(sources, sources.map(lambda s: s.splitlines(keepends=True)))),
        "metadata": sometimes(st.just({})),
    },
    optional={
        "outputs": sometimes(st.just([])),
        "execution_count": sometimes(st.one_of(st.none(), st.integers(-1, 9))),
        "id": sometimes(st.text(max_size=8)),
        "input": sources,
        "language": st.just("python"),
    },
)
notebooks = st.fixed_dictionaries(
    {
        "nbformat": sometimes(st.sampled_from([4, 4, 4, 3])),
        "metadata": sometimes(
            st.fixed_dictionaries(
                {}, optional={"kernelspec": odd, "language_info": odd, "authors": odd, "name": odd}
            )
        ),
        "cells": sometimes(st.lists(cells, max_size=6)),
    },
    optional={
        "nbformat_minor": sometimes(st.integers(0, 5)),
        "worksheets": st.lists(st.fixed_dictionaries({"cells": st.lists(cells, max_size=3)})),
    },
)


@few
@given(document=notebooks)
def test_notebooks_that_nobody_would_write(document: dict[str, Any], bench: Bench) -> None:
    bench.check(json.dumps(document).encode())


# --- real notebooks with bytes changed ----------------------------------------------------------


def real() -> list[bytes]:
    found = sorted(NOTEBOOKS.rglob("*.ipynb"))
    return [path.read_bytes() for path in found if path.stat().st_size < 300_000]


REAL = real()


def changed(data: bytes, seed: int, times: int) -> bytes:
    """A notebook with some bytes changed, moved, doubled or cut."""
    chance = random.Random(seed)
    result = bytearray(data)
    for _ in range(times):
        at = chance.randrange(len(result) + 1)
        size = min(chance.choice((1, 1, 4, 40, 400)), len(result) - at)
        piece = bytes(result[at : at + size])
        to = chance.randrange(len(result) + 1)
        match chance.randrange(6):
            case 0:
                result[at : at + size] = chance.randbytes(size)
            case 1:
                del result[at : at + size]
            case 2:
                result[to:to] = piece
            case 3:
                result[at:at] = chance.choice(TOKENS)
            case 4:
                result[at : at + size] = piece.swapcase()
            case _:
                result[at : at + size] = piece.replace(b"/", b"/../").replace(b"data", b"/etc")
    return bytes(result)


def changed_within(data: bytes, seed: int, times: int) -> bytes:
    """A notebook with bytes changed in the sources of its cells alone."""
    document = json.loads(data)
    for number, cell in enumerate(document.get("cells", ())):
        text = "".join(cell["source"]).encode()
        cell["source"] = changed(text, seed + number, times).decode("utf-8", "surrogateescape")
    return json.dumps(document).encode()


TOKENS = (
    *(b'"', b"\\n", b"\\", b"'", b"(", b"[" * 50, b"{", b"}", b"\x00", b"\xff", b"\\ud800", b"%%"),
    *(b"!", b"../", b"null", b"1e999", b"%run ", b"import ", b"\\u202e", b'"source": 3,', b"\t"),
)  # fmt: skip


@few
@given(st.integers(0, len(REAL) - 1), st.integers(0, 2**32), st.integers(1, 12))
def test_real_notebooks_with_bytes_changed(bench: Bench, which: int, seed: int, times: int) -> None:
    # Changes anywhere mostly end in what is no JSON; those within a cell are looked at whole.
    change = changed if seed % 2 else changed_within
    bench.check(change(REAL[which], seed, times))


def test_the_watch_sees_what_it_should(folder: Path) -> None:
    secret = folder.parent / "secret.csv"
    assert touched(folder, secret.read_bytes) == [("open", str(secret))]
    assert touched(folder, lambda: list(os.scandir(folder.parent))) == [
        ("os.scandir", str(folder.parent))
    ]
    assert touched(folder, lambda: list(folder.iterdir())) == []
