"""Requests as the HTTP libraries of control clients write them: hyper, Go's net/http, curl, small embedded ones."""

from __future__ import annotations

import base64
import os
import socket
from typing import TYPE_CHECKING

import pytest

from netmap_actors.dev_control.standalone import RunningServer, running_server
from netmap_actors.protocol.noise import RESPONSE_LENGTH, Initiator, RecordStream
from tests.support.clients.control_client import VERSION, ControlClient, Node, Response
from tests.support.servers.http2_pair import END_HEADERS, END_STREAM, HEADERS, frame, headers
from tests.support.servers.quick_server import QUICK

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with running_server(nodes=1, options=QUICK) as running:
        yield running


CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def exchange(
    server: RunningServer, request: str, body: bytes = b"", handshake: str = ""
) -> tuple[int, bytes, socket.socket]:
    """Status, body as far as it came with it, and the open connection. `{url}` and `{host}` are the server's."""
    text = request.format(url=server.url, host=server.url.removeprefix("http://"), handshake=handshake)
    sock = socket.create_connection(("127.0.0.1", server.port), 5)
    sock.sendall(text.replace("\n", "\r\n").encode() + b"\r\n" + body)
    answer = b""
    while b"\r\n\r\n" not in answer.removeprefix(CONTINUE):
        piece = sock.recv(65536)
        assert piece, "the server closed before its answer"
        answer += piece
    head, _, rest = answer.removeprefix(CONTINUE).partition(b"\r\n\r\n")
    return int(head.split()[1]), rest, sock


KEY = {
    "hyper, absolute form": "GET {url}/key?v=130 HTTP/1.1\nhost: {host}\n",
    "absolute form of a name that the proxy knows": "GET http://control.example.com/key?v=130 HTTP/1.1\nHost: {host}\n",
    "absolute form, https, as behind a proxy that ends TLS": "GET https://{host}/key?v=130 HTTP/1.1\nHost: {host}\n",
    "absolute form, scheme and host in capitals": "GET HTTP://LOCALHOST/key?v=130 HTTP/1.1\nHost: localhost\n",
    "absolute form without a Host in HTTP/1.0": "GET http://control.example.com/key?v=130 HTTP/1.0\n",
    "HTTP/1.0": "GET /key?v=130 HTTP/1.0\n",
    "an empty Host": "GET /key?v=130 HTTP/1.1\nHost:\n",
    "field names in small letters": "GET /key?v=130 HTTP/1.1\nhost: {host}\nuser-agent: x\n",
    "curl's offer of h2c": (
        "GET /key?v=130 HTTP/1.1\nHost: {host}\nConnection: Upgrade, HTTP2-Settings\nUpgrade: h2c\n"
        "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\n"
    ),
    "fields of one name in several lines": "GET /key?v=130 HTTP/1.1\nHost: h\nVia: x\nVia: y\n",
    "a body of no bytes": "GET /key?v=130 HTTP/1.1\nHost: h\nContent-Length: 0\n",
    "another order of the query": "GET /key?a=b&v=130 HTTP/1.1\nHost: h\n",
}


@pytest.mark.parametrize("request_text", KEY.values(), ids=KEY)
def test_the_key_is_answered(server: RunningServer, request_text: str) -> None:
    status, body, sock = exchange(server, request_text)
    sock.close()
    assert status == 200
    assert str(server.server_key).encode() in body


OTHERS = {
    "OPTIONS *": ("OPTIONS * HTTP/1.1\nHost: h\n", 404),
    "OPTIONS /key": ("OPTIONS /key?v=130 HTTP/1.1\nHost: h\n", 405),
    "HEAD /key": ("HEAD /key?v=130 HTTP/1.1\nHost: h\n", 200),
    "HEAD /ts2021": ("HEAD /ts2021 HTTP/1.1\nHost: h\n", 405),
    "GET /ts2021 in absolute form": ("GET {url}/ts2021 HTTP/1.1\nHost: h\n", 405),
    "the root in absolute form": ("GET {url} HTTP/1.1\nHost: h\n", 200),
    "health in absolute form": ("GET {url}/health HTTP/1.1\nHost: h\n", 200),
    "a login page in absolute form": ("GET {url}/auth/x HTTP/1.1\nHost: h\n", 404),
}


@pytest.mark.parametrize(("request_text", "expected"), OTHERS.values(), ids=OTHERS)
def test_other_paths_mean_the_same_in_every_form(
    server: RunningServer, request_text: str, expected: int
) -> None:
    status, _, sock = exchange(server, request_text)
    sock.close()
    assert status == expected


FIELDS = "Upgrade: tailscale-control-protocol\nConnection: upgrade\nX-Tailscale-Handshake: {handshake}\n"
UPGRADE = {
    "Go": (
        "POST /ts2021 HTTP/1.1\nHost: {host}\nUser-Agent: Go-http-client/1.1\nContent-Length: 0\n" + FIELDS,
        b"",
    ),
    "hyper, absolute form": (
        "POST {url}/ts2021 HTTP/1.1\nhost: {host}\ncontent-length: 0\n" + FIELDS.lower(),
        b"",
    ),
    "absolute form, another Host": (
        "POST http://control.example.com/ts2021 HTTP/1.1\nHost: {host}\n" + FIELDS,
        b"",
    ),
    "no length at all": ("POST /ts2021 HTTP/1.1\nHost: {host}\n" + FIELDS, b""),
    "no chunk": ("POST /ts2021 HTTP/1.1\nHost: {host}\nTransfer-Encoding: chunked\n" + FIELDS, b"0\r\n\r\n"),
    "100-continue": (
        "POST /ts2021 HTTP/1.1\nHost: {host}\nExpect: 100-continue\nContent-Length: 0\n" + FIELDS,
        b"",
    ),
    "more in Connection": (
        "POST /ts2021 HTTP/1.1\nHost: {host}\n" + FIELDS.replace(": upgrade", ": keep-alive, Upgrade"),
        b"",
    ),
    "Connection in two lines": (
        "POST /ts2021 HTTP/1.1\nHost: {host}\nConnection: keep-alive\n" + FIELDS,
        b"",
    ),
    "no Connection": (
        "POST /ts2021 HTTP/1.1\nHost: {host}\n" + FIELDS.replace("Connection: upgrade\n", ""),
        b"",
    ),
    "the protocol in capitals": (
        "POST /ts2021 HTTP/1.1\nHost: {host}\n" + FIELDS.replace("tailscale-control", "Tailscale-Control"),
        b"",
    ),
    "a query": ("POST /ts2021?x=y HTTP/1.1\nHost: {host}\n" + FIELDS, b""),
}


@pytest.mark.parametrize(("request_text", "body"), UPGRADE.values(), ids=UPGRADE)
def test_the_upgrade_is_answered_and_noise_follows(
    server: RunningServer, request_text: str, body: bytes
) -> None:
    initiator = Initiator(Node().machine, server.server_key, VERSION, os.urandom(32))
    handshake = base64.b64encode(initiator.initiation).decode()
    status, noise, sock = exchange(server, request_text, body, handshake)
    with sock:
        assert status == 101
        while len(noise) < RESPONSE_LENGTH:
            piece = sock.recv(65536)
            assert piece
            noise += piece
        RecordStream(initiator.receive(noise[:RESPONSE_LENGTH])).receive(noise[RESPONSE_LENGTH:])


def test_another_host_than_the_authority_is_answered_inside_noise(server: RunningServer) -> None:
    """As hyper sends it when the URL's host is an address and the field a name."""
    with ControlClient(server.url, Node()) as client:
        client.http2.request("POST", "/machine/x")
        client.http2.data_to_send()  # the same request, but for Host, goes in its place
        client.responses[1] = response = Response(compressed=False)
        start = (
            (":method", "POST"),
            (":scheme", "http"),
            (":authority", "127.0.0.1"),
            (":path", "/machine/x"),
        )
        block = headers(*start, ("host", "control.example.com"))
        wire = frame(HEADERS, END_HEADERS | END_STREAM, 1, block)
        client.sock.sendall(client.records.seal(wire))
        client.wait(lambda: response.ended)
        assert response.status == 501
        assert client.goaway is None
