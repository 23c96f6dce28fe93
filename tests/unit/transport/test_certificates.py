"""Certificates are accepted alike on every Python, and refusals are explained."""

from __future__ import annotations

import datetime
import ssl
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netmap_actors.errors import ConfigurationError, RemoteProtocolError
from netmap_actors.protocol.certificate.refusal import why_refused
from netmap_actors.transport.tls import TlsStream, make_context
from tests.support.proxies.certificates import Made, issued

if TYPE_CHECKING:
    from pathlib import Path

HOST = "control.example"


@pytest.fixture(scope="module")
def der(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    pem = issued(tmp_path_factory.mktemp("der"), ("control.example", "192.0.2.1")).pem.read_text()
    return ssl.PEM_cert_to_DER_cert(pem[pem.index("-----BEGIN CERTIFICATE") :])


class ServerInMemory:
    """The stream below a TlsStream: a TLS server that answers within the same call."""

    wants_write = False

    def __init__(self, pem: Path) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    def fileno(self) -> int:
        return -1

    def send(self, data: bytes) -> None:
        self._incoming.write(data)
        try:
            self._tls.do_handshake()
            self._tls.write(b"hello")
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:
            self._outgoing.write_eof()

    def receive(self) -> bytes | None:
        return self._outgoing.read() or None

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass


def greeting(made: Made, host: str = HOST, ca_file: Path | None = None) -> bytes:
    """What the trusted server sends. Raises RemoteProtocolError."""
    context = make_context(str(ca_file or made.issuer_pem))
    stream = TlsStream(ServerInMemory(made.pem), context, host)
    for _ in range(8):
        data = stream.receive()
        if data:
            return data
    raise AssertionError("the handshake came to no end")


def refusal(made: Made, host: str = HOST, ca_file: Path | None = None) -> str:
    with pytest.raises(RemoteProtocolError) as caught:
        greeting(made, host, ca_file)
    return str(caught.value)


@pytest.mark.parametrize(
    ("names", "host"),
    [
        ((HOST,), HOST),
        ((HOST,), "CONTROL.example"),
        ((HOST,), f"{HOST}."),
        (("*.control.example",), "a.control.example"),
        (("other.example", HOST), HOST),
        (("192.0.2.1", "2001:db8::1"), "192.0.2.1"),
        (("192.0.2.1", "2001:db8::1"), "2001:db8::1"),
    ],
)
def test_a_certificate_for_the_host_is_taken(tmp_path: Path, names: tuple[str, ...], host: str) -> None:
    assert greeting(issued(tmp_path, names, common_name="unrelated"), host) == b"hello"


@pytest.mark.parametrize("host", [HOST, "192.0.2.1"])
def test_a_common_name_is_never_a_host_name(tmp_path: Path, host: str) -> None:
    """RFC 9525, section 2: the common name is ignored; Go has refused it since 1.15."""
    assert "no names" in refusal(issued(tmp_path, (), common_name=host), host)


@pytest.mark.parametrize(
    ("names", "host"),
    [
        (("*.control.example",), "a.b.control.example"),
        (("*.control.example",), HOST),
        (("a*.control.example",), "ab.control.example"),
        (("192.0.2.1",), "192.0.2.2"),
        (("192.0.2.1.example",), "192.0.2.1"),
    ],
)
def test_a_certificate_for_something_else_is_not_taken(
    tmp_path: Path, names: tuple[str, ...], host: str
) -> None:
    refusal(issued(tmp_path, names, common_name=host), host)


@pytest.fixture
def newer_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """The default context as Python 3.13 and later make it (cpython issue 107361)."""
    made = ssl.create_default_context

    def strict() -> ssl.SSLContext:
        context = made()
        context.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
        return context

    monkeypatch.setattr(ssl, "create_default_context", strict)


@pytest.mark.usefixtures("newer_python")
def test_a_private_ca_without_key_identifiers_is_taken(tmp_path: Path) -> None:
    assert greeting(issued(tmp_path, key_identifiers=False)) == b"hello"


def test_every_python_checks_by_the_same_rules(tmp_path: Path) -> None:
    context = make_context(str(issued(tmp_path).issuer_pem))
    assert context.verify_flags == ssl.VERIFY_X509_TRUSTED_FIRST | ssl.VERIFY_X509_PARTIAL_CHAIN
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert not context.hostname_checks_common_name
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize(
    ("changes", "host", "words"),
    [
        ({"ends": -1.0}, HOST, ("expired on ", "this machine's clock says ")),
        ({"begins": 1.0}, HOST, ("not valid before ", "this machine's clock says ")),
        ({}, "other.example", ("is for control.example", "check the URL")),
        ({"names": ("a.example", "192.0.2.1")}, "192.0.2.9", ("is for a.example, 192.0.2.1",)),
        ({"names": tuple(f"n{i}.example" for i in range(90))}, HOST, ("n0.example", " and 85 more")),
        ({"names": ()}, HOST, ("no names", "subjectAltName")),
        ({"names": ("\x1b[2J.example",)}, HOST, ("is for \\x1b[2J.example",)),
    ],
    ids=["expired", "not yet valid", "other name", "other address", "many names", "no names", "escapes"],
)
def test_a_refused_certificate_is_refused_in_words(
    tmp_path: Path, changes: dict[str, object], host: str, words: tuple[str, ...]
) -> None:
    before = datetime.datetime.now(datetime.UTC)
    said = refusal(issued(tmp_path, **changes), host)  # type: ignore[arg-type]
    assert said.startswith(f"cannot trust {host}: ")
    assert said.isprintable()
    for word in words:
        assert word in said
    if "clock" in words[-1]:
        days = {f"{moment:%Y-%m-%d}" for moment in (before, datetime.datetime.now(datetime.UTC))}
        assert any(day in said for day in days), "midnight may have been in between"


def test_an_unknown_issuer_is_named_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = issued(tmp_path / "other").issuer_pem
    said = refusal(issued(tmp_path), ca_file=other)
    assert "'A private CA'" in said
    assert "--ca-file" in said


def test_a_self_signed_certificate_is_called_so(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = issued(tmp_path / "other").issuer_pem
    said = refusal(issued(tmp_path, self_signed=True), ca_file=other)
    assert "self-signed" in said
    assert "--ca-file" in said
    assert greeting(issued(tmp_path, self_signed=True)) == b"hello", "once it is named"


def test_an_issuer_that_has_expired_is_told_from_the_servers_own_certificate(der: bytes) -> None:
    """OpenSSL names one fault of a chain but not the certificate: the dates of the server's own decide."""
    now = datetime.datetime.now(datetime.UTC)
    expired = why_refused(10, "", der, now)
    assert "above its own has expired" in expired
    assert "in the server's chain or --ca-file, has to be renewed" in expired
    assert "above its own is not valid yet" in why_refused(9, "", der, now)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "it holds no PEM certificate, or a broken one"),
        (b"\x30\x82", "it holds no PEM certificate, or a broken one"),
        (b"-----BEGIN CERTIFICATE-----\nxx\n-----END CERTIFICATE-----\n", "it holds no PEM certificate"),
        (None, "No such file or directory"),
    ],
    ids=["empty", "DER", "broken", "missing"],
)
def test_a_ca_file_without_a_certificate_is_refused_in_words(
    tmp_path: Path, content: bytes | None, why: str
) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        make_context(str(path))
    assert f"cannot use the CA file {path}: {why}" in str(caught.value)
    assert "_ssl.c" not in str(caught.value)


@given(
    code=st.sampled_from([2, 9, 10, 18, 19, 20, 21, 62, 64, 99]),
    at=st.integers(0, 2000),
    value=st.integers(0, 255),
    cut=st.integers(0, 2000),
)
def test_whatever_a_server_sends_for_a_certificate_comes_to_a_line_of_text(
    der: bytes, code: int, at: int, value: int, cut: int
) -> None:
    spoilt = bytearray(der)
    spoilt[at % len(der)] = value
    now = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    for certificate in (bytes(spoilt), bytes(spoilt[:cut]), None):
        said = why_refused(code, "\x1b", certificate, now)
        assert said.isprintable()
