from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netmap_actors.exit_reason import GIVE_UP, ExitReason
from netmap_supervisor.supervision.child_spec import ChildSpec, Restart, SupervisorFlags
from netmap_supervisor.supervision.restart_policy import (
    Escalate,
    History,
    Leave,
    RestartAfter,
    backoff,
    decide,
    prompt,
)

FLAGS = SupervisorFlags()
ABNORMAL = [reason for reason in ExitReason if reason not in GIVE_UP and reason is not ExitReason.NORMAL]
jitters = st.floats(0, 1, exclude_max=True)


def outcome(restart=Restart.PERMANENT, reason=ExitReason.CRASHED, history=None, **changes):
    fields = {"was_up": True, "up_for": 1.0, "now": 1000.0, "jitter": 0.5}
    return decide(
        ChildSpec(name="a", restart=restart), FLAGS, history or History(), reason, **(fields | changes)
    )


@pytest.mark.parametrize("reason", [ExitReason.NORMAL, *ABNORMAL])
def test_permanent_is_always_started_again(reason) -> None:
    assert isinstance(outcome(Restart.PERMANENT, reason)[0], RestartAfter)


def test_transient_normal_stays_down() -> None:
    assert outcome(Restart.TRANSIENT, ExitReason.NORMAL)[0] == Leave()


@pytest.mark.parametrize("reason", ABNORMAL)
def test_transient_abnormal_is_started_again(reason) -> None:
    assert isinstance(outcome(Restart.TRANSIENT, reason)[0], RestartAfter)


@pytest.mark.parametrize("reason", [ExitReason.NORMAL, *ABNORMAL])
def test_temporary_stays_down(reason) -> None:
    assert outcome(Restart.TEMPORARY, reason)[0] == Leave()


@pytest.mark.parametrize("reason", sorted(GIVE_UP, key=lambda reason: reason.value))
def test_what_only_a_person_can_mend_ends_the_run_when_it_never_worked(reason) -> None:
    assert outcome(reason=reason, was_up=False, up_for=None)[0] == Escalate(reason)


@pytest.mark.parametrize("reason", sorted(GIVE_UP, key=lambda reason: reason.value))
def test_what_only_a_person_can_mend_goes_to_the_slow_pace_when_it_worked_before(reason) -> None:
    assert outcome(reason=reason, up_for=None)[0] == RestartAfter(60.0, flapping=True)


@pytest.mark.parametrize(("jitter", "low", "high"), [(0.0, 0.0, 0.0), (0.999, 0.2, 0.25)])
def test_a_first_restart_without_a_healthy_stretch_comes_within_a_quarter_of_a_second(
    jitter, low, high
) -> None:
    decision, _ = outcome(jitter=jitter)
    assert isinstance(decision, RestartAfter)
    assert low <= decision.delay <= high


def test_delays_double_from_half_a_second_then_the_slow_pace_is_shown() -> None:
    history, now, delays = History(), 0.0, []
    for _ in range(8):
        decision, history = outcome(history=history, now=now)
        assert isinstance(decision, RestartAfter)
        delays.append((decision.delay, decision.flapping))
        now += decision.delay + 0.1
    assert delays == [
        (0.125, False),
        (0.5, False),
        (1.0, False),
        (2.0, False),
        (4.0, False),
        (8.0, False),
        (60.0, True),
        (60.0, True),
    ]


def test_a_healthy_stretch_forgets_earlier_failures_and_the_restart_has_no_delay() -> None:
    _, history = outcome(history=History(failures=6))
    decision, history = outcome(history=history, up_for=FLAGS.healthy, now=5000.0)
    assert history.failures == 1
    assert decision == RestartAfter(0.0)
    assert outcome(history=history)[0] == RestartAfter(0.5), "the second in a short time waits"


def test_more_restarts_than_the_intensity_within_the_period_mean_the_slow_pace() -> None:
    """Healthy stretches keep the count of failures low; the window alone has to catch it."""
    recent = tuple(1000.0 - 5.0 * n for n in range(FLAGS.intensity, 0, -1))
    decision, _ = outcome(history=History(recent), up_for=FLAGS.healthy)
    assert decision == RestartAfter(60.0, flapping=True)
    decision, _ = outcome(history=History(recent[1:]), up_for=FLAGS.healthy)
    assert decision == RestartAfter(0.0)


@given(step=st.integers(0, 10_000), jitter=jitters)
def test_backoff_stays_between_a_quarter_and_three_quarters_of_a_minute(step, jitter) -> None:
    assert 0.25 <= backoff(step, jitter) <= 45.0
    assert backoff(step, jitter) <= backoff(step + 1, jitter)


@given(jitter=jitters)
def test_a_prompt_start_is_spread_over_a_quarter_of_a_second(jitter) -> None:
    assert 0.0 <= prompt(jitter) <= 0.25


lives = st.tuples(
    st.sampled_from([ExitReason.CRASHED, ExitReason.NORMAL, ExitReason.ERROR]),
    st.one_of(st.none(), st.floats(0.0, 40.0)),
    jitters,
)


@given(st.lists(lives, min_size=20, max_size=60))
def test_never_more_than_ten_starts_in_a_minute_whatever_the_history(history_of_lives) -> None:
    history, now, starts = History(), 0.0, [0.0]
    for reason, up_for, jitter in history_of_lives:
        now += up_for or 0.0
        decision, history = outcome(reason=reason, history=history, up_for=up_for, now=now, jitter=jitter)
        assert isinstance(decision, RestartAfter), "permanent: there is always a next start"
        assert len(history.restarts) <= FLAGS.intensity + 1
        now += decision.delay
        starts.append(now)
    for at in starts:
        assert sum(at - 60.0 < other <= at for other in starts) <= 10
