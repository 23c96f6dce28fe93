"""Connecting: order and race of attempts, socket options, names, TLS."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from netmap_actors.bus.loop import Loop
from netmap_actors.errors import ConfigurationError, RemoteProtocolError
from netmap_actors.transport.address import Address, interleave
from netmap_actors.transport.dial import ATTEMPT_DELAY, Dial
from netmap_actors.transport.resolve import resolve
from netmap_actors.transport.tcp import TcpStream
from netmap_actors.transport.tls import TlsStream, make_context
from tests.support.host.free_ports import free_port
from tests.support.proxies.tls_front import self_signed
from tests.support.waiting import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT = 10.0


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        made.settimeout(LIMIT)
        yield made


def address_of(made: socket.socket) -> Address:
    return Address("127.0.0.1", made.getsockname()[1])


def run_until(loop: Loop, fact: Any) -> None:
    late: list[bool] = []
    timer = loop.at(loop.now() + LIMIT, lambda: late.append(True))
    loop.run(lambda: bool(fact() or late))
    timer.cancel()
    assert not late, "not within the limit"


def dial(loop: Loop, addresses: list[Address], **options: Any) -> TcpStream | str:
    outcome: list[TcpStream | str] = []
    Dial(loop, addresses, outcome.append, outcome.append, **options)
    run_until(loop, lambda: outcome)
    assert len(outcome) == 1
    return outcome[0]


def connected(loop: Loop, addresses: list[Address], **options: Any) -> TcpStream:
    stream = dial(loop, addresses, **options)
    assert isinstance(stream, TcpStream), stream
    return stream


@contextlib.contextmanager
def black_hole() -> Iterator[Address]:
    """A listener whose backlog is full: the kernel drops every further SYN."""
    with contextlib.ExitStack() as stack:
        made = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        where = made.getsockname()
        for _ in range(3):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(where)
        yield Address(*where)


def closed_port() -> Address:
    return Address("127.0.0.1", free_port())


def test_families_take_turns() -> None:
    v6 = [Address(f"2001:db8::{i}", 1) for i in range(3)]
    v4 = [Address(f"192.0.2.{i}", 1) for i in range(2)]
    assert interleave([*v6, *v4]) == [v6[0], v4[0], v6[1], v4[1], v6[2]]
    assert interleave([*v4, *v6]) == [v4[0], v6[0], v4[1], v6[1], v6[2]]
    assert interleave([]) == []


def test_the_socket_closes_with_a_reset_and_gives_up_in_time(loop: Loop, listener: socket.socket) -> None:
    stream = connected(loop, [address_of(listener)])
    peer, _ = listener.accept()
    with socket.socket(fileno=socket.dup(stream.fileno())) as same:
        assert struct.unpack("ii", same.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)) == (1, 0)
        assert same.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
        assert same.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 20_000
        assert not same.get_inheritable()
    stream.close()
    stream.close()
    peer.settimeout(LIMIT)
    with peer, pytest.raises(ConnectionResetError):
        peer.recv(1)


def test_an_address_that_refuses_costs_nothing(loop: Loop, listener: socket.socket) -> None:
    watch = Stopwatch()
    stream = connected(loop, [closed_port(), closed_port(), address_of(listener)])
    assert watch.seconds() < ATTEMPT_DELAY
    assert stream.remote == address_of(listener)
    stream.close()


def test_f39_an_address_that_says_nothing_costs_a_quarter_second(loop: Loop, listener: socket.socket) -> None:
    with black_hole() as hole:
        watch = Stopwatch()
        stream = connected(loop, [hole, address_of(listener)])
        assert ATTEMPT_DELAY <= watch.wall() < watch.allowed(1.0)
        assert stream.remote == address_of(listener)
        stream.close()


def test_an_address_that_got_stuck_before_is_tried_last(loop: Loop, listener: socket.socket) -> None:
    with socket.create_server(("127.0.0.2", 0)) as other:
        good, stuck = address_of(listener), Address("127.0.0.2", other.getsockname()[1])
        for addresses in ([stuck, good], [good, stuck]):
            assert connected(loop, addresses, avoid=(str(stuck),)).remote == good
        assert connected(loop, [stuck], avoid=(str(stuck),)).remote == stuck, "there is no other"
        both = (str(good), str(stuck))
        assert connected(loop, [stuck, good], avoid=both).remote == good, "its turn is longer ago"


def test_an_address_that_got_stuck_before_waits_for_a_slow_one(loop: Loop, listener: socket.socket) -> None:
    stuck = address_of(listener)
    watch = Stopwatch()
    assert connected(loop, [stuck, closed_port()], avoid=(str(stuck),)).remote == stuck
    assert watch.seconds() < ATTEMPT_DELAY, "the other one said no"
    with black_hole() as hole:
        watch = Stopwatch()
        assert connected(loop, [stuck, hole], avoid=(str(stuck),)).remote == stuck
        assert 1.5 <= watch.wall() < watch.allowed(4.0), "a long way is no reason to go the wrong one"


def test_when_all_have_failed_every_reason_is_named(loop: Loop) -> None:
    ports = [closed_port(), closed_port()]
    outcome = dial(loop, ports)
    assert isinstance(outcome, str)
    assert outcome.startswith("cannot connect: ")
    assert all(f"{port}: Connection refused" in outcome for port in ports)
    assert isinstance(dial(loop, []), str)


def test_a_dial_that_is_given_up_calls_nobody(loop: Loop, listener: socket.socket) -> None:
    outcome: list[object] = []
    given_up = Dial(loop, [address_of(listener)], outcome.append, outcome.append)
    given_up.cancel()
    other = connected(loop, [address_of(listener)])
    assert outcome == []
    other.close()


def test_bytes_go_both_ways_without_waiting(loop: Loop, listener: socket.socket) -> None:
    stream = connected(loop, [address_of(listener)])
    peer, _ = listener.accept()
    with peer:
        assert stream.receive() is None
        much = bytes(20_000_000)
        stream.send(much)
        assert stream.wants_write
        taken = 0
        while taken < len(much):
            taken += len(peer.recv(1 << 20))
            stream.flush()
        assert not stream.wants_write
        peer.send(b"answer")
        got: list[bytes] = []
        loop.watch(stream.fileno(), lambda: got.append(stream.receive() or b""))
        run_until(loop, lambda: got)
        assert got[0] == b"answer"
        loop.unwatch(stream.fileno())
    stream.close()


# Names


def look_up(loop: Loop, host: str) -> list[Address] | str:
    outcome: list[list[Address] | str] = []
    resolve(loop, host, 443, outcome.append, outcome.append)
    run_until(loop, lambda: outcome)
    return outcome[0]


@pytest.mark.parametrize("literal", ["192.0.2.1", "2001:db8::1"])
def test_an_address_needs_no_resolver(loop: Loop, literal: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", None)
    assert look_up(loop, literal) == [Address(literal, 443)]


def test_a_name_becomes_addresses_in_the_resolvers_order(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = (socket.SOCK_STREAM, 6, "")
    answer = [
        (socket.AF_INET6, *kind, ("fe80::1%eth0", 443, 0, 2)),
        (socket.AF_INET, *kind, ("192.0.2.1", 443)),
        (socket.AF_INET, *kind, ("192.0.2.1", 443)),
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answer)
    assert look_up(loop, "control.example") == [Address("fe80::1", 443, 2), Address("192.0.2.1", 443)]


@pytest.mark.parametrize("zone", ["lo", "1"])
def test_a_link_local_address_keeps_its_interface(loop: Loop, zone: str) -> None:
    assert look_up(loop, f"fe80::1%{zone}") == [Address("fe80::1", 443, 1)]
    assert str(Address("fe80::1", 443, 1)) == "[fe80::1%lo]:443"
    assert look_up(loop, "fe80::1%none") == "cannot resolve fe80::1%none: there is no interface none"


def test_a_name_without_address_says_so(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert look_up(loop, "nowhere.invalid") == "cannot resolve nowhere.invalid: Name or service not known"
    assert isinstance(look_up(loop, "a" * 300), str)


def test_f38_a_resolver_that_hangs_holds_nobody(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    hanging = threading.Event()

    def hang(*_: object, **__: object) -> list[object]:
        hanging.wait(LIMIT)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    outcome: list[object] = []
    resolve(loop, "slow.example", 443, outcome.append, outcome.append)
    ticked: list[bool] = []
    loop.call_soon(lambda: ticked.append(True))
    run_until(loop, lambda: ticked)
    assert outcome == []
    hanging.set()
    run_until(loop, lambda: outcome)


# TLS


@contextlib.contextmanager
def tls_echo(listener: socket.socket, pem: Path) -> Iterator[list[Any]]:
    """Echoes once; the list holds the ALPN protocol or the error."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    context.set_alpn_protocols(["h2", "http/1.1"])
    seen: list[Any] = []

    def serve() -> None:
        plain, _ = listener.accept()
        plain.settimeout(LIMIT)
        try:
            with context.wrap_socket(plain, server_side=True) as secure:
                seen.append(secure.selected_alpn_protocol())
                size = int.from_bytes(secure.recv(4), "big")
                got = bytearray()
                while len(got) < size:
                    got += secure.recv(1 << 16)
                secure.sendall(got)
        except OSError as error:
            seen.append(error)

    thread = threading.Thread(target=serve)
    thread.start()
    yield seen
    thread.join(LIMIT)
    assert not thread.is_alive()


def talk(loop: Loop, stream: TlsStream, message: bytes) -> bytes:
    got = bytearray()
    failed: list[Exception] = []

    def ready() -> None:
        try:
            stream.flush()
            got.extend(stream.receive() or b"")
            loop.watch(stream.fileno(), ready, write=stream.wants_write)
        except (OSError, RemoteProtocolError) as error:
            failed.append(error)

    try:
        stream.send(len(message).to_bytes(4, "big") + message)
        loop.watch(stream.fileno(), ready, write=stream.wants_write)
        run_until(loop, lambda: len(got) >= len(message) or failed)
    finally:
        loop.unwatch(stream.fileno())
        stream.close()
    if failed:
        raise failed[0]
    return bytes(got)


def test_tls_carries_what_was_sent_before_its_handshake(
    loop: Loop, listener: socket.socket, tmp_path: Path
) -> None:
    pem = self_signed(tmp_path, "control.example")
    with tls_echo(listener, pem) as seen:
        tcp = connected(loop, [address_of(listener)])
        stream = TlsStream(tcp, make_context(str(pem)), "control.example")
        message = bytes(range(256)) * 8000
        assert talk(loop, stream, message) == message
    assert seen == ["http/1.1"]


@pytest.mark.parametrize(
    ("host", "days", "trusted", "why"),
    [
        ("other.example", 2, True, "is for other\\.example; check the URL"),
        ("control.example", -1, True, "certificate has expired on .*clock says"),
        ("control.example", 2, False, "is self-signed; .*--ca-file"),
    ],
)
def test_a_certificate_that_does_not_fit_is_refused_in_words(
    loop: Loop, listener: socket.socket, tmp_path: Path, host: str, days: int, trusted: bool, why: str
) -> None:
    pem = self_signed(tmp_path, host, days=days)
    with tls_echo(listener, pem):
        tcp = connected(loop, [address_of(listener)])
        stream = TlsStream(tcp, make_context(str(pem) if trusted else ""), "control.example")
        with pytest.raises(RemoteProtocolError, match=rf"cannot trust control\.example: .*{why}"):
            talk(loop, stream, b"x")


def test_a_server_without_tls_is_named(loop: Loop, listener: socket.socket) -> None:
    tcp = connected(loop, [address_of(listener)])
    peer, _ = listener.accept()
    with peer:
        peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        with pytest.raises(RemoteProtocolError, match=r"cannot speak TLS .*is it an http:// server"):
            talk(loop, TlsStream(tcp, make_context(), "control.example"), b"x")


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_a_ca_file_that_cannot_be_used_is_a_configuration_error(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match="cannot use the CA file"):
        make_context(str(path))
