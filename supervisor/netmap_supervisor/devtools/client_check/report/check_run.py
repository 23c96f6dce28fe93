"""What is true of a whole check, and what its outcomes add up to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from netmap_actors.shown_json import label
from netmap_supervisor.devtools.client_check.outcome import CheckVerdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netmap_supervisor.devtools.client_check.outcome import Attempt, ScenarioOutcome

__all__ = ["CheckRun", "by_group", "group_of", "summary", "telling_attempt", "verdict_counts", "visible"]

_NEVER_IN_XML = str.maketrans({"\ufffe": r"\ufffe", "\uffff": r"\uffff"})
_UNMET = (CheckVerdict.FAIL, CheckVerdict.WARN, CheckVerdict.FLAKY)


class CheckRun(msgspec.Struct, frozen=True):
    """One run of the command."""

    command: Sequence[str]
    """The client, as it was given: before keys were filled in."""
    limit: float
    """Its watchdog in seconds."""
    started: str
    """RFC 3339."""
    is_strict: bool = False
    """Whether a SHOULD counts as a MUST."""


def group_of(outcome: ScenarioOutcome) -> str:
    """`liveness` of `liveness/silence`."""
    return outcome.name.partition("/")[0]


def by_group(outcomes: Sequence[ScenarioOutcome]) -> dict[str, list[ScenarioOutcome]]:
    """The outcomes of each group, in the order in which the groups begin."""
    groups: dict[str, list[ScenarioOutcome]] = {}
    for outcome in outcomes:
        groups.setdefault(group_of(outcome), []).append(outcome)
    return groups


def telling_attempt(outcome: ScenarioOutcome) -> Attempt | None:
    """The last attempt that did not pass, or else the last one; None: there was none."""
    attempts = outcome.attempts
    return next((one for one in reversed(attempts) if one.verdict is not CheckVerdict.PASS), None) or (
        attempts[-1] if attempts else None
    )


def verdict_counts(outcomes: Sequence[ScenarioOutcome]) -> dict[str, int]:
    """How many there are of each verdict, 0 included."""
    return {verdict.value: sum(one.verdict is verdict for one in outcomes) for verdict in CheckVerdict}


def summary(outcomes: Sequence[ScenarioOutcome]) -> str:
    """How many of each verdict, and what came of those that are expected to fail."""
    counts = verdict_counts(outcomes).items()
    parts = [", ".join(f"{count} {word}" for word, count in counts if count) or "nothing was tried"]
    foreseen = [one for one in outcomes if one.expected_failure]
    if failed := sum(one.verdict in _UNMET for one in foreseen):
        parts.append(f"expected to fail: {failed}")
    if passed := [one.name for one in foreseen if one.verdict is CheckVerdict.PASS]:
        parts.append(f"passes although expected to fail: {', '.join(passed)}")
    return "; ".join(parts)


def visible(text: str) -> str:
    r"""Text of a client as one line, safe for terminals and valid in XML: what controls or hides becomes `\x1b`."""
    return label(text).translate(_NEVER_IN_XML)
