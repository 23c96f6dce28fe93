"""HTTP/2: requests and responses in any fragmentation, flow control, and floods that end the connection."""

from __future__ import annotations

import itertools
import struct

import h2.errors
import pytest
from hyperframe.frame import DataFrame
from hypothesis import given, settings
from hypothesis import strategies as st

from netmap_actors.errors import LocalProtocolError
from netmap_actors.protocol.headers import first_header
from netmap_actors.protocol.http2 import (
    GoAway,
    Http2Client,
    Http2Server,
    PingAcked,
    PingReceived,
    RequestData,
    RequestEnded,
    RequestReceived,
    RequestReset,
    ResponseData,
    ResponseEnded,
    ResponseHeaders,
    ResponseReset,
)
from netmap_actors.protocol.http2.events import ClientEvent
from netmap_actors.protocol.http2.frame_guard import (
    MAX_DATA_FRAME,
)
from tests.support.servers.http2_pair import (
    DATA,
    GOAWAY,
    KEEP_ALIVE,
    NOW,
    PADDED,
    WINDOW,
    Pair,
    body_of,
    frame,
)


def test_no_received_body_is_written_out_for_a_trace_that_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = Pair()
    stream_id = pair.poll()
    pair.server.send_data(stream_id, b"x" * 40_000)
    data = pair.server.data_to_send()
    written: list[int] = []
    monkeypatch.setattr(DataFrame, "serialize_body", lambda frame: written.append(len(frame.data)) or b"")
    assert body_of(pair.client.receive(data, NOW), stream_id) == b"x" * 40_000
    assert written == []


def test_a_request_and_its_response_pass() -> None:
    pair = Pair()
    stream_id = pair.client.request("POST", "/machine/register", [("Ts-Lb", "nodekey:x")], b"{}")
    _, seen = pair.carry()
    (request,) = [e for e in seen if isinstance(e, RequestReceived)]
    assert (request.stream_id, request.method, request.path) == (stream_id, "POST", "/machine/register")
    assert first_header(request.headers, "ts-lb") == "nodekey:x"
    assert first_header(request.headers, "content-length") == "2"
    assert seen[1:] == [RequestData(stream_id, b"{}"), RequestEnded(stream_id)]
    pair.server.respond(stream_id, 200, [("Content-Type", "application/json")], b'{"User":{}}')
    got, _ = pair.carry()
    assert got == [
        ResponseHeaders(stream_id, 200, (("content-type", "application/json"),)),
        ResponseData(stream_id, b'{"User":{}}'),
        ResponseEnded(stream_id),
    ]
    assert not pair.server.is_open(stream_id)


@pytest.mark.parametrize("body", [None, b""])
def test_a_response_without_body_ends_with_its_headers(body: bytes | None) -> None:
    pair = Pair()
    stream_id = pair.client.request("GET", "/machine/whoami")
    _, seen = pair.carry()
    assert seen[-1] == RequestEnded(stream_id)
    pair.server.respond(stream_id, 204, body=body)
    assert pair.carry()[0] == [ResponseHeaders(stream_id, 204, ()), ResponseEnded(stream_id)]


def test_two_exchanges_run_beside_each_other() -> None:
    pair = Pair()
    poll = pair.poll()
    other = pair.client.request("POST", "/machine/register", body=b"{}")
    pair.carry()
    pair.server.send_data(poll, b"one")
    pair.server.respond(other, 200, body=b"two")
    got, _ = pair.carry()
    assert body_of(got, poll) == b"one"
    assert body_of(got, other) == b"two"
    assert ResponseEnded(other) in got
    assert ResponseEnded(poll) not in got


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 10**6), max_size=40), st.lists(st.binary(max_size=5000), max_size=5))
def test_any_split_gives_the_same_events(cuts: list[int], pieces: list[bytes]) -> None:
    def wire() -> tuple[Http2Client, int, bytes]:
        pair = Pair()
        stream_id = pair.client.request("POST", "/machine/map", body=b"{}", stream=True)
        pair.to_server()
        pair.server.respond(stream_id, 200, end=False)
        for piece in pieces:
            pair.server.send_data(stream_id, piece)
        pair.server.send_data(stream_id, b"", end=True)
        pair.server.goaway(0, b"bye")
        return pair.client, stream_id, pair.server.data_to_send()

    client, _, data = wire()
    whole = client.receive(data, NOW)
    client, _, data = wire()
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    assert [e for a, b in itertools.pairwise(edges) for e in client.receive(data[a:b], NOW)] == whole


@pytest.mark.parametrize("padding", [0, 200])
def test_the_windows_never_run_dry_in_tens_of_thousands_of_keep_alives(padding: int) -> None:
    pair = Pair()
    stream_id = pair.poll()
    rounds, per_round = 80, 500
    payload = bytes([padding]) + KEEP_ALIVE + bytes(padding) if padding else KEEP_ALIVE
    wire = frame(DATA, PADDED if padding else 0, stream_id, payload) * per_round
    opened = {0: 0, stream_id: 0}
    for _ in range(rounds):
        assert body_of(list(pair.client.receive(wire, NOW)), stream_id) == KEEP_ALIVE * per_round
        answer = pair.client.data_to_send()
        while answer:
            length, kind, target = (
                int.from_bytes(answer[:3], "big"),
                answer[3],
                int.from_bytes(answer[5:9], "big"),
            )
            assert kind == WINDOW
            opened[target] += int.from_bytes(answer[9:13], "big")
            answer = answer[9 + length :]
    used = rounds * per_round * len(payload)
    assert pair.client.window_low >= 0.5 - len(wire) / (4 << 20)
    assert used - opened[stream_id] <= 2 << 20
    assert used - opened[0] <= 8 << 20


def test_padding_without_data_is_given_back_too() -> None:
    pair = Pair()
    stream_id = pair.poll()
    padding_only = frame(DATA, PADDED, stream_id, b"\xff" + bytes(255))
    useful = frame(DATA, 0, stream_id, b"x")
    for _ in range(800):
        pair.client.receive((padding_only * 90 + useful), NOW)
    # 18 MiB of padding: more than either window holds.
    assert pair.client.window_low > 0.49


def test_a_body_many_times_the_windows_passes() -> None:
    pair = Pair()
    stream_id = pair.poll()
    body = bytes(range(256)) * (50 << 12)
    pair.server.send_data(stream_id, body, end=True)
    got, _ = pair.carry()
    assert body_of(got, stream_id) == body
    assert got[-1] == ResponseEnded(stream_id)
    assert pair.client.window_low > 0


def test_data_on_a_cancelled_stream_is_given_back_to_the_connection() -> None:
    pair = Pair()
    piece = bytes(MAX_DATA_FRAME)
    for _ in range(8):
        stream_id = pair.poll()
        pair.client.cancel(stream_id)
        # What the server had in flight when it was cancelled: a full window of the stream.
        for _ in range(60):
            assert pair.client.receive(frame(DATA, 0, stream_id, piece), NOW) == []
    # 30 MiB went to streams nobody reads; the connection's 16 MiB still suffice for a new one.
    assert pair.carry()[0] == []
    stream_id = pair.poll()
    assert body_of(list(pair.client.receive(frame(DATA, 0, stream_id, piece), NOW)), stream_id) == piece


def test_a_cancelled_request_gives_no_more_events() -> None:
    pair = Pair()
    stream_id = pair.poll()
    pair.server.send_data(stream_id, b"late")
    pair.client.cancel(stream_id)
    pair.client.cancel(stream_id)
    assert pair.to_client() == []
    assert pair.to_server() == [RequestReset(stream_id, int(h2.errors.ErrorCodes.CANCEL))]
    assert not pair.server.is_open(stream_id)
    pair.server.send_data(stream_id, b"later")
    pair.server.respond(stream_id, 200)
    pair.server.reset(stream_id)
    assert pair.carry() == ([], [])


def test_a_reset_by_the_server_is_reported() -> None:
    pair = Pair()
    stream_id = pair.poll()
    pair.server.reset(stream_id, h2.errors.ErrorCodes.INTERNAL_ERROR)
    assert pair.carry()[0] == [ResponseReset(stream_id, 2)]
    assert not pair.client.over


def test_a_request_body_beyond_the_window_waits_for_it() -> None:
    pair = Pair()
    pair.server = Http2Server()
    pair.client = Http2Client("x")
    stream_id = pair.client.request("POST", "/machine/register", body=bytes(900_000))
    first = pair.client.data_to_send()
    assert len(first) < 70_000
    assert pair.client.queued_bytes(stream_id) == 900_000 - 65_535
    pair.server.receive(first, NOW)
    _, seen = pair.carry()
    assert RequestEnded(stream_id) in seen
    assert pair.client.queued_bytes(stream_id) == 0


def test_output_can_be_taken_in_bounded_pieces() -> None:
    pair = Pair()
    stream_id = pair.poll()
    pair.server.send_data(stream_id, bytes(2_000_000), end=True)
    got: list[ClientEvent] = []
    while piece := pair.server.data_to_send(100_000):
        assert len(piece) <= 100_000
        got += pair.client.receive(piece, NOW)
    assert len(body_of(got, stream_id)) == 2_000_000
    assert got[-1] == ResponseEnded(stream_id)


def test_a_ping_comes_back_with_its_bytes() -> None:
    pair = Pair()
    pair.client.ping(b"12345678")
    assert pair.carry() == ([PingAcked(b"12345678")], [PingReceived(b"12345678")])
    pair.server.ping(b"abcdefgh")
    assert pair.carry() == ([], [PingAcked(b"abcdefgh")])
    with pytest.raises(LocalProtocolError):
        pair.client.ping(b"short")


def test_goaway_ends_the_connection_and_hides_what_follows() -> None:
    pair = Pair()
    stream_id = pair.poll()
    pair.server.send_data(stream_id, b"before")
    wire = pair.server.data_to_send()
    goaway = frame(GOAWAY, 0, 0, struct.pack(">II", 2**31 - 1, 11) + b"too \x1b[31mfast")
    after = frame(DATA, 0, stream_id, b"after") + b"garbage"
    got = pair.client.receive(wire + goaway + after, NOW)
    assert got == [ResponseData(stream_id, b"before"), GoAway(11, "too \\x1b[31mfast")]
    assert pair.client.over
    assert pair.client.receive(b"anything", NOW) == []
    with pytest.raises(LocalProtocolError):
        pair.client.request("GET", "/")
    with pytest.raises(LocalProtocolError):
        pair.client.ping(bytes(8))
    pair.client.cancel(stream_id)


def test_the_end_of_the_server_is_a_goaway_at_the_client() -> None:
    pair = Pair()
    stream_id = pair.poll()
    pair.server.goaway(0, b"restart")
    assert pair.carry()[0] == [GoAway(0, "restart")]
    assert pair.server.over
    pair.server.send_data(stream_id, b"x")
    pair.server.goaway()
    assert pair.server.data_to_send() == b""
