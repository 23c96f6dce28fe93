"""HTTP/2: which header blocks of clients the server takes, and that one it does not take costs one stream."""

from __future__ import annotations

import struct

import pytest

from netmap_actors.protocol.headers import first_header
from netmap_actors.protocol.http2 import (
    Http2Server,
    PingReceived,
    RequestData,
    RequestEnded,
    RequestReceived,
    RequestReset,
    ResponseEnded,
    ResponseHeaders,
    ResponseReset,
)
from tests.support.servers.http2_pair import (
    ACK,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    NOW,
    PING,
    RST,
    SETTINGS,
    WINDOW,
    Pair,
    frame,
    headers,
)

PROTOCOL_ERROR = 1
START = (
    (":method", "POST"),
    (":scheme", "http"),
    (":authority", "control.example.com"),
    (":path", "/machine/map"),
)
TAKEN = {
    "no more than it needs": START,
    "a Host that is the same": (*START, ("host", "control.example.com")),
    "another Host": (*START, ("host", "control.example.com:443")),
    "an empty Host": (*START, ("host", "")),
    "two Hosts": (*START, ("host", "a"), ("host", "b")),
    "Host in place of :authority": (*START[:2], START[3], ("host", "control.example.com")),
    ":scheme https": (START[0], (":scheme", "https"), *START[2:]),
    "the pseudo-headers in another order": START[::-1],
    "TE: trailers": (*START, ("te", "trailers")),
    "Expect": (*START, ("expect", "100-continue")),
    "a value without a byte": (*START, ("user-agent", "")),
    "a cookie in pieces": (*START, ("cookie", "a=b"), ("cookie", "c=d")),
}
REFUSED = {
    "a name in capitals": (*START, ("User-Agent", "x")),
    "a field of the connection": (*START, ("connection", "keep-alive")),
    "an upgrade": (*START, ("upgrade", "tailscale-control-protocol")),
    "chunks": (*START, ("transfer-encoding", "chunked")),
    "another TE": (*START, ("te", "gzip")),
    "neither :authority nor Host": (*START[:2], START[3]),
    "no :path": START[:3],
    "an empty :path": (*START[:3], (":path", "")),
    "no :scheme": (START[0], *START[2:]),
    "two :path": (*START, (":path", "/")),
    "a pseudo-header behind a field": (*START[:3], ("x", "y"), START[3]),
    "a status": (*START, (":status", "200")),
    "a pseudo-header of its own": (*START, (":version", "2")),
    "a line end in a value": (*START, ("x", "a\nb")),
    "a value between spaces": (*START, ("x", " a ")),
    "no name": (*START, ("", "a")),
}


def sent(pair: Pair, *frames: bytes) -> list[object]:
    """Events of the server for these frames of its client."""
    pair.server.receive(pair.client.data_to_send(), NOW)
    return list(pair.server.receive(b"".join(frames), NOW))


def lives(pair: Pair) -> bool:
    """Whether the next request of this connection is answered."""
    seen = sent(pair, frame(HEADERS, END_HEADERS | END_STREAM, 7, headers(*START)))
    assert [type(event) for event in seen] == [RequestReceived, RequestEnded]
    pair.server.respond(7, 204)
    return not pair.server.over


@pytest.mark.parametrize("fields", TAKEN.values(), ids=TAKEN)
def test_the_server_takes_it(fields: tuple[tuple[str, str], ...]) -> None:
    pair = Pair()
    request, body, end = sent(
        pair,
        frame(HEADERS, END_HEADERS, 1, headers(*fields)),
        frame(DATA, END_STREAM, 1, b"{}"),
    )
    assert isinstance(request, RequestReceived)
    assert (request.method, request.path) == ("POST", "/machine/map")
    assert (body, end) == (RequestData(1, b"{}"), RequestEnded(1))
    assert lives(pair)


@pytest.mark.parametrize("fields", REFUSED.values(), ids=REFUSED)
def test_a_malformed_request_costs_its_stream_and_not_the_connection(
    fields: tuple[tuple[str, str], ...],
) -> None:
    pair = Pair()
    head, body = frame(HEADERS, END_HEADERS, 1, headers(*fields)), frame(DATA, END_STREAM, 1, b"{}")
    (refused,) = sent(pair, head, body)
    assert isinstance(refused, RequestReset)
    assert (refused.stream_id, refused.code) == (1, PROTOCOL_ERROR)
    assert refused.why
    pair.client.request("POST", "/")  # so that the client knows the stream that is reset
    assert ResponseReset(1, PROTOCOL_ERROR) in pair.to_client()
    assert lives(pair)


def test_trailers_with_a_pseudo_header_cost_the_stream_too() -> None:
    pair = Pair()
    seen = sent(
        pair,
        frame(HEADERS, END_HEADERS, 1, headers(*START)),
        frame(HEADERS, END_HEADERS | END_STREAM, 1, headers((":path", "/"))),
    )
    (refused,) = seen[1:]
    assert isinstance(refused, RequestReset)
    assert (refused.stream_id, refused.code) == (1, PROTOCOL_ERROR)
    assert "trailer" in refused.why
    assert lives(pair)


def test_trailers_end_a_request() -> None:
    pair = Pair()
    seen = sent(
        pair,
        frame(HEADERS, END_HEADERS, 1, headers(*START)),
        frame(HEADERS, END_HEADERS | END_STREAM, 1, headers(("x", "y"))),
    )
    assert seen[1:] == [RequestEnded(1)]
    assert lives(pair)


def test_host_is_passed_on_as_it_came() -> None:
    pair = Pair()
    block = headers(*START, ("host", "other.example.com"))
    (request, _) = sent(pair, frame(HEADERS, END_HEADERS | END_STREAM, 1, block))
    assert isinstance(request, RequestReceived)
    assert first_header(request.headers, "host") == "other.example.com"


def test_an_answer_follows_a_refusal_on_the_same_connection() -> None:
    pair = Pair()
    bad = frame(HEADERS, END_HEADERS | END_STREAM, 1, headers(*REFUSED["another TE"]))
    good = frame(HEADERS, END_HEADERS | END_STREAM, 3, headers(*START))
    assert [type(event) for event in sent(pair, bad, good)] == [RequestReset, RequestReceived, RequestEnded]
    pair.server.respond(3, 200, body=b"")
    pair.client.request("POST", "/")
    pair.client.request("POST", "/")
    assert pair.to_client() == [
        ResponseReset(1, PROTOCOL_ERROR),
        ResponseHeaders(3, 200, ()),
        ResponseEnded(3),
    ]


def test_a_client_that_acknowledges_before_it_reads_and_skips_stream_ids_is_served() -> None:
    """As small embedded clients do (microlink: ml_coord.c, ml_h2.c), some twice and on streams that are over."""
    server = Http2Server()
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    settings, ack = frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 1 << 20)), frame(SETTINGS, ACK, 0)
    more = struct.pack(">I", 1 << 16)
    assert list(server.receive(preface + settings + ack + frame(WINDOW, 0, 0, more), NOW)) == []
    for stream_id in (1, 5):
        head = frame(HEADERS, END_HEADERS, stream_id, headers(*START, ("content-type", "application/json")))
        body = frame(DATA, END_STREAM, stream_id, b"{}")
        seen = list(server.receive(head + body, NOW))
        assert [type(event) for event in seen] == [RequestReceived, RequestData, RequestEnded]
        server.respond(stream_id, 200, body=b"{}")
        server.data_to_send()
        late = frame(WINDOW, 0, stream_id, more) + frame(RST, 0, stream_id, struct.pack(">I", 8))
        ping = frame(PING, 0, 0, b"12345678")
        assert list(server.receive(late + ack + ping, NOW)) == [PingReceived(b"12345678")]
    assert not server.over
