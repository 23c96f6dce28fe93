"""Why a program has no netmap that it can trust: what to say, from what was heard and what is at the endpoints."""

from __future__ import annotations

import enum
import os
from pathlib import Path
from typing import TYPE_CHECKING

from netmap_actors.errors import NetmapError, escape
from netmap_actors.wire.vocabulary import Trust

if TYPE_CHECKING:
    from collections.abc import Callable

    from netmap_actors.subscriber.events import Snapshot

__all__ = ["AtEndpoint", "NotReady", "look_at", "why_not_ready"]


class NotReady(NetmapError, TimeoutError):
    """There is no fresh netmap within the time; the text says why, and what to do."""


class AtEndpoint(enum.Enum):
    """What is at an endpoint."""

    THERE = "there"
    """A socket; one that was killed leaves it behind."""
    MISSING = "missing"
    FORBIDDEN = "forbidden"
    """Not ours to use, or not ours to look at."""
    ELSEWHERE = "elsewhere"
    """Not a path."""


def look_at(endpoint: str) -> AtEndpoint:
    """What is at a ZeroMQ endpoint."""
    if not endpoint.startswith("ipc://"):
        return AtEndpoint.ELSEWHERE
    path = Path(endpoint.removeprefix("ipc://"))
    try:
        path.stat()
    except PermissionError:
        return AtEndpoint.FORBIDDEN
    except (OSError, ValueError):
        return AtEndpoint.MISSING
    return AtEndpoint.THERE if os.access(path, os.W_OK) else AtEndpoint.FORBIDDEN


def why_not_ready(
    now: Snapshot, answered: bool, endpoint: tuple[str, str], look: Callable[[str], AtEndpoint]
) -> str:
    """The text of NotReady. `answered`: the publisher told us that there is a netmap, or none."""
    where = escape(endpoint[0].removeprefix("ipc://"))
    if now.state == Trust.STALE:
        age = "unknown" if now.age_s is None else f"{now.age_s:.0f} s"
        if look(endpoint[0]) is AtEndpoint.MISSING:
            return f"cannot trust the netmap: the daemon at {where} is gone (last MapResponse: {age} ago)"
        return f"cannot trust the netmap: it is stale (last MapResponse: {age} ago); see `netmap-supervisor status`"
    if answered:
        return (
            f"cannot show a netmap: the daemon at {where} has none yet; `netmap-supervisor status` says what it waits "
            "for, such as a login"
        )
    match look(endpoint[0]):
        case AtEndpoint.MISSING:
            why = "there is no such socket: no daemon runs there; `netmap-supervisor run` starts one"
        case AtEndpoint.FORBIDDEN:
            why = "the socket is not yours to use; have the daemon's subscribers.socket_group name a group of yours"
        case AtEndpoint.THERE:
            why = "the daemon of that socket was killed, or is busy; `netmap-supervisor status` says which"
        case AtEndpoint.ELSEWHERE:
            why = (
                "it cannot be reached, or does not know your key (`netmap-supervisor keys allow` over there; its log "
                "has subscriber_refused)"
            )
    return f"cannot show a netmap: nobody answers at {where}: {why}"
