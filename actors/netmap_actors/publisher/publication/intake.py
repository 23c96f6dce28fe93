"""Which MapResponses the publisher accepts, by the identity in their headers, and what it asks for when one is missing.

It sees headers only: what a MapResponse holds is the netmap's business.
"""

from __future__ import annotations

import enum

__all__ = ["PLEA_INTERVAL", "Decision", "Intake", "Plea"]

PLEA_INTERVAL = 5.0
"""Seconds between two pleas of the same kind, until they are answered."""


class Decision(enum.Enum):
    """What to do with one MapResponse."""

    FIRST = "first"
    """Number 1 of a newer session: what came before it no longer counts."""
    NEXT = "next"
    """The one after the last."""
    DROP = "drop"
    """Older, foreign, repeated, or behind a gap."""


class Plea(enum.Enum):
    """What only somebody else can mend."""

    RESYNC = "resync"
    """A MapResponse is missing: the connection must ask for the whole netmap again."""
    END_SESSION = "end_session"
    """The session sent something that is no MapResponse: the connection must end."""


class Intake:
    """Accepts number 1 of a newer (generation, session), then number + 1 only.

    `restarted`: this publisher follows another one in the same run, so a connection that lives already has sent
    its number 1 to the one before.
    """

    def __init__(self, *, restarted: bool) -> None:
        self._restarted = restarted
        self._current = (0, 0)
        self._number = 0
        self._in_step = False
        self._ended = 0
        self._plea: Plea | None = None
        self._plea_at = 0.0
        self.plea_generation = 0
        """The connection the plea is about."""
        self.plea_reason = ""
        self.dropped = 0
        """MapResponses not accepted: older, foreign, repeated or behind a gap."""
        self.gaps = 0

    @property
    def generation(self) -> int:
        """The connection whose messages count; 0 before the first."""
        return self._current[0]

    @property
    def session(self) -> int:
        """The map session within the generation."""
        return self._current[1]

    @property
    def in_step(self) -> bool:
        """Every MapResponse of the session has been accepted and its connection has not ended."""
        return self._in_step

    def receive(self, generation: int, session: int, number: int, now: float) -> Decision:
        """Decide about the MapResponse with this identity."""
        key = (generation, session)
        if generation <= self._ended or key < self._current:
            return self._drop()
        if key > self._current and number == 1:
            self._current, self._number = key, 1
            self._in_step = True
            self._restarted = False
            self._plea = None
            return Decision.FIRST
        if key == self._current and self._in_step and number == self._number + 1:
            self._number = number
            return Decision.NEXT
        if key > self._current or (self._in_step and number > self._number + 1):
            self.gaps += 1
            self._in_step = False
            self._beg(
                Plea.RESYNC,
                generation,
                f"message {number} of session {session} came without those before it",
                now,
            )
        return self._drop()

    def connection_started(self, generation: int, now: float) -> None:
        """The Supervisor names the connection that counts from now on."""
        if generation <= max(self._ended, self._current[0]):
            return
        if self._restarted:
            # It may have been there before us: then its number 1 went to our predecessor. Only the first
            # connection named to us can be one of those.
            self._restarted = False
            self._beg(Plea.RESYNC, generation, "the publisher was started anew", now)
        elif self.plea_generation < generation:
            # What was missing was of a connection that is gone; the new one begins with a number 1.
            self._plea = None

    def ended(self, generation: int) -> bool:
        """The connection of this generation ended: nothing of it counts any more. False when that was known."""
        if generation <= self._ended:
            return False
        self._ended = generation
        if generation >= self._current[0]:
            self._in_step = False
        if generation >= self.plea_generation:
            self._plea = None
        return True

    def refuse(self, reason: str, now: float) -> None:
        """The last accepted one could not be used: nothing more of its connection will be, and it must end."""
        self._ended = max(self._ended, self._current[0])
        self._in_step = False
        self._beg(Plea.END_SESSION, self._current[0], reason, now)

    def deadline(self) -> float | None:
        """When the next plea is due."""
        return self._plea_at if self._plea is not None else None

    def expire(self, now: float) -> Plea | None:
        """The plea to make now, if one is due; it comes again every PLEA_INTERVAL until it is answered."""
        if self._plea is None or now < self._plea_at:
            return None
        self._plea_at = now + PLEA_INTERVAL
        return self._plea

    def _beg(self, plea: Plea, generation: int, reason: str, now: float) -> None:
        self.plea_reason = reason
        self.plea_generation = generation
        if self._plea is not plea:
            self._plea = plea
            self._plea_at = now

    def _drop(self) -> Decision:
        self.dropped += 1
        return Decision.DROP
