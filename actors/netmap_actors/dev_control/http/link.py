"""What the pieces of one connection share: its names, Noise and HTTP/2 state, map streams, and how it is to end.

Not here: requests (`machine_api`), faults (`injector`), time and plain HTTP (`connection`). It knows none of them.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from netmap_actors.dev_control.faults.bad_bytes import EvilRecords
    from netmap_actors.dev_control.http.map_stream import MapStream
    from netmap_actors.dev_control.http.state import Control
    from netmap_actors.protocol.http2 import Http2Server
    from netmap_actors.protocol.keys import MachineKey

__all__ = ["Ending", "Link"]


class Ending(enum.Enum):
    """How a connection is to be closed."""

    FLUSH = "flush"
    """In good order, once everything is written."""
    RESET = "reset"
    """At once, with a TCP reset."""


class Link:
    """One connection as its requests, map streams and faults see it."""

    def __init__(self, control: Control, number: int, remote: str) -> None:
        self.control = control
        self.number = number
        """Among the connections of this server's life."""
        self.remote = remote
        """host:port of the client's end."""
        self.machine: MachineKey | None = None
        """Proved by the handshake; None before it, as the next two."""
        self.records: EvilRecords | None = None
        self.http2: Http2Server | None = None
        self.wire = bytearray()
        """Bytes that wait for the socket."""
        self.spoilt = False
        """The Noise stream to the client is broken: nothing sound can follow."""
        self.ending: Ending | None = None
        self.why = ""
        """Why it ends, for the log."""
        self._streams: dict[int, MapStream] = {}

    @property
    def streams(self) -> dict[int, MapStream]:
        """The map streams that have not ended, by stream id."""
        for stream_id in [stream_id for stream_id, stream in self._streams.items() if stream.ended]:
            del self._streams[stream_id]
        return self._streams

    @property
    def is_over(self) -> bool:
        """HTTP/2 has failed or said GOAWAY: nothing more can be answered."""
        return self.http2 is not None and self.http2.over

    def names(self) -> frozenset[str]:
        """Words a fault may use for this client."""
        names = {f"connection:{self.number}", self.remote}
        if self.machine is not None:
            names.add(str(self.machine))
            for entry in self.control.tailnet.by_machine(str(self.machine)):
                node = entry.node
                names |= {entry.label, node.name, str(node.id), node.stable_id, node.key}
        return frozenset(names)

    def note(self, now: float, kind: str, detail: str = "") -> None:
        """Remember what the client did, or what was done to it."""
        self.control.note(now, self.number, self.remote, kind, detail)

    def note_sent(self, now: float, what: Callable[[], str]) -> None:
        """Remember what was sent to it, if that is asked for."""
        self.control.note_sent(now, self.number, self.remote, what)

    def touch(self) -> None:
        """There may be something to send, or to close."""
        self.control.touched[self.number] = None

    def end(self, how: Ending, why: str) -> None:
        """This connection is to be closed. The first reason counts, a reset overrides."""
        if self.ending is None:
            self.why = why
        if self.ending is not Ending.RESET:
            self.ending = how
        self.touch()

    def pump(self) -> bool:
        """Seal what the client's HTTP/2 windows admit. False: that cannot be, before the handshake or for ever."""
        if self.http2 is None or self.records is None or self.spoilt:
            return False
        plain = self.http2.data_to_send()
        if plain:
            self.wire += self.records.seal(plain)
        return True

    def send_record(self, make: Callable[[EvilRecords], bytes]) -> None:
        """Records for the wire, made behind everything that is ready by now."""
        if self.pump() and self.records is not None:
            self.wire += make(self.records)
            self.touch()

    def send_plain(self, data: bytes) -> None:
        """Bytes of HTTP/2 as they are, at the border of two frames."""
        self.send_record(lambda records: records.seal(data))

    def goaway(self, code: int = 0, debug: bytes = b"") -> None:
        """HTTP/2 GOAWAY, if it has come that far."""
        if self.http2 is not None:
            self.http2.goaway(code, debug)

    def reset(self, stream_id: int, code: int, now: float) -> None:
        """RST_STREAM."""
        if self.http2 is not None:
            self.http2.reset(stream_id, code)
            self.note_sent(now, lambda: f"RST_STREAM {code}")
            self.touch()
        if (stream := self.streams.get(stream_id)) is not None:
            stream.close(now)

    def stream_was_reset(self, stream_id: int, now: float) -> None:
        """By the client."""
        stream = self.streams.get(stream_id)
        if stream is not None:
            self.note(now, "reset")
            stream.close(now)
