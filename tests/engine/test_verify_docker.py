"""The whole loop in real containers: what a user does, and what can go wrong."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import nbformat
import pytest

from ipydock.engine.client import build_client
from ipydock.hosts import ca_bundle
from tests import samples
from tests.command import document, ipydock, paragraph

pytestmark = pytest.mark.engine
DOCKER = ("--engine", "docker")


def fingerprint(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_verify_reproduces_and_touches_nothing_else(notebook: Path) -> None:
    before = fingerprint(notebook.parent)
    done = ipydock("verify", notebook, *DOCKER)
    assert done.returncode == 0, done.stderr
    assert "reproduced" in done.stdout
    after = fingerprint(notebook.parent)
    assert after.pop("my nb.rerun.ipynb")
    assert after == before
    executed = nbformat.read(notebook.parent / "my nb.rerun.ipynb", as_version=4)
    assert [cell.execution_count for cell in executed.cells] == [1, 2, 3]


def test_an_unchanged_notebook_is_not_built_again(notebook: Path) -> None:
    first = document(ipydock("verify", notebook, *DOCKER, "--json"))
    second = document(ipydock("verify", notebook, *DOCKER, "--json"))
    assert second["image"]["cached"] is True
    assert second["image"]["id"] == first["image"]["id"]
    assert second["verdict"] == "reproduced"


def test_what_is_mounted_is_there_and_written_to_only_where_it_may_be(tmp_path: Path) -> None:
    for name in ("read", "write"):
        (tmp_path / name).mkdir()
        (tmp_path / name).chmod(0o777)
    (tmp_path / "read" / "x.txt").write_text("42")
    nb = samples.write(
        tmp_path / "x.ipynb",
        samples.code("print(open('/data/x.txt').read())", samples.stream("42\n"), count=1),
        samples.code("n = open('/out/y.txt', 'w').write('7')", count=2),
        samples.code("open('/data/z.txt', 'w')", count=3),
    )
    mounts = ("--mount", f"{tmp_path}/read:/data", "--mount", f"{tmp_path}/write:/out:rw")
    found = document(ipydock("verify", nb, *DOCKER, "--json", *mounts))
    assert [cell["status"] for cell in found["cells"]][:2] == ["same", "same"]
    assert "Read-only file system" in found["cells"][2]["detail"]
    assert (tmp_path / "write" / "y.txt").read_text() == "7"


def test_the_json_is_as_documented(notebook: Path) -> None:
    found = document(ipydock("verify", notebook, *DOCKER, "--json"))
    assert found["schema"] == 1
    assert found["notebook"] == "my nb.ipynb"
    assert found["engine"] == "docker"
    assert set(found["image"]) == {"id", "tag", "size_bytes", "cached"}
    assert set(found["seconds"]) == {"capture", "build", "rerun", "compare"}
    assert {"index", "status", "blame", "detail"} <= set(found["cells"][0])
    assert {"name", "version", "reason"} <= set(found["packages"][0])
    assert [file["path"] for file in found["files"]] == ["x.csv"]
    assert found["blame"] == []
    assert isinstance(found["apt"], list)
    assert isinstance(found["warnings"], list)


def test_a_different_result_is_exit_code_1(notebook: Path) -> None:
    (notebook.parent / "helper.py").write_text("def double(x):\n    return 3 * x\n")
    done = ipydock("verify", notebook, *DOCKER, "--json")
    assert done.returncode == 1, done.stderr
    found = document(done)
    assert found["verdict"] == "differs"
    assert [cell["status"] for cell in found["cells"]] == ["same", "different", "same"]
    assert found["cells"][1]["detail"] == "text/plain: '42' -> '63'"


def test_the_container_has_no_network_and_is_not_root(tmp_path: Path) -> None:
    nb = samples.write(
        tmp_path / "x.ipynb",
        samples.code(
            "import os, socket\n"
            "status = open('/proc/self/status').read()\n"
            "print(os.getuid(), status.count('CapEff:\\t0000000000000000'))\n"
            "print(sorted(name for _, name in socket.if_nameindex()))\n"
            "open('written here.txt', 'w').write('x')\n"
            "print(sorted(os.environ.keys() & {'DOCKER_HOST', 'SSL_CERT_FILE', 'SECRET_OF_MINE'}))",
            samples.stream("1000 1\n['lo']\n[]\n"),
            count=1,
        ),
    )
    done = ipydock("verify", nb, *DOCKER, "-v", SECRET_OF_MINE="x")
    assert done.returncode == 0, done.stdout
    assert not (tmp_path / "written here.txt").exists()


def test_the_network_can_be_allowed(tmp_path: Path) -> None:
    nb = samples.write(
        tmp_path / "x.ipynb",
        samples.code("import socket\nprint(len(socket.if_nameindex()) > 1)"),
    )
    done = ipydock("rerun", nb, *DOCKER, "--network", "on")
    assert done.returncode == 0, done.stderr
    executed = nbformat.read(tmp_path / "x.rerun.ipynb", as_version=4)
    assert executed.cells[0].outputs[0].text == "True\n"


def test_a_cell_that_raises_is_exit_code_5(tmp_path: Path) -> None:
    nb = samples.write(
        tmp_path / "x.ipynb",
        samples.code("1 / 0", count=1),
        samples.code("print('after')", samples.stream("after\n"), count=2),
    )
    done = ipydock("verify", nb, *DOCKER, "--json")
    assert done.returncode == 5
    cells = document(done)["cells"]
    assert [cell["status"] for cell in cells] == ["error", "same"]
    assert "ZeroDivisionError: division by zero" in cells[0]["detail"]
    done = ipydock("rerun", nb, *DOCKER)
    assert done.returncode == 5
    assert "Cell 1 raised ZeroDivisionError: division by zero" in paragraph(done)
    assert (tmp_path / "x.rerun.ipynb").exists()


def test_a_cell_that_raised_before_too_is_fine(tmp_path: Path) -> None:
    stored = samples.error("ZeroDivisionError", "division by zero")
    nb = samples.write(tmp_path / "x.ipynb", samples.code("1 / 0", stored, count=1))
    assert ipydock("rerun", nb, *DOCKER).returncode == 0
    assert ipydock("verify", nb, *DOCKER).returncode == 0


def test_a_kernel_that_dies_is_said_and_the_rest_is_kept(tmp_path: Path) -> None:
    nb = samples.write(
        tmp_path / "x.ipynb",
        samples.code("print('before')", samples.stream("before\n"), count=1),
        samples.code("import os; os._exit(7)", count=2),
        samples.code("print('never')", samples.stream("never\n"), count=3),
    )
    done = ipydock("verify", nb, *DOCKER, "--json")
    assert done.returncode == 5
    found = document(done)
    assert [cell["status"] for cell in found["cells"]] == ["same", "error", "not-run"]
    assert "exit code 7" in found["warnings"][0]
    executed = nbformat.read(tmp_path / "x.rerun.ipynb", as_version=4)
    assert executed.cells[0].outputs[0].text == "before\n"


def test_a_kernel_that_takes_too_much_memory_is_said(tmp_path: Path) -> None:
    nb = samples.write(
        tmp_path / "x.ipynb",
        samples.code(
            "x = bytearray(900_000_000)\nfor i in range(0, len(x), 4096): x[i] = 1", count=1
        ),
    )
    done = ipydock("verify", nb, *DOCKER, "--memory", "300m", "--json")
    assert done.returncode == 5
    assert "more memory than its limit of 300m" in document(done)["warnings"][0]
    assert document(done)["blame"] == ["resources"]


def test_a_cell_that_never_ends_is_stopped(tmp_path: Path) -> None:
    nb = samples.write(
        tmp_path / "x.ipynb",
        samples.code("while True: pass", count=1),
        samples.code("2", samples.result(text_plain="2"), count=2),
    )
    began = time.monotonic()
    done = ipydock("verify", nb, *DOCKER, "--timeout", "2", "--json")
    assert done.returncode == 5
    assert time.monotonic() - began < 60
    assert "--timeout" in document(done)["warnings"][0]
    assert [cell["status"] for cell in document(done)["cells"]] == ["error", "not-run"]


def test_a_base_image_that_does_not_exist(notebook: Path) -> None:
    done = ipydock("verify", notebook, *DOCKER, "--base", "python:0.1-nothing")
    assert done.returncode == 4
    assert "python:0.1-nothing" in paragraph(done)
    assert "--base" in paragraph(done)
    assert not (notebook.parent / "my nb.rerun.ipynb").exists()


def test_a_system_package_that_does_not_exist(notebook: Path) -> None:
    done = ipydock("build", notebook, *DOCKER, "--add-apt", "no-such-package-here")
    assert done.returncode == 4
    assert "no such name" in paragraph(done)


def test_a_module_that_is_not_in_the_image(tmp_path: Path) -> None:
    nb = samples.write(tmp_path / "x.ipynb", samples.code("import nobody_knows_this", count=1))
    done = ipydock("verify", nb, *DOCKER, "--json")
    assert done.returncode == 5
    assert document(done)["cells"][0]["blame"] == "environment"


def test_the_context_builds_with_plain_docker_and_runs_as_any_user(
    notebook: Path, tmp_path: Path
) -> None:
    target = tmp_path / "context"
    assert ipydock("dockerfile", notebook, *DOCKER, "-o", target).returncode == 0
    tag = "ipydock-test/plain"
    client = build_client()
    assert client is not None
    bundle = ca_bundle()
    secret = ("--secret", f"id=ca,src={bundle}") if bundle else ()
    environment = {**os.environ, **dict(client.env)}
    subprocess.run(
        [*client.words, *secret, "-q", "-t", tag, "."],
        cwd=target,
        env=environment,
        check=True,
        capture_output=True,
    )
    for user in ("1000", "4321:99"):
        done = subprocess.run(
            [client.words[0], "run", "--rm", "--network", "none", "--user", user, tag],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert r"a,b\n" in done.stdout  # the executed notebook, as JSON


def test_the_image_carries_no_trace_of_the_host(notebook: Path, sdk: Any) -> None:
    done = ipydock("build", notebook, *DOCKER, "--json")
    image = sdk.images.get(document(done)["id"])
    text = json.dumps([image.attrs, image.history()])
    assert str(notebook.parent) not in text
    # What this host trusts beyond the base image, such as an interceptor's authority, stays out.
    series = f"{sys.version_info.major}.{sys.version_info.minor}"
    base = sdk.images.pull("python", tag=f"{series}-slim-bookworm")
    shown = [
        sdk.containers.run(
            one.id, ["cat", "/etc/ssl/certs/ca-certificates.crt"], remove=True, network_mode="none"
        )
        for one in (base, image)
    ]
    assert shown[0] == shown[1]


def test_a_tag_of_ones_own(notebook: Path, sdk: Any) -> None:
    done = ipydock("build", notebook, *DOCKER, "-t", "ipydock-test/mine:1")
    assert done.stdout == "ipydock-test/mine:1\n"
    again = ipydock("build", notebook, *DOCKER, "-t", "ipydock-test/mine:2", "--json")
    assert document(again)["cached"] is True
    assert sdk.images.get("ipydock-test/mine:2").id == sdk.images.get("ipydock-test/mine:1").id
    rerun = ipydock("rerun", notebook, *DOCKER, "--image", "ipydock-test/mine:1")
    assert rerun.returncode == 0, rerun.stderr
    missing = ipydock("rerun", notebook, *DOCKER, "--image", "ipydock-test/none:1")
    assert missing.returncode == 2
    assert "has no image" in paragraph(missing)
