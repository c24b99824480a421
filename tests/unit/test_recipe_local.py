"""Packages that came from no index, and what an index has without a wheel, in the Dockerfile."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import uv

from ipydock.capture import capture
from ipydock.errors import InputError
from ipydock.models import Capture, Download, LocalPackage, Pinned, SourceFile
from ipydock.notebook import load
from ipydock.recipe.base import Ground, assumed
from ipydock.recipe.context import write_context
from ipydock.recipe.layers import Layers
from ipydock.recipe.local import tools
from ipydock.recipe.parts import Part, before, texts, whole
from ipydock.recipe.solving import by_version
from ipydock.recipe.synthesize import Options, synthesize
from tests import samples
from tests.environments import project

GOLDEN = Path(__file__).parent / "golden"
BASE = "python:3.11-slim-bookworm@sha256:" + "a" * 64
COMMIT = "c" * 40
UV = Download(name="uv-0.13.9-py3-none-any.whl", url="https://example.org/uv.whl", sha256="d" * 64)


def source(*paths: str) -> tuple[SourceFile, ...]:
    return tuple(SourceFile(path=p, sha256=samples.EMPTY_SHA, size_bytes=0) for p in paths)


OWN = (
    LocalPackage(
        distribution="my-fast",
        version="1.2.dev3+g1",
        path="../my fast",
        files=source("pyproject.toml", "src/my_fast/_x.c"),
        build_requires=("setuptools>=64",),
    ),
    LocalPackage(
        distribution="my-repo",
        version="2.0",
        url=f"git+https://example.org/my/repo.git@{COMMIT}#subdirectory=py",
    ),
    LocalPackage(
        distribution="my-wheel",
        version="3.0",
        path="../wheels",
        files=source("my_wheel-3.0-py3-none-any.whl"),
    ),
)


def dockerfile(vendored: Download | None = None) -> str:
    own = OWN if vendored is None else (OWN[0], OWN[2])
    return str(
        Layers(
            notebook="sample.ipynb",
            ground=Ground(BASE, assumed(BASE, "3.11"), "3.11"),
            labels=(("org.opencontainers.image.title", "sample.ipynb"),),
            apt=samples.capture().apt,
            packages=(),
            env=(),
            files=(),
            local_packages=own,
            sourced={} if vendored else {"psycopg2": "2.9.9"},
            texts=(("packages/my-fast.lock", ""),),
            vendored=vendored,
        ).dockerfile()
    )


@pytest.mark.parametrize(("name", "vendored"), [("local", None), ("vendored", UV)])
def test_the_stages_that_build(name: str, vendored: Download | None) -> None:
    golden = GOLDEN / f"{name}.Dockerfile"
    text = dockerfile(vendored)
    if os.environ.get("IPYDOCK_GOLDEN"):
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")


def test_what_compiles_is_in_no_layer_of_the_image() -> None:
    final = dockerfile().rpartition("\nFROM ")[2]
    assert "gcc" not in final
    assert "build-essential" not in final
    assert "git" not in re.sub(r"digest|github", "", final)


def test_with_vendor_no_step_asks_an_index() -> None:
    text = dockerfile(UV)
    assert text.count("--no-index") == text.count("/opt/uv/uv ")
    assert "/root/.cache/uv" not in text
    assert "id=uv" not in text.partition("FROM")[2]


@pytest.mark.parametrize(
    ("path", "tool"),
    [("a.c", "gcc"), ("a.pyx", "gcc"), ("a.cpp", "g++"), ("a.f90", "gfortran"), ("a.rs", "cargo")],
)
def test_compilers_follow_from_what_is_there(path: str, tool: str) -> None:
    package = OWN[0].model_copy(update={"files": source("setup.py", path)})
    assert tool in tools([package])
    assert tools([package.model_copy(update={"files": source("setup.py", "x.py")})]) == ()


def test_stages_of_packages_do_not_count_for_the_layers_that_are_kept() -> None:
    recipe = synthesize(samples.capture(), Options(base=BASE))
    last = f"\nFROM {BASE}\n"
    staged = recipe.dockerfile.replace(last, f"\nFROM {BASE} AS x\nRUN y\n{last}")
    more = recipe.model_copy(update={"dockerfile": staged})
    assert more.dockerfile != recipe.dockerfile
    assert before(recipe) == before(more)


def test_layers_that_are_added_take_vendored_wheels_too() -> None:
    recipe = synthesize(samples.capture(), Options(base=BASE))
    recipe = recipe.model_copy(update={"dockerfile": dockerfile(UV), "vendored": (UV,)})
    written = dict(texts(recipe, (*whole(recipe), Part("six==1\n", ()))))
    assert written["Dockerfile"].count("--require-hashes") == 2


def test_what_a_url_names_is_named_by_version() -> None:
    lock = (
        "six @ https://example.org/six-1.17.0-py2.py3-none-any.whl#sha256=ab \\\n"
        "    --hash=sha256:ab\n    # via the notebook\n"
        "tabulate==0.9.0 \\\n    --hash=sha256:cd\n"
    )
    assert by_version(lock).startswith("six==1.17.0 \\\n    --hash=sha256:ab\n")
    assert by_version(lock).endswith(lock[lock.index("tabulate") :])


# --- from an environment to a context --------------------------------------------------------


@pytest.fixture
def found(tmp_path: Path, make_env: Callable[..., Path]) -> Capture:
    """A capture of a notebook beside two editable packages, of which one needs the other."""
    project(tmp_path / "one", "ipydock-test-one", "one_mod")
    project(tmp_path / "two", "ipydock-test-two", "two_mod")
    toml = tmp_path / "one" / "pyproject.toml"
    needs = '[project]\ndependencies = ["ipydock-test-two", "six==1.17.0"]'
    toml.write_text(toml.read_text().replace("[project]", needs))
    (tmp_path / "nb").mkdir()
    samples.write(tmp_path / "nb" / "nb.ipynb", samples.code("import one_mod"))
    env = make_env("-e", str(tmp_path / "one"), "-e", str(tmp_path / "two"))
    return capture(tmp_path / "nb" / "nb.ipynb", python=env)


def test_they_are_never_looked_up_on_an_index(
    found: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A stranger's package of that name, of a higher version.
    project(tmp_path / "evil", "ipydock-test-two", "two_mod", version="99")
    links = tmp_path / "links"
    words = [uv.find_uv_bin(), "build", "-q", "--wheel", "-o", str(links), str(tmp_path / "evil")]
    subprocess.run(words, check=True)
    monkeypatch.setenv("UV_FIND_LINKS", str(links))
    recipe = synthesize(found, Options(base=BASE))
    assert "ipydock-test" not in recipe.lock
    assert "six==1.17.0" in recipe.lock
    assert [p.distribution for p in recipe.local_packages] == [
        "ipydock-test-one",
        "ipydock-test-two",
    ]
    reasons = {package.name: package.reason for package in recipe.packages}
    assert reasons["ipydock-test-two"] == "needed by ipydock-test-one"
    assert reasons["six"] == "needed by ipydock-test-one"
    assert not recipe.warnings


def test_the_context_holds_their_source(found: Capture, tmp_path: Path) -> None:
    recipe = synthesize(found, Options(base=BASE, exclude=("../one/src/one_mod/left.py",)))
    write_context(recipe, load(tmp_path / "nb" / "nb.ipynb"), tmp_path / "out")
    top = tmp_path / "out" / "packages"
    assert (top / "ipydock-test-one" / "src" / "one_mod" / "__init__.py").is_file()
    assert (top / "modules.txt").read_text() == "one_mod\n"
    assert "uv-build==" in (top / "ipydock-test-one.lock").read_text()
    # The first time that a zip archive can hold, whenever the file was written.
    assert {p.stat().st_mtime for p in (top / "ipydock-test-one").rglob("*.py")} == {315532800}
    write_context(recipe, load(tmp_path / "nb" / "nb.ipynb"), tmp_path / "out")
    (tmp_path / "two" / "src" / "two_mod" / "__init__.py").write_text("changed = 1\n")
    with pytest.raises(InputError, match="changed since"):
        write_context(recipe, load(tmp_path / "nb" / "nb.ipynb"), tmp_path / "out")


def test_the_index_can_be_asked_for(found: Capture) -> None:
    only = found.model_copy(
        update={"closure": tuple(p for p in found.closure if p.distribution == "ipydock-test-two")}
    )
    options = Options(base=BASE, add_pip=("six==1.16.0",))
    assert synthesize(only, options).local_packages
    named = Pinned(distribution="six", version="1.17.0", url="file:../six#editable")
    recipe = synthesize(found.model_copy(update={"closure": (named,)}), options)
    assert "six==1.16.0" in recipe.lock
    assert recipe.local_packages == ()


def test_a_wheel_for_another_machine_is_left_out() -> None:
    wheel = OWN[2].model_copy(update={"files": source("my_wheel-3.0-cp311-cp311-linux_x86_64.whl")})
    found = samples.capture(
        requested=(samples.requested("my_wheel", "my-wheel", "3.0", url="file:../wheels/x.whl"),),
        closure=(Pinned(distribution="my-wheel", version="3.0", url="file:../wheels/x.whl"),),
        local_packages=(wheel,),
    )
    assert synthesize(found, Options(base=BASE)).local_packages
    other = synthesize(found, Options(base=BASE, platform="linux/arm64"))
    assert other.local_packages == ()
    assert any("is not for aarch64" in warning for warning in other.warnings)


# --- source distributions --------------------------------------------------------------------


@pytest.mark.slow
def test_what_has_no_wheel_is_built_apart() -> None:
    """docopt has only ever had a source distribution."""
    found = samples.capture(
        requested=(
            samples.requested("docopt", "docopt", "0.6.2"),
            samples.requested("six", "six", None, guess=True),
        ),
        closure=(Pinned(distribution="docopt", version="0.6.2"),),
    )
    recipe = synthesize(found, Options(base=BASE))
    assert re.search(r"^docopt==0\.6\.2 \\\n    --hash=sha256:", recipe.sdists, re.MULTILINE)
    assert "docopt" not in recipe.lock
    # What is not installed here stays, as it has wheels.
    assert "six==" in recipe.lock
    assert "AS wheels" in recipe.dockerfile
    assert dict(recipe.texts)["sdists.lock"] == recipe.sdists
    with pytest.raises(InputError, match="no wheel"):
        synthesize(found, Options(base=BASE, vendor=True))


def test_the_usual_recipe_has_no_such_stage() -> None:
    recipe = synthesize(samples.capture(), Options(base=BASE))
    assert recipe.sdists == ""
    assert recipe.dockerfile.count("\nFROM ") == 2
