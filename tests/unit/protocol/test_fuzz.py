"""Any input below the map stream ends in a result or a declared error, in bounded time and memory.

HTTP/1.1, Noise, the early payload and HTTP/2, both roles.
"""

from __future__ import annotations

import base64
import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from netmap_actors.control_connection.client.head_request import HeadRequest
from netmap_actors.control_connection.client.server.control_url import ControlUrl
from netmap_actors.errors import LocalProtocolError, RemoteProtocolError
from netmap_actors.protocol.connect_tunnel import ConnectTunnel
from netmap_actors.protocol.early_payload import MAX_EARLY_PAYLOAD, EarlyPayloadReader, encode_early_payload
from netmap_actors.protocol.http2 import Http2Client, Http2Server, RequestEnded
from netmap_actors.protocol.key_endpoint import KeyClient, answer_key_request
from netmap_actors.protocol.keys import MachinePrivate
from netmap_actors.protocol.noise import Initiator, NoiseFrames, RecordStream, Responder, encode_error
from netmap_actors.protocol.retry_after import retry_after_seconds
from netmap_actors.protocol.upgrade import BadUpgradeRequest, UpgradeClient, UpgradeServer
from tests.support.inputs.fuzzing import damaged, fuzzed, hostile, survive
from tests.support.servers.scripted_control import (
    MACHINE_KEY,
    SERVER_KEY,
)

NOW = 1000.0
cuts = st.integers(0, 500)

# HTTP/1.1: the upgrade, /key, CONNECT, HEAD

KEY = str(SERVER_KEY.public())
ANSWERS = [
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: tailscale-control-protocol\r\nConnection: upgrade\r\n\r\n\x02\x00",
    b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 173\r\n\r\n{"legacyPublicKey":"mkey:'
    + b"0" * 64
    + b'","publicKey":"'
    + KEY.encode()
    + b'"}',
    b"HTTP/1.1 200 Connection established\r\n\r\n\x16\x03\x01",
    b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\nContent-Length: 3\r\n\r\nno\n",
    b"HTTP/1.1 429 No\r\nRetry-After: Fri, 31 Dec 1999 23:59:59 GMT\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\n",
    b"HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\nRetry-After: 7\r\n\r\n4\r\nwait\r\n0\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 17,
    b"HTTP/1.0 302 Found\r\nLocation: http://portal.example/\r\n\r\n<html>",
]


@pytest.mark.parametrize(
    "make",
    [
        lambda: UpgradeClient("control.example", bytes(101)),
        lambda: KeyClient("control.example", 130),
        lambda: ConnectTunnel("control.example", 443),
        lambda: HeadRequest(
            ControlUrl.parse("http://control.example"), "http://control.example/machine/ping"
        ),
    ],
    ids=["upgrade", "key", "CONNECT", "HEAD"],
)
def test_answers_of_http(make) -> None:
    @fuzzed
    @given(hostile(ANSWERS), cuts)
    @example(b"HTTP/1.1 200 OK\r\n\r\n" + b'{"publicKey":' + b"[" * 60_000, 20)
    @example(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000, 0)
    @example(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n", 0)
    def answered(data: bytes, cut: int) -> None:
        machine = make()
        machine.data_to_send()

        def read() -> None:
            for piece in (data[:cut], data[cut:]):
                if machine.receive(piece) is not None:
                    return
            machine.eof()

        survive(read, len(data), RemoteProtocolError, cap=128 << 10)

    answered()


@fuzzed
@given(
    st.text(max_size=60)
    | st.sampled_from(["-1", "1e9", "9" * 20, "Fri, 31 Dec 9999 23:59:59 GMT", "0x10", "٣"]),
    st.none() | st.text(max_size=40) | st.just("Thu, 01 Jan 0001 00:00:00 +2359"),
)
def test_retry_after(text: str, date: str | None) -> None:
    seconds = survive(lambda: retry_after_seconds(text, date), len(text))
    assert seconds is None or seconds >= 0


# Noise

_server = Responder(SERVER_KEY, b"\x44" * 32)
_client = Initiator(MACHINE_KEY, SERVER_KEY.public(), 130, b"\x22" * 32)
INITIATION = _client.initiation
RESPONSE, _server_ciphers, _, _ = _server.receive(INITIATION)
_client_ciphers = _client.receive(RESPONSE)
REFUSALS = [
    RESPONSE + b"\x04\x00\x20",
    encode_error("go away \x1b[2J"),
    b"\x03\xff\xff",
    b"\x03\x00\x00",
    b"\x02\x00\x30",
]


@fuzzed
@given(hostile(REFUSALS), cuts)
def test_the_frames_of_the_handshake(data: bytes, cut: int) -> None:
    def read() -> None:
        frames = NoiseFrames()
        for piece in (data[:cut], data[cut:]):
            if response := frames.receive(piece):
                Initiator(MACHINE_KEY, SERVER_KEY.public(), 130, b"\x22" * 32).receive(response)
                return
        frames.eof()

    survive(read, len(data), RemoteProtocolError)


@fuzzed
@given(hostile([INITIATION], 110))
def test_an_initiation(data: bytes) -> None:
    survive(lambda: Responder(SERVER_KEY, b"\x44" * 32).receive(data), len(data), RemoteProtocolError)


@fuzzed
@given(st.data())
def test_records(data: st.DataObject) -> None:
    sealed = RecordStream(_server_ciphers).seal(bytes(9000))
    wire, cut = (
        data.draw(damaged([sealed, sealed[:4096], b"\x04\xff\xff", b"\x04\x00\x10" + bytes(16)])),
        data.draw(cuts),
    )
    records = RecordStream(_client_ciphers)
    survive(
        lambda: [records.receive(wire[:cut]), records.receive(wire[cut:])], len(wire), RemoteProtocolError
    )


@fuzzed
@given(
    hostile(
        [
            encode_early_payload(b'{"nodeKeyChallenge":"chalpub:00"}') + b"PRI",
            b"\xff\xff\xffTS\xff\xff\xff\xff",
        ]
    ),
    cuts,
)
@example(b"\xff\xff\xffTS\x00\x01\x11\x70" + bytes(70_000), 0)
def test_the_early_payload(data: bytes, cut: int) -> None:
    reader = EarlyPayloadReader()
    read = survive(
        lambda: [reader.receive(data[:cut]), reader.receive(data[cut:])],
        len(data),
        RemoteProtocolError,
        cap=MAX_EARLY_PAYLOAD,
    )
    for payload, rest in read or ():
        assert len(payload or b"") <= MAX_EARLY_PAYLOAD
        assert len(rest) <= len(data)


# HTTP/2, both roles


def exchange() -> tuple[Http2Client, Http2Server, bytes, bytes]:
    """Client and server in the middle of a long poll, and what each of them has sent so far."""
    client, server = Http2Client("control.example"), Http2Server()
    to_server, to_client = b"", b""
    poll = 0
    for step in range(4):
        out, back = client.data_to_send(), server.data_to_send()
        to_server, to_client = to_server + out, to_client + back
        events = [*server.receive(out, NOW)] if out else []
        client.receive(back, NOW)
        if step == 0:
            poll = client.request("POST", "/machine/map", [("ts-lb", "nodekey:x")], b"{}" * 50, stream=True)
        for event in events:
            if isinstance(event, RequestEnded):
                server.respond(event.stream_id, 200, [("content-type", "application/json")], end=False)
                server.send_data(poll, b"\x1c\x00\x00\x00" + b"k" * 28)
    return client, server, to_server, to_client


_, _, TO_SERVER, TO_CLIENT = exchange()
FRAMES = [
    TO_CLIENT,
    TO_SERVER,
    TO_SERVER[24:],
    b"\x00\x00\x08\x06\x00\x00\x00\x00\x00pingpong",
    b"\x00\x00\x08\x07\x00\x00\x00\x00\x00" + bytes(8),
    b"\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x04\x7f\xff\xff\xff",
    b"\x00\x00\x04\x08\x00\x00\x00\x00\x01\x7f\xff\xff\xff",
    b"\x00\x00\x04\x03\x00\x00\x00\x00\x01\x00\x00\x00\x08",
    b"\x00\x00\x05\x01\x25\x00\x00\x00\x01\x00\x00\x00\x00\x10",
    b"\x00\x00\x08\x0a\x00\x00\x00\x00\x01\x00\x02abcdef",
    b"\xff\xff\xff\x00\x00\x00\x00\x00\x01",
]


@fuzzed
@given(hostile(FRAMES), cuts)
def test_http2_at_the_client(data: bytes, cut: int) -> None:
    client, *_ = exchange()

    def read() -> None:
        for piece in (data[:cut], data[cut:]):
            client.receive(piece, NOW)
            client.data_to_send()

    survive(read, len(data), RemoteProtocolError)
    client.data_to_send()


@fuzzed
@given(hostile(FRAMES), cuts, st.booleans())
def test_http2_at_the_server(data: bytes, cut: int, fresh: bool) -> None:
    server = Http2Server() if fresh else exchange()[1]

    def read() -> None:
        for piece in (data[:cut], data[cut:]):
            for event in server.receive(piece, NOW):
                if isinstance(event, RequestEnded):
                    with contextlib.suppress(LocalProtocolError):
                        server.respond(event.stream_id, 200, body=b"{}")
            server.data_to_send()

    survive(read, len(data), RemoteProtocolError)
    server.data_to_send()


def hpack_bomb() -> bytes:
    """One header of 4000 bytes in the table, then thousands of references to it of one byte each."""
    literal = b"\x40\x01x\x7f" + bytes([(4000 - 127) & 0x7F | 0x80, (4000 - 127) >> 7]) + b"v" * 4000
    block = b"\x88" + literal + b"\xbe" * 12_000
    return len(block).to_bytes(3, "big") + b"\x01\x04\x00\x00\x00\x01" + block


@pytest.mark.parametrize("piece", [1 << 20, 1000])
def test_a_header_that_unpacks_to_megabytes_ends_the_connection(piece: int) -> None:
    client, *_ = exchange()
    bomb = hpack_bomb()

    def read() -> None:
        for start in range(0, len(bomb), piece):
            client.receive(bomb[start : start + piece], NOW)

    survive(read, len(bomb), RemoteProtocolError)
    assert client.over


# The other side: our control server

HEADERS = b"Host: x\r\nUpgrade: tailscale-control-protocol\r\nConnection: upgrade\r\n"
REQUESTS = [
    b"POST /ts2021 HTTP/1.1\r\n"
    + HEADERS
    + b"X-Tailscale-Handshake: "
    + base64.b64encode(INITIATION)
    + b"\r\n\r\n",
    b"GET /key?v=130 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /key?v=" + b"9" * 5000 + b" HTTP/1.1\r\nHost: x\r\n\r\nGET /health HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /auth/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\ndeny",
    b"HEAD /machine/ping-response?id=1 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"CONNECT /key?v=130 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"CONNECT / HTTP/1.1\r\nHost: x\r\n\r\n",
]


@fuzzed
@given(hostile(REQUESTS), cuts)
def test_the_upgrade_request(data: bytes, cut: int) -> None:
    from netmap_actors.protocol.key_endpoint import ControlKeys

    door = UpgradeServer()
    keys = ControlKeys(SERVER_KEY.public(), MachinePrivate.from_raw(b"\x01" * 32).public())

    def read() -> None:
        for piece in (data[:cut], data[cut:]):
            for request in door.receive(piece):
                answer_key_request(request, keys)
                with contextlib.suppress(BadUpgradeRequest):
                    Responder(SERVER_KEY, b"\x44" * 32).receive(UpgradeServer.initiation(request))
        door.eof()

    survive(read, len(data), RemoteProtocolError, cap=256 << 10)
