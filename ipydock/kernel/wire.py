"""The framing of the wire and the ports that Jupyter's clients connect to.

A message is a channel, a count, the length of each frame, and the frames; `relay` is the other end.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import zmq

from .relay import HEARTBEAT, IOPUB, PORTS, head

Frames: TypeAlias = Sequence[bytes] | Sequence[memoryview]
Message: TypeAlias = tuple[int, list[memoryview]]

HEADER = struct.Struct(">BI")
MAX_FRAMES = 1 << 16
MAX_BYTES = 1 << 31  # of one message: more is not an output but a fault, or an attack on our memory
HOST = "127.0.0.1"


def pack(channel: int, frames: Frames) -> bytes:
    """A message as it goes over the wire."""
    return b"".join((head(channel, [len(frame) for frame in frames]), *frames))


class Decoder:
    """Takes bytes in pieces of any size and gives messages.

    Each part of a message (header, lengths, frames) is collected in a buffer of its exact size, so
    that a large output is in memory once.
    """

    def __init__(self) -> None:
        self._expect(HEADER.size, self._on_header)

    def feed(self, data: bytes | memoryview) -> Iterator[Message]:
        """Yield each (channel, frames) that is complete after these bytes.

        Raises:
            ValueError: the bytes are not messages; nothing that follows can be understood.
        """
        rest = memoryview(data)
        while True:
            piece = rest[: len(self._part) - self._filled]
            self._part[self._filled : self._filled + len(piece)] = piece
            self._filled += len(piece)
            rest = rest[len(piece) :]
            if self._filled < len(self._part):
                return
            message = self._complete(self._part)
            if message is not None:
                yield message

    def _expect(self, size: int, complete: Callable[[bytearray], Message | None]) -> None:
        self._part, self._filled, self._complete = bytearray(size), 0, complete

    def _on_header(self, part: bytearray) -> None:
        self._channel, count = HEADER.unpack(part)
        if self._channel > HEARTBEAT or count > MAX_FRAMES:
            raise ValueError(f"channel {self._channel} with {count} frames does not exist")
        self._expect(8 * count, self._on_lengths)

    def _on_lengths(self, part: bytearray) -> None:
        self._sizes = struct.unpack(f">{len(part) // 8}Q", part)
        if sum(self._sizes) > MAX_BYTES:
            raise ValueError(f"a message of {sum(self._sizes)} bytes is too large")
        self._expect(sum(self._sizes), self._on_frames)

    def _on_frames(self, part: bytearray) -> Message:
        view = memoryview(part)
        frames, start = [], 0
        for size in self._sizes:
            frames.append(view[start : start + size])
            start += size
        self._expect(HEADER.size, self._on_header)
        return self._channel, frames


class Ports:
    """The five sockets on loopback, bound to free ports, that stand for the kernel on the host.

    They outlive the kernel, so that clients stay connected while it restarts. One thread at a time
    may use them.
    """

    def __init__(self) -> None:
        self._context = zmq.Context()
        self.sockets: dict[int, zmq.Socket[bytes]] = {}
        try:
            for channel in PORTS:
                self.sockets[channel] = self._bind(channel)
        except zmq.ZMQError:
            self.close()
            raise

    def _bind(self, channel: int) -> zmq.Socket[bytes]:
        socket = self._context.socket(zmq.XPUB if channel == IOPUB else zmq.ROUTER)
        # A queue with a limit would drop outputs, or let one client that does not read stop the
        # others. These queues are in the process whose clients read them.
        socket.sndhwm = 0
        socket.linger = 0
        if channel == IOPUB:
            socket.xpub_verbose = True  # tell of every subscriber, to welcome each
        else:
            socket.router_handover = True  # a client that comes back takes its identity over
        socket.bind(f"tcp://{HOST}:*")
        return socket

    def info(self) -> dict[str, str | int]:
        """The part of Jupyter's connection info that says where the sockets are."""
        info: dict[str, str | int] = {"transport": "tcp", "ip": HOST}
        for channel, socket in self.sockets.items():
            endpoint = socket.getsockopt_string(zmq.LAST_ENDPOINT)
            info[f"{PORTS[channel]}_port"] = int(endpoint.rsplit(":", 1)[1])
        return info

    def close(self) -> None:
        """Close the sockets; what was not sent is dropped. May be called more than once."""
        self._context.destroy(linger=0)
