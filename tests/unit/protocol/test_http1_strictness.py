"""Ambiguous HTTP/1.1 is refused, in both roles, by the bytes.

The tables follow RFC 9112 and the kinds of cases that llhttp and h11 publish.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netmap_actors.errors import RemoteProtocolError
from netmap_actors.protocol.connect_tunnel import ConnectTunnel
from netmap_actors.protocol.http1_exchange import HttpExchange
from netmap_actors.protocol.http1_server import HttpRequest, HttpServer

if TYPE_CHECKING:
    from collections.abc import Callable


def cases(table: dict[str, Any]) -> list[Any]:
    return [
        pytest.param(*(value if isinstance(value, tuple) else (value,)), id=name)
        for name, value in table.items()
    ]


LEAKED = b"GET /leaked HTTP/1.1\r\nHost: h\r\n\r\n"


def served(data: bytes, cut: int | None = None) -> tuple[list[HttpRequest], bytes, bool]:
    """Requests out of these bytes, each answered, what was sent, and whether the connection is to be closed."""
    server, requests = HttpServer(), []
    pieces = [data] if cut is None else [data[:cut], data[cut:]]
    for piece in pieces:
        came = server.receive(piece)
        while came:
            requests += came
            came = server.respond(200)
    return requests, server.data_to_send(), server.closed


def get(*lines: bytes, start: bytes = b"GET / HTTP/1.1", host: bytes = b"Host: h") -> bytes:
    return b"".join(line + b"\r\n" for line in (start, host, *lines, b""))


def post(*lines: bytes, body: bytes = b"") -> bytes:
    return b"\r\n".join((b"POST / HTTP/1.1", b"Host: h", *lines, b"", body))


CHUNKED = b"Transfer-Encoding: chunked"
REFUSED = {
    "length beside chunks": post(b"Content-Length: 4", CHUNKED, body=b"0\r\n\r\n"),
    "chunks beside length": post(CHUNKED, b"Content-Length: 4", body=b"0\r\n\r\n"),
    "chunks in HTTP/1.0": b"POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "lone LF everywhere": b"GET / HTTP/1.1\nHost: h\n\n",
    "lone LF behind the start line": b"GET / HTTP/1.1\nHost: h\r\n\r\n",
    "lone LF behind a field": b"GET / HTTP/1.1\r\nHost: h\nX: y\r\n\r\n",
    "lone LF at the end": b"GET / HTTP/1.1\r\nHost: h\r\n\n",
    "lone CR in a value": get(b"X: a\rY: b"),
    "two CR": b"GET / HTTP/1.1\r\nHost: h\r\r\n\r\n",
    "folded line": get(b"X: a", b" b"),
    "folded line with a tab": get(b"X: a", b"\tb"),
    "folded first line": b"GET / HTTP/1.1\r\n Host: h\r\nHost: h\r\n\r\n",
    "folded Content-Length": post(b"X: a", b" Content-Length: 5"),
    "space before colon": get(b"X : a"),
    "tab before colon": post(b"Transfer-Encoding\t: chunked"),
    "no name": get(b": a"),
    "no colon": get(b"X"),
    "control character in a name": get(b"X\x01: a"),
    "control character in a value": get(b"X: a\x0bb"),
    "NUL in a value": get(b"X: a\0b"),
    "DEL in a value": get(b"X: a\x7f"),
    "control character in the target": get(start=b"GET /\x01 HTTP/1.1"),
    "same length twice": post(b"Content-Length: 1", b"Content-Length: 1", body=b"a"),
    "lengths in a list": post(b"Content-Length: 1, 1", body=b"a"),
    "different lengths": post(b"Content-Length: 1", b"Content-Length: 2", body=b"a"),
    "length +1": post(b"Content-Length: +1", body=b"a"),
    "length -1": post(b"Content-Length: -1"),
    "length 0x1": post(b"Content-Length: 0x1", body=b"a"),
    "length 1 1": post(b"Content-Length: 1 1", body=b"a"),
    "no length": post(b"Content-Length:"),
    "length beyond all numbers": post(b"Content-Length: " + b"9" * 30),
    "chunked is not last": post(b"Transfer-Encoding: chunked, gzip"),
    "chunked twice": post(b"Transfer-Encoding: chunked, chunked"),
    "two Transfer-Encoding": post(CHUNKED, CHUNKED),
    "identity": post(b"Transfer-Encoding: identity"),
    "unknown coding": post(b"Transfer-Encoding: xchunked"),
    "no coding": post(b"Transfer-Encoding:"),
    "size of a chunk is signed": post(CHUNKED, body=b"+1\r\na\r\n0\r\n\r\n"),
    "size of a chunk is 0x1": post(CHUNKED, body=b"0x1\r\na\r\n0\r\n\r\n"),
    "size of a chunk is huge": post(CHUNKED, body=b"f" * 21 + b"\r\na"),
    "chunk longer than told": post(CHUNKED, body=b"1\r\nab\r\n0\r\n\r\n"),
    "lone LF behind a chunk's size": post(CHUNKED, body=b"1\na\r\n0\r\n\r\n"),
    "chunk extension without end": post(CHUNKED, body=b"1;" + b"a" * 20_000),
    "chunk extension with LF": post(CHUNKED, body=b"1;a\nb\r\na\r\n0\r\n\r\n"),
    "no Host": b"GET / HTTP/1.1\r\n\r\n",
    "two Hosts": get(b"Host: h"),
    "two different Hosts": get(b"Host: i"),
    "Host with a space": get(host=b"Host: h i"),
    "Host with a path": get(host=b"Host: h/i"),
    "Host with a user": get(host=b"Host: u@h"),
    "target without a slash": get(start=b"GET x HTTP/1.1"),
    "target with a fragment": get(start=b"GET /x#y HTTP/1.1"),
    "target with a user": get(start=b"GET http://u@h/ HTTP/1.1"),
    "target without a host": get(start=b"GET http:///x HTTP/1.1"),
    "target of another scheme": get(start=b"GET ftp://h/x HTTP/1.1"),
    "target with a % that escapes nothing": get(start=b"GET /%zz HTTP/1.1"),
    "target that ends within an escape": get(start=b"GET /a?b=%4 HTTP/1.1"),
    "target with an escaped host": get(start=b"GET http://h%20i/ HTTP/1.1"),
    "escaped Host": get(host=b"Host: h%41"),
    "* with GET": get(start=b"GET * HTTP/1.1"),
    "two spaces": get(start=b"GET  / HTTP/1.1"),
    "tab for a space": get(start=b"GET\t/ HTTP/1.1"),
    "HTTP/0.9": b"GET /\r\n\r\n",
    "HTTP/2.0": get(start=b"GET / HTTP/2.0"),
    "HTTP/1.2": get(start=b"GET / HTTP/1.2"),
    "HTTP/1.10": get(start=b"GET / HTTP/1.10"),
    "http/1.1": get(start=b"GET / http/1.1"),
    "an expectation nobody knows": get(b"Expect: a-miracle"),
    "CONNECT": get(start=b"CONNECT h:1 HTTP/1.1"),
}


@pytest.mark.parametrize("data", cases(REFUSED))
def test_a_server_refuses_it_and_answers_nothing_behind_it(data: bytes) -> None:
    requests, sent, closed = served(data + LEAKED)
    assert [request.target for request in requests] == []
    assert closed
    assert sent.split()[1] in (b"400", b"405", b"417", b"501", b"505")
    assert b"onnection: close" in sent


@given(st.sampled_from(sorted(REFUSED)), st.data())
def test_wherever_the_bytes_are_cut(name: str, data: st.DataObject) -> None:
    whole = REFUSED[name] + LEAKED
    requests, _, closed = served(whole, data.draw(st.integers(1, len(whole) - 1)))
    assert not requests
    assert closed


TAKEN = {
    "plain": (get(), "/", "h"),
    "an empty line before it": (b"\r\n" + get(), "/", "h"),
    "absolute form": (get(start=b"GET http://h/a?b HTTP/1.1"), "/a?b", "h"),
    "absolute form, another Host": (get(start=b"GET http://i:1/a HTTP/1.1"), "/a", "i:1"),
    "absolute form without a path": (get(start=b"GET http://i HTTP/1.1"), "/", "i"),
    "absolute form with a query alone": (get(start=b"GET HTTP://i?q HTTP/1.1"), "/?q", "i"),
    "https": (get(start=b"GET https://[::1]:2/ HTTP/1.1"), "/", "[::1]:2"),
    "escapes": (get(start=b"GET /%41?%c3%A4 HTTP/1.1"), "/%41?%c3%A4", "h"),
    "OPTIONS *": (get(start=b"OPTIONS * HTTP/1.1"), "*", "h"),
    "HTTP/1.0 without Host": (b"GET / HTTP/1.0\r\n\r\n", "/", None),
    "empty Host": (get(host=b"Host:"), "/", ""),
    "a length": (post(b"Content-Length: 1", body=b"a"), "/", "h"),
    "chunks": (post(CHUNKED, body=b"1;a=b\r\na\r\n0\r\nT: u\r\n\r\n"), "/", "h"),
}


@pytest.mark.parametrize(("data", "target", "host"), cases(TAKEN))
def test_a_server_takes_it(data: bytes, target: str, host: str | None) -> None:
    for cut in (None, *range(1, len(data))):
        (request,), sent, _ = served(data, cut)
        assert (request.target, request.header("host")) == (target, host)
        assert sent.startswith(b"HTTP/1.1 200")


def test_looking_at_a_head_costs_no_more_than_reading_it() -> None:
    head = b"GET / HTTP/1.1\r\nX: " + b"a" * 15_000

    def best(read: Callable[[], object]) -> float:
        def once() -> float:
            began = time.process_time()
            for _ in range(10):
                read()
            return time.process_time() - began

        return min(once() for _ in range(5))

    def plainly() -> None:
        connection = h11.Connection(h11.SERVER)
        connection.receive_data(head)
        assert connection.next_event() is h11.NEED_DATA

    assert best(lambda: HttpServer().receive(head)) < 20 * best(plainly)


def test_requests_in_a_row_are_answered_and_none_behind_chunks() -> None:
    requests, _, closed = served(get() + post(b"Content-Length: 1", body=b"a") + get())
    assert (len(requests), closed) == (3, False)
    requests, _, closed = served(post(CHUNKED, body=b"0\r\n\r\n") + LEAKED)
    assert (len(requests), closed) == (1, True)


def exchange() -> HttpExchange:
    return HttpExchange("ask", "GET", "/", [("Host", "h")], expected=200, max_body=1000)


OK = b"HTTP/1.1 200 OK\r\n"
BAD_ANSWERS = {
    "length beside chunks": OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks in HTTP/1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "lone LF": b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    "lone LF behind a field": OK + b"X: a\nContent-Length: 0\r\n\r\n",
    "lone CR": OK + b"X: a\rb\r\nContent-Length: 0\r\n\r\n",
    "NUL": OK + b"X: a\0\r\nContent-Length: 0\r\n\r\n",
    "control character": OK + b"X: a\x01\r\nContent-Length: 0\r\n\r\n",
    "space before colon": OK + b"Content-Length : 0\r\n\r\n",
    "different lengths": OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "lengths in a list": OK + b"Content-Length: 2, 2\r\n\r\nab",
    "length beyond 64 bits of what has no body": (
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9223372036854775808\r\n\r\n"
    ),
    "signed length": OK + b"Content-Length: +1\r\n\r\na",
    "chunked is not last": OK + b"Transfer-Encoding: chunked, gzip\r\n\r\n",
    "no coding": OK + b"Transfer-Encoding:\r\nContent-Length: 1\r\n\r\na",
    "lone LF behind a chunk's size": OK + b"Transfer-Encoding: chunked\r\n\r\n1\na\r\n0\r\n\r\n",
    "HTTP/2.0": b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "lone LF in an interim answer": b"HTTP/1.1 103 Hints\nX: a\n\n" + OK + b"Content-Length: 0\r\n\r\n",
    "four digits": b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("data", cases(BAD_ANSWERS))
def test_a_client_refuses_such_an_answer(data: bytes) -> None:
    one = exchange()
    with pytest.raises(RemoteProtocolError, match=r"^cannot ask"):
        one.receive(data)
    two = exchange()
    with pytest.raises(RemoteProtocolError, match=r"^cannot ask"):
        for byte in data:
            two.receive(bytes([byte]))


GOOD_ANSWERS = {
    "a length": (OK + b"Content-Length: 2\r\n\r\nab", b"ab"),
    "a length twice": (OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nab", b"ab"),
    "chunks": (OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", b"ab"),
    "until the end": (OK + b"\r\nab", b"ab"),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\n\r\nab", b"ab"),
    "interim answers": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nX: y\r\n\r\n" + OK + b"\r\nab",
        b"ab",
    ),
    "a folded line": (OK + b"X: a\r\n b\r\nContent-Length: 2\r\n\r\nab", b"ab"),
    "204 has no body": (b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", b""),
    "304 has no body": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", b""),
}


@pytest.mark.parametrize(("data", "body"), cases(GOOD_ANSWERS))
def test_a_client_takes_such_an_answer(data: bytes, body: bytes) -> None:
    one = exchange()
    for byte in data:
        one.receive(bytes([byte]))
    if not one.complete:
        one.eof()
    assert (one.complete, one.body) == (True, body)


def test_what_a_proxy_granted_has_no_body_whatever_it_says() -> None:
    tunnel = ConnectTunnel("h", 1)
    tunnel.data_to_send()
    granted = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nbytes"
    assert tunnel.receive(granted) == b"bytes"


def test_a_proxy_whose_lines_end_with_lf_is_refused() -> None:
    tunnel = ConnectTunnel("h", 1)
    tunnel.data_to_send()
    with pytest.raises(RemoteProtocolError, match="cannot reach h:1"):
        tunnel.receive(b"HTTP/1.1 200 OK\n\nbytes")
