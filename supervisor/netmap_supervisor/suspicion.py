"""Whether a connection that may have died meanwhile is alive: one probe, as soon as there is a route to ask over.

Pure; times are CLOCK_BOOTTIME seconds. After a suspend or a change of the network the kernel still calls a dead
connection ESTABLISHED. Not here: what raises a suspicion (`core`) and what a probe is (the connection).
"""

from __future__ import annotations

from typing import Final

__all__ = ["GRACE", "ROUTE_WAIT", "Suspicion"]

ROUTE_WAIT: Final = 30.0
"""Seconds for a route to come back: Wi-Fi takes its time after wake-up."""
GRACE: Final = 1.0
"""Seconds beyond the probe's own limit for the word that it was not answered; after that nobody is there to say it."""


class Suspicion:
    """At most one at a time: what comes while one is open is answered by the same probe."""

    def __init__(self, timeout: float) -> None:
        """`timeout`: seconds for the answer."""
        self._timeout = timeout
        self.reason = ""
        """wake or link; empty when there is none."""
        self._token: int | None = None
        self._until: float | None = None

    def raise_(self, reason: str, now: float) -> None:
        """The connection may be dead. To be followed by `route`."""
        if not self.reason:
            self.reason = reason
            self._until = now + ROUTE_WAIT

    def begin_again(self, reason: str, now: float) -> None:
        """The machine slept: what was asked before, and how long a route was waited for, counts no more."""
        self.reason, self._token, self._until = self.reason or reason, None, now + ROUTE_WAIT

    def route(self, *, exists: bool) -> bool:
        """Whether to ask now: there is something to find out, a way to do so, and nobody was asked yet."""
        return bool(self.reason) and self._token is None and exists

    def asked(self, token: int, now: float) -> None:
        """The probe with this token is on its way."""
        self._token = token
        self._until = now + self._timeout + GRACE

    def answered(self, token: int) -> str:
        """The probe was answered, or was not: for what it was sent; empty when it was none of ours."""
        if self._token != token:
            return ""
        reason = self.reason
        self.clear()
        return reason

    def expired(self, now: float) -> str:
        """For what the connection has to go: nobody answered, or no route came; empty when there is time."""
        if self._until is None or now < self._until:
            return ""
        reason = self.reason
        self.clear()
        return reason

    def deadline(self) -> float | None:
        """When to call `expired`."""
        return self._until

    def clear(self) -> None:
        """The connection it was about is gone, or saved."""
        self.reason, self._token, self._until = "", None, None
