"""The certificate of a server with TLS: a given one, or one of its own authority, which is kept or made anew.

Not here: TLS itself (`transport.tls_server`), what a certificate holds (`protocol.certificate.authority`).
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from netmap_actors.errors import ConfigurationError
from netmap_actors.protocol.certificate.authority import BadAuthority, CertificateAuthority
from netmap_actors.state_file import read_state_file, write_state_file
from netmap_actors.transport.tls_server import server_context

if TYPE_CHECKING:
    import datetime
    import ssl
    from collections.abc import Iterator

__all__ = ["AUTHORITY_FILE", "TlsSetup", "tls_identity"]

AUTHORITY_FILE = "ca_with_key.pem"
CA_FILE = "ca.pem"
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104  # compared, not bound


class TlsSetup(msgspec.Struct, frozen=True):
    """Where a server listens with TLS, and with which certificate."""

    host: str = "127.0.0.1"
    port: int = 0
    certificate: str = ""
    """Path of a PEM file, the chain behind the server's own; empty: one of an authority of its own."""
    key: str = ""
    """Path of the PEM file with its private key."""
    ca_file: str = ""
    """Where the own authority's certificate is written; empty: into the state directory, or a temporary one."""


@contextlib.contextmanager
def tls_identity(
    setup: TlsSetup, name: str, state_dir: str, now: datetime.datetime
) -> Iterator[tuple[ssl.SSLContext, str]]:
    """A context, and the path of the CA's certificate, empty for a given one. Raises ConfigurationError.

    `name`: a host by which clients reach it, beside the one it listens on; empty: none. `state_dir`: where the
    authority is kept; empty: it is made anew. On leaving, what is temporary is removed.
    """
    if setup.certificate:
        yield _given(setup), ""
        return
    import tempfile  # noqa: PLC0415

    with contextlib.ExitStack() as stack:
        authority = _authority(state_dir, now)
        names = [one for one in (name, setup.host) if one and one not in _EVERYWHERE]
        try:
            issued = authority.issue(list(dict.fromkeys((*names, *_LOOPBACK))), now)
        except BadAuthority as error:
            raise ConfigurationError(f"cannot make a certificate: {error}; name another host") from None
        path = setup.ca_file or os.path.join(  # noqa: PTH118
            state_dir or stack.enter_context(tempfile.TemporaryDirectory(prefix="netmap-ca-")), CA_FILE
        )
        try:
            Path(path).write_bytes(authority.certificate)
        except OSError as error:
            raise ConfigurationError(
                f"cannot write the CA's certificate to {path}: {error.strerror}; name another file"
            ) from None
        yield _context(issued.certificate + issued.key), path


def _given(setup: TlsSetup) -> ssl.SSLContext:
    for path in (setup.certificate, setup.key):
        try:
            Path(path).open("rb").close()
        except OSError as error:
            raise ConfigurationError(
                f"cannot read {path}: {error.strerror}; name a readable PEM file"
            ) from None
    try:
        return server_context(setup.certificate, setup.key)
    except OSError as error:
        # An SSLError is an OSError with OpenSSL's text, which holds nothing of the files.
        why = getattr(error, "reason", "") or "no PEM, or an encrypted key"
        raise ConfigurationError(
            f"cannot use {setup.certificate} with the key {setup.key}: {why}; both have to be PEM, the key not "
            "encrypted, and one the other's"
        ) from None


def _authority(state_dir: str, now: datetime.datetime) -> CertificateAuthority:
    """The kept one, else a new one, which is kept if there is a directory. Raises ConfigurationError."""
    if not state_dir:
        return CertificateAuthority.generate(now)
    path = Path(state_dir) / AUTHORITY_FILE
    held = read_state_file(path)
    if held is not None:
        try:
            authority = CertificateAuthority.load(held, held)
        except BadAuthority as error:
            raise ConfigurationError(f"cannot use {path}: {error}; remove it for a new CA") from None
        if authority.outlives(now):
            return authority
    authority = CertificateAuthority.generate(now)
    try:
        # One file: certificate and key always belong together.
        write_state_file(path, authority.certificate + authority.key)
    except OSError as error:
        raise ConfigurationError(
            f"cannot keep the CA in {path}: {error.strerror}; look at the disk"
        ) from None
    return authority


def _context(pem: bytes) -> ssl.SSLContext:
    """The ssl module reads keys from files only: from one in memory, so that the key is never on a disk."""
    descriptor = os.memfd_create("tls", os.MFD_CLOEXEC)
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(pem)
        path = f"/proc/self/fd/{descriptor}"
        return server_context(path, path)
    finally:
        os.close(descriptor)
