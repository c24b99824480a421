from __future__ import annotations

from pathlib import Path

from ipydock.capture import capture
from ipydock.models import Capture
from tests import samples


def captured(tmp_path: Path, *sources: str) -> Capture:
    return capture(samples.write(tmp_path / "x.ipynb", *(samples.code(s) for s in sources)))


def test_programs_that_cells_start_become_packages(tmp_path: Path) -> None:
    found = captured(tmp_path, "!dot -V", "!git status\n!ls", "!apt-get install -y ffmpeg")
    assert {package.name: package.reason for package in found.apt} == {
        "ffmpeg": "Cell 3: !apt-get install -y ffmpeg",
        "git": "cell 2: !git status",
        "graphviz": "cell 1: !dot -V",
    }


def test_a_distribution_that_starts_a_program_brings_it(tmp_path: Path) -> None:
    found = captured(tmp_path, "import graphviz")
    assert [(p.name, p.reason) for p in found.apt] == [("graphviz", "graphviz starts dot")]


def test_a_program_that_is_not_known_is_said(tmp_path: Path) -> None:
    found = captured(tmp_path, "!my_simulator --fast", "!ls\n!python x.py\n!pip install six")
    assert found.apt == ()
    assert sum("my_simulator" in warning for warning in found.warnings) == 1
    assert not any("python" in warning and "--add-apt" in warning for warning in found.warnings)


def test_files_that_will_not_be_in_the_image_are_said(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("1")
    (tmp_path / "nb").mkdir()
    found = captured(
        tmp_path / "nb", "import pandas as pd\npd.read_csv('../data.csv'); pd.read_csv('gone.csv')"
    )
    assert any("../data.csv" in warning and "--mount" in warning for warning in found.warnings)
    assert any("gone.csv" in warning and "not there" in warning for warning in found.warnings)
