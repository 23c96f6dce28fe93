"""Who holds how many of the connections to one listening socket, and whose has to go when there are too many.

Pure accounting. Not here: the sockets, and how a peer is known (`peers`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Admission", "Peer"]


class Peer(NamedTuple):
    """Whose a connection is, as the kernel says."""

    user: int | str
    """User id on a unix socket; the address on TCP."""
    process: int = 0
    """Process id on a unix socket: of whoever connected, even if others hold the connection by now."""

    def __str__(self) -> str:
        return f"process {self.process} of user {self.user}" if self.process else f"{self.user}"


class Admission:
    """At most `capacity` connections, of which each process may have `share` at any time.

    Above that the newest one goes of the process that has most, among those of the user who has most. So nobody who
    has one connection loses it to somebody who has many, and a user with many processes does not push others out.
    """

    def __init__(self, capacity: int, share: int | None = None) -> None:
        """`share`: None for no bound of its own."""
        self.capacity = capacity
        self.cut = 0
        """Connections that were to go, so far."""
        self._share = share
        self._peers: dict[int, Peer] = {}
        self._held: dict[int | str, dict[int, dict[int, None]]] = {}
        """Connections by user and process, each in the order of arrival."""
        self._counts: dict[int | str, int] = {}

    def __len__(self) -> int:
        return len(self._peers)

    def __contains__(self, connection: int) -> bool:
        return connection in self._peers

    def __iter__(self) -> Iterator[int]:
        return iter(self._peers)

    def held_by(self, peer: Peer) -> int:
        """Connections of one process."""
        return len(self._held.get(peer.user, {}).get(peer.process, ()))

    def arrived(self, connection: int, peer: Peer) -> tuple[int, Peer] | None:
        """Another connection is there; which one has to go for it, if one has to. That one is counted no more."""
        if connection in self._peers:
            return None
        self._peers[connection] = peer
        self._held.setdefault(peer.user, {}).setdefault(peer.process, {})[connection] = None
        self._counts[peer.user] = self._counts.get(peer.user, 0) + 1
        if self._share is not None and self.held_by(peer) > self._share:
            return self._cut(connection)
        if len(self._peers) > self.capacity:
            return self._cut(self._victim(peer))
        return None

    def left(self, connection: int) -> None:
        """It is gone. Unknown ones are ignored."""
        peer = self._peers.pop(connection, None)
        if peer is None:
            return
        processes = self._held[peer.user]
        del processes[peer.process][connection]
        if not processes[peer.process]:
            del processes[peer.process]
        self._counts[peer.user] -= 1
        if not self._counts[peer.user]:
            del self._counts[peer.user], self._held[peer.user]

    def _cut(self, connection: int) -> tuple[int, Peer]:
        peer = self._peers[connection]
        self.left(connection)
        self.cut += 1
        return connection, peer

    def _victim(self, newest: Peer) -> int:
        """Of those who have equally many, the one who has just come."""
        user = max(self._counts, key=lambda one: (self._counts[one], one == newest.user))
        processes = self._held[user]
        process = max(processes, key=lambda one: (len(processes[one]), Peer(user, one) == newest))
        return next(reversed(processes[process]))
