"""What is told of a history: the lanes and the occurrences of a time. All times are UNIX seconds.

Of a node only what was seen is told: while the history was written and the netmap was fresh.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final

import msgspec

from netmap_actors.errors import NetmapError
from netmap_actors.history.occurrences import Happening, LaneOf, Occurrence
from netmap_actors.history.spans import Interval, Span, cut, gaps, joined, settled
from netmap_actors.history.store import HistoryStore
from netmap_actors.rfc3339 import stamp
from netmap_actors.wire.vocabulary import Trust

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "EVER",
    "HISTORY_FILE",
    "MAX_WAIT",
    "SEEN_FILE",
    "Answer",
    "HistoryQuestion",
    "NoHistory",
    "NodeLane",
    "ask",
    "may_wait",
    "read",
]

HISTORY_FILE, SEEN_FILE = "history.sqlite3", "seen"
MOST = 10_000
"""Occurrences of one answer."""
MAX_PEERS, MAX_WORD = 100, 1000
"""Words of one question, and characters of each: every word costs a look through the file, and SQLite takes no pattern
above 50 000 bytes."""
ROOM = 8 << 20
"""Characters of them: routes and names come from a control server, and an answer may have 64 MiB (`questions`)."""
MAX_WAIT = 60.0
"""Seconds that an answer may be withheld."""
EVER: Final = 253_402_300_799.0
"""The last second that RFC 3339 can write, UNIX seconds."""


class NoHistory(NetmapError):
    """There is none to read; the text says why, and what to do."""


class HistoryQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked."""

    since: float = 0.0
    until: float = EVER
    peers: tuple[str, ...] = ()
    """Names, now or then, or stable ids; empty: all, and what is not of a node."""
    kinds: tuple[Happening, ...] = ()
    """Empty: all."""
    after_id: int = 0
    """Only occurrences with greater ids."""
    file: str = ""
    """The file that has the id `after_id`; of another one everything is told. Empty: whichever it is."""
    most: int = MOST
    """Occurrences."""
    oldest: bool = False
    """When there are more, the oldest of them are told; otherwise the newest."""
    tags: bool = False
    """Tell the tags of the nodes of the occurrences."""
    lanes: bool = True
    """False: occurrences alone; gaps and lanes are empty."""
    wait: float = 0.0
    """Seconds to wait for an occurrence, where there is none yet; MAX_WAIT at most."""
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
    """There are occurrences of this time that are left out: newer ones if `oldest` was asked, else older ones."""
    tags: dict[str, tuple[str, ...]] = {}
    """By stable id, if they were asked for: those a node has, or had when it left; without nodes that have none."""
    file: str = ""
    """Which file it is. It is another one when a broken file was set aside; ids begin anew then."""
    oldest_id: int = 1
    """All occurrences from this id on are kept. Who has read up to an id below `oldest_id - 1` has missed some."""
    newest_id: int = 0
    """The last one that is written, 0 for none. Who has read up to a greater one has read what a crash of the machine
    took back."""

    def to_json(self) -> dict[str, Any]:
        """As plain values; times are RFC 3339."""
        return {
            "tailnet": self.tailnet,
            **_interval(self.window),
            "gaps": [_interval(gap) for gap in self.gaps],
            "netmap": [_span(span) | {"detail": span.detail} for span in self.netmap],
            "connection": [_span(span) | {"detail": span.detail} for span in self.connection],
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
            "file": self.file,
            "oldest_id": self.oldest_id,
            "newest_id": self.newest_id,
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
    if len(question.peers) > MAX_PEERS or any(len(word) > MAX_WORD for word in question.peers):
        raise NoHistory(
            f"cannot show the history of so many nodes: at most {MAX_PEERS} can be named, with {MAX_WORD} characters "
            "each; leave the names out for all"
        )
    subjects = store.called(question.peers) if question.peers else []
    if question.peers and not subjects:
        raise NoHistory(
            f"cannot show the history of {', '.join(question.peers)}: no node is or was called that; "
            "`netmap-supervisor netmap` lists those that are there"
        )
    file = store.identity()
    oldest_id, newest_id = store.ids()  # before what is written meanwhile
    found, more = store.occurrences(
        since=question.since,
        until=question.until,
        after_id=question.after_id if question.file in {"", file} else 0,
        kinds=question.kinds,
        subjects=subjects,
        most=min(question.most, MOST),
        room=ROOM,
        newest=not question.oldest,
    )
    answer = Answer(
        tailnet=store.tailnet,
        window=window,
        gaps=[],
        netmap=[],
        connection=[],
        nodes=[],
        occurrences=found,
        more=more,
        tags=store.tags({one.subject for _, one in found}) if question.tags else {},
        file=file,
        oldest_id=oldest_id,
        newest_id=newest_id,
    )
    return _with_lanes(answer, store, subjects, until) if question.lanes else answer


def may_wait(answer: Answer, question: HistoryQuestion) -> bool:
    """Whether the answer may be withheld until there is an occurrence, or the time is over."""
    told = bool(answer.occurrences) or question.file not in {"", answer.file}
    return question.wait > 0.0 and not told and question.after_id <= answer.newest_id


def _with_lanes(answer: Answer, store: HistoryStore, subjects: list[str], until: float) -> Answer:
    window = answer.window
    runs = store.spans(LaneOf.RUN, window.since, until).get("", [])
    written = joined(Interval(span.since, span.until) for span in runs)
    netmap = cut(settled(store.spans(LaneOf.NETMAP, window.since, until).get("", [])), written)
    fresh = joined(Interval(span.since, span.until) for span in netmap if span.state == Trust.FRESH)
    connection = cut(settled(store.spans(LaneOf.CONNECTION, window.since, until).get("", [])), written)
    names = store.names()
    lanes = store.spans(LaneOf.NODE, window.since, until)
    nodes = [
        NodeLane(stable_id, names.get(stable_id, stable_id), cut(settled(spans), fresh))
        for stable_id, spans in lanes.items()
        if not subjects or stable_id in subjects
    ]
    return msgspec.structs.replace(
        answer,
        gaps=gaps(written, window),
        netmap=netmap,
        connection=connection,
        nodes=sorted(nodes, key=lambda node: (node.name, node.stable_id)),
    )


def _last_seen(directory: Path) -> float:
    try:
        data = (directory / SEEN_FILE).read_bytes()
    except OSError:
        return 0.0
    return float(struct.unpack_from("<d", data)[0]) if len(data) >= 8 else 0.0


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
