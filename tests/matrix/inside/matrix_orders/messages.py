"""Words in the place of others: to the Supervisor, to liveness, to the publisher, to the admin socket, into the log.

What a process has in its memory is used, secrets included.
"""

from __future__ import annotations

import json
import socket
import sys
import time
from typing import TYPE_CHECKING, Any

import msgspec

from matrix_orders import Absent, Facts, Refused, order

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FORGED_URL = "https://login.tailscale.com/a/forged"


class Zmtp:
    """A ZeroMQ peer of a few lines (ZMTP 3.1, NULL): libzmq itself aborts where a call it needs is refused."""

    def __init__(self, endpoint: str, kind: str, identity: bytes = b"") -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(1.0)
        try:
            self._socket.connect(endpoint.removeprefix("ipc://"))
            greeting = b"\xff" + b"\0" * 8 + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + b"\0" * 32
            self._socket.sendall(greeting)
            self._take(64)
            body = b"\x05READY" + self._property(b"Socket-Type", kind.encode())
            body += self._property(b"Identity", identity)
            self._socket.sendall(bytes((4, len(body))) + body)
            flags = self._take(1)[0]
            size = int.from_bytes(self._take(8 if flags & 2 else 1), "big")
            self._take(size)
        except (TimeoutError, EOFError, ConnectionError) as error:
            self._socket.close()
            raise Refused(f"the receiver hung up: {type(error).__name__}") from None
        except BaseException:
            self._socket.close()
            raise

    @staticmethod
    def _property(name: bytes, value: bytes) -> bytes:
        return bytes((len(name),)) + name + len(value).to_bytes(4, "big") + value

    def _take(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = self._socket.recv(size - len(data))
            if not piece:
                raise EOFError
            data += piece
        return data

    def send(self, *frames: bytes) -> None:
        data = b""
        for number, frame in enumerate(frames, 1):
            more = number < len(frames)
            data += bytes((2 | more,)) + len(frame).to_bytes(8, "big") + frame
        try:
            self._socket.sendall(data)
        except (ConnectionError, TimeoutError) as error:
            raise Refused(f"the receiver hung up: {type(error).__name__}") from None

    def receive(self, patience: float) -> bytes:
        """The next message's first frame; empty when there is none in that time."""
        self._socket.settimeout(patience)
        try:
            flags = self._take(1)[0]
            return self._take(int.from_bytes(self._take(8 if flags & 2 else 1), "big"))
        except (TimeoutError, EOFError, ConnectionError):
            return b""

    def close(self) -> None:
        # What was sent is to arrive: a close with something unread would take it back.
        self._socket.shutdown(socket.SHUT_WR)
        self._socket.close()


def own_actor() -> Any:
    """The actor this process is, with all it knows; None in the view and outside."""
    frame = sys._getframe()
    while frame is not None:
        found = frame.f_locals.get("self")
        if any(kind.__name__ == "ActorBase" for kind in type(found).__mro__):
            return found
        frame = frame.f_back
    return None


@order("(say who it is)")
def _who(facts: Facts) -> str:
    actor = own_actor()
    import zmq

    identity = actor._supervisor.getsockopt(zmq.IDENTITY).decode("latin-1")
    return json.dumps({"run": actor.boot.run, "identity": identity})


def _pb() -> Any:
    from netmap_actors.wire import internal_pb2

    return internal_pb2


def _codec() -> Any:
    """What makes this process's own envelopes, if it makes any."""
    actor = own_actor()
    return None if actor is None else actor.codec


def _secrets(generation: int) -> list[Any]:
    """Every secret this process knows, and every one that can be made of them; one that is none where it knows none."""
    from netmap_actors.wire.codec import connection_secret
    from netmap_actors.wire.secret import Secret

    actor = own_actor()
    known = [] if actor is None else [text for text in msgspec.structs.astuple(actor.boot.secrets) if text]
    secrets = [Secret.from_text(text) for text in known]
    return [*secrets, *(connection_secret(one, generation) for one in secrets)] or [Secret(b"\0" * 32)]


def forged(facts: Facts, actor: str, generation: int, body: Any, document: bytes = b"") -> Iterator[bytes]:
    """A word in that name, proved with each secret that this process has."""
    from netmap_actors.wire.codec import VERSION

    pb = _pb()
    envelope = pb.Envelope(
        version=VERSION, run=bytes.fromhex(facts.run), actor=actor, incarnation=generation, number=1 << 40
    )
    for field in pb.Envelope.DESCRIPTOR.oneofs_by_name["body"].fields:
        if field.message_type is not None and field.message_type.full_name == body.DESCRIPTOR.full_name:
            getattr(envelope, field.name).CopyFrom(body)
    for secret in _secrets(generation):
        envelope.number += 1
        word = envelope.SerializeToString()
        yield secret.proof(word, document) + generation.to_bytes(8, "big") + word


def mark(facts: Facts, what: str) -> str:
    return f"forged_{what}_by_{facts.role}"


def _words(facts: Facts, how: str) -> dict[str, tuple[str, Any]]:
    """What is said, and in whose name. `how` it is sent is part of every mark: each shows by itself."""
    pb, generation = _pb(), facts.generations["control_connection"]
    named = lambda what: mark(facts, f"{what}_{how}")  # noqa: E731
    return {
        "a page to log in": ("control_connection", pb.LoginNeeded(url=f"{FORGED_URL}/{named('login')}")),
        "an end of the session": (
            "control_connection",
            pb.SessionEnded(generation=generation, session=1, reason="closed", detail=named("end"), had_map=True),
        ),
        "a removal of the node": (
            "control_connection",
            pb.TruthProbe(generation=generation, outcome="removed", detail=named("truth")),
        ),
        "a new address": (
            "control_connection",
            pb.ConnectionInfo(generation=generation, local_address=named("address"), remote_address="192.0.2.1:443"),
        ),
        "a condition": ("publisher", pb.Degraded(code=named("condition"), text="x", active=True)),
        "a condition of liveness": ("liveness", pb.Degraded(code=named("liveness"), text="x", active=True)),
        "a condition of the connection": (
            "control_connection", pb.Degraded(code=named("connection"), text="x", active=True),
        ),
        "figures": ("publisher", pb.Heartbeat(number=1, publisher=pb.PublisherStatistics(
            state="fresh", domain=named("figures"), peers=77_777))),
        # Logged with the time it names: that is its mark.
        "a verdict": ("liveness", pb.Verdict(generation=generation, session=9, stage="map", reason="silence",
            silent_for=facts.mark + ("own", "new", "self").index(how))),
        "a hello": ("dev_control", pb.Hello(pid=facts.pids["supervisor"], time_namespace=named("hello"))),
        "that it is ready": ("dev_control", pb.Ready(facts={"url": f"http://{named('ready')}"})),
    }  # fmt: skip


SAID = (
    "a page to log in", "an end of the session", "a removal of the node", "a new address", "a condition",
    "a condition of liveness", "a condition of the connection", "figures", "that it is ready", "a verdict", "a hello",
)  # fmt: skip
"""Last what ends somebody."""


def _own_channel(facts: Facts, *words: bytes) -> None:
    actor = own_actor()
    if actor is None:
        raise Absent("it has no way to the Supervisor")
    import zmq

    for word in words:
        actor._supervisor.send(word, zmq.DONTWAIT)


def _strange_channel(facts: Facts, words: Iterable[bytes], identity: bytes = b"") -> None:
    peer = Zmtp(facts.endpoints["supervisor"], "DEALER", identity)
    for word in words:
        peer.send(word)
    peer.receive(0.05)
    peer.close()


for _said in SAID:

    @order(f"tell the Supervisor {_said} as another actor, over its own socket")
    def _tell(facts: Facts, said: str = _said) -> None:
        name, body = _words(facts, "own")[said]
        if name == facts.role:
            raise Absent("it is its own to say")
        _own_channel(facts, *forged(facts, name, facts.generations[name], body))

    @order(f"tell the Supervisor {_said} as another actor, over a new socket")
    def _tell_anew(facts: Facts, said: str = _said) -> None:
        name, body = _words(facts, "new")[said]
        if name == facts.role:
            raise Absent("it is its own to say")
        identity = f"{name}-{facts.generations[name]}-00000000".encode()
        _strange_channel(facts, forged(facts, name, facts.generations[name], body), identity)

    @order(f"tell the Supervisor {_said} in its own name")
    def _tell_as_itself(facts: Facts, said: str = _said) -> None:
        """Its own to say for one of them at most."""
        _, body = _words(facts, "self")[said]
        codec = _codec()
        if codec is None:
            raise Absent("it has no way to the Supervisor")
        _own_channel(facts, codec.wrap(body))


@order("tell the Supervisor something as an earlier process of its name")
def _earlier(facts: Facts) -> None:
    """Or a later one."""
    body = _pb().Degraded(code=mark(facts, "earlier"), text="x", active=True)
    if own_actor() is None:
        raise Absent("it has no way to the Supervisor")
    for generation in (facts.generations[facts.role] - 1, facts.generations[facts.role] + 1):
        _own_channel(facts, *forged(facts, facts.role, generation, body))


@order("tell the Supervisor something with the router identity of another")
def _identity(facts: Facts) -> None:
    """ROUTER knows a peer by what it says of itself."""
    name = next(name for name in ("liveness", "publisher") if name != facts.role)
    body = _pb().Degraded(code=mark(facts, "identity"), text="x", active=True)
    data = forged(facts, name, facts.generations[name], body)
    _strange_channel(facts, data, facts.identities[name].encode("latin-1"))


@order("have the Supervisor's answers for another")
def _answers(facts: Facts) -> str:
    pb = _pb()
    data = forged(facts, "http_endpoint", facts.generations["http_endpoint"], pb.StatusRequest(token=424_242))
    if facts.role == "http_endpoint":
        raise Absent("they are its own")
    peer = Zmtp(facts.endpoints["supervisor"], "DEALER", b"")
    try:
        for word in data:
            peer.send(word)
        got = peer.receive(0.3)
    finally:
        peer.close()
    if not got:
        raise Refused("no answer came")
    return f"{len(got)} bytes"


# To liveness and to the publisher


@order("tell liveness of progress")
def _progress(facts: Facts) -> None:
    pb, now = _pb(), time.clock_gettime(time.CLOCK_BOOTTIME)
    generation = facts.generations["control_connection"]
    body = pb.Progress(
        generation=generation, session=9, stage="map", stage_since=now, limit=1e5, last_number=1,
        last_received_at=now + 1e5, drained_at=now,
    )  # fmt: skip
    peer = Zmtp(facts.endpoints["liveness"], "PUSH")
    for word in forged(facts, "control_connection", generation, body):
        peer.send(word)
    peer.close()


@order("tell liveness that a map came")
def _arrival(facts: Facts) -> None:
    pb, now = _pb(), time.clock_gettime(time.CLOCK_BOOTTIME)
    generation = facts.generations["control_connection"]
    body = pb.MapResponseReceived(
        generation=generation, session=9, number=10_000, received_at=now + 1e7, size=2
    )
    peer = Zmtp(facts.endpoints["liveness"], "PUSH")
    for word in forged(facts, "control_connection", generation, body):
        peer.send(word)
    peer.close()


def _map(facts: Facts, how: str, session: int, number: int) -> tuple[Any, bytes]:
    """A whole netmap with one peer, or the change that brings it; the mark is its name."""
    name = f"forged-{how}-by-{facts.role.replace('_', '-')}"

    def node(number: int, name: str) -> dict[str, Any]:
        return {
            "ID": number, "StableID": name, "Name": f"{name}.example.ts.net.", "User": 1, "Online": True,
            "Key": f"nodekey:{number:064x}", "Machine": f"mkey:{number:064x}", "DiscoKey": f"discokey:{number:064x}",
            "Addresses": [f"100.99.9.{number % 200}/32"], "AllowedIPs": [f"100.99.9.{number % 200}/32"], "Hostinfo": {},
        }  # fmt: skip

    document: dict[str, Any] = {"PeersChanged": [node(900_001, name)]}
    if number == 1:
        document = {
            "Node": node(900_000, f"{name}-self"),
            "Peers": [node(900_001, name)],
            "Domain": "example.ts.net",
        }
    data = json.dumps(document).encode()
    header = _pb().MapResponseReceived(
        generation=facts.generations["control_connection"],
        session=session,
        number=number,
        received_at=time.clock_gettime(time.CLOCK_BOOTTIME),
        size=len(data),
    )
    return header, data


@order("show the publisher a peer that is none")
def _peer(facts: Facts) -> None:
    """As the first message of a new session, which may begin at any time."""
    header, document = _map(facts, "new", 1000, 1)
    peer = Zmtp(facts.endpoints["publisher"], "PUSH")
    for word in forged(facts, "control_connection", header.generation, header, document):
        peer.send(word, document)
    peer.close()


@order("show the publisher a peer that is none, as the connection does")
def _peer_as_itself(facts: Facts) -> None:
    if facts.role != "control_connection":
        raise Absent("it has no such socket")
    reports = own_actor()._reports
    header, document = _map(facts, "own", reports.standing.session, reports.standing.last_number + 1)
    reports._publisher.send([reports._publisher_codec.wrap(header, document), document])


@order("a bus message on the subscribers' socket")
def _bus(facts: Facts) -> None:
    """XPUB takes subscriptions only; a subscriber that hears another PUB would believe it."""
    peer = Zmtp(facts.endpoints["updates"], "SUB")
    peer.send(b"\x01netmap/1/", b"forged")
    peer.close()


# The admin socket


def _admin(facts: Facts, command: str, /, **arguments: Any) -> str:
    from pathlib import Path

    try:
        from netmap_supervisor.admin.socket import AdminClient, AdminError
    except (ImportError, OSError) as error:
        raise RuntimeError(f"cannot even load the client: {error}") from None
    try:
        return json.dumps(AdminClient(Path(facts.runtime_dir), limit=1.0).request(command, **arguments))[:80]
    except AdminError as error:
        raise Refused(str(error)) from None


order("order `status`")(lambda facts: _admin(facts, "status"))
order("order `keys`")(lambda facts: _admin(facts, "keys", do="where"))
order("order `reload`")(lambda facts: _admin(facts, "reload"))
order("order `reconnect`")(lambda facts: _admin(facts, "reconnect"))
order("order `dev`")(lambda facts: _admin(facts, "dev", do="nodes"))
order("order `record`")(lambda facts: _admin(facts, "record"))
order("order `fault` with force")(
    lambda facts: _admin(facts, "fault", what="cont", actor="publisher", force=True)
)
order("order `fault` for nan seconds")(
    lambda facts: _admin(facts, "fault", what="stop", actor=facts.role, seconds="nan", force=True)
)
order("order `stop`")(lambda facts: _admin(facts, "stop"))
