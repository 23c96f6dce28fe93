"""What the Supervisor tells the history: events of its log, kept until that process has them on disk.

Who opens the address of a login decides whose node this is. All who may read hear from the history, so it is told that
a login is needed and not where; the webhooks, which their owner sets up, are told the address.
"""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING, Any

import msgspec

from netmap_actors.wire import internal_pb2
from netmap_actors.wire.vocabulary import ActorName

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping

    from google.protobuf.message import Message

__all__ = ["MOST", "HistoryFeed"]

MOST = 1000
"""Events that wait; the oldest goes first, and its number is left out."""


class HistoryFeed:
    """`tell(actor, message)`: False when it cannot take it. `soon(call)`: after the messages of this turn. Nothing is
    kept unless `wanted`."""

    def __init__(
        self,
        tell: Callable[[str, Message], bool],
        soon: Callable[[Callable[[], object]], object],
        *,
        wanted: bool = True,
    ) -> None:
        self._logged: Container[str] = ()
        if wanted:
            # Loaded here: who keeps no history needs nothing of it.
            from netmap_actors.history.occurrences import LOGGED  # noqa: PLC0415

            self._logged = LOGGED
        self._tell = tell
        self._soon = soon
        self._due = False
        """The rest is told soon."""
        self._kept: collections.deque[internal_pb2.Occurred] = collections.deque()
        self._told = 0
        """How many of these were told since the history asked, from the first on."""
        self._number = 0
        self._opened = 0
        """Of the history that asked last; 0: none takes anything."""
        self._login = ""
        """Where somebody has to log in."""
        self.lost = 0
        """Events that went before it was known that they are kept."""

    def event(self, event: str, fields: Mapping[str, Any], wall: float) -> None:
        """One event of the log. `wall`: UNIX seconds."""
        if event in self._logged:
            said = {name: value for name, value in fields.items() if value is not None}
            if event == "login_needed":
                self._login = said.pop("url", "")
            self._number += 1
            self._kept.append(
                internal_pb2.Occurred(
                    at=wall, event=event, fields=msgspec.json.encode(said), number=self._number
                )
            )
            if len(self._kept) > MOST:
                self._drop()
                self.lost += 1
        if fields.get("actor") == ActorName.HISTORY and event == "actor_exited":
            self._opened = 0
        if event == "map_session_started":
            self._login = ""
        if self._login and (
            event == "login_needed" or (event, fields.get("actor")) == ("actor_ready", ActorName.WEBHOOKS)
        ):
            self._tell(ActorName.WEBHOOKS, internal_pb2.LoginNeeded(url=self._login))
        self._tell_rest()

    def on_message(self, envelope: internal_pb2.Envelope) -> bool:
        """A message of the history about what it has; False for any other."""
        if envelope.actor != ActorName.HISTORY or not envelope.HasField("occurrences_kept"):
            return False
        said = envelope.occurrences_kept
        while self._kept and self._kept[0].number <= said.number:
            self._drop()
        if said.opened:
            self._opened, self._told = said.opened, 0
        if not self._due:
            # Once a turn, however often it asks: one that was taken over must not keep us busy.
            self._due = True
            self._soon(self._tell_rest)
        return True

    def _drop(self) -> None:
        self._kept.popleft()
        self._told = max(0, self._told - 1)

    def _tell_rest(self) -> None:
        self._due = False
        while self._opened and self._told < len(self._kept):
            one = self._kept[self._told]
            one.opened = self._opened
            if not self._tell(ActorName.HISTORY, one):
                return
            self._told += 1
