"""One long poll: the first map, deltas, keep-alives, and how faults change them.

Not here: what the messages say (`tailnet.client_netmap`) and the HTTP/2 they travel in (`connection`).
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

import msgspec

from netmap_actors.dev_control.http.sent_labels import map_label
from netmap_actors.dev_control.tailnet.json_types import KEEP_ALIVE, encode_json
from netmap_actors.protocol.map_framing import encode_frame
from netmap_actors.rfc3339 import stamp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from netmap_actors.dev_control.http.state import Control
    from netmap_actors.dev_control.registration.requests import IncomingMapRequest
    from netmap_actors.dev_control.tailnet.tailnet import Aspect
    from netmap_actors.protocol.http2 import Http2Server

__all__ = ["JSON_HEADERS", "First", "MapStream"]

JSON_HEADERS = [("Content-Type", "application/json")]


class First(enum.Enum):
    """What a stream begins with."""

    FULL = "full"
    WITHOUT_NODE = "without_node"
    DELTA = "delta"
    KEEP_ALIVE = "keep_alive"


class MapStream:
    """The body of one streaming `/machine/map` response."""

    def __init__(
        self,
        control: Control,
        http2: Http2Server,
        request: IncomingMapRequest,
        *,
        connection: int,
        remote: str,
        stream_id: int,
        node_id: int,
        now: float,
    ) -> None:
        """`connection`, `remote`: number and far end of the connection it belongs to."""
        self._control = control
        self._http2 = http2
        self._connection = connection
        self._remote = remote
        self.stream_id = stream_id
        self.node_id = node_id
        control.streams_begun += 1
        self.number = control.streams_begun
        """Among all streams of this server's life, 1 for the first."""
        self.compress = request.compress
        self.netmap = control.netmap_of(control.tailnet, node_id)
        self.began_at = now
        self.opened = False
        """HEADERS are sent."""
        self.began = False
        """HEADERS and the first message are sent."""
        self.held = False
        """A fault keeps everything back."""
        self.broken = False
        """A fault has spoilt the body: nothing sound can follow."""
        self.ended = False
        self.only_keep_alives = False
        self.only_deltas = False
        self.no_keep_alives = False
        self._whole = True
        self.messages = 0
        """MapResponses sent, keep-alives included."""
        self._interval = (
            control.options.keep_alive + control.options.keep_alive_jitter * control.random_unit()
        )
        self._keep_alive_at = now + self._interval
        self._stalled_at: float | None = None
        self._clock_error = 0.0
        self._drip = b""
        self._drip_period = 0.0
        self._drip_at = 0.0

    @property
    def is_congested(self) -> bool:
        """Whether earlier messages still wait for the client."""
        return self._http2.queued_bytes(self.stream_id) > 0

    def deadline(self) -> float | None:
        """When `expire` has something to do."""
        if self.ended:
            return None
        if self._drip:
            return self._drip_at
        return self._keep_alive_at if self.began else None

    def expire(self, now: float) -> bool:
        """Send the keep-alive or the drop that is due. False: the client has not read for too long."""
        due = self.deadline()
        if due is None or due > now:
            return True
        if self._drip:
            self._send_body(self._drip[:1])
            self._drip = self._drip[1:]
            self._drip_at = now + self._drip_period
            return True
        if self.is_congested and not self.held:
            self._stalled_at = self._stalled_at or now
            self._keep_alive_at = now + min(self._interval, self._control.options.stalled_limit / 4)
            return now - self._stalled_at < self._control.options.stalled_limit
        self._stalled_at = None
        if self.held or self.no_keep_alives:
            self._keep_alive_at = now + self._interval
        elif not self.send_changes(now):
            # A message that holds nothing but the time is a legal delta; headscale sends such.
            self.send(self._time() if self.only_deltas else KEEP_ALIVE, now)
        return True

    def open_headers(self) -> None:
        """HEADERS of the response, unless they are sent."""
        if not self.opened:
            self.opened = True
            self._http2.respond(self.stream_id, 200, JSON_HEADERS, end=False)
            self._touch()

    def begin(self, first: First, now: float) -> None:
        """The first message."""
        self.began = True
        self._whole = first is First.FULL
        wall = self._wall()
        full = self.netmap.full(wall)
        if first is First.KEEP_ALIVE:
            self.only_keep_alives = True
            self.send(KEEP_ALIVE, now)
        elif first is First.WITHOUT_NODE:
            fields = msgspec.json.decode(full, type=dict[str, msgspec.Raw])
            fields.pop("Node", None)
            self.send(encode_json(fields), now)
        elif first is First.DELTA:
            some = {str(node_id): True for node_id in self.netmap.peers[:1]}
            self.send(encode_json({"OnlineChange": some, "ControlTime": stamp(wall)}), now)
        else:
            self.send(full, now)

    def mark(self, nodes: Iterable[int], aspects: Iterable[Aspect]) -> None:
        """These may have changed."""
        self.netmap.mark(nodes, aspects)

    def send_changes(self, now: float, wall: float | None = None) -> bool:
        """The delta, unless earlier messages still wait for the client: then it will be a larger one later.

        `wall`: its ControlTime, if not that of the call. False: nothing was sent.
        """
        if not self.began or self.ended or self.held or self.only_keep_alives or not self.netmap.behind:
            return False
        if self.is_congested:
            return False
        delta = self.netmap.delta(self._wall() if wall is None else wall + self._clock_error)
        if delta is None:
            return False
        self.send(delta, now)
        return True

    def send(self, json: bytes, now: float) -> None:
        """Send one MapResponse. The keep-alive interval starts anew, as on headscale."""
        self._control.on_message(self, json)
        self._note_sent(now, lambda: map_label(json))
        self.send_raw(self._control.framed(json, compress=self.compress))
        self.messages += 1
        self._keep_alive_at = now + self._interval

    def send_raw(self, data: bytes) -> None:
        """Bytes of the body as they are. HEADERS have to be there."""
        if not self.ended:
            self._send_body(data)

    def full_frame(self) -> bytes:
        """A whole map framed, for faults that send a part of it."""
        if self.node_id not in self._control.tailnet.entries:
            return encode_frame(KEEP_ALIVE, compress=self.compress)
        return encode_frame(self.netmap.full(self._wall()), compress=self.compress)

    def drip(self, data: bytes, period: float, now: float) -> None:
        """Send these bytes one at a time and nothing else."""
        self.held = True
        self._drip, self._drip_period, self._drip_at = data, period, now

    def resume(self, now: float) -> None:
        """The fault is over. Send what was held back."""
        self.held = self.no_keep_alives = self.only_keep_alives = self.only_deltas = False
        self._clock_error = 0.0
        if not self._whole and self.node_id in self._control.tailnet.entries:
            self._whole = True
            self.send(self.netmap.full(self._wall()), now)
        self.send_changes(now)

    def end(self, now: float) -> None:
        """END_STREAM, in good order."""
        if self.ended:
            return
        self.open_headers()
        self._send_body(b"", end=True)
        self._note_sent(now, lambda: "END_STREAM")
        self.close(now)

    def close(self, now: float) -> None:
        """Its body, or its connection, is at an end."""
        if not self.ended:
            self.ended = True
            self._control.stream_ended(self, now)

    def set_clock_error(self, seconds: float, now: float) -> None:
        """Shift ControlTime from now on; an open stream sends it at once."""
        self._clock_error = seconds
        if self.began and not self.held:
            self.send(self._time(), now)

    def _send_body(self, data: bytes, *, end: bool = False) -> None:
        self._http2.send_data(self.stream_id, data, end=end)
        self._touch()

    def _note_sent(self, now: float, what: Callable[[], str]) -> None:
        self._control.note_sent(now, self._connection, self._remote, what)

    def _touch(self) -> None:
        self._control.touched[self._connection] = None

    def _time(self) -> bytes:
        """A delta that holds nothing but the time."""
        return encode_json({"ControlTime": stamp(self._wall())})

    def _wall(self) -> float:
        return self._control.wall() + self._clock_error
