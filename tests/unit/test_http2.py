"""HTTP/2: requests and responses at any split, windows that never run dry, and floods that end the connection."""

from __future__ import annotations

import contextlib
import itertools
import struct

import h2.errors
import hpack
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from netmap_actors.errors import LocalProtocolError, RemoteProtocolError
from netmap_actors.protocol.http2 import (
    FLOOD_LIMIT,
    FLOOD_WINDOW,
    MAX_REQUEST_BODY,
    MAX_RESPONSE_BODY,
    GoAway,
    Http2Client,
    Http2Server,
    PingAcked,
    RequestData,
    RequestEnded,
    RequestReceived,
    RequestReset,
    ResponseData,
    ResponseEnded,
    ResponseHeaders,
    ResponseReset,
)
from netmap_actors.protocol.http2.connection import MAX_EMPTY_DATA
from netmap_actors.protocol.http2.events import ClientEvent, ServerEvent, header
from netmap_actors.protocol.http2.frame_guard import (
    MAX_CONTROL_FRAME,
    MAX_DATA_FRAME,
    MAX_HEADER_BLOCK,
    FrameGuard,
)

NOW = 1000.0
DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
END_STREAM, END_HEADERS, PADDED, ACK = 0x1, 0x4, 0x8, 0x1
KEEP_ALIVE = b"\x1c\x00\x00\x00" + b"k" * 28


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream_id) + payload


def headers(*fields: tuple[str, str]) -> bytes:
    """A header block that leaves the compression state alone."""
    return hpack.Encoder().encode([hpack.NeverIndexedHeaderTuple(n.encode(), v.encode()) for n, v in fields])


class Pair:
    """A client and a server with a wire between them that is carried on demand."""

    def __init__(self) -> None:
        self.client = Http2Client("control.example.com")
        self.server = Http2Server()
        self.carry()

    def to_server(self) -> list[ServerEvent]:
        return list(self.server.receive(self.client.data_to_send(), NOW))

    def to_client(self) -> list[ClientEvent]:
        return list(self.client.receive(self.server.data_to_send(), NOW))

    def carry(self) -> tuple[list[ClientEvent], list[ServerEvent]]:
        """Carry bytes both ways until neither side has any."""
        seen: tuple[list[ClientEvent], list[ServerEvent]] = ([], [])
        while True:
            out, back = self.client.data_to_send(), self.server.data_to_send()
            if not out and not back:
                return seen
            if not self.server.over:
                seen[1].extend(self.server.receive(out, NOW))
            if not self.client.over:
                seen[0].extend(self.client.receive(back, NOW))

    def poll(self) -> int:
        """Begin a long poll and its response."""
        stream_id = self.client.request("POST", "/machine/map", body=b"{}", stream=True)
        self.carry()
        self.server.respond(stream_id, 200, end=False)
        self.carry()
        return stream_id


def body_of(events: list[ClientEvent], stream_id: int) -> bytes:
    return b"".join(e.data for e in events if isinstance(e, ResponseData) and e.stream_id == stream_id)


def test_a_request_and_its_response_pass() -> None:
    pair = Pair()
    stream_id = pair.client.request("POST", "/machine/register", [("Ts-Lb", "nodekey:x")], b"{}")
    _, seen = pair.carry()
    (request,) = [e for e in seen if isinstance(e, RequestReceived)]
    assert (request.stream_id, request.method, request.path) == (stream_id, "POST", "/machine/register")
    assert header(request.headers, "ts-lb") == "nodekey:x"
    assert header(request.headers, "content-length") == "2"
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
    assert pair.carry() == ([PingAcked(b"12345678")], [])
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


# What the other side may not do.


def refused(wire: bytes, *, poll: bool = True) -> str:
    pair = Pair()
    if poll:
        assert pair.poll() == 1
    with pytest.raises(RemoteProtocolError) as caught:
        pair.client.receive(wire, NOW)
    assert pair.client.over
    with pytest.raises(RemoteProtocolError):
        pair.client.receive(b"", NOW)
    with pytest.raises(LocalProtocolError):
        pair.client.request("GET", "/")
    assert len(pair.client.data_to_send()) < 300_000
    return str(caught.value)


@pytest.mark.parametrize(
    "one",
    [
        frame(PING, 0, 0, bytes(8)),
        frame(PING, ACK, 0, bytes(8)),
        frame(SETTINGS, 0, 0),
        frame(RST, 0, 1, bytes(4)),
        frame(WINDOW, 0, 0, b"\x00\x00\x00\x01"),
        frame(PRIORITY, 0, 1, bytes(5)),
        frame(0x77, 0, 0, b"unknown"),
        frame(DATA, 0, 99, b""),
    ],
)
def test_f15_a_flood_of_control_frames_ends_the_connection(one: bytes) -> None:
    assert "control frames" in refused(one * (FLOOD_LIMIT + 1))


def test_control_frames_within_the_limit_are_answered() -> None:
    pair = Pair()
    for burst in range(5):
        now = NOW + (burst + 1) * FLOOD_WINDOW
        pair.client.receive(frame(PING, 0, 0, bytes(8)) * (FLOOD_LIMIT - 10), now)
        assert len(pair.client.data_to_send()) == (FLOOD_LIMIT - 10) * 17
    assert not pair.client.over


def test_the_flood_limit_holds_over_the_calls_of_one_window() -> None:
    pair = Pair()
    with pytest.raises(RemoteProtocolError, match="control frames"):
        for n in range(FLOOD_LIMIT + 1):
            pair.client.receive(frame(PING, 0, 0, bytes(8)), NOW + n * 0.005)


def test_f15_answers_to_a_peer_that_never_reads_are_bounded() -> None:
    pair = Pair()
    pair.client.data_to_send()
    with pytest.raises(RemoteProtocolError, match="does not read"):
        for n in range(100):
            pair.client.receive(frame(PING, 0, 0, bytes(8)) * 900, NOW + 11 * n)


def test_window_updates_for_what_we_send_are_no_flood() -> None:
    pair = Pair()
    stream_id = pair.poll()
    pair.server.send_data(stream_id, bytes(4_000_000))
    sent = pair.server.data_to_send()
    assert len(sent) > 4_000_000
    # As Go's transport does it: two updates for each 4 KiB.
    update = frame(WINDOW, 0, 0, b"\x00\x00\x00\x01")
    pair.server.receive(update * 1950, NOW)
    assert not pair.server.over
    with pytest.raises(RemoteProtocolError, match="control frames"):
        pair.server.receive(update * (4_000_000 // 1024 - 1950 + FLOOD_LIMIT + 1), NOW)


@pytest.mark.parametrize(
    "empty",
    [frame(DATA, 0, 1), frame(DATA, PADDED, 1, b"\x00"), frame(DATA, PADDED, 1, b"\xff" + bytes(255))],
)
def test_f15_empty_data_is_ignored_and_then_too_much(empty: bytes) -> None:
    pair = Pair()
    stream_id = pair.poll()
    for _ in range(50):
        assert pair.client.receive(empty * MAX_EMPTY_DATA, NOW) == []
        assert pair.client.receive(frame(DATA, 0, stream_id, b"x"), NOW) == [ResponseData(stream_id, b"x")]
    assert "empty DATA" in refused(empty * (MAX_EMPTY_DATA + 1))


@pytest.mark.parametrize(
    "head",
    [
        struct.pack(">I", MAX_DATA_FRAME + 1)[1:] + struct.pack(">BBI", DATA, 0, 1),
        b"\xff\xff\xff" + struct.pack(">BBI", DATA, 0, 1),
        struct.pack(">I", MAX_CONTROL_FRAME + 1)[1:] + struct.pack(">BBI", SETTINGS, 0, 0),
        struct.pack(">I", MAX_CONTROL_FRAME + 1)[1:] + struct.pack(">BBI", HEADERS, 0, 1),
        b"HTTP/1.1 400 Bad Request\r\n",
    ],
)
def test_a_frame_too_large_is_refused_from_its_header(head: bytes) -> None:
    refused(head)


def test_f16_a_header_block_too_large_is_refused() -> None:
    begin = frame(HEADERS, 0, 1, bytes(MAX_CONTROL_FRAME))
    more = frame(CONTINUATION, 0, 1, bytes(MAX_CONTROL_FRAME))
    assert "header block" in refused(begin + more * (MAX_HEADER_BLOCK // MAX_CONTROL_FRAME), poll=False)


def test_f16_a_flood_of_continuations_is_refused() -> None:
    refused(frame(HEADERS, 0, 1) + frame(CONTINUATION, 0, 1) * 65)


def test_f16_a_header_bomb_is_refused() -> None:
    encoder = hpack.Encoder()
    first = encoder.encode([(b":status", b"200"), (b"x", b"y" * 3000)])
    again = encoder.encode([(b"x", b"y" * 3000)])
    assert len(again) <= 2
    pair = Pair()
    stream_id = pair.client.request("GET", "/")
    pair.carry()
    with pytest.raises(RemoteProtocolError):
        pair.client.receive(frame(HEADERS, END_HEADERS, stream_id, first + again * 1000), NOW)


def test_f16_informational_responses_are_skipped_but_not_for_ever() -> None:
    pair = Pair()
    stream_id = pair.client.request("GET", "/")
    hint = frame(HEADERS, END_HEADERS, stream_id, headers((":status", "103")))
    assert pair.client.receive(hint * 16, NOW) == []
    with pytest.raises(RemoteProtocolError, match="informational"):
        pair.client.receive(hint, NOW)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", [200, 404])
def test_only_the_body_of_a_streamed_200_has_no_limit(stream: bool, status: int) -> None:
    pair = Pair()
    stream_id = pair.client.request("POST", "/machine/map", body=b"{}", stream=stream)
    pair.carry()
    pair.server.respond(stream_id, status, body=bytes(MAX_RESPONSE_BODY + 1))
    if stream and status == 200:
        assert len(body_of(pair.carry()[0], stream_id)) == MAX_RESPONSE_BODY + 1
    else:
        with pytest.raises(RemoteProtocolError, match="exceeds"):
            pair.carry()


def test_a_request_body_too_long_is_reset_and_the_connection_lives() -> None:
    pair = Pair()
    stream_id = pair.client.request("POST", "/", body=bytes(MAX_REQUEST_BODY + 1))
    got, seen = pair.carry()
    assert got == [ResponseReset(stream_id, 11)]
    assert seen[-1] == RequestReset(stream_id, 11)
    assert not pair.client.over
    assert not pair.server.over


def test_an_answer_before_the_request_was_read_ends_the_request() -> None:
    pair = Pair()
    stream_id = pair.client.request("POST", "/", body=bytes(900_000))
    wire = frame(HEADERS, END_HEADERS | END_STREAM, stream_id, headers((":status", "413")))
    pair.client.data_to_send()
    got = pair.client.receive(wire, NOW)
    assert got == [ResponseHeaders(stream_id, 413, ()), ResponseEnded(stream_id)]
    assert pair.client.queued_bytes(stream_id) == 0


@pytest.mark.parametrize("status", ["", "abc", "20", "2000", "٢٠٠", "-12"])
def test_a_status_that_is_no_number_is_refused(status: str) -> None:
    pair = Pair()
    stream_id = pair.client.request("GET", "/")
    pair.carry()
    with pytest.raises(RemoteProtocolError):
        pair.client.receive(frame(HEADERS, END_HEADERS, stream_id, headers((":status", status))), NOW)


def test_server_push_is_refused() -> None:
    promise = struct.pack(">I", 2) + headers((":method", "GET"), (":path", "/"))
    refused(frame(PUSH, END_HEADERS, 1, promise))


def test_a_second_response_or_an_unknown_stream_is_our_own_fault() -> None:
    pair = Pair()
    stream_id = pair.poll()
    with pytest.raises(LocalProtocolError):
        pair.server.respond(stream_id, 200)
    with pytest.raises(LocalProtocolError):
        pair.server.respond(stream_id + 2, 200)
    pair.server.send_data(stream_id, b"x", end=True)
    with pytest.raises(LocalProtocolError):
        pair.server.send_data(stream_id, b"y")
    other = pair.client.request("GET", "/")
    pair.carry()
    with pytest.raises(LocalProtocolError):
        pair.server.send_data(other, b"too early")


def test_more_requests_than_the_server_admits_are_our_own_fault() -> None:
    pair = Pair()
    with pytest.raises(LocalProtocolError):
        for _ in range(101):
            pair.client.request("GET", "/")


def test_a_client_that_does_not_speak_http2_is_refused() -> None:
    with pytest.raises(RemoteProtocolError):
        Http2Server().receive(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", NOW)


frames_strategy = st.lists(
    st.builds(
        frame,
        st.integers(0, 11),
        st.integers(0, 255),
        st.sampled_from([0, 1, 2, 3, 5, 2**31 - 1, 2**32 - 1]),
        st.one_of(
            st.binary(max_size=40),
            st.just(headers((":status", "200"))),
            st.just(headers((":method", "GET"), (":path", "/"), (":scheme", "https"), (":authority", "x"))),
        ),
    ),
    max_size=12,
)


@settings(max_examples=300, deadline=None)
@given(frames_strategy)
def test_any_frames_are_events_or_a_protocol_error_at_the_client(frames: list[bytes]) -> None:
    pair = Pair()
    pair.poll()
    pair.client.request("POST", "/", body=bytes(70_000))
    try:
        for one in frames:
            pair.client.receive(one, NOW)
            pair.client.data_to_send()
    except RemoteProtocolError:
        assert pair.client.over
    pair.client.data_to_send()


@settings(max_examples=300, deadline=None)
@given(frames_strategy)
def test_any_frames_are_events_or_a_protocol_error_at_the_server(frames: list[bytes]) -> None:
    pair = Pair()
    stream_id = pair.poll()
    pair.server.send_data(stream_id, bytes(100_000))
    try:
        for one in frames:
            for event in pair.server.receive(one, NOW):
                if isinstance(event, RequestEnded):
                    with contextlib.suppress(LocalProtocolError):
                        pair.server.respond(event.stream_id, 200, body=b"ok")
            pair.server.data_to_send()
    except RemoteProtocolError:
        assert pair.server.over
    pair.server.data_to_send()


@given(frames_strategy, st.lists(st.integers(0, 1000), max_size=20))
@example([frame(7, 0, 0, bytes(6)), frame(0, 0, 0, b"x")], [15])
def test_the_guard_sees_the_same_frames_at_any_split(frames: list[bytes], cuts: list[int]) -> None:
    def run(pieces: list[bytes]) -> tuple[int, str]:
        guard, passed = FrameGuard({1: None}), 0
        try:
            for piece in pieces:
                taken = guard.check(piece, NOW)
                passed += taken
                if taken < len(piece):
                    break
        except RemoteProtocolError as error:
            return -1, str(error)
        return passed, ""

    wire = b"".join(frames)
    edges = sorted({0, len(wire), *(cut % (len(wire) + 1) for cut in cuts)})
    assert run([wire[a:b] for a, b in itertools.pairwise(edges)]) == run([wire])
