"""The scripts that run in images, on every Python that is here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import uv

from ipydock.recipe.layers import scripts
from tests import samples
from tests.environments import find_python

SERIES = [
    series for series in ("3.8", "3.9", "3.11", "3.12", "3.13", "3.14") if find_python(series)
]
MANY = "\n".join(f"x{n} = {n}.5, 'text {n}'" for n in range(400))

PACKAGE = {
    "pkg/__init__.py": "from .first import name\nfrom . import second\nimport other.deep as od\n",
    "pkg/first.py": "name = 1\ntry:\n    from .inner.third import a\nexcept OSError:\n    pass\n",
    "pkg/second.py": "def later():\n    import lazy\nif True:\n    import conditional\n",
    "pkg/inner/__init__.py": "",
    "pkg/inner/third.py": f"{MANY}\nfrom ..fourth import *\nfrom .. import fifth\na = 1\n",
    "pkg/fourth.py": "try:\n    import broken\nexcept SyntaxError:\n    pass\n",
    "pkg/fifth.py": (
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    import checked\n\n# Between.\n    import checked.too\n"
        "else:\n    import typed\n"
        "try:\n    import found\nexcept ImportError:\n    import substitute\n"
        'if __name__ == "__main__":\n    import program\n'
        "import after\n"
    ),
    "pkg/unused.py": "",
    "other/deep.py": "",  # a namespace package
    "lazy.py": "",
    "conditional.py": "import pkg",
    "broken.py": "print 'for another Python'",
    **dict.fromkeys(("typed.py", "found.py", "after.py"), ""),
    **dict.fromkeys(("checked.py", "substitute.py", "program.py"), ""),
}


def script(folder: Path, name: str) -> str:
    path = folder / name
    path.write_text(dict(scripts())[name])
    return str(path)


def environment(folder: Path, series: str) -> Path:
    """An environment with the package above in it."""
    python = find_python(series)
    words = [uv.find_uv_bin(), "venv", "-q", "--python", str(python), str(folder / "env")]
    subprocess.run(words, check=True)
    site = next((folder / "env" / "lib").glob("python3*")) / "site-packages"
    for name, text in PACKAGE.items():
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_text(text + "\n")
    return folder / "env" / "bin" / "python"


def compiled(
    folder: Path, python: Path, names: str, cache: str = "cache", kept: Path | None = None
) -> dict[str, bytes]:
    """The bytecode that compiling these names leaves, by module path."""
    prefix = folder / cache  # the interpreter's own folders stay as they are
    subprocess.run(
        [python, script(folder, "bytecode.py"), *([kept] if kept else [])],
        input=names,
        text=True,
        check=True,
        # What Python itself imports to start is none of the script's work.
        env={**os.environ, "PYTHONPYCACHEPREFIX": str(prefix), "PYTHONDONTWRITEBYTECODE": "1"},
    )
    return {
        path.relative_to(prefix).as_posix().partition("site-packages/")[2]: path.read_bytes()
        for path in prefix.rglob("*.pyc")
        if "site-packages/" in path.as_posix()
    }


def modules(found: dict[str, bytes]) -> set[str]:
    return {f"{path.split('.')[0]}.py" for path in found} & set(PACKAGE)


@pytest.mark.parametrize("series", SERIES)
def test_what_is_imported_at_the_top_is_compiled_and_nothing_else(
    series: str, tmp_path: Path
) -> None:
    python = environment(tmp_path, series)
    found = compiled(tmp_path, python, "pkg.first\nno.such.thing\n../../evil\n")
    left_out = {"pkg/unused.py", "lazy.py", "broken.py"}
    left_out |= {"checked.py", "substitute.py", "program.py"}
    assert modules(found) == set(PACKAGE) - left_out
    assert {data[4:8] for data in found.values()} == {b"\1\0\0\0"}  # PEP 552: no times
    # Python takes it: the source may go, as far as it is concerned.
    done = subprocess.run(
        [python, "-v", "-c", "import pkg.inner.third"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPYCACHEPREFIX": str(tmp_path / "cache")},
    )
    assert "third.cpython" in done.stderr
    assert "matches" in done.stderr


def test_two_builds_make_the_same_bytecode(tmp_path: Path) -> None:
    python = environment(tmp_path, SERIES[0])
    first = compiled(tmp_path, python, "pkg")
    for path in (tmp_path / "env").rglob("*.py"):
        os.utime(path, (1, 1))
    assert compiled(tmp_path, python, "pkg", cache="another") == first


def test_what_was_compiled_before_is_kept_and_followed(tmp_path: Path) -> None:
    python = environment(tmp_path, SERIES[0])
    compiled(tmp_path, python, "pkg.fifth")
    (target,) = (tmp_path / "cache").rglob("fifth*.pyc")
    before = target.stat().st_mtime_ns
    assert modules(compiled(tmp_path, python, "pkg")) >= {"conditional.py", "pkg/inner/third.py"}
    assert target.stat().st_mtime_ns == before


def test_what_another_build_compiled_is_taken_from_there(tmp_path: Path) -> None:
    python = environment(tmp_path, SERIES[0])
    kept = tmp_path / "kept"
    first = compiled(tmp_path, python, "pkg", kept=kept)
    stamps = {path: path.stat().st_ino for path in kept.rglob("*") if path.is_file()}
    assert len(stamps) >= len(modules(first))
    assert compiled(tmp_path, python, "pkg", cache="second", kept=kept) == first
    assert stamps == {path: path.stat().st_ino for path in kept.rglob("*") if path.is_file()}
    # Another text at the same place is another module.
    site = next((tmp_path / "env" / "lib").glob("python3*")) / "site-packages"
    (site / "after.py").write_text("import lazy\n")
    third = compiled(tmp_path, python, "pkg", cache="third", kept=kept)
    assert modules(third) - modules(first) == {"lazy.py"}
    name = next(name for name in first if name.startswith("after."))
    assert third[name] != first[name]


def start(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, script(folder, "start.py"), *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
    )


@pytest.mark.slow
def test_start_runs_the_notebook_and_hands_it_over(tmp_path: Path) -> None:
    samples.write(
        tmp_path / "a b.ipynb",
        samples.code("print(open('x.txt').read())"),
        samples.code("1 / 0"),
        samples.code("'never run'"),
    )
    (tmp_path / "x.txt").write_text("hello")
    done = start(tmp_path, str(tmp_path / "a b.ipynb"))
    cells = json.loads(done.stdout)["cells"]
    assert "".join(cells[0]["outputs"][0]["text"]) == "hello\n"
    assert cells[1]["outputs"][0]["ename"] == "ZeroDivisionError"
    assert cells[2]["execution_count"] is None
    assert done.returncode == 1
    assert "cell 2 of 3" in done.stderr
    assert "A cell raised ZeroDivisionError: division by zero" in done.stderr


def test_start_runs_scripts_and_programs(tmp_path: Path) -> None:
    (tmp_path / "s.py").write_text("import sys; print(sys.argv[1:])")
    assert start(tmp_path, "s.py", "a b", "-c").stdout == "['a b', '-c']\n"
    assert start(tmp_path, "sh", "-c", "exit 7").returncode == 7
    missing = start(tmp_path, "no-such-program")
    assert missing.returncode == 1
    assert missing.stderr == "There is no program 'no-such-program' in this image.\n"
