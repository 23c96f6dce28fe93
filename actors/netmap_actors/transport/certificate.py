"""Words for a certificate that was refused: what is wrong with it, and what to do. It is shown and never believed.

Not here: the check itself, which is OpenSSL's (`tls`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netmap_actors.errors import escape

if TYPE_CHECKING:
    import datetime

    from cryptography import x509

__all__ = ["why_refused"]

MAX_NAMES = 5
"""Names of a certificate that are shown."""

# openssl: include/openssl/x509_vfy.h, X509_V_ERR_…
_NOT_YET_VALID = 9
_EXPIRED = 10
_SELF_SIGNED = 18
_NO_ISSUER = frozenset({2, 19, 20, 21})
"""Its issuer, or the last of its chain, is not one we know."""
_OTHER_NAME = frozenset({62, 64})
"""Host name, address."""


def why_refused(code: int, said: str, certificate: bytes | None, now: datetime.datetime) -> str:
    """Why OpenSSL refused this certificate (DER, as the server sent it; None where it is not known), and what to do.

    `code`, `said`: its verdict. `now`: this machine's clock, in UTC.
    """
    found = _read(certificate)
    clock = f"this machine's clock says {_moment(now)}"
    if code == _EXPIRED:
        ended = found.not_valid_after_utc if found is not None else now
        which = (
            f"its certificate has expired on {_moment(ended)}" if ended < now else "its issuer's has expired"
        )
        return f"{which}; {clock}: if that is right, the server's certificate has to be renewed"
    if code == _NOT_YET_VALID:
        begins = found.not_valid_before_utc if found is not None else now
        which = (
            f"its certificate is not valid before {_moment(begins)}"
            if begins > now
            else "its issuer's is not yet valid"
        )
        return f"{which}; {clock}: if that is wrong, set it"
    if code in _OTHER_NAME:
        return f"{_whose(found)}; check the URL, or make a certificate for this name"
    if code == _SELF_SIGNED:
        return "its certificate is self-signed; if it is the right one, name it with --ca-file"
    if code in _NO_ISSUER:
        issuer = f" {_name(found.issuer.rfc4514_string())}" if found is not None else ""
        return f"nobody here knows the issuer{issuer} of its certificate; if it is your own CA, name it with --ca-file"
    return f"its certificate is refused: {escape(said)}; check it with `openssl s_client`"


def _read(certificate: bytes | None) -> x509.Certificate | None:
    if certificate is None:
        return None
    # Loaded here: hardly anybody needs it.
    from cryptography import x509  # noqa: PLC0415

    try:
        return x509.load_der_x509_certificate(certificate)
    except ValueError:
        return None


def _whose(found: x509.Certificate | None) -> str:
    """For whom a certificate is, by its subjectAltName; the common name says nothing (RFC 9525, section 2)."""
    from cryptography import x509  # noqa: PLC0415

    if found is None:
        return "its certificate is for another name"
    try:
        alternatives = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension):
        return "its certificate holds no names (subjectAltName), only a common name at most"
    names = [
        *alternatives.get_values_for_type(x509.DNSName),
        *map(str, alternatives.get_values_for_type(x509.IPAddress)),
    ]
    if not names:
        return "its certificate holds no names of hosts (subjectAltName)"
    shown = ", ".join(escape(name, 80) for name in names[:MAX_NAMES])
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return f"its certificate is for {shown}{more}"


def _name(text: str) -> str:
    return repr(escape(text.removeprefix("CN="), 80))


def _moment(when: datetime.datetime) -> str:
    return when.strftime("%Y-%m-%d %H:%M UTC")
