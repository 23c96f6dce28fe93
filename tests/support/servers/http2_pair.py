"""HTTP/2 for tests: a client and a server with a wire between them, and frames made by hand."""

from __future__ import annotations

import struct

import hpack

from netmap_actors.protocol.http2 import (
    Http2Client,
    Http2Server,
    ResponseData,
)
from netmap_actors.protocol.http2.events import ClientEvent, ServerEvent

NOW = 1000.0
DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
END_STREAM, END_HEADERS, PADDED, ACK = 0x1, 0x4, 0x8, 0x1
KEEP_ALIVE = b"\x1c\x00\x00\x00" + b"k" * 28


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream_id) + payload


def headers(*fields: tuple[str, str]) -> bytes:
    """A header block that leaves the compression state alone."""
    return hpack.Encoder().encode([hpack.NeverIndexedHeaderTuple(n.encode(), v.encode()) for n, v in fields])


class Pair:
    """A client and a server with a wire between them that is carried on demand."""

    def __init__(self) -> None:
        self.client = Http2Client("control.example.com")
        self.server = Http2Server()
        self.carry()

    def to_server(self) -> list[ServerEvent]:
        return list(self.server.receive(self.client.data_to_send(), NOW))

    def to_client(self) -> list[ClientEvent]:
        return list(self.client.receive(self.server.data_to_send(), NOW))

    def carry(self) -> tuple[list[ClientEvent], list[ServerEvent]]:
        """Carry bytes both ways until neither side has any."""
        seen: tuple[list[ClientEvent], list[ServerEvent]] = ([], [])
        while True:
            out, back = self.client.data_to_send(), self.server.data_to_send()
            if not out and not back:
                return seen
            if not self.server.over:
                seen[1].extend(self.server.receive(out, NOW))
            if not self.client.over:
                seen[0].extend(self.client.receive(back, NOW))

    def poll(self) -> int:
        """Begin a long poll and its response."""
        stream_id = self.client.request("POST", "/machine/map", body=b"{}", stream=True)
        self.carry()
        self.server.respond(stream_id, 200, end=False)
        self.carry()
        return stream_id


def body_of(events: list[ClientEvent], stream_id: int) -> bytes:
    return b"".join(e.data for e in events if isinstance(e, ResponseData) and e.stream_id == stream_id)
