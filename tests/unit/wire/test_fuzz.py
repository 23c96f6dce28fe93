"""Whatever comes over ZeroMQ: words between processes, operators' requests, subscribers' requests, published frames.

A process that was taken over must not be able to end another one; a subscriber must not end the publisher, nor the
publisher its subscribers.
"""

from __future__ import annotations

import itertools
import json
import math
from types import SimpleNamespace
from typing import Any

import msgspec
import zmq
from hypothesis import example, given
from hypothesis import strategies as st

from netmap_actors.bus.admission import Origin
from netmap_actors.bus.monitor import next_event
from netmap_actors.bus.zap import DOMAIN, ZapHandler
from netmap_actors.curve_keys import AllowList
from netmap_actors.errors import BadMapResponse, NetmapError
from netmap_actors.liveness.actor import Liveness
from netmap_actors.liveness.detector import LivenessDetector
from netmap_actors.publisher.front import Front
from netmap_actors.publisher.publication.answers import Answers
from netmap_actors.subscriber.replica import Replica
from netmap_actors.wire import internal_pb2, netmap_pb2
from netmap_actors.wire.codec import MAX_CONTROL_MESSAGE, Codec, ForeignEnvelope
from netmap_actors.wire.fields import BadPieces, cut, first_text
from netmap_actors.wire.secret import Secret
from netmap_actors.wire.topics import SCHEMA, Kind, topic_of
from netmap_supervisor.admin.server import AdminServer
from netmap_supervisor.config.settings import RunSettings
from netmap_supervisor.daemon.operator_requests import OperatorRequests
from netmap_supervisor.daemon.status_report import SupervisorFacts, make_report
from netmap_supervisor.supervision.messages import ChildMessage, Stop
from netmap_supervisor.system.route_watch import RouteWatch
from netmap_supervisor.system.routes import ControlRoutes
from tests.support.inputs.fuzzing import damaged, damaged_json, fuzzed, hostile, survive
from tests.support.machines.simulated_shell import SimulatedShell
from tests.support.netmaps.publishing import SILENCE, Server, full, node

NOW = 1000.0
RUN = "0123456789abcdef"
BODIES = [field.name for field in internal_pb2.Envelope.DESCRIPTOR.oneofs_by_name["body"].fields]

WORDS = st.sampled_from(
    ["", "map", "login", "silence", "publisher_paused", "fresh", "x" * 300, "\x1b[2J", "٣", "1.2.3"]
)
ADDRESSES = st.sampled_from(
    ["192.0.2.1:443", "[2001:db8::1]:443", ":", "host:1", "[fe80::1%eth0]:1", "1.2.3.4.5:6", "٣:1"]
)
NUMBERS = st.sampled_from([0, 1, 2, 3, 2**31, 2**32 - 1])
DOUBLES = st.sampled_from(
    [0.0, 1.0, -1.0, 1e308, -1e308, 1e-308, math.inf, -math.inf, math.nan, NOW, NOW + 5]
)


@st.composite
def bodies(draw: st.DrawFn, descriptor: Any) -> dict[str, Any]:
    """Values for some fields of a message, each of its type and none of its meaning."""
    given: dict[str, Any] = {}
    for field in descriptor.fields:
        if draw(st.integers(0, 3)) == 0 or (
            field.has_presence and field.message_type and draw(st.booleans())
        ):
            continue
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            value = "a" if field.message_type.fields_by_name["value"].type == field.TYPE_STRING else 7
            given[field.name] = {draw(WORDS): value}
            continue
        match field.type:
            case field.TYPE_MESSAGE:
                value = draw(bodies(field.message_type))
            case field.TYPE_STRING:
                value = draw(ADDRESSES if field.name.endswith("address") else WORDS)
            case field.TYPE_BYTES:
                value = draw(st.sampled_from([b"", b"{}", b'{"error":1}', b"[" * 5000, b"nul", b"\xff"]))
            case field.TYPE_BOOL:
                value = draw(st.booleans())
            case field.TYPE_DOUBLE:
                value = draw(DOUBLES)
            case _:
                value = draw(NUMBERS)
        given[field.name] = [value] if field.name in {"self_addresses", "webhooks"} else value
    return given


TOLD = {
    "publisher": ["heartbeat", "degraded", "verdict", "resync"],
    "liveness": ["heartbeat", "verdict"],
    "control_connection": [
        "stage_entered", "session_ended", "login_needed", "connection_info", "registered", "probe_result", "hello",
        "truth_probe",
    ],
    "dev_control": ["dev_reply", "ready"],
    "http_endpoint": ["status_request"],
    "webhooks": ["dev_reply", "heartbeat"],
}  # fmt: skip
"""Who says what; others may say it, too."""


@st.composite
def words(draw: st.DrawFn, names: tuple[str, ...] = ()) -> internal_pb2.Envelope:
    """An envelope of this run from any actor, with one of these bodies or any."""
    actor = draw(st.sampled_from([*TOLD, "nobody"]))
    usual = draw(st.integers(0, 3)) > 0
    name = draw(st.sampled_from(names or (TOLD.get(actor, BODIES) if usual else BODIES)))
    message = internal_pb2.Envelope.DESCRIPTOR.fields_by_name[name].message_type
    envelope = internal_pb2.Envelope(
        version=1,
        run=bytes.fromhex(RUN),
        actor=actor,
        incarnation=draw(st.sampled_from([1, 1, 1, 2])),
        **{name: draw(bodies(message))},
    )
    getattr(envelope, name).SetInParent()
    return envelope


# Between processes

SECRET = Secret(bytes(32))


def _envelopes() -> list[bytes]:
    codec = Codec(RUN, "publisher", 1, peer="supervisor", secret=SECRET)
    statistics = internal_pb2.PublisherStatistics(state="fresh", peers=3, self_addresses=["100.64.0.1"])
    return [
        codec.wrap(internal_pb2.Hello(pid=1, time_namespace="time:[1]")),
        codec.wrap(internal_pb2.Heartbeat(number=1, publisher=statistics, counters={"a": 1})),
        codec.wrap(internal_pb2.SessionEnded(generation=1, reason="closed", detail="x" * 300)),
    ]


@fuzzed
@given(hostile(_envelopes()))
@example(b"\x0a\xff\xff\xff\xff\x0f")
@example(bytes(2 << 20))
@example(b"\x52\x00" * 400_000)
@example(b"\x0b" * 100_000)
def test_f62_an_envelope(data: bytes) -> None:
    for proved in (data, SECRET.proof(data[24:]) + data[16:]):
        codec = Codec(RUN, "supervisor", 1, peer="publisher", secret=SECRET)
        opened = survive(lambda: codec.open(proved), len(data), ForeignEnvelope)  # noqa: B023
        assert (opened is None) == (codec.foreign == 1)
        assert opened is None or len(proved) <= MAX_CONTROL_MESSAGE


class _Daemon:
    """What the Supervisor lends to operators' requests, around a simulated core."""

    def __init__(self, shell: SimulatedShell) -> None:
        self.shell = shell
        # Nobody, root neither, can make a key there.
        self.settings = RunSettings(state_dir="/proc/s", runtime_dir="/r")

    def process(self, actor: str) -> Any:
        return SimpleNamespace(pid=1, send=lambda number: None) if actor in self.shell.processes else None

    def happened(self, event: Any) -> None:
        self.shell.feed(event)

    def end(self, who: str) -> None:
        self.shell.feed(Stop(who))

    def tell(self, actor: str, body: Any) -> bool:
        return actor in self.shell.processes

    def report(self) -> Any:
        report = make_report(self.shell.core, self.settings, SupervisorFacts("1", 1, 0.0), self.shell.now)
        msgspec.json.encode(report)
        return report

    def counters(self) -> dict[str, dict[str, int]]:
        return {name: dict(beat.counters) for name, beat in self.shell.core.heartbeats.items()}

    def event(self, level: str, event: str, fields: Any) -> None:
        msgspec.json.encode(dict(fields))


class _Loop:
    """Timers that never fire."""

    def now(self) -> float:
        return NOW

    def at(self, when: float, call: Any) -> Any:
        assert math.isfinite(when), "a timer at no time holds up every other one"
        return SimpleNamespace(cancel=lambda: None, when=when)

    def call_soon(self, call: Any) -> None:
        call()


@fuzzed
@given(st.lists(words(), min_size=1, max_size=6), st.booleans())
def test_words_to_the_supervisor(envelopes: list[internal_pb2.Envelope], mapped: bool) -> None:
    shell = SimulatedShell().start()
    shell.make_ready()
    if mapped and "control_connection" in shell.processes:
        shell.session()
    daemon = _Daemon(shell)
    loop: Any = _Loop()
    requests = OperatorRequests(daemon, loop, dict)
    routes = RouteWatch.__new__(RouteWatch)
    routes._loop, routes._on_route, routes.looks = loop, shell.feed, 0
    routes._routes = ControlRoutes(lambda host: f"eth0 via {host}", lambda: ["192.0.2.1"])
    routes._socket = SimpleNamespace()  # type: ignore[assignment]
    replies: list[Any] = []
    for envelope in envelopes:
        if envelope.WhichOneof("body") == "dev_reply":
            waiting: Any = SimpleNamespace(answer=replies.append, refuse=replies.append)
            requests._waiting[envelope.dev_reply.token] = SimpleNamespace(  # type: ignore[assignment]
                actor=envelope.actor, request=waiting, timer=SimpleNamespace(cancel=lambda: None)
            )
        if not requests.on_message(envelope):
            shell.feed(ChildMessage(envelope))
        ledger = shell.core.connection.ledger
        routes.aim(ledger.lookup, ledger.remote_address)
        routes.look()
        daemon.report()
        for _, fields in shell.logs:
            msgspec.json.encode(fields)
        deadline = shell.core.deadline()
        assert deadline is not None
        assert math.isfinite(deadline)
    shell.advance(30.0)


@fuzzed
@given(st.lists(words(("progress", "stage_entered", "map_response_received")), max_size=6))
def test_reports_to_liveness(envelopes: list[internal_pb2.Envelope]) -> None:
    shell: Any = SimpleNamespace(
        _detector=LivenessDetector(), log=SimpleNamespace(warning=lambda *_, **__: None)
    )
    now = NOW
    for envelope in envelopes:
        Liveness._feed(shell, envelope)
        deadline = shell._detector.deadline()
        assert deadline is None or not math.isnan(deadline)
        shell._detector.expire(now := now + 1.0)
        silence = shell._detector.silence_deadline()
        assert silence is None or not math.isnan(silence)


@fuzzed
@given(
    st.lists(
        st.tuples(
            st.none() | bodies(internal_pb2.MapResponseReceived.DESCRIPTOR),
            DOUBLES,
            damaged_json([full(node(2)), {"Domain": "a"}]),
        ),
        max_size=5,
    )
)
@example([(None, math.nan, b'{"Node":{"ID":1}}')])
@example([(None, 1e308, b'{"Node":{"ID":1}}')])
def test_map_responses_to_the_publisher(received: list[tuple[dict[str, Any] | None, float, bytes]]) -> None:
    publication = Server().publication
    publication.connection_started(1, NOW)
    number = 0
    for fields, at, document in received:
        number += fields is None
        usual = {"generation": 1, "session": 1, "number": number, "received_at": at}
        header = internal_pb2.MapResponseReceived(**(usual if fields is None else fields))
        survive(
            lambda header=header, document=document: publication.map_response(header, document, NOW, 1.7e9),
            len(document),
            BadMapResponse,
        )
        deadline = publication.deadline(NOW)
        assert deadline is None or 0 <= deadline <= NOW + SILENCE, "fresh for longer than the limit"
        publication.expire(NOW)
        publication.heartbeat(NOW)
        publication.take_outgoing()


# Operators


@fuzzed
@given(
    st.sampled_from(
        ["status", "stop", "reconnect", "reload", "fault", "dev", "keys", "record", "", "x" * 5000]
    ),
    damaged_json(
        [
            {"what": "freeze", "actor": "publisher", "seconds": 1.5},
            {"what": "kill", "actor": "liveness"},
            {"do": "allow", "name": "a", "public_key": "a" * 40},
            {},
        ]
    )
    | st.binary(max_size=60),
    st.integers(0, 200),
)
@example("status", b"[" * 100_000, 0)
@example("fault", b'{"what":"freeze","actor":"publisher","seconds":"nan"}', 0)
@example("keys", b'{"do":"allow","name":"a","public_key":"%s"}' % (b"a" * 40), 0)
@example("keys", b'{"do":"revoke","name":"\\u0000"}', 0)
@example("keys", b'{"do":"server"}', 0)
@example("keys", b'{"do":["list"]}', 0)
@example("dev", b'{"a":' * 900 + b"1" + b"}" * 900, 0)
def test_an_operators_request(command: str, arguments: bytes, spoilt: int) -> None:
    shell = SimulatedShell().start()
    shell.make_ready()
    loop: Any = _Loop()
    requests = OperatorRequests(_Daemon(shell), loop, dict)
    sent: list[bytes] = []
    server = AdminServer.__new__(AdminServer)
    server._handle, server._refused, server._viewer = requests.on_request, 0, lambda: 0
    whose: Any = SimpleNamespace(whose=lambda _: Origin(0, 1))
    server.acceptor = whose
    connection: Any = SimpleNamespace(reply=sent.append)
    data = internal_pb2.AdminRequest(command=command, arguments=arguments).SerializeToString()
    data = data[:-spoilt] if spoilt and spoilt < len(data) else data
    survive(lambda: server.take(data, connection), len(data), work=1.0)
    waits = len(requests._waiting)
    assert len(sent) + waits == 1


# Subscribers' requests, and who they are

REQUEST = netmap_pb2.Request(schema=SCHEMA, token=b"12345678", epoch=1, seq=2).SerializeToString()


@fuzzed
@given(st.lists(hostile([REQUEST, REQUEST + REQUEST]), min_size=1, max_size=3))
@example([b"\x12\xff\xff\xff\xff\x0f"])
@example([netmap_pb2.Request(schema=SCHEMA, token=bytes(60_000)).SerializeToString()])
@example([netmap_pb2.Request(schema=SCHEMA, token=b"t", epoch=2**64 - 1, seq=2**64 - 1).SerializeToString()])
def test_a_subscribers_request(frames: list[bytes]) -> None:
    server = Server()
    server.feed(full(node(2)), NOW)
    front: Any = SimpleNamespace(
        _malformed=0, _answers=Answers(), _publication=server.publication, _loop=_Loop()
    )
    size = sum(map(len, frames))
    survive(lambda: Front._on_request(front, [b"id", *frames]), size)
    following = survive(lambda: front._answers.next(NOW), size)
    assert (following is None) == (front._malformed == 1)
    if following is not None:
        assert len(netmap_pb2.Reply.FromString(following[1]).token) <= 64


@fuzzed
@given(
    st.lists(
        st.one_of(st.sampled_from([b"1.0", b"", DOMAIN, b"CURVE", bytes(32)]), st.binary(max_size=64)),
        max_size=9,
    )
)
@example([b"1.0", b"1", DOMAIN, b"192.0.2.1", b"", b"CURVE", b"\xff" * 32])
@example([b"1.0", b"1", DOMAIN, b"\xff\x1b[2J" * 50, b"", b"CURVE", bytes(31)])
def test_a_question_about_a_client(frames: list[bytes]) -> None:
    sent, told = [], []
    handler = ZapHandler.__new__(ZapHandler)
    handler._allowed, handler._on_decision = AllowList.__new__(AllowList), lambda *what: told.append(what)
    handler._allowed.find = lambda public: None  # type: ignore[method-assign]
    handler.admitted = handler.refused = 0
    handler._socket = SimpleNamespace(  # type: ignore[assignment]
        recv_multipart=lambda _: frames, send_multipart=lambda answer, _: sent.append(answer)
    )
    survive(handler._answer, sum(map(len, frames)))
    assert [answer[2] for answer in sent] == [b"400"]
    assert told[0][0] is None
    assert handler.admitted == 0


@fuzzed
@given(st.lists(st.lists(st.binary(max_size=10), min_size=1, max_size=2), max_size=4))
def test_an_event_of_a_sockets_monitor(events: list[list[bytes]]) -> None:
    waiting = iter(events)

    def recv(_: int) -> list[bytes]:
        try:
            return next(waiting)
        except StopIteration:
            raise zmq.Again from None

    survive(lambda: next_event(SimpleNamespace(recv_multipart=recv)), 100)  # type: ignore[arg-type]


# What a publisher sends, as a subscriber takes it


def _published() -> tuple[list[tuple[bytes, bytes]], list[bytes]]:
    """Messages of a short life and the answer that comes before them."""
    server = Server()
    server.feed(full(node(2), node(3, CapMap={"a": [1]}), DNSConfig={"Proxied": True}), NOW)
    server.publication.take_outgoing()
    answer = list(server.publication.answer(b"\x00" * 7 + b"\x01", 0, 0, lambda: NOW))
    server.feed({"PeersChangedPatch": [{"NodeID": 2, "Online": False}], "PeersRemoved": [3]}, NOW, number=2)
    server.feed({"UserProfiles": [{"ID": 1, "LoginName": "a"}], "Domain": "b"}, NOW, number=3)
    messages = [(one.topic, one.message) for one in server.publication.take_outgoing()]
    beat = server.publication.heartbeat(NOW)
    return [*messages, (beat.topic, beat.message)], answer


MESSAGES, ANSWER = _published()
kinds = st.sampled_from([topic_of(kind) for kind in Kind] + [b"", b"netmap/1/new", b"\xff"])


def read_all(replica: Replica, events: list[Any]) -> None:
    """What its user may look at."""
    for event in events:
        json.dumps(event.to_json())
    netmap = replica.netmap
    json.dumps(netmap.to_json())
    for peer in netmap.peers.values():
        repr(peer)
        netmap.find(peer.name)
    netmap.peers.by_tag("a")
    netmap.peers.by_user("a")
    netmap.peers.by_key("nodekey:a")


@fuzzed
@given(
    damaged(ANSWER) | st.just(ANSWER[0]),
    st.lists(
        st.tuples(
            st.integers(0, len(MESSAGES) - 1),
            st.none() | kinds,
            st.none() | damaged([m for _, m in MESSAGES]),
        )
    ),
    st.booleans(),
)
def test_a_publishers_messages(
    answer: bytes, heard: list[tuple[int, bytes | None, bytes | None]], again: bool
) -> None:
    tokens = itertools.count(1)
    replica = Replica(jitter=lambda: 0.5, token=lambda: next(tokens).to_bytes(8, "big"))
    replica.emit = True
    replica.start(NOW)

    def follow() -> None:
        events = replica.expire(NOW)
        replica.to_send()
        events += replica.receive_answer(answer, NOW)
        for place, topic, message in heard:
            true_topic, true_message = MESSAGES[place]
            events += replica.receive(topic or true_topic, message or true_message, NOW)
            replica.to_send()
        if again:
            events += replica.expire(NOW + 2.0)
            replica.to_send()
            events += replica.receive_answer(ANSWER[0].replace(b"\x00\x01", b"\x00\x02"), NOW + 2.0)
        read_all(replica, events)

    size = len(answer) + sum(len(message or b"") + 200 for _, _, message in heard)
    survive(follow, size)


@fuzzed
@given(hostile([ANSWER[0], *(message for _, message in MESSAGES)]), st.integers(1, 30))
@example(b"\x0a\x7f\x61", 1)
def test_pieces(data: bytes, field: int) -> None:
    def read() -> None:
        payloads, rest = cut(data, field)
        assert sum(map(len, payloads)) + len(rest) <= len(data)

    survive(read, len(data), BadPieces)
    text = survive(lambda: first_text(data, field), len(data), BadPieces)
    assert text is None or text.encode() in data


def test_every_declared_refusal_is_one_of_ours() -> None:
    assert all(issubclass(kind, NetmapError) for kind in (ForeignEnvelope, BadPieces, BadMapResponse))
