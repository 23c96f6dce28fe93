"""Whether a connection that may have died is alive: one question at a time, and which answer counts.

Pure; times are CLOCK_BOOTTIME seconds. After a suspend or a change of the network the kernel still calls a dead
connection ESTABLISHED. Not here: what raises a suspicion (`core`), what a probe is and when its time is over (the
connection, which alone knows whether it has read).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Hashable

__all__ = ["GRACE", "INTERVAL", "ROUTE_WAIT", "Asked", "Suspicion"]

INTERVAL: Final = "interval"
"""Why a connection is asked that is not suspected."""
ROUTE_WAIT: Final = 30.0
"""Seconds for a route to come back: Wi-Fi takes its time after wake-up."""
GRACE: Final = 1.0
"""Seconds beyond the probe's own limit for its result; after that the question is put again."""


class Asked(msgspec.Struct, frozen=True):
    """A question that is out."""

    token: int
    about: Hashable
    """Process, session, and how many sleeps and other routes there had been: a result about another does not count."""
    timeout: float
    """Seconds for the answer."""


class Suspicion:
    """At most one at a time: what comes while one is open is answered by the same answer."""

    def __init__(self) -> None:
        self.reason = ""
        """wake or link; empty when there is none."""
        self.asked: Asked | None = None
        """The question that is out, for a suspicion or because it was time for one."""
        self._until: float | None = None

    @property
    def open(self) -> bool:
        """Something is suspected, or asked."""
        return bool(self.reason) or self.asked is not None

    def raise_(self, reason: str, now: float) -> None:
        """The connection may be dead. What was asked before counts no more, nor how long a route was waited for."""
        self.reason, self.asked, self._until = self.reason or reason, None, now + ROUTE_WAIT

    def to_ask(self, about: Hashable) -> bool:
        """Whether to ask as soon as there is a route: no question is out about this situation."""
        return bool(self.reason) and (self.asked is None or self.asked.about != about)

    def ask(self, asked: Asked, now: float) -> None:
        """This question is on its way, or is put again."""
        self.asked = asked
        self._until = now + asked.timeout + GRACE

    def concluded(self, token: int, about: Hashable) -> str:
        """The result of a question: why it was asked; empty when the result does not count."""
        asked = self.asked
        if asked is None or asked.token != token:
            return ""
        reason = self.reason or INTERVAL
        self.clear()
        return reason if asked.about == about else ""

    def overdue(self, now: float) -> bool:
        """No route came, or no result. Silence does not count against the connection: it may not read, or have no
        processor; whether it hangs, its heartbeats show.
        """
        return self._until is not None and now >= self._until

    def deadline(self) -> float | None:
        """When it is `overdue`."""
        return self._until

    def clear(self) -> None:
        """The connection it was about is gone, or alive."""
        self.reason, self.asked, self._until = "", None, None
