"""Injects faults into one connection.

Not here: which faults there are and when each is due (`faults.catalogue`); the bytes themselves (`bad_bytes`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netmap_actors.dev_control.faults import bad_bytes
from netmap_actors.dev_control.http.link import Ending
from netmap_actors.dev_control.tailnet.json_types import KEEP_ALIVE, JsonPingRequest, encode_json
from netmap_actors.errors import escape

if TYPE_CHECKING:
    from netmap_actors.dev_control.faults.catalogue import Fault
    from netmap_actors.dev_control.http.link import Link
    from netmap_actors.dev_control.http.map_stream import MapStream

__all__ = ["FaultInjector", "ends", "stops"]

_CHATTER = {
    "liveness/pings-only": "ping",
    "liveness/settings-only": "settings",
    "liveness/window-updates-only": "window_update",
}
_FRAME_OF_FLOOD = 1000
"""Control frames written at once, so that a flood does not stop the server's other work."""
_MAX_BACKLOG = 1 << 20
"""Bytes of it that may wait for a client which does not read."""
_BACKLOG_PAUSE = 0.1
_MAX_DETAIL = 120
"""Characters of a fault's description in the log."""
_ENDS = frozenset(
    {
        "session/cut",
        "session/eof",
        "session/cut-mid-record",
        "input/corrupt-record",
        "input/oversized-record",
        "session/goaway",
        "session/rst-stream",
    }
)
_STOPS = _ENDS | {
    "liveness/silence",
    "liveness/black-hole",
    *_CHATTER,
    "liveness/empty-records",
    "liveness/half-frame",
    "liveness/slow-drip",
    "liveness/headers-never",
    "register/never",
    "session/end-stream",
    "input/oversized-frame",
    "input/zero-frame",
    "input/zstd-bomb",
    "input/two-zstd-frames",
    "input/bad-json",
}


def stops(fault: Fault | None) -> bool:
    """Whether the ordinary answer does not follow this fault."""
    return fault is not None and fault.name in _STOPS


def ends(fault: Fault | None) -> bool:
    """Whether the request that met this fault is over: not even healing could answer it."""
    return fault is not None and fault.name in _ENDS


class FaultInjector:
    """Injects faults into one connection, and holds their state."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self.mute = False
        """Nothing is sent at all."""
        self.cut_off = False
        """Packets get lost in both directions."""
        self.holding = False
        """HTTP/2 lives, but no request is answered and no map stream fed."""
        self.injected: list[str] = []
        """Names of the faults so far."""
        self._since_healing: dict[str, None] = {}
        self._leaves = False
        self._chatter = ""
        self._chatter_period = 0.0
        self._chatter_at: float | None = None
        self._flood = 0
        self._flood_piece = b""

    def deadline(self) -> float | None:
        return self._chatter_at

    def expire(self, now: float) -> None:
        """Send the next piece of a flood or of other useless frames."""
        if self._chatter_at is None or now < self._chatter_at:
            return
        link = self._link
        if len(link.wire) > _MAX_BACKLOG:
            self._chatter_at = now + _BACKLOG_PAUSE
        elif self._flood:
            count = min(self._flood, _FRAME_OF_FLOOD)
            self._flood -= count
            link.send_plain(self._flood_piece * count)
            self._chatter_at = now if self._flood else None
        elif self._chatter == "liveness/empty-records":
            link.send_record(bad_bytes.EvilRecords.seal_empty)
            self._chatter_at = now + self._chatter_period
        else:
            link.send_plain(bad_bytes.PIECES[self._chatter])
            self._chatter_at = now + self._chatter_period

    def has_injected(self, name: str) -> bool:
        """Whether a fault of this name was injected since the last healing."""
        return name in self._since_healing

    def inject(self, fault: Fault, now: float, *, stream_id: int | None = None) -> bool:
        """Inject this fault into one map stream or all live ones. False: there is none that it could concern."""
        chosen = [one for one in self._link.streams.values() if stream_id in (None, one.stream_id)]
        if stream_id is None and fault.in_body and not any(stream.opened for stream in chosen):
            return False
        self._link.note(now, "fault", _described(fault))
        self.injected.append(fault.name)
        self._since_healing[fault.name] = None
        if fault.name in ("liveness/silence", "liveness/black-hole"):
            self._hold()
            self.mute = True
            self.cut_off = self.cut_off or fault.name == "liveness/black-hole"
        elif fault.name in _CHATTER or fault.name == "liveness/empty-records":
            self._hold()
            self._chatter = _CHATTER.get(fault.name, fault.name)
            self._chatter_period = fault.number("period")
            self._chatter_at = now
        elif fault.name == "input/flood":
            self._start_flood(fault, now, chosen)
        elif fault.name == "session/rst-stream":
            for one in [stream.stream_id for stream in chosen] if stream_id is None else [stream_id]:
                self._link.reset(one, fault.integer("code"), now)
        elif not self._break_connection(fault, chosen):
            for stream in chosen:
                if not self._mislead(fault, stream, now):
                    self._break_stream(fault, stream, now)
        return True

    def heal(self, now: float) -> None:
        """End what can end: a broken stream is reset, a spoilt connection closed, what was held goes on."""
        self.mute = self.cut_off = self.holding = self._leaves = False
        self._chatter_at, self._flood = None, 0
        if self._since_healing:
            self._link.note(now, "heal", " ".join(self._since_healing))
        self._since_healing.clear()
        self._link.touch()
        if self._link.spoilt:
            self._link.end(Ending.RESET, "healed")
            return
        for stream in list(self._link.streams.values()):
            if stream.broken:
                self._link.reset(stream.stream_id, 2, now)
            elif stream.began:
                stream.resume(now)
            else:
                stream.held = False

    def sent(self) -> None:
        """All that the client's windows admit is on its way."""
        if self._leaves and not any(stream.is_congested for stream in self._link.streams.values()):
            self._link.end(Ending.FLUSH, "fault session/map-then-close")

    def _hold(self) -> None:
        self.holding = True
        for stream in self._link.streams.values():
            stream.held = True

    def _start_flood(self, fault: Fault, now: float, streams: list[MapStream]) -> None:
        frame = fault.text("frame")
        opened = [stream.stream_id for stream in streams if stream.opened]
        if frame != "empty_data":
            self._flood_piece = bad_bytes.PIECES[frame]
        elif opened:
            self._flood_piece = bad_bytes.http2_frame(bad_bytes.DATA, b"", stream_id=opened[0])
        else:
            return
        self._flood = fault.integer("count")
        self._chatter_at = now

    def _break_connection(self, fault: Fault, streams: list[MapStream]) -> bool:
        """Faults of the whole connection. False: it is not one of them."""
        link = self._link
        noise = link.records is not None
        match fault.name:
            case "session/cut":
                link.end(Ending.RESET, f"fault {fault.name}")
            case "session/eof":
                link.end(Ending.FLUSH, f"fault {fault.name}")
            case "session/map-then-close":
                self._leaves = True
            case "session/goaway":
                link.goaway(fault.integer("code"), fault.text("debug").encode())
            case "session/cut-mid-record" if noise:
                link.send_record(lambda evil: evil.seal(bad_bytes.PIECES["ping"])[:20])
                link.spoilt = True
                link.end(Ending.FLUSH, f"fault {fault.name}")
            case "input/corrupt-record" if noise:
                link.send_record(lambda evil: evil.seal_corrupt(bad_bytes.PIECES["ping"]))
                link.spoilt = True
            case "input/oversized-record" if noise:
                link.send_record(bad_bytes.EvilRecords.seal_too_long)
                link.spoilt = True
            case "identity/deleted-but-fed":
                for stream in streams:
                    if stream.node_id in link.control.tailnet.entries:
                        link.control.tailnet.remove_node(stream.node_id)
                link.control.persist()
            case _:
                return False
        link.touch()
        return True

    def _mislead(self, fault: Fault, stream: MapStream, now: float) -> bool:
        """Faults in what a map stream sends and when. False: it is not one of them."""
        match fault.name:
            case "liveness/no-keep-alives":
                stream.no_keep_alives = True
            case "map/deltas-only":
                stream.only_deltas = True
            case "map/keep-alives-only":
                stream.only_keep_alives = True
            case "liveness/clock-wrong":
                stream.set_clock_error(fault.number("seconds"), now)
            case "map/foreign-ping" if stream.opened:
                stream.send(encode_json({"PingRequest": JsonPingRequest(url=fault.text("url"))}), now)
            case "input/bad-json" if stream.opened:
                stream.send(fault.text("json").encode(), now)
            case _:
                return False
        return True

    def _break_stream(self, fault: Fault, stream: MapStream, now: float) -> None:
        """Faults in the body of one map stream."""
        raw: bytes | None = None
        if fault.name == "liveness/headers-never":
            stream.held = True
        if not stream.opened:
            return  # it has no body yet
        match fault.name:
            case "liveness/half-frame":
                frame = stream.full_frame()
                raw = frame[: len(frame) // 2]
            case "liveness/slow-drip":
                stream.broken = True
                stream.drip(stream.full_frame(), fault.number("period"), now)
            case "session/end-stream":
                stream.end(now)
            case "input/oversized-frame":
                raw = bad_bytes.oversized(fault.integer("length"))
            case "input/zero-frame":
                raw = bytes(4)
            case "input/zstd-bomb":
                raw = bad_bytes.bomb(fault.integer("size"), declared=bool(fault.integer("declared")))
            case "input/two-zstd-frames":
                raw = bad_bytes.two_frames(KEEP_ALIVE, compress=stream.compress)
            case _:
                pass
        if raw is not None:
            stream.send_raw(raw)
            stream.held = stream.broken = True


def _described(fault: Fault) -> str:
    """The name and what it is made of, for the log."""
    given = [f"{key}={value}" for key, value in fault.parameters.items() if value != ""]
    return escape(" ".join([fault.name, *given]), _MAX_DETAIL)
