"""Spans of time drawn in one line of cells. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from netmap_actors.history.spans import Interval, Span

__all__ = ["ASCII", "BLOCKS", "Symbols", "draw", "totals"]


class Symbols(msgspec.Struct, frozen=True):
    """One character for each state, for what was not seen, and for a cell in which something changed."""

    states: Mapping[str, str]
    unseen: str
    changed: str


BLOCKS = Symbols(
    {
        "fresh": "█", "stale": "░", "none": "·", "session": "█", "attempt": "▒", "online": "█", "offline": "▁",
        "unknown": "·",
    },
    unseen=" ",
    changed="▓",
)  # fmt: skip
ASCII = Symbols(
    {
        "fresh": "#", "stale": "-", "none": ".", "session": "#", "attempt": "+", "online": "#", "offline": "_",
        "unknown": ".",
    },
    unseen=" ",
    changed="*",
)  # fmt: skip
"""For terminals that cannot show the others."""


def draw(spans: Sequence[Span], window: Interval, width: int, symbols: Symbols) -> str:
    """The window in `width` cells. A cell shows the state that held in it, or that there was more than one.

    What was not seen of a cell shows only where nothing was seen in it: a gap of seconds in a day has no cell.
    """
    step = (window.until - window.since) / width
    out: list[str] = []
    rest = list(spans)
    for number in range(width):
        begins, ends = window.since + number * step, window.since + (number + 1) * step
        while rest and rest[0].until <= begins:
            rest.pop(0)
        held = []
        for span in rest:
            if span.since >= ends:
                break
            held.append(span.state)
        states = dict.fromkeys(held)
        if not states:
            out.append(symbols.unseen)
        elif len(states) > 1:
            out.append(symbols.changed)
        else:
            out.append(symbols.states.get(held[0], symbols.changed))
    return "".join(out)


def totals(spans: Sequence[Span]) -> dict[str, float]:
    """Seconds of each state, in the order in which they came first."""
    found: dict[str, float] = {}
    for span in spans:
        found[span.state] = found.get(span.state, 0.0) + span.until - span.since
    return found
