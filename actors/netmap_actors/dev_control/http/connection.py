"""One client's connection, from its first HTTP byte to the map stream, without any socket.

Not here: reading, writing and waiting (`server`), what the requests inside mean (`machine_api`) and what
faults do (`injector`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netmap_actors.dev_control.faults.bad_bytes import EvilRecords
from netmap_actors.dev_control.faults.catalogue import Moment
from netmap_actors.dev_control.http import plain_http
from netmap_actors.dev_control.http.injector import FaultInjector, stops
from netmap_actors.dev_control.http.link import Ending, Link
from netmap_actors.dev_control.http.machine_api import MachineApi, http_status
from netmap_actors.errors import NetmapError, escape
from netmap_actors.protocol.early_payload import challenge_json, encode_early_payload
from netmap_actors.protocol.http2 import Http2Server, RequestEnded, RequestReset
from netmap_actors.protocol.key_endpoint import KEY_PATH
from netmap_actors.protocol.keys import ChallengePublic
from netmap_actors.protocol.noise import Responder
from netmap_actors.protocol.upgrade import UPGRADE_PATH, BadUpgradeRequest, UpgradeServer

if TYPE_CHECKING:
    from netmap_actors.dev_control.faults.catalogue import Fault
    from netmap_actors.dev_control.http.state import Control
    from netmap_actors.protocol.http1_server import HttpRequest

__all__ = ["MAX_IN_A_ROW", "ClientConnection"]

MAX_IN_A_ROW = 100
"""Plain HTTP requests answered out of one read; then the connection is closed, as others wait."""

_CLIENT_HELLO = b"\x16\x03"
"""Type of the record and first byte of the version (RFC 8446, 5.1)."""
_MAGIC = 5
_LENGTH = 4


class ClientConnection:
    """Bytes in, bytes out. Bad input ends this connection only."""

    def __init__(self, control: Control, number: int, remote: str, now: float) -> None:
        self.link = Link(control, number, remote)
        self.opened_at = now
        self.heard_at = now
        self._door_since = now
        self.bytes_received = 0
        self.bytes_sent = 0
        self.version = 0
        """The client's capability version; 0 before the handshake."""
        self._door: UpgradeServer | None = UpgradeServer()
        self.injector = FaultInjector(self.link)
        self.api = MachineApi(self.link, self.injector)
        self.link.note(now, "accept")
        self.api.inject_planned(Moment.ACCEPT, now)

    # Bytes

    def receive(self, data: bytes, now: float) -> None:
        """What the client sent."""
        self.heard_at = now
        self.bytes_received += len(data)
        if self.link.ending is not None or self.link.spoilt:
            return
        try:
            if self._door is not None:
                self._receive_http(self._door, self._door.receive(data), now)
                self._note_refusal(now, data)
            else:
                self._receive_noise(data, now)
        except NetmapError as error:
            self.link.note(now, "refused", f"{'GOAWAY: ' if self.link.is_over else ''}{error}")
            self.link.end(Ending.FLUSH, str(error))

    def eof(self, now: float) -> None:
        """The client closed its side."""
        if self._door is not None:
            self._door.eof()
            self._note_refusal(now)
        self.closed(now, "the client closed")
        self.link.end(Ending.FLUSH, "the client closed")

    def data_to_send(self) -> bytes:
        """Bytes for the socket, as many as the client's HTTP/2 windows admit."""
        if self.injector.mute:
            return b""
        link = self.link
        if self._door is not None:
            link.wire += self._door.data_to_send()
            if self._door.closed and link.ending is None:
                link.end(Ending.FLUSH, "HTTP is done")
        elif link.pump():
            self.injector.sent()
        data, link.wire = bytes(link.wire), bytearray()
        self.bytes_sent += len(data)
        return data

    @property
    def waits(self) -> bool:
        """It is the client's turn. A node may be idle between its requests, and a mute connection expects nothing."""
        return self.link.ending is not None or not (self.injector.mute or self.api.busy or self.api.is_node)

    def closed(self, now: float, why: str) -> None:
        """The transport is gone, or about to be."""
        self.api.close(now)
        if not self.link.why:
            self.link.why = why

    # Time

    def deadline(self) -> float | None:
        """When `expire` has something to do."""
        options = self.link.control.options
        due = [self.api.deadline(), self.injector.deadline()]
        if self.link.ending is not None:
            due.append(self.heard_at + options.half_open_limit)
        elif not self.injector.mute:
            if self._door is not None:
                due.append(self._door_since + options.half_open_limit)
            elif not self.api.busy:
                due.append(self.heard_at + options.idle_limit)
        known = [at for at in due if at is not None]
        return min(known) if known else None

    def expire(self, now: float) -> None:
        """Keep-alives, drips, and the end of connections that do nothing."""
        options = self.link.control.options
        self.injector.expire(now)
        if not self.api.expire(now):
            self.link.end(Ending.RESET, "the client does not read")
        if self.link.ending is not None:
            if now >= self.heard_at + options.half_open_limit:
                self.link.end(Ending.RESET, "the client does not take the rest")
        elif self.injector.mute:
            return
        elif self._door is not None:
            if now >= self._door_since + options.half_open_limit:
                self.link.end(Ending.FLUSH, "no request came")
        elif not self.api.busy and now >= self.heard_at + options.idle_limit:
            self.link.goaway()
            self.link.end(Ending.FLUSH, "idle")

    # Plain HTTP and the upgrade

    def _receive_http(self, door: UpgradeServer, requests: list[HttpRequest], now: float) -> None:
        answered = 0
        while requests:
            request = requests[0]
            path = request.target.partition("?")[0]
            if path == UPGRADE_PATH:
                self._upgrade(door, request, now)
                return
            if path == KEY_PATH and self._is_refused(self.api.inject_planned(Moment.KEY, now), door):
                return
            if path == KEY_PATH and self.link.control.plan.has("identity/server-key-changed"):
                self.link.note(now, "fault", "identity/server-key-changed")
            reply = plain_http.answer(self.link.control, request)
            if reply.seen:
                self.link.note(now, reply.seen, request.target[:80])
            if reply.status >= 400:
                self._refuse(request, reply.status, reply.reason, now)
            answered += 1
            last = answered >= MAX_IN_A_ROW
            requests = door.respond(reply.status, _headers(reply), reply.body, close=last)
            self._note_sent(request, reply.status, now)
            self._door_since = now

    def _refuse(self, request: HttpRequest, status: int, why: str, now: float) -> None:
        """Note that this server answers so of its own accord."""
        self.link.note(now, "refused", f"{status} {request.method} {_path(request)}: {why}")

    def _note_sent(self, request: HttpRequest, status: int, now: float) -> None:
        self.link.note_sent(now, lambda: f"{status} {_path(request)}")

    def _note_refusal(self, now: float, data: bytes = b"") -> None:
        """Note what has not become a request. `data`: the last bytes of it."""
        if self._door is None or not self._door.refused or self.link.ending is not None:
            return
        is_tls = data.startswith(_CLIENT_HELLO) and self.bytes_received == len(data)
        hint = "; it is TLS, and this port speaks plain HTTP" if is_tls else ""
        self.link.note(now, "refused", self._door.refused + hint)
        self.link.end(Ending.FLUSH, "HTTP is done")

    def _is_refused(self, fault: Fault | None, door: UpgradeServer) -> bool:
        """Whether a fault took the place of an answer to plain HTTP."""
        if stops(fault):
            return True
        if fault is None or fault.name != "refusal/status":
            return False
        status, headers, body = http_status(fault)
        door.respond(status, headers, body, close=True)
        return True

    def _upgrade(self, door: UpgradeServer, request: HttpRequest, now: float) -> None:
        try:
            initiation = door.initiation(request)
        except BadUpgradeRequest as error:
            self._refuse(request, error.status, str(error), now)
            door.respond(error.status, [("Content-Type", "text/plain; charset=utf-8")], f"{error}\n".encode())
            self._note_sent(request, error.status, now)
            return
        fault = self.api.inject_planned(Moment.UPGRADE, now)
        if self._is_refused(fault, door):
            return
        trailing = door.accept()
        self.link.wire += door.data_to_send()
        self._note_sent(request, 101, now)
        self._door = None
        key = self.link.control.key_for(
            changed=fault is not None and fault.name == "identity/server-key-changed"
        )
        # A key of another server cannot read the initiation: 101, then the end, as Go servers do it.
        response, ciphers, self.link.machine, self.version = Responder(
            key, self.link.control.random_bytes(32)
        ).receive(initiation)
        self.link.wire += response
        self.link.records = EvilRecords(ciphers)
        self.link.note(now, "upgrade", f"{self.link.machine} v{self.version}")
        self._send_early_payload()
        self.link.http2 = Http2Server()
        self.api.inject_planned(Moment.NOISE, now)
        if trailing:
            self._receive_noise(trailing, now)

    def _send_early_payload(self) -> None:
        assert self.link.records is not None, "the handshake is done"
        form = self.link.control.options.early_payload
        if form == "off":
            return
        payload = encode_early_payload(challenge_json(ChallengePublic(self.link.control.random_bytes(32))))
        cuts = (0, _MAGIC, _MAGIC + _LENGTH) if form == "split" else (0,)
        for start, stop in zip(cuts, (*cuts[1:], len(payload)), strict=True):
            self.link.wire += self.link.records.seal(payload[start:stop])

    # Inside Noise

    def _receive_noise(self, data: bytes, now: float) -> None:
        assert self.link.records is not None, "the handshake is done"
        assert self.link.http2 is not None, "the handshake is done"
        http2 = self.link.http2
        events = [event for piece in self.link.records.receive(data) for event in http2.receive(piece, now)]
        # A request that is reset in the same read is not served (CVE-2023-44487, rapid reset).
        taken_back = {event.stream_id for event in events if isinstance(event, RequestReset)}
        for event in events:
            if self.link.ending is not None:
                return
            if not (isinstance(event, RequestEnded) and event.stream_id in taken_back):
                self.api.receive(event, now)


def _path(request: HttpRequest) -> str:
    """For the log: queries may hold secrets."""
    return escape(request.target.partition("?")[0], 80)


def _headers(reply: plain_http.Reply) -> list[tuple[str, str]]:
    return [("Content-Type", reply.content_type), ("Cache-Control", "no-store"), ("X-Frame-Options", "DENY")]
