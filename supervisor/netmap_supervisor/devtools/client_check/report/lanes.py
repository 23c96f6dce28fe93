"""Where the events of an attempt stand in its drawing: a lane for each connection, marks on a time axis. Pure data.

Places along the axis are percentages, so that a drawing fits any width while its marks and words keep their size.
Not here: how it is drawn (`drawing`).
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from typing import TYPE_CHECKING

import msgspec

from netmap_supervisor.devtools.client_check.report.timeline import counted, fault_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from netmap_supervisor.devtools.client_check.outcome import TimelineEvent

__all__ = ["Band", "Bar", "Cluster", "Lane", "Lanes", "Mark", "lanes_of"]

_LEFT, _RIGHT = 1.0, 99.0
_MOST_LANES = 12
_FIRST_LANES = 8
_NEAR = 3.0
"""Percent: events that are nearer to each other are put side by side."""
_MOST_EVENTS = 40
"""On a lane; of more there are bars."""
_BAR = 2.0
"""Percent of the axis that a bar counts."""
_LEAST_SPAN = 1.0
"""Seconds of a time axis."""
_MOST_TICKS = 6
_MOST_STEPS = 12


class Mark(msgspec.Struct, frozen=True):
    """Events of one kind that follow each other."""

    kind: str
    events: tuple[TimelineEvent, ...]


class Cluster(msgspec.Struct, frozen=True):
    """Marks that begin at one place and stand side by side."""

    at: float
    side: str
    marks: tuple[Mark, ...]


class Bar(msgspec.Struct, frozen=True):
    """How many events of one side fall into one part of the axis."""

    at: float
    side: str
    count: int
    share: float
    """Of the highest bar of the lane."""


class Lane(msgspec.Struct, frozen=True):
    """One connection, or all those in the middle of many."""

    title: str
    begin: float
    end: float
    clusters: tuple[Cluster, ...]
    bars: tuple[Bar, ...] = ()
    """Instead of clusters, where there are too many events."""


class Band(msgspec.Struct, frozen=True):
    """A span of time, or with begin = end a moment, that is marked through all lanes."""

    kind: str
    """`fault`; `step`: what the check did; `expected`: from the earliest to the latest time for the client to act."""
    begin: float
    end: float
    begin_text: str
    end_text: str


class Lanes(msgspec.Struct, frozen=True):
    """A whole drawing."""

    lanes: tuple[Lane, ...]
    bands: tuple[Band, ...]
    ticks: tuple[tuple[float, str], ...]
    """Place and seconds, after the fault where there was one."""
    zero: float
    """When those seconds begin, since the client's start."""


class _Axis:
    def __init__(self, first: float, last: float, zero: float) -> None:
        self.first = first
        self.span = max(_LEAST_SPAN, last - first)
        self.zero = zero

    def place(self, at: float) -> float:
        share = min(1.0, max(0.0, (at - self.first) / self.span))
        return round(_LEFT + (_RIGHT - _LEFT) * share, 2)

    def ticks(self) -> Iterator[tuple[float, str]]:
        rough = self.span / _MOST_TICKS
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
        number = math.ceil((self.first - self.zero) / step)
        while (after := number * step) <= self.first + self.span - self.zero + 1e-9:
            yield self.place(self.zero + after), f"{after:g} s"
            number += 1


def lanes_of(timeline: Sequence[TimelineEvent], bounds: Mapping[str, float], took: float) -> Lanes:
    """The drawing of an attempt that took so many seconds; `bounds` in seconds after its fault."""
    fault = fault_time(timeline)
    zero = fault or 0.0
    marked = {} if fault is None else {name: fault + after for name, after in bounds.items()}
    first = min([0.0, *(event.at for event in timeline)])
    last = max([first + took, *(event.at for event in timeline), *marked.values()])
    axis = _Axis(first, last, zero)
    return Lanes(
        lanes=tuple(_lanes(timeline, axis)),
        bands=tuple(_bands(timeline, marked, axis)),
        ticks=tuple(axis.ticks()),
        zero=zero,
    )


def _lanes(timeline: Sequence[TimelineEvent], axis: _Axis) -> Iterator[Lane]:
    by_connection: dict[int | None, list[TimelineEvent]] = {}
    for event in timeline:
        by_connection.setdefault(event.connection, []).append(event)
    if own := by_connection.pop(None, []):
        yield _lane("the check", own, axis, whole=True)
    numbers = [number for number in by_connection if number is not None]
    middle: list[int] = []
    if len(numbers) > _MOST_LANES:
        middle = numbers[_FIRST_LANES : _FIRST_LANES + len(numbers) - _MOST_LANES + 1]
    for number in numbers:
        if middle and number == middle[0]:
            events = [event for event in timeline if event.connection in set(middle)]
            yield _lane(f"{len(middle)} more connections", events, axis)
        elif number not in middle:
            yield _lane(f"connection {number}", by_connection[number], axis)


def _lane(title: str, events: Sequence[TimelineEvent], axis: _Axis, *, whole: bool = False) -> Lane:
    ended = events[-1].kind == "end" and not whole
    is_full = len(events) > _MOST_EVENTS
    return Lane(
        title=f"{title}: {counted(events)}" if is_full else title,
        begin=_LEFT if whole else axis.place(events[0].at),
        end=axis.place(events[-1].at) if ended else _RIGHT,
        clusters=() if is_full else tuple(_clusters(events, axis)),
        bars=tuple(_bars(events, axis)) if is_full else (),
    )


def _bars(events: Sequence[TimelineEvent], axis: _Axis) -> Iterator[Bar]:
    counts = Counter((int(axis.place(event.at) / _BAR), event.side) for event in events)
    highest = max(counts.values())
    for (part, side), count in sorted(counts.items()):
        yield Bar(part * _BAR, side, count, count / highest)


def _clusters(events: Sequence[TimelineEvent], axis: _Axis) -> Iterator[Cluster]:
    for side in sorted({event.side for event in events}):
        near: list[TimelineEvent] = []
        for event in events:
            if event.side != side:
                continue
            if near and axis.place(event.at) - axis.place(near[0].at) > _NEAR:
                yield _cluster(near, axis)
                near = []
            near.append(event)
        yield _cluster(near, axis)


def _cluster(events: Sequence[TimelineEvent], axis: _Axis) -> Cluster:
    runs = itertools.groupby(events, key=lambda event: event.kind)
    marks = tuple(Mark(kind, tuple(run)) for kind, run in runs)
    return Cluster(axis.place(events[0].at), events[0].side, marks)


def _bands(timeline: Sequence[TimelineEvent], marked: Mapping[str, float], axis: _Axis) -> Iterator[Band]:
    fault = next((event for event in timeline if event.kind == "fault"), None)
    if fault is not None:
        heal = next((event for event in timeline if event.kind == "heal" and event.at >= fault.at), None)
        end = _RIGHT if heal is None else axis.place(heal.at)
        yield Band(
            "fault", axis.place(fault.at), end, f"fault {fault.detail}".rstrip(), "heal" if heal else ""
        )
    for step in [event for event in timeline if event.kind == "step"][:_MOST_STEPS]:
        yield Band("step", axis.place(step.at), axis.place(step.at), step.detail, "")
    if "latest" in marked:
        latest = marked["latest"]
        earliest = marked.get("earliest", latest)
        yield Band(
            "expected",
            axis.place(earliest),
            axis.place(latest),
            f"earliest {earliest - axis.zero:.4g} s" if earliest != latest else "",
            f"latest {latest - axis.zero:.4g} s",
        )
