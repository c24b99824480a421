from __future__ import annotations

import os
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest

from ipydock import pipeline
from ipydock.errors import InputError
from ipydock.models import ContextFile, Loaded, Pinned
from ipydock.recipe.synthesize import Options, synthesize
from tests import samples

GOLDEN = Path(__file__).parent / "golden"
BASE = "python:3.11-slim-bookworm@sha256:" + "a" * 64
# Pinned, so that the golden file does not move with the index.
PINNED = Options(base=BASE, add_pip=("ipykernel==6.30.1", "nbclient==0.10.2"))


def test_the_dockerfile_as_a_person_would_write_it() -> None:
    recipe = synthesize(samples.capture(), PINNED)
    golden = GOLDEN / "sample.Dockerfile"
    if os.environ.get("IPYDOCK_GOLDEN"):
        golden.write_text(recipe.dockerfile, encoding="utf-8")
    assert recipe.dockerfile == golden.read_text(encoding="utf-8")


def test_the_same_capture_gives_the_same_bytes() -> None:
    first = synthesize(samples.capture(), PINNED)
    second = synthesize(samples.capture(), PINNED)
    assert first.model_dump_json() == second.model_dump_json()
    assert first.tag == f"ipydock/sample:{first.digest[:12]}"


@pytest.mark.parametrize(
    "change",
    [
        {"notebook_sha256": "2" * 64},
        {"apt": ()},
        {"authors": ()},
        {"local_modules": ()},
    ],
)
def test_whatever_reaches_the_image_changes_the_digest(change: dict[str, object]) -> None:
    assert (
        synthesize(samples.capture(**change), PINNED).digest
        != synthesize(samples.capture(), PINNED).digest
    )


def test_the_lock_holds_the_captured_versions_with_hashes() -> None:
    recipe = synthesize(samples.capture(), PINNED)
    assert "python-dateutil==2.9.0.post0" in recipe.lock
    assert "six==1.17.0" in recipe.lock
    assert "ipykernel==6.30.1" in recipe.lock
    assert recipe.lock.count("--hash=sha256:") > recipe.lock.count("==")


def test_only_files_to_copy_go_in() -> None:
    recipe = synthesize(samples.capture(), PINNED)
    assert [(file.path, file.kind) for file in recipe.files] == [
        ("data/a.csv", "data"),
        ("helper.py", "module"),
    ]


def test_files_can_be_left_out_and_added() -> None:
    more = ContextFile(path="notes.txt", sha256=samples.EMPTY_SHA, size_bytes=0, kind="data")
    options = Options(base=BASE, exclude=("data/*",), files=(more,))
    recipe = synthesize(samples.capture(), options)
    assert [file.path for file in recipe.files] == ["helper.py", "notes.txt"]


def source_distribution(folder: Path, name: str, ran: Path) -> None:
    """A source distribution whose setup.py tells that it ran."""
    root = folder / f"{name}-1.0"
    root.mkdir(parents=True)
    (root / "setup.py").write_text(
        f"open({str(ran)!r}, 'w').write('x')\n"
        f"from setuptools import setup\nsetup(name={name!r}, version='1.0')\n"
    )
    with tarfile.open(folder / f"{name}-1.0.tar.gz", "w:gz") as archive:
        archive.add(root, f"{name}-1.0")
    shutil.rmtree(root)


def test_code_that_a_notebook_names_is_not_run_to_learn_what_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = tmp_path / "ran"
    source_distribution(tmp_path / "links", "ipydock-test-evil", ran)
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path / "links"))
    evil = samples.requested("evil", "ipydock-test-evil", None, requirement="ipydock-test-evil")
    six = samples.requested("six", "six", "1.17.0")
    recipe = synthesize(samples.capture(requested=(evil, six), closure=()), Options(base=BASE))
    assert not ran.exists()
    assert "six==1.17.0" in recipe.lock
    assert "ipydock-test-evil" not in recipe.lock
    assert any("ipydock-test-evil" in warning for warning in recipe.warnings)


@pytest.mark.slow
def test_what_is_installed_here_may_be_built_from_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = tmp_path / "ran"
    source_distribution(tmp_path / "links", "ipydock-test-mine", ran)
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path / "links"))
    mine = samples.requested("mine", "ipydock-test-mine", "1.0")
    recipe = synthesize(samples.capture(requested=(mine,), closure=()), Options(base=BASE))
    assert "ipydock-test-mine==1.0" in recipe.sdists
    assert "ipydock-test-mine" not in recipe.lock
    assert ran.exists()


def test_the_user_has_the_last_word_on_versions() -> None:
    options = Options(base=BASE, add_pip=("six==1.16.0",))
    recipe = synthesize(samples.capture(), options)
    versions = {package.name: package.version for package in recipe.packages}
    assert versions["six"] == "1.16.0"
    assert "six==1.16.0" in recipe.lock


def test_a_guess_is_shown_as_a_guess() -> None:
    guess = samples.requested("dateutil", "python-dateutil", None, guess=True)
    recipe = synthesize(samples.capture(requested=(guess,), closure=()), Options(base=BASE))
    line = next(line for line in recipe.dockerfile.splitlines() if "python-dateutil==" in line)
    assert "a guess" in line


def test_what_has_no_name_is_left_out() -> None:
    unknown = samples.requested("nobody_knows", None, None)
    recipe = synthesize(samples.capture(requested=(unknown,)), Options(base=BASE))
    assert "nobody" not in recipe.dockerfile


def test_of_what_was_in_use_only_what_is_needed_goes_in() -> None:
    loaded = (
        Loaded(distribution="tabulate", version="0.9.0", by="pandas", needed=True),
        Loaded(distribution="bottleneck", version="1.4.0", by="pandas"),
        Loaded(distribution="six", version="1.17.0", by="not known"),
        Loaded(distribution="ipykernel", version="6.30.1", by="the kernel", needed=True),
    )
    recipe = synthesize(samples.capture(requested=(), loaded=loaded), Options(base=BASE))
    assert {p.name: p.version for p in recipe.packages if p.name != "nbclient"} == {
        "tabulate": "0.9.0",
        "ipykernel": "6.30.1",
    }
    assert "loaded by pandas" in recipe.dockerfile


def test_what_was_installed_from_a_url_is_never_taken_from_the_index() -> None:
    local = samples.requested("mine", "six", "1.17.0", url="file:../mine#editable")
    pinned = Pinned(distribution="six", version="1.17.0", url="file:../mine#editable")
    needs_it = samples.requested("dateutil", "python-dateutil", "2.9.0.post0")
    for closure in ((pinned,), ()):
        found = samples.capture(requested=(needs_it, local), closure=closure)
        recipe = synthesize(found, Options(base=BASE))
        assert "python-dateutil==" in recipe.lock
        assert "six==" not in recipe.lock
        assert any("six" in warning and "left out" in warning for warning in recipe.warnings)
    recipe = synthesize(found, Options(base=BASE, add_pip=("six",)))
    assert "six==" in recipe.lock


def test_what_the_notebook_told_pip_counts_where_nothing_is_installed() -> None:
    asked = samples.requested("six", "six", None, requirement="six<1.16")
    other = samples.requested("dateutil", "python-dateutil", None, requirement="evil @ file:///x")
    recipe = synthesize(samples.capture(requested=(asked, other), closure=()), Options(base=BASE))
    assert "six==1.15.0" in recipe.lock
    assert "evil" not in recipe.lock


def test_an_unpinned_base_is_said() -> None:
    recipe = pipeline.synthesize(samples.capture())
    assert recipe.base == "python:3.11-slim-bookworm"
    assert any("not pinned" in warning for warning in recipe.warnings)


@pytest.mark.parametrize(
    "options",
    [
        {"add_apt": ("graphviz; rm -rf /",)},
        {"add_apt": ("graphviz\n",)},
        {"add_apt": ("-o=APT::X",)},
        {"add_pip": ("not a requirement!",)},
        {"env": (("A B", "c"),)},
        {"env": (("A\n", "c"),)},
        {"base": "debian AS x"},
        {"base": "debian\nRUN evil"},
        {"base": "--platform=x"},
        {"platform": "linux/386"},
        {"add_pip": ("six @ https://user:token@example.org/six.whl",)},
    ],
)
def test_a_name_that_is_no_name_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        Options(**options)


def test_what_is_not_for_this_platform_is_left_out() -> None:
    options = Options(base=BASE, add_pip=("pywin32; sys_platform == 'win32'",))
    recipe = synthesize(samples.capture(), options)
    assert "pywin32" not in recipe.lock
    assert any("pywin32 is not for this platform" in warning for warning in recipe.warnings)


def test_another_platform_makes_another_recipe() -> None:
    arm = synthesize(samples.capture(), Options(base=BASE, platform="linux/arm64"))
    assert arm.digest != synthesize(samples.capture(), Options(base=BASE)).digest
    assert "linux arm64" in arm.lock.splitlines()[0]


def test_a_folder_can_be_left_out() -> None:
    recipe = synthesize(samples.capture(), Options(base=BASE, exclude=("data",)))
    assert [file.path for file in recipe.files] == ["helper.py"]


def test_a_hostile_notebook_cannot_add_an_instruction() -> None:
    evil = "x\nRUN touch /evil\\"
    recipe = synthesize(
        samples.capture(
            notebook=f"{evil}.ipynb",
            authors=(evil, "$HOME"),
            requested=(samples.requested("six", "six", "1.17.0", text=evil),),
        ),
        PINNED,
    )
    starts = {line.split(" ")[0] for line in recipe.dockerfile.splitlines()}
    assert not any(line.startswith("RUN touch") for line in recipe.dockerfile.splitlines())
    assert "\\$HOME" in recipe.dockerfile
    assert starts <= {"#", "", "FROM", "RUN", "LABEL", "ENV", "WORKDIR", "USER", "COPY"} | {
        *("ENTRYPOINT", "CMD"),
    }
    assert recipe.tag.isascii()
