"""Who is being answered: one answer per requester, a bounded number at a time, the others wait in turn.

Parts are handed out one by one, and a requester that takes nothing for a while loses its answer, so that no slow
subscriber holds up another.
"""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["MAX_ACTIVE", "MAX_WAITING", "RETRY_INTERVAL", "STALL_LIMIT", "Answers"]

MAX_ACTIVE = 8
"""Answers in progress; each holds the encoded pieces of one commit."""
MAX_WAITING = 4096
"""Requesters that wait for their turn; later ones are dropped and ask again by themselves."""
RETRY_INTERVAL = 0.01
"""Seconds until a requester that took nothing is offered the part again. A ROUTER says only that *some* peer can
take a message, so this cannot wait for an event."""
STALL_LIMIT = 30.0
"""Seconds a requester may take nothing before its answer is given up."""


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

    def __init__(self, *, max_active: int = MAX_ACTIVE, max_waiting: int = MAX_WAITING) -> None:
        self._max_active = max_active
        self._max_waiting = max_waiting
        self._active: collections.OrderedDict[bytes, _Answer] = collections.OrderedDict()
        self._waiting: collections.OrderedDict[bytes, Callable[[], Iterator[bytes]]] = (
            collections.OrderedDict()
        )
        self.refused = 0
        """Requests dropped because too many waited."""
        self.stalled = 0
        """Answers given up because the requester took nothing."""
        self.completed = 0

    def __len__(self) -> int:
        return len(self._active) + len(self._waiting)

    def request(self, requester: bytes, answer: Callable[[], Iterator[bytes]]) -> None:
        """Queue an answer; `answer()` is called when its turn comes, so that it shows the netmap of that moment.

        A newer request of the same requester takes the place of the older one.
        """
        self._active.pop(requester, None)
        if requester not in self._waiting and len(self._waiting) >= self._max_waiting:
            self.refused += 1
            return
        self._waiting[requester] = answer

    def next(self, now: float) -> tuple[bytes, bytes] | None:
        """The next part to send and to whom; None when nothing can be sent now."""
        while self._waiting and len(self._active) < self._max_active:
            requester, answer = self._waiting.popitem(last=False)
            self._active[requester] = _Answer(answer())
        for _ in range(len(self._active)):
            requester, active = next(iter(self._active.items()))
            self._active.move_to_end(requester)
            if active.blocked_since is not None and now < active.retry_at:
                continue
            if active.part is None:
                active.part = next(active.parts, None)
            if active.part is None:
                del self._active[requester]
                self.completed += 1
                return self.next(now)
            return requester, active.part
        return None

    def sent(self, requester: bytes) -> None:
        """The part handed out last was taken."""
        answer = self._active.get(requester)
        if answer is not None:
            answer.part = None
            answer.blocked_since = None

    def blocked(self, requester: bytes, now: float) -> None:
        """The requester's queue is full: the same part will be offered again."""
        answer = self._active.get(requester)
        if answer is None:
            return
        if answer.blocked_since is None:
            answer.blocked_since = now
        if now - answer.blocked_since >= STALL_LIMIT:
            del self._active[requester]
            self.stalled += 1
        else:
            answer.retry_at = now + RETRY_INTERVAL

    def gone(self, requester: bytes) -> None:
        """The requester is no longer connected."""
        self._active.pop(requester, None)
        self._waiting.pop(requester, None)

    def deadline(self, now: float) -> float | None:
        """When `next` may have something: `now` when it has, None when nobody waits."""
        if not self._active:
            return now if self._waiting else None
        if self._waiting and len(self._active) < self._max_active:
            return now
        return min(a.retry_at if a.blocked_since is not None else now for a in self._active.values())
