"""A certificate authority of a development server's own, and what it issues. Times are in UTC, all else is PEM.

Not here: files (`dev_control.http.tls_files`). Unlike the rest of the protocol it takes randomness from OpenSSL.
"""

from __future__ import annotations

import datetime
import ipaddress
from typing import TYPE_CHECKING, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from netmap_actors.errors import NetmapError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["BadAuthority", "CertificateAuthority", "IssuedCertificate"]

_LIFETIME = datetime.timedelta(days=3650)
_ISSUED_LIFETIME = datetime.timedelta(days=397)
"""Apple's clients refuse certificates of more than 398 days (support.apple.com 102028)."""
_EARLY = datetime.timedelta(days=1)
"""For a device whose clock is behind."""


class BadAuthority(NetmapError):
    """What should be an authority's certificate and key is not, or it cannot issue what was asked for."""


class IssuedCertificate(NamedTuple):
    """A server's certificate and its private key."""

    certificate: bytes
    key: bytes

    def __repr__(self) -> str:
        return "IssuedCertificate()"


class CertificateAuthority:
    """A self-signed P-256 certificate, which every TLS library verifies, mbedTLS of a microcontroller included."""

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self._certificate = certificate
        self._key = key

    @classmethod
    def generate(cls, now: datetime.datetime) -> CertificateAuthority:
        """A new one, valid for ten years."""
        key = ec.generate_private_key(ec.SECP256R1())
        # No two have one name: whoever trusts an older one would see a bad signature, not an unknown issuer.
        serial = x509.random_serial_number()
        name = _name(f"netmap dev-control CA {serial:x}"[:40])
        unsigned = _builder(name, key, serial, now, _LIFETIME, is_authority=True)
        return cls(_signed(unsigned, name, key), key)

    @classmethod
    def load(cls, certificate: bytes, key: bytes) -> CertificateAuthority:
        """From PEM. Raises BadAuthority."""
        try:
            loaded = serialization.load_pem_private_key(key, None)
            held = x509.load_pem_x509_certificate(certificate)
        except (ValueError, TypeError):
            raise BadAuthority("it is no PEM certificate with its unencrypted private key") from None
        if not isinstance(loaded, ec.EllipticCurvePrivateKey) or held.public_key() != loaded.public_key():
            raise BadAuthority("the key is not that of the certificate")
        return cls(held, loaded)

    @property
    def certificate(self) -> bytes:
        """What a client has to trust."""
        return self._certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key(self) -> bytes:
        """The private key, not encrypted."""
        return _key_pem(self._key)

    def outlives(self, now: datetime.datetime) -> bool:
        """Whether it is still valid when what it issues now no longer is."""
        return now + _ISSUED_LIFETIME <= self._certificate.not_valid_after_utc

    def issue(self, names: Sequence[str], now: datetime.datetime) -> IssuedCertificate:
        """A server's certificate for these host names and IP addresses. Raises BadAuthority if one is neither."""
        key = ec.generate_private_key(ec.SECP256R1())
        try:
            alternatives = x509.SubjectAlternativeName([_general_name(name) for name in names])
        except ValueError:
            raise BadAuthority(f"{', '.join(names)}: not all are host names or addresses") from None
        serial = x509.random_serial_number()
        server = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        unsigned = (
            _builder(_name("netmap dev-control"), key, serial, now, _ISSUED_LIFETIME, is_authority=False)
            .add_extension(alternatives, critical=False)
            .add_extension(server, critical=False)
        )
        made = _signed(unsigned, self._certificate.subject, self._key)
        return IssuedCertificate(made.public_bytes(serialization.Encoding.PEM), _key_pem(key))


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _general_name(name: str) -> x509.GeneralName:
    """Raises ValueError."""
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _builder(
    subject: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    serial: int,
    now: datetime.datetime,
    lifetime: datetime.timedelta,
    *,
    is_authority: bool,
) -> x509.CertificateBuilder:
    usage = x509.KeyUsage(
        digital_signature=not is_authority,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    limits = x509.BasicConstraints(ca=is_authority, path_length=0 if is_authority else None)
    # What OpenSSL's VERIFY_X509_STRICT wants, which Python 3.13 sets (RFC 5280, section 4.2.1).
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(now - _EARLY)
        .not_valid_after(now + lifetime)
        .add_extension(limits, critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _signed(
    unsigned: x509.CertificateBuilder, issuer: x509.Name, signer: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    whose = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    return unsigned.issuer_name(issuer).add_extension(whose, critical=False).sign(signer, hashes.SHA256())


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
