"""The report for programs: JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netmap_supervisor.devtools.client_check.course import is_failure
from netmap_supervisor.devtools.client_check.report.check_run import group_of, verdict_counts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netmap_supervisor.devtools.client_check.outcome import Attempt, ScenarioOutcome
    from netmap_supervisor.devtools.client_check.report.check_run import CheckRun

__all__ = ["report_json"]

_VERSION = 2
_DIGITS = 3


def report_json(outcomes: Sequence[ScenarioOutcome], run: CheckRun) -> dict[str, object]:
    """All of it. Times in seconds: of a timeline since the client's start, of facts and bounds since the fault."""
    return {
        "version": _VERSION,
        "command": list(run.command),
        "limit_s": run.limit,
        "started": run.started,
        "strict": run.is_strict,
        "counts": verdict_counts(outcomes),
        "scenarios": [_scenario(one, run) for one in outcomes],
    }


def _scenario(one: ScenarioOutcome, run: CheckRun) -> dict[str, object]:
    return {
        "name": one.name,
        "group": group_of(one),
        "level": one.level.value,
        "does": one.does,
        "expected": one.expected,
        "why": one.why,
        "sources": list(one.sources),
        "bounds": {name: round(at, _DIGITS) for name, at in one.bounds.items()},
        "verdict": one.verdict.value,
        "is_failure": is_failure(one, strict=run.is_strict),
        "expected_failure": one.expected_failure or None,
        "seen": one.seen,
        "took_s": round(one.took, _DIGITS),
        "attempts": [_attempt(attempt) for attempt in one.attempts],
    }


def _attempt(attempt: Attempt) -> dict[str, object]:
    return {
        "verdict": attempt.verdict.value,
        "seen": attempt.seen,
        "took_s": round(attempt.took, _DIGITS),
        "reached": attempt.reached.value,
        "refused": attempt.refused or None,
        "facts": dict(attempt.facts),
        "log": attempt.log or None,
        "timeline": [
            {
                "at_s": round(event.at, _DIGITS),
                "connection": event.connection,
                "side": event.side,
                "kind": event.kind,
                "detail": event.detail,
            }
            for event in attempt.timeline
        ],
    }
