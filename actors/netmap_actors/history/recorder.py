"""What inputs leave in the history. Pure: the moment is an argument, what is known of nodes comes from the store.

While the netmap is not fresh nothing is known of nodes: what is found different afterwards happened in between, and
says so. Not here: how it is kept (`store`) and what may be said of a time (`spans`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netmap_actors.history.occurrences import Entered, Kind, KnownNode, Lane, Occurrence, Recorded
from netmap_actors.subscriber.events import PeerRemoved, PeerUpserted, SelfChanged, Snapshot, StateChanged
from netmap_actors.subscriber.peer import Peer
from netmap_actors.wire.vocabulary import Stage, Trust

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from netmap_actors.subscriber.events import Event

__all__ = ["Recorder", "known"]

_FIELDS: tuple[tuple[str, Kind], ...] = (
    ("name", Kind.NODE_RENAMED),
    ("tags", Kind.NODE_TAGGED),
    ("routes", Kind.NODE_ROUTED),
    ("addresses", Kind.NODE_MOVED),
    ("home_derp", Kind.NODE_MOVED),
    ("key", Kind.NODE_KEY_CHANGED),
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
        expired=peer.expired,
        os=peer.os,
        user=peer.user or "",
    )


class Recorder:
    """`seen_until`: when the history last saw anything before now, UNIX seconds; None: it begins today."""

    def __init__(self, seen_until: float | None) -> None:
        self._blind_since = 0.0 if seen_until is None else seen_until
        """Since when nodes were not seen; what differs at the next fresh netmap happened after that."""
        self._blind = True
        self._begins = seen_until is None
        self._met = False
        """The first netmap of this process has come; what held before it was closed when the process before ended."""
        self._trust = ""

    def begin(self, at: float, **detail: Any) -> Recorded:
        """The history is written again: what was not seen until now is a gap."""
        gap = () if self._begins else (Occurrence(at=at, kind=Kind.GAP, after=self._blind_since),)
        return Recorded(
            (*gap, Occurrence(at=at, kind=Kind.RUN_STARTED, detail=detail)),
            (Entered(Lane.RUN, "", "running", at, detail),),
        )

    def end(self, at: float) -> Recorded:
        """The daemon stops as it was told."""
        return Recorded((Occurrence(at=at, kind=Kind.RUN_STOPPED),), (Entered(Lane.RUN, "", None, at, {}),))

    # Processes and connections

    def actor_started(self, name: str, at: float, **detail: Any) -> Recorded:
        """A process of this actor is up. `detail`: pid, generation."""
        return Recorded(
            (Occurrence(at=at, kind=Kind.ACTOR_STARTED, subject=name, detail=detail),),
            (Entered(Lane.ACTOR, name, "active", at, detail),),
        )

    def actor_exited(self, name: str, at: float, **detail: Any) -> Recorded:
        """A process of this actor ended. `detail`: pid, generation, reason, and a signal or status."""
        return Recorded(
            (Occurrence(at=at, kind=Kind.ACTOR_EXITED, subject=name, detail=detail),),
            (Entered(Lane.ACTOR, name, None, at, detail),),
        )

    def connection_stage(self, stage: str, at: float, **detail: Any) -> Recorded:
        """The control connection has come to this stage. `detail`: generation, pid, addresses."""
        kind = {
            Stage.RESOLVE: Kind.CONNECTION_STARTED,
            Stage.LOGIN: Kind.LOGIN_NEEDED,
            Stage.MAP: Kind.SESSION_STARTED,
        }.get(Stage(stage))
        said = (Occurrence(at=at, kind=kind, detail=detail),) if kind is not None else ()
        return Recorded(said, (Entered(Lane.CONNECTION, "", stage, at, detail),))

    def connection_ended(self, at: float, **detail: Any) -> Recorded:
        """The control connection ended. `detail`: generation, reason, stage, how long it lived."""
        return Recorded(
            (Occurrence(at=at, kind=Kind.CONNECTION_ENDED, detail=detail),),
            (Entered(Lane.CONNECTION, "", None, at, detail),),
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
        if self._trust == Trust.FRESH:
            self._blind = False
        return recorded, nodes.now

    def _trusted(self, state: str, reason: str, age: float | None, at: float) -> Recorded:
        if state == self._trust:
            return Recorded()
        was_fresh, self._trust = self._trust == Trust.FRESH, state
        detail: dict[str, Any] = {"reason": reason} if reason else {}
        occurrences: tuple[Occurrence, ...] = ()
        if state == Trust.FRESH:
            occurrences = (Occurrence(at=at, kind=Kind.NETMAP_FRESH, detail=detail),)
        elif was_fresh or state == Trust.STALE:
            occurrences = (Occurrence(at=at, kind=Kind.NETMAP_STALE, detail=detail),)
        if was_fresh:
            # The last message that came is the last time the nodes were seen.
            self._blind, self._blind_since = True, at - (age or 0.0)
        return Recorded(occurrences, (Entered(Lane.NETMAP, "", state, at, detail),))

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
        if old is None and not first:
            nodes.say(Kind.NODE_JOINED, new, at, after, {"state": new.state})
        elif old is not None:
            for kind, detail in _changes(old, new):
                nodes.say(kind, new, at, after, detail)
        if old is None or old.state != new.state or not self._met:
            nodes.entered.append(Entered(Lane.NODE, new.stable_id, new.state, at, {}))
        if old != new:
            nodes.now.append(new)

    def _lose(self, nodes: _Nodes, stable_id: str, name: str, at: float) -> None:
        after = self._blind_since if self._blind else None
        nodes.occurrences.append(
            Occurrence(at=at, kind=Kind.NODE_LEFT, subject=stable_id, name=name, after=after)
        )
        nodes.entered.append(Entered(Lane.NODE, stable_id, None, at, {}))
        nodes.now.append(stable_id)


class _Nodes:
    """What one event says of nodes."""

    def __init__(self) -> None:
        self.occurrences: list[Occurrence] = []
        self.entered: list[Entered] = []
        self.now: list[KnownNode | str] = []

    def say(
        self, kind: Kind, node: KnownNode, at: float, after: float | None, detail: dict[str, Any]
    ) -> None:
        self.occurrences.append(
            Occurrence(at=at, kind=kind, subject=node.stable_id, name=node.name, detail=detail, after=after)
        )


def _changes(old: KnownNode, new: KnownNode) -> Iterator[tuple[Kind, dict[str, Any]]]:
    """What is told of a node that was there before and is there now, one of each kind."""
    found: dict[Kind, dict[str, Any]] = {}
    for field, kind in _FIELDS:
        before, now = getattr(old, field), getattr(new, field)
        if before != now:
            found.setdefault(kind, {})[field] = {"from": before, "to": now}
    if new.expired and not old.expired:
        found[Kind.NODE_KEY_EXPIRED] = {}
    if new.online is not old.online and new.online is not None:
        found[Kind.NODE_ONLINE if new.online else Kind.NODE_OFFLINE] = {"was": old.state}
    yield from found.items()
