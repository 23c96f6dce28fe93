"""What comes to the embedded control server before Noise: the key, other paths, garbage, the upgrade."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

import pytest

from netmap_actors.dev_control.standalone import RunningServer, make_options, running_server
from netmap_actors.protocol.noise import HandshakeRefused
from tests.support.clients.control_client import ControlClient, Node, fetch_key, joined
from tests.support.waiting import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Iterator

from tests.support.servers.quick_server import QUICK, get


@pytest.fixture
def server() -> Iterator[RunningServer]:
    with running_server(nodes=3, options=QUICK) as running:
        yield running


# The front door


def test_it_is_up_at_once() -> None:
    watch = Stopwatch()
    with running_server(nodes=8) as running:
        fetch_key(running.url)
    assert watch.seconds() < 1.5, "0.3 s is the aim"


def test_the_key_is_told_to_those_who_ask_with_their_version(server: RunningServer) -> None:
    status, body = get(f"{server.url}/key?v=130")
    assert status == 200
    assert json.loads(body) == {"legacyPublicKey": "mkey:" + "0" * 64, "publicKey": str(server.server_key)}
    assert get(f"{server.url}/key") == (200, b"0" * 64)
    assert get(f"{server.url}/key?v=new")[0] == 400
    assert get(f"{server.url}/key?v=130", method="POST", data=b"")[0] == 405


@pytest.mark.parametrize(
    ("path", "status"), [("/health", 200), ("/", 200), ("/nothing", 404), ("/ts2021", 405), ("/auth/x", 404)]
)
def test_other_paths(server: RunningServer, path: str, status: int) -> None:
    assert get(server.url + path)[0] == status


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        (
            b"POST /ts2021 HTTP/1.1\r\nHost: x\r\nUpgrade: tailscale-control-protocol\r\nConnection: upgrade\r\n"
            b"X-Tailscale-Handshake: AAAA\r\nContent-Length: 0\r\n\r\n"
        ),
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n" + bytes(70_000),
        b"A" * 100_000,
        b"",
    ],
    ids=["tls", "bad length", "short initiation", "long body", "no request", "nothing"],
)
def test_garbage_ends_its_own_connection_and_nobody_elses(server: RunningServer, garbage: bytes) -> None:
    client, stream = joined(server)
    with socket.create_connection(("127.0.0.1", server.port), 5) as sock:
        try:
            sock.sendall(garbage)
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(65536):
                pass
        except OSError:
            pass  # a reset is as good an answer
    seen = len(stream.messages)
    client.message(stream, seen)
    client.close()


def test_an_initiation_for_another_key_meets_the_end_after_101(server: RunningServer) -> None:
    with pytest.raises(HandshakeRefused):
        ControlClient(server.url, Node(), Node().machine.public())


def test_a_connection_that_asks_nothing_is_closed() -> None:
    options = make_options(half_open_limit=0.1)
    with (
        running_server(options=options) as server,
        socket.create_connection(("127.0.0.1", server.port), 5) as sock,
    ):
        assert sock.recv(1) == b""


@pytest.mark.parametrize(("form", "expected"), [("split", True), ("whole", True), ("off", False)])
def test_the_early_payload_comes_as_it_is_wished(form: str, expected: bool) -> None:
    with running_server(options=make_options(early_payload=form)) as server:
        client = ControlClient(server.url, Node())
        client.register(server.auth_key)
        assert (client.early_payload is not None) is expected
        client.close()
