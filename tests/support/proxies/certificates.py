"""Certificates made for a test: an issuer, and what it issues, each with exactly the extensions asked for."""

from __future__ import annotations

import dataclasses
import datetime
import ipaddress
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from pathlib import Path

Key = ec.EllipticCurvePrivateKey


@dataclasses.dataclass(frozen=True)
class Made:
    """A certificate with its key; `pem` holds both, `issuer_pem` what `--ca-file` is to name."""

    pem: Path
    issuer_pem: Path


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _write(path: Path, key: Key | None, certificate: x509.Certificate) -> Path:
    private = b""
    if key is not None:
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return path


def issued(
    directory: Path,
    names: tuple[str, ...] = ("control.example",),
    *,
    common_name: str = "control.example",
    begins: float = -5.0,
    ends: float = 5.0,
    key_identifiers: bool = True,
    self_signed: bool = False,
) -> Made:
    """A server's certificate for `names` (its SAN; none without them), valid from and until so many days from now.

    `key_identifiers`: whether issuer and certificate name their keys, as RFC 5280 wants; a private CA made with two
    openssl commands does not. `self_signed`: issued by itself.
    """
    now = datetime.datetime.now(datetime.UTC)
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root = (
        x509.CertificateBuilder()
        .subject_name(_name("A private CA"))
        .issuer_name(_name("A private CA"))
        .public_key(root_key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=3650))
        .not_valid_after(now + datetime.timedelta(days=3650))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    )
    leaf = (
        x509.CertificateBuilder()
        .subject_name(_name(common_name))
        .issuer_name(_name(common_name if self_signed else "A private CA"))
        .public_key(key.public_key())
        .serial_number(2)
        .not_valid_before(now + datetime.timedelta(days=begins))
        .not_valid_after(now + datetime.timedelta(days=ends))
    )
    if names:
        alternatives = x509.SubjectAlternativeName([_general_name(name) for name in names])
        leaf = leaf.add_extension(alternatives, critical=False)
    if key_identifiers:
        root = root.add_extension(x509.SubjectKeyIdentifier.from_public_key(root_key.public_key()), False)
        leaf = leaf.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), False
        )
    signer = key if self_signed else root_key
    made = leaf.sign(signer, hashes.SHA256())
    pem = _write(directory / "server.pem", key, made)
    issuer = made if self_signed else root.sign(root_key, hashes.SHA256())
    return Made(pem, _write(directory / "issuer.pem", None, issuer))
