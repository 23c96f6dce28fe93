"""The table of peers in the view for a terminal: which rows fit, in which order, and what stands in them."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Any

import msgspec

from netmap_actors.errors import escape
from netmap_supervisor.view.keys import scrolled
from netmap_supervisor.view.sentences import address, ago, marks, online, peer_changes, peer_label
from netmap_supervisor.view.table_choice import TableChoice, order, sort_key
from netmap_supervisor.view.text_layout import Column

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from netmap_actors.subscriber import Peer
    from netmap_supervisor.view.keys import Key

__all__ = ["ONLINE", "PeerRow", "PeerRows"]

_COLUMNS = (
    Column("NAME", rank=5, least=12, stays=True, both_ends=True),
    Column("ADDRESS", rank=4, least=15, stays=True),
    Column("ONLINE"),
    Column("TAGS", rank=2, least=10),
    Column("ROUTES", rank=3, least=6),
    Column("CHANGED", rank=1, least=10),
)
"""On a narrow terminal CHANGED shrinks first; ONLINE always stays."""
ONLINE = 2
"""Its column."""
_SORTED_BY = {
    "last-seen": Column("LAST SEEN", rank=4, least=8, stays=True),
    "os": Column("OS", rank=4, least=6, stays=True),
    "user": Column("USER", rank=4, least=8, stays=True),
    "id": Column("STABLE ID", rank=4, least=8, stays=True, both_ends=True),
}
"""Columns that are there when the table is sorted by them."""


class PeerRow(msgspec.Struct):
    """A peer on the screen."""

    peer: Peer
    changed_at: float = 0.0
    """Seconds of CLOCK_BOOTTIME; 0: not while we looked."""
    change: str = ""
    key: Any = None
    """What it is sorted by, once it was."""


class PeerRows:
    """The rows, and the part of them that is on the screen."""

    def __init__(self, choice: TableChoice | None = None) -> None:
        self._choice = choice or TableChoice()
        self._rows: dict[str, PeerRow] = {}
        self._ordered: list[PeerRow] | None = None
        self._first: int | None = None
        """PeerRow at the top, once somebody scrolled."""
        self._page = 1
        self.peers = 0
        """Peers of the netmap, those that are not chosen included."""

    @property
    def chosen(self) -> int:
        """Peers that the choice lets through."""
        return len(self._rows)

    @property
    def filters(self) -> bool:
        """Whether the choice leaves any out."""
        return self._choice.filters

    @property
    def columns(self) -> tuple[Column, ...]:
        """Those of `cells`."""
        extra = _SORTED_BY.get(self._choice.sort)
        return _COLUMNS if extra is None else (*_COLUMNS[: ONLINE + 1], extra, *_COLUMNS[ONLINE + 1 :])

    def replace(self, peers: Iterable[Peer]) -> None:
        """Another netmap."""
        every = [peer.held() for peer in peers] if self._choice.filters else list(peers)
        self.peers = len(every)
        self._rows = {peer.stable_id: PeerRow(peer) for peer in every if self._choice.passes(peer)}
        self._ordered = None

    def upsert(self, peer: Peer, previous: Mapping[str, Any] | None, now: float) -> None:
        """A peer is new or changed."""
        held = peer.held()
        self.peers += previous is None
        row = self._rows.get(held.stable_id)
        if not self._choice.passes(held):
            if row is not None:
                del self._rows[held.stable_id]
                self._ordered = None
            return
        change = "joined" if previous is None else peer_changes(held, previous)
        if row is None:
            row = self._rows[held.stable_id] = PeerRow(peer)
            self._ordered = None
        row.peer = peer
        if change:
            row.changed_at, row.change = now, change
        if self._ordered is not None and row.key != self._key(row):
            self._ordered = None

    def remove(self, stable_id: str) -> None:
        """A peer is gone."""
        self.peers -= 1
        if self._rows.pop(stable_id, None) is not None:
            self._ordered = None

    def scroll(self, key: Key) -> None:
        """Show another part of the rows, in their order."""
        self._first = scrolled(key, self._first or 0, self._page, len(self._rows))

    def shown(self, room: int) -> tuple[Sequence[PeerRow], str]:
        """At most `room` lines: the rows, and a text below them if not all are there.

        In their order when all fit, or when an order was asked for or somebody scrolled; else those that changed last.
        """
        total = len(self._rows)
        if total <= room:
            self._page, self._first = max(1, room), None
            return self._in_order(), ""
        page = self._page = max(1, room - 1)
        if self._first is None and not self._choice.sort:
            rows = heapq.nlargest(page, self._rows.values(), key=lambda row: row.changed_at)
            rows.sort(key=self._key)
            return rows, f"… {total - page} more peers; these {page} changed last"
        first = self._first = max(0, min(self._first or 0, total - page))
        rows = self._in_order()[first : first + page]
        return rows, f"… {total - page} more peers; these are {first + 1} to {first + page}"

    def cells(self, row: PeerRow, now: float, wall: float, *, wide: bool) -> tuple[str, ...]:
        """The row's texts. `now`: of CLOCK_BOOTTIME, `wall`: UNIX seconds. `wide`: there is room for all addresses."""
        peer = row.peer.held()
        changed = f"{ago(now - row.changed_at)}: {row.change}" if row.changed_at else ""
        first = address(peer)
        others = [ip for ip in map(escape, peer.ips) if ip != first]
        cells = (
            peer_label(peer),
            " ".join([first, *others]) if wide else first,
            online(peer.online),
            escape(" ".join((*marks(peer), *peer.tags)), 60),
            escape(" ".join(peer.routes), 60),
            escape(changed, 80),
        )
        sort = self._choice.sort
        if sort not in _SORTED_BY:
            return cells
        return (*cells[: ONLINE + 1], _extra(sort, peer, wall), *cells[ONLINE + 1 :])

    def _in_order(self) -> list[PeerRow]:
        if self._ordered is None:
            for row in self._rows.values():
                row.key = self._key(row)
            self._ordered = order(
                self._rows.values(), lambda row: row.key, descending=self._choice.descending
            )
        return self._ordered

    def _key(self, row: PeerRow) -> Any:
        return sort_key(self._choice.sort, row.peer.held())


def _extra(sort: str, peer: Peer, wall: float) -> str:
    """The cell of the column that is there to show the order."""
    if sort == "last-seen":
        seen = peer.last_seen_at
        return "now" if peer.online else "" if seen is None else ago(max(0.0, wall - seen.timestamp()))
    return escape({"os": peer.os, "user": peer.user or "", "id": peer.stable_id}[sort], 60)
