"""What the Supervisor tells the history: events of its log, kept while that process is not there to take them."""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING, Any

import msgspec

from netmap_actors.history.occurrences import LOGGED
from netmap_actors.wire import internal_pb2
from netmap_actors.wire.vocabulary import ActorName

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from google.protobuf.message import Message

__all__ = ["Remembered"]

MOST = 1000
"""Events that wait; the oldest goes first."""


class Remembered:
    """`tell(actor, message)`: False when it cannot take it."""

    def __init__(self, tell: Callable[[str, Message], bool]) -> None:
        self._tell = tell
        self._waiting: collections.deque[internal_pb2.Occurred] = collections.deque(maxlen=MOST)
        self._taken = False

    def event(self, event: str, fields: Mapping[str, Any], wall: float) -> None:
        """One event of the log. `wall`: UNIX seconds."""
        if event in LOGGED:
            said = {name: value for name, value in fields.items() if value is not None}
            self._waiting.append(
                internal_pb2.Occurred(at=wall, event=event, fields=msgspec.json.encode(said))
            )
        if fields.get("actor") == ActorName.HISTORY and event in {"actor_ready", "actor_exited"}:
            self._taken = event == "actor_ready"
        while self._taken and self._waiting and self._tell(ActorName.HISTORY, self._waiting[0]):
            self._waiting.popleft()
