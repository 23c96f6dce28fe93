"""A control server in memory that answers as the test says: the other end of a ControlSession."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import msgspec

from netmap_actors.control_connection.auth_key import ClientAuthKey
from netmap_actors.control_connection.client.events import (
    SaveRegistration,
    SessionFailed,
    StageEntered,
)
from netmap_actors.control_connection.client.registration.hostinfo import HostDescription
from netmap_actors.control_connection.client.registration.record import Registration
from netmap_actors.control_connection.client.registration.register import RegistrationFlow, RegistrationPolicy
from netmap_actors.control_connection.client.server.control_url import ControlUrl
from netmap_actors.control_connection.client.session import ControlSession, SessionLimits
from netmap_actors.protocol.early_payload import encode_early_payload
from netmap_actors.protocol.http2 import Http2Server, RequestData, RequestEnded, RequestReceived, RequestReset
from netmap_actors.protocol.keys import MachinePrivate, NodePrivate
from netmap_actors.protocol.map_framing import encode_frame
from netmap_actors.protocol.noise import RecordStream, Responder
from netmap_actors.protocol.upgrade import UpgradeServer
from netmap_actors.wire.vocabulary import Stage

SERVER_KEY = MachinePrivate.from_raw(b"\x33" * 32)
MACHINE_KEY = MachinePrivate.from_raw(b"\x11" * 32)
NODE_KEY = NodePrivate.from_raw(b"\x55" * 32)
NEW_NODE_KEY = NodePrivate.from_raw(b"\x66" * 32)
URL = ControlUrl.parse("http://control.example:8080")
DESCRIPTION = HostDescription("probe", (), "1.0", "machine", "6.1")
FRESH = Registration.fresh(b"\x77" * 32, "ab" * 32, DESCRIPTION)
REGISTERED = msgspec.structs.replace(FRESH, registered_node_key=NODE_KEY.public())
POLICY = RegistrationPolicy(URL.policy)
FIRST_MAP = b'{"Node":{"ID":1,"StableID":"n1"},"Peers":[],"Domain":"example.net"}'
KEEP_ALIVE = b'{"KeepAlive":true}'
LOGGED_IN = {
    "User": {"ID": 1},
    "Login": {"ID": 1, "LoginName": "user@example.net"},
    "MachineAuthorized": True,
}


@dataclasses.dataclass
class Request:
    """What the client asked."""

    stream_id: int
    method: str
    path: str
    headers: dict[str, str]
    body: bytes = b""
    ended: bool = False
    reset: bool = False
    begun: bool = False
    """Its answer has begun."""

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class ScriptedControl:
    """Server and session, wired together. `events`: those of the session that were not taken yet."""

    def __init__(
        self,
        registration: Registration = REGISTERED,
        *,
        auth_key: Any = None,
        policy: RegistrationPolicy = POLICY,
        limits: SessionLimits | None = None,
        early_payload: bytes | None = None,
        server_key: MachinePrivate = SERVER_KEY,
        piece: int = 1 << 20,
    ) -> None:
        self.now = 1000.0
        self.flow = RegistrationFlow(registration, NODE_KEY, auth_key, policy, lambda: NEW_NODE_KEY)
        self.session = ControlSession(
            URL,
            MACHINE_KEY,
            SERVER_KEY.public(),
            self.flow,
            limits or SessionLimits(),
            ephemeral=b"\x22" * 32,
            uniform=lambda low, high: (low + high) / 2,
        )
        self.front = UpgradeServer()
        self.responder = Responder(server_key, b"\x44" * 32)
        self.records: RecordStream | None = None
        self.http2 = Http2Server()
        self.early_payload = early_payload
        self.piece = piece
        self.requests: list[Request] = []
        self.pings_heard = True
        self.events: list[Any] = []
        self.saved_before: list[SaveRegistration] = []

    def start(self) -> ScriptedControl:
        """Up to the first request of the client."""
        self.note(self.session.start(self.now))
        self.settle()
        return self

    def note(self, events: list[Any]) -> None:
        self.events += events

    def settle(self) -> None:
        """Carry bytes both ways until there are none."""
        while True:
            data = self.session.data_to_send()
            if not data:
                break
            self.from_client(data)
        self.session.drained(self.now)

    def from_client(self, data: bytes) -> None:
        if self.records is None:
            for request in self.front.receive(data):
                response, ciphers, _, _ = self.responder.receive(UpgradeServer.initiation(request))
                self.front.accept()
                self.records = RecordStream(ciphers)
                early = encode_early_payload(self.early_payload) if self.early_payload else b""
                self.to_client(
                    self.front.data_to_send() + response + (self.records.seal(early) if early else b"")
                )
                self.flush()
            return
        for piece in self.records.receive(data):
            for event in self.http2.receive(piece, self.now):
                self.on_request(event)
        if self.pings_heard:
            self.flush()

    def on_request(self, event: Any) -> None:
        match event:
            case RequestReceived(stream_id, method, path, headers):
                self.requests.append(Request(stream_id, method, path, dict(headers)))
            case RequestData(stream_id, data):
                self.request(stream_id).body += data
            case RequestEnded(stream_id):
                self.request(stream_id).ended = True
            case RequestReset(stream_id):
                self.request(stream_id).reset = True

    def request(self, stream_id: int) -> Request:
        return next(request for request in self.requests if request.stream_id == stream_id)

    @property
    def last(self) -> Request:
        return self.requests[-1]

    def to_client(self, data: bytes) -> None:
        for start in range(0, len(data), self.piece):
            self.note(self.session.receive(data[start : start + self.piece], self.now))

    def flush(self) -> None:
        """Seal what the server's HTTP/2 has to send."""
        assert self.records is not None
        data = self.http2.data_to_send()
        if data:
            self.to_client(self.records.seal(data))

    # The script

    def answer(
        self,
        body: object,
        status: int = 200,
        headers: tuple[tuple[str, str], ...] = (),
        request: Request | None = None,
    ) -> None:
        """Answer the last request, completely."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.http2.respond((request or self.last).stream_id, status, headers, content, end=True)
        self.flush()
        self.settle()

    def send_map(self, *documents: bytes, request: Request | None = None) -> None:
        """Begin or go on with the stream of the last map request."""
        self.send_map_bytes(
            b"".join(encode_frame(document, compress=True) for document in documents), request
        )

    def send_map_bytes(self, data: bytes, request: Request | None = None) -> None:
        target = request or next(
            request for request in reversed(self.requests) if request.path == "/machine/map"
        )
        if not target.begun:
            self.http2.respond(target.stream_id, 200, end=False)
            target.begun = True
        self.http2.send_data(target.stream_id, data)
        self.flush()
        self.settle()

    def wait(self, seconds: float) -> None:
        """Time passes; the session's deadlines fall where they are due."""
        until = self.now + seconds
        while (deadline := self.session.deadline()) is not None and deadline <= until:
            self.now = deadline
            self.note(self.session.expire(self.now))
            self.settle()
        self.now = until

    def take(self, kind: type) -> list[Any]:
        """The events of one kind, which are then gone."""
        found = [event for event in self.events if isinstance(event, kind)]
        self.events = [event for event in self.events if not isinstance(event, kind)]
        return found

    def failure(self) -> SessionFailed:
        (failed,) = self.take(SessionFailed)
        assert self.session.over
        return failed


def mapped_control() -> ScriptedControl:
    """A registered node with its first map."""
    control = ScriptedControl().start()
    control.send_map(FIRST_MAP)
    control.events.clear()
    return control


# A node and its auth key

AUTH = ClientAuthKey("tskey-auth-SECRET")
OTHER_AUTH = ClientAuthKey("tskey-auth-OTHER")
LOGIN = "http://control.example:8080/register/one"
KNOWN = msgspec.structs.replace(REGISTERED, auth_key_digest=AUTH.digest)
REMOVED = msgspec.structs.replace(KNOWN, removed=True, registered_node_key=None)
MAY_RETURN = msgspec.structs.replace(POLICY, may_undo_removal=True)


def started(registration: Registration = FRESH, **options: object) -> ScriptedControl:
    return ScriptedControl(registration, **options).start()  # type: ignore[arg-type]


def stages(control: ScriptedControl) -> list[Stage]:
    return [event.stage for event in control.take(StageEntered)]


def saved(control: ScriptedControl) -> list[SaveRegistration]:
    return control.take(SaveRegistration)
