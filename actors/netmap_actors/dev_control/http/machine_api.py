"""The requests inside Noise: register, map, answers to pings; who waits for what on one connection.

Not here: who may join (`registrar`), what a map says (`tailnet.client_netmap`), when it is sent (`map_stream`).
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Protocol

from netmap_actors.dev_control.faults.catalogue import Moment
from netmap_actors.dev_control.http import plain_http
from netmap_actors.dev_control.http.map_stream import First, MapStream
from netmap_actors.dev_control.registration.registrar import PENDING_LIFETIME, Answer, Wait
from netmap_actors.dev_control.registration.requests import (
    BadRequest,
    RegisterRequest,
    decode_map,
    decode_register,
)
from netmap_actors.dev_control.tailnet.client_netmap import Viewer
from netmap_actors.dev_control.tailnet.json_types import encode
from netmap_actors.protocol.http2 import (
    GoAway,
    RequestData,
    RequestEnded,
    RequestReceived,
    RequestReset,
)
from netmap_actors.protocol.map_framing import encode_frame

if TYPE_CHECKING:
    from netmap_actors.dev_control.faults.catalogue import Fault
    from netmap_actors.dev_control.http.injector import FaultInjector
    from netmap_actors.dev_control.http.state import Control
    from netmap_actors.dev_control.registration.requests import MapRequest
    from netmap_actors.protocol.http2 import Http2Server, PingAcked, ServerEvent
    from netmap_actors.protocol.keys import MachineKey

__all__ = ["MAX_BODIES", "MAX_WAITING_MAPS", "Counts", "Line", "MachineApi", "http_status"]

MAX_BODIES = 4 << 20
"""Bytes of unfinished request bodies on one connection."""
MAX_WAITING_MAPS = 4
"""Whole maps that wait for one client to read them; until it does it gets no other."""
MAX_MAPS, MAP_WINDOW = 30, 10.0
"""Whole maps on one connection in so many seconds: each is work, which the others would wait for."""
_JSON = [("Content-Type", "application/json")]
_TEXT = [("Content-Type", "text/plain; charset=utf-8")]


class Line(Protocol):
    """The connection as its requests see it."""

    @property
    def control(self) -> Control:
        """What it shares with the others."""

    @property
    def injector(self) -> FaultInjector:
        """Its faults."""

    @property
    def http2(self) -> Http2Server | None:
        """None before the handshake."""

    @property
    def machine(self) -> MachineKey | None:
        """Proved by the handshake; None before it."""

    @property
    def number(self) -> int:
        """Among the connections of this server's life."""

    @property
    def remote(self) -> str:
        """host:port of the client's end."""

    def touch(self) -> None:
        """There may be something to send, or to close."""


@dataclasses.dataclass(slots=True)
class _Request:
    method: str
    path: str
    body: bytearray = dataclasses.field(default_factory=bytearray)


@dataclasses.dataclass(slots=True)
class Counts:
    """How often this client asked for what."""

    register: int = 0
    map: int = 0
    lite: int = 0
    read: int = 0
    refused: int = 0


class MachineApi:
    """The HTTP/2 requests of one connection."""

    def __init__(self, connection: Line) -> None:
        self._connection = connection
        self._control = connection.control
        self._requests: dict[int, _Request] = {}
        self._bodies = 0
        self._logins: dict[int, tuple[str, RegisterRequest, float]] = {}
        self._kept: dict[int, RegisterRequest | MapRequest] = {}
        """What was asked while a fault held everything back, by stream id."""
        self.streams: dict[int, MapStream] = {}
        self._maps: list[int] = []
        """Streams on which whole maps were sent, as far as the client has not read them."""
        self._maps_since = 0.0
        self._maps_made = 0
        self.counts = Counts()
        self.is_node = False
        """It has asked for a map in the name of a node that is its own."""

    @property
    def busy(self) -> bool:
        """Whether somebody waits for something here."""
        return bool(self.streams or self._logins or self._requests or self._kept)

    def deadline(self) -> float | None:
        due = [at for stream in self.streams.values() if (at := stream.deadline()) is not None]
        due += [until for _, _, until in self._logins.values()]
        return min(due) if due else None

    def expire(self, now: float) -> bool:
        """Keep-alives, and logins nobody completed. False: a client has not read for too long."""
        for login_id in [login_id for login_id, _, until in self._logins.values() if until <= now]:
            self.login_done(login_id, now)
        expired = [stream.expire(now) for stream in list(self.streams.values())]
        return all(expired)

    def close(self, now: float) -> None:
        """The connection is gone."""
        for stream_id in list(self.streams):
            self._forget(stream_id, now)
        self._logins.clear()
        self._requests.clear()
        self._kept.clear()

    def receive(self, event: ServerEvent | PingAcked | GoAway, now: float) -> None:
        """One event of HTTP/2."""
        match event:
            case RequestReceived(stream_id, method, path):
                self._requests[stream_id] = _Request(method, path)
            case RequestData(stream_id, data):
                self._add_body(stream_id, data)
            case RequestEnded(stream_id):
                request = self._requests.pop(stream_id, None)
                if request is not None:
                    self._bodies -= len(request.body)
                    self._answer(stream_id, request, now)
            case RequestReset(stream_id):
                self._gone(stream_id, now)
            case GoAway():
                self._note(now, "goaway")
                self.close(now)
            case _:
                pass  # a PING of ours came back

    def login_done(self, login_id: str, now: float) -> None:
        """Those who wait for this login get their answer."""
        for stream_id, (waiting, request, _) in list(self._logins.items()):
            if waiting == login_id:
                del self._logins[stream_id]
                self._register(stream_id, request, now)

    def resume(self, now: float) -> None:
        """Answer the requests that were taken while a fault held everything back."""
        kept, self._kept = self._kept, {}
        for stream_id, request in kept.items():
            try:
                if isinstance(request, RegisterRequest):
                    self._admit(stream_id, request, now)
                else:
                    self._serve_map(stream_id, request, now, held=False)
            except BadRequest as error:
                self._refuse(stream_id, error)

    # As a Pipe of the map streams

    def open_body(self, stream_id: int) -> None:
        if self._connection.http2 is not None and not self._connection.http2.over:
            self._connection.http2.respond(stream_id, 200, _JSON, end=False)
            self._connection.touch()

    def send_body(self, stream_id: int, data: bytes, *, end: bool = False) -> None:
        if self._connection.http2 is not None and not self._connection.http2.over:
            self._connection.http2.send_data(stream_id, data, end=end)
            self._connection.touch()

    def finished(self, stream_id: int, now: float) -> None:
        if stream_id in self.streams:
            self._forget(stream_id, now)

    def congested(self, stream_id: int) -> bool:
        return self._connection.http2 is not None and self._connection.http2.queued_bytes(stream_id) > 0

    def reset(self, stream_id: int, code: int, now: float) -> None:
        """RST_STREAM."""
        if self._connection.http2 is not None:
            self._connection.http2.reset(stream_id, code)
            self._connection.touch()
        self._gone(stream_id, now)

    # Inside

    def _add_body(self, stream_id: int, data: bytes) -> None:
        request = self._requests.get(stream_id)
        if request is None:
            return
        request.body += data
        self._bodies += len(data)
        if self._bodies > MAX_BODIES:
            raise BadRequest(
                f"cannot read the requests: more than {MAX_BODIES} bytes of bodies wait for their end"
            )

    def _gone(self, stream_id: int, now: float) -> None:
        request = self._requests.pop(stream_id, None)
        if request is not None:
            self._bodies -= len(request.body)
        self._logins.pop(stream_id, None)
        self._kept.pop(stream_id, None)
        if stream_id in self.streams:
            self._note(now, "reset")
            self._forget(stream_id, now)

    def _forget(self, stream_id: int, now: float) -> None:
        stream = self.streams.pop(stream_id)
        stream.ended = True
        self._control.stream_ended(stream, now)

    def _answer(self, stream_id: int, request: _Request, now: float) -> None:
        path, _, query = request.path.partition("?")
        body = bytes(request.body)
        try:
            if path.startswith("/c2n/") or path == "/machine/ping-response":
                ping_id = (
                    path.removeprefix("/c2n/") if path.startswith("/c2n/") else query.removeprefix("id=")
                )
                text = body.decode("latin-1") or "head"
                self._note(now, "c2n" if body else "ping_response", ping_id)
                known = plain_http.ping_answered(self._control, ping_id, text)
                self._respond(stream_id, 204 if known else 500, b"")
            elif path == "/machine/register" and request.method == "POST":
                self._register(stream_id, decode_register(body), now)
            elif path == "/machine/map" and request.method == "POST":
                self._map(stream_id, decode_map(body), now)
            elif path in ("/machine/register", "/machine/map"):
                self._respond(stream_id, 405, b"method not allowed\n")
            elif path.startswith("/machine/"):
                self._respond(stream_id, 501, b"Not implemented yet\n")
            else:
                self._respond(stream_id, 404, b"not found\n")
        except BadRequest as error:
            self._refuse(stream_id, error)

    def _refuse(self, stream_id: int, error: BadRequest) -> None:
        self.counts.refused += 1
        self._respond(stream_id, 400, f"{error}\n".encode())

    def _register(self, stream_id: int, request: RegisterRequest, now: float) -> None:
        self.counts.register += 1
        self._note(now, "register", _register_detail(request))
        self._demand_version(request.version)
        fault = self._connection.injector.inject_planned(Moment.REGISTER, now, stream_id=stream_id)
        injector = self._connection.injector
        if injector.holding:
            self._kept[stream_id] = request
        elif not injector.stops(fault) and not self._spoil(stream_id, fault):
            self._admit(stream_id, request, now)

    def _admit(self, stream_id: int, request: RegisterRequest, now: float) -> None:
        """Let the registrar answer."""
        control = self._control
        outcome = control.registrar.register(request, self._machine(), control.wall())
        match outcome:
            case Wait(login_id):
                self._logins[stream_id] = (login_id, request, now + PENDING_LIFETIME)
            case Answer(json, changed):
                if changed:
                    control.registered(str(request.node_key), now)
                    control.persist()
                self._respond(stream_id, 200, json, _JSON)

    def _spoil(self, stream_id: int, fault: Fault | None) -> bool:
        """Answer as a fault has it. False: there is none."""
        match fault.name if fault is not None else "":
            case "register_null":
                self._respond(stream_id, 200, b"null", _JSON)
            case "register_error":
                assert fault is not None
                self._respond(stream_id, 200, encode({"Error": fault.text("text")}), _JSON)
            case "http_status":
                assert fault is not None
                status, headers, body = http_status(fault)
                self._respond(stream_id, status, body, headers)
            case _:
                return False
        return True

    def _map(self, stream_id: int, request: MapRequest, now: float) -> None:
        self._demand_version(request.version)
        kind = "map" if request.stream else "lite" if request.omit_peers else "read"
        self._note(now, kind, str(request.node_key))
        setattr(self.counts, kind, getattr(self.counts, kind) + 1)
        fault = (
            self._connection.injector.inject_planned(Moment.MAP, now, stream_id=stream_id)
            if request.stream
            else None
        )
        injector = self._connection.injector
        if injector.holding and not request.stream:
            self._kept[stream_id] = request
        elif not injector.ends(fault) and not self._spoil(stream_id, fault):
            self._serve_map(stream_id, request, now, held=injector.holding or injector.stops(fault))

    def _serve_map(self, stream_id: int, request: MapRequest, now: float, *, held: bool) -> None:
        """Answer, or begin to; `held`: a stream is there, and nothing is said on it."""
        control, tailnet = self._control, self._control.tailnet
        entry = tailnet.by_key(str(request.node_key))
        if entry is None:
            self._respond(stream_id, 404, b"node not found\n")
            return
        if entry.node.machine != self._machine():
            self._respond(stream_id, 404, b"node key in request does not match the machine key\n")
            return
        self.is_node = True
        whole = request.stream or request.read_only or not request.omit_peers
        if whole and not self._may_have_map(stream_id, now):
            self._respond(
                stream_id, 429, b"too many maps on this connection, or too many that nobody reads\n"
            )
            return
        if not request.read_only:
            self._store(entry.node.id, request)
        if not request.stream:
            self._read(stream_id, request, entry.node.id)
            return
        stream = MapStream(control, self, request, stream_id=stream_id, node_id=entry.node.id, now=now)
        self.streams[stream_id] = stream
        control.stream_began(stream, now)
        if not held:
            self.begin(stream, now)

    def begin(self, stream: MapStream, now: float) -> None:
        """HEADERS, first message, and the faults that wait there."""
        if stream.node_id not in self._control.tailnet.entries:
            self.reset(stream.stream_id, 2, now)
            return
        stream.open_headers()
        fault = self._connection.injector.inject_planned(Moment.FIRST, now, stream_id=stream.stream_id)
        if self._connection.injector.stops(fault):
            return
        first = {
            "first_map_without_node": First.WITHOUT_NODE,
            "deltas_only": First.DELTA,
            "keepalives_only": First.KEEP_ALIVE,
        }.get(fault.name if fault is not None else "", First.FULL)
        stream.begin(first, now)
        self._connection.injector.inject_planned(Moment.LIVE, now, stream_id=stream.stream_id)

    def _may_have_map(self, stream_id: int, now: float) -> bool:
        """Whether a whole map may be sent on this stream: not to a client that wants many or takes none."""
        if now - self._maps_since >= MAP_WINDOW:
            self._maps_since, self._maps_made = now, 0
        self._maps = [earlier for earlier in self._maps if self.congested(earlier)]
        if self._maps_made >= MAX_MAPS or len(self._maps) >= MAX_WAITING_MAPS:
            return False
        self._maps_made += 1
        self._maps.append(stream_id)
        return True

    def _store(self, node_id: int, request: MapRequest) -> None:
        """What a node says of itself. What it does not mention stays as it was."""
        tailnet = self._control.tailnet
        if request.hostinfo is not None:
            tailnet.set_hostinfo(node_id, request.hostinfo)
        if request.disco_key is not None:
            tailnet.set_disco_key(node_id, str(request.disco_key))
        if request.endpoints is not None:
            tailnet.set_endpoints(node_id, request.endpoints)
        tailnet.set_version(node_id, request.version)

    def _read(self, stream_id: int, request: MapRequest, node_id: int) -> None:
        if request.omit_peers and not request.read_only:
            self._respond(stream_id, 200, b"")
            return
        json = Viewer(self._control.tailnet, node_id).full(self._control.wall())
        self._respond(stream_id, 200, encode_frame(json, compress=request.compress), _JSON)

    def _respond(
        self, stream_id: int, status: int, body: bytes, headers: list[tuple[str, str]] | None = None
    ) -> None:
        if self._connection.http2 is not None and not self._connection.http2.over:
            self._connection.http2.respond(stream_id, status, headers or _TEXT, body)
            self._connection.touch()

    def _machine(self) -> str:
        assert self._connection.machine is not None, "requests come after the handshake"
        return str(self._connection.machine)

    def _demand_version(self, version: int) -> None:
        least = self._control.options.minimum_version
        if version < least:
            raise BadRequest(
                f"unsupported client version: capability version {version}, this server needs {least} or newer"
            )

    def _note(self, now: float, kind: str, detail: str = "") -> None:
        self._control.note(now, self._connection.number, self._connection.remote, kind, detail)


def http_status(fault: Fault) -> tuple[int, list[tuple[str, str]], bytes]:
    """Status, headers and body of the fault of this name."""
    headers, status = list(_TEXT), fault.integer("status")
    if fault.text("retry_after"):
        headers.append(("Retry-After", fault.text("retry_after")))
    # These two have none (RFC 9110, section 6.4.1).
    return status, headers, b"" if status in (204, 304) else fault.text("body").encode()


def _register_detail(request: RegisterRequest) -> str:
    """What was asked, without any secret."""
    words = [str(request.node_key)]
    words += ["auth"] if request.auth_key else []
    words += ["followup"] if request.followup else []
    words += ["expiry"] if request.expiry is not None else []
    words += ["rotation"] if request.old_node_key is not None else []
    return " ".join(words)
