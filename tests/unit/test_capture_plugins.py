"""What libraries import on demand: real packages, by the source alone and in a session."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import uv

from ipydock.capture import capture
from ipydock.capture.findings import Place, Use
from ipydock.capture.plugins import ASKED, behind, on_demand
from tests.environments import nb

PLACE = Place("df.x()", cell=0, number=1, line=1)


@pytest.fixture(scope="session")
def pandas_env(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pandas with everything beside it that it imports if it is there."""
    folder = tmp_path_factory.mktemp("envs") / "pandas"
    subprocess.run([uv.find_uv_bin(), "venv", "-q", folder], check=True)
    packages = ["pandas", "pyarrow", "numexpr", "bottleneck", "openpyxl", "lxml", "jinja2"]
    command = [uv.find_uv_bin(), "pip", "install", "-q", "--python", str(folder / "bin" / "python")]
    subprocess.run([*command, *packages, "tables", "tabulate", "matplotlib"], check=True)
    return folder


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("df.describe()", set()),
        ("pd.read_excel('x.xlsx')", {"openpyxl"}),
        ("pd.read_excel('x.xls')", {"openpyxl"}),  # xlrd is not installed
        ("pd.HDFStore('x.h5')", {"tables"}),
        ("pd.read_html('x.html')", {"lxml"}),
        ("df.style.format('x')", {"jinja2"}),
        ("df.to_parquet('x')", {"pyarrow"}),
        ("df.to_markdown()", {"tabulate"}),
        ("df.plot()", {"matplotlib"}),
        ("import matplotlib.pyplot as plt\nplt.style.use('ggplot')", set()),
    ],
)
def test_pandas_by_the_source(
    pandas_env: Path, tmp_path: Path, source: str, expected: set[str]
) -> None:
    found = capture(
        nb("import pandas as pd\ndf = pd.DataFrame()", source, folder=tmp_path), python=pandas_env
    )
    needed = {item.distribution for item in found.loaded if item.needed}
    assert needed == expected
    if expected:
        assert str(found.loaded[0].evidence[0]).startswith("cell 2: ")
        assert found.loaded[0].by == "pandas"
        # What it requires is pinned too.
        assert expected <= {pin.distribution for pin in found.closure}


def test_of_alternatives_the_first_that_is_installed() -> None:
    libraries = {"pandas": "pandas"}
    use = [Use("read_html", "pd", PLACE)]

    def chosen(*installed: str, uses: list[Use] = use) -> list[str]:
        return [p.distribution for p in behind(uses, {"pd": "pandas"}, libraries, installed)]

    assert chosen("html5lib") == []
    assert chosen("beautifulsoup4", "html5lib") == ["beautifulsoup4", "html5lib"]
    assert chosen("lxml", "beautifulsoup4", "html5lib") == ["lxml"]
    excel = [Use("read_excel", "pd", PLACE, text="old.xls")]
    assert chosen("openpyxl", "xlrd", uses=excel) == ["xlrd"]
    named = [Use("to_parquet", "df", PLACE, engine="fastparquet")]
    assert chosen("pyarrow", "fastparquet", uses=named) == ["fastparquet"]
    remote = [Use("read_parquet", "pd", PLACE, text="s3://bucket/x")]
    assert chosen("pyarrow", "s3fs", uses=remote) == ["pyarrow", "s3fs"]


def test_who_is_asked_matters() -> None:
    use = [Use("style", "plt", PLACE)]
    libraries = {"pandas": "pandas", "matplotlib": "matplotlib"}
    assert behind(use, {"plt": "matplotlib.pyplot"}, libraries, ["jinja2"]) == []
    assert behind([Use("style", "df", PLACE)], {}, {"numpy": "numpy"}, ["jinja2"]) == []


def test_the_table_is_in_canonical_names() -> None:
    assert {"read_excel", "style", "open_dataset"} <= ASKED
    assert on_demand("pandas") >= {"openpyxl", "xlrd", "lxml", "beautifulsoup4", "tables"}
    assert not on_demand("pandas") & {"numexpr", "bottleneck"}
    assert on_demand("scikit-learn") == {"pandas", "matplotlib"}
    assert on_demand("requests") == set()
