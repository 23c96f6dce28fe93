"""The secrets of one run, all made from one that never leaves this process. Pure, but for that first one.

Not here: how a message is proved (`netmap_actors.wire`).
"""

from __future__ import annotations

import secrets

from netmap_actors.boot import Secrets
from netmap_actors.wire.codec import connection_secret
from netmap_actors.wire.secret import SECRET_BYTES, Secret
from netmap_actors.wire.vocabulary import ActorName

__all__ = ["Keyring"]

_INBOXES = (ActorName.LIVENESS, ActorName.PUBLISHER)


class Keyring:
    """One secret for each pair of processes that exchange messages."""

    def __init__(self) -> None:
        self._root = Secret(secrets.token_bytes(SECRET_BYTES))

    def with_us(self, actor: str, generation: int) -> Secret:
        """Between this child process and the Supervisor."""
        return self._root.derive("child", actor, str(generation))

    def secrets_for(self, actor: str, generation: int) -> Secrets:
        """The secrets of this child process."""
        own = self.with_us(actor, generation).text()
        if actor in _INBOXES:
            # The same for each process of it: a connection outlives them, and goes on sending.
            return Secrets(supervisor=own, inbox=self._inbox(actor).text())
        if actor == ActorName.CONNECTION:
            to = {name: connection_secret(self._inbox(name), generation).text() for name in _INBOXES}
            return Secrets(supervisor=own, **to)
        if actor == ActorName.HTTP_ENDPOINT:
            # The same for each process of it: one that crashes logs nobody out.
            return Secrets(supervisor=own, sessions=self._root.derive("sessions").text())
        return Secrets(supervisor=own)

    def _inbox(self, actor: str) -> Secret:
        return self._root.derive("inbox", actor)
