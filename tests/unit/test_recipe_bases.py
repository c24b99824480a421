"""Bases in the Dockerfile, those included that cannot be built where the tests run."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from ipydock.models import BaseImage, Capture, CondaPackage, Pinned, PythonInfo
from ipydock.recipe import conda, cuda
from ipydock.recipe.base import assumed, compared, how, official
from ipydock.recipe.lock import lock
from ipydock.recipe.synthesize import Options, base_of, synthesize
from tests import samples

GOLDEN = Path(__file__).parent / "golden"
DIGEST = "@sha256:" + "a" * 64
ADDED = ("ipykernel==6.30.1", "nbclient==0.10.2")


def check(name: str, capture: Capture, base: str, **options: object) -> str:
    """Compare with a golden file, but for the digest of a lock that moves with the index."""
    given = Options(
        base=base + DIGEST,
        add_pip=ADDED,
        python_image="python:3.11-slim-bookworm" + DIGEST,
        **options,  # type: ignore[arg-type]
    )
    recipe = synthesize(capture, given)
    text = re.sub(r"(?<=lock\.sha256=\")\w+", "0" * 64, recipe.dockerfile)
    golden = GOLDEN / f"{name}.Dockerfile"
    if os.environ.get("IPYDOCK_GOLDEN"):
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")
    return text


def pins(*names: str) -> tuple[Pinned, ...]:
    return tuple(Pinned(distribution=name, version="1.0") for name in names)


def test_a_base_with_a_user_and_packages() -> None:
    held = BaseImage(
        system="ubuntu-24.04",
        glibc="2.39",
        python="3.11.9",
        packages=(("six", "1.17.0"), ("python-dateutil", "2.8.0")),
        uid=1000,
        uids=(0, 1000),
        names=("jovyan", "root"),
        healthcheck=True,
    )
    text = check("jupyter", samples.capture(), "quay.io/jupyter/scipy-notebook:x", held=held)
    assert "USER 0" in text and text.count("useradd") == 0


def test_a_base_without_python_and_with_an_older_c_library() -> None:
    needed = cuda.base(samples.capture(closure=pins("cupy-cuda11x")))
    assert needed == (
        "nvidia/cuda:11.8.0-runtime-ubuntu22.04",
        "cupy-cuda11x looks for the libraries of CUDA 11 in the system, and no package of the "
        "notebook brings them.",
    )
    capture = samples.capture()
    capture = capture.model_copy(update={"closure": (*capture.closure, *pins("cupy-cuda11x"))})
    text = check("cuda11", capture, needed[0])
    assert "uv python install" in text and "looks for the libraries of CUDA 11" in text


def test_a_base_without_python_and_with_a_newer_c_library() -> None:
    capture = samples.capture()
    capture = capture.model_copy(update={"closure": (*capture.closure, *pins("cupy-cuda12x"))})
    base = base_of(capture, Options())
    assert base == "nvidia/cuda:12.8.1-runtime-ubuntu24.04"
    assert "COPY --from=python" in check("cuda12", capture, base)


@pytest.mark.parametrize(
    ("names", "base"),
    [
        (("jax-cuda12-plugin",), "nvidia/cuda:12.8.1-cudnn-runtime-ubuntu24.04"),
        (("jax-cuda12-plugin", "nvidia-cudnn-cu12"), None),
        (("cupy-cuda13x", "nvidia-cuda-nvrtc"), None),
        (("pycuda",), "nvidia/cuda:12.8.1-devel-ubuntu24.04"),
        (("torch", "nvidia-cublas-cu12"), None),
        (("tensorflow",), None),
    ],
)
def test_cuda_only_for_wheels_that_bring_none_of_it(
    names: tuple[str, ...], base: str | None
) -> None:
    found = cuda.base(samples.capture(closure=pins(*names)))
    assert (found and found[0]) == base


CHANNEL = "https://conda.anaconda.org/conda-forge"
CONDA = tuple(
    CondaPackage(
        name=name, version="1", build="0", channel="conda-forge",
        url=f"{CHANNEL}/{subdir}/{name}-1-0.conda", md5=f"{number:032x}",
    )
    for number, (name, subdir) in enumerate(
        (("bzip2", "linux-64"), ("python", "linux-64"), ("six", "noarch"))
    )
)  # fmt: skip


def conda_capture(*packages: CondaPackage) -> Capture:
    found = samples.capture(conda=packages or CONDA)
    closure = tuple(
        pin.model_copy(update={"installer": "conda" if pin.distribution == "six" else "pip"})
        for pin in found.closure
    )
    return found.model_copy(update={"closure": closure})


def test_a_conda_environment() -> None:
    capture = conda_capture()
    assert base_of(capture, Options()) == conda.IMAGE
    check("conda", capture, conda.IMAGE)
    recipe = synthesize(capture, Options(add_pip=ADDED))
    text = dict(recipe.texts)[conda.LOCK]
    lines = text.splitlines()
    assert lines[:3] == [
        "# platform: linux-64",
        "@EXPLICIT",
        f"{CHANNEL}/linux-64/python-1-0.conda#{1:032x}",
    ]
    assert len(lines) == 5
    # What conda has is not taken from PyPI, also where something from there requires it.
    assert "python-dateutil==" in recipe.lock and "\nsix==" not in recipe.lock
    assert {p.name: p.version for p in recipe.packages}["six"] == "1.17.0"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"url": None}, "was not downloaded"),
        ({"url": f"{CHANNEL}/osx-64/x-1-0.conda"}, "was not downloaded"),
        ({"url": f"{CHANNEL}/linux-aarch64/x-1-0.conda"}, "is for linux-aarch64"),
        ({"url": f"{CHANNEL}/linux-64/x-1-0.conda\nRUN evil"}, "was not downloaded"),
        ({"md5": None}, "the digest of"),
    ],
)
def test_a_conda_environment_that_cannot_be_had_comes_from_pypi(
    change: dict[str, str | None], why: str
) -> None:
    capture = conda_capture(CONDA[0].model_copy(update=change), *CONDA[1:])
    assert base_of(capture, Options()) == "python:3.11-slim-bookworm"
    recipe = synthesize(capture, Options())
    assert any(why in warning for warning in recipe.warnings)
    assert "\nsix==1.17.0" in recipe.lock


@pytest.mark.parametrize(
    ("base", "series", "way"),
    [
        ("python:3.12-slim-bookworm", "3.12", "there"),
        ("python:3.12.4-bookworm@sha256:0", "3.11", "copy"),
        ("debian:bookworm-slim", "3.11", "apt"),
        ("debian:12", "3.13", "copy"),
        ("debian:trixie", "3.13", "apt"),
        ("debian:bullseye", "3.12", "uv"),
        ("ubuntu:22.04", "3.10", "apt"),
        ("ubuntu:22.04", "3.11", "uv"),
        ("ubuntu:24.04", "3.11", "copy"),
        ("quay.io/jupyter/base-notebook:x", "3.11", "there"),
        ("me/mine:1", "3.11", "there"),
    ],
)
def test_where_a_python_comes_from(base: str, series: str, way: str) -> None:
    assert how(assumed(base, series), series) == way


def test_only_official_images_are_known_without_asking() -> None:
    assert official("python:3.12-slim-bookworm@sha256:0") is not None
    for name in ("me/python:3.12-slim-bookworm", "python:3.12-alpine", "python:3", "debian:12"):
        assert official(name) is None


def test_an_assumption_is_said() -> None:
    recipe = synthesize(samples.capture(), Options(base="me/mine:1"))
    assert any("Nothing was asked of the base me/mine:1" in text for text in recipe.warnings)
    assert "id -u 1000" in recipe.dockerfile


def test_what_differs_from_the_base_is_said() -> None:
    held = BaseImage(python="3.11.2", packages=(("Six", "1.16.0"), ("toml", "1"), ("pip", "1")))
    remarks, warnings = compared(held, "3.11", {"six": "1.17.0", "toml": "1"})
    assert remarks == {"six": "in place of 1.16.0 in the base", "toml": "in the base already"}
    assert "six 1.16.0 by 1.17.0" in warnings[0]
    assert compared(held, "3.12", {"six": "1.17.0"}) == ({}, [])


def test_the_base_s_versions_are_kept_where_nothing_says_otherwise() -> None:
    held = BaseImage(python="3.11.2", packages=(("toml", "0.10.1"), ("six", "1.16.0")))
    options = Options(base="me/mine:1", held=held, add_pip=("toml",))
    recipe = synthesize(samples.capture(), options)
    assert "\ntoml==0.10.1 " in recipe.lock  # the newest is 0.10.2
    assert "\nsix==1.17.0 " in recipe.lock  # as captured


def test_wheels_fit_the_c_library_of_the_base() -> None:
    python = PythonInfo(version="3.11.7")
    held = BaseImage(python="3.11.2", glibc="2.31")
    recipe = synthesize(samples.capture(python=python), Options(base="me/x:1", held=held))
    assert "six==1.17.0" in recipe.lock
    text = lock(["six"], ["six==1.17.0"], python="3.11", platform="x86_64-manylinux_2_31").text
    assert "six==1.17.0" in text
