"""The view for a terminal: trust, connection, processes and peers in a table that changes in place.

Not here: what the lines say (`sentences`) and where the events come from (`view.feed`). Everything is shown as Text:
markup in a peer's name is not interpreted.
"""

from __future__ import annotations

import collections
import heapq
from typing import TYPE_CHECKING, Any

import msgspec
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from netmap_actors.errors import escape
from netmap_actors.wire.vocabulary import Trust
from netmap_supervisor.view.sentences import (
    address,
    ago,
    daemon_event,
    marks,
    netmap_change,
    online,
    peer_changes,
    peer_label,
    span,
    tailnet_name,
    trust,
    waiting_for,
)
from netmap_supervisor.view.text_layout import GAP, Column, laid_out

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from netmap_actors.clock import Clock
    from netmap_actors.subscriber import Event, Peer
    from netmap_supervisor.admin.status import StatusReport

__all__ = ["LiveView"]

_POLL = 1.0
_REDRAW = 0.25
"""Seconds between two drawings at least."""
_EVENT_LINES = 6
_WIDE = 130
"""Columns from which on all addresses of a peer are shown, not only the first."""
_SMALLEST_TABLE = 5
_STATE_STYLES: dict[str, str] = {
    Trust.FRESH: "bold green",
    Trust.STALE: "bold red",
    Trust.NONE: "bold yellow",
}
_ONLINE_STYLES = {True: "green", False: "red", None: "yellow"}
_ACTOR_STYLES = {"active": "green", "backoff": "yellow", "error": "red"}

_COLUMNS = (
    Column("NAME", rank=5, least=12, stays=True, both_ends=True),
    Column("ADDRESS", rank=4, least=15, stays=True),
    Column("ONLINE"),
    Column("TAGS", rank=2, least=10),
    Column("ROUTES", rank=3, least=6),
    Column("CHANGED", rank=1, least=10),
)
"""On a narrow terminal CHANGED shrinks first; ONLINE always stays."""
_ONLINE = 2
"""Its column."""


class _Row(msgspec.Struct):
    peer: Peer
    changed_at: float
    change: str


class LiveView:
    """Draws the events and the status so far; `hint` is the last line."""

    def __init__(self, clock: Clock, *, hint: str = "", console: Console | None = None) -> None:
        self._clock = clock
        self._hint = hint
        self._console = console or Console(markup=False, highlight=False, emoji=False)
        self._live = Live(
            console=self._console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
        )
        self._rows: dict[str, _Row] = {}
        self._events: collections.deque[str] = collections.deque(maxlen=_EVENT_LINES)
        self._report: StatusReport | None = None
        self._domain = self._own_name = ""
        self._state: str = Trust.NONE
        self._age: float | None = None
        self._age_at = 0.0
        self._drawn_at = self._asked_at = 0.0
        self._live.start()

    # Input

    def daemon(self, level: str, event: str, fields: Mapping[str, Any]) -> None:
        """A log event of the daemon."""
        self._say(daemon_event(level, event, fields))
        if event in {"stopped", "daemon_died"}:
            self._state = "stopped"

    def netmap(self, event: Event) -> None:
        """An event of the subscription."""
        details: Any = event
        text = netmap_change(event)
        now = self._clock.boottime()
        match event.kind:
            case "snapshot":
                self._rows = {peer.stable_id: _Row(peer, 0.0, "") for peer in details.netmap.peers.values()}
                self._domain = details.netmap.domain
                own = details.netmap.self_node
                self._own_name = "" if own is None else own.name
            case "peer_upserted":
                self._upsert(details.peer, details.previous, now)
            case "peer_removed":
                self._rows.pop(details.peer.stable_id, None)
            case "self_changed" if details.node is not None:
                self._own_name = details.node.name
            case "domain_changed":
                self._domain = details.domain
        self._state, self._age, self._age_at = event.state, event.age_s, now
        self._say(text)

    def status(self, report: StatusReport | None) -> None:
        """The daemon's status; None: it does not answer."""
        self._report = report
        self._asked_at = self._clock.boottime()
        if report is not None:
            self._state, self._age = report.netmap.state, report.netmap.age_s
            self._age_at = self._clock.boottime()
        elif self._state == Trust.FRESH:
            self._state = Trust.STALE

    def pause(self) -> float | None:
        """Seconds until the next drawing: ages change."""
        return _REDRAW if self._clock.boottime() - self._drawn_at < _REDRAW else _POLL

    def wants_status(self) -> bool:
        """Whether the status shown is old."""
        return self._clock.boottime() - self._asked_at >= _POLL

    def tick(self) -> None:
        """Draw, if the last drawing is old enough."""
        now = self._clock.boottime()
        if now - self._drawn_at >= _REDRAW:
            self._drawn_at = now
            self._live.update(self.render(now), refresh=True)

    def close(self) -> None:
        """Leave the last picture on the screen."""
        self._live.update(self.render(self._clock.boottime()), refresh=True)
        self._live.stop()

    def _upsert(self, peer: Peer, previous: Mapping[str, Any] | None, now: float) -> None:
        before = self._rows.get(peer.stable_id)
        change = "joined" if previous is None else peer_changes(peer, previous)
        if change:
            self._rows[peer.stable_id] = _Row(peer, now, change)
        elif before is not None:
            before.peer = peer

    # Drawing

    def render(self, now: float) -> Group:
        """What is on the screen."""
        above = [self._trust_line(now), *self._connection_lines()]
        below = [Text(line, overflow="ellipsis", no_wrap=True, style="dim") for line in self._events]
        if self._hint:
            below.append(Text(self._hint, overflow="ellipsis", no_wrap=True))
        taken = sum(map(self._height, above)) + len(below)
        room = max(_SMALLEST_TABLE, self._console.height - taken - 4)
        return Group(*above, self._table(now, room), *below)

    def _height(self, text: Text) -> int:
        """Lines it takes on this screen."""
        return 1 if text.no_wrap else len(text.wrap(self._console, self._console.width))

    def _trust_line(self, now: float) -> Text:
        age = None if self._age is None else self._age + now - self._age_at
        line = Text(no_wrap=True, overflow="ellipsis")
        line.append(f" {self._state.upper()} ", style=_STATE_STYLES.get(self._state, "bold"))
        line.append(
            " " + (trust(Trust.NONE, None) if self._state == Trust.NONE else f"last MapResponse {ago(age)}")
        )
        report = self._report
        if report is not None:
            left = report.liveness.deadline_in_s
            if left is not None and self._state != "stopped":
                line.append(f"   dead in {span(max(0.0, left - (now - self._asked_at)))} if nothing comes")
            line.append(f"   epoch {report.netmap.epoch % 1_000_000:06d} seq {report.netmap.seq}")
            line.append(f"   subscribers {report.subscribers}")
        name = tailnet_name(self._own_name, self._domain)
        if name:
            line.append(f"   {name}")
        return line

    def _connection_lines(self) -> list[Text]:
        report = self._report
        if report is None:
            return [Text("the daemon does not answer yet", style="yellow")]
        connection = report.connection
        line = Text(no_wrap=True, overflow="ellipsis")
        line.append(f"connection {connection.generation} {escape(connection.state, 40).replace('_', ' ')}")
        if connection.local_address:
            line.append(
                f"  {escape(connection.local_address, 60)} → {escape(connection.remote_address or '?', 60)}"
            )
        ended = ", ".join(f"{reason} {count}" for reason, count in connection.ended.items() if count)
        line.append(f"   ended: {ended or 'never'}")
        lines = [line, self._actor_line(report)]
        waiting = waiting_for(report)
        if waiting is not None and self._state != "stopped":
            lines.append(Text(f"waiting: {waiting}", style="yellow"))
        lines += [Text(f"degraded: {escape(one.text, 300)}", style="red") for one in report.degraded[:3]]
        return lines

    def _actor_line(self, report: StatusReport) -> Text:
        line = Text()
        for actor in report.actors:
            line.append(f"{'   ' if line else ''}{actor.name} ")
            line.append(str(actor.pid or actor.state), style=_ACTOR_STYLES.get(actor.state, "dim"))
            if actor.restarts:
                line.append(f" (restarted {actor.restarts}x)", style="yellow")
        return line

    def _table(self, now: float, room: int) -> Group:
        wide = self._console.width >= _WIDE
        shown = list(self._chosen(room))
        styles = ["bold", *(_ONLINE_STYLES[row.peer.online] for row in shown)]
        cells = [self._cells(row, now, wide=wide) for row in shown]
        lines: list[Text] = []
        for row, style in zip(laid_out(cells, _COLUMNS, self._console.width), styles, strict=True):
            line = Text(no_wrap=True, overflow="ellipsis", style="" if lines else style)
            for place, (number, text) in enumerate(row):
                line.append(" " * GAP if place else "")
                line.append(text, style=style if number == _ONLINE else "")
            lines.append(line)
        if len(shown) < len(self._rows):
            lines.append(Text(f"… {len(self._rows) - len(shown)} more peers", style="dim"))
        return Group(*lines)

    @staticmethod
    def _cells(row: _Row, now: float, *, wide: bool) -> tuple[str, ...]:
        peer = row.peer
        changed = f"{ago(now - row.changed_at)}: {row.change}" if row.changed_at else ""
        first = address(peer)
        others = [ip for ip in map(escape, peer.ips) if ip != first]
        return (
            peer_label(peer),
            " ".join([first, *others]) if wide else first,
            online(peer.online),
            escape(" ".join((*marks(peer), *peer.tags)), 60),
            escape(" ".join(peer.routes), 60),
            escape(changed, 80),
        )

    def _chosen(self, room: int) -> Iterable[_Row]:
        """By name when all fit; else those that changed last."""
        rows = self._rows.values()
        if len(rows) > room:
            rows = heapq.nlargest(room - 1, rows, key=lambda row: row.changed_at)  # type: ignore[assignment]
        return sorted(rows, key=lambda row: (peer_label(row.peer), row.peer.stable_id))

    def _say(self, text: str | None) -> None:
        if text is not None:
            self._events.append(text)
