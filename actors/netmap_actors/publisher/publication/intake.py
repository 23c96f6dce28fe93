"""Which MapResponses the publisher accepts, by their headers, and what it asks for when one is missing.

Not here: what a MapResponse holds.
"""

from __future__ import annotations

import enum

__all__ = ["REMEDY_INTERVAL", "Acceptance", "Intake", "Remedy"]

REMEDY_INTERVAL = 5.0
"""Seconds between two requests for the same remedy, until it comes."""


class Acceptance(enum.Enum):
    """What to do with one MapResponse."""

    FIRST = "first"
    """Number 1 of a newer session: what came before it no longer counts."""
    NEXT = "next"
    """The one after the last."""
    DROP = "drop"
    """Older, foreign, repeated, or behind a gap."""


class Remedy(enum.Enum):
    """What another process has to do."""

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
        self._remedy: Remedy | None = None
        self._remedy_at = 0.0
        self.remedy_generation = 0
        """The connection the remedy is for."""
        self.remedy_reason = ""
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

    def receive(self, generation: int, session: int, number: int, now: float) -> Acceptance:
        """Decide about the MapResponse with this identity."""
        key = (generation, session)
        if generation <= self._ended or key < self._current:
            return self._drop()
        if key > self._current and number == 1:
            self._current, self._number = key, 1
            self._in_step = True
            self._restarted = False
            self._remedy = None
            return Acceptance.FIRST
        if key == self._current and self._in_step and number == self._number + 1:
            self._number = number
            return Acceptance.NEXT
        if key > self._current or (self._in_step and number > self._number + 1):
            self.gaps += 1
            self._in_step = False
            self._ask_for(
                Remedy.RESYNC,
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
            # It may be older than this process: its number 1 went to the publisher before. Only the first connection
            # named can be one of those.
            self._restarted = False
            self._ask_for(Remedy.RESYNC, generation, "the publisher was started anew", now)
        elif self.remedy_generation < generation:
            # What was missing was of a connection that is gone; the new one begins with a number 1.
            self._remedy = None

    def ended(self, generation: int) -> bool:
        """The connection of this generation ended: nothing of it counts any more. False when that was known."""
        if generation <= self._ended:
            return False
        self._ended = generation
        # The next one is started after this process was, and sends its number 1 here.
        self._restarted = False
        if generation >= self._current[0]:
            self._in_step = False
        if generation >= self.remedy_generation:
            self._remedy = None
        return True

    def refuse(self, reason: str, now: float) -> None:
        """The last accepted one could not be used: nothing more of its connection will be, and it must end."""
        self._ended = max(self._ended, self._current[0])
        self._in_step = False
        self._ask_for(Remedy.END_SESSION, self._current[0], reason, now)

    def deadline(self) -> float | None:
        """When `expire` has a remedy to ask for."""
        return self._remedy_at if self._remedy is not None else None

    def expire(self, now: float) -> Remedy | None:
        """The remedy to ask for now, if one is due; again every REMEDY_INTERVAL until it comes."""
        if self._remedy is None or now < self._remedy_at:
            return None
        self._remedy_at = now + REMEDY_INTERVAL
        return self._remedy

    def _ask_for(self, remedy: Remedy, generation: int, reason: str, now: float) -> None:
        self.remedy_reason = reason
        self.remedy_generation = generation
        if self._remedy is not remedy:
            self._remedy = remedy
            self._remedy_at = now

    def _drop(self) -> Acceptance:
        self.dropped += 1
        return Acceptance.DROP
