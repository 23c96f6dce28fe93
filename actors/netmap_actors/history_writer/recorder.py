"""What inputs leave in the history. Pure: the moment is an argument, what is known of nodes comes from the store.

While the netmap is not fresh nothing is known of nodes: what is found different afterwards happened in between, and
says so. Not here: how it is kept (`store`) and what may be said of a time (`spans`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from netmap_actors.history.occurrences import (
    LOGGED,
    Entered,
    Happening,
    KnownNode,
    LaneOf,
    Numbered,
    Occurrence,
    Recorded,
)
from netmap_actors.rfc3339 import stamp, unix_seconds
from netmap_actors.subscriber.events import PeerRemoved, PeerUpserted, SelfChanged, Snapshot, StateChanged
from netmap_actors.subscriber.peer import Peer
from netmap_actors.wire.vocabulary import ActorName, Trust

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from netmap_actors.history_writer.clock_steps import ClockStep
    from netmap_actors.subscriber.events import Event

__all__ = ["Recorder", "known"]

_FIELDS: tuple[tuple[str, Happening], ...] = (
    ("name", Happening.NODE_RENAMED),
    ("tags", Happening.NODE_TAGGED),
    ("routes", Happening.NODE_ROUTED),
    ("addresses", Happening.NODE_MOVED),
    ("home_derp", Happening.NODE_MOVED),
    ("key", Happening.NODE_KEY_CHANGED),
)
"""Fields of a KnownNode and what a change of each is called."""


def known(peer: Peer) -> KnownNode:
    """What is kept of a node."""
    peer = peer.held()
    return KnownNode(
        stable_id=peer.stable_id,
        name=peer.name,
        online=peer.online,
        tags=peer.tags,
        routes=peer.routes,
        addresses=peer.ips,
        home_derp=peer.home_derp,
        key=peer.key,
        key_expiry=unix_seconds(peer.key_expiry) if peer.key_expiry else None,
        expired=peer.expired,
        os=peer.os,
        user=peer.user or "",
    )


class Recorder:
    """`seen_until`: when the history last saw anything before now, UNIX seconds; None: it begins today.

    `told`: the last number of this run that it was told. `moved`: the control servers before and now, if they differ:
    no node was seen before. `fresh_epoch`: of the publisher whose netmap was fresh then; 0: it was not.
    """

    def __init__(
        self,
        seen_until: float | None,
        told: int = 0,
        moved: tuple[str, str] | None = None,
        fresh_epoch: int = 0,
    ) -> None:
        self._fresh_epoch = fresh_epoch
        self._moved = moved
        self._told = None if seen_until is None else told
        self._told_at = seen_until or 0.0
        self._began_at = 0.0
        self._blind_since = 0.0 if seen_until is None else seen_until
        """Since when nodes were not seen; what differs at the next fresh netmap happened after that."""
        self._blind = True
        self._begins = seen_until is None
        """No node was seen before."""
        self._met = False
        """The first netmap of this process has come; what held before it was closed when the process before ended."""
        self.trust = ""
        """none, fresh or stale, as it was recorded last."""
        self._trusted_at = 0.0

    def go_on(self) -> Recorder:
        """Nothing was missed since then, and what held goes on. The netmap is fresh."""
        self.trust, self._blind, self._met = Trust.FRESH.value, False, True
        return self

    def begin(self, at: float, **detail: Any) -> Recorded:
        """The history is written again: what was not seen until now is a gap."""
        self._began_at = at
        why = {"server": {"from": self._moved[0], "to": self._moved[1]}} if self._moved is not None else {}
        gap = (
            ()
            if self._begins
            else (Occurrence(at=at, kind=Happening.GAP, detail=why, after=self._blind_since),)
        )
        self._begins = self._begins or self._moved is not None
        return Recorded(gap, (Entered(LaneOf.RUN, "", "running", at, detail),))

    def clock_stepped(self, step: ClockStep, **detail: Any) -> Recorded:
        """The wall clock was set: what holds is seen anew by the clock as it is. The nodes come with a snapshot."""
        self._began_at = self._trusted_at = step.at
        self._met = False
        said = Occurrence(at=step.at, kind=Happening.CLOCK_STEPPED, detail={"by_s": round(step.by, 3)})
        entered = [Entered(LaneOf.RUN, "", "running", step.at, detail)]
        if self.trust:
            entered.append(Entered(LaneOf.NETMAP, "", self.trust, step.at, {}))
        return Recorded((said,), tuple(entered))

    def standing(self, status: Mapping[str, Any], at: float) -> Recorded:
        """What was there already when the history was opened. `status`: the object of `status --json`."""
        entered = [
            Entered(
                LaneOf.ACTOR, one["name"], "active", at, {"pid": one["pid"], "generation": one["generation"]}
            )
            for one in status["actors"]
            if one["pid"] is not None
        ]
        connection = status["connection"]
        if connection["pid"] is not None:
            state = "session" if connection["state"] in {"map_session", "awaiting_approval"} else "attempt"
            detail = {"pid": connection["pid"], "generation": connection["generation"]}
            entered.append(Entered(LaneOf.CONNECTION, "", state, at, detail))
        return Recorded((), tuple(entered))

    def happened(
        self, event: str, fields: Mapping[str, Any], at: float, told: Numbered | None = None
    ) -> Recorded:
        """What an event of the Supervisor's log leaves; nothing for most. Numbers that are left out are a gap."""
        kind = LOGGED.get(event)
        if kind is None:
            return Recorded()
        actor = fields.get("actor", "")
        subject = (
            actor if kind in {Happening.ACTOR_STARTED, Happening.ACTOR_EXITED} else fields.get("code", "")
        )
        detail = {name: value for name, value in fields.items() if name not in {"actor", "code"}}
        said = Occurrence(at=at, kind=kind, subject=subject, detail=detail)
        lost, stale = self._lost(told, at), Recorded()
        ended = kind is Happening.ACTOR_EXITED and actor == ActorName.PUBLISHER
        # What was told late may be of the one before.
        if ended and self.trust == Trust.FRESH and self._trusted_at < at:
            stale = self._trusted(Trust.STALE, "publisher_ended", 0.0, at)
        return Recorded(
            (*lost.occurrences, said, *stale.occurrences),
            (*lost.entered, *_lanes(kind, actor, at, detail), *stale.entered),
            told,
        )

    def _lost(self, told: Numbered | None, at: float) -> Recorded:
        if told is None:
            return Recorded()
        missed = 0 if self._told is None else told.number - self._told - 1
        # The clock may have been set back.
        after, self._told, self._told_at = min(self._told_at, at), told.number, at
        if missed <= 0:
            return Recorded()
        gap = Occurrence(at=at, kind=Happening.GAP, detail={"missed": missed}, after=after)
        if after < self._began_at:
            return Recorded((gap,))  # nothing was written for a time then, which its lane shows
        return Recorded(
            (gap,),
            (
                Entered(LaneOf.RUN, "", None, after, {}),
                Entered(LaneOf.RUN, "", "running", at, {}),
            ),
        )

    # The netmap

    def netmap(
        self,
        event: Event,
        at: float,
        before: Callable[[str], KnownNode | None],
        everybody: Callable[[], Mapping[str, KnownNode]],
    ) -> tuple[Recorded, list[KnownNode | str]]:
        """What one event of a subscriber leaves, and the nodes as they are known now, by stable id where gone.

        `before`: the node with a stable id as it was known; `everybody`: all that are there.
        """
        match event:
            case Snapshot():
                nodes = self._snapshot(event, at, everybody())
                trust = self._trusted(event.state, "", event.age_s, at)
                if event.state == Trust.FRESH and event.epoch == self._fresh_epoch:
                    # As before the gap: nothing is known to have happened.
                    trust = trust._replace(occurrences=())
                self._fresh_epoch = 0
            case StateChanged():
                nodes, trust = _Nodes(), self._trusted(event.state, event.reason, event.age_s, at)
            case PeerUpserted():
                nodes, trust = _Nodes(), Recorded()
                self._see(nodes, before(event.peer.stable_id), known(event.peer), at)
            case SelfChanged(node=Peer() as own):
                nodes, trust = _Nodes(), Recorded()
                self._see(nodes, before(own.stable_id), known(own), at)
            case PeerRemoved():
                nodes, trust = _Nodes(), Recorded()
                self._lose(nodes, event.peer.stable_id, event.peer.name, at)
            case _:
                return Recorded(), []
        # A netmap that becomes fresh was different before that.
        recorded = Recorded((*nodes.occurrences, *trust.occurrences), (*nodes.entered, *trust.entered))
        if self.trust == Trust.FRESH:
            self._blind = False
        return recorded, nodes.now

    def expiring(
        self, due: Callable[[float], Iterable[KnownNode]], at: float
    ) -> tuple[Recorded, list[KnownNode | str]]:
        """What is told of nodes whose key expires soon, and these as they are known then. `due`: those at a moment."""
        nodes = _Nodes()
        # What was known of a netmap that is not fresh may have been renewed.
        for node in due(at) if self.trust == Trust.FRESH else ():
            now = node.told(at)
            nodes.now.append(now)
            if now.key_expiry is not None and at < now.key_expiry:
                detail = {"expires": stamp(now.key_expiry, "seconds"), "within_s": now.warned}
                nodes.say(Happening.NODE_KEY_EXPIRING, now, at, None, detail)
        return Recorded(tuple(nodes.occurrences)), nodes.now

    def _trusted(self, state: str, reason: str, age: float | None, at: float) -> Recorded:
        if state == self.trust:
            return Recorded()
        was_fresh, self.trust, self._trusted_at = self.trust == Trust.FRESH, state, at
        detail: dict[str, Any] = {"reason": reason} if reason else {}
        occurrences: tuple[Occurrence, ...] = ()
        if state == Trust.FRESH:
            occurrences = (Occurrence(at=at, kind=Happening.NETMAP_FRESH, detail=detail),)
        elif was_fresh or state == Trust.STALE:
            occurrences = (Occurrence(at=at, kind=Happening.NETMAP_STALE, detail=detail),)
        if was_fresh:
            # The last message that came is the last time the nodes were seen.
            self._blind, self._blind_since = True, at - (age or 0.0)
        return Recorded(occurrences, (Entered(LaneOf.NETMAP, "", state, at, detail),))

    def _snapshot(self, event: Snapshot, at: float, everybody: Mapping[str, KnownNode]) -> _Nodes:
        nodes = _Nodes()
        there = set()
        own = event.netmap.self_node
        for peer in (*event.netmap.peers.values(), *((own,) if own is not None else ())):
            node = known(peer)
            there.add(node.stable_id)
            self._see(nodes, everybody.get(node.stable_id), node, at, first=self._begins)
        for stable_id, gone in everybody.items():
            if stable_id not in there:
                self._lose(nodes, stable_id, gone.name, at)
        self._begins, self._met = False, True
        return nodes

    def _see(
        self, nodes: _Nodes, old: KnownNode | None, new: KnownNode, at: float, *, first: bool = False
    ) -> None:
        """`first`: the history begins with this node, which has not joined just now."""
        after = self._blind_since if self._blind else None
        if old is not None and not _later(old.key_expiry, new.key_expiry):
            new = msgspec.structs.replace(new, warned=old.warned)
        if old is None and not first:
            nodes.say(Happening.NODE_JOINED, new, at, after, {"state": new.state})
        elif old is not None:
            for kind, detail in _changes(old, new):
                nodes.say(kind, new, at, after, detail)
        if old is None or old.state != new.state or not self._met:
            nodes.entered.append(Entered(LaneOf.NODE, new.stable_id, new.state, at, {}))
        if old != new:
            nodes.now.append(new)

    def _lose(self, nodes: _Nodes, stable_id: str, name: str, at: float) -> None:
        after = self._blind_since if self._blind else None
        nodes.occurrences.append(
            Occurrence(at=at, kind=Happening.NODE_LEFT, subject=stable_id, name=name, after=after)
        )
        nodes.entered.append(Entered(LaneOf.NODE, stable_id, None, at, {}))
        nodes.now.append(stable_id)


class _Nodes:
    """What one event says of nodes."""

    def __init__(self) -> None:
        self.occurrences: list[Occurrence] = []
        self.entered: list[Entered] = []
        self.now: list[KnownNode | str] = []

    def say(
        self, kind: Happening, node: KnownNode, at: float, after: float | None, detail: dict[str, Any]
    ) -> None:
        self.occurrences.append(
            Occurrence(at=at, kind=kind, subject=node.stable_id, name=node.name, detail=detail, after=after)
        )


def _changes(old: KnownNode, new: KnownNode) -> Iterator[tuple[Happening, dict[str, Any]]]:
    """What is told of a node that was there before and is there now, one of each kind."""
    found: dict[Happening, dict[str, Any]] = {}
    for field, kind in _FIELDS:
        before, now = getattr(old, field), getattr(new, field)
        if before != now:
            found.setdefault(kind, {})[field] = {"from": before, "to": now}
    if new.expired and not old.expired:
        found[Happening.NODE_KEY_EXPIRED] = {}
    if new.online is not old.online and new.online is not None:
        found[Happening.NODE_ONLINE if new.online else Happening.NODE_OFFLINE] = {"was": old.state}
    yield from found.items()


def _later(before: float | None, now: float | None) -> bool:
    """Whether an expiry moved forward; None is never."""
    return before is not None and (now is None or now > before)


def _lanes(kind: Happening, actor: str, at: float, detail: dict[str, Any]) -> Iterator[Entered]:
    connection = actor == ActorName.CONNECTION
    if kind is Happening.ACTOR_STARTED:
        yield Entered(LaneOf.ACTOR, actor, "active", at, detail)
        if connection:
            yield Entered(LaneOf.CONNECTION, "", "attempt", at, detail)
    elif kind is Happening.SESSION_STARTED:
        yield Entered(LaneOf.CONNECTION, "", "session", at, detail)
    elif kind is Happening.SESSION_ENDED:
        yield Entered(LaneOf.CONNECTION, "", None, at, detail)
    elif kind is Happening.ACTOR_EXITED:
        yield Entered(LaneOf.ACTOR, actor, None, at, detail)
