"""Two builds of one recipe have the same files."""

from __future__ import annotations

import hashlib
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests import samples
from tests.command import document, ipydock

pytestmark = pytest.mark.engine


def tree(sdk: Any, image: str) -> dict[str, tuple[object, ...]]:
    """Type, mode, owner, size and content of every file of an image, by path; no times."""
    container = sdk.containers.create(image)
    found: dict[str, tuple[object, ...]] = {}
    try:
        with tempfile.TemporaryFile() as file:
            for piece in container.export():
                file.write(piece)
            file.seek(0)
            with tarfile.open(fileobj=file) as archive:
                for item in archive:
                    stream = archive.extractfile(item) if item.isfile() else None
                    content = hashlib.sha256(stream.read()).hexdigest() if stream else item.linkname
                    owner = (item.uid, item.gid)
                    found[item.name] = (item.type, item.mode, owner, item.size, content)
    finally:
        container.remove()
    return found


def test_two_builds_have_the_same_files(tmp_path: Path, sdk: Any) -> None:
    (tmp_path / "x.csv").write_text("1")
    (tmp_path / "helper.py").write_text("import dateutil\n")
    notebook = samples.write(
        tmp_path / "nb.ipynb",
        samples.code("import helper"),
        samples.code("!jq --version"),  # a system package
        samples.code("open('x.csv').read()"),
    )
    words = ("build", notebook, "--engine", "docker", "--json")
    # Steps of earlier builds may be in the first one, and none are in the second.
    first, second = (document(ipydock(*words, *more)) for more in ((), ("--no-cache",)))
    assert first["id"] != second["id"]  # built anew, and creation times differ
    one, two = tree(sdk, first["id"]), tree(sdk, second["id"])
    assert one.keys() == two.keys()
    assert [path for path in one if one[path] != two[path]] == []
    assert any(path.endswith(".pyc") for path in one)
