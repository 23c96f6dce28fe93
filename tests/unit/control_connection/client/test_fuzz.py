"""Whatever a control server says inside the session: map frames, MapResponses, answers, wishes.

Each ends in a netmap or a declared refusal, in bounded time and memory; the last test goes through all storeys.
"""

from __future__ import annotations

import bisect
import json
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from netmap_actors.control_connection.client.events import SessionFailed
from netmap_actors.control_connection.client.head_request import HeadRequest
from netmap_actors.control_connection.client.ping import HeadToControl, PingAnswerer
from netmap_actors.control_connection.client.registration.register import parse_register_response
from netmap_actors.control_connection.client.server.control_url import ControlUrl
from netmap_actors.errors import BadMapResponse, RemoteProtocolError
from netmap_actors.protocol.map_framing import MapFrameReader, encode_frame
from netmap_actors.tailcfg import PingRequest, check_map_response_shape
from tests.support.inputs.fuzzing import damaged, damaged_json, fuzzed, hostile, survive
from tests.support.netmaps.netmap_replica import moment
from tests.support.netmaps.publishing import Follower, Server, full, node
from tests.support.servers.scripted_control import (
    FIRST_MAP,
    FRESH,
    KEEP_ALIVE,
    LOGGED_IN,
    REGISTERED,
    ScriptedControl,
)

NOW = 1000.0
cuts = st.integers(0, 500)

# The map stream: framing, compression, JSON

NODE = node(
    1,
    StableID="self",
    Tags=["tag:a"],
    KeyExpiry="2030-01-01T00:00:00Z",
    CapMap={"a": [1]},
    Hostinfo={"OS": "linux"},
)
MAPS: list[Any] = [
    full(
        NODE | {"ID": 2, "StableID": "n2"},
        NODE | {"ID": 3, "StableID": "n3", "HomeDERP": 3, "Endpoints": ["192.0.2.1:41641"], "User": 2},
        DERPMap={"HomeParams": {"RegionScore": {"1": 0.5}}, "Regions": {"1": {"RegionID": 1, "Nodes": [{}]}}},
        DNSConfig={"Resolvers": [{"Addr": "100.100.100.100"}], "Routes": {"example.": None}, "Proxied": True},
        PacketFilters={"base": [{"SrcIPs": ["*"], "DstPorts": [{"IP": "*", "Ports": {"First": 0, "Last": 65535}}]}]},
        UserProfiles=[{"ID": 1, "LoginName": "a@example.net", "DisplayName": "A"}],
        SSHPolicy={"rules": []},
        Health=["warm"],
        DisplayMessages={"a": {"Title": "t", "PrimaryAction": {"URL": "https://x.example", "Label": "l"}}},
        ControlTime="2026-11-23T00:00:00.5Z",
        Debug={"SleepSeconds": 1.5, "Exit": 1},
        ControlDialPlan={"Candidates": [{"IP": "192.0.2.1", "DialStartDelaySec": 1}]},
        ClientVersion={"RunningLatest": True},
        TKAInfo={"Head": "x"},
    ),
    {
        "PeersChanged": [NODE | {"ID": 4, "StableID": "n4"}],
        "PeersRemoved": [3, -1],
        "PeersChangedPatch": [{"NodeID": 2, "DERPRegion": 4, "Online": False, "KeyExpiry": "2027-01-01T00:00:00Z"}],
        "PeerSeenChange": {"2": True},
        "OnlineChange": {"2": False, "9": True},
    },
    {"KeepAlive": True, "PingRequest": {"URL": "https://control.example/x", "Types": "c2n", "Payload": "R0VU"}},
]  # fmt: skip
LIMIT = 1 << 20
FRAMED = [
    encode_frame(json.dumps(MAPS[0]).encode(), compress=True) + encode_frame(KEEP_ALIVE, compress=True),
    encode_frame(FIRST_MAP, compress=True),
    encode_frame(bytes(300_000), compress=True),
    # What zstd can say that Go servers do not: no single segment, no content size, a dictionary, skippable frames.
    b"\x11\x00\x00\x00\x28\xb5\x2f\xfd\x00\x58\x41\x00\x00hello123",
    bytes.fromhex("0d000000" + "28b52ffde06c06060663636363"),
    b"\x0c\x00\x00\x00\x50\x2a\x4d\x18\x04\x00\x00\x00abcd",
]


@fuzzed
@given(hostile(FRAMED), cuts, st.booleans())
@example(encode_frame(bytes(LIMIT), compress=True), 7, True)
@example(encode_frame(bytes(64 << 20), compress=True), 7, True)
@example(b"\xff\xff\xff\xff", 0, False)
@example((LIMIT + 1).to_bytes(4, "little") + bytes(LIMIT + 1), 0, False)
def test_the_frames_of_the_map_stream(data: bytes, cut: int, compressed: bool) -> None:
    reader = MapFrameReader(LIMIT, compressed=compressed)

    def read() -> list[bytes]:
        found = [*reader.receive(data[:cut]), *reader.receive(data[cut:])]
        reader.eof()
        return found

    documents = survive(read, len(data), BadMapResponse, cap=4 * LIMIT)
    assert all(len(document) <= LIMIT for document in documents or ())


def test_a_frame_that_unpacks_without_end_stops_at_the_limit() -> None:
    """Without a declared size only the running count is left."""
    block = b"\x02" + b"\x00\x10" + b"a"  # RLE, 128 KiB of it from four bytes
    block = (128 * 1024 << 3 | 1 << 1).to_bytes(3, "little") + b"a"
    frame = b"\x28\xb5\x2f\xfd\x00\x58" + block * 10_000
    data = len(frame).to_bytes(4, "little") + frame
    reader = MapFrameReader(LIMIT)
    said: list[str] = []

    def read() -> None:
        try:
            reader.receive(data)
        except BadMapResponse as error:
            said.append(str(error))

    survive(read, len(data), cap=4 * LIMIT)
    assert said == [f"cannot decompress: more than {LIMIT} bytes come out"]


documents = st.one_of(
    damaged_json(MAPS), damaged_json(MAPS), damaged([json.dumps(one).encode() for one in MAPS])
)


@fuzzed
@given(st.lists(documents, min_size=1, max_size=4), st.booleans())
@example([b'{"Node":' + b"[" * 100_000 + b"]" * 100_000 + b"}"], True)
@example([b'{"Node":{"ID":1},"Peers":[' + b'{"CapMap":' * 900 + b"1" + b"}" * 900 + b"]}"], True)
@example([b"[" * 1_000_000], True)
@example([b'{"PeersRemoved":[' + b"9" * 100_000 + b"]}"], True)
def test_what_passes_the_gate_becomes_a_netmap_that_can_be_shown(documents: list[bytes], begun: bool) -> None:
    """Through the connection's gate, the delta engine, the bus and the subscriber's view."""
    server, follower = Server(), Follower()
    number = 0
    if begun:
        server.feed(MAPS[0], NOW, number=(number := 1))
        server.publication.take_outgoing()
        follower.replica.emit = True
        follower.ask(server.publication, NOW)
    for document in documents:
        gone_on = survive(
            lambda document=document: (check_map_response_shape(document),), len(document), BadMapResponse
        )
        if gone_on is None:
            break
        number += 1
        taken = survive(
            lambda document=document, number=number: (server.feed_bytes(document, NOW, number=number),),
            len(document),
            BadMapResponse,
            cap=4 << 20,
        )
        if taken is None:
            break
        follower.hear(server.publication.take_outgoing(), NOW)
    for wait in (1.0, 2.0):
        # What it has not heard it asks for.
        follower.ask(server.publication, NOW + wait)
    assert set(follower.pieces()) == set(server.truth())
    for event in follower.events:
        json.dumps(event.to_json())
    json.dumps(follower.replica.netmap.to_json())
    server.publication._netmap.facts()
    server.publication.pass_time(NOW, moment("2031-01-01T00:00:00Z"))


@pytest.mark.parametrize(
    "place",
    [
        b'"Peers":[{"ID":2,"StableID":"x","CapMap":{"a":[%s]}}]',
        b'"Peers":[{"ID":2,"StableID":"x"}],"PeersChangedPatch":[{"NodeID":2,"New":%s}]',
        b'"DNSConfig":{"New":%s}',
        b'"PacketFilters":{"a":[%s]}',
        b'"DERPMap":{"Regions":{"1":{"RegionID":1,"New":%s}}}',
        b'"UserProfiles":[{"ID":1,"New":%s}]',
        b'"DisplayMessages":{"a":{"Title":"t","New":%s}}',
        b'"ClientVersion":{"New":%s}',
    ],
)
def test_nesting_just_below_the_limit_is_a_netmap_and_beyond_it_a_bad_map_response(place: bytes) -> None:
    """The gate and the engine stand at different depths of the stack: what passes one must not fail in the other."""

    def nested(depth: int) -> bytes:
        return b'{"Node":{"ID":1,"User":1},' + place % (b'{"a":' * depth + b"1" + b"}" * depth) + b"}"

    def too_deep(depth: int) -> bool:
        try:
            check_map_response_shape(nested(depth))
        except BadMapResponse:
            return True
        return False

    limit = bisect.bisect_left(range(100_000), True, key=too_deep)
    outcomes = set()
    for depth in range(limit - 50, limit + 5):
        document = nested(depth)
        server, follower = Server(), Follower()
        follower.replica.emit = True
        try:
            check_map_response_shape(document)
            server.feed_bytes(document, NOW)
        except BadMapResponse:
            outcomes.add("refused")
            continue
        outcomes.add("taken")
        follower.ask(server.publication, NOW)
        assert follower.events
        for event in follower.events:
            msgspec.json.encode(event.to_json())
        msgspec.json.encode(follower.replica.netmap.to_json())
    assert outcomes == {"taken", "refused"}


# Answers and wishes inside the session

REGISTER_ANSWERS: list[Any] = [
    LOGGED_IN,
    {"AuthURL": "https://login.example/a/1"},
    {"Error": "invalid auth key \x1b[2J"},
    {"NodeKeyExpired": True},
    {"NodeKeySignature": "AAAA"},
    None,
]
register_answers = st.one_of(
    damaged_json(REGISTER_ANSWERS), damaged([json.dumps(one).encode() for one in REGISTER_ANSWERS])
)


@fuzzed
@given(register_answers)
@example(b'{"User":' * 50_000)
def test_the_answer_to_a_register(data: bytes) -> None:
    survive(lambda: parse_register_response(data), len(data), RemoteProtocolError)


@fuzzed
@given(st.lists(register_answers, min_size=1, max_size=3), st.sampled_from([200, 200, 401, 429]))
@example([b'{"AuthURL":"https://["}'], 200)
@example([b'{"AuthURL":"https://[v1.a]/"}'], 200)
@example([b'{"AuthURL":"https://a\\u2100b/"}'], 200)
def test_a_registration_goes_on_or_fails(answers: list[bytes], status: int) -> None:
    control = ScriptedControl(FRESH).start()
    for data in answers:
        if control.session.over:
            break
        control.answer(data, status)
        control.wait(6.0)
    assert len(control.take(SessionFailed)) == int(control.session.over)


@fuzzed
@given(register_answers, st.sampled_from([200, 200, 404, 500]))
def test_the_answer_to_the_truth_probe(data: bytes, status: int) -> None:
    control = ScriptedControl(REGISTERED).start()
    control.send_map(FIRST_MAP)
    control.note(control.session.ask_truth(control.now))
    control.settle()
    control.answer(data, status)
    assert len(control.take(SessionFailed)) == int(control.session.over)


PING_URLS = [
    "https://control.example/machine/ping-response?id=1",
    "http://control.example:8080/a?b",
    "https://evil.example/",
    "//control.example",
    "http://[",
    "https://[::1/",
    "http://control.example:99999999/",
    "http://control.example:8080/\x7f",
]
C2N = [
    b"GET /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi",
    b"POST /update HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    b"HEAD /echo HTTP/1.0\r\n\r\n",
    b"CONNECT /echo HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /echo HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
    b"GET /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n",
    b"GET //[ HTTP/1.1\r\nHost: x\r\n\r\n",
]


@fuzzed
@given(
    st.sampled_from(PING_URLS)
    | st.text(max_size=60)
    | damaged([url.encode() for url in PING_URLS]).map(lambda b: b.decode("latin-1")),
    st.sampled_from(["", "c2n", "c2n", "TSMP", "\x00"]),
    hostile(C2N),
    st.booleans(),
)
@example(
    "https://control.example/",
    "c2n",
    b"CONNECT /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi",
    False,
)
@example("https://control.example/", "c2n", b"GET //[ HTTP/1.1\r\nHost: x\r\n\r\n", False)
def test_pings_and_requests_to_the_node(url: str, types: str, payload: bytes, over_noise: bool) -> None:
    control_url = ControlUrl.parse("http://control.example:8080")
    request = PingRequest(url=url, types=types, payload=payload, url_is_noise=over_noise)
    answer = survive(lambda: PingAnswerer(control_url).decide(request, NOW), len(url) + len(payload))
    if isinstance(answer, HeadToControl):
        HeadRequest(control_url, answer.url).data_to_send()


# Through all of it


@fuzzed
@given(st.sampled_from(["http2", "map", "document"]), st.data())
def test_a_session_lives_or_says_that_it_failed(layer: str, data: st.DataObject) -> None:
    control = ScriptedControl().start()
    control.send_map(FIRST_MAP)
    control.events.clear()
    assert control.records is not None
    match layer:
        case "http2":
            server = control.http2.data_to_send()
            control.http2.ping(b"pingpong")
            seeds = [
                server + control.http2.data_to_send(),
                b"\x00\x00\x04\x03\x00\x00\x00\x00\x01\x00\x00\x00\x08",
            ]
            control.to_client(control.records.seal(data.draw(hostile(seeds))))
        case "map":
            control.send_map_bytes(data.draw(hostile(FRAMED)))
        case "document":
            control.send_map_bytes(encode_frame(data.draw(documents) or b"0", compress=True))
    control.settle()
    assert len(control.take(SessionFailed)) == int(control.session.over)
