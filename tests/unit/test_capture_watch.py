"""The watch, in processes of its own: what it sees, and that nobody notices it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ipydock.capture import inject
from ipydock.capture.ignored import Ignored
from tests.environments import find_python

SERIES = ("3.8", "3.10", "3.12", "3.13")


def report(code: str, folder: Path, *, python: str = sys.executable) -> dict[str, Any]:
    """What is seen of a script, into which the watch was injected before its first line."""
    start = inject.expression({"do": "watch"})
    tell = inject.expression({"do": "session", "folder": str(folder), "modules": {}})
    file = folder / "script.py"
    file.write_text(f"{start}\n{code}\nprint()\nprint({tell})\n")
    done = subprocess.run(
        [python, file], cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert "failed" not in told, told["failed"]
    return told


def opened(told: dict[str, Any], folder: Path) -> list[tuple[str, str]]:
    """What was used in the folder, by name."""
    found = told["watched"]["opened"]
    prefix = f"{folder}/"
    return [(path[len(prefix) :], use) for path, use, _ in found if path.startswith(prefix)]


@pytest.mark.parametrize("series", SERIES)
def test_files_programs_hosts_and_names(series: str, tmp_path: Path) -> None:
    python = find_python(series)
    if python is None:
        pytest.skip(f"no Python {series} here")
    (tmp_path / "inner").mkdir()
    (tmp_path / "data.txt").write_text("1")
    (tmp_path / "inner" / "more.txt").write_text("2")
    (tmp_path / "helper.py").write_text("import os\nVALUE = os.environ.get('OF_HELPER')\n")
    code = """
import glob, os, pathlib, shutil, socket, sqlite3, subprocess, urllib.request
open("data.txt").read()
pathlib.Path("out.txt").write_text("x")
open("out.txt").read()
open("both.txt", "a+").close()
try: open("never.txt")
except OSError: pass
os.chdir("inner")
open(b"more.txt").read()
os.chdir("..")
glob.glob("inner/*.txt")
base = sqlite3.connect("new.db"); base.execute("create table t (x)"); base.close()
os.replace("out.txt", "moved.txt")
os.close(os.open("data.txt", os.O_RDONLY))
subprocess.run(["true"]); subprocess.run("true", shell=True); os.system("true")
try: subprocess.run(["no-such-program"])
except OSError: pass
for ask in (lambda: socket.getaddrinfo("example.invalid", 80),
            lambda: urllib.request.urlopen("http://other.invalid:1/x?secret", timeout=1),
            lambda: socket.create_connection(("127.0.0.1", 1), timeout=1)):
    try: ask()
    except OSError: pass
import helper
os.environ.get("ONE"); os.getenv("TWO"); "THREE" in os.environ
dict(os.environ); {**os.environ}; os.environ.copy(); sorted(os.environ.items())
[os.environ[name] for name in os.environ]; os.path.expanduser("~")
os.path.expandvars("$FOUR")
"""
    told = report(code, tmp_path, python=python)
    seen = told["watched"]
    assert opened(told, tmp_path) == [
        ("data.txt", "read"),
        ("out.txt", "write"),
        ("out.txt", "read"),
        ("both.txt", "read"),
        ("both.txt", "write"),
        ("inner/more.txt", "read"),
        ("inner", "list"),
        ("new.db", "write"),
        ("moved.txt", "write"),
    ]
    assert [Path(path).name for path, _ in seen["programs"]] == ["true", "sh"]
    assert all(Path(path).is_absolute() for path, _ in seen["programs"])
    assert [host for host, _ in seen["hosts"]] == ["example.invalid", "other.invalid"]
    assert [name for name, _ in seen["env_names"]] == ["OF_HELPER", "ONE", "TWO", "THREE", "FOUR"]
    assert (seen["since"], seen["lost"]) == (0, 0)


def test_nobody_notices(tmp_path: Path) -> None:
    code = """
import copy, os, pickle, sys, threading
assert isinstance(os.environ, type(os.environ)) and type(os.environ).__name__ == "_Environ"
assert repr(os.environ).startswith("environ({") and dict(os.environ) == os.environ
os.environ["NEW"] = "1"; assert os.environ.pop("NEW") == "1" and "NEW" not in os.environ
for made in (copy.copy(os.environ), copy.deepcopy(os.environ)):
    assert type(made) is os._Environ, type(made)
try: os.environ["NOT THERE"]
except KeyError as error: assert error.args == ("NOT THERE",)
sys.addaudithook(lambda event, args: None)
before = set(globals())
open_before = open
def open(*words): return open_before(*words)
open("made.txt", "w").close()
class Path(str):
    __hash__ = None
open_before(Path("unhashable.txt"), "w").close()
threads = [threading.Thread(target=lambda n=n: open_before(f"t{n}.txt", "w").close()) for n in range(4)]
[t.start() for t in threads]; [t.join() for t in threads]
child = os.fork()
if child == 0:
    open_before("in_child.txt", "w").close()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
import multiprocessing
assert multiprocessing.get_context("fork").Pool(1).map(abs, [-1]) == [1]
os.environ.clear()
"""  # noqa: E501
    told = report(code, tmp_path)
    names = {name for name, _ in opened(told, tmp_path)}
    assert {"made.txt", "t0.txt", "t3.txt"} <= names
    assert "in_child.txt" not in names  # another process
    assert told["watched"]["lost"] == 1


def test_twice_and_never_again(tmp_path: Path) -> None:
    again = inject.expression({"do": "watch"})
    stop = inject.expression({"do": "stop"})
    code = f"""
import os, sys
open("one.txt", "w").close()
{again}
open("two.txt", "w").close()
sys.path.insert(0, {str(Path(inject.__file__).parents[2])!r})
from ipydock.capture import watch  # another copy finds the one that is in
assert watch.start() == 0 and watch.current() is not watch
{stop}
assert type(os.environ) is os._Environ
open("three.txt", "w").close()
os.environ.get("LATE")
"""
    told = report(code, tmp_path)
    assert opened(told, tmp_path) == [("one.txt", "write"), ("two.txt", "write")]
    assert told["watched"]["env_names"] == []


def test_limits_are_kept_and_told(tmp_path: Path) -> None:
    code = """
import sys
watch = sys.modules["_ipydock_watch"]
watch.LIMIT = watch._room = 20
for n in range(30): open(f"{n}.txt", "w").close()
"""
    told = report(code, tmp_path)
    assert len(opened(told, tmp_path)) == 20
    assert told["watched"]["lost"] == 10


def test_who_imports_what_while_the_code_runs(tmp_path: Path) -> None:
    (tmp_path / "eager.py").write_text("import wsgiref\ndef later():\n    import imghdr_like\n")
    (tmp_path / "imghdr_like.py").write_text("import wsgiref.util\n")
    told = report(
        "import eager\neager.later()\nimport sys\nprint(sys.modules['_ipydock_watch']._imports)\n",
        tmp_path,
    )
    assert told["watched"]["demanded"] == []  # neither is of a distribution
    code = "import sys, eager; eager.later(); watch = sys.modules['_ipydock_watch']\n"
    code += "print(list(watch._imports))\n"
    start = inject.expression({"do": "watch"})
    done = subprocess.run(
        [sys.executable, "-c", f"{start}\n{code}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "('eager', '__main__', 0), ('imghdr_like', 'eager', 0)" in done.stdout
    assert "wsgiref" not in done.stdout


def test_what_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(tmp_path)
    ignored = Ignored.here()
    for path in (
        f"{home}/.cache/matplotlib/fontlist.json",
        f"{home}/.ipython/profile_default/history.sqlite",
        f"{home}/.local/share/jupyter/runtime/kernel-1.json",
        f"{tmp_path}/__pycache__/helper.pyc",
        "/opt/app/site-packages/pandas/core.py",
        "/etc/localtime",
        "/proc/self/maps",
        json.__file__,
        f"{sys.prefix}/pyvenv.cfg",
    ):
        assert ignored(path), path
    for path in (
        f"{home}/scikit_learn_data/covtype/samples",
        f"{home}/nltk_data/corpora/words",
        f"{home}/.keras/datasets/mnist.npz",
        f"{home}/.cache/huggingface/hub/x",
        f"{home}/.aws/credentials",
        f"{tmp_path}/lib/data.csv",
        "/data/share/x.csv",
        "/usr/share/dict/words",
    ):
        assert not ignored(path), path


def test_surroundings(tmp_path: Path) -> None:
    told = report("import os, random\nos.environ['TZ'] = 'Asia/Tokyo'\n", tmp_path)
    assert told["settings"]["timezone"] == "Asia/Tokyo"
    assert told["settings"]["random"] == {"random": False}
    assert told["history"] == []
    if sys.platform == "linux":
        assert any("/libc.so" in path for path in told["libraries"])
        assert not any("site-packages" in path for path in told["libraries"])


@pytest.mark.parametrize(
    ("code", "seeded"),
    [
        ("import numpy.random", {"numpy": False}),
        ("import numpy as np; np.random.rand(); np.random.seed(1)", {"numpy": True}),
        ("import numpy as np; np.random.default_rng(1)", {"numpy": False}),
    ],
)
def test_a_seeded_numpy_tells(code: str, seeded: dict[str, bool], tmp_path: Path) -> None:
    pytest.importorskip("numpy")
    assert report(code, tmp_path)["settings"]["random"] == seeded
