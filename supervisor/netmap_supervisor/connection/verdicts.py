"""Verdicts that do not count yet: who is blamed had to wait for a process that was not there. They come again. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from netmap_actors.boot import PAUSE_LIMIT
from netmap_actors.wire.vocabulary import PUBLISHER_PAUSED, EndReason, Stage

if TYPE_CHECKING:
    from netmap_actors.wire import internal_pb2

__all__ = ["SERVER_TIME", "comes_too_early"]

SERVER_TIME: Final = 15.0
"""Seconds the embedded server has, once it is up, for a connection that waited in its listener's queue."""


def comes_too_early(
    verdict: internal_pb2.Verdict, *, publisher_up_for: float, applying: bool, server_up_for: float
) -> bool:
    """Seconds since Ready; 0 for one that is not up. `applying`: the publisher goes on with a long map.

    `server_up_for` is infinite for a server that is none of our processes.
    """
    if verdict.reason == PUBLISHER_PAUSED:
        # One that was started later cannot have paused for so long.
        return applying or publisher_up_for < PAUSE_LIMIT
    shaking_hands = verdict.stage in {Stage.CONNECT, Stage.HANDSHAKE}
    return shaking_hands and verdict.reason == EndReason.ERROR and server_up_for < SERVER_TIME
