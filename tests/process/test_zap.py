"""Who gets through a CURVE socket: real libzmq on both sides, over loopback TCP."""

from __future__ import annotations

import pytest
import zmq

from netmap_actors.bus.loop import Loop
from netmap_actors.bus.sockets import Sockets
from netmap_actors.bus.zap import ZapHandler
from netmap_actors.curve_keys import AllowList, CurvePair, generate

LIMIT = 5.0
REFUSED_WITHIN = 1.0


class Server:
    """A ROUTER behind CURVE that echoes, driven step by step."""

    def __init__(self, directory) -> None:
        self.loop = Loop()
        self.sockets = Sockets()
        self.allowed = AllowList(directory)
        self.decisions: list[tuple[bool, str]] = []
        self.zap = ZapHandler(
            self.loop,
            self.sockets,
            self.allowed,
            lambda client, _address, why: self.decisions.append(
                (client is not None, client.name if client else why)
            ),
        )
        self.pair = generate()
        self.router = self.sockets.router_bind(
            "tcp://127.0.0.1:*", protect=lambda socket: self.zap.protect(socket, self.pair)
        )
        self.endpoint = self.router.getsockopt(zmq.LAST_ENDPOINT).decode()
        self.loop.watch(self.router, self._echo)

    def _echo(self) -> None:
        self.router.send_multipart(self.router.recv_multipart(zmq.DONTWAIT))

    def answers(self, client: zmq.Socket[bytes], within: float) -> bool:
        end = self.loop.now() + within
        self.loop.at(end, lambda: None)
        self.loop.run(lambda: bool(client.poll(0)) or self.loop.now() >= end)
        return bool(client.poll(0))

    def close(self) -> None:
        self.sockets.close()
        self.loop.close()


@pytest.fixture
def server(tmp_path):
    server = Server(tmp_path)
    yield server
    server.close()


@pytest.fixture
def connect(server):
    context = zmq.Context()
    made = []

    def connect(pair: CurvePair | None, server_key: str | None = None) -> zmq.Socket[bytes]:
        socket = context.socket(zmq.DEALER)
        socket.linger = 0
        made.append(socket)
        if pair is not None:
            socket.curve_publickey, socket.curve_secretkey = pair.public.encode(), pair.secret.encode()
            socket.curve_serverkey = (server_key or server.pair.public).encode()
        socket.connect(server.endpoint)
        socket.send(b"hello")
        return socket

    yield connect
    for socket in made:
        socket.close()
    context.term()


def test_an_allowed_key_gets_through(server, connect) -> None:
    pair = generate()
    server.allowed.allow("laptop", pair.public)
    assert server.answers(connect(pair), LIMIT)
    assert server.decisions == [(True, "laptop")]


def test_an_unknown_key_does_not(server, connect) -> None:
    assert not server.answers(connect(generate()), REFUSED_WITHIN)
    assert server.decisions[0] == (False, "unknown key")


def test_a_revoked_key_does_not_any_more(server, connect) -> None:
    pair = generate()
    server.allowed.allow("laptop", pair.public)
    assert server.answers(connect(pair), LIMIT)
    server.allowed.revoke("laptop")
    assert not server.answers(connect(pair), REFUSED_WITHIN)


def test_a_plain_client_does_not(server, connect) -> None:
    assert not server.answers(connect(None), REFUSED_WITHIN)


def test_a_client_of_another_server_does_not(server, connect) -> None:
    pair = generate()
    server.allowed.allow("laptop", pair.public)
    assert not server.answers(connect(pair, server_key=generate().public), REFUSED_WITHIN)


def test_f61_with_a_dead_handler_nobody_does(server, connect) -> None:
    pair = generate()
    server.allowed.allow("laptop", pair.public)
    server.zap.close()
    assert not server.answers(connect(pair), REFUSED_WITHIN)


def test_a_file_that_is_no_key_does_not_keep_the_others_out(server, connect, tmp_path) -> None:
    pair = generate()
    server.allowed.allow("laptop", pair.public)
    (tmp_path / "allowed" / "broken.key").write_text("not a key")
    assert server.answers(connect(pair), LIMIT)
    assert "40 characters of Z85" in server.allowed.problems()[0]


def test_an_allow_list_that_cannot_be_read_admits_nobody(server, connect, tmp_path) -> None:
    pair = generate()
    (tmp_path / "allowed").write_text("no directory")
    assert not server.answers(connect(pair), REFUSED_WITHIN)
    assert "cannot read the allow-list" in server.decisions[0][1]
