"""Libraries that compiled modules need: real ELF files, broken ones, real wheels."""

from __future__ import annotations

import os
import random
import shutil
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ipydock.capture import elf, interpreter, libraries
from ipydock.capture.distributions import Environment
from tests.environments import dist_info

ZMQ = next(Path(sys.prefix, "lib").glob("python3*/site-packages/zmq/backend/cython/_zmq*.so"))


def environment(env: Path) -> Environment:
    chosen = interpreter.Interpreter(str(env / "bin" / "python"))
    return Environment(interpreter.ask(chosen, {"folder": str(env)}), str(env))


# --- files ---------------------------------------------------------------------------------------


def made(soname: str, *needed: str, wide: bool = True, order: str = "<") -> bytes:
    """The smallest shared library: one segment, a dynamic section and its strings."""
    names = b"\0" + b"".join(name.encode() + b"\0" for name in (soname, *needed))
    places = [names.index(b"\0" + name.encode() + b"\0") + 1 for name in (soname, *needed)]
    entry = order + ("qQ" if wide else "iI")
    head, header = (64, 56) if wide else (52, 32)
    tags = [(14, places[0]), *((1, place) for place in places[1:])]
    size = struct.calcsize(entry) * (len(tags) + 2)
    start = head + 2 * header
    base = 0x1000  # where the file lies in memory
    tags += [(5, base + start + size), (0, 0)]
    dynamic = b"".join(struct.pack(entry, *tag) for tag in tags)
    total = start + size + len(names)
    segments = ((1, 0, base, total), (2, start, base + start, size))
    if wide:
        ident = struct.pack(order + "HHIQQQIHHHHHH", 3, 62, 1, 0, head, 0, 0, 64, 56, 2, 0, 0, 0)
        table = [
            struct.pack(order + "IIQQQQQQ", kind, 4, offset, at, at, length, length, 8)
            for kind, offset, at, length in segments
        ]
    else:
        ident = struct.pack(order + "HHIIIIIHHHHHH", 3, 3, 1, 0, head, 0, 0, 52, 32, 2, 0, 0, 0)
        table = [
            struct.pack(order + "IIIIIIII", kind, offset, at, at, length, length, 4, 4)
            for kind, offset, at, length in segments
        ]
    magic = b"\x7fELF" + bytes([1 + wide, 1 + (order == ">"), 1]) + bytes(9)
    return magic + ident + b"".join(table) + dynamic + names


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("wide", [True, False])
def test_every_kind_of_machine(wide: bool, order: str, tmp_path: Path) -> None:
    path = tmp_path / "libx.so"
    path.write_bytes(made("libx.so.1", "liba.so.2", "libb.so", wide=wide, order=order))
    assert elf.read(path) == elf.Elf("libx.so.1", ("liba.so.2", "libb.so"))


def test_a_real_library() -> None:
    found = elf.read(ZMQ)
    assert found is not None
    assert found.soname == ""
    assert "libc.so.6" in found.needed
    assert any(name.startswith("libzmq") for name in found.needed)


def test_what_is_no_library(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo.so"
    os.mkfifo(fifo)
    (tmp_path / "text.so").write_text("not ELF")
    (tmp_path / "short.so").write_bytes(b"\x7fELF\x02\x01")
    for path in (fifo, tmp_path, "/dev/zero", tmp_path / "text.so", tmp_path / "short.so"):
        assert elf.read(path) is None
    assert elf.read(tmp_path / "gone.so") is None
    assert elf.read("with\0zero") is None


def test_broken_libraries_neither_crash_nor_hang(tmp_path: Path) -> None:
    chance = random.Random(1)
    real = ZMQ.read_bytes()
    small = made("libx.so.1", "liba.so.2")
    path = tmp_path / "x.so"
    start = time.monotonic()
    for number in range(900):
        data = bytearray(small if number % 3 else real[:8000])
        for _ in range(chance.choice((1, 3, 20))):
            data[chance.randrange(min(len(data), 600))] = chance.choice((0, 1, 127, 128, 255))
        path.write_bytes(data[: chance.choice((len(data), chance.randrange(len(data))))])
        found = elf.read(path)
        assert found is None or len(found.needed) <= elf.ENTRIES
    assert time.monotonic() - start < 10


# --- distributions -------------------------------------------------------------------------------


def put(env: Path, name: str, files: dict[str, bytes]) -> None:
    dist_info(env, name, "1.0", files=dict.fromkeys(files, ""))
    site = next((env / "lib").glob("python3*")) / "site-packages"
    for path, data in files.items():
        (site / path).write_bytes(data)


def test_what_no_wheel_brings(env: Path) -> None:
    put(
        env,
        "one",
        {
            "one/_core.cpython-311-x86_64-linux-gnu.so": made("", "libone-ab12.so", "libc.so.6"),
            "one.libs/libone-ab12.so": made("libone-ab12.so", "libGL.so.1", "libshared.so.3"),
            "one/plugins/libodbc.so": made("libodbc.so", "libodbc.so.2"),
        },
    )
    put(env, "shared", {"shared/lib/libshared.so.3": made("libshared.so.3", "libcuda.so.1")})
    put(env, "opens-by-path", {"o/lib/lib_o.so": made("", "libgomp.so.1", "ld-linux-x86-64.so.2")})
    put(env, "old", {"_old.so": made("", "libold.so.1", "libpython3.11.so.1.0")})
    put(env, "numba", {"numba/t.abi3.so": made("", "libtbb.so.12", "libx.so.1")})
    known = environment(env)
    expected = {
        "numba": {"libx.so.1"},
        "old": {"libold.so.1"},
        "one": {"libGL.so.1", "libc.so.6"},
        "opens-by-path": {"libgomp.so.1"},
    }
    assert libraries.needed(known, known.installed) == expected
    # Where the one that brings it is not used, the other one lacks it.
    assert libraries.needed(known, ["one"])["one"] == {"libGL.so.1", "libc.so.6", "libshared.so.3"}


def test_what_conda_put_in_is_left_to_conda(env: Path) -> None:
    site = next((env / "lib").glob("python3*")) / "site-packages"
    for name in ("one", "psycopg2"):
        put(env, name, {f"_{name}.abi3.so": made("", "libmkl.so.1")})
        (site / f"{name}-1.0.dist-info" / "INSTALLER").write_text("conda\n")
    known = environment(env)
    assert known.installed["one"].installer == "conda"
    # The image gets the wheel, or builds it: what that needs is in a table.
    assert libraries.needed(known, known.installed) == {"psycopg2": {"libpq.so.5"}}


def test_an_environment_of_macos(env: Path) -> None:
    put(env, "lightgbm", {"lightgbm/lib/lib_lightgbm.so": b"\xcf\xfa\xed\xfe"})
    answer = dict(environment(env).answer)
    answer["python"] = {**answer["python"], "system": "darwin"}
    known = Environment(answer, str(env))
    assert libraries.needed(known, known.installed) == {"lightgbm": {"libgomp.so.1"}}


def test_the_interpreters_own_libraries_are_not_the_notebooks(tmp_path: Path) -> None:
    own = interpreter.Interpreter(sys.executable)
    known = Environment(interpreter.ask(own, {"folder": str(tmp_path)}), str(tmp_path))
    (tmp_path / "libmine.so.1").write_bytes(made("libmine.so.1"))
    (tmp_path / "libc.so.6").write_bytes(made("libc.so.6"))
    paths = [str(tmp_path / name) for name in ("libmine.so.1", "libc.so.6")]
    assert libraries.besides_interpreter(known, paths) == [str(tmp_path / "libmine.so.1")]


@pytest.mark.slow
def test_real_wheels(make_env: Callable[..., Path]) -> None:
    if shutil.which("ldd") is None:
        pytest.skip("the wheels are of Linux")
    # The headless opencv writes the same files, and either may come last.
    env = make_env("opencv-python", "lightgbm", "psycopg2-binary")
    known = environment(env)
    base = {"libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2", "librt.so.1", "libz.so.1"}
    base |= {"libgcc_s.so.1", "libstdc++.so.6", "libresolv.so.2", "libutil.so.1", "libcrypt.so.1"}
    wanted = {n: set(s) - base for n, s in libraries.needed(known, known.installed).items()}
    assert wanted["lightgbm"] == {"libgomp.so.1"}
    assert wanted["opencv-python"] >= {"libGL.so.1", "libgthread-2.0.so.0"}
    assert not any(wanted.get(n) for n in ("psycopg2-binary", "numpy", "scipy"))
