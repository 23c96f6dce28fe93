from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netmap_supervisor.connection.probe_schedule import ProbeSchedule, Question


def test_an_interval_of_zero_is_off() -> None:
    schedule = ProbeSchedule(truth_interval=0.0, probe_interval=0.0, jitter=lambda: 0.5)
    schedule.session_began(100.0)
    assert schedule.deadline() is None
    assert schedule.due(1e9) == []


@given(st.floats(0.0, 0.999))
def test_a_question_is_due_within_a_tenth_of_its_interval(jitter: float) -> None:
    schedule = ProbeSchedule(truth_interval=600.0, probe_interval=0.0, jitter=lambda: jitter)
    schedule.session_began(100.0)
    deadline = schedule.deadline()
    assert deadline is not None
    assert 640.0 - 1e-6 <= deadline <= 760.0 + 1e-6
    assert schedule.due(deadline - 0.001) == []
    assert schedule.due(deadline) == [Question.TRUTH]
    assert schedule.due(deadline) == []


def test_each_question_has_its_own_period_and_the_end_of_the_session_ends_both() -> None:
    schedule = ProbeSchedule(truth_interval=60.0, probe_interval=20.0, jitter=lambda: 0.5)
    schedule.session_began(0.0)
    asked = [question for now in range(121) for question in schedule.due(float(now))]
    assert asked.count(Question.LIVENESS) == 6
    assert asked.count(Question.TRUTH) == 2
    schedule.session_ended()
    assert schedule.deadline() is None
    assert schedule.due(1e9) == []


def test_a_suspend_is_answered_with_one_question_not_with_all_that_were_missed() -> None:
    schedule = ProbeSchedule(truth_interval=60.0, probe_interval=0.0, jitter=lambda: 0.5)
    schedule.session_began(0.0)
    assert schedule.due(36_000.0) == [Question.TRUTH]
    assert schedule.deadline() == pytest.approx(36_060.0)
