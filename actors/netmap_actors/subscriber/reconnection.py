"""When a subscriber connects anew. Pure: the time and the inodes at the sockets' paths are arguments.

libzmq connects anew only after a connection has broken. One to a socket whose path is another's by now, or to a stopped
process, does not break.
"""

from __future__ import annotations

from typing import TypeAlias

__all__ = ["CONNECT_AGAIN", "Inodes", "Reconnection"]

CONNECT_AGAIN = 10.0
"""Seconds without a message after which we connect anew, and between two looks at the sockets' paths. Over TCP libzmq
does not try again once it was refused, and a key may have been allowed since."""

Inodes: TypeAlias = tuple[tuple[int, int], ...] | None
"""Device and inode of each socket's path; None when one is not there, or has no path."""


class Reconnection:
    """The connections of one subscriber."""

    def __init__(self, now: float, inodes: Inodes, again: float = CONNECT_AGAIN) -> None:
        """`now`: seconds of CLOCK_BOOTTIME. `inodes`: where the first connection is being made to. `again`: in place of
        CONNECT_AGAIN."""
        self._again = again
        self._heard_at = self._looked_at = now
        self._inodes = inodes
        self._epoch = 0

    def heard(self, now: float) -> None:
        """A message has come in."""
        self._heard_at = now

    def due(self) -> float:
        """When to look although nothing has come; each message is a reason to look, too."""
        return max(self._heard_at, self._looked_at) + self._again

    def wants_look(self, now: float) -> bool:
        """Whether it is time for `look`: once in CONNECT_AGAIN seconds, whatever happens."""
        return now - self._looked_at >= self._again

    def look(self, now: float, inodes: Inodes, epoch: int) -> bool:
        """Whether to connect anew. `epoch`: the publisher process that was heard of last."""
        quiet = now - self._heard_at >= self._again
        # With another epoch libzmq has connected anew already.
        elsewhere = None not in {inodes, self._inodes} and inodes != self._inodes and epoch == self._epoch
        self._looked_at = now
        self._inodes, self._epoch = inodes or self._inodes, epoch
        if quiet or elsewhere:
            self._heard_at = now
        return quiet or elsewhere
