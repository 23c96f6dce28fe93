"""The report for people at a terminal: a table, and below it what there is to know of each failure."""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING

from netmap_supervisor.devtools.client_check.outcome import CheckVerdict
from netmap_supervisor.devtools.client_check.report.check_run import by_group, telling_attempt, visible
from netmap_supervisor.devtools.client_check.report.timeline import timeline_lines, zero_of
from netmap_supervisor.view.text_layout import GAP, cell_width, shortened, wrapped

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from netmap_supervisor.devtools.client_check.outcome import Attempt, ScenarioOutcome

__all__ = ["report_details", "report_table"]

_PIPE = 100
"""Cells of a line where there is no terminal."""
_WIDEST = 160
_NARROW = 70
"""Cells: with fewer, what was expected is left to the details."""
_LEAST_SEEN = 16
"""Cells: what would be narrower goes below its name."""
_EXPECTED_LINES = 2
"""In the table, if what was seen has no more; the details and the other reports have all of it."""
_INDENT = 4
_LEAD = 12
_HEAD = ("scenario", "verdict", "expected", "seen")


def report_table(outcomes: Sequence[ScenarioOutcome], room: int | None = None) -> Iterator[str]:
    """Lines of at most `room` cells, by group, with an empty line between two; the verdict is beside the name.

    Scenarios that were not run, several for the same reason, stand below the table with that reason.
    """
    room = min(room or _PIPE, _WIDEST)
    reasons = collections.Counter(one.seen for one in outcomes if not one.attempts)
    left_out = [one for one in outcomes if not one.attempts and reasons[one.seen] > 1]
    rows = [one for one in outcomes if one.attempts or reasons[one.seen] == 1]
    if rows:
        widths = _widths(rows, room)
        yield from _row(widths, room, *_HEAD)
    for number, group in enumerate(by_group(rows).values()):
        if number:
            yield ""
        for one in group:
            yield from _row(
                widths, room, one.name, one.verdict.value, visible(one.expected), visible(_seen(one))
            )
    for why in dict.fromkeys(one.seen for one in left_out):
        names = [one.name for one in left_out if one.seen == why]
        if rows or why != left_out[0].seen:
            yield ""
        yield from wrapped(visible(f"skip, {len(names)} scenarios: {why}"), room)
        for line in wrapped(", ".join(names), room - _INDENT):
            yield " " * _INDENT + line


def _seen(one: ScenarioOutcome) -> str:
    return f"{one.seen} (expected to fail: {one.expected_failure})" if one.expected_failure else one.seen


def _widths(outcomes: Sequence[ScenarioOutcome], room: int) -> tuple[int, int, int, int]:
    """Of name, verdict, expected and seen; 0: it has no column."""
    name = max(len(text) for text in (_HEAD[0], *(one.name for one in outcomes)))
    verdict = max(len(text) for text in (_HEAD[1], *(verdict.value for verdict in CheckVerdict)))
    rest = room - name - verdict - 2 * GAP
    if rest < _LEAST_SEEN:
        return name, verdict, 0, 0
    expected = (rest - GAP) * 9 // 20
    if room < _NARROW or expected < _LEAST_SEEN:
        return name, verdict, 0, rest
    return name, verdict, expected, rest - GAP - expected


def _row(
    widths: tuple[int, int, int, int], room: int, name: str, verdict: str, expected: str, seen: str
) -> Iterator[str]:
    wide_name, wide_verdict, wide_expected, wide_seen = widths
    gap = " " * GAP
    if not wide_seen:
        beside = room - GAP - len(verdict)
        yield f"{shortened(name, beside, both_ends=True)}{gap}{verdict}"
        for line in wrapped(seen, room - _INDENT):
            yield " " * _INDENT + line
        return
    first = f"{name:{wide_name}}{gap}{verdict:{wide_verdict}}"
    left = wrapped(expected, wide_expected) if wide_expected else []
    right = wrapped(seen, wide_seen)
    shown = max(_EXPECTED_LINES, len(right))
    if len(left) > shown:
        left[shown - 1 :] = [shortened(" ".join(left[shown - 1 :]), wide_expected)]
    for row in range(max(len(left), len(right))):
        line = first if row == 0 else " " * len(first)
        if wide_expected:
            cell = left[row] if row < len(left) else ""
            # Padded by cells, as other scripts have wide characters.
            line += gap + cell + " " * (wide_expected - cell_width(cell))
        yield (line + gap + (right[row] if row < len(right) else "")).rstrip()


def report_details(outcomes: Sequence[ScenarioOutcome], room: int | None = None) -> Iterator[str]:
    """For each outcome that is neither pass nor skip: what was asked of the client, and what it did when."""
    for group in by_group(outcomes).values():
        for one in group:
            if one.verdict.is_told:
                yield ""
                yield from _details(one, room)


def _details(one: ScenarioOutcome, room: int | None) -> Iterator[str]:
    attempt = telling_attempt(one)
    yield f"{one.name}: {one.verdict.value}"
    told = [
        ("server", one.does),
        ("client", one.expected),
        ("seen", one.seen),
        *_attempts(one),
        ("why", one.why),
        ("source", "; ".join(one.sources)),
    ]
    if one.expected_failure:
        told.append(("foreseen", f"expected to fail: {one.expected_failure}"))
    if attempt is not None:
        told += [("reached", attempt.reached.value), ("refused", attempt.refused)]
    for lead, text in told:
        if text:
            lines = [visible(text)] if room is None else wrapped(visible(text), room - _LEAD)
            for row, line in enumerate(lines):
                yield f"{'' if row else f'  {lead}':{_LEAD}}{line}"
    if attempt is not None:
        yield from _events(attempt, room)
        if attempt.log:
            yield f"  {'log':{_LEAD - 2}}{visible(attempt.log)}"


def _attempts(one: ScenarioOutcome) -> list[tuple[str, str]]:
    """What was seen in each, where it differs."""
    if len({tried.seen for tried in one.attempts}) < 2:
        return []
    return [
        (f"attempt {number}", f"{tried.verdict.value}: {tried.seen}")
        for number, tried in enumerate(one.attempts, 1)
    ]


def _events(attempt: Attempt, room: int | None) -> Iterator[str]:
    if attempt.timeline:
        yield f"  timeline, seconds after {zero_of(attempt.timeline)}"
    for line in timeline_lines(attempt.timeline):
        yield shortened(line, room) if room is not None else line
