"""Explains why a certificate was refused, and what to do.

Not here: the verification, which is OpenSSL's (`transport.tls`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from netmap_actors.errors import escape

if TYPE_CHECKING:
    import datetime

    from cryptography import x509

__all__ = ["why_refused"]

MAX_NAMES = 5
"""Names of a certificate that are listed."""

# openssl: include/openssl/x509_vfy.h, X509_V_ERR_…
_NOT_YET_VALID = 9
_EXPIRED = 10
_SELF_SIGNED = 18
_NO_ISSUER = frozenset({2, 19, 20, 21})
"""The issuer, of it or of the end of its chain, is unknown."""
_OTHER_NAME = frozenset({62, 64})
"""Host name, address."""

_ISSUER_EXPIRED = "a certificate above its own has expired"
_ISSUER_EARLY = "a certificate above its own is not valid yet"


class _Shown(msgspec.Struct, frozen=True):
    """The fields of a certificate that are shown."""

    begins: datetime.datetime
    ends: datetime.datetime
    issuer: str
    names: tuple[str, ...]
    """Of its subjectAltName; the common name does not count (RFC 9525, section 2)."""


def why_refused(code: int, said: str, certificate: bytes | None, now: datetime.datetime) -> str:
    """Why OpenSSL refused this certificate (DER, None when unknown), and what to do.

    `code`, `said`: OpenSSL's error. `now`: this machine's clock, in UTC.
    """
    found = _read(certificate) if certificate is not None else None
    clock = f"this machine's clock says {_moment(now)}"
    if code == _EXPIRED:
        its_own = found is not None and found.ends < now
        which = (
            f"its certificate has expired on {_moment(found.ends)}" if found and its_own else _ISSUER_EXPIRED
        )
        whose = "the server's certificate" if its_own else "that one, in the server's chain or --ca-file,"
        return f"{which}; {clock}: if that is right, {whose} has to be renewed"
    if code == _NOT_YET_VALID:
        its_own = found is not None and found.begins > now
        which = (
            f"its certificate is not valid before {_moment(found.begins)}"
            if found and its_own
            else _ISSUER_EARLY
        )
        return f"{which}; {clock}: if that is wrong, set it"
    if code in _OTHER_NAME:
        return f"its certificate {_whose(found)}; check the URL, or make a certificate for this name"
    if code == _SELF_SIGNED:
        return "its certificate is self-signed; if it is the right one, name it with --ca-file"
    if code in _NO_ISSUER:
        issuer = f" {escape(found.issuer, 80)!r}" if found is not None else ""
        return f"nobody here knows the issuer{issuer} of its certificate; if it is your own CA, name it with --ca-file"
    return f"its certificate is refused: {escape(said)}; check it with `openssl s_client`"


def _read(certificate: bytes) -> _Shown | None:
    """None when it cannot be parsed: OpenSSL's parser is more lenient."""
    # Imported here, as it is rarely needed.
    from cryptography import x509  # noqa: PLC0415

    try:
        found = x509.load_der_x509_certificate(certificate)
        issuer = found.issuer.rfc4514_string().removeprefix("CN=")
        return _Shown(found.not_valid_before_utc, found.not_valid_after_utc, issuer, _names(found))
    except (
        ValueError,
        x509.InvalidVersion,
        x509.DuplicateExtension,
        x509.UnsupportedGeneralNameType,
    ):
        return None


def _names(found: x509.Certificate) -> tuple[str, ...]:
    from cryptography import x509  # noqa: PLC0415

    try:
        alternatives = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    addresses = alternatives.get_values_for_type(x509.IPAddress)
    return (*alternatives.get_values_for_type(x509.DNSName), *map(str, addresses))


def _whose(found: _Shown | None) -> str:
    if found is None:
        return "is for another name"
    if not found.names:
        return "holds no names of hosts (subjectAltName), only a common name at most"
    shown = ", ".join(escape(name, 80) for name in found.names[:MAX_NAMES])
    more = len(found.names) - MAX_NAMES
    return f"is for {shown}" + (f" and {more} more" if more > 0 else "")


def _moment(when: datetime.datetime) -> str:
    return when.strftime("%Y-%m-%d %H:%M UTC")
