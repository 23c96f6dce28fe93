"""The course of a check: which scenario is run next, which is run again alone, and what counts in the end. Pure.

Not here: running one (`attempt`), threads and clocks (`runner`).
"""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING

import msgspec

from netmap_supervisor.devtools.client_check.outcome import Attempt, CheckVerdict, ScenarioOutcome

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from netmap_supervisor.devtools.client_check.scenarios.scenario import CheckScenario, Limits

__all__ = ["FIRST", "Course", "Rules", "is_failure", "skip_reason"]

FIRST = "join/first-map"
"""Run before all others; when it fails nothing else can be seen of the client."""
_FAILED = (CheckVerdict.FAIL, CheckVerdict.ERROR)


class Rules(msgspec.Struct, frozen=True):
    """How a course is held."""

    jobs: int = 1
    """Scenarios side by side."""
    strict: bool = False
    """Everything but a pass and a skip is a failure."""
    again: bool = True
    """What failed is run again, alone, after the others."""
    expected_failures: Mapping[str, str] = {}
    """Reasons by the names of scenarios that are expected to fail."""


class Course:
    """The scenarios of one check, from the first to the last attempt."""

    def __init__(
        self,
        scenarios: Sequence[CheckScenario],
        limits: Limits,
        rules: Rules,
        skipped: Mapping[str, str] | None = None,
    ) -> None:
        """`skipped`: reasons by the names of scenarios that cannot be run."""
        self._scenarios = {scenario.name: scenario for scenario in scenarios}
        self._limits = limits
        self._rules = rules
        self._skipped = {name: why for name, why in (skipped or {}).items() if name in self._scenarios}
        names = [name for name in self._scenarios if name not in self._skipped]
        if rules.jobs > 1:
            # The longest first, where that saves time; otherwise as they are listed.
            names.sort(key=lambda name: -self._scenarios[name].longest(limits))
        self._waiting = collections.deque(names)
        if FIRST in names:
            self._waiting.remove(FIRST)
            self._waiting.appendleft(FIRST)
        self._gate = FIRST if FIRST in names else ""
        """This one runs alone, and the rest waits for it: whether the client joins at all."""
        self._joined = False
        self._again: collections.deque[str] = collections.deque()
        self._running: set[str] = set()
        self._attempts: dict[str, list[Attempt]] = {}
        self._stopped = False

    @property
    def over(self) -> bool:
        """Nothing runs and nothing is to be run."""
        return not self._running and (self._stopped or not (self._waiting or self._again))

    def start(self) -> list[CheckScenario]:
        """What is to be run now; it counts as running until `ended`."""
        if self._stopped:
            return []
        names: list[str] = []
        if self._gate or not self._waiting:
            # Alone: the first one, and what is run again.
            if not self._running and (self._again or self._waiting):
                names = [(self._again or self._waiting).popleft()]
        else:
            while self._waiting and len(self._running) + len(names) < self._rules.jobs:
                names.append(self._waiting.popleft())
        self._running.update(names)
        return [self._scenarios[name] for name in names]

    def ended(self, name: str, attempt: Attempt | None) -> list[ScenarioOutcome]:
        """An attempt has ended; None: it was interrupted. The outcomes that are settled by it."""
        self._running.discard(name)
        if attempt is None:
            return []
        tries = self._attempts.setdefault(name, [])
        tries.append(attempt)
        self._joined = self._joined or not (
            attempt.verdict is CheckVerdict.ERROR or (name == FIRST and attempt.verdict is CheckVerdict.FAIL)
        )
        if not self._joined and not self._gate:
            self._gate = name
        if self._is_to_be_run_again(name):
            self._again.append(name)
            return []
        settled = [self._outcome(name)]
        if attempt.never_started:
            settled += self._skip_the_rest("the client is not there")
        elif name == self._gate:
            self._gate = ""
            if not self._joined:
                settled += self._skip_the_rest(
                    f"{FIRST} failed" if name == FIRST else "the client did not join"
                )
        return settled

    def stop(self) -> None:
        """Start nothing more."""
        self._stopped = True

    def outcomes(self) -> list[ScenarioOutcome]:
        """What is known by now, in the order of the table."""
        return [
            self._outcome(name) for name in self._scenarios if name in self._attempts or name in self._skipped
        ]

    def skipped(self) -> list[ScenarioOutcome]:
        """Those that were never to be run."""
        return [self._outcome(name) for name in self._skipped]

    def _is_to_be_run_again(self, name: str) -> bool:
        tries = self._attempts[name]
        if not self._rules.again or len(tries) > 1 or tries[0].never_started:
            return False
        match tries[0].verdict:
            case CheckVerdict.ERROR:
                return True
            case CheckVerdict.FAIL:
                return name not in self._rules.expected_failures
            case CheckVerdict.WARN:
                return self._rules.strict and name not in self._rules.expected_failures
            case _:
                return False

    def _skip_the_rest(self, why: str) -> list[ScenarioOutcome]:
        names = [*self._again, *self._waiting]
        self._skipped.update(dict.fromkeys(self._waiting, why))
        self._again.clear()
        self._waiting.clear()
        return [self._outcome(name) for name in names]

    def _outcome(self, name: str) -> ScenarioOutcome:
        scenario = self._scenarios[name]
        tries = tuple(self._attempts.get(name, ()))
        verdict, seen = _settled(tries) if tries else (CheckVerdict.SKIP, self._skipped[name])
        return ScenarioOutcome(
            name=name,
            level=scenario.level,
            does=scenario.does,
            expected=scenario.expected(self._limits),
            why=scenario.why,
            sources=scenario.sources,
            verdict=verdict,
            seen=seen,
            attempts=tries,
            expected_failure=self._rules.expected_failures.get(name, ""),
            bounds=scenario.bounds(self._limits),
        )


def skip_reason(scenario: CheckScenario, *, has_peers_command: bool) -> str:
    """Why a scenario cannot be run at all; empty: it can."""
    if scenario.needs_peers and not has_peers_command:
        return "needs --peers-command: what the client believes cannot be seen otherwise"
    return ""


def is_failure(outcome: ScenarioOutcome, *, strict: bool) -> bool:
    """Whether it makes the check fail."""
    match outcome.verdict:
        case CheckVerdict.PASS:
            return strict and bool(outcome.expected_failure)
        case CheckVerdict.SKIP:
            return False
        case CheckVerdict.ERROR:
            return True
        case CheckVerdict.FAIL:
            return not outcome.expected_failure
        case CheckVerdict.WARN | CheckVerdict.FLAKY:
            return strict and not outcome.expected_failure


def _settled(tries: Sequence[Attempt]) -> tuple[CheckVerdict, str]:
    """The verdict of all attempts, and what was seen."""
    first, last = tries[0], tries[-1]
    if len(tries) == 1 or last.verdict in (CheckVerdict.ERROR, CheckVerdict.SKIP):
        return first.verdict, first.seen
    if first.verdict is CheckVerdict.ERROR:
        return last.verdict, last.seen  # an error says nothing about the client
    if last.verdict is CheckVerdict.PASS:
        return CheckVerdict.FLAKY, f"{first.seen}; passed when it was run again alone"
    if first.verdict is CheckVerdict.FAIL and last.verdict is CheckVerdict.WARN:
        return CheckVerdict.FLAKY, f"{first.seen}; run again alone: {last.seen}"
    return last.verdict, last.seen
