"""HTTP/2: violations by the other side, and their effect on the connection."""

from __future__ import annotations

import contextlib
import itertools
import struct

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
    Http2Server,
    RequestEnded,
    RequestReset,
    ResponseData,
    ResponseEnded,
    ResponseHeaders,
    ResponseReset,
)
from netmap_actors.protocol.http2.connection import MAX_EMPTY_DATA
from netmap_actors.protocol.http2.frame_guard import (
    MAX_CONTROL_FRAME,
    MAX_DATA_FRAME,
    MAX_HEADER_BLOCK,
    FrameGuard,
)
from tests.support.servers.http2_pair import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    NOW,
    PADDED,
    PING,
    PRIORITY,
    PUSH,
    RST,
    SETTINGS,
    WINDOW,
    Pair,
    body_of,
    frame,
    headers,
)


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
    assert seen[-1] == RequestReset(stream_id, 11, "its body is longer than 1048576 bytes")
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
