"""What may be said of a time: spans, cut to what was seen. Pure. All times are UNIX seconds.

A node is only seen while the netmap is fresh, and everything only while the history was written. The rest is a gap.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Interval", "Span", "cut", "gaps", "joined", "settled"]


class Interval(NamedTuple):
    """From one moment to another, which is later."""

    since: float
    until: float


class Span(NamedTuple):
    """A subject was in this state."""

    since: float
    until: float
    state: str
    detail: dict[str, Any] = {}  # noqa: RUF012  # never changed
    """Of a connection: pid, generation, local and remote address, and `ended`: what is known of that; of the netmap:
    reason."""


def joined(intervals: Iterable[Interval]) -> list[Interval]:
    """The same time in intervals that neither touch nor overlap, in order."""
    out: list[Interval] = []
    for interval in sorted(intervals):
        if interval.until <= interval.since:
            continue
        if out and interval.since <= out[-1].until:
            out[-1] = Interval(out[-1].since, max(out[-1].until, interval.until))
        else:
            out.append(interval)
    return out


def settled(spans: Iterable[Span]) -> list[Span]:
    """In order. `spans`: as they were written; where a clock that was set back makes them overlap, the later counts."""
    out: list[Span] = []
    reach = 0.0
    for span in spans:
        if span.since < reach:
            parts = [(one, one.since, min(one.until, span.since)) for one in out]
            parts += [(one, max(one.since, span.until), one.until) for one in out]
            out = [one._replace(since=since, until=until) for one, since, until in parts if since < until]
        out.append(span)
        reach = max(reach, span.until)
    return sorted(out, key=lambda one: one[:3])


def cut(spans: Iterable[Span], seen: Sequence[Interval]) -> list[Span]:
    """The parts of the spans that were seen. `seen`: of `joined`. Neighbours that say the same become one."""
    out: list[Span] = []
    for span in sorted(spans, key=lambda one: one[:3]):
        for interval in seen:
            if interval.since >= span.until:
                break
            since, until = max(span.since, interval.since), min(span.until, interval.until)
            if since >= until:
                continue
            if out and out[-1][2:] == span[2:] and out[-1].until == since:
                out[-1] = out[-1]._replace(until=until)
            else:
                out.append(span._replace(since=since, until=until))
    return out


def gaps(seen: Sequence[Interval], window: Interval) -> list[Interval]:
    """The times of the window of which nothing can be said. `seen`: as `joined` returns it."""
    out: list[Interval] = []
    at = window.since
    for interval in seen:
        if interval.until <= window.since:
            continue
        if interval.since >= window.until:
            break
        if interval.since > at:
            out.append(Interval(at, interval.since))
        at = max(at, interval.until)
    if at < window.until:
        out.append(Interval(at, window.until))
    return out
