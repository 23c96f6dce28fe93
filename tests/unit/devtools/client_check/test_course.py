"""The course of a check: what is run when, what is run again, what is skipped, and what counts in the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netmap_supervisor.devtools.client_check.course import FIRST, Course, Rules, is_failure, skip_reason
from netmap_supervisor.devtools.client_check.outcome import Attempt, CheckVerdict
from netmap_supervisor.devtools.client_check.scenarios import SCENARIOS, Limits, chosen_scenarios

if TYPE_CHECKING:
    from collections.abc import Mapping

PASS, FAIL, WARN, FLAKY, SKIP, ERROR = (
    CheckVerdict(word) for word in "pass fail warn flaky skip error".split()
)
LIMITS = Limits()
CUT, SILENCE, STATUS = "session/cut", "liveness/silence", "refusal/status-401"


def course(*names: str, skipped: Mapping[str, str] | None = None, **rules: object) -> Course:
    return Course(chosen_scenarios(names), LIMITS, Rules(**rules), skipped)  # type: ignore[arg-type]


def attempt(verdict: CheckVerdict, seen: str = "") -> Attempt:
    return Attempt(verdict, seen or f"it did {verdict.value}", 1.0)


def play(held: Course, verdicts: Mapping[str, list[CheckVerdict]]) -> list[list[str]]:
    """Run it; what ran side by side. `verdicts`: of each attempt in turn; those that are not there pass."""
    left = {name: list(given) for name, given in verdicts.items()}
    rounds = []
    while not held.over:
        names = [scenario.name for scenario in held.start()]
        assert names, "a course that is not over and runs nothing never ends"
        rounds.append(names)
        for name in names:
            given = left.get(name) or [PASS]
            held.ended(name, attempt(given.pop(0)))
    return rounds


def test_the_first_map_comes_first_and_alone_then_so_many_at_a_time_the_longest_first() -> None:
    held = course(CUT, SILENCE, "join", STATUS, jobs=2)
    assert play(held, {}) == [[FIRST], [STATUS, SILENCE], [CUT]]
    assert [one.name for one in held.outcomes()] == [FIRST, SILENCE, CUT, STATUS]


def test_what_failed_is_run_again_alone_after_the_others() -> None:
    held = course("join", CUT, SILENCE, STATUS, jobs=3)
    rounds = play(held, {CUT: [FAIL, PASS], SILENCE: [FAIL, FAIL], STATUS: [WARN]})
    assert rounds == [[FIRST], [STATUS, SILENCE, CUT], [SILENCE], [CUT]]
    outcomes = {one.name: one for one in held.outcomes()}
    assert {name: one.verdict for name, one in outcomes.items()} == {
        FIRST: PASS,
        SILENCE: FAIL,
        CUT: FLAKY,
        STATUS: WARN,
    }
    assert outcomes[CUT].seen == "it did fail; passed when it was run again alone"
    assert [one.verdict for one in outcomes[CUT].attempts] == [FAIL, PASS]
    assert outcomes[SILENCE].took == 2.0


@pytest.mark.parametrize(
    ("first", "second", "verdict", "said"),
    [
        (ERROR, PASS, PASS, "it did pass"),
        (FAIL, WARN, FLAKY, "it did fail; run again alone: it did warn"),
        (FAIL, ERROR, FAIL, "it did fail"),
        (FAIL, SKIP, FAIL, "it did fail"),
        (ERROR, FAIL, FAIL, "it did fail"),
        (ERROR, ERROR, ERROR, "it did error"),
    ],
)
def test_two_attempts_have_one_verdict(
    first: CheckVerdict, second: CheckVerdict, verdict: CheckVerdict, said: str
) -> None:
    held = course(CUT)
    play(held, {CUT: [first, second]})
    assert held.outcomes()[0].verdict is verdict
    assert held.outcomes()[0].seen.startswith(said)


def test_a_warning_is_run_again_only_where_it_counts() -> None:
    assert play(course(CUT), {CUT: [WARN]}) == [[CUT]]
    assert play(course(CUT, strict=True), {CUT: [WARN, PASS]}) == [[CUT], [CUT]]
    assert play(course(CUT, again=False), {CUT: [FAIL]}) == [[CUT]]


def test_nothing_is_tried_on_a_client_that_does_not_join() -> None:
    held = course("join", CUT, SILENCE)
    assert play(held, {FIRST: [FAIL, FAIL]}) == [[FIRST], [FIRST]]
    assert [(one.verdict, one.seen) for one in held.outcomes()[1:]] == [(SKIP, f"{FIRST} failed")] * 2
    assert play(course("join", CUT), {FIRST: [FAIL, PASS]}) == [[FIRST], [FIRST], [CUT]]


def test_a_client_that_cannot_be_started_is_told_once() -> None:
    held = course(CUT, SILENCE, STATUS)
    [first] = held.start()
    gone = msgspec.structs.replace(attempt(ERROR, "cannot start nosuchprog"), never_started=True)
    settled = held.ended(first.name, gone)
    assert held.over
    assert [(one.verdict, one.seen) for one in settled] == [
        (ERROR, "cannot start nosuchprog"),
        (SKIP, "the client is not there"),
        (SKIP, "the client is not there"),
    ]


def test_one_that_is_expected_to_fail_is_not_run_again() -> None:
    held = course(CUT, SILENCE, expected_failures={CUT: "issue 7"})
    assert play(held, {CUT: [FAIL]}) == [[SILENCE], [CUT]]
    assert [one.expected_failure for one in held.outcomes()] == ["", "issue 7"]
    assert play(course(CUT, strict=True, expected_failures={CUT: "issue 7"}), {CUT: [WARN]}) == [[CUT]]
    assert play(course(CUT, expected_failures={CUT: "issue 7"}), {CUT: [ERROR]}) == [[CUT], [CUT]]


def test_what_cannot_be_run_is_skipped_with_its_reason() -> None:
    held = course(CUT, "map/peers-removed", skipped={"map/peers-removed": "no peers command", "x/y": ""})
    assert [(one.name, one.verdict, one.seen, one.attempts) for one in held.skipped()] == [
        ("map/peers-removed", SKIP, "no peers command", ())
    ]
    assert play(held, {}) == [[CUT]]
    assert [one.name for one in held.outcomes()] == [CUT, "map/peers-removed"]
    row = SCENARIOS["map/peers-removed"]
    assert "needs --peers-command" in skip_reason(row, has_peers_command=False)
    assert skip_reason(row, has_peers_command=True) == ""
    assert skip_reason(SCENARIOS[CUT], has_peers_command=False) == ""


def test_an_interrupt_keeps_what_is_known() -> None:
    held = course(CUT, SILENCE, STATUS)
    [first] = held.start()
    held.ended(first.name, attempt(FAIL))
    [second] = held.start()
    held.stop()
    assert not held.over
    assert held.ended(second.name, None) == []
    assert (held.over, held.start()) == (True, [])
    assert [(one.name, one.verdict) for one in held.outcomes()] == [(first.name, FAIL)]


@pytest.mark.parametrize(
    ("verdict", "expected", "lenient", "strict"),
    [
        (PASS, "", False, False),
        (PASS, "issue 7", False, True),
        (FAIL, "", True, True),
        (FAIL, "issue 7", False, False),
        (WARN, "", False, True),
        (WARN, "issue 7", False, False),
        (FLAKY, "", False, True),
        (FLAKY, "issue 7", False, False),
        (SKIP, "", False, False),
        (SKIP, "issue 7", False, False),
        (ERROR, "", True, True),
        (ERROR, "issue 7", True, True),
    ],
)
def test_what_counts_as_failure(verdict: CheckVerdict, expected: str, lenient: bool, strict: bool) -> None:
    held = course(CUT)
    play(held, {})
    outcome = msgspec.structs.replace(held.outcomes()[0], verdict=verdict, expected_failure=expected)
    assert (is_failure(outcome, strict=False), is_failure(outcome, strict=True)) == (lenient, strict)


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(list(SCENARIOS)), st.lists(st.sampled_from([PASS, FAIL, WARN, ERROR]), max_size=2)
    ),
    st.integers(1, 5),
    st.booleans(),
)
def test_every_course_ends_with_an_outcome_for_each(
    verdicts: dict[str, list[CheckVerdict]], jobs: int, strict: bool
) -> None:
    held = course(jobs=jobs, strict=strict)
    rounds = play(held, verdicts)
    assert [one.name for one in held.outcomes()] == list(SCENARIOS)
    assert all(len(names) <= jobs for names in rounds)
    ran = [name for names in rounds for name in names]
    assert all(ran.count(name) <= 2 for name in ran)


def test_a_client_that_joins_in_no_scenario_is_not_tried_in_all_of_them() -> None:
    held = course(CUT, SILENCE, STATUS)
    first, *rest = [
        scenario for (scenario,) in play(held, {CUT: [ERROR] * 2, SILENCE: [ERROR] * 2, STATUS: [ERROR] * 2})
    ]
    assert rest == [first], "again, alone, and nothing else"
    assert {one.verdict for one in held.outcomes() if one.name != first} == {SKIP}
    assert {one.seen for one in held.outcomes() if one.name != first} == {"the client did not join"}


def test_what_ran_beside_one_that_did_not_join_lets_the_rest_go_on() -> None:
    held = course(CUT, SILENCE, STATUS, jobs=2)
    rounds = play(held, {STATUS: [ERROR, ERROR]})
    assert sorted(name for names in rounds for name in names) == sorted([CUT, SILENCE, STATUS, STATUS])
    assert {one.name: one.verdict for one in held.outcomes()} == {CUT: PASS, SILENCE: PASS, STATUS: ERROR}


@pytest.mark.parametrize("verdict", [PASS, FAIL, WARN])
def test_an_error_that_is_none_when_run_again_says_nothing_of_the_client(verdict: CheckVerdict) -> None:
    held = course("join", CUT)
    play(held, {CUT: [ERROR, verdict]})
    assert [one.verdict for one in held.outcomes()] == [PASS, verdict]
