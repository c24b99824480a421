"""What cells say: imports, magics, shell lines, paths, with the line each was found on."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipydock.capture.findings import Findings, Place
from ipydock.capture.source import scan_cells, scan_module
from ipydock.notebook import CodeCell


def scan(*sources: str) -> Findings:
    return scan_cells(CodeCell(i, i + 1, source) for i, source in enumerate(sources))


def modules(*sources: str) -> list[str]:
    return [item.module for item in scan(*sources).imports]


def paths(*sources: str) -> list[tuple[str, str]]:
    return [(item.path, item.use) for item in scan(*sources).paths]


def installs(source: str) -> list[tuple[str, str]]:
    return [(item.manager, item.requirement) for item in scan(source).installs]


def programs(source: str) -> list[str]:
    return [name for name, _ in scan(source).programs]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import numpy as np, pandas", ["numpy", "pandas"]),
        ("from scipy.stats import norm", ["scipy.stats"]),
        ("def f():\n    import seaborn", ["seaborn"]),
        ("if 1:\n    import a\nelse:\n    import b", ["a", "b"]),
        ("import importlib\nimportlib.import_module('x.y')", ["importlib", "x.y"]),
        ("__import__('z')", ["z"]),
        ("%%time\nimport numpy", ["numpy"]),
        ("%%timeit -n 3 import scipy\nimport numpy", ["scipy", "numpy"]),
        ("%%capture out\n%%time\nimport numpy", ["numpy"]),
        ("%%dockerize -o d\nimport numpy", ["numpy"]),
        ("%time import numpy", ["numpy"]),
        ("%timeit -n 10 -r 3 import numpy", ["numpy"]),
        ("\n\n%%time\nimport numpy", ["numpy"]),
        ("%%bash\nimport numpy", []),
        ("%%html\n<script>import numpy</script>", []),
        ("%%javascript\nimport numpy", []),
        ("%%dockerfile\nRUN import numpy", []),
        ("%%my_own_magic\nimport numpy", ["numpy"]),
        ("%%cython\ncimport numpy", ["Cython", "setuptools", "numpy"]),
        ("%%cython -a\nfrom libc.math cimport sin\nimport six", ["Cython", "setuptools", "six"]),
        ("%%script python3\nimport numpy", ["numpy"]),
        ("%%script --no-raise-error python\nimport numpy", ["numpy"]),
        ("from google.cloud import storage", ["google.cloud"]),
        ("import google.cloud.storage as s", ["google.cloud.storage"]),
        ("import importlib\nimportlib.import_module(name='x')", ["importlib", "x"]),
        ("import_module('.sub', 'x')", []),
        ("try:\n  import a\nexcept ModuleNotFoundError:\n  from b import c", ["a", "b"]),
        ("class A:\n  def f(self):\n    import b", ["b"]),
        ("async def f():\n    from x.y import z", ["x.y"]),
        ("f = lambda: __import__('y')", ["y"]),
        ("if TYPE_CHECKING:\n    import a", ["a"]),
        ("!python -m nbconvert x.ipynb", ["nbconvert"]),
        ("!python -m pip list", []),
        ("%load_ext autoreload\n%autoreload 2", []),
        ("%load_ext Cython", ["Cython"]),
        ("%load_ext rpy2.ipython", ["rpy2.ipython"]),
        ("%load_ext rmagic", ["rpy2"]),
        ("%load_ext ipydock", []),
        ("%matplotlib inline", ["matplotlib"]),
        ("%matplotlib widget", ["matplotlib", "ipympl"]),
        ("%pylab inline", ["matplotlib", "numpy"]),
        ("get_ipython().magic('matplotlib inline')", ["matplotlib"]),
        ("get_ipython().run_line_magic('load_ext', 'sql')", ["sql"]),
        ("if x:\n    %load_ext sql", ["sql"]),
        ("%run -m http.server", ["http.server"]),
        (">>> import numpy\n>>> numpy", ["numpy"]),
        ("    import numpy\n    x = 1", ["numpy"]),
        ("x?\nimport numpy", ["numpy"]),
        ("files = !ls\nimport numpy", ["numpy"]),
        ("# %%time\nimport numpy", ["numpy"]),
        ("'''\nimport numpy\n'''", []),
    ],
)
def test_imports(source: str, expected: list[str]) -> None:
    found = scan(source)
    assert [item.module for item in found.imports] == expected
    assert found.warnings == []


def test_names_taken_from_a_module_are_kept() -> None:
    (item,) = scan("from google.cloud import storage, bigquery as bq").imports
    assert (item.module, item.names) == ("google.cloud", ("storage", "bigquery"))


def test_evidence_is_the_line_as_it_was_typed() -> None:
    found = scan("x = 1", "\n\n%matplotlib inline\n!ls \\\n  -l\n\nimport   numpy as np  # why\n")
    place = found.imports[-1].place
    assert (place.cell, place.number, place.line) == (1, 2, 7)
    assert place.evidence().text == "import   numpy as np  # why"
    assert found.imports[0].place.line == 3


def test_evidence_within_a_cell_magic() -> None:
    place = scan("%%time\n\nx = 1\nimport numpy").imports[0].place
    assert (place.line, place.text) == (4, "import numpy")


def test_evidence_is_one_short_printable_line() -> None:
    text = Place("import a  # \x1b[31m\x07" + "x" * 500).evidence().text
    assert len(text) == 120
    assert text.isprintable()


def test_a_cell_that_does_not_parse_is_reported_and_the_rest_goes_on() -> None:
    found = scan("import numpy\nx = = 1", "import pandas")
    assert [i.module for i in found.imports] == ["numpy", "pandas"]
    (warning,) = found.warnings
    assert warning.startswith("Cell 1 does not parse: invalid syntax (line 2)")


def test_python_2_keeps_its_imports() -> None:
    found = scan("import urllib2\nprint 'x'\nfrom os import (path,\n  sep)")
    assert [i.module for i in found.imports] == ["urllib2"]
    assert "does not parse" in found.warnings[0]


def test_alternatives() -> None:
    body, fallback = scan(
        "try:\n  import ujson as json\nexcept ImportError:\n  import json"
    ).imports
    assert body.choice == fallback.choice is not None
    assert (body.fallback, fallback.fallback) == (False, True)
    assert not body.spare


def test_alternatives_of_two_cells_are_apart() -> None:
    source = "try:\n  import a\nexcept ImportError:\n  import b"
    choices = [item.choice for item in scan(source, source).imports]
    assert choices[0] == choices[1] != choices[2] == choices[3]


@pytest.mark.parametrize(
    ("handler", "spare"),
    [
        ("pass", True),
        ("numexpr = None", True),
        ("print('install it')", True),
        ("raise", False),
        ("raise RuntimeError('install it')", False),
        ("!pip install numexpr", False),
        ("import sys; sys.exit(1)", False),
    ],
)
def test_spare_imports(handler: str, spare: bool) -> None:
    item = scan(f"try:\n    import numexpr\nexcept ImportError:\n    {handler}").imports[0]
    assert item.spare is spare


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("%pip install numpy", [("pip", "numpy")]),
        ("pip install numpy", [("pip", "numpy")]),
        (
            "!pip install -q -U 'pandas[excel]>=1,<3' six",
            [("pip", "pandas[excel]>=1,<3"), ("pip", "six")],
        ),
        ("!pip3 install -i https://index numpy", [("pip", "numpy")]),
        ("!python -m pip install numpy==1.2", [("pip", "numpy==1.2")]),
        ("!{sys.executable} -m pip install numpy", [("pip", "numpy")]),
        ("!sudo -H pip install numpy && echo done", [("pip", "numpy")]),
        ("!uv pip install numpy", [("pip", "numpy")]),
        (
            "%pip install git+https://github.com/a/b@main#egg=b",
            [("pip", "git+https://github.com/a/b@main#egg=b")],
        ),
        ("%pip uninstall -y numpy", []),
        ("%pip install numpy # six", [("pip", "numpy")]),
        ("!pip install numpy > /dev/null 2>&1", [("pip", "numpy")]),
        ("!pip install {name}", []),
        ("%conda install -y -c conda-forge numpy=1.2", [("conda", "numpy=1.2")]),
        ("!mamba install conda-forge::cartopy", [("conda", "cartopy")]),
        (
            "!apt-get -qq install -y graphviz libgraphviz-dev=2.4",
            [("apt", "graphviz"), ("apt", "libgraphviz-dev")],
        ),
        ("!apt update && sudo apt install ffmpeg", [("apt", "ffmpeg")]),
        (
            "%%bash\nset -e\napt-get update\napt-get install -y \\\n  ffmpeg sox\n",
            [("apt", "ffmpeg"), ("apt", "sox")],
        ),
        ("import os\nos.system('pip install numpy')", [("pip", "numpy")]),
        (
            "import subprocess as s, sys\n"
            "subprocess.check_call([sys.executable, '-m', 'pip', 'install', 'six'])",
            [("pip", "six")],
        ),
    ],
)  # fmt: skip
def test_installs(source: str, expected: list[tuple[str, str]]) -> None:
    assert installs(source) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("!dot -Tpng a.dot -o a.png", ["dot"]),
        ("!cat x | java -jar y.jar | tee z", ["cat", "java", "tee"]),
        ("out = !ffmpeg -version", ["ffmpeg"]),
        ("%%bash\ncd data\nif true; then\n  ffmpeg -i a b\nfi\n", ["ffmpeg"]),
        ("%%bash\ncat <<EOF\nnot a program\nEOF\nls\n", ["cat", "ls"]),
        ("%%script node\nconsole.log(1)", ["node"]),
        ("%%script --bg --out o node\n1", ["node"]),
        ("%%cython\ncdef int x = 1", ["gcc"]),
        ("%%cython -+\ncdef int x = 1", ["gcc", "g++"]),
        ("!./tools/run.sh x", ["run.sh"]),
        ("%%script bash\njava -version", ["java"]),
        ("%%perl\nprint 1;", ["perl"]),
        ("!FOO=1 sudo -n /usr/bin/make all", ["make"]),
        ("!cd x && export A=1", []),
        ("!{cmd} x", []),
        ("!$CMD x", []),
        ("!it's broken", []),
        ("import subprocess\nsubprocess.run(['git', 'log'])", ["git"]),
        ("import subprocess\nsubprocess.run('git log | head', shell=True)", ["git", "head"]),
        ("import os\nos.popen('java -version')", ["java"]),
        ("import shutil\nshutil.which('dot')", ["dot"]),
        ("%sx java -version", ["java"]),
    ],
)
def test_programs(source: str, expected: list[str]) -> None:
    assert programs(source) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("open('a.txt')", [("a.txt", "read")]),
        ("open('a.txt', 'w')", [("a.txt", "write")]),
        ("open('a.txt', mode='ab')", [("a.txt", "write")]),
        ("with open('a.txt', 'rb') as f: pass", [("a.txt", "read")]),
        ("import gzip\ngzip.open('a.gz', 'wb')", [("a.gz", "write")]),
        ("pd.read_csv('d/a.csv', sep=';')", [("d/a.csv", "read")]),
        ("pd.read_csv(filepath_or_buffer='a.csv')", [("a.csv", "read")]),
        ("np.load('a.npy')", [("a.npy", "read")]),
        ("df.to_csv('a.csv')", [("a.csv", "write")]),
        ("plt.savefig('a.png')", [("a.png", "write")]),
        ("Path('a.txt').read_text()", [("a.txt", "read")]),
        ("(Path('d') / 'a.txt').write_text('hello')", [("d/a.txt", "write")]),
        ("Path('d').glob('*.csv')", [("d/*.csv", "list")]),
        ("glob.glob('d/*.csv')", [("d/*.csv", "list")]),
        ("os.listdir('d')", [("d", "list")]),
        ("pd.read_csv(os.path.join('d', 'a.csv'))", [("d/a.csv", "read")]),
        ("D = 'd/'\npd.read_csv(D + 'a.csv')", [("d/a.csv", "read")]),
        ("D = Path('d')\npd.read_csv(D / 'a.csv')", [("d/a.csv", "read")]),
        ("pd.read_csv(f'd/{year}.csv')", [("d/*.csv", "read")]),
        ("pd.read_csv('d/%04d.csv' % i)", [("d/*.csv", "read")]),
        ("pd.read_csv('d/{}.csv'.format(i))", [("d/*.csv", "read")]),
        ("f = 'a.csv'\nf = pd.read_csv(f)", [("a.csv", "mention"), ("a.csv", "read")]),
        ("h5py.File('a.h5', 'w')", [("a.h5", "write")]),
        ("names = ['a.csv', 'b.csv']", [("a.csv", "mention"), ("b.csv", "mention")]),
        ("'a.csv is a file'", []),
        (
            "urlretrieve('https://x.org/d/a.csv', 'b.csv')",
            [("a.csv", "download"), ("b.csv", "download")],
        ),
        ("!wget -q https://x.org/a.zip?raw=1", [("a.zip", "download")]),
        ("!curl -o b.zip https://x.org/a.zip", [("b.zip", "download")]),
        ("!head -5 data.csv", [("data.csv", "mention")]),
        ("%%writefile helper.py\nx = 1", [("helper.py", "write")]),
        ("pd.read_csv('https://x.org/a.csv')", []),
        ("open(name)", []),
        # displays
        ("Image('../x.png')", [("../x.png", "read")]),
        ("Image(filename='x.png')", [("x.png", "read")]),
        ("SVG(filename='x.svg')", [("x.svg", "read")]),
        ("display(SVG('<svg>/a.b</svg>'))", []),
        ("HTML(filename='x.html')", [("x.html", "read")]),
        ("HTML('<a href=x.html>x.html</a>')", []),
        ("Audio('x.wav'); Video('x.mp4'); FileLink('x.zip')",
            [("x.wav", "read"), ("x.mp4", "read"), ("x.zip", "read")]),
        # tables, arrays, databases
        *[(f"pd.{name}('a.dat')", [("a.dat", "read")]) for name in (
            "read_csv", "read_table", "read_fwf", "read_excel", "read_json", "read_html",
            "read_xml", "read_hdf", "read_feather", "read_parquet", "read_orc", "read_sas",
            "read_spss", "read_stata", "read_pickle", "ExcelFile", "HDFStore")],
        ("pl.scan_parquet('d/*.parquet')", [("d/*.parquet", "read")]),
        ("pq.ParquetFile('a.parquet')", [("a.parquet", "read")]),
        ("pq.read_table('d')", [("d", "read")]),
        ("np.loadtxt('a.txt'); np.genfromtxt('b.txt'); np.fromfile('c.bin')",
            [("a.txt", "read"), ("b.txt", "read"), ("c.bin", "read")]),
        ("np.memmap('a.bin', dtype='f4', mode='w+')", [("a.bin", "write")]),
        ("h5py.File('a.h5')", [("a.h5", "read")]),
        ("netCDF4.Dataset('a.nc', 'w')", [("a.nc", "write")]),
        ("sqlite3.connect('a.db')", [("a.db", "mention")]),
        ("create_engine('sqlite:///d/a.db')", [("d/a.db", "mention")]),
        ("%sql sqlite:///a.db", [("a.db", "mention")]),
        # pathlib and os.path
        ("D = Path('d')\nF = D / 'e' / 'a.csv'\nF.read_text()",
            [("a.csv", "mention"), ("d/e/a.csv", "read")]),
        ("open(Path.cwd().parent / 'd' / 'a.csv')", [("../d/a.csv", "read")]),
        ("open(Path('x/y').parents[1] / 'a.csv')", [("./a.csv", "read")]),
        ("open(os.path.join(os.pardir, 'a.csv'))", [("../a.csv", "read")]),
        ("open(os.path.join(os.path.dirname(os.getcwd()), 'a.csv'))", [("../a.csv", "read")]),
        ("open(Path('d').joinpath('e', 'a.csv').resolve())", [("d/e/a.csv", "read")]),
        ("open(Path('d/a.csv').with_suffix('.txt'))", [("d/a.txt", "read")]),
        ("p: str = 'd'\np += '/a.csv'\nopen(p)", [("/a.csv", "mention"), ("d/a.csv", "read")]),
        ("a, b = 'd', 'a.csv'\nopen(f'{a}/{b}')", [("a.csv", "mention"), ("d/a.csv", "read")]),
        ("cfg.D = 'd/'\nopen(cfg.D + 'a.csv')", [("d/a.csv", "read")]),
        ("os.makedirs('out', exist_ok=True)", [("out", "make")]),
        ("Path('out').mkdir()", [("out", "make")]),
        ("!mkdir -p out/a", [("out/a", "make")]),
        ("%mkdir out", [("out", "make")]),
        # the current folder
        ("os.chdir('d')\nopen('a.csv')",
            [("d", "list"), ("d/a.csv", "read"), ("a.csv", "mention")]),
        ("%cd ..\nopen('d/a.csv')",
            [("..", "list"), ("../d/a.csv", "read"), ("d/a.csv", "mention")]),
        # cells that do not parse
        ("print open('a.csv').read(), 'b.txt'", [("a.csv", "mention"), ("b.txt", "mention")]),
    ],
)  # fmt: skip
def test_paths(source: str, expected: list[tuple[str, str]]) -> None:
    assert paths(source) == expected


def test_variables_last_from_cell_to_cell() -> None:
    assert paths("D = 'data'", "pd.read_csv(D + '/a.csv')") == [("data/a.csv", "read")]


def test_hosts() -> None:
    found = scan(
        "pd.read_csv('https://User:secret@Data.Example.org/a.csv')",
        "import requests\nrequests.get('http://api.example.com/v1')",
        "!wget ftp://files.example.net/a.gz",
        "'see https://not.used.example/ for more'",
    )
    assert {host for host, _ in found.hosts} == {
        "data.example.org",
        "api.example.com",
        "files.example.net",
    }


def test_environment_names() -> None:
    found = scan(
        "os.environ['A']\nos.environ.get('B')\nos.getenv('C', 'x')\nos.environ['D'] = '1'\n"
        "%env E\n%env F=1"
    )
    assert [name for name, _ in found.env_names] == ["A", "B", "C", "E"]


def test_search_path_edits() -> None:
    found = scan(
        "import sys, site\nsys.path.append('../lib')\nsys.path.insert(0, 'src')",
        "sys.path += ['a']\nsys.path.extend(['b'])\nsys.path = ['c'] + sys.path",
        "site.addsitedir('d')\nsys.path.append(str(Path.cwd().parent / 'e'))",
        "sys.path.append(os.path.abspath(os.path.join('..')))",
    )
    assert [(edit.path, edit.first) for edit in found.search_paths] == [
        ("../lib", False),
        ("src", True),
        *[("a", False), ("b", False), ("c", True), ("d", False), ("../e", False), ("..", False)],
    ]


def test_runs() -> None:
    found = scan("%run -i setup.py a b", "%run other.ipynb", "%run plain", "!python job.py --x")
    assert [run.path for run in found.runs] == ["setup.py", "other.ipynb", "plain.py", "job.py"]
    found = scan(
        "runpy.run_path('a.py')\nexec(open('b.py').read())\nexec(Path('c.py').read_text())",
        "importlib.util.spec_from_file_location('d', 'lib/d.py')\n%run {name}.py\n%run $x",
    )
    assert [run.path for run in found.runs] == ["a.py", "b.py", "c.py", "lib/d.py"]


def test_invalid_escapes_leak_no_warning() -> None:
    assert modules("import re\nx = '\\d'\nassert (1, 'x')\nif x is 'a': pass") == ["re"]


@pytest.mark.parametrize(
    "source",
    [
        "(" * 5000,
        "-" * 100_000 + "1",
        "x" + ".y" * 20_000,
        "x = " + "+".join(["'a'"] * 5000),
        "f(" * 90 + ")" * 90,
        "\0import numpy",
        "x = 1\x0c\nimport numpy",
        "!" * 1000,
        "%" * 1000,
        "%%" + "time\n%%" * 300,
        "\n".join(f"%time x{i}" for i in range(600)),
        "\n".join(f"!echo {i}" for i in range(3000)),
        "# " + "é" * 100_000,
        "if 1:\n" + "".join(" " * i + "if 1:\n" for i in range(1, 95)) + " " * 96 + "import a",
        "?" * 500,
        "x = '''" + "%time\n" * 1000 + "'''",
        "9" * 10_000,
    ],
)  # fmt: skip
def test_hostile_cells(source: str) -> None:
    start = time.monotonic()
    scan(source, "import numpy")
    assert time.monotonic() - start < 2


def test_many_magics_are_all_read() -> None:
    source = "import a\n\n" + "\n".join(f"%pip install p{i}" for i in range(200)) + "\n\nimport b"
    found = scan(source)
    assert len(found.installs) == 200
    assert (found.imports[1].place.line, found.imports[1].place.text) == (204, "import b")
    assert found.installs[10].place.text == "%pip install p10"


def test_a_local_module_that_does_not_parse() -> None:
    found = scan_module("import a\nx = = 1", "lib/helper.py")
    assert found.warnings == ["lib/helper.py does not parse: invalid syntax (line 2)."]


pieces = st.sampled_from(
    [
        *[
            "import numpy",
            "from a.b import c",
            "%%time",
            "%%bash",
            "%pip install x[y]>1",
            "!ls | x",
        ],
        *[
            "open('a.txt')",
            "f'{x}/a.csv'",
            "try:",
            "except ImportError:",
            "    ",
            "\t",
            "\\",
            "'''",
        ],
        *["x = !ls", "?x", "%", "!", "%%", "(", ")", "\x00", "\ud7ff", "# ", "'", "=", "é", "é"],
        *["get_ipython().magic('", "os.path.join('a', ", "sys.path.append('..')", "%run a.ipynb"],
        *[">>> ", "In [1]: "],
    ]
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(pieces, st.sampled_from(["", " ", "\n", "\n    "])), max_size=25))
def test_any_text_is_scanned(parts: list[tuple[str, str]]) -> None:
    found = scan("".join(text + end for text, end in parts), "import last_one")
    assert found.imports[-1].module == "last_one"
    assert all(warning.isprintable() for warning in found.warnings)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200))
def test_any_characters_are_scanned(text: str) -> None:
    scan(text)
    scan_module(text, "a.py")
