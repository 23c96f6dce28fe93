"""The requests inside Noise on one connection: register, map, answers to pings.

Not here: who may join (`registrar`), what a map says (`tailnet.client_netmap`), when it is sent (`map_stream`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from netmap_actors.dev_control.faults.catalogue import Moment
from netmap_actors.dev_control.http import plain_http
from netmap_actors.dev_control.http.injector import ends, stops
from netmap_actors.dev_control.http.map_stream import JSON_HEADERS, First, MapStream
from netmap_actors.dev_control.http.sent_labels import register_label
from netmap_actors.dev_control.registration.registrar import PENDING_LIFETIME, RegisterAnswer, Wait
from netmap_actors.dev_control.registration.requests import (
    BadRequest,
    IncomingRegisterRequest,
    decode_map,
    decode_register,
    host_words,
)
from netmap_actors.dev_control.tailnet.json_types import encode_json
from netmap_actors.errors import escape
from netmap_actors.protocol.http2 import (
    GoAway,
    PingReceived,
    RequestData,
    RequestEnded,
    RequestReceived,
    RequestReset,
)
from netmap_actors.protocol.map_framing import encode_frame

if TYPE_CHECKING:
    from netmap_actors.dev_control.faults.catalogue import Fault
    from netmap_actors.dev_control.http.injector import FaultInjector
    from netmap_actors.dev_control.http.link import Link
    from netmap_actors.dev_control.registration.requests import IncomingMapRequest
    from netmap_actors.protocol.http2 import Http2Server, PingAcked, ServerEvent

__all__ = ["MAX_BODIES", "MAX_WAITING_MAPS", "Counts", "MachineApi", "http_status"]

MAX_BODIES = 4 << 20
"""Bytes of unfinished request bodies on one connection."""
MAX_WAITING_MAPS = 4
"""Whole maps one client has yet to read; until it does it gets no other."""
MAX_MAPS, MAP_WINDOW = 30, 10.0
"""Whole maps on one connection in so many seconds: making one keeps the others waiting."""
_REGISTER, _MAP = "/machine/register", "/machine/map"
_TEXT = [("Content-Type", "text/plain; charset=utf-8")]


class _Request(msgspec.Struct):
    method: str
    path: str
    body: bytearray = msgspec.field(default_factory=bytearray)


class Counts(msgspec.Struct):
    """Requests of this client by kind."""

    register: int = 0
    map: int = 0
    lite: int = 0
    read: int = 0
    refused: int = 0
    """Of any kind, and by a reset."""


class MachineApi:
    """The HTTP/2 requests of one connection."""

    def __init__(self, link: Link, injector: FaultInjector) -> None:
        self._link = link
        self._injector = injector
        self._control = link.control
        self._requests: dict[int, _Request] = {}
        self._bodies = 0
        self._logins: dict[int, tuple[str, IncomingRegisterRequest, float]] = {}
        self._kept: dict[int, IncomingRegisterRequest | IncomingMapRequest] = {}
        """What was asked while a fault held everything back, by stream id."""
        self._maps: list[int] = []
        """Streams on which whole maps were sent, as far as the client has not read them."""
        self._maps_since = 0.0
        self._maps_made = 0
        self.counts = Counts()
        self.is_node = False
        """It has asked for the map of a node of its machine key."""

    @property
    def busy(self) -> bool:
        """Whether a request is unanswered or a map stream open."""
        return bool(self._link.streams or self._logins or self._requests or self._kept)

    def deadline(self) -> float | None:
        due = [at for stream in self._link.streams.values() if (at := stream.deadline()) is not None]
        due += [until for _, _, until in self._logins.values()]
        return min(due) if due else None

    def expire(self, now: float) -> bool:
        """Keep-alives, and logins that have timed out. False: a client has not read for too long."""
        for login_id in [login_id for login_id, _, until in self._logins.values() if until <= now]:
            self.login_done(login_id, now)
        expired = [stream.expire(now) for stream in list(self._link.streams.values())]
        return all(expired)

    def close(self, now: float) -> None:
        """The connection is gone."""
        for stream in list(self._link.streams.values()):
            stream.close(now)
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
            case RequestReset(stream_id, _, why):
                if why:
                    self._note_refusal(f"RST_STREAM: {why}", now)
                self._gone(stream_id, now)
            case GoAway():
                self._link.note(now, "goaway")
                self.close(now)
            case PingReceived():
                unanswered = self._injector.mute or self._injector.cut_off
                self._link.note(now, "ping", "unanswered" if unanswered else "")
            case _:
                pass  # a PING of ours came back

    def login_done(self, login_id: str, now: float) -> None:
        """Answer the requests that wait for this login."""
        for stream_id, (waiting, request, _) in list(self._logins.items()):
            if waiting == login_id:
                del self._logins[stream_id]
                if self._injector.holding:
                    self._kept[stream_id] = request
                else:
                    self._admit(stream_id, request, now)

    def inject_planned(self, moment: Moment, now: float, stream_id: int | None = None) -> Fault | None:
        """Inject the faults planned for this moment; returns the gravest of them, of equal ones the last."""
        plan = self._control.plan
        faults = plan.take(moment, self._link.names()) if plan.waiting else []
        for fault in faults:
            self.inject(fault, now, stream_id)
        return max(reversed(faults), key=lambda one: (ends(one), stops(one)), default=None)

    def inject(self, fault: Fault, now: float, stream_id: int | None = None) -> bool:
        """Inject this fault into one map stream or all live ones. False: there is none that it could concern."""
        injected = self._injector.inject(fault, now, stream_id=stream_id)
        if self._link.is_over:
            self.close(now)
        return injected

    def heal(self, now: float) -> None:
        """End the faults; what they held back is answered now."""
        self._injector.heal(now)
        if self._link.spoilt:
            return
        for stream in [one for one in self._link.streams.values() if not one.began]:
            self._begin(stream, now)
        kept, self._kept = self._kept, {}
        for stream_id, request in kept.items():
            path = _REGISTER if isinstance(request, IncomingRegisterRequest) else _MAP
            try:
                if isinstance(request, IncomingRegisterRequest):
                    self._admit(stream_id, request, now)
                else:
                    self._serve_map(stream_id, request, now, held=False)
            except BadRequest as error:
                self._refuse(stream_id, path, error, now)

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
        self._link.stream_was_reset(stream_id, now)

    def _answer(self, stream_id: int, request: _Request, now: float) -> None:
        path, _, query = request.path.partition("?")
        body = bytes(request.body)
        try:
            if path.startswith("/c2n/") or path == "/machine/ping-response":
                ping_id = (
                    path.removeprefix("/c2n/") if path.startswith("/c2n/") else query.removeprefix("id=")
                )
                text = body.decode("latin-1") or "head"
                self._link.note(now, "c2n" if body else "ping_response", ping_id)
                if not plain_http.ping_answered(self._control, ping_id, text):
                    raise BadRequest("unknown ping", 500)
                self._respond(stream_id, path, 204, b"", now)
            elif path == _REGISTER and request.method == "POST":
                self._register(stream_id, decode_register(body), now)
            elif path == _MAP and request.method == "POST":
                self._map(stream_id, decode_map(body), now)
            elif path in (_REGISTER, _MAP):
                raise BadRequest("method not allowed", 405)
            elif path.startswith("/machine/"):
                raise BadRequest("Not implemented yet", 501)
            else:
                raise BadRequest("not found", 404)
        except BadRequest as error:
            self._refuse(stream_id, path, error, now)

    def _refuse(self, stream_id: int, path: str, error: BadRequest, now: float) -> None:
        self._note_refusal(f"{error.status} {escape(path, 80)}: {error}", now)
        self._respond(stream_id, path, error.status, f"{error}\n".encode(), now)

    def _note_refusal(self, why: str, now: float) -> None:
        self.counts.refused += 1
        self._link.note(now, "refused", why)

    def _register(self, stream_id: int, request: IncomingRegisterRequest, now: float) -> None:
        self.counts.register += 1
        self._link.note(now, "register", _register_detail(request))
        self._demand_version(request.version)
        fault = self.inject_planned(Moment.REGISTER, now, stream_id)
        if self._injector.holding:
            self._kept[stream_id] = request
        elif not stops(fault) and not self._spoil(stream_id, _REGISTER, fault, now):
            self._admit(stream_id, request, now)

    def _admit(self, stream_id: int, request: IncomingRegisterRequest, now: float) -> None:
        """Let the registrar answer."""
        control = self._control
        outcome = control.registrar.register(request, str(self._link.machine), control.wall())
        match outcome:
            case Wait(login_id):
                self._logins[stream_id] = (login_id, request, now + PENDING_LIFETIME)
            case RegisterAnswer(json, changed, error):
                if error:
                    self._note_refusal(f"200 {_REGISTER}: {escape(error)}", now)
                if changed:
                    control.registered(str(request.node_key), now)
                    control.persist()
                self._respond(stream_id, _REGISTER, 200, json, now, JSON_HEADERS)

    def _spoil(self, stream_id: int, path: str, fault: Fault | None, now: float) -> bool:
        """Answer as the fault demands. False: there is none that answers."""
        match fault.name if fault is not None else "":
            case "register/null":
                self._respond(stream_id, path, 200, b"null", now, JSON_HEADERS)
            case "register/error":
                assert fault is not None
                self._respond(
                    stream_id, path, 200, encode_json({"Error": fault.text("text")}), now, JSON_HEADERS
                )
            case "refusal/status":
                assert fault is not None
                status, headers, body = http_status(fault)
                self._respond(stream_id, path, status, body, now, headers)
            case _:
                return False
        return True

    def _map(self, stream_id: int, request: IncomingMapRequest, now: float) -> None:
        self._demand_version(request.version)
        kind = "map" if request.stream else "lite" if request.omit_peers else "read"
        self._link.note(now, kind, " ".join([str(request.node_key), *host_words(request.hostinfo)]))
        setattr(self.counts, kind, getattr(self.counts, kind) + 1)
        fault = self.inject_planned(Moment.MAP, now, stream_id) if request.stream else None
        holding = self._injector.holding
        if holding and not request.stream:
            self._kept[stream_id] = request
        elif not ends(fault) and not self._spoil(stream_id, _MAP, fault, now):
            self._serve_map(stream_id, request, now, held=holding or stops(fault))

    def _serve_map(self, stream_id: int, request: IncomingMapRequest, now: float, *, held: bool) -> None:
        """Answer, or open a stream; `held`: nothing is sent on it. Raises BadRequest."""
        control, tailnet = self._control, self._control.tailnet
        entry = tailnet.by_key(str(request.node_key))
        if entry is None:
            raise BadRequest("node not found", 404)
        if entry.node.machine != str(self._link.machine):
            raise BadRequest("node key in request does not match the machine key", 404)
        self.is_node = True
        whole = request.stream or request.read_only or not request.omit_peers
        if whole and not self._may_have_map(stream_id, now):
            raise BadRequest("too many maps on this connection, or too many that nobody reads", 429)
        if not request.read_only:
            self._store(entry.node.id, request)
        if not request.stream:
            self._read(stream_id, request, entry.node.id, now)
            return
        stream = MapStream(
            control,
            self._http2,
            request,
            connection=self._link.number,
            remote=self._link.remote,
            stream_id=stream_id,
            node_id=entry.node.id,
            now=now,
        )
        self._link.streams[stream_id] = stream
        control.stream_began(stream, now)
        if not held:
            self._begin(stream, now)

    def _begin(self, stream: MapStream, now: float) -> None:
        """HEADERS, the first message, and the faults planned for them."""
        if stream.node_id not in self._control.tailnet.entries:
            self._link.reset(stream.stream_id, 2, now)
            return
        stream.open_headers()
        fault = self.inject_planned(Moment.FIRST, now, stream.stream_id)
        if stops(fault):
            return
        first = {
            "map/first-without-node": First.WITHOUT_NODE,
            "map/deltas-only": First.DELTA,
            "map/keep-alives-only": First.KEEP_ALIVE,
        }.get(fault.name if fault is not None else "", First.FULL)
        stream.begin(first, now)
        self.inject_planned(Moment.LIVE, now, stream.stream_id)

    def _may_have_map(self, stream_id: int, now: float) -> bool:
        """Whether a whole map may be sent on this stream: not above the rate, nor before earlier ones are read."""
        if now - self._maps_since >= MAP_WINDOW:
            self._maps_since, self._maps_made = now, 0
        self._maps = [earlier for earlier in self._maps if self._http2.queued_bytes(earlier)]
        if self._maps_made >= MAX_MAPS or len(self._maps) >= MAX_WAITING_MAPS:
            return False
        self._maps_made += 1
        self._maps.append(stream_id)
        return True

    def _store(self, node_id: int, request: IncomingMapRequest) -> None:
        """Store what a node reports of itself; absent fields stay as they were."""
        tailnet = self._control.tailnet
        if request.hostinfo is not None:
            tailnet.set_hostinfo(node_id, request.hostinfo)
        if request.disco_key is not None:
            tailnet.set_disco_key(node_id, str(request.disco_key))
        if request.endpoints is not None:
            tailnet.set_endpoints(node_id, request.endpoints)
        tailnet.set_version(node_id, request.version)

    def _read(self, stream_id: int, request: IncomingMapRequest, node_id: int, now: float) -> None:
        if request.omit_peers and not request.read_only:
            self._respond(stream_id, _MAP, 200, b"", now)
            return
        json = self._control.netmap_of(self._control.tailnet, node_id).full(self._control.wall())
        frame = encode_frame(json, compress=request.compress)
        self._respond(stream_id, _MAP, 200, frame, now, JSON_HEADERS)

    def _respond(
        self,
        stream_id: int,
        path: str,
        status: int,
        body: bytes,
        now: float,
        headers: list[tuple[str, str]] | None = None,
    ) -> None:
        self._http2.respond(stream_id, status, headers or _TEXT, body)
        told = register_label if path == _REGISTER and status == 200 else None
        self._link.note_sent(now, lambda: f"{status} {escape(path, 80)}{f': {told(body)}' if told else ''}")
        self._link.touch()

    @property
    def _http2(self) -> Http2Server:
        assert self._link.http2 is not None, "requests come after the handshake"
        return self._link.http2

    def _demand_version(self, version: int) -> None:
        least = self._control.options.minimum_version
        if version < least:
            raise BadRequest(
                f"unsupported client version: capability version {version}, this server needs {least} or newer"
            )


def http_status(fault: Fault) -> tuple[int, list[tuple[str, str]], bytes]:
    """Status, headers and body of the fault of this name."""
    headers, status = list(_TEXT), fault.integer("status")
    if fault.text("retry_after"):
        headers.append(("Retry-After", fault.text("retry_after")))
    # These two have none (RFC 9110, section 6.4.1).
    return status, headers, b"" if status in (204, 304) else fault.text("body").encode()


def _register_detail(request: IncomingRegisterRequest) -> str:
    """For the log, without secrets."""
    words = [str(request.node_key)]
    words += ["auth"] if request.auth_key else []
    words += ["followup"] if request.followup else []
    words += ["expiry"] if request.expiry is not None else []
    words += ["rotation"] if request.old_node_key is not None else []
    return " ".join(words)
