"""Bounds on when a message arrived and when the server sent it: it may have waited, here or on its way.

The moment is unknown, so a message counts as old as it can be: one that is younger costs a new connection at worst, one
that is older would pass for fresh, or for a wrong clock. Not here: reading, and what follows from an age. All times are
seconds of CLOCK_BOOTTIME.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["BURST", "WAKE_GRACE", "Arrival", "Arrivals"]

WAKE_GRACE = 1.0
"""Seconds after a stop or a sleep in which delayed data comes in, though the socket was empty meanwhile."""
BURST = 10.0
"""Seconds of silence after which a message may have been held up on the way, and for which those that follow may have
been held up with it: TCP sends again what got lost, one after the other."""


class Arrival(NamedTuple):
    """One message's times."""

    received_at: float
    """When its last byte was read; after a stop of this process, when the socket was last looked at before it."""
    present_since: float
    """It was not in our socket before this moment; earlier than `received_at` where nothing was read for a while."""
    sent_since: float
    """The server did not send it before this moment."""


class Arrivals:
    """Of one connection. Messages are complete MapResponses."""

    def __init__(self) -> None:
        self._stopped_since: float | None = None
        self._unread_since: float | None = None
        self._sure_from = 0.0
        self._known_stop: tuple[float, float] | None = None
        self._requested = 0.0
        self._last = 0.0
        self._held_up = (0.0, 0.0)
        """The last silence of BURST or more: when it began, and until when what it held up may come."""

    def requested(self, at: float) -> None:
        """A map request was made: nothing that answers it was sent before."""
        self._requested = self._last = at
        self._held_up = (at, at)

    def reading(self, last_stop: tuple[float, float] | None, now: float) -> None:
        """To be called before a read. `last_stop`: when the process last stopped, or the machine slept."""
        if last_stop is None or last_stop == self._known_stop:
            return
        self._known_stop = last_stop
        since, over_at = last_stop
        if now > over_at + WAKE_GRACE:
            return  # The socket was seen empty since.
        if self._stopped_since is None:
            self._stopped_since = since
        self._sure_from = over_at + WAKE_GRACE
        self._hold_up(now)

    def resumed(self, since: float) -> None:
        """Reading was suspended since then."""
        if self._unread_since is None:
            self._unread_since = since

    def drained(self, now: float) -> None:
        """The socket is empty: what is read from now on arrived after this."""
        self._unread_since = None
        if now >= self._sure_from:
            self._stopped_since = None

    def message(self, now: float) -> Arrival:
        """A message was read to its end."""
        received_at = present_since = now
        if self._stopped_since is not None:
            received_at = present_since = max(self._requested, min(now, self._stopped_since))
        if self._unread_since is not None:
            present_since = max(self._requested, min(received_at, self._unread_since))
        if now - self._last >= BURST:
            self._hold_up(now)
        since, until = self._held_up
        sent_since = since if now < until else self._last
        self._last = now
        return Arrival(received_at, present_since, min(present_since, sent_since))

    def _hold_up(self, now: float) -> None:
        since, until = self._held_up
        self._held_up = (self._last if now >= until else since, now + BURST)
