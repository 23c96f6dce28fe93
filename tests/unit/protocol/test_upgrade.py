"""The upgrade and the key request, of both roles and against each other, in any fragmentation."""

from __future__ import annotations

import base64
import contextlib
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netmap_actors.errors import LocalProtocolError, RemoteProtocolError
from netmap_actors.protocol.http1_server import (
    MAX_AHEAD,
    MAX_CHUNKS,
    MAX_REQUEST_BODY,
    HttpRequest,
    HttpServer,
)
from netmap_actors.protocol.key_endpoint import ControlKeys, KeyClient, answer_key_request, parse_keys
from netmap_actors.protocol.keys import MachineKey
from netmap_actors.protocol.retry_after import retry_after_seconds
from netmap_actors.protocol.upgrade import (
    BadUpgradeRequest,
    UnexpectedStatus,
    UpgradeAccepted,
    UpgradeClient,
    UpgradeServer,
)
from tests.support.inputs.low_order import LOW_ORDER

INITIATION = bytes(range(101))
ACCEPTED = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: tailscale-control-protocol\r\nConnection: upgrade\r\n\r\n"
)
KEYS = ControlKeys(MachineKey(b"\x07" * 32), MachineKey.zero())

cuts_strategy = st.lists(st.integers(0, 5000), max_size=20)


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[a:b] for a, b in itertools.pairwise(edges)]


def client() -> UpgradeClient:
    return UpgradeClient("control.example.com:8080", INITIATION)


def accept(wire: bytes, cuts: list[int]) -> bytes:
    """Feed an answer to a client until it is accepted; what it never saw counts as trailing, too."""
    machine = client()
    accepted: UpgradeAccepted | None = None
    trailing = b""
    for piece in split(wire, cuts):
        if accepted is not None:
            trailing += piece
            continue
        accepted = machine.receive(piece)
        if accepted is not None:
            trailing = accepted.trailing
    assert accepted is not None
    return trailing


def test_the_request_is_that_of_the_reference() -> None:
    machine = client()
    assert machine.data_to_send() == (
        b"POST /ts2021 HTTP/1.1\r\nHost: control.example.com:8080\r\nUpgrade: tailscale-control-protocol\r\n"
        b"Connection: upgrade\r\nX-Tailscale-Handshake: " + base64.b64encode(INITIATION) + b"\r\n"
        b"Content-Length: 0\r\n\r\n"
    )
    assert machine.data_to_send() == b""


@given(st.binary(max_size=400), cuts_strategy)
def test_what_follows_a_101_is_handed_on_at_any_split(trailing: bytes, cuts: list[int]) -> None:
    assert accept(ACCEPTED + trailing, cuts) == trailing


def test_other_1xx_answers_are_skipped_but_not_for_ever() -> None:
    hint = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    assert accept(hint * 3 + ACCEPTED + b"noise", [5, 60]) == b"noise"
    with pytest.raises(RemoteProtocolError):
        client().receive(hint * 17)


@pytest.mark.parametrize(
    "name", ["websocket", "Tailscale-Control-Protocol", "tailscale-control-protocol, h2c", ""]
)
def test_a_switch_to_another_protocol_is_refused(name: str) -> None:
    with pytest.raises(RemoteProtocolError):
        client().receive(ACCEPTED.replace(b"tailscale-control-protocol", name.encode()))


def refusal(wire: bytes, cuts: list[int], *, eof: bool = False) -> UnexpectedStatus:
    machine = client()
    with pytest.raises(UnexpectedStatus) as caught:
        for piece in split(wire, cuts):
            assert machine.receive(piece) is None
        if eof:
            machine.eof()
    return caught.value


@given(cuts_strategy)
def test_a_refusal_tells_status_wait_and_reason_at_any_split(cuts: list[int]) -> None:
    wire = b"HTTP/1.1 503 Unavailable\r\nRetry-After: 7\r\nContent-Length: 12\r\n\r\nbusy \x1b[31m\xff!"
    error = refusal(wire, cuts)
    assert (error.status, error.retry_after, error.excerpt) == (503, 7.0, "busy \\x1b[31m\\xff!")


@given(cuts_strategy)
def test_a_refusal_that_ends_with_the_connection_is_told_at_the_end_of_file(cuts: list[int]) -> None:
    error = refusal(b"HTTP/1.0 502 Bad Gateway\r\n\r\n<html>", cuts, eof=True)
    assert (error.status, error.retry_after, error.excerpt) == (502, None, "<html>")


@given(cuts_strategy)
def test_a_long_refusal_is_cut_and_not_waited_for(cuts: list[int]) -> None:
    error = refusal(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n" + b"x" * 6000, cuts)
    assert error.excerpt == "x" * 200 + "…"


@pytest.mark.parametrize(
    "wire",
    [
        b"\x16\x03\x01\x02\x00\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 999999 x\r\n\r\n",
        b"HTTP/1.1 101 x\r\nbroken header\r\n\r\n",
        b"HTTP/1.1 101 x\r\nX: " + b"y" * 20_000,
    ],
)
def test_what_is_no_http_is_a_protocol_error(wire: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        client().receive(wire)


@pytest.mark.parametrize("received", [b"", b"HTTP/1.1 10", b"HTTP/1.1 100 Continue\r\n\r\n"])
def test_the_end_of_file_before_the_answer_is_a_protocol_error(received: bytes) -> None:
    machine = client()
    machine.receive(received)
    with pytest.raises(RemoteProtocolError):
        machine.eof()


@given(cuts_strategy, st.binary(max_size=100))
def test_client_and_server_agree_at_any_split(cuts: list[int], ahead: bytes) -> None:
    machine, server = client(), UpgradeServer()
    requests = [r for piece in split(machine.data_to_send() + ahead, cuts) for r in server.receive(piece)]
    (request,) = requests
    assert (request.method, request.target) == ("POST", "/ts2021")
    assert UpgradeServer.initiation(request) == INITIATION
    assert server.accept() == ahead
    assert machine.receive(server.data_to_send() + b"noise") == UpgradeAccepted(b"noise")
    assert not server.closed
    assert server.receive(b"more") == []


def request_with(*headers: str, method: str = "POST") -> HttpRequest:
    block = "".join(line + "\r\n" for line in ("Host: x", *headers))
    (request,) = UpgradeServer().receive(f"{method} /ts2021 HTTP/1.1\r\n{block}\r\n".encode())
    return request


HANDSHAKE = "X-Tailscale-Handshake: " + base64.b64encode(INITIATION).decode()
UPGRADE = "Upgrade: Tailscale-Control-Protocol"


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("GET", (UPGRADE, HANDSHAKE), 405),
        ("POST", (HANDSHAKE,), 400),
        ("POST", ("Upgrade: websocket", HANDSHAKE), 400),
        ("POST", (UPGRADE,), 400),
        ("POST", (UPGRADE, "X-Tailscale-Handshake: !!!"), 400),
        ("POST", (UPGRADE, "X-Tailscale-Handshake: AAAA"), 400),
        ("POST", (UPGRADE, HANDSHAKE + "AAAA"), 400),
    ],
)
def test_the_server_says_why_it_does_not_upgrade(method: str, headers: tuple[str, ...], status: int) -> None:
    with pytest.raises(BadUpgradeRequest) as caught:
        UpgradeServer.initiation(request_with(*headers, method=method))
    assert caught.value.status == status


def test_the_server_takes_any_case_of_the_protocol_name() -> None:
    assert UpgradeServer.initiation(request_with(UPGRADE, HANDSHAKE)) == INITIATION


def test_a_switch_nobody_asked_for_is_our_own_fault() -> None:
    server = UpgradeServer()
    with pytest.raises(LocalProtocolError):
        server.accept()
    server.receive(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    with pytest.raises(LocalProtocolError):
        server.accept()


@given(cuts_strategy)
def test_requests_sent_ahead_come_out_one_by_one(cuts: list[int]) -> None:
    server = HttpServer()
    wire = (
        b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
        b"POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
        b"HEAD /c HTTP/1.1\r\nHost: x\r\n\r\n"
    )
    seen = [r for piece in split(wire, cuts) for r in server.receive(piece)]
    while len(seen) < 3:
        seen += server.respond(200, [("Content-Type", "text/plain")], b"ok")
    assert server.respond(200, [], b"ok") == []
    assert [(r.method, r.target, r.body) for r in seen] == [
        ("GET", "/a", b""),
        ("POST", "/b", b"abc"),
        ("HEAD", "/c", b""),
    ]
    assert server.data_to_send().count(b"ok") == 2
    assert not server.closed
    with pytest.raises(LocalProtocolError):
        server.respond(200)


def test_a_request_to_close_is_obeyed() -> None:
    server = HttpServer()
    server.receive(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    server.respond(200)
    assert server.closed
    server = HttpServer()
    server.receive(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    server.respond(503, close=True)
    assert server.closed
    assert b"connection: close" in server.data_to_send().lower()


def test_a_client_may_close_its_side_before_our_answer() -> None:
    server = HttpServer()
    server.receive(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    server.eof()
    server.respond(200, [], b"still there")
    assert server.data_to_send().endswith(b"still there")
    assert server.closed
    for received in (b"", b"GET / HT"):
        server = HttpServer()
        server.receive(received)
        server.eof()
        assert server.closed


@pytest.mark.parametrize(
    ("wire", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", b" 400 "),
        (b"GET / HTTP/1.1\r\n\r\n", b" 400 "),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 20_000, b" 431 "),
        (
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999\r\n\r\n" + b"x" * (MAX_REQUEST_BODY + 1),
            b" 413 ",
        ),
        (
            b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
            + b"1\r\na\r\n" * (MAX_CHUNKS + 1),
            b" 413 ",
        ),
    ],
)
def test_a_client_that_breaks_a_rule_is_told_and_cut(wire: bytes, status: bytes) -> None:
    server = HttpServer()
    assert server.receive(wire) == []
    assert status in server.data_to_send().split(b"\r\n")[0]
    assert server.closed
    assert server.receive(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n") == []


def test_what_a_client_sends_ahead_is_bounded() -> None:
    server = HttpServer()
    server.receive(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    server.receive(bytes(MAX_AHEAD))
    assert not server.closed
    server.receive(b"x")
    assert server.closed


@settings(max_examples=200)
@given(st.binary(max_size=300))
def test_any_bytes_are_requests_or_a_closed_connection(data: bytes) -> None:
    server = HttpServer()
    for request in server.receive(data):
        assert isinstance(request, HttpRequest)
    with contextlib.suppress(RemoteProtocolError):
        client().receive(b"HTTP/1.1 " + data)


@given(cuts_strategy, cuts_strategy)
def test_the_key_request_and_its_answer_at_any_split(there: list[int], back: list[int]) -> None:
    machine, server = KeyClient("h:1", 145), HttpServer()
    (request,) = [r for piece in split(machine.data_to_send(), there) for r in server.receive(piece)]
    assert request.target == "/key?v=145"
    answer = answer_key_request(request, KEYS)
    server.respond(answer.status, [("Content-Type", answer.content_type)], answer.body)
    found = [machine.receive(piece) for piece in split(server.data_to_send(), back)]
    assert found[-1] == KEYS
    assert found[:-1] == [None] * (len(found) - 1)


def test_the_base_path_of_the_url_is_kept() -> None:
    assert KeyClient("h", 1, base_path="/sub/").data_to_send().startswith(b"GET /sub/key?v=1 HTTP/1.1\r\n")


def test_an_answer_without_length_ends_with_the_connection() -> None:
    machine = KeyClient("h", 145)
    body = answer_key_request(HttpRequest("GET", "/key?v=145", (), b""), KEYS).body
    assert machine.receive(b"HTTP/1.0 200 OK\r\n\r\n" + body) is None
    assert machine.eof() == KEYS


@pytest.mark.parametrize(
    ("target", "status", "body"),
    [
        ("/key", 400, b"capability version must be set\n"),
        ("/key?v=", 400, b"capability version must be set\n"),
        ("/key?v=x", 400, b"invalid capability version\n"),
        ("/key?v=27", 200, b"0" * 64),
        ("/key?v=113", 200, None),
        ("/key?x=1&v=99999999999999999999", 200, None),
    ],
)
def test_the_server_answers_each_form_of_the_key_request(
    target: str, status: int, body: bytes | None
) -> None:
    answer = answer_key_request(HttpRequest("GET", target, (), b""), KEYS)
    assert answer.status == status
    if body is None:
        assert parse_keys(answer.body) == KEYS
    else:
        assert answer.body == body


def test_a_key_of_low_order_is_refused_where_it_is_read() -> None:
    for raw in LOW_ORDER[1:]:  # the first is all zero, which means that there is none
        with pytest.raises(RemoteProtocolError, match="cannot use the control key: it is of low order"):
            parse_keys(b'{"publicKey":"mkey:%s"}' % raw.hex().encode())


def test_what_stands_for_the_legacy_key_does_not_matter() -> None:
    """It is from before Noise; tsp and tailscale-rs ignore it."""
    for legacy in (
        b'""',
        b"null",
        b'"mkey:zz"',
        b'"nodekey:' + b"07" * 32 + b'"',
        b"7",
        b'"mkey:' + b"01" * 3 + b'"',
    ):
        body = b'{"publicKey":"mkey:%s","legacyPublicKey":%s}' % (b"07" * 32, legacy)
        assert parse_keys(body).public_key == MachineKey(b"\x07" * 32)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"07" * 32, "before Noise"),
        (b" " + b"07" * 32 + b"\n", "before Noise"),
        (b'{"legacyPublicKey":"mkey:' + b"07" * 32 + b'"}', "no Noise key"),
        (b'{"publicKey":"mkey:' + b"00" * 32 + b'"}', "no Noise key"),
        (b'{"publicKey":null}', "no Noise key"),
        (b'{"publicKey":"nodekey:' + b"07" * 32 + b'"}', "cannot read"),
        (b'{"publicKey":7}', "cannot read"),
        (b"<html>", "cannot read"),
        (b"", "cannot read"),
        (b"[]", "cannot read"),
        (b'{"publicKey":"\xff"}', "cannot read"),
        (b"[" * 100_000, "cannot read"),
    ],
)
def test_an_answer_without_a_noise_key_is_refused(body: bytes, why: str) -> None:
    with pytest.raises(RemoteProtocolError, match=why):
        parse_keys(body)


def test_a_key_answer_that_is_no_200_or_too_long_is_refused() -> None:
    machine = KeyClient("h", 145)
    with pytest.raises(UnexpectedStatus) as caught:
        machine.receive(b"HTTP/1.1 302 Found\r\nLocation: http://portal/\r\nContent-Length: 0\r\n\r\n")
    assert caught.value.status == 302
    with pytest.raises(RemoteProtocolError, match="exceeds"):
        KeyClient("h", 145).receive(b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n" + b" " * 70_000)
    for begun in (b"", b"HTTP/1.1 200 OK\r\nContent-Le"):
        machine = KeyClient("h", 145)
        machine.receive(begun)
        with pytest.raises(RemoteProtocolError, match="closed the connection before its answer"):
            machine.eof()
    machine = KeyClient("h", 145)
    machine.receive(b"HTTP/1.1 500 Oops\r\nContent-Length: 100\r\n\r\nhalf")
    with pytest.raises(UnexpectedStatus) as caught:
        machine.eof()
    assert caught.value.excerpt == "half"


NOON = "Mon, 03 Aug 2026 12:00:00 GMT"


@pytest.mark.parametrize(
    ("value", "date", "seconds"),
    [
        (None, NOON, None),
        ("30", None, 30.0),
        (" 7 ", None, 7.0),
        ("0", None, 0.0),
        ("-5", None, None),
        ("1.5", None, None),
        ("9" * 400, None, None),
        ("soon", NOON, None),
        ("Mon, 03 Aug 2026 12:02:00 GMT", NOON, 120.0),
        ("Mon, 03 Aug 2026 11:00:00 GMT", NOON, 0.0),
        ("Mon, 03 Aug 2026 12:02:00 GMT", None, None),
        ("Mon, 03 Aug 2026 12:02:00 GMT", "yesterday", None),
        ("Mon, 99 Aug 99999 12:02:00 GMT", NOON, None),
        ("Mon, 03 Aug 2026 12:02:00 -0000", NOON, None),
    ],
)
def test_retry_after_is_seconds_without_a_clock(
    value: str | None, date: str | None, seconds: float | None
) -> None:
    assert retry_after_seconds(value, date) == seconds
