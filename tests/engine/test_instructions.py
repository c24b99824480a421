"""Dockerfile instructions and settings of the user's, in real images."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests import samples
from tests.command import document, ipydock, paragraph

pytestmark = pytest.mark.engine
DOCKER = ("--engine", "docker")
HEAD = "%%dockerfile\n"


def folder_of(tmp_path: Path) -> Path:
    folder = tmp_path / "a folder"
    (folder / "conf").mkdir(parents=True)
    (folder / "conf" / "app.conf").write_text("hello\n")
    (folder / "tool.sh").write_text("#!/bin/sh\necho tool\n")
    (folder / "tool.sh").chmod(0o755)
    return folder


def test_all_instructions_reach_the_image_and_the_notebook(tmp_path: Path, sdk: Any) -> None:
    series = f"{sys.version_info.major}.{sys.version_info.minor}"
    tells = (
        "import os, six\n"
        "print(os.getuid(), os.environ['MODE'], os.environ['WORD'], os.getcwd())\n"
        "print(open('/opt/tool/out.txt').read())\n"
        "print(sorted(os.listdir('/opt/tool')), os.access('.', os.W_OK))"
    )
    told = (
        "4321 test hello /work\ntool\ntest\nsix\nbash\n\n['app.conf', 'out.txt', 'tool.sh'] True\n"
    )
    nb = samples.write(
        folder_of(tmp_path) / "my nb.ipynb",
        samples.code("%load_ext ipydock", count=1),
        samples.code(
            f"{HEAD}FROM python:{series}-slim-bookworm\nARG GREETING=hello\n"
            "ENV MODE=test \\\n    WORD=$GREETING",
            count=2,
        ),
        samples.code(
            f"{HEAD}WORKDIR /opt/tool\nCOPY tool.sh conf ./\nRUN ./tool.sh > out.txt\n"
            "# The packages are there already.\n"
            'RUN <<EOF\nset -e\necho "$MODE" >> out.txt\n'
            'python3 -c "import six; print(six.__name__)" >> out.txt\nEOF\n'
            'SHELL ["/bin/bash", "-c"]\nRUN echo ${BASH##*/} >> out.txt',
            count=3,
        ),
        samples.code(
            f"{HEAD}LABEL org.example.kind=test\nEXPOSE 8080\nVOLUME /scratch\nSTOPSIGNAL SIGINT\n"
            'HEALTHCHECK --interval=5m CMD ["test", "-e", "/opt/tool/out.txt"]\n'
            'USER 4321\nENTRYPOINT ["echo"]\nCMD ["not", "the", "notebook"]',
            count=4,
        ),
        samples.code(tells, samples.stream(told), count=5),
    )
    done = ipydock("verify", nb, *DOCKER, "--json")
    assert done.returncode == 0, done.stderr + done.stdout
    found = document(done)
    assert found["verdict"] == "reproduced"
    executed = nbformat.read(nb.with_name("my nb.rerun.ipynb"), as_version=4)
    # What speaks to the author is there as a comment and does nothing.
    assert executed.cells[1].source.startswith("# %%dockerfile\n# FROM")
    assert executed.cells[4].outputs[0]["text"] == told
    config = sdk.images.get(found["image"]["tag"]).attrs["Config"]
    assert config["Labels"]["org.example.kind"] == "test"
    assert set(config["ExposedPorts"]) == {"8080/tcp"}
    assert set(config["Volumes"]) == {"/scratch"}
    assert config["Healthcheck"]["Test"] == ["CMD", "test", "-e", "/opt/tool/out.txt"]
    assert (config["User"], config["StopSignal"]) == ("4321", "SIGINT")
    assert (config["Entrypoint"], config["Cmd"]) == (["echo"], ["not", "the", "notebook"])
    assert config.get("Shell") in (["/bin/sh", "-c"], None)


def test_settings_of_the_project_reach_the_image(tmp_path: Path, sdk: Any) -> None:
    folder = folder_of(tmp_path)
    (folder / "pyproject.toml").write_text(
        "[tool.ipydock]\nadd-pip = ['six==1.16.0']\nenv = {MODE = 'project'}\n"
        "include = ['conf/*.conf']\nmemory = '512m'\ntag = 'ipydock-test/settings:1'\n"
        "dockerfile = '''\nLABEL org.example.kind=project\nRUN echo $((6*7)) > /answer\n'''\n"
    )
    tells = (
        "import os, six\n"
        "print(six.__version__, os.environ['MODE'], open('/answer').read().strip())\n"
        "print(os.listdir('conf'))"
    )
    nb = samples.write(
        folder / "x.ipynb",
        samples.code(tells, samples.stream("1.16.0 notebook 42\n['app.conf']\n"), count=1),
        ipydock={"env": {"MODE": "notebook"}},
    )
    done = ipydock("verify", nb, *DOCKER, "--json")
    assert done.returncode == 0, done.stderr + done.stdout
    found = document(done)
    assert found["verdict"] == "reproduced"
    assert found["image"]["tag"] == "ipydock-test/settings:1"
    reasons = {package["name"]: package["reason"] for package in found["packages"]}
    assert reasons["six"] == "added with pyproject.toml [tool.ipydock]"
    labels = sdk.images.get("ipydock-test/settings:1").attrs["Config"]["Labels"]
    assert labels["org.example.kind"] == "project"


def test_an_instruction_that_fails_ends_the_build_with_its_output(tmp_path: Path) -> None:
    nb = samples.write(
        tmp_path / "x.ipynb", samples.code(f"{HEAD}RUN echo why it failed && exit 3")
    )
    done = ipydock("build", nb, *DOCKER)
    assert done.returncode == 4
    assert "exit 3" in paragraph(done)
