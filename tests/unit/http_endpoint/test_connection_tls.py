"""One HTTP client over TLS: told the same as without, and bounded in time from its first byte on."""

from __future__ import annotations

import contextlib
import gc
import socket
import ssl
import weakref
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netmap_actors.bus.loop import Loop
from netmap_actors.http_endpoint import connection as http_connection
from netmap_actors.http_endpoint.connection import Connection, Turns
from netmap_actors.transport.tls_server import TlsLayer, server_context
from tests.support.proxies.certificates import issued
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from netmap_actors.protocol.http1_server import HttpRequest

PART = b"x" * 50_000
REQUESTS = (
    b"GET /small HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"HEAD /small HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"POST /small HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nabc",
    b"GET /small HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    b"nonsense\r\n\r\n",
)


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    made = issued(tmp_path_factory.mktemp("tls"), ("localhost",))
    return server_context(str(made.pem), str(made.pem))


class Served:
    """A connection of the endpoint at one end of a socket pair; the test has the other."""

    def __init__(self, tls: TlsLayer | None) -> None:
        self.loop = Loop()
        self.client, mine = socket.socketpair()
        self.client.setblocking(False)
        self.tls = tls
        self.errors: list[Exception] = []
        self.connection = Connection(
            self.loop,
            Turns(self.loop),
            mine,
            _answer,
            lambda _: None,
            self.errors.append,
            lambda _: None,
            tls,
        )

    def turn(self) -> None:
        for call in self.loop.wait(block=False):
            call()

    def said(self) -> bytes | None:
        """What has come; None: nothing, b"": the end."""
        self.turn()
        try:
            return self.client.recv(1 << 20)
        except BlockingIOError:
            return None
        except ConnectionResetError:
            return b""

    def close(self) -> None:
        self.connection.close()
        self.client.close()
        self.loop.close()


def _answer(connection: Connection, request: HttpRequest) -> None:
    if request.target == "/large":
        connection.answer_in_parts("text/plain", iter([PART] * 20))
    else:
        connection.answer(200, "text/plain", request.body + b"small")


class Client:
    """OpenSSL's client side, over memory."""

    def __init__(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out)
        self._established = False
        self.told_the_end = False
        """The server has said goodbye; without that the end may be anybody's doing (RFC 8446, 6.1)."""
        self.heard = b""

    def hello(self) -> bytes:
        self.take(b"")
        return self.sealed(b"")

    def take(self, data: bytes) -> None:
        self._in.write(data)
        try:
            if not self._established:
                self._tls.do_handshake()
                self._established = True
            while piece := self._tls.read(1 << 16):
                self.heard += piece
            self.told_the_end = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:  # we have said it, too
            self.told_the_end = True

    def sealed(self, data: bytes) -> bytes:
        if data and self._established:
            self._tls.write(data)
        return self._out.read()

    @property
    def established(self) -> bool:
        return self._established

    def goodbye(self) -> bytes:
        with contextlib.suppress(ssl.SSLError):
            self._tls.unwrap()
        return self._out.read()


def over_tls(context: ssl.SSLContext, pieces: list[bytes]) -> tuple[bytes, bool]:
    """All that is answered to these pieces of a client that then says goodbye; whether the server did, too."""
    served, client = Served(TlsLayer(context)), Client()
    try:
        client.take(b"")
        served.client.send(client.sealed(b""))
        rest, bid = list(pieces), False
        for _ in range(4000):
            said = served.said()
            if said == b"":
                break
            if said is not None:
                client.take(said)
            to_send = client.sealed(b"")
            if client.established and rest and said is None:
                to_send += client.sealed(rest.pop(0))
            elif client.established and not rest and not bid and said is None:
                bid = True
                to_send += client.goodbye()
            if to_send:
                try:
                    served.client.send(to_send)
                except (BrokenPipeError, ConnectionResetError):
                    rest = []
        assert not served.errors
        served.client.close()
        served.turn()
        return client.heard, served.connection.closed
    finally:
        served.close()


def in_clear(pieces: list[bytes]) -> bytes:
    served = Served(None)
    heard = b""
    try:
        rest, shut = list(pieces), False
        for _ in range(4000):
            said = served.said()
            if said == b"":
                break
            if said is not None:
                heard += said
            elif rest:
                try:
                    served.client.send(rest.pop(0))
                except (BrokenPipeError, ConnectionResetError):
                    rest = []
            elif not shut:
                shut = True
                served.client.shutdown(socket.SHUT_WR)
        return heard
    finally:
        served.close()


@given(st.lists(st.sampled_from(REQUESTS), min_size=1, max_size=4), st.integers(1, 200))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_over_tls_a_client_is_told_what_it_is_told_without(
    context: ssl.SSLContext, requests: list[bytes], size: int
) -> None:
    whole = b"".join(requests)
    pieces = [whole[place : place + size] for place in range(0, len(whole), size)]
    heard, closed = over_tls(context, pieces)
    assert heard == in_clear(pieces)
    assert closed, "a client that has said goodbye is gone"


def test_the_end_of_a_connection_is_said(context: ssl.SSLContext) -> None:
    served, client = Served(TlsLayer(context)), Client()
    try:
        client.take(b"")
        served.client.send(client.sealed(b""))
        while (said := served.said()) != b"":
            if said is not None:
                asks = not client.established
                client.take(said)
                if asks and client.established:
                    served.client.send(client.sealed(REQUESTS[4]))
        assert client.heard.startswith(b"HTTP/1.1 200 ")
        assert client.told_the_end
    finally:
        served.close()


def test_the_memory_of_a_closed_connection_does_not_wait_for_the_collector(
    context: ssl.SSLContext,
) -> None:
    layer = TlsLayer(context)
    held, served = weakref.ref(layer), Served(layer)
    del layer
    served.tls = None
    gc.disable()
    try:
        served.client.send(Client().hello())
        served.turn()
        served.connection._out += b"x" * 1000  # it does not read
        assert held() is not None
        served.connection.close()
        assert held() is None
        assert not served.connection._out
    finally:
        gc.enable()
        served.close()


class _Counting:
    """A memory BIO, and the most that was read of it at a time."""

    def __init__(self, bio: ssl.MemoryBIO) -> None:
        self._bio = bio
        self.most = 0

    def read(self) -> bytes:
        data = self._bio.read()
        self.most = max(self.most, len(data))
        return data


def test_a_long_answer_is_sealed_piece_by_piece(context: ssl.SSLContext) -> None:
    """OpenSSL keeps the memory of the most a BIO ever held, for as long as the connection lasts."""
    layer, client = TlsLayer(context), Client()
    layer.receive(client.hello())
    client.take(layer.send(b""))
    layer.receive(client.sealed(b""))
    counting = _Counting(layer._outgoing)
    layer._outgoing = cast("ssl.MemoryBIO", counting)
    client.take(layer.send(b"x" * 1_000_000))
    assert client.heard == b"x" * 1_000_000
    assert counting.most < 100_000


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_connection, "REQUEST_LIMIT", 0.1)


@pytest.mark.parametrize("how", ["nothing", "half", "hello", "established", "deaf"])
def test_who_does_not_come_to_a_request_is_cut_off_in_time(
    how: str, context: ssl.SSLContext, quick: None
) -> None:
    served, client = Served(TlsLayer(context)), Client()
    try:
        client.take(b"")
        hello = client.sealed(b"")
        if how == "deaf":
            served.connection._out += b"x" * (8 << 20)  # more of a handshake than it takes
        if how != "nothing":
            served.client.send(hello[: len(hello) // 2] if how == "half" else hello)

        def cut() -> bool:
            if how == "established" and not client.established:
                client.take(served.said() or b"")
                if client.established:
                    served.client.send(client.sealed(b""))
            else:
                served.turn()
            return served.connection.closed

        wait_for(cut, 10.0, "a connection cut off")
        assert not served.errors
    finally:
        served.close()


def test_a_form_that_comes_too_slowly_is_cut_off_in_time(quick: None) -> None:
    served = Served(None)
    try:
        served.client.send(b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60000\r\n\r\n")

        def cut() -> bool:
            if not served.connection.closed:
                served.client.send(b"t")
            served.turn()
            return served.connection.closed

        wait_for(cut, 10.0, "a connection cut off")
        assert not served.errors
    finally:
        served.close()


def test_plain_http_is_told_to_use_tls_and_counts_as_a_failure(context: ssl.SSLContext) -> None:
    served = Served(TlsLayer(context))
    try:
        served.client.send(REQUESTS[0])
        heard = b""
        while (said := served.said()) != b"":
            heard += said or b""
        assert heard.startswith(b"HTTP/1.0 400 ")
        assert b"https://" in heard
        assert served.connection.closed
        assert served.tls is not None
        assert "plain HTTP" in served.tls.failure
    finally:
        served.close()


@pytest.mark.parametrize("data", [b"\x00" * 100, b"\x16\x03\x01\xff\xff" + b"a" * 70_000, b"SSH-2.0-x\r\n"])
def test_what_is_no_tls_ends_the_connection(data: bytes, context: ssl.SSLContext) -> None:
    served = Served(TlsLayer(context))
    try:
        served.client.send(data)
        for _ in range(100):
            if served.said() == b"":
                break
        assert served.connection.closed
        assert served.tls is not None
        assert served.tls.failure
        assert not served.errors
    finally:
        served.close()


LONG = b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000000\r\n\r\n"


def test_who_is_refused_while_it_sends_has_the_whole_answer_and_no_reset() -> None:
    served = Served(None)
    try:
        served.client.send(LONG)
        heard = b""
        for _ in range(400):
            served.client.send(b"x" * 1000)  # would raise once the other end is closed
            served.turn()
            with contextlib.suppress(BlockingIOError):
                heard += served.client.recv(1 << 16)
        assert heard.startswith(b"HTTP/1.1 413 ")
        assert not served.connection.closed
        served.client.close()
        served.turn()
        assert served.connection.closed
        assert not served.errors
    finally:
        served.close()


@pytest.mark.parametrize("bound", ["MOST_DROPPED", "LINGER_LIMIT"])
def test_who_goes_on_sending_after_the_last_answer_is_cut_off(
    bound: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_connection, bound, 0.05 if bound == "LINGER_LIMIT" else 50_000)
    served = Served(None)
    try:
        served.client.send(LONG)

        def cut() -> bool:
            if bound == "MOST_DROPPED":
                with contextlib.suppress(OSError):
                    served.client.send(b"x" * 1000)
            elif served.connection._dropped is None:
                served.client.send(b"x" * 1000)
            served.turn()
            return served.connection.closed

        wait_for(cut, 10.0, "the end of its patience")
    finally:
        served.close()
