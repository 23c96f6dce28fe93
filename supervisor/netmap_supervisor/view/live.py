"""The view for a terminal: trust, connection, processes and peers in a table that changes in place.

Not here: what the lines say (`sentences`), where the events come from (`view.feed`), which peers are shown
(`table_choice`) and the terminal itself (`screen`). Everything is shown as Text: markup in a peer's name is not
interpreted.
"""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING, Any, Protocol

from rich.console import Console, ConsoleDimensions, Group
from rich.live import Live
from rich.text import Text

from netmap_actors.errors import escape
from netmap_actors.wire.vocabulary import Trust
from netmap_supervisor.view.peer_rows import ONLINE, PeerRows
from netmap_supervisor.view.sentences import (
    ago,
    daemon_event,
    netmap_change,
    span,
    tailnet_name,
    trust,
    waiting_for,
)
from netmap_supervisor.view.table_choice import ChosenEvents, TableChoice
from netmap_supervisor.view.text_layout import GAP, laid_out

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import OverflowMethod

    from netmap_actors.clock import Clock
    from netmap_actors.subscriber import Event
    from netmap_actors.wire.status import StatusReport
    from netmap_supervisor.view.keys import Key

__all__ = ["LiveView"]

_POLL = 1.0
_REDRAW = 0.25
"""Seconds between two drawings at least."""
_EVENT_LINES = 6
_LINES_PER_EVENT = 5
"""Lines of a whole screen for each line of events: on a small one the table has the room."""
_WIDE = 130
"""Columns from which on all addresses of a peer are shown, not only the first."""
_SMALLEST_TABLE = 5
_UNKNOWN_HERE = (
    "connection and processes: not known from here; `netmap-supervisor status` over there shows them"
)
_STATE_STYLES: dict[str, str] = {
    Trust.FRESH: "bold green",
    Trust.STALE: "bold red",
    Trust.NONE: "bold yellow",
}
_ONLINE_STYLES = {True: "green", False: "red", None: "yellow"}
_ACTOR_STYLES = {"active": "green", "backoff": "yellow", "error": "red"}


class WholeScreen(Protocol):
    """`view.screen.Screen`, as far as it is drawn on."""

    def size(self) -> tuple[int, int]: ...
    def show(self, lines: Sequence[bytes]) -> None: ...
    def close(self) -> None: ...


class LiveView:
    """Draws the events and the status so far; `hint` is the last line."""

    def __init__(
        self,
        clock: Clock,
        *,
        hint: str = "",
        console: Console | None = None,
        choice: TableChoice | None = None,
        screen: WholeScreen | None = None,
    ) -> None:
        """`screen`: draw on all of it; None: below what is there already, which stays, as the last picture does."""
        self._clock = clock
        self._hint = hint
        self._console = console or Console(markup=False, highlight=False, emoji=False)
        self._screen = screen
        self._live = Live(
            console=self._console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
        )
        self._peers = PeerRows(choice)
        self._told = ChosenEvents(choice or TableChoice())
        self._events: collections.deque[str] = collections.deque(maxlen=_EVENT_LINES)
        self._report: StatusReport | str | None = None
        self._domain = self._own_name = ""
        self._state: str = Trust.NONE
        self._age: float | None = None
        self._age_at = 0.0
        self._drawn_at = self._asked_at = 0.0
        self._drawn_size = (0, 0)
        if screen is None:
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
        now = self._clock.boottime()
        match event.kind:
            case "snapshot":
                self._peers.replace(details.netmap.peers.values())
                self._domain = details.netmap.domain
                own = details.netmap.self_node
                self._own_name = "" if own is None else own.name
            case "peer_upserted":
                self._peers.upsert(details.peer, details.previous, now)
            case "peer_removed":
                self._peers.remove(details.peer.stable_id)
            case "self_changed" if details.node is not None:
                self._own_name = details.node.name
            case "domain_changed":
                self._domain = details.domain
        self._state, self._age, self._age_at = event.state, event.age_s, now
        about_peer = event.kind in {"peer_upserted", "peer_removed"}
        if self._told.passes(event) or not about_peer:
            self._say(netmap_change(event))

    def status(self, report: StatusReport | str | None) -> None:
        """The daemon's status; None: it does not answer; a text: it cannot be asked, and what is waited for."""
        self._report = report
        self._asked_at = self._clock.boottime()
        if isinstance(report, str):
            return
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

    def key(self, key: Key) -> None:
        """A key was pressed that moves the table."""
        self._peers.scroll(key)
        self._drawn_size = (0, 0)

    def tick(self) -> None:
        """Draw, if the last drawing is old enough, or the terminal has another size."""
        now = self._clock.boottime()
        if now - self._drawn_at >= _REDRAW or (self._screen and self._screen.size() != self._drawn_size):
            self._draw(now)

    def close(self) -> None:
        """Leave the last picture on the screen, or the screen as it was before."""
        if self._screen is not None:
            self._screen.close()
            return
        self._draw(self._clock.boottime())
        self._live.stop()

    def _draw(self, now: float) -> None:
        self._drawn_at = now
        if self._screen is None:
            self._live.update(self.render(now), refresh=True)
            return
        self._drawn_size = self._screen.size()
        self._console.size = ConsoleDimensions(*self._drawn_size)
        with self._console.capture() as captured:
            self._console.print(self.render(now), end="")
        encoding = self._console.encoding
        self._screen.show([line.encode(encoding, self._errors) for line in captured.get().splitlines()])

    # Drawing

    def render(self, now: float) -> Group:
        """What is on the screen."""
        whole = self._screen is not None
        height = self._console.height
        above = self._above(now, height // 3 if whole else height)
        events = list(self._events)
        if whole:
            events = events[len(events) - min(len(events), height // _LINES_PER_EVENT) :]
        below = [self._line((line, "dim")) for line in events]
        if self._hint:
            below.append(self._line((self._hint, "")))
        taken = sum(map(self._height, above)) + len(below)
        if not whole:
            return Group(*above, self._table(now, max(_SMALLEST_TABLE, height - taken - 4)), *below)
        table = self._table(now, max(1, height - taken - 1))
        gap = height - taken - len(table.renderables)
        return Group(*above, table, *[Text("")] * gap, *below)

    def _height(self, text: Text) -> int:
        """Lines it takes on this screen."""
        return 1 if text.no_wrap else len(text.wrap(self._console, self._console.width))

    def _above(self, now: float, most: int) -> list[Text]:
        """The lines above the table.

        If they would be more than `most`, the processes are left out, then the connection, then the rest is cut.
        """
        lines = [self._trust_line(now)]
        report = self._report
        if report is None:
            return [*lines, self._text(("the daemon does not answer yet", "yellow"))]
        if isinstance(report, str):
            lines.append(self._line((_UNKNOWN_HERE, "dim")))
            if self._state != Trust.FRESH:
                lines.append(self._text((f"waiting: {report}", "yellow")))
            return lines
        happens = []
        waiting = waiting_for(report)
        if waiting is not None and self._state != "stopped":
            happens.append(self._text((f"waiting: {waiting}", "yellow")))
        happens += [self._text((f"degraded: {escape(one.text, 300)}", "red")) for one in report.degraded[:3]]
        known = [self._connection_line(report), self._actor_line(report)]
        while known and sum(map(self._height, (*lines, *known, *happens))) > most:
            known.pop()
        if sum(map(self._height, (*lines, *happens))) > most:
            for text in happens:
                text.no_wrap, text.overflow = True, self._overflow
        return [*lines, *known, *happens]

    def _trust_line(self, now: float) -> Text:
        age = None if self._age is None else self._age + now - self._age_at
        none = self._state == Trust.NONE
        parts = [
            (f" {self._state.upper()} ", _STATE_STYLES.get(self._state, "bold")),
            (" " + (trust(Trust.NONE, None) if none else f"last MapResponse {ago(age)}"), ""),
        ]
        report = self._report
        if report is not None and not isinstance(report, str):
            left = report.liveness.deadline_in_s
            if left is not None and self._state != "stopped":
                parts.append(
                    (f"   dead in {span(max(0.0, left - (now - self._asked_at)))} if nothing comes", "")
                )
            parts.append((f"   epoch {report.netmap.epoch % 1_000_000:06d} seq {report.netmap.seq}", ""))
            parts.append((f"   subscribers {report.subscribers}", ""))
        name = tailnet_name(self._own_name, self._domain)
        if name:
            parts.append((f"   {name}", ""))
        return self._line(*parts)

    def _connection_line(self, report: StatusReport) -> Text:
        connection = report.connection
        parts = [f"connection {connection.generation} {escape(connection.state, 40).replace('_', ' ')}"]
        if connection.local_address:
            parts.append(
                f"  {escape(connection.local_address, 60)} → {escape(connection.remote_address or '?', 60)}"
            )
        ended = ", ".join(f"{reason} {count}" for reason, count in connection.ended.items() if count)
        return self._line(("".join([*parts, f"   ended: {ended or 'never'}"]), ""))

    def _actor_line(self, report: StatusReport) -> Text:
        parts: list[tuple[str, str]] = []
        for actor in report.actors:
            parts.append((f"{'   ' if parts else ''}{actor.name} ", ""))
            parts.append((str(actor.pid or actor.state), _ACTOR_STYLES.get(actor.state, "dim")))
            if actor.restarts:
                parts.append((f" (restarted {actor.restarts}x)", "yellow"))
        return self._text(*parts)

    def _table(self, now: float, room: int) -> Group:
        wide = self._console.width >= _WIDE
        wall = self._clock.wall()
        table = self._peers
        # The line of the choice stands below, always; that of the rest only when not all fit.
        about = f"{table.chosen} of {table.peers} peers are chosen" if table.filters else ""
        shown, rest = table.shown(max(1, room - bool(about)))
        styles = ["bold", *(_ONLINE_STYLES[row.peer.online] for row in shown)]
        cells = [tuple(map(self._spelled, table.cells(row, now, wall, wide=wide))) for row in shown]
        lines: list[Text] = []
        for row, style in zip(laid_out(cells, table.columns, self._console.width), styles, strict=True):
            line = Text(no_wrap=True, overflow=self._overflow, style="" if lines else style)
            for place, (number, text) in enumerate(row):
                line.append(" " * GAP if place else "")
                line.append(text, style=style if number == ONLINE else "")
            lines.append(line)
        lines += [self._line((text, "dim")) for text in (rest, about) if text]
        return Group(*lines)

    def _text(self, *parts: tuple[str, str]) -> Text:
        """A text that is folded, of (words, style)."""
        return Text.assemble(*((self._spelled(words), style) for words, style in parts))

    def _line(self, *parts: tuple[str, str]) -> Text:
        """A text that is cut at the end of the line."""
        line = self._text(*parts)
        line.no_wrap, line.overflow = True, self._overflow
        return line

    def _spelled(self, text: str) -> str:
        """In letters that the terminal has, before it is laid out: another spelling has another length."""
        if text.isascii():
            return text
        return text.encode(self._console.encoding, self._errors).decode(self._console.encoding)

    @property
    def _overflow(self) -> OverflowMethod:
        """What marks a line that is cut: other spellings of the mark are longer."""
        return "ellipsis" if self._console.encoding.lower().startswith("utf") else "crop"

    @property
    def _errors(self) -> str:
        """What standard output does with other letters (`cli.process.standard_streams`)."""
        return getattr(self._console.file, "errors", None) or "backslashreplace"

    def _say(self, text: str | None) -> None:
        if text is not None:
            self._events.append(text)
