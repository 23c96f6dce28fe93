"""When the last commit is repeated between two heartbeats: after a commit, and after a subscriber connected.

Times are seconds of CLOCK_BOOTTIME.
"""

from __future__ import annotations

__all__ = ["GREETINGS", "TAIL_WAIT", "Repeats"]

GREETINGS = (0.1, 0.5)
"""Seconds after a subscriber connected: one that holds the netmap of an earlier publisher learns without waiting for
the heartbeat that it is over. Its subscriptions arrive a little after its connection."""
TAIL_WAIT = 0.5
"""Seconds after a commit: a subscriber that lost the last of a burst need not wait for the heartbeat."""


class Repeats:
    """The moments of the repetitions that are due."""

    def __init__(self) -> None:
        self._tail: list[float] = []
        self._greetings: list[float] = []

    def committed(self, now: float) -> None:
        """Commits were published; one repetition serves all until it is due."""
        self._tail = self._tail or [now + TAIL_WAIT]

    def subscriber_came(self, now: float) -> None:
        """A subscriber connected; its greetings serve all who connect until the last of them."""
        self._greetings = self._greetings or [now + wait for wait in GREETINGS]

    def deadline(self) -> float | None:
        """When to call `expire`."""
        return min(self._tail + self._greetings, default=None)

    def expire(self, now: float) -> bool:
        """Whether to repeat the last commit now."""
        deadline = self.deadline()
        self._tail = [at for at in self._tail if at > now]
        self._greetings = [at for at in self._greetings if at > now]
        return deadline is not None and deadline <= now
