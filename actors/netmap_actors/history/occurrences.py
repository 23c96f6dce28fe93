"""What is written into the history: things that happened, and what holds from then on."""

from __future__ import annotations

import datetime
import enum
from typing import Any, Final, NamedTuple

import msgspec

__all__ = [
    "LOGGED",
    "WARNED_BEFORE",
    "Entered",
    "Happening",
    "KnownNode",
    "LaneOf",
    "Numbered",
    "Occurrence",
    "Recorded",
]


class Happening(enum.StrEnum):
    """What happened. The names are those of `history --kind` and of webhooks; the daemon's own are those of its log."""

    RUN_STARTED = "run_started"
    RUN_STOPPED = "stopping"
    GAP = "gap"
    """Nothing was seen before this, since `after`."""
    CLOCK_STEPPED = "clock_stepped"
    """The wall clock of this machine was set; times before are of the clock as it was."""
    NETMAP_FRESH = "netmap_fresh"
    NETMAP_STALE = "netmap_stale"
    LOGIN_NEEDED = "login_needed"
    NODE_REMOVED = "node_removed"
    """Our own node, by an administrator."""
    SESSION_STARTED = "map_session_started"
    SESSION_ENDED = "session_ended"
    SILENCE = "silence_detected"
    WAKE = "wake_detected"
    LINK_CHANGED = "link_changed"
    DEGRADED = "degraded"
    HEALED = "healed"
    ACTOR_STARTED = "actor_started"
    ACTOR_EXITED = "actor_exited"
    NODE_JOINED = "node_joined"
    NODE_LEFT = "node_left"
    NODE_ONLINE = "node_online"
    NODE_OFFLINE = "node_offline"
    NODE_RENAMED = "node_renamed"
    NODE_TAGGED = "node_tagged"
    NODE_ROUTED = "node_routed"
    """The subnets of which it is the chosen router changed."""
    NODE_MOVED = "node_moved"
    """Its addresses in the tailnet changed, or the region of its relay."""
    NODE_KEY_CHANGED = "node_key_changed"
    NODE_KEY_EXPIRING = "node_key_expiring"
    """Its key expires within one of the times of `WARNED_BEFORE`."""
    NODE_KEY_EXPIRED = "node_key_expired"


LOGGED: Final = {
    str(one): one
    for one in Happening
    if not one.startswith(("node_", "netmap_", "gap", "clock_")) or one is Happening.NODE_REMOVED
}
"""Events of the Supervisor's log that are kept."""


WARNED_BEFORE: Final = (7 * 86400.0, 86400.0)
"""Seconds before the key of a node expires at which that is told: a week, as the alerts for Prometheus have it, and a
day, as Tailscale's webhooks do (nodeKeyExpiringInOneDay)."""


class LaneOf(enum.StrEnum):
    """Of what a span of time tells. In each lane a subject is in one state at a time, or in none that was seen."""

    RUN = "run"
    """running."""
    NETMAP = "netmap"
    """none, fresh or stale."""
    CONNECTION = "connection"
    """attempt, or session from the map request on."""
    ACTOR = "actor"
    """By name: active."""
    NODE = "node"
    """By stable id: online, offline or unknown."""


class Occurrence(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened."""

    at: float
    """When it was seen, UNIX seconds."""
    kind: Happening
    subject: str = ""
    """The stable id of the node, the name of the actor, or empty."""
    name: str = ""
    """What the node was called then."""
    detail: dict[str, Any] = {}
    after: float | None = None
    """It was not seen as it happened: it happened after this moment, UNIX seconds; 0.0: at any time before."""

    @property
    def moment(self) -> datetime.datetime:
        """`at`, in UTC."""
        return datetime.datetime.fromtimestamp(self.at, datetime.UTC)


class Entered(NamedTuple):
    """A subject enters a state at that moment, which ends the one before; None: the state is over and none follows."""

    lane: LaneOf
    subject: str
    state: str | None
    at: float
    detail: dict[str, Any]


class Numbered(NamedTuple):
    """What the Supervisor told, which it tells again until it hears that it is kept."""

    run: str
    number: int
    """1, 2, 3, … in this run."""


class Recorded(NamedTuple):
    """What one input leaves behind, in order."""

    occurrences: tuple[Occurrence, ...] = ()
    entered: tuple[Entered, ...] = ()
    told: Numbered | None = None
    """Where it was told, which is never written twice; None: it was seen."""


class KnownNode(msgspec.Struct, frozen=True, kw_only=True):
    """A node as the history knows it."""

    stable_id: str
    name: str
    online: bool | None
    tags: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    home_derp: int = 0
    key: str = ""
    key_expiry: float | None = None
    """UNIX seconds; None: never."""
    expired: bool = False
    warned: float | None = None
    """The last of WARNED_BEFORE that was told of this expiry."""
    os: str = ""
    user: str = ""

    @property
    def state(self) -> str:
        """Its state in the lane of nodes."""
        return {True: "online", False: "offline", None: "unknown"}[self.online]

    @property
    def due(self) -> float | None:
        """When it is to be told next that its key expires, UNIX seconds; None: never."""
        left = [lead for lead in WARNED_BEFORE if self.warned is None or lead < self.warned]
        if self.key_expiry is None or self.expired or not left:
            return None
        return self.key_expiry - left[0]

    def told(self, now: float) -> KnownNode:
        """The node once that is told which is due at `now`, UNIX seconds."""
        if self.key_expiry is None:
            return self
        passed = [lead for lead in WARNED_BEFORE if self.key_expiry - lead <= now]
        return msgspec.structs.replace(self, warned=min(passed, default=None))
