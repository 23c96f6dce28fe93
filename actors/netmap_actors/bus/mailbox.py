"""A pykka mailbox whose `get` waits in the loop.

Messages and ready sockets thus come to the actor one at a time, on its one thread.
"""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING, Any, NamedTuple

from pykka._envelope import Envelope
from pykka.messages import _ActorStop

from netmap_actors.errors import LocalProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable

    from netmap_actors.bus.loop import Loop

__all__ = ["Mailbox", "MailboxFull", "Turn"]


class MailboxFull(LocalProtocolError):
    """The actor has not taken what is in its mailbox: the sender must not add to it."""


class Turn(NamedTuple):
    """Something in the loop is ready: the actor makes these calls in order."""

    calls: list[Callable[[], object]]


class Mailbox:
    """What pykka calls the actor's inbox; bounded."""

    def __init__(self, loop: Loop, limit: int = 1024) -> None:
        self._loop = loop
        self._limit = limit
        self._envelopes: collections.deque[Envelope[Any]] = collections.deque()
        self._loop_is_next = True

    def put(self, envelope: Envelope[Any], /) -> None:
        """Add a message, from any thread. Raises MailboxFull; a stop is always taken."""
        if len(self._envelopes) >= self._limit and not isinstance(envelope.message, _ActorStop):
            raise MailboxFull(f"cannot add a message: {self._limit} are waiting already")
        self._envelopes.append(envelope)
        self._loop.call_soon(_nothing)

    def get(self) -> Envelope[Any]:
        """The next message or Turn; waits in the loop. Messages and turns alternate when there are both."""
        while True:
            if self._loop_is_next or not self._envelopes:
                self._loop_is_next = False
                calls = [call for call in self._loop.wait(block=not self._envelopes) if call is not _nothing]
                if calls:
                    return Envelope(Turn(calls))
            self._loop_is_next = True
            if self._envelopes:
                return self._envelopes.popleft()

    def empty(self) -> bool:
        """True when no message waits."""
        return not self._envelopes


def _nothing() -> None:
    """Wakes the loop, so that `get` looks at the messages."""
