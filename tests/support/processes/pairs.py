"""The secrets and codecs of a run whose Supervisor is the test."""

from __future__ import annotations

from netmap_actors.boot import Secrets
from netmap_actors.wire.codec import Codec, Inbox, connection_secret
from netmap_actors.wire.secret import Secret

OURS = Secret(b"s" * 32)
"""Between the child under test and the Supervisor."""
INBOX = Secret(b"i" * 32)
"""What connections prove themselves with, to liveness and the publisher."""

SESSIONS = Secret(b"b" * 32)
"""What sessions of browsers are proved with."""


def secrets_of(actor: str, generation: int = 1) -> Secrets:
    """The secrets of this child."""
    if actor == "control_connection":
        told = connection_secret(INBOX, generation).text()
        return Secrets(supervisor=OURS.text(), liveness=told, publisher=told)
    if actor == "http_endpoint":
        return Secrets(supervisor=OURS.text(), sessions=SESSIONS.text())
    return Secrets(supervisor=OURS.text(), inbox=INBOX.text())


def supervisor(run: str, actor: str, generation: int = 1) -> Codec:
    """The Supervisor's end of its pair with this child."""
    return Codec(run, "supervisor", 1, peer=actor, peer_generation=generation, secret=OURS)


def connection(run: str, receiver: str, generation: int = 1) -> Codec:
    """The connection's end of its pair with liveness or the publisher."""
    secret = connection_secret(INBOX, generation)
    return Codec(run, "control_connection", generation, peer=receiver, secret=secret)


def inbox(run: str, actor: str) -> Inbox:
    """The other end, of all connections."""
    return Inbox(run, actor, 1, INBOX)
