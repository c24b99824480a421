from __future__ import annotations

import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st

from ipydock.kernel import relay
from ipydock.kernel.wire import MAX_BYTES, MAX_FRAMES, Decoder, Ports, pack

Plain = list[tuple[int, list[bytes]]]
messages = st.lists(
    st.tuples(st.integers(0, 5), st.lists(st.binary(max_size=40), max_size=4)), max_size=5
)


def decode(data: bytes, *, piece: int) -> Plain:
    decoder = Decoder()
    return [
        (channel, [bytes(frame) for frame in frames])
        for start in range(0, len(data), piece)
        for channel, frames in decoder.feed(data[start : start + piece])
    ]


@given(messages, st.integers(1, 64))
def test_messages_survive_any_cut(sent: Plain, piece: int) -> None:
    data = b"".join(pack(channel, frames) for channel, frames in sent)
    assert decode(data, piece=piece) == sent


@given(messages, st.integers(1, 64))
def test_the_relay_reads_what_the_host_writes(sent: Plain, piece: int) -> None:
    data = b"".join(pack(channel, frames) for channel, frames in sent)
    buffer, got = bytearray(), []
    for start in range(0, len(data), piece):
        buffer += data[start : start + piece]
        got += list(relay.take(buffer))
    assert got == sent
    assert not buffer


def test_a_large_frame_is_held_once() -> None:
    frame = b"x" * 5_000_000
    [(channel, [got])] = Decoder().feed(pack(relay.IOPUB, [frame]))
    assert channel == relay.IOPUB
    assert got == frame


@pytest.mark.parametrize(
    "damaged",
    [
        b"Hello, I am an entrypoint",
        relay.head(relay.HEARTBEAT + 1, [1]),
        relay.head(relay.SHELL, [0] * (MAX_FRAMES + 1)),
        relay.head(relay.SHELL, [MAX_BYTES, 1]),
        relay.head(relay.SHELL, [2**64 - 1]),
    ],
)
def test_what_is_not_a_message_is_refused_before_memory_is_taken(damaged: bytes) -> None:
    with pytest.raises(ValueError, match=r"does not exist|too large"):
        list(Decoder().feed(damaged))


def test_ports_are_on_loopback_and_closed_twice_without_harm() -> None:
    ports = Ports()
    info = ports.info()
    assert info["ip"] == "127.0.0.1"
    assert len({info[f"{name}_port"] for name in relay.PORTS.values()}) == 5
    sockets = list(ports.sockets.values())
    ports.close()
    ports.close()
    assert all(socket.closed for socket in sockets)
    with pytest.raises(zmq.ZMQError):
        sockets[0].send(b"x")
