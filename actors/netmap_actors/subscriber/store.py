"""Reading the netmap while a Subscriber keeps it current."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from netmap_actors.clock import Clock
    from netmap_actors.subscriber.events import Snapshot
    from netmap_actors.subscriber.netmap_view import Netmap
    from netmap_actors.subscriber.replica import Replica
    from netmap_actors.wire.vocabulary import Trust

__all__ = ["NetmapStore"]


class NetmapStore:
    """The netmap of the last commit, for readers in any thread.

    Each read is of one commit, and what it returns never changes. For several facts of the same commit take one
    `snapshot`. After the Subscriber is closed the last netmap can still be read. Not from a signal handler: it may have
    interrupted the thread that holds the lock.
    """

    def __init__(self, replica: Replica, clock: Clock) -> None:
        self._replica = replica
        self._clock = clock
        self.lock = threading.Lock()
        """Held while the replica changes."""

    def snapshot(self) -> Snapshot:
        """The netmap, its epoch and commit, and its state and age now; an empty one, "none", before the first."""
        with self.lock:
            return self._replica.snapshot(self._clock.boottime())

    @property
    def netmap(self) -> Netmap:
        """The netmap."""
        return self.snapshot().netmap

    @property
    def state(self) -> Trust:
        """none, fresh or stale, now: it decays by itself when nothing is heard."""
        return self.snapshot().state

    @property
    def age_s(self) -> float | None:
        """Seconds since the control server's last MapResponse; None when none was ever heard of."""
        return self.snapshot().age_s
