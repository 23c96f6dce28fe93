"""Counts the connections to one listening socket by origin, and picks the one to close when there are too many.

Pure. Not here: the sockets (`acceptor`), and how an origin is known (`peers`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

__all__ = ["UNSEEN", "Admission", "Origin", "connections_for", "files_for", "is_safe"]

_K = TypeVar("_K", bound="Hashable")

UNSEEN: Final = 1002
"""Connections that libzmq accepts at one socket at most before the first is seen: then its monitor is full, and its
thread waits (bus/monitor.py)."""
_OWN: Final = 96
"""Open files of a process beside its connections."""

_FEW: Final = 100
"""Connections to a socket for which it pays to listen at all."""


class Origin(NamedTuple):
    """Where a connection comes from, as the kernel says."""

    user: int | str
    """User id on a unix socket; on TCP the machine or network."""
    process: int = 0
    """Process id on a unix socket: the one that connected, even if others hold the connection by now. 0: of another
    pid namespace."""

    def __str__(self) -> str:
        return f"process {self.process} of user {self.user}" if self.process else f"{self.user}"


class _Held(Generic[_K]):
    """The connections of one process."""

    __slots__ = ("served", "waits")

    def __init__(self) -> None:
        # Both in the order in which they came to be what they are.
        self.waits: dict[_K, None] = {}
        self.served: dict[_K, None] = {}

    def __len__(self) -> int:
        return len(self.waits) + len(self.served)


class Admission(Generic[_K]):
    """At most `capacity` connections.

    Above that one goes of the process that has most, among those of the user that has most: a single connection is
    never lost to one of many, and a user with many processes does not push others out. Among those it is the one that
    has been waited for longest: to ask for something, or to take its answer. Where all are being served, the newest.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.cut = 0
        """Connections picked so far."""
        self._peers: dict[_K, Origin] = {}
        self._held: dict[int | str, dict[int, _Held[_K]]] = {}
        """By user and process."""
        self._counts: dict[int | str, int] = {}
        self._stamps: dict[_K, int] = {}
        self._moves = 0

    def __len__(self) -> int:
        return len(self._peers)

    def __contains__(self, connection: _K) -> bool:
        return connection in self._peers

    def __iter__(self) -> Iterator[_K]:
        return iter(self._peers)

    def whose(self, connection: _K) -> Origin:
        """Of one that is there."""
        return self._peers[connection]

    def held_by(self, peer: Origin) -> int:
        """Connections of one process."""
        held = self._held.get(peer.user, {}).get(peer.process)
        return 0 if held is None else len(held)

    def arrived(self, connection: _K, peer: Origin, *, waits: bool = False) -> tuple[_K, Origin] | None:
        """Another connection is there; which one has to go for it, if one has to. That one is counted no more.

        `waits`: it has not asked for anything yet.
        """
        if connection in self._peers:
            return None
        self._peers[connection] = peer
        processes = self._held.setdefault(peer.user, {})
        if peer.process not in processes:
            processes[peer.process] = _Held()
        self._counts[peer.user] = self._counts.get(peer.user, 0) + 1
        self.moved(connection, waits=waits)
        return self.cut_one() if len(self._peers) > self.capacity else None

    def moved(self, connection: _K, *, waits: bool) -> None:
        """It made progress: a whole request came, or it took of its answer. `waits`: it is its turn again."""
        peer = self._peers.get(connection)
        if peer is None:
            return
        held = self._held[peer.user][peer.process]
        held.waits.pop(connection, None)
        held.served.pop(connection, None)
        (held.waits if waits else held.served)[connection] = None
        self._moves += 1
        self._stamps[connection] = self._moves

    def left(self, connection: _K) -> None:
        """It is closed. Unknown ones are ignored."""
        peer = self._peers.pop(connection, None)
        if peer is None:
            return
        del self._stamps[connection]
        processes = self._held[peer.user]
        held = processes[peer.process]
        held.waits.pop(connection, None)
        held.served.pop(connection, None)
        if not held:
            del processes[peer.process]
        self._counts[peer.user] -= 1
        if not self._counts[peer.user]:
            del self._counts[peer.user], self._held[peer.user]

    def cut_one(self, *, waiting_only: bool = False) -> tuple[_K, Origin] | None:
        """Which one has to go; it is counted no more. None: there is none, or all are being served."""
        if not self._peers:
            return None
        connection, waits = self._victim()
        if waiting_only and not waits:
            return None
        peer = self._peers[connection]
        self.left(connection)
        self.cut += 1
        return connection, peer

    def _victim(self) -> tuple[_K, bool]:
        """The connection, and whether we wait for it."""
        waiting: list[_K] = []
        served: list[_K] = []
        most = max(self._counts.values())
        for user, count in self._counts.items():
            if count < most:
                continue
            processes = self._held[user].values()
            of_one = max(map(len, processes))
            for held in processes:
                if len(held) < of_one:
                    continue
                if held.waits:
                    waiting.append(next(iter(held.waits)))
                else:
                    served.append(next(reversed(held.served)))
        if waiting:
            return min(waiting, key=self._stamps.__getitem__), True
        return max(served, key=self._stamps.__getitem__), False


def connections_for(files: int, sockets: int, wanted: int) -> int:
    """Connections that each of `sockets` sockets of libzmq may have where a process has so many `files`.

    libzmq ends the process when it cannot accept for want of a descriptor (4.3.5: src/ipc_listener.cpp), and accepts
    while our thread is busy. With too few files for all of those, half are left for them.
    """
    unseen = sockets * UNSEEN if files >= files_for(sockets) else files // 2
    return max(1, min(wanted, (files - _OWN - unseen) // sockets))


def files_for(sockets: int) -> int:
    """Files with which a flood cannot take the last one of a process with so many sockets."""
    return _OWN + sockets * (_FEW + UNSEEN)


def is_safe(files: int, sockets: int, capacity: int) -> bool:
    """Whether no flood can take the last of so many `files`, however long our thread is busy."""
    return _OWN + sockets * (capacity + UNSEEN) <= files
