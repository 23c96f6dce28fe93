"""The control session: upgrade, Noise, register or log in, then map sessions, as one machine without a clock.

Bytes and `now` in, events and bytes out. The shell handles every event before it takes `data_to_send`, so that state is
on disk before the request that depends on it. Not here: names, sockets, TLS, the key request and the files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from netmap_actors.boot import MAX_MAP_RESPONSE, SILENCE_TIMEOUT
from netmap_actors.control_connection.client import ping
from netmap_actors.control_connection.client.channel import ControlChannel
from netmap_actors.control_connection.client.events import (
    LoginNeeded,
    MapText,
    PingToAnswer,
    ServerProved,
    ServerWish,
    SessionFailed,
    StageEntered,
    Truth,
    TruthLearned,
)
from netmap_actors.control_connection.client.exchange import Exchange, Exchanges, Purpose, wait_asked_for
from netmap_actors.control_connection.client.map_session import MapSession, map_request
from netmap_actors.control_connection.client.probes import Probes
from netmap_actors.control_connection.client.registration.register import (
    Again,
    Done,
    Refused,
    RegistrationFlow,
    RegistrationStep,
    parse_register_response,
)
from netmap_actors.control_connection.client.registration.truth import truth_in
from netmap_actors.errors import RemoteProtocolError
from netmap_actors.exit_reason import ExitReason
from netmap_actors.protocol.http2 import (
    GoAway,
    PingAcked,
    ResponseData,
    ResponseEnded,
    ResponseHeaders,
    ResponseReset,
)
from netmap_actors.protocol.upgrade import UnexpectedStatus
from netmap_actors.tailcfg import encode
from netmap_actors.web_url import BadUrl
from netmap_actors.wire.vocabulary import Stage

if TYPE_CHECKING:
    from collections.abc import Callable

    from netmap_actors.control_connection.client.events import SessionEvent
    from netmap_actors.control_connection.client.server.control_url import ControlUrl
    from netmap_actors.protocol.http2 import ClientEvent
    from netmap_actors.protocol.keys import MachineKey, MachinePrivate
    from netmap_actors.tailcfg import MapResponseShape, PingRequest

__all__ = ["ControlSession", "SessionLimits"]

REGISTER_PATH = "/machine/register"
MAP_PATH = "/machine/map"
FOLLOWUP_PAUSE = 5.0
"""Seconds between two followups: a server that answers each with a new login URL must not make us spin."""

_UNKNOWN_NODE = (401, 403, 404)
"""Answers to a map request that mean: not this node, not with this key (headscale: 404; protocol, section 14)."""

_NEXT: dict[Stage, frozenset[Stage]] = {
    Stage.HANDSHAKE: frozenset({Stage.REGISTER, Stage.LOGIN, Stage.MAP}),
    Stage.REGISTER: frozenset({Stage.LOGIN, Stage.MAP}),
    Stage.LOGIN: frozenset({Stage.REGISTER, Stage.MAP}),
    Stage.MAP: frozenset({Stage.MAP}),
}
"""The stages that may follow each other; MAP after MAP is a resync."""
_VERDICT: dict[Truth, ExitReason] = {Truth.REMOVED: ExitReason.REMOVED, Truth.EXPIRED: ExitReason.EXPIRED}
"""Outcomes that end a session although the server still feeds it."""


class SessionLimits(msgspec.Struct, frozen=True):
    """Seconds and bytes; see `boot.ConnectionSettings`."""

    handshake: float = 15.0
    register: float = 30.0
    silence: float = SILENCE_TIMEOUT
    max_map_response: int = MAX_MAP_RESPONSE


class ControlSession:
    """The life of one connection. After SessionFailed it ignores every input."""

    def __init__(
        self,
        url: ControlUrl,
        machine_key: MachinePrivate,
        server_key: MachineKey,
        flow: RegistrationFlow,
        limits: SessionLimits,
        *,
        ephemeral: bytes,
        uniform: Callable[[float, float], float],
    ) -> None:
        """`ephemeral`: 32 fresh random bytes. `uniform(low, high)`: a random number in between."""
        self._server_key = server_key
        self._flow = flow
        self._limits = limits
        self._uniform = uniform
        self._channel = ControlChannel(url.host_header, machine_key, server_key, ephemeral)
        self._pings = ping.PingAnswerer(url)
        self._urls = url.policy
        self._probes = Probes(self._channel.http2)
        self._exchanges = Exchanges(self._channel.http2)
        self._register_at: float | None = None
        self._truth_until: float | None = None
        self._truth_wake = 0
        self._over = False
        self.stage = Stage.HANDSHAKE
        self.stage_since = 0.0
        self.map: MapSession | None = None
        """The present map session."""
        self.sessions = 0
        self.had_map = False
        """Whether any map session of this connection brought its first map."""
        self.map_responses = 0

    @property
    def over(self) -> bool:
        """Whether SessionFailed was given."""
        return self._over

    @property
    def window_low(self) -> float:
        """The lowest share that was ever left of a receive window."""
        return self._channel.http2.window_low

    # Inputs

    def start(self, now: float, since: float | None = None) -> list[SessionEvent]:
        """The connection is there. `since`: the handshake stage has begun before (a key was fetched)."""
        self.stage_since = now if since is None else since
        return [StageEntered(Stage.HANDSHAKE, now, self._limits.handshake, 0)] if since is None else []

    def receive(self, data: bytes, now: float) -> list[SessionEvent]:
        """Bytes from the server; `now` is when they were read."""
        if self._over:
            return []
        if self.map is not None:
            self.map.begin_read()
        events: list[SessionEvent] = []
        try:
            was_open = self._channel.open
            seen = self._channel.receive(data, now)
            if self._channel.open and not was_open:
                required = self._flow.registration.registered_node_key is None
                proved = ServerProved(self._server_key, required)
                events += [proved, *self._on_open(now)]
            for event in seen:
                if self.over:
                    break
                events += self._on_http2(event, now)
        except UnexpectedStatus as error:
            events.append(self._refused(error))
        except RemoteProtocolError as error:
            doubts = self._channel.handshaking
            events.append(self._fail(ExitReason.ERROR, str(error), doubts_key=doubts))
        if not self._over and self._map_moved():
            events += self._probes.map_moved(now)
        return events

    def _map_moved(self) -> bool:
        if self.map is None:
            return False
        exchange = self._exchanges.get(self.map.stream_id)
        moved = self.map.moved(self._channel.http2.octets_received(self.map.stream_id))
        return moved and exchange is not None and exchange.status == 200

    def drained(self, now: float) -> None:
        """The socket was read to its end, and all of it was received."""
        self._probes.drained(now)

    def unread(self) -> None:
        """The socket was not read, or not to its end: an answer may wait there."""
        self._probes.unread()

    def _refused(self, error: UnexpectedStatus) -> SessionFailed:
        wait = wait_asked_for(error.status, error.retry_after, self._uniform)
        return self._fail(ExitReason.ERROR, str(error), wait)

    def eof(self) -> list[SessionEvent]:
        """The server closed the connection."""
        if self._over:
            return []
        try:
            self._channel.eof()
        except UnexpectedStatus as error:
            return [self._refused(error)]
        except RemoteProtocolError as error:
            return [self._fail(ExitReason.ERROR, str(error), doubts_key=self._channel.handshaking)]
        detail = "the control server closed the connection"
        return [self._fail(self._end_of_connection, self._where(detail))]

    def broken(self, detail: str) -> list[SessionEvent]:
        """The transport failed: reset, timeout. Inside the handshake the server may have another key."""
        if self._over:
            return []
        doubts = self._channel.handshaking
        return [self._fail(self._end_of_connection, self._where(detail), doubts_key=doubts)]

    def resync(self, now: float) -> list[SessionEvent]:
        """Ask for the whole map again, on the same connection, as a new map session.

        Nothing while the answer to an earlier request has not begun.
        """
        if self._over or self.map is None or self.map.last_number == 0:
            return []
        self._exchanges.cancel(Purpose.MAP)
        return self._open_map(now)

    def probe(self, token: int, timeout: float, now: float) -> list[SessionEvent]:
        """PING the server; ProbeEnded follows. Nothing before the handshake is done."""
        if not self._over and self._channel.open:
            self._probes.send(token, timeout, now)
        return []

    def ask_truth(self, now: float, wake: int = 0) -> list[SessionEvent]:
        """Ask whether the server still knows this node; TruthLearned follows. Only in a map session, one at a time.

        `wake`: how often the machine had slept. A request from before another sleep is given up and made anew.
        """
        if self._over or self.stage is not Stage.MAP:
            return []
        if self._truth_until is not None:
            if wake == self._truth_wake:
                return []
            self._exchanges.cancel(Purpose.TRUTH)
            self._truth_until = None
        key = self._flow.node_key.public()
        body = encode(self._flow.refresh())
        try:
            self._exchanges.begin(Purpose.TRUTH, "POST", REGISTER_PATH, body, now, keys=[key])
        except RemoteProtocolError as error:
            return [TruthLearned(Truth.UNANSWERED, str(error))]
        self._truth_until, self._truth_wake = now + self._limits.register, wake
        return []

    # Outputs and time

    def data_to_send(self) -> bytes:
        """The next bytes for the wire; call again once they are written. Handle all events first."""
        return b"" if self._over else self._channel.data_to_send()

    def deadline(self) -> float | None:
        """When `expire` is to be called. The limits of stages are not among these: liveness keeps them."""
        times = (self._register_at, self._truth_until, self._probes.deadline())
        return min((time for time in times if time is not None), default=None) if not self._over else None

    def expire(self, now: float) -> list[SessionEvent]:
        """Everything due. To be called after the socket was read to its end, or `unread`."""
        if self._over:
            return []
        events: list[SessionEvent] = []
        if self._truth_until is not None and now >= self._truth_until:
            self._exchanges.cancel(Purpose.TRUTH)
            self._truth_until = None
            events.append(TruthLearned(Truth.UNANSWERED, "no answer within the limit"))
        if self._register_at is not None and now >= self._register_at:
            events += self._register(now)
            if self.over:
                return events
        return [*events, *self._probes.expired(now)]

    # Stages

    def _enter(self, stage: Stage, now: float, limit: float) -> StageEntered:
        assert stage in _NEXT[self.stage], f"{stage} after {self.stage}"
        self.stage = stage
        self.stage_since = now
        return StageEntered(stage, now, limit, self.sessions)

    def _on_open(self, now: float) -> list[SessionEvent]:
        # The first request goes out at once: servers drop fresh connections that stay idle.
        if not self._flow.needed:
            return self._open_map(now)
        if self._flow.waits_for_person:
            login = LoginNeeded(self._flow.login_url)
            return [self._enter(Stage.LOGIN, now, 0.0), login, *self._register(now)]
        return [self._enter(Stage.REGISTER, now, self._limits.register), *self._register(now)]

    def _register(self, now: float) -> list[SessionEvent]:
        self._register_at = None
        keys = [key for key in (self._flow.replaced_key, self._flow.key_in_use) if key is not None]
        body = encode(self._flow.request())
        try:
            self._exchanges.begin(Purpose.REGISTER, "POST", REGISTER_PATH, body, now, keys=keys)
        except RemoteProtocolError as error:
            return [self._fail(ExitReason.ERROR, str(error))]
        return []

    def _open_map(self, now: float) -> list[SessionEvent]:
        key = self._flow.node_key.public()
        registration = self._flow.registration
        body = map_request(key, registration.disco_key.public(), registration.hostinfo)
        try:
            stream_id = self._exchanges.begin(
                Purpose.MAP, "POST", MAP_PATH, body, now, keys=[key], stream=True
            )
        except RemoteProtocolError as error:
            return [self._fail(ExitReason.ERROR, str(error))]
        self.sessions += 1
        self.map = MapSession(self.sessions, stream_id, now, self._limits.max_map_response)
        return [self._enter(Stage.MAP, now, self._limits.silence)]

    # Requests and answers

    def _on_http2(self, event: ClientEvent, now: float) -> list[SessionEvent]:
        match event:
            case ResponseHeaders(stream_id, status, headers):
                exchange = self._exchanges.get(stream_id)
                if exchange is not None:
                    exchange.status, exchange.headers = status, headers
                return []
            case ResponseData(stream_id, data):
                return self._on_data(stream_id, data, now)
            case ResponseEnded(stream_id):
                exchange = self._exchanges.pop(stream_id)
                return self._on_answer(exchange, now) if exchange is not None else []
            case ResponseReset(stream_id, code):
                exchange = self._exchanges.pop(stream_id)
                return self._on_reset(exchange, code) if exchange is not None else []
            case PingAcked(opaque):
                return [*self._probes.acked(opaque, now)]
            case GoAway(code, debug):
                said = f" {debug!r}" if debug else ""
                return [
                    self._fail(
                        self._end_of_connection, self._where(f"the control server sent GOAWAY {code}{said}")
                    )
                ]

    def _on_data(self, stream_id: int, data: bytes, now: float) -> list[SessionEvent]:
        exchange = self._exchanges.get(stream_id)
        if exchange is None:
            return []
        if exchange.purpose is not Purpose.MAP or exchange.status != 200 or self.map is None:
            exchange.take(data)
            return []
        events: list[SessionEvent] = []
        for come in self.map.receive(data, now):
            if isinstance(come, MapText):
                events.append(come)
                continue
            document, shape = come
            self.map_responses += 1
            self.had_map = self.had_map or self.map.had_map
            events.append(document)
            events += self._on_wishes(shape, now)
        return events

    def _on_answer(self, exchange: Exchange, now: float) -> list[SessionEvent]:
        match exchange.purpose:
            case Purpose.REGISTER:
                return self._on_register_answer(exchange, now)
            case Purpose.TRUTH:
                return self._on_truth(exchange)
            case Purpose.MAP:
                return self._on_map_end(exchange)
            case Purpose.ANSWER:
                return []

    def _on_reset(self, exchange: Exchange, code: int) -> list[SessionEvent]:
        match exchange.purpose:
            case Purpose.ANSWER:
                return []
            case Purpose.TRUTH:
                self._truth_until = None
                return [TruthLearned(Truth.UNANSWERED, f"the server reset the request, code {code}")]
            case Purpose.REGISTER | Purpose.MAP:
                detail = f"the control server reset the {exchange.purpose.value} request, code {code}"
                return [self._fail(self._end_of_connection, detail)]

    def _on_register_answer(self, exchange: Exchange, now: float) -> list[SessionEvent]:
        wait = 0.0
        verdict: RegistrationStep
        if exchange.status == 200:
            verdict = self._flow.judge(parse_register_response(exchange.body))
        else:
            wait = exchange.retry_after(self._uniform)
            verdict = self._flow.judge_refusal(exchange.answered, wait)
        match verdict:
            case Refused(reason, detail):
                return [self._fail(reason, detail, wait)]
            case Done(events):
                return [*events, *self._open_map(now)]
            case Again(events):
                # The stage first: a login is reported by a connection that waits for it.
                return [*self._register_again(exchange, now), *events]

    def _register_again(self, last: Exchange, now: float) -> list[SessionEvent]:
        entered: list[SessionEvent] = []
        waits = self._flow.waits_for_person
        if waits and self.stage is not Stage.LOGIN:
            entered = [self._enter(Stage.LOGIN, now, 0.0)]
        elif waits:
            earliest = last.began + FOLLOWUP_PAUSE
            if now < earliest:
                self._register_at = earliest
                return []
        elif self.stage is not Stage.REGISTER:
            entered = [self._enter(Stage.REGISTER, now, self._limits.register)]
        return [*entered, *self._register(now)]

    def _on_map_end(self, exchange: Exchange) -> list[SessionEvent]:
        if exchange.status == 200:
            return [self._fail(ExitReason.CLOSED, self._where("the control server ended the map session"))]
        detail = exchange.refusal("open a map session")
        about_node = exchange.status == 400 and b"node" in exchange.body
        if exchange.status in _UNKNOWN_NODE or about_node:
            return [self._flow.forget_node(removed=True), self._fail(ExitReason.REMOVED, detail)]
        return [self._fail(ExitReason.ERROR, detail, exchange.retry_after(self._uniform))]

    def _on_truth(self, exchange: Exchange) -> list[SessionEvent]:
        self._truth_until = None
        learned = truth_in(exchange)
        reason = _VERDICT.get(learned.truth)
        if reason is None:
            return [learned]
        forgotten = self._flow.forget_node(removed=learned.truth is Truth.REMOVED)
        return [forgotten, learned, self._fail(reason, learned.detail)]

    # What the server asks for beside the netmap

    def _on_wishes(self, shape: MapResponseShape, now: float) -> list[SessionEvent]:
        events: list[SessionEvent] = []
        if shape.ping_request is not None:
            events += self._on_ping(shape.ping_request, now)
        if shape.pop_browser_url:
            events.append(ServerWish("pop_browser_url", self._shown(shape.pop_browser_url)))
        if shape.debug is not None and not shape.keep_alive:
            if shape.debug.exit is not None:
                events.append(ServerWish("debug_exit", str(shape.debug.exit)))
            if shape.debug.sleep_seconds:
                events.append(ServerWish("debug_sleep", str(shape.debug.sleep_seconds)))
        return events

    def _shown(self, url: str) -> str:
        try:
            return self._urls.shown(url)
        except BadUrl as error:
            return f"refused: {error}"

    def _on_ping(self, request: PingRequest, now: float) -> list[SessionEvent]:
        match self._pings.decide(request, now):
            case ping.HeadToControl(url):
                return [PingToAnswer(url)]
            case ping.OverNoise(method, path, body):
                return self._answer(method, path, body, now)
            case ping.Declined(why):
                return [ServerWish("ping", why)]
            case None:
                return []

    def _answer(self, method: str, path: str, body: bytes, now: float) -> list[SessionEvent]:
        try:
            self._exchanges.begin(Purpose.ANSWER, method, path, body, now)
        except RemoteProtocolError as error:
            return [ServerWish("ping", str(error))]
        return []

    # The end

    @property
    def _end_of_connection(self) -> ExitReason:
        """The reason when the connection just ends: before a session that is a failed attempt."""
        return ExitReason.CLOSED if self.stage in (Stage.MAP, Stage.LOGIN) else ExitReason.ERROR

    def _where(self, detail: str) -> str:
        if self.map is not None and self.map.partial:
            return f"{detail} inside a MapResponse"
        return detail

    def _fail(
        self, reason: ExitReason, detail: str, retry_after: float = 0.0, *, doubts_key: bool = False
    ) -> SessionFailed:
        self._over = True
        return SessionFailed(reason, self.stage, detail, retry_after, doubts_key, self.sessions, self.had_map)
