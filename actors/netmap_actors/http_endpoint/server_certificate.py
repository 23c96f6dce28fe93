"""The certificate the HTTP endpoint shows, from two files that are renewed while it runs.

Not here: TLS itself (`transport.tls_server`), and who looks when (`actor`).
"""

from __future__ import annotations

import datetime
import ssl
import stat
from pathlib import Path
from typing import Final

from netmap_actors.errors import escape
from netmap_actors.protocol.certificate.validity import Validity, validity
from netmap_actors.transport.tls_server import server_context

__all__ = ["ServerCertificate", "concern"]

MAX_FILE: Final = 1 << 20
_SOON: Final = 14 * 86400.0
"""Seconds before its end at most in which a certificate that is not renewed is worth a word."""
_SOON_OF: Final = 6
"""The same, as a part of its life: what lives six days is renewed after four (letsencrypt.org, integration guide)."""
_BEGIN: Final = "-----BEGIN CERTIFICATE-----"
_END: Final = "-----END CERTIFICATE-----"

_Stamp = tuple[tuple[int, int, int, int, int], ...]


class ServerCertificate:
    """The pair in use. A pair that cannot be used, as while it is written, leaves the one before in use."""

    def __init__(self, certificate: str, key: str) -> None:
        self._files = (certificate, key)
        self._seen: _Stamp | None = None
        self.context: ssl.SSLContext | None = None
        """None: there has been no pair that can be used."""
        self.validity: Validity | None = None
        self.problem = ""
        """Why the files as they are now are not in use: "cannot X: why"; empty: they are."""

    def look(self) -> bool:
        """Load the files if they are others than before, or could not be used; whether another pair is in use now."""
        certificate, key = self._files
        try:
            stamp = tuple(map(_stamp, self._files))
            if stamp == self._seen and not self.problem:
                return False
            self._seen = stamp
            # The ssl module shows nothing of what it loads.
            with Path(certificate).open("rb") as file:
                text = file.read(MAX_FILE).decode("ascii", "replace")
            found = validity(_first_der(text))
            self.context = server_context(certificate, key)
        except (OSError, ValueError) as error:
            why = _why(error)
            if self.context is not None and isinstance(error, PermissionError):
                # Landlock lets a process in to the directory it began with.
                why += "; if its directory was made anew, restart the daemon"
            self.problem = f"cannot use {certificate} with the key {key}: {why}"
            return False
        self.validity, self.problem = found, ""
        return True


def concern(validity: Validity, now: float) -> str:
    """What is wrong with the time of a certificate; empty: nothing. `now`: Unix time."""
    begins, ends = validity
    if now >= ends:
        return f"the certificate has expired on {_day(ends)}: clients refuse it; renew it"
    if now < begins:
        return f"the certificate is not valid before {_day(begins)}: clients refuse it; look at the clock"
    if ends - now < min(_SOON, (ends - begins) / _SOON_OF):
        return f"the certificate expires on {_day(ends)}: renew it"
    return ""


def _stamp(path: str) -> tuple[int, int, int, int, int]:
    """Of what a link leads to: certbot and Kubernetes renew by another link. Raises OSError."""
    found = Path(path).stat()
    if not stat.S_ISREG(found.st_mode):
        # Reading a pipe would block.
        raise OSError(0, f"{path} is no regular file")
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size


def _first_der(text: str) -> bytes:
    """The server's own certificate, which comes first (RFC 8446, 4.4.2). Raises ValueError."""
    begin, end = text.find(_BEGIN), text.find(_END)
    if begin < 0 or end < begin:
        raise ValueError("it holds no whole certificate in PEM")
    return ssl.PEM_cert_to_DER_cert(text[begin : end + len(_END)])


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        if error.reason == "KEY_VALUES_MISMATCH":
            return "the key is not that of the certificate"
        # The rest of OpenSSL's text names places in its source.
        reason = (error.reason or "").replace("_", " ").lower()
        return escape(reason, 80) or "they are no PEM, or the key is encrypted"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return escape(str(error), 80)


def _day(when: float) -> str:
    return datetime.datetime.fromtimestamp(when, datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
