"""The timeline of an attempt as text, bounded: the middle of a long one is told by counts."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import TYPE_CHECKING

from netmap_supervisor.devtools.client_check.report.check_run import visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from netmap_supervisor.devtools.client_check.outcome import TimelineEvent

__all__ = ["counted", "excerpt", "fault_time", "timeline_lines", "who", "zero_of"]

_TURNS = ("fault", "heal", "step", "left-out")
"""Kinds that are shown wherever they stand."""
_TURNS_SHOWN = 4
_LEAST_LEFT_OUT = 3
_KINDS_COUNTED = 6


def fault_time(timeline: Sequence[TimelineEvent]) -> float | None:
    """Seconds since the client's start, at which the first fault began."""
    return next((event.at for event in timeline if event.kind == "fault"), None)


def zero_of(timeline: Sequence[TimelineEvent]) -> str:
    """What the seconds of a timeline are counted from, in words."""
    return "the client's start" if fault_time(timeline) is None else "the fault"


def excerpt(
    timeline: Sequence[TimelineEvent], most: int
) -> Iterator[TimelineEvent | tuple[TimelineEvent, ...]]:
    """About `most` events: the first, the last, turns and what followed each; those left out between as one item."""
    count = len(timeline)
    half = most // 2
    if count <= most:
        yield from timeline
        return
    turns = [at for at in range(half, count - half) if timeline[at].kind in _TURNS][:_TURNS_SHOWN]
    kept = {*range(half), *turns, *(at + 1 for at in turns), *range(count - half, count)}
    after = 0
    for at in sorted(kept):
        if at - after >= _LEAST_LEFT_OUT:
            yield tuple(timeline[after:at])
        else:
            yield from timeline[after:at]
        yield timeline[at]
        after = at + 1


def counted(events: Sequence[TimelineEvent]) -> str:
    """`6 accept, 6 map`."""
    kinds = Counter(event.kind for event in events)
    return visible(", ".join(f"{times} {kind}" for kind, times in kinds.most_common(_KINDS_COUNTED)))


def who(event: TimelineEvent) -> str:
    """`client 3`, `server 3`, `check`: with the number of the connection."""
    return visible(event.side if event.connection is None else f"{event.side} {event.connection}")


def timeline_lines(timeline: Sequence[TimelineEvent], most: int = 20) -> Iterator[str]:
    """A line an event: seconds after the fault, or after the client's start where there was none; who; what.

    Of what repeats itself, such as keep-alives, the first has a line, with how often and until when.
    """
    zero = fault_time(timeline) or 0.0
    places = max((len(who(event)) for event in timeline), default=0)
    same = itertools.groupby(timeline, lambda one: (one.connection, one.side, one.kind, one.detail))
    # By identity: the same may happen again at the same time.
    runs = {id(run[0]): run for run in (tuple(group) for _, group in same)}
    for item in excerpt([run[0] for run in runs.values()], most):
        if isinstance(item, tuple):
            left_out = [event for first in item for event in runs[id(first)]]
            yield f"{'…':>9}  {len(left_out)} more: {counted(left_out)}"
            continue
        what, run = f"{item.kind} {item.detail}".rstrip(), runs[id(item)]
        if len(run) > 1:
            what += f" ({len(run)} times, until {run[-1].at - zero:.2f})"
        # Not -0.00, a moment before.
        yield f"{round(item.at - zero, 2) + 0.0:>9.2f}  {who(item):<{places}}  {visible(what)}"
