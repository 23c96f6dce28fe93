"""Who did what when in one attempt: the timeline, how far the client came, and what was refused it last."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING

from netmap_supervisor.devtools.client_check.outcome import Reached, TimelineEvent
from netmap_supervisor.devtools.client_check.verdicts.observations import closer_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netmap_actors.dev_control.http.state import Seen
    from netmap_supervisor.devtools.client_check.verdicts.observations import Timeline

__all__ = ["MOST_EVENTS", "last_refused", "last_seen", "reached", "timeline_of", "whole_lines"]

MOST_EVENTS = 1000
"""Events of one attempt that are kept: its beginning and its end."""
_CHECK = frozenset({"fault", "heal"})
_SERVER = frozenset({"refused", "sent"})
_MILESTONES = {
    "accept": Reached.CONNECTION,
    "key": Reached.KEY,
    "upgrade": Reached.UPGRADE,
    "register": Reached.REGISTER,
}
_WORDS = {
    "accept": "a TCP connection",
    "key": "a request for its key",
    "upgrade": "a Noise handshake",
    "register": "a register request",
    "map": "a map request",
    "end": "the end of a connection",
}
# CSI, OSC and the short escape sequences of ECMA-48, as terminals read them.
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_]|[ -/]+[0-~])")


def timeline_of(
    events: Sequence[Seen], moments: Timeline, own: Sequence[TimelineEvent] = ()
) -> tuple[TimelineEvent, ...]:
    """Seconds since the client was started. `own`: what the check did besides, in order."""
    started = moments.started_at
    told = {event.kind for event in events}
    made = [TimelineEvent(0.0, None, "check", "started"), *own]
    if moments.joined_at is not None:
        made.append(TimelineEvent(moments.joined_at - started, None, "check", "joined"))
    # The server notes neither a cut, nor the end of a fault that had ended by itself.
    if moments.injected_at is not None and "fault" not in told:
        made.append(TimelineEvent(moments.injected_at - started, None, "check", "fault"))
    if moments.healed_at is not None and "heal" not in told:
        made.append(TimelineEvent(moments.healed_at - started, None, "check", "heal"))
    for event in events:
        connection = event.connection or None
        made.append(TimelineEvent(event.at - started, connection, _side(event), event.kind, event.detail))
    made.sort(key=lambda one: one.at)
    return tuple(_bounded(made))


def _side(event: Seen) -> str:
    if event.kind in _CHECK:
        return "check"
    if event.kind == "end":
        return closer_of(event)
    return "server" if event.kind in _SERVER else "client"


def _bounded(events: list[TimelineEvent]) -> list[TimelineEvent]:
    if len(events) <= MOST_EVENTS:
        return events
    half = MOST_EVENTS // 2
    left_out = len(events) - 2 * half
    middle = TimelineEvent(events[half].at, None, "check", "left-out", f"{left_out} events")
    return [*events[:half], middle, *events[-half:]]


def reached(events: Sequence[Seen], *, has_map: bool) -> Reached:
    """How far the client came."""
    if has_map:
        return Reached.MAP
    order = list(Reached)
    # A register request that was refused is no registration.
    places = [
        order.index(_MILESTONES[event.kind])
        for event, following in itertools.zip_longest(events, events[1:])
        if event.kind in _MILESTONES
        and not (
            event.kind == "register"
            and following is not None
            and following.kind == "refused"
            and following.connection == event.connection
        )
    ]
    return order[max(places, default=0)]


def last_refused(events: Sequence[Seen]) -> str:
    """What the server refused last, in its words; empty: nothing."""
    return next((event.detail for event in reversed(events) if event.kind == "refused"), "")


def last_seen(events: Sequence[Seen]) -> str:
    """What the server saw last and refused last, as the end of a sentence."""
    done = [event for event in events if _side(event) == "client"]
    if not done:
        return "the server saw nothing of it"
    last = done[-1]
    words = f"the server last saw {_WORDS.get(last.kind, last.kind)}"
    if last.kind == "end" and last.detail:
        words += f" ({last.detail})"
    refused = last_refused(events)
    return f"{words} and refused: {refused}" if refused else words


def whole_lines(text: str, *, lines: int, characters: int, begun: bool = True) -> list[str]:
    """The last lines of a log, whole, without escape sequences and blank ones. `begun`: its first line is whole.

    A line that alone has more characters than that loses its beginning.
    """
    clean = _ESCAPES.sub("", text).replace("\r\n", "\n")
    found = [line.rpartition("\r")[2].strip() for line in clean.split("\n")]
    if not begun and len(found) > 1:
        found = found[1:]
    kept: list[str] = []
    room = characters
    for line in reversed([line for line in found if line][-lines:]):
        if len(line) > room:
            if not kept:
                kept.append("…" + line[-room:])
            break
        kept.append(line)
        room -= len(line)
    return kept[::-1]
