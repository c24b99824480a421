"""Where the notebook's folder lies in the image."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ipydock.errors import InputError
from ipydock.layout import in_context, is_system, levels
from ipydock.models import ContextFile
from ipydock.recipe.base import Ground, assumed
from ipydock.recipe.layers import Layers
from ipydock.recipe.place import Layout, layout_of
from ipydock.recipe.synthesize import Options, _search_path
from tests import samples

BASE = "python:3.11-slim-bookworm@sha256:" + "a" * 64


def files(*paths: str) -> list[ContextFile]:
    return [
        ContextFile(path=path, sha256=samples.EMPTY_SHA, size_bytes=0, kind="data")
        for path in paths
    ]


@pytest.mark.parametrize(
    ("paths", "captured", "given", "expected"),
    [
        (["a.csv"], "", "/home/me/nb", Layout("/work", "")),
        (["../a.csv"], "", "/home/me/nb", Layout("/work/nb", "nb")),
        (["../../d/a.csv"], "", "/home/me/nb", Layout("/work/me/nb", "me/nb")),
        (["../a.csv"], "nb", "", Layout("/work/nb", "nb")),
        # The cells reach further up than the files.
        (["../a.csv"], "me/nb", "", Layout("/work/me/nb", "me/nb")),
        # The user includes what lies further up than what cells name.
        (["../../a.csv"], "nb", "/home/me/nb", Layout("/work/me/nb", "me/nb")),
        (["/data/a.csv"], "", "", Layout("/work", "")),
        (["a.csv"], "/home/me/nb", "", Layout("/home/me/nb", "")),
        (["../a.csv"], "/home/me/nb", "", Layout("/home/me/nb", "nb")),
        (["../a.csv"], "", "/x/my données, 2", Layout("/work/my données, 2", "my données, 2")),
        (["../a.csv"], "", "/x/a $b", Layout("/work/a _b", "a _b")),
        (["../a.csv"], "", "/x/a\\\n'b", Layout("/work/a___b", "a___b")),
    ],
)
def test_layouts(paths: list[str], captured: str, given: str, expected: Layout) -> None:
    assert layout_of(files(*paths), captured, given) == expected


@pytest.mark.parametrize("folder", ["/root/nb", "/home/me/n$b", "/tmp/x", "/home/me/a\nb"])
def test_a_folder_that_the_image_cannot_have(folder: str) -> None:
    found = layout_of(files("a.csv"), folder, folder)
    assert (found.workdir, found.folder) == ("/work", "")
    assert "write paths that are relative" in found.warnings[0]


def test_an_absolute_folder_does_not_put_files_into_the_system() -> None:
    found = layout_of(files("../etc/x"), "/nb", "/nb")
    assert found.workdir == "/work/nb"
    assert found.warnings


def test_files_above_a_folder_that_is_not_known() -> None:
    with pytest.raises(InputError, match="not where that folder is"):
        layout_of(files("../a.csv"), "", "")


def test_places_in_the_context() -> None:
    assert in_context("a/b.csv", "", is_code=False) == "data/a/b.csv"
    assert in_context("../d/b.csv", "me/nb", is_code=False) == "data/me/d/b.csv"
    assert in_context("b.py", "me/nb", is_code=True) == "project/me/nb/b.py"
    assert in_context("/d/b.py", "nb", is_code=True) == "root/d/b.py"
    assert [levels(path) for path in ("a", "../a", "../../a/..b", "..")] == [0, 1, 2, 1]
    assert is_system("/etc/x") and is_system("/") and is_system("/var/lib/x")
    assert not is_system("/data/x") and not is_system("/var/data/x") and not is_system("/x.csv")


def layers(folder: str, *paths: str) -> str:
    place = layout_of(files(*paths), "", folder)
    return str(
        Layers(
            notebook="sample.ipynb",
            ground=Ground(BASE, assumed(BASE, "3.11"), "3.11"),
            labels=(("org.opencontainers.image.title", "sample.ipynb"),),
            apt=(),
            packages=(),
            env=_search_path(samples.capture(search_path=("src", "lib")), Options(), place.workdir),
            files=files(*paths),
            workdir=place.workdir,
            folder=place.folder,
        ).dockerfile()
    )


def test_the_dockerfile_of_a_notebook_with_files_elsewhere() -> None:
    golden = Path(__file__).parent / "golden" / "elsewhere.Dockerfile"
    text = layers("/home/me/my project/nb", "../../data/x.csv", "/srv/data/y.csv", "out/", "a.py")
    if os.environ.get("IPYDOCK_GOLDEN"):
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")
    assert "COPY --chown=1000:0 root/" not in layers("/home/me/nb", "../x.csv")
    assert "COPY --chown=1000:0 data/" not in layers("/home/me/nb", "/srv/x.csv")


def test_the_user_has_the_last_word_on_the_search_path() -> None:
    options = Options(env=(("PYTHONPATH", "/x"),))
    assert _search_path(samples.capture(search_path=("src",)), options, "/work") == ()
