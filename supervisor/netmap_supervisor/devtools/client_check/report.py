"""The report of a check: a table for people, JSON for programs."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from netmap_supervisor.devtools.client_check.outcome import CheckVerdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from netmap_supervisor.devtools.client_check.outcome import ScenarioOutcome

__all__ = ["report_json", "report_table", "summary"]

_VERSION = 1
_WIDTHS = (27, 25, 35)
_NARROW = 90
"""Cells: with fewer, what was expected is left to --json."""
_HEAD = ("scenario", "expected", "seen", "verdict")


def report_table(outcomes: Sequence[ScenarioOutcome], room: int | None = None) -> Iterator[str]:
    """Lines of at most 100 columns, or `room` where that is less; the verdict stands beside the name."""
    widths = _widths(room)
    yield _line(widths, *_HEAD)
    for outcome in outcomes:
        cells = [
            (textwrap.wrap(text, width, break_long_words=True) or [""]) if width else [""]
            for text, width in zip((outcome.name, outcome.expected, outcome.seen), widths, strict=True)
        ]
        for row in range(max(map(len, cells))):
            one, two, three = (cell[row] if row < len(cell) else "" for cell in cells)
            yield _line(widths, one, two, three, outcome.verdict.value if row == 0 else "")


def _widths(room: int | None) -> tuple[int, int, int]:
    """Of scenario, expected and seen."""
    name, expected, seen = _WIDTHS
    missing = 0 if room is None else max(0, 100 - room)
    if room is not None and room < _NARROW:
        return name, 0, seen + expected + 2 - missing
    return name, expected - missing // 2, seen - (missing - missing // 2)


def summary(outcomes: Sequence[ScenarioOutcome]) -> str:
    """How many of each verdict."""
    counts = [(sum(one.verdict is verdict for one in outcomes), verdict.value) for verdict in CheckVerdict]
    return ", ".join(f"{count} {word}" for count, word in counts if count) or "nothing was tried"


def report_json(
    outcomes: Sequence[ScenarioOutcome], *, command: Sequence[str], limit: float, started: str
) -> dict[str, object]:
    """The report as JSON. `command` as it was given, before keys were filled in; `started` in RFC 3339."""
    return {
        "version": _VERSION,
        "command": list(command),
        "limit_s": limit,
        "started": started,
        "scenarios": [
            {
                "name": one.name,
                "expected": one.expected,
                "seen": one.seen,
                "verdict": one.verdict.value,
                "facts": dict(one.attempts[-1].facts) if one.attempts else {},
                "took_s": round(one.took, 3),
                "log": (one.attempts[-1].log or None) if one.attempts else None,
            }
            for one in outcomes
        ],
    }


def _line(widths: tuple[int, int, int], *cells: str) -> str:
    shown = [f"{cell:{width}}" for cell, width in zip(cells, (*widths, 1), strict=True) if width]
    return "  ".join(shown).rstrip()
