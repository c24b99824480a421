"""The test bed's pure parts: what it takes for its own, what it writes, what it would run."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import json
import os
import socketserver
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bed import (
    cleanup,
    daemon,
    debian,
    engines,
    images,
    interpreters,
    layers,
    network,
    packages,
    process,
    registry,
    state,
)
from tests.bed.state import MARKER, Bed, BedError, State


@pytest.fixture
def bed(tmp_path: Path) -> Bed:
    return Bed("ipydock-bed-test", "ipydock-test", tmp_path / "b/data", tmp_path / "b/run", True)


# Further engines


def test_parts_are_below_the_bed_with_names_of_their_own(bed: Bed) -> None:
    parts = [bed.part(kind) for kind in (*state.PARTS, "podman")]
    assert len({part.bridge for part in parts} | {bed.bridge}) == 5
    assert len({part.name for part in parts} | {bed.name}) == 5
    for part in parts:
        assert len(part.bridge) <= 15
        assert bed.data in part.data.parents
        assert bed.run in part.run.parents
    for place in ("/tmp/one", ""):
        main = Bed.find({"IPYDOCK_BED": place} if place else {}, 0)
        for kind in state.PARTS:
            part = main.part(kind)
            part.check()
            assert len(part.bridge) <= 15


def test_the_newer_daemon_listens_on_loopback_too(bed: Bed) -> None:
    config = json.loads(
        daemon.dockerd_config(bed, 4711, {"hosts": ["tcp://127.0.0.1:1"], "tls": False})
    )
    assert config["hosts"] == [bed.docker_host, "tcp://127.0.0.1:1"]
    assert config["tls"] is False
    assert config["bridge"] == bed.bridge


def test_an_ssh_server_of_ours_is_known_by_what_it_writes_over_its_arguments(
    bed: Bed, tmp_path: Path
) -> None:
    proc = tmp_path / "proc"
    proc.mkdir()
    listening = "[listener] 0 of 10-100 startups"
    fake_process(proc, 10, f"sshd: /usr/sbin/sshd -D -e -f {bed.run}/ssh/sshd_config {listening}")
    fake_process(proc, 11, f"sshd: /usr/sbin/sshd -D {listening}")
    assert [(one.pid, one.name) for one in process.ours(bed, proc)] == [(10, "sshd")]


# Where it lives


def test_root_has_the_standard_place() -> None:
    bed = Bed.find({}, 0)
    assert bed.docker_host == "unix:///run/ipydock-bed/docker.sock"
    assert bed.folders == (Path("/var/lib/ipydock-bed"), Path("/run/ipydock-bed"))
    assert bed.root is None
    assert not bed.private


def test_a_chosen_place_is_one_folder_with_names_of_its_own() -> None:
    one, two = (Bed.find({"IPYDOCK_BED": place}, 0) for place in ("/tmp/one", "/tmp/two"))
    assert one.root == Path("/tmp/one")
    assert one.private
    assert one.name != two.name
    assert one.bridge != two.bridge
    assert len(one.bridge) <= 15  # what the kernel allows for an interface


def test_other_users_have_a_place_in_their_runtime_folder() -> None:
    bed = Bed.find({"XDG_RUNTIME_DIR": "/run/user/7"}, 7)
    assert bed.root == Path("/run/user/7/ipydock-bed-7")


def test_a_place_whose_sockets_have_too_long_names_is_refused() -> None:
    with pytest.raises(BedError, match="107 may be") as caught:
        Bed.find({"IPYDOCK_BED": "/tmp/" + "x" * 80}, 0)
    assert "What to do: set IPYDOCK_BED" in str(caught.value)


def test_a_folder_of_someone_else_is_neither_used_nor_removed(bed: Bed) -> None:
    bed.data.mkdir(parents=True)
    (bed.data / "precious").touch()
    with pytest.raises(BedError, match="not made by this bed"):
        bed.claim()
    cleanup._remove(bed.data)
    assert (bed.data / "precious").exists()


def test_what_was_claimed_is_removed_and_links_are_not_followed(bed: Bed, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    bed.claim()
    bed.claim()
    (bed.data / "link").symlink_to(outside)
    for folder in bed.folders:
        cleanup._remove(folder)
    assert not any(folder.exists() for folder in bed.folders)
    assert (outside / "kept").exists()


def test_state_survives_and_damage_reads_as_none(bed: Bed) -> None:
    bed.claim()
    assert State.load(bed) == State()
    kept = State(kind="docker", port=4711, subnet="172.31.213.0/24", before={"chains": False})
    kept.save(bed)
    assert State.load(bed) == kept
    (bed.run / "bed.json").write_text('{"kind": "docker", "po')
    assert State.load(bed) == State()


def test_lock_is_exclusive_even_when_its_file_is_deleted(bed: Bed) -> None:
    order: list[str] = []
    inside = threading.Event()
    leave = threading.Event()

    def second() -> None:
        inside.wait(5)
        leave.set()
        with bed.lock() as path:
            order.append("second")
            assert path.exists()

    thread = threading.Thread(target=second)
    thread.start()
    with bed.lock() as path:
        inside.set()
        leave.wait(5)
        order.append("first")
        path.unlink()
    thread.join(5)
    assert order == ["first", "second"]


# Which processes are its own


def fake_process(proc: Path, pid: int, *words: str, root: str = "/", zombie: bool = False) -> None:
    folder = proc / str(pid)
    folder.mkdir(parents=True)
    (folder / "cmdline").write_bytes(b"" if zombie else "\0".join((*words, "")).encode())
    (folder / "root").symlink_to(root)


def test_only_daemons_with_our_paths_are_ours(bed: Bed, tmp_path: Path) -> None:
    proc = tmp_path / "proc"
    (proc / "self").mkdir(parents=True)
    run, data = bed.run, bed.data
    fake_process(proc, 10, "/usr/sbin/dockerd", "--config-file", f"{run}/daemon.json")
    fake_process(proc, 11, "containerd", "--config", f"{run}/exec/containerd/containerd.toml")
    fake_process(proc, 12, "docker-registry", "serve", f"{data}/registry.yml")
    fake_process(proc, 13, "podman", "system", "service", f"unix://{run}/podman.sock")
    fake_process(proc, 14, "/usr/bin/perl", "/usr/bin/mmdebstrap", "bookworm", f"{data}/make/root")
    fake_process(proc, 15, "/usr/bin/apt-get", "install", root=f"{data}/make/root")
    assert [(one.pid, one.name) for one in process.ours(bed, proc)] == [
        (14, "mmdebstrap"),
        (15, "chroot"),
        (10, "dockerd"),
        (11, "containerd"),
        (13, "podman"),
        (12, "docker-registry"),
    ]
    assert not process.others(bed, proc)


def test_other_programs_are_left_alone(bed: Bed, tmp_path: Path) -> None:
    proc = tmp_path / "proc"
    proc.mkdir()
    fake_process(proc, 20, "/usr/sbin/dockerd", "-H", "fd://")
    fake_process(proc, 21, "grep", "dockerd", f"{bed.logs}/dockerd.log")
    fake_process(proc, 22, "docker", "-H", bed.docker_host, "run", "debian")
    fake_process(proc, 23, "dockerd", "--config-file", f"{bed.run}-other/daemon.json")
    fake_process(proc, 24, "dockerd", f"{bed.run}/daemon.json", zombie=True)
    fake_process(proc, 25, "perl", "script.pl", "mmdebstrap", str(bed.data))
    assert process.ours(bed, proc) == []
    assert process.others(bed, proc)


def test_mounts_below_our_folders_come_innermost_first() -> None:
    mountinfo = "\n".join(
        f"1 2 8:1 / {point} rw - ext4 /dev/vda rw"
        for point in ("/", "/b/data", "/b/data/docker", r"/b/data/docker/with\040space", "/b/dat")
    )
    folders = (Path("/b/data"), Path("/b/run"))
    below = cleanup.mounts_below(mountinfo, folders)
    assert below == ["/b/data/docker/with space", "/b/data/docker"]


# The network


def test_subnet_avoids_what_is_in_use() -> None:
    assert network.pick_subnet(["default", "broadcast"]) == "172.31.213.0/24"
    assert network.pick_subnet(["172.31.0.0/16", "172.30.213.9"]) == "172.29.213.0/24"
    with pytest.raises(BedError, match="No /24"):
        network.pick_subnet(["172.16.0.0/12"])


MASQUERADE = "POSTROUTING -s 172.31.213.0/24 ! -o ipydock0 -j MASQUERADE"
RULES = f"""\
-P FORWARD DROP
-N DOCKER
-N DOCKER-USER
-N OURS
-A FORWARD -j DOCKER-USER
-A FORWARD -o ipydock0 -j DOCKER
-A FORWARD -i eth0 -m comment --comment "not ours" -j ACCEPT
-A DOCKER-USER -j RETURN
-A DOCKER -i ipydock0 -j RETURN
-A {MASQUERADE}
"""


def test_all_of_docker_goes_when_it_was_not_there_before() -> None:
    assert network.undo_rules(RULES, {"ipydock0"}, chains=True) == [
        ["-D", "FORWARD", "-j", "DOCKER-USER"],
        ["-D", "FORWARD", "-o", "ipydock0", "-j", "DOCKER"],
        ["-D", *MASQUERADE.split()],
        ["-F", "DOCKER"],
        ["-F", "DOCKER-USER"],
        ["-X", "DOCKER"],
        ["-X", "DOCKER-USER"],
    ]


def test_beside_another_daemon_only_rules_of_our_bridge_go() -> None:
    assert network.undo_rules(RULES, {"ipydock0"}, chains=False) == [
        ["-D", "FORWARD", "-o", "ipydock0", "-j", "DOCKER"],
        ["-D", "DOCKER", "-i", "ipydock0", "-j", "RETURN"],
        ["-D", *MASQUERADE.split()],
    ]


# Engines that are there


class _Engine(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        parts = [{"Name": "Podman Engine"}]
        body = json.dumps({"Os": "linux", "Version": "4.3.1", "Components": parts}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words: object) -> None:
        pass

    def address_string(self) -> str:
        return "unix"


@pytest.fixture
def answering(tmp_path: Path) -> Iterator[str]:
    path = tmp_path / "engine.sock"
    with socketserver.ThreadingUnixStreamServer(str(path), _Engine) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"unix://{path}"
        server.shutdown()
        thread.join()


def test_docker_host_that_answers_is_used(bed: Bed, answering: str) -> None:
    found = engines.named(bed, {"DOCKER_HOST": answering})
    assert found is not None
    assert (found.host, found.words.split(" at ")[0]) == (answering, "Podman 4.3.1")


def test_docker_host_that_is_dead_is_said_so(
    bed: Bed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert engines.named(bed, {"DOCKER_HOST": f"unix://{tmp_path}/gone.sock"}) is None
    assert "gone.sock, which is of no use" in capsys.readouterr().err
    assert engines.named(bed, {"DOCKER_HOST": bed.docker_host}) is None
    assert engines.named(bed, {}) is None


def test_a_socket_in_its_usual_place_is_found(bed: Bed, answering: str, tmp_path: Path) -> None:
    (tmp_path / "docker.sock").symlink_to(answering.removeprefix("unix://"))
    environ = {"XDG_RUNTIME_DIR": str(tmp_path), "PATH": "/nowhere"}
    places = dict(engines.addresses(bed, environ, 7))
    assert places["the user's socket"] == f"unix://{tmp_path}/docker.sock"
    assert places["Podman's system socket"] == "unix:///run/podman/podman.sock"


# Packages


def test_debian_and_ubuntu_are_known_from_os_release() -> None:
    mint = packages.os_release('ID=linuxmint\nID_LIKE="ubuntu debian"\n# comment\n')
    assert packages.is_debian_like(mint)
    assert packages.is_debian_like(packages.os_release("ID=debian\n"))
    assert not packages.is_debian_like(packages.os_release('ID="fedora"\n'))


def test_sources_are_the_machines_mirrors_when_they_are_debians_for_the_suite() -> None:
    targets = """\
http://mirror.example/debian/|bookworm|main|
http://mirror.example/debian/|bookworm|main|
http://mirror.example/debian/|bookworm|contrib|
http://mirror.example/debian-security/|bookworm-security|main|
https://other.example/linux/debian-tools|bookworm|main|
"""
    key = f"[signed-by={packages.KEYRING}]"
    assert debian.sources_list(targets).splitlines() == [
        f"deb {key} http://mirror.example/debian/ bookworm main",
        f"deb {key} http://mirror.example/debian-security/ bookworm-security main",
    ]


def test_sources_are_the_distributions_own_on_any_other_machine() -> None:
    lines = debian.sources_list("http://archive.example/ubuntu/|noble|main\n").splitlines()
    assert [line.split("] ")[1] for line in lines] == [
        "http://deb.debian.org/debian bookworm main",
        "http://deb.debian.org/debian bookworm-updates main",
        "http://deb.debian.org/debian-security bookworm-security main",
    ]


def test_proxies_of_apt_are_taken_over_and_nothing_else() -> None:
    dump = """\
Acquire "";
Acquire::http "";
Acquire::http::Proxy "http://proxy.example:3128";
Acquire::https::CaInfo "/etc/ca.pem";
Acquire::Languages "none";
Acquire::Check-Valid-Until "false";
"""
    assert debian.apt_transport(dump) == [
        'Acquire::http::Proxy "http://proxy.example:3128";',
        'Acquire::https::CaInfo "/etc/ca.pem";',
        'Acquire::Check-Valid-Until "false";',
    ]


# Interpreters


def python_tree(root: Path, version: str) -> Path:
    prefix = root / "versions" / version
    (prefix / "bin").mkdir(parents=True)
    (prefix / "bin" / f"python{version.rpartition('.')[0]}").write_bytes(b"\x7fELF\0")
    return prefix


def test_the_newest_patch_of_each_supported_python_is_found(tmp_path: Path) -> None:
    for version in ("3.12.9", "3.12.10", "3.7.16", "3.8.18", "2.7.18"):
        python_tree(tmp_path, version)
    (tmp_path / "versions/3.13.0").mkdir()  # installed by half
    (tmp_path / "versions/3.11.1").symlink_to(tmp_path / "versions/3.12.9")
    (tmp_path / "versions/myenv").mkdir()
    for environ, home in (({"PYENV_ROOT": str(tmp_path)}, Path("/nowhere")), ({}, tmp_path)):
        if not environ:
            (tmp_path / ".pyenv").symlink_to(tmp_path)
        found = interpreters.find(environ, home)
        assert [one.version for one in found] == ["3.8.18", "3.12.10"]
    assert found[1].minor == "3.12"
    assert interpreters.find({}, Path("/nowhere")) == []


def test_text_is_relocated_and_programs_are_not(tmp_path: Path) -> None:
    prefix, local = Path("/home/me/.pyenv/versions/3.12.1"), tmp_path
    (local / "bin").mkdir()
    (local / "lib/python3.12").mkdir(parents=True)
    binary = b"\x7fELF\0" + bytes(prefix) + b"/lib\0"
    (local / "bin/python3.12").write_bytes(binary)
    (local / "bin/idle3.12").write_text(f"#!{prefix}/bin/python3.12\n")
    data = local / "lib/python3.12/_sysconfigdata__linux_.py"
    data.write_text(f"build = {{'LDFLAGS': '-L{prefix}/lib'}}\n")
    interpreters._relocate(prefix, local, "lib/python3.12")
    assert (local / "bin/python3.12").read_bytes() == binary
    assert (local / "bin/idle3.12").read_text() == "#!/usr/local/bin/python3.12\n"
    assert data.read_text() == "build = {'LDFLAGS': '-L/usr/local/lib'}\n"


def test_an_unpacked_wheel_can_be_uninstalled_by_pip(tmp_path: Path) -> None:
    wheel = tmp_path / "pip-24.2-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("pip/__init__.py", "")
        archive.writestr("pip-24.2.dist-info/RECORD", "pip/__init__.py,,\n")
    target = tmp_path / "python3.13/site-packages"
    interpreters.unpack_wheel(wheel, target)
    record = (target / "pip-24.2.dist-info/RECORD").read_text().splitlines()
    assert "../../../bin/pip3.13,," in record
    assert "pip-24.2.dist-info/INSTALLER,," in record
    assert (target / "pip-24.2.dist-info/INSTALLER").read_text() == "pip\n"


# Layers and images


def tree(root: Path) -> Path:
    for name in (
        "etc/passwd",
        "etc/passwd-",
        "tmp/x",
        "var/lib/apt/lists/y",
        "usr/a/__pycache__/z",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    (root / "usr/link").symlink_to("a")
    return root


def members(layer: layers.Layer) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(layer.path) as tar:
        return {info.name: info for info in tar}


def test_a_layer_holds_what_an_official_image_would(tmp_path: Path) -> None:
    root = tree(tmp_path / "root")
    layer = layers.write_layer(
        root, layers.fingerprints(root), tmp_path / "l", history="", extra={"etc/new": "text\n"}
    )
    found = members(layer)
    assert sorted(found) == [
        "etc", "etc/new", "etc/passwd", "tmp", "usr", "usr/a", "usr/link", "var", "var/lib",
        "var/lib/apt", "var/lib/apt/lists",
    ]  # fmt: skip
    assert found["usr/link"].linkname == "a"
    assert {info.uname for info in found.values()} == {""}
    assert max(info.mtime for info in found.values()) <= debian.EPOCH


def test_digests_are_of_the_file_and_of_what_is_in_it(tmp_path: Path) -> None:
    root = tree(tmp_path / "root")
    layer = layers.write_layer(root, layers.fingerprints(root), tmp_path / "l", history="")
    packed = layer.path.read_bytes()
    assert layer.size == len(packed)
    assert layer.digest == f"sha256:{hashlib.sha256(packed).hexdigest()}"
    assert layer.diff_id == f"sha256:{hashlib.sha256(gzip.decompress(packed)).hexdigest()}"


def test_equal_trees_make_equal_layers(tmp_path: Path) -> None:
    made = []
    for number in (1, 2):
        root = tree(tmp_path / str(number))
        os.utime(root / "etc/passwd", (debian.EPOCH + number, debian.EPOCH + number))
        names = layers.fingerprints(root)
        made.append(layers.write_layer(root, names, tmp_path / f"l{number}", history="").digest)
    assert made[0] == made[1]


def test_what_was_added_changed_and_removed_makes_the_next_layer(tmp_path: Path) -> None:
    root = tree(tmp_path / "root")
    earlier = layers.fingerprints(root)
    (root / "etc/group").write_text("new")
    (root / "usr/link").unlink()
    os.truncate(root / "etc/passwd", 1)
    new, gone = layers.changed(root, earlier)
    assert new == ["etc/group", "etc/passwd"]
    layer = layers.write_layer(root, new, tmp_path / "l", history="", gone=gone)
    assert sorted(members(layer)) == ["etc/group", "etc/passwd", "usr/.wh.link"]


def test_image_configuration_has_a_line_of_history_for_each_layer() -> None:
    parts = [layers.Layer(Path(), "sha256:a", "sha256:b", 1, word) for word in ("one", "two")]
    config = json.loads(registry.image_config(parts, {"Cmd": ["python3"]}, "amd64"))
    assert config["rootfs"]["diff_ids"] == ["sha256:b", "sha256:b"]
    assert [line["created_by"] for line in config["history"]] == ["one", "two"]
    assert config["config"] == {"Cmd": ["python3"]}


def test_images_are_used_again_for_the_same_interpreters_or_fewer(bed: Bed, tmp_path: Path) -> None:
    def found() -> list[interpreters.Interpreter]:
        return interpreters.find({"PYENV_ROOT": str(tmp_path)}, tmp_path)

    bed.claim()
    assert images.recorded(bed) == {}
    python_tree(tmp_path, "3.12.1")
    state.write_json(bed.data / "images.json", images.record(found(), {"a:b": "c"}))
    known = images.recorded(bed)
    assert known["images"] == {"a:b": "c"}
    assert images.is_fresh(known, found())
    assert images.is_fresh(known, [])
    python_tree(tmp_path, "3.13.0")
    assert not images.is_fresh(known, found())
    assert not images.is_fresh({**known, "made_by": "other code"}, [])


def test_a_damaged_record_of_images_is_none(bed: Bed) -> None:
    bed.claim()
    for text in ("{", "[]", '{"images": {}}'):
        (bed.data / "images.json").write_text(text)
        assert images.recorded(bed) == {}


# The daemon's configuration and what is shown


def test_the_daemon_is_told_our_places_only(bed: Bed) -> None:
    config = json.loads(daemon.dockerd_config(bed, 4711))
    assert config["hosts"] == [bed.docker_host]
    assert config["registry-mirrors"] == ["http://127.0.0.1:4711"]
    assert config["bridge"] == "ipydock-test"
    places = [config[key] for key in ("data-root", "exec-root", "pidfile")]
    assert all(str(bed.root) in place for place in places)
    storage = json.loads(daemon.registry_config(bed, 4711))["storage"]
    assert storage["filesystem"]["rootdirectory"].startswith(str(bed.data))


def test_loopback_is_never_reached_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "intern.example")
    monkeypatch.setenv("DOCKER_HOST", "unix:///elsewhere")
    env = daemon._environment()
    assert env["NO_PROXY"] == "intern.example,127.0.0.1,localhost"
    assert "DOCKER_HOST" not in env


def test_a_command_that_fails_says_what_and_why() -> None:
    with pytest.raises(BedError) as caught:
        process.run(["sh", "-c", "echo the reason >&2; exit 3"], mend="try harder")
    lines = str(caught.value).splitlines()
    assert lines[0].endswith("ended with 3.")
    assert lines[1:] == ["the reason", "What to do: try harder"]


def test_waiting_ends_when_what_is_waited_for_can_no_longer_come() -> None:
    assert not process.wait_until(lambda: False, seconds=60, alive=lambda: False)
    assert process.wait_until(lambda: True, seconds=0)


def test_the_mark_is_in_both_folders(bed: Bed) -> None:
    bed.claim()
    assert all((folder / MARKER).exists() for folder in bed.folders)
