"""Where the HTTP endpoint may listen, and what that needs: TLS or a word that there is none."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from netmap_supervisor.config.kinds import BadValue
from netmap_supervisor.config.layers import BadConfiguration, load
from netmap_supervisor.config.network_kinds import HttpAddress
from netmap_supervisor.config.reach import is_for_others
from tests.support.proxies.certificates import issued

NOWHERE = {"HOME": "/home/nobody", "XDG_RUNTIME_DIR": "/run/user/1"}
TLS = {"http_tls_cert": "/c.pem", "http_tls_key": "/k.pem"}


@pytest.mark.parametrize(
    ("given", "value", "others"),
    [
        ("", "", False),
        ("127.0.0.1:9641", "127.0.0.1:9641", False),
        ("127.9.9.9:9641", "127.9.9.9:9641", False),
        ("localhost:9641", "127.0.0.1:9641", False),
        ("[::1]:9641", "[::1]:9641", False),
        ("unix:/run/x.sock", "unix:/run/x.sock", False),
        ("0.0.0.0:9641", "0.0.0.0:9641", True),
        ("[::]:9641", "[::]:9641", True),
        ("192.0.2.1:443", "192.0.2.1:443", True),
        ("[2001:DB8::0:1]:9641", "[2001:db8::1]:9641", True),
    ],
)
def test_every_address_can_be_named_and_it_is_known_who_reaches_it(
    given: str, value: str, others: bool
) -> None:
    assert HttpAddress().parse(given, Path("/")) == value
    assert is_for_others(value) is others


@pytest.mark.parametrize(
    "given", ["9641", ":9641", "*:9641", "obs.example:9641", "0.0.0.0:0", "[fe80::1%lo]:1"]
)
def test_what_is_no_address_is_refused(given: str) -> None:
    with pytest.raises(BadValue):
        HttpAddress().parse(given, Path("/"))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"http_listen": "0.0.0.0:9100"},
            "would be in clear; give http.tls_cert and http.tls_key, or http.plaintext = true behind a proxy",
        ),
        ({"http_tls_cert": "/c.pem"}, "--http-tls-cert: http.tls_cert needs http.tls_key beside it"),
        (
            {"http_listen": "[::]:1", "http_tls_key": "/k.pem"},
            "--http-tls-key: http.tls_key needs http.tls_cert beside it",
        ),
        ({**TLS, "http_plaintext": True}, "--http-plaintext: cannot serve in plain text with http.tls_cert"),
        ({**TLS, "http_listen": "unix:/run/x"}, "--http-tls-cert: cannot use TLS on unix:/run/x"),
    ],
)
def test_what_cannot_be_together_says_what_to_give(given: dict[str, object], said: str) -> None:
    with pytest.raises(BadConfiguration) as caught:
        load(given, NOWHERE)
    assert len(caught.value.problems) == 1
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "given",
    [
        {"http_listen": "0.0.0.0:9100", **TLS},
        {"http_listen": "127.0.0.1:9100", **TLS},
        {"http_listen": "0.0.0.0:9100", "http_plaintext": True},
        {"http_listen": "127.0.0.1:9100", "http_plaintext": True},
        {"http_plaintext": True},
        TLS,
    ],
)
def test_what_can_be_together_is_taken(given: dict[str, object]) -> None:
    load(given, NOWHERE)


def warned(**given: object) -> list[str]:
    return list(load(given, NOWHERE).warnings)


def test_plain_text_for_others_and_a_key_for_everybody_are_warned_about(tmp_path: Path) -> None:
    assert warned(http_listen="127.0.0.1:1", http_plaintext=True) == []
    (plain,) = warned(http_listen="0.0.0.0:1", http_plaintext=True)
    assert "whoever sees the packets to 0.0.0.0:1 reads the netmap and the tokens" in plain
    pem = issued(tmp_path).pem
    pem.chmod(0o600)
    pair = {"http_listen": "0.0.0.0:1", "http_tls_cert": str(pem), "http_tls_key": str(pem)}
    assert warned(**pair) == []
    pem.chmod(0o644)
    (loose,) = warned(**pair)
    assert "can be read by everybody; chmod 600 it" in loose


@pytest.mark.parametrize("spoilt", ["missing", "empty", "other key", "directory"])
def test_a_pair_that_cannot_be_used_keeps_the_rest_of_the_daemon_from_nothing(
    spoilt: str, tmp_path: Path
) -> None:
    pem, key = issued(tmp_path).pem, tmp_path / "key.pem"
    (tmp_path / "other").mkdir()
    if spoilt == "empty":
        key.touch()
    elif spoilt == "other key":
        key.write_bytes(issued(tmp_path / "other").pem.read_bytes())
    elif spoilt == "directory":
        key.mkdir()
    (warning,) = warned(http_listen="0.0.0.0:1", http_tls_cert=str(pem), http_tls_key=str(key))
    assert warning.startswith(f"cannot use {pem} with the key {key}: ")
    assert warning.endswith("; the HTTP endpoint opens once it can")


def test_a_pair_that_openssl_refuses_is_told_why(tmp_path: Path) -> None:
    pem = issued(tmp_path).pem
    pair = {"http_listen": "0.0.0.0:1", "http_tls_cert": str(pem), "http_tls_key": str(pem)}
    pem.write_bytes(pem.read_bytes().partition(b"-----BEGIN CERTIFICATE")[0])
    assert ": both have to be PEM, and the key not encrypted; " in warned(**pair)[0]
    pem.write_bytes(_weak())
    assert ": ee key too small; " in warned(**pair)[0]


def _weak() -> bytes:
    """A certificate of itself, with its key."""
    key, name = rsa.generate_private_key(65537, 1024), x509.Name([])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + datetime.timedelta(days=1))
    ).sign(key, hashes.SHA256())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private + made.public_bytes(serialization.Encoding.PEM)
