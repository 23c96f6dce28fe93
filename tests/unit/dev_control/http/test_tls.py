"""TLS of the control server, met by OpenSSL's client side over memory, and over real sockets."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import select
import socket
import ssl
import stat
import urllib.parse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netmap_actors.dev_control.http import server as http_server
from netmap_actors.dev_control.http.tls_files import AUTHORITY_FILE, TlsSetup, tls_identity
from netmap_actors.dev_control.standalone import RunningServer, running_server
from netmap_actors.errors import ConfigurationError
from netmap_actors.transport.tls_server import TlsLayer, server_context
from tests.support.clients.control_client import ControlClient, Node
from tests.support.servers.quick_server import QUICK, get
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)


@pytest.fixture(scope="module")
def identity() -> Iterator[tuple[ssl.SSLContext, str]]:
    with tls_identity(TlsSetup(), "", "", NOW) as made:
        yield made


class Peer:
    """OpenSSL's client side over memory."""

    def __init__(self, context: ssl.SSLContext, name: str = "localhost") -> None:
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=name)

    def step(self) -> ssl.SSLError | None:
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            return None
        except ssl.SSLError as error:
            return error
        return None

    def shake_hands(self, layer: TlsLayer) -> None:
        for _ in range(4):
            self.step()
            layer.receive(self.outgoing.read())
            self.incoming.write(layer.send(b""))

    def read(self) -> bytes:
        """All that has come; the end, too."""
        read = b""
        while True:
            try:
                piece = self.tls.read(1 << 16)
            except ssl.SSLWantReadError:
                return read
            if not piece:
                return read + b"<end>"
            read += piece


def trusting(identity: tuple[ssl.SSLContext, str]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=identity[1])
    context.verify_flags |= ssl.VERIFY_X509_STRICT  # as Python 3.13 does
    return context


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1"])
def test_bytes_pass_both_ways_until_both_have_closed(
    identity: tuple[ssl.SSLContext, str], version: ssl.TLSVersion, name: str
) -> None:
    context = trusting(identity)
    context.minimum_version = context.maximum_version = version
    peer, layer = Peer(context, name), TlsLayer(identity[0])
    peer.shake_hands(layer)
    assert (layer.established, layer.version) == (True, version.name.replace("_", "."))
    large = os.urandom(100_000)
    peer.tls.write(b"ping")
    assert layer.receive(peer.outgoing.read()) == b"ping"
    peer.incoming.write(layer.send(large))
    assert peer.read() == large
    layer.close()
    layer.close()
    peer.incoming.write(layer.send(b""))
    assert peer.read() == b"<end>"
    assert not layer.ended, "what the client still sends is read"
    peer.tls.write(b"last")
    peer.tls.unwrap()
    assert layer.receive(peer.outgoing.read()) == b"last"
    assert (layer.ended, layer.failure) == (True, "")
    assert layer.receive(b"more") == b""


@settings(deadline=None, max_examples=30)
@given(cuts=st.lists(st.integers(1, 400), min_size=1, max_size=8))
def test_it_is_the_same_in_pieces_of_any_size(identity: tuple[ssl.SSLContext, str], cuts: list[int]) -> None:
    peer, layer = Peer(trusting(identity)), TlsLayer(identity[0])
    received, turn = b"", 0

    def bring(data: bytes) -> bytes:
        nonlocal turn
        plain = b""
        while data:
            size = cuts[turn % len(cuts)]
            turn += 1
            plain += layer.receive(data[:size])
            data = data[size:]
            peer.incoming.write(layer.send(b""))
        return plain

    for _ in range(4):
        peer.step()
        received += bring(peer.outgoing.read())
    peer.tls.write(b"a" * 20_000)
    peer.tls.write(b"b")
    assert received + bring(peer.outgoing.read()) == b"a" * 20_000 + b"b"


@pytest.mark.parametrize(
    ("offered", "chosen"), [([], None), (["h2"], None), (["h2", "http/1.1"], "http/1.1")]
)
def test_http_1_1_is_chosen_only_if_it_is_offered(
    identity: tuple[ssl.SSLContext, str], offered: list[str], chosen: str | None
) -> None:
    context = trusting(identity)
    if offered:
        context.set_alpn_protocols(offered)
    peer = Peer(context)
    peer.shake_hands(TlsLayer(identity[0]))
    assert peer.tls.selected_alpn_protocol() == chosen


PLAIN = "it speaks plain HTTP on the port for TLS"


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        (b"GET /key?v=130 HTTP/1.1\r\nHost: it\r\n\r\n", PLAIN),
        (b"POST /ts2021 HTTP/1.1\r\nHost: it\r\n\r\n", PLAIN),
        (b"CONNECT it:443 HTTP/1.1\r\n\r\n", PLAIN),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "what it sends is not TLS"),
        (bytes(64), "what it sends is not TLS"),
    ],
)
def test_what_is_not_tls_is_named(identity: tuple[ssl.SSLContext, str], sent: bytes, why: str) -> None:
    layer = TlsLayer(identity[0])
    assert [layer.receive(sent[at : at + 1]) for at in range(len(sent))] == [b""] * len(sent)
    assert (layer.established, layer.ended, layer.failure) == (False, True, why)
    answer = layer.send(b"")
    assert answer.startswith(b"HTTP/1.0 400 Bad Request\r\n") == (why == PLAIN)
    assert layer.send(b"") == b""


def test_a_handshake_that_stops_midway_waits_and_says_nothing(identity: tuple[ssl.SSLContext, str]) -> None:
    peer = Peer(trusting(identity))
    peer.step()
    hello = peer.outgoing.read()
    for size in (1, 5, 6, len(hello) - 1):
        layer = TlsLayer(identity[0])
        assert layer.receive(hello[:size]) == b""
        assert (layer.established, layer.ended, layer.send(b"")) == (False, False, b"")
        layer.close()
        assert layer.send(b"") == b"", "nothing to say before the handshake"


@pytest.mark.parametrize("at", [0, 40, -1])
def test_a_record_that_was_changed_ends_it_behind_what_was_sound(
    identity: tuple[ssl.SSLContext, str], at: int
) -> None:
    peer, layer = Peer(trusting(identity)), TlsLayer(identity[0])
    peer.shake_hands(layer)
    peer.tls.write(b"sound")
    sound = peer.outgoing.read()
    peer.tls.write(b"x" * 100)
    changed = bytearray(peer.outgoing.read())
    changed[at] ^= 0x40
    assert layer.receive(sound + bytes(changed)) == b"sound"
    assert layer.ended
    assert layer.failure
    assert layer.send(b"unsent")[:1] in (b"\x15", b"\x17", b""), "an alert at most"


def test_a_client_that_trusts_another_ca_is_told_apart(identity: tuple[ssl.SSLContext, str]) -> None:
    peer, layer = Peer(ssl.create_default_context()), TlsLayer(identity[0])
    peer.shake_hands(layer)
    assert layer.failure == "it does not trust the certificate; make it trust the CA's"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tls_1_1_is_refused_by_name(identity: tuple[ssl.SSLContext, str]) -> None:
    context = trusting(identity)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    peer, layer = Peer(context), TlsLayer(identity[0])
    peer.shake_hands(layer)
    assert layer.failure == "it speaks no TLS 1.2 or later"


def test_renegotiation_is_off(identity: tuple[ssl.SSLContext, str]) -> None:
    assert identity[0].options & ssl.OP_NO_RENEGOTIATION


# Certificates and their files


def test_the_authority_is_kept_and_the_key_is_for_its_owner_only(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    with tls_identity(TlsSetup(), "", str(state), NOW) as (_, one):
        first = (state / "ca.pem").read_bytes()
    with tls_identity(TlsSetup(), "", str(state), NOW + 30 * DAY) as (_, two):
        assert (state / "ca.pem").read_bytes() == first
    assert one == two == str(state / "ca.pem")
    assert b"PRIVATE" not in first
    assert stat.S_IMODE((state / AUTHORITY_FILE).stat().st_mode) == 0o600
    with tls_identity(TlsSetup(), "", str(state), NOW + 3500 * DAY):
        assert (state / "ca.pem").read_bytes() != first, "it would not outlive what it issues"


def test_a_temporary_one_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with tls_identity(TlsSetup(), "", "", NOW) as (_, path):
        assert "PRIVATE" not in "".join(file.read_text() for file in tmp_path.rglob("*") if file.is_file())
        assert Path(path).exists()
    assert list(tmp_path.iterdir()) == []


def test_the_names_are_those_by_which_it_is_reached(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    setup = TlsSetup(host="0.0.0.0", ca_file=str(ca))
    with tls_identity(setup, "desk.example", "", NOW) as (context, path):
        assert path == str(ca)
        for name in ("desk.example", "127.0.0.1"):
            peer, layer = Peer(ssl.create_default_context(cafile=path), name), TlsLayer(context)
            peer.shake_hands(layer)
            assert layer.established
        peer, layer = Peer(ssl.create_default_context(cafile=path), "0.0.0.0"), TlsLayer(context)
        peer.shake_hands(layer)
        assert not layer.established
    assert ca.exists(), "it was asked for"


@pytest.mark.parametrize(
    ("certificate", "key", "said"),
    [
        ("missing.pem", "key.pem", "No such file"),
        ("chain.pem", "missing.pem", "No such file"),
        ("chain.pem", "other.pem", "KEY_VALUES_MISMATCH"),
        ("junk.pem", "key.pem", "cannot use"),
    ],
)
def test_a_given_certificate_that_cannot_be_used_is_named(
    tmp_path: Path, certificate: str, key: str, said: str
) -> None:
    from netmap_actors.protocol.certificate.authority import CertificateAuthority

    authority = CertificateAuthority.generate(NOW)
    issued, other = (authority.issue(["localhost"], NOW) for _ in range(2))
    (tmp_path / "chain.pem").write_bytes(issued.certificate)
    (tmp_path / "key.pem").write_bytes(issued.key)
    (tmp_path / "other.pem").write_bytes(other.key)
    (tmp_path / "junk.pem").write_text("no certificate")
    good = TlsSetup(certificate=str(tmp_path / "chain.pem"), key=str(tmp_path / "key.pem"))
    with tls_identity(good, "", "", NOW) as (context, ca_file):
        assert (isinstance(context, ssl.SSLContext), ca_file) == (True, "")
    bad = TlsSetup(certificate=str(tmp_path / certificate), key=str(tmp_path / key))
    with pytest.raises(ConfigurationError, match=said), tls_identity(bad, "", "", NOW):
        pass


def test_an_encrypted_key_is_refused_and_nobody_is_asked_for_its_password(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization

    from netmap_actors.protocol.certificate.authority import CertificateAuthority

    issued = CertificateAuthority.generate(NOW).issue(["localhost"], NOW)
    key = serialization.load_pem_private_key(issued.key, None)
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8)
    (tmp_path / "chain.pem").write_bytes(issued.certificate)
    (tmp_path / "key.pem").write_bytes(
        key.private_bytes(*form, serialization.BestAvailableEncryption(b"secret"))
    )
    with pytest.raises(OSError):
        server_context(str(tmp_path / "chain.pem"), str(tmp_path / "key.pem"))


# The server


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningServer]:
    with running_server(nodes=3, options=QUICK, tls=TlsSetup()) as running:
        monkeypatch.setenv("SSL_CERT_FILE", running.ca_file)
        yield running


def joined(server: RunningServer, url: str, node: Node | None = None) -> tuple[ControlClient, Any]:
    client = ControlClient(url, node or Node("laptop"), server.server_key)
    client.register(server.auth_key)
    stream = client.map()
    assert len(client.message(stream, 0)["Peers"]) == 3
    return client, stream


def address(url: str) -> tuple[str, int]:
    parts = urllib.parse.urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    return parts.hostname, parts.port


def test_a_node_joins_with_tls_and_without(server: RunningServer) -> None:
    assert server.url.startswith("https://127.0.0.1:")
    assert server.plain_url == f"http://127.0.0.1:{server.port}"
    node = Node("laptop")
    for url in (server.url, server.plain_url):
        client, stream = joined(server, url, node)
        client.message(stream, 1)
        client.close()
    (tls,) = server.seen("tls")
    assert tls.detail == "TLSv1.3"
    assert get(server.url + "/key?v=130")[0] == 200


def test_a_login_page_and_a_ping_are_told_by_the_url_with_tls(server: RunningServer) -> None:
    client = ControlClient(server.url, Node("laptop"), server.server_key)
    assert client.register("")["AuthURL"].startswith(server.url)
    client.close()


@pytest.mark.parametrize("fault", ["session/cut", "session/eof"])
def test_a_cut_is_a_reset_below_tls_and_an_end_in_order_is_none(server: RunningServer, fault: str) -> None:
    client, _ = joined(server, server.url)
    look = select.poll()
    look.register(client.sock, select.POLLRDHUP)
    server.fault(fault)
    ((_, events),) = look.poll(5000)
    assert bool(events & select.POLLERR) == (fault == "session/cut")
    client.close()


def test_a_record_cut_in_two_ends_without_a_close_notify(server: RunningServer) -> None:
    client, _ = joined(server, server.url)
    client.sock.suppress_ragged_eofs = False  # type: ignore[attr-defined]
    server.fault("session/cut-mid-record")
    with pytest.raises(ssl.SSLEOFError):
        while client.sock.recv(65536):
            pass


def test_a_black_hole_swallows_what_comes(server: RunningServer) -> None:
    client, _ = joined(server, server.url)
    server.fault("liveness/black-hole")
    (view,) = [one for one in server.clients() if one.machine]
    client.sock.settimeout(1.0)
    before = view.bytes_received
    client.sock.sendall(bytes(100))
    with pytest.raises(TimeoutError):
        while True:
            client.sock.recv(65536)
    (view,) = [one for one in server.clients() if one.machine]
    assert view.bytes_received == before
    client.sock.close()


def test_plain_http_on_the_port_for_tls_is_logged_once_and_answered() -> None:
    logged: list[tuple[str, dict[str, object]]] = []
    with running_server(tls=TlsSetup(), log=lambda event, **fields: logged.append((event, fields))) as server:
        for _ in range(3):
            with socket.create_connection(address(server.url), 5.0) as sock:
                sock.sendall(b"GET /key?v=130 HTTP/1.1\r\nHost: it\r\n\r\n")
                answer = b""
                while piece := sock.recv(4096):
                    answer += piece
            assert answer.startswith(b"HTTP/1.0 400")
            assert b"https://" in answer
        wait_for(lambda: len(server.seen("end")) == 3, 5.0, "their ends")
        ends = server.seen("end")
    assert {end.detail for end in ends} == {f"TLS: {PLAIN}"}
    ((event, fields),) = logged
    assert (event, fields["detail"]) == ("tls_failed", PLAIN)


def test_a_handshake_has_the_time_of_a_request_and_no_more() -> None:
    with running_server(tls=TlsSetup(), half_open_limit=0.5) as server:
        with socket.create_connection(address(server.url), 5.0) as idle:
            assert idle.recv(1) == b""
        assert wait_for(lambda: server.seen("end"), 5.0, "its end")[0].detail == "no request came"


def test_those_that_never_finish_a_handshake_make_room_for_one_that_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http_server, "MAX_CLIENTS", 8)
    with (
        running_server(nodes=3, options=QUICK, tls=TlsSetup()) as small,
        contextlib.ExitStack() as stack,
    ):
        monkeypatch.setenv("SSL_CERT_FILE", small.ca_file)
        client, stream = joined(small, small.url)
        for number in range(20):
            url = small.url if number % 2 else small.plain_url
            stack.enter_context(socket.create_connection(address(url), 5.0)).sendall(b"\x16\x03")
        count = len(stream.messages)
        client.wait(lambda: len(stream.messages) > count)
        assert len(small.clients()) <= 8
        client.close()


def test_a_client_that_closes_within_the_handshake_is_named(server: RunningServer) -> None:
    with socket.create_connection(address(server.url), 5.0) as sock:
        sock.sendall(b"\x16\x03\x01")
    end = wait_for(lambda: server.seen("end"), 5.0, "its end")[0]
    assert end.detail == "the client closed within the TLS handshake"


def test_a_server_restarted_with_its_state_is_trusted_as_before(tmp_path: Path) -> None:
    state = str(tmp_path / "state")
    with running_server(tls=TlsSetup(), state_dir=state) as server:
        trusted = (tmp_path / "state" / "ca.pem").read_text()
        port = address(server.url)[1]
    with running_server(tls=TlsSetup(port=port), state_dir=state) as server:
        context = ssl.create_default_context(cadata=trusted)
        with socket.create_connection(address(server.url), 5.0) as sock:
            context.wrap_socket(sock, server_hostname="127.0.0.1").close()
        assert json.loads(get(server.plain_url + "/key?v=130")[1])
