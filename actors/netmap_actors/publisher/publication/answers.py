"""Answers in progress: one for each requester, a bounded number at a time; the others wait in turn.

Parts are sent one by one; a requester that takes nothing for STALL_LIMIT loses its answer and holds up no other.
"""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["MAX_ACTIVE", "MAX_WAITING_REQUESTERS", "RETRY_INTERVAL", "STALL_LIMIT", "Answers"]

MAX_ACTIVE = 8
"""Answers in progress whose requesters take what they are sent."""
MAX_BLOCKED = 64
"""Answers whose requesters take nothing at the moment; each holds the encoded pieces of one commit. With more, the
one that has been stuck longest is given up."""
MAX_WAITING_REQUESTERS = 4096
"""Requesters that wait for their turn; later ones are dropped and ask again by themselves."""
RETRY_INTERVAL = 0.01
"""Seconds until a requester that took nothing is offered the part again. A ROUTER says only that *some* peer can
take a message, so this cannot wait for an event."""
STALL_LIMIT = 10.0
"""Seconds a requester may take nothing before its answer is given up; it may ask again."""


class _Answer:
    __slots__ = ("blocked_since", "part", "parts", "retry_at")

    def __init__(self, parts: Iterator[bytes]) -> None:
        self.parts = parts
        self.part: bytes | None = None
        self.blocked_since: float | None = None
        self.retry_at = 0.0


class Answers:
    """Hands out (requester, part) in fair turns.

    The caller of `next` sends the part and reports with `sent`, `blocked` or `gone`.
    """

    def __init__(self, *, max_active: int = MAX_ACTIVE, max_waiting: int = MAX_WAITING_REQUESTERS) -> None:
        self._max_active = max_active
        self._max_waiting = max_waiting
        self._active: collections.OrderedDict[bytes, _Answer] = collections.OrderedDict()
        self._blocked: collections.OrderedDict[bytes, _Answer] = collections.OrderedDict()
        self._waiting: collections.OrderedDict[bytes, Callable[[], Iterator[bytes]]] = (
            collections.OrderedDict()
        )
        self.refused = 0
        """Requests dropped because too many waited."""
        self.stalled = 0
        """Answers given up because the requester took nothing."""
        self.completed = 0

    def __len__(self) -> int:
        return len(self._active) + len(self._blocked) + len(self._waiting)

    def request(self, requester: bytes, answer: Callable[[], Iterator[bytes]]) -> None:
        """Queue an answer; `answer()` is called when its turn comes, so that it shows the netmap of that moment.

        A newer request of the same requester takes the place of the older one.
        """
        self._active.pop(requester, None)
        self._blocked.pop(requester, None)
        if requester not in self._waiting and len(self._waiting) >= self._max_waiting:
            self.refused += 1
            return
        self._waiting[requester] = answer

    def next(self, now: float) -> tuple[bytes, bytes] | None:
        """The next part to send and to whom; None when nothing can be sent now."""
        self._retry(now)
        while self._active or self._waiting:
            while self._waiting and len(self._active) < self._max_active:
                requester, answer = self._waiting.popitem(last=False)
                self._active[requester] = _Answer(answer())
            requester, active = next(iter(self._active.items()))
            if active.part is None:
                active.part = next(active.parts, None)
            if active.part is not None:
                self._active.move_to_end(requester)
                return requester, active.part
            del self._active[requester]
            self.completed += 1
        return None

    def sent(self, requester: bytes) -> None:
        """The part handed out last was taken."""
        answer = self._active.get(requester)
        if answer is not None:
            answer.part = None
            answer.blocked_since = None

    def blocked(self, requester: bytes, now: float) -> None:
        """The requester's queue is full: it makes room for others, and the same part will be offered again."""
        answer = self._active.pop(requester, None)
        if answer is None:
            return
        if answer.blocked_since is None:
            answer.blocked_since = now
        if now - answer.blocked_since >= STALL_LIMIT:
            self.stalled += 1
            return
        answer.retry_at = now + RETRY_INTERVAL
        self._blocked[requester] = answer
        if len(self._blocked) > MAX_BLOCKED:
            oldest = min(self._blocked, key=lambda stuck: self._blocked[stuck].blocked_since or now)
            del self._blocked[oldest]
            self.stalled += 1

    def gone(self, requester: bytes) -> None:
        """The requester is no longer connected."""
        for those in (self._active, self._blocked, self._waiting):
            those.pop(requester, None)

    def deadline(self, now: float) -> float | None:
        """When `next` may have something: `now` when it has, None when no requester waits."""
        if self._active or self._waiting:
            return now
        # In the order they were blocked in, each for the same time.
        return next(iter(self._blocked.values())).retry_at if self._blocked else None

    def _retry(self, now: float) -> None:
        """Offer blocked requesters their part again."""
        while self._blocked:
            requester, answer = next(iter(self._blocked.items()))
            if answer.retry_at > now:
                return
            del self._blocked[requester]
            self._active[requester] = answer
            self._active.move_to_end(requester, last=False)
