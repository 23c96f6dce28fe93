"""What is told of a history: the lanes and the occurrences of a time. All times are UNIX seconds.

Of a node only what was seen is told: while the history was written and the netmap was fresh.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import msgspec

from netmap_actors.errors import NetmapError
from netmap_actors.history.occurrences import Happening, LaneOf, Occurrence
from netmap_actors.history.spans import Interval, Span, cut, gaps, joined
from netmap_actors.history.store import HistoryStore
from netmap_actors.rfc3339 import stamp
from netmap_actors.wire.vocabulary import Trust

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["HISTORY_FILE", "SEEN_FILE", "Answer", "HistoryQuestion", "NoHistory", "NodeLane", "ask", "read"]

HISTORY_FILE, SEEN_FILE = "history.sqlite3", "seen"
MOST = 10_000
"""Occurrences of one answer."""


class NoHistory(NetmapError):
    """There is none to read; the text says why, and what to do."""


class HistoryQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked."""

    since: float
    until: float
    peers: tuple[str, ...] = ()
    """Names, now or then, or stable ids; empty: all, and what is not of a node."""
    kinds: tuple[Happening, ...] = ()
    """Empty: all."""
    after_id: int = 0
    """Only occurrences with greater ids."""
    most: int = MOST
    """Occurrences; the newest are told."""
    token: int = 0
    """Comes back with the answer."""


class NodeLane(msgspec.Struct, frozen=True):
    """A node over the time."""

    stable_id: str
    name: str
    spans: list[Span]


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What is told."""

    tailnet: str
    window: Interval
    gaps: list[Interval]
    """Times of which nothing is known."""
    netmap: list[Span]
    connection: list[Span]
    nodes: list[NodeLane]
    """By name."""
    occurrences: list[tuple[int, Occurrence]]
    more: bool
    """There are older occurrences of this time that are left out."""

    def to_json(self) -> dict[str, Any]:
        """As plain values; times are RFC 3339."""
        return {
            "tailnet": self.tailnet,
            **_interval(self.window),
            "gaps": [_interval(gap) for gap in self.gaps],
            "netmap": [_span(span) for span in self.netmap],
            "connection": [_span(span) for span in self.connection],
            "nodes": [
                {
                    "stable_id": node.stable_id,
                    "name": node.name,
                    "spans": [_span(span) for span in node.spans],
                }
                for node in self.nodes
            ],
            "occurrences": [_occurrence(number, one) for number, one in self.occurrences],
            "more": self.more,
        }


def read(directory: Path, question: HistoryQuestion, tailnet: str = "default") -> Answer:
    """Ask the files in this directory, which another process may be writing. Raises NoHistory and what opening does."""
    if not (directory / HISTORY_FILE).exists():
        raise NoHistory(
            f"cannot show the history: there is none in {directory}; a daemon writes one while it runs, unless "
            "history.keep is off"
        )
    store = HistoryStore(directory / HISTORY_FILE, tailnet, read_only=True)
    try:
        return ask(store, question, _last_seen(directory))
    finally:
        store.close()


def ask(store: HistoryStore, question: HistoryQuestion, seen: float) -> Answer:
    """The answer of an open store. `seen`: up to when its writer has seen anything, if that is later than it wrote."""
    until = min(question.until, max(seen, store.seen_until() or 0.0))
    window = Interval(question.since, question.until)
    subjects = sorted({stable_id for word in question.peers for stable_id in store.called(word)})
    if question.peers and not subjects:
        raise NoHistory(
            f"cannot show the history of {', '.join(question.peers)}: no node is or was called that; "
            "`netmap-supervisor netmap` lists those that are there"
        )
    runs = store.spans(LaneOf.RUN, question.since, until).get("", [])
    written = joined(Interval(span.since, span.until) for span in runs)
    netmap = cut(store.spans(LaneOf.NETMAP, question.since, until).get("", []), written)
    fresh = joined(Interval(span.since, span.until) for span in netmap if span.state == Trust.FRESH)
    connection = cut(store.spans(LaneOf.CONNECTION, question.since, until).get("", []), written)
    found = store.occurrences(
        since=question.since,
        until=question.until,
        after_id=question.after_id,
        kinds=question.kinds,
        subjects=subjects,
        most=min(question.most, MOST) + 1,
        newest=True,
    )
    more = len(found) > min(question.most, MOST)
    names = store.names()
    lanes = store.spans(LaneOf.NODE, question.since, until)
    nodes = [
        NodeLane(stable_id, names.get(stable_id, stable_id), cut(spans, fresh))
        for stable_id, spans in lanes.items()
        if not subjects or stable_id in subjects
    ]
    return Answer(
        tailnet=store.tailnet,
        window=window,
        gaps=gaps(written, window),
        netmap=netmap,
        connection=connection,
        nodes=sorted(nodes, key=lambda node: (node.name, node.stable_id)),
        occurrences=found[1:] if more else found,
        more=more,
    )


def _last_seen(directory: Path) -> float:
    try:
        data = (directory / SEEN_FILE).read_bytes()
    except OSError:
        return 0.0
    return float(struct.unpack("<d", data)[0]) if len(data) == 8 else 0.0


def _interval(interval: Interval) -> dict[str, Any]:
    return {"since": stamp(interval.since), "until": stamp(interval.until)}


def _span(span: Span) -> dict[str, Any]:
    return {"since": stamp(span.since), "until": stamp(span.until), "state": span.state}


def _occurrence(number: int, one: Occurrence) -> dict[str, Any]:
    return {
        "id": number,
        "at": stamp(one.at),
        "after": None if one.after is None else stamp(one.after),
        "kind": str(one.kind),
        "subject": one.subject,
        "name": one.name,
        "detail": one.detail,
    }
