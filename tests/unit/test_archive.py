"""Archives of images: written whole or not at all, and looked into before they are loaded."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from ipydock.archive import Writer, contents, unpacked
from ipydock.errors import DiskFull, InputError

DATA = b"some bytes of an image " * 200_000


def tar(**files: bytes | str) -> bytes:
    page = io.BytesIO()
    with tarfile.open(fileobj=page, mode="w") as out:
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            member = tarfile.TarInfo(name)
            member.size = len(data)
            out.addfile(member, io.BytesIO(data))
    return page.getvalue()


def config(**labels: str) -> str:
    return json.dumps({"os": "linux", "config": {"Labels": labels}})


def docker_archive(*tags: str, **labels: str) -> bytes:
    manifest = [{"Config": "abc.json", "RepoTags": list(tags) or None, "Layers": ["1/layer.tar"]}]
    files: dict[str, bytes | str] = {
        "1/layer.tar": b"x" * 100,
        "abc.json": config(**labels),
        "manifest.json": json.dumps(manifest),
    }
    return tar(**files)


def oci_archive(name: str, *, index: bool, **labels: str) -> bytes:
    files: dict[str, bytes | str] = {}

    def blob(content: Any) -> dict[str, Any]:
        data = json.dumps(content).encode()
        digest = hashlib.sha256(data).hexdigest()
        files[f"blobs/sha256/{digest}"] = data
        return {"digest": f"sha256:{digest}", "size": len(data)}

    one = blob({"config": blob({"config": {"Labels": labels}}), "layers": []})
    if index:
        missing = {"digest": f"sha256:{'0' * 64}", "platform": {"os": "linux"}}
        proof = {**blob({"config": {"digest": "sha256:1"}}), "platform": {"os": "unknown"}}
        one = blob({"manifests": [one, missing, proof]})
    top = {"manifests": [{**one, "annotations": {"io.containerd.image.name": name}}]}
    return tar(**files, **{"index.json": json.dumps(top), "oci-layout": "{}"})


def look(path: Path) -> list[Any]:
    return contents(path, lambda _done: None)


@pytest.mark.parametrize("suffix", [".tar.zst", ".tar.gz", ".tgz", ".tar"])
def test_what_is_written_can_be_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x{suffix}"
    path.write_text("what was there before")
    with Writer(path) as writer:
        for start in range(0, len(DATA), 1 << 20):
            writer.write(DATA[start : start + (1 << 20)])
        assert path.read_text() == "what was there before"
    with unpacked(path) as stream:
        assert stream.read() == DATA
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_other_programs_read_it(tmp_path: Path) -> None:
    with Writer(tmp_path / "x.tar.gz") as writer:
        writer.write(DATA)
    assert gzip.decompress((tmp_path / "x.tar.gz").read_bytes()) == DATA
    with Writer(tmp_path / "x.tar.zst") as writer:
        writer.write(DATA)
    try:
        argv = ["zstd", "-dc", str(tmp_path / "x.tar.zst")]
        done = subprocess.run(argv, capture_output=True, check=True)
    except FileNotFoundError:
        pytest.skip("no zstd program")
    assert done.stdout == DATA


@pytest.mark.parametrize("suffix", [".tar.zst", ".tar.gz", ".tar"])
def test_nothing_is_left_of_what_was_broken_off(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x{suffix}"
    path.write_text("what was there before")
    with pytest.raises(RuntimeError), Writer(path) as writer:
        writer.write(DATA)
        raise RuntimeError
    assert path.read_text() == "what was there before"
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_places_that_cannot_be_written_are_told(tmp_path: Path) -> None:
    for name in ("x.zip", "x", "no folder/x.tar", ".tar/"):
        (tmp_path / ".tar").mkdir(exist_ok=True)
        with pytest.raises(InputError):
            Writer(tmp_path / name)


def test_a_full_disk_is_told_and_nothing_is_left() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full")
    with pytest.raises(DiskFull, match="No space left"):
        writer = Writer(Path("/dev/shm/ipydock-test.tar"))
        writer._file.close()
        writer._packed = writer._file = full.open("wb", buffering=0)  # type: ignore[assignment]
        with writer:
            writer.write(b"x")
    assert not list(Path("/dev/shm").glob("*ipydock-test*"))


def test_the_images_of_an_archive(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(docker_archive("me/x:1", "me/x:2", a="b"))
    (found,) = look(path)
    assert (found.id, found.tags, found.labels) == ("sha256:abc", ("me/x:1", "me/x:2"), {"a": "b"})
    path.write_bytes(docker_archive())
    assert look(path)[0].tags == ()


@pytest.mark.parametrize("index", [False, True])
def test_the_images_of_an_oci_layout(tmp_path: Path, index: bool) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(oci_archive("docker.io/me/x:1", index=index, a="b"))
    (found,) = look(path)
    assert (found.tags, found.labels) == (("docker.io/me/x:1",), {"a": "b"})


@pytest.mark.parametrize("suffix", [".tar.zst", ".tar.gz", ".tar"])
def test_an_archive_that_is_cut_short_is_told(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x{suffix}"
    with Writer(path) as writer:
        writer.write(docker_archive("me/x:1"))
    whole = path.read_bytes()
    for part in (0.1, 0.2) if suffix == ".tar" else (0.3, 0.95):  # a tar file ends in padding
        path.write_bytes(whole[: int(len(whole) * part)])
        with pytest.raises(InputError):
            look(path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello",
        b"\x28\xb5\x2f\xfdnonsense",
        b"\x1f\x8bnonsense",
        tar(**{"a.txt": "b"}),
        tar(**{"manifest.json": "not json"}),
        tar(**{"manifest.json": "[1]"}),
        tar(**{"manifest.json": '[{"Config": "missing.json"}]'}),
        tar(**{f"{i}.json": b"x" * 4_000_000 for i in range(17)}),
    ],
    ids=range(9),
)
def test_what_is_no_archive_of_an_image(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(InputError):
        look(tmp_path / "x")


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        look(tmp_path / "x.tar")
