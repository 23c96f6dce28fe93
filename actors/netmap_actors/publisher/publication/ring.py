"""The last published messages, for subscribers that missed a few; bounded in bytes.

It never answers with a gap.
"""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Published", "Ring"]

_OVERHEAD = 160
"""Bytes Python needs to keep one message, besides the message."""


class Published(NamedTuple):
    """One message as it went out."""

    seq: int
    topic: bytes
    message: bytes


class Ring:
    """Holds the messages with `base < seq <= head`, without a hole."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._messages: collections.deque[Published] = collections.deque()
        self._bytes = 0
        self.base = 0
        """A subscriber that has everything up to here, or to a later seq, can be caught up."""
        self.head = 0

    @property
    def size(self) -> int:
        """Bytes held, bookkeeping included."""
        return self._bytes

    def append(self, messages: Sequence[Published]) -> None:
        """Add the messages of one transaction, commit included; the oldest leave."""
        head, size = self.head, 0
        for seq, _, message in messages:
            head += 1
            if seq != head:
                raise ValueError(f"cannot keep message {seq}: {head} is the next")
            size += len(message) + _OVERHEAD
        self.head = head
        self._messages += messages
        self._bytes += size
        while self._bytes > self._limit:
            gone = self._messages.popleft()
            self._bytes -= len(gone.message) + _OVERHEAD
            self.base = gone.seq

    def reset(self, seq: int) -> None:
        """Forget everything: the messages up to this seq were never built."""
        self._messages.clear()
        self._bytes = 0
        self.base = self.head = seq

    def after(self, seq: int) -> list[Published] | None:
        """The messages after this seq, possibly none; None when they are not all here."""
        if not self.base <= seq <= self.head:
            return None
        missed = self.head - seq
        return list(self._messages)[len(self._messages) - missed :] if missed else []
