"""What a client did, from what the server saw: a few facts, with times since the fault was injected.

Not here: whether it was right (`assessment`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from netmap_supervisor.devtools.client_check.outcome import Level

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netmap_actors.dev_control.http.state import Seen

__all__ = ["Facts", "Session", "StepFact", "Timeline", "closer_of", "observe"]

_KEPT = 50
"""Times of one kind that are reported."""
_ALIVE = 0.3
"""Seconds after a fault was healed: what is alive then was not about to be closed by it."""


class Session(msgspec.Struct, frozen=True):
    """A map stream on which the server has sent its first message and goes on."""

    began_at: float
    """When it was asked for; seconds of CLOCK_BOOTTIME, as all times here."""
    connection: int
    alive_at: float
    """When it was last seen alive."""


class StepFact(msgspec.Struct, frozen=True):
    """How one step of a scenario ended."""

    does: str
    after: float
    """Seconds since it began."""
    said: str = ""
    """What was not as expected; empty: nothing."""
    level: Level = Level.MUST
    unknown: bool = False
    """The client does not say; `said` is what."""

    def document(self) -> dict[str, object]:
        """For JSON."""
        return {
            "does": self.does,
            "after": round(self.after, 3),
            "said": self.said,
            "level": self.level.value,
        }


class Timeline(msgspec.Struct):
    """What was done to the client when."""

    started_at: float
    joined_at: float | None = None
    injected_at: float | None = None
    """None: not yet."""
    old: frozenset[int] = frozenset()
    """Numbers of the connections it was injected into."""
    healed_at: float | None = None
    seen_until: float = 0.0
    foreign_calls: int = 0
    secure: bool = False
    """The client fetched the server's key over TLS."""
    steps: list[StepFact] = []


class Facts(msgspec.Struct, frozen=True):
    """All in seconds after the fault was injected, unless it says otherwise. None: it did not happen."""

    joined_after: float | None = None
    """After the client was started."""
    watched: float = 0.0
    """How long the server watched."""
    fed_until: float | None = None
    """When the session from before was last seen alive and fed."""
    session_after: float | None = None
    """A map session was asked for that the server feeds."""
    session_on_old: bool = False
    """On a connection under the fault."""
    connected_after: float | None = None
    """The TCP connection of that session was there; None for one that was there before."""
    new_connections: tuple[float, ...] = ()
    asked_on_old: tuple[float, ...] = ()
    """Map requests on a connection under the fault."""
    closed_after: float | None = None
    """The old connections were closed: the last of them."""
    closed_by: str = ""
    """`client` or `server`."""
    reset_after: float | None = None
    """The client gave up a request with RST_STREAM."""
    pinged_after: float | None = None
    """The client sent an HTTP/2 PING that was not answered."""
    asked_after: float | None = None
    """First register or map request, whose answer shows a deleted node that it is deleted."""
    asked_by: str = ""
    attempts: tuple[float, ...] = ()
    """Requests of the kind that counts, until the fault was healed."""
    attempt_count: int = 0
    requests_on_new: int = 0
    """Register and map requests on connections made meanwhile, until the fault was healed."""
    back_after: float | None = None
    """A map session, after the fault was healed."""
    foreign_calls: int = 0
    secure: bool = False
    steps: tuple[StepFact, ...] = ()

    @property
    def grace(self) -> float:
        """What a client, or a machine, that is slow to join may take for a new session, besides its limit."""
        return self.joined_after or 0.0

    def document(self) -> dict[str, object]:
        """For JSON, rounded to a millisecond, without what did not happen."""
        found: dict[str, object] = {}
        for name, value in msgspec.structs.asdict(self).items():
            if isinstance(value, float):
                found[name] = round(value, 3)
            elif name == "steps":
                if self.steps:
                    found["steps"] = [step.document() for step in self.steps]
            elif isinstance(value, tuple):
                found[name] = [round(one, 3) for one in value]
            elif value is not None:
                found[name] = value
        return found


def observe(
    events: Sequence[Seen], sessions: Sequence[Session], timeline: Timeline, counted: str = "map"
) -> Facts:
    """The facts of one scenario. `events` and `sessions` in the order they happened."""
    joined = None if timeline.joined_at is None else timeline.joined_at - timeline.started_at
    begin = timeline.injected_at
    if begin is None:
        return Facts(
            joined_after=joined,
            watched=max(0.0, timeline.seen_until - timeline.started_at),
            steps=tuple(timeline.steps),
        )
    after = [event for event in events if event.at >= begin]
    old = timeline.old
    until = timeline.healed_at
    new = [event for event in after if event.kind == "accept" and event.connection not in old]
    accepted = {event.connection: event.at - begin for event in new}
    session = next((one for one in sessions if one.began_at >= begin), None)
    before = [one.alive_at - begin for one in sessions if one.began_at < begin]
    asked = next((event for event in after if event.kind in ("register", "map", "read")), None)
    ends = [event for event in after if event.kind == "end" and event.connection in old]
    resets = [event for event in after if event.kind == "reset" and event.connection in old]
    pings = [e.at - begin for e in after if e.kind == "ping" and e.detail == "unanswered"]
    during = [event for event in after if until is None or event.at < until]
    attempts = [event.at - begin for event in during if event.kind == counted]
    back = None
    if until is not None:
        alive = [one for one in sessions if one.began_at >= begin and one.alive_at >= until + _ALIVE]
        back = max(0.0, alive[0].began_at - until) if alive else None
    return Facts(
        joined_after=joined,
        watched=max(0.0, timeline.seen_until - begin),
        fed_until=max(0.0, *before) if before else None,
        session_after=None if session is None else session.began_at - begin,
        session_on_old=session is not None and session.connection in old,
        connected_after=None if session is None else accepted.get(session.connection),
        new_connections=tuple(accepted.values())[:_KEPT],
        # The request that met the fault does not count, only those after it.
        asked_on_old=tuple(
            e.at - begin for e in after if e.kind == "map" and e.connection in old and e.at > begin
        )[:_KEPT],
        closed_after=ends[-1].at - begin if old and {e.connection for e in ends} == old else None,
        closed_by=closer_of(ends[-1]) if ends else "",
        reset_after=resets[0].at - begin if resets else None,
        pinged_after=pings[0] if pings else None,
        asked_after=None if asked is None else asked.at - begin,
        asked_by="" if asked is None else asked.kind,
        attempts=tuple(attempts[:_KEPT]),
        attempt_count=len(attempts),
        requests_on_new=sum(e.kind in ("register", "map") and e.connection not in old for e in during),
        back_after=back,
        foreign_calls=timeline.foreign_calls,
        secure=timeline.secure,
        steps=tuple(timeline.steps),
    )


def closer_of(end: Seen) -> str:
    """The side that closed a connection, by the reason in the server's log: its own reasons are known."""
    ours = (
        "fault ",
        "healed",
        "idle",
        "dropped",
        "closed",
        "no request",
        "HTTP is done",
        "the client does not",
        "others need the place",
        "a defect of this server",
    )
    return "server" if end.detail.startswith(ours) else "client"
