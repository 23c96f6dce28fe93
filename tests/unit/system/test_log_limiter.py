"""Every kind of line is bounded by a burst and a rate, and every line left out is reported."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netmap_supervisor.system.log_limiter import (
    LINE_BURST,
    LINE_RATE,
    MAX_KINDS,
    NEVER_LIMITED,
    REPORT_INTERVAL,
    LogLimiter,
    Suppressed,
)

STEPS = st.lists(
    st.tuples(st.floats(0, 30), st.sampled_from(["a", "b"]), st.sampled_from(["one", "two", "three"])),
    max_size=300,
)


@pytest.mark.parametrize(
    ("moments", "admitted"),
    [
        ([0.0] * 3, [True, True, False]),
        ([0.0, 0.0, 1.0], [True, True, False]),
        ([0.0, 0.0, 2.0, 2.0], [True, True, True, False]),
        ([0.0, 0.0, 100.0, 100.0, 100.0], [True, True, True, True, False]),
        ([5.0, 5.0, 4.0, 7.0], [True, True, False, True]),
    ],
    ids=["burst", "too soon", "rate", "no more than the burst", "a clock that goes back"],
)
def test_a_kind_has_a_burst_and_a_rate(moments, admitted) -> None:
    limiter = LogLimiter(burst=2, rate=0.5)
    assert [limiter.admits("a", "one", now) for now in moments] == admitted


@given(STEPS)
def test_a_kind_never_has_more_than_its_burst_and_rate(steps) -> None:
    limiter, now, admitted = LogLimiter(burst=3, rate=LINE_RATE), 0.0, {}
    for pause, actor, event in steps:
        now += pause
        if limiter.admits(actor, event, now):
            admitted[actor, event] = admitted.get((actor, event), 0) + 1
            assert admitted[actor, event] <= 3 + LINE_RATE * now + 1e-6


@given(STEPS, st.integers(0, 1000))
def test_every_line_is_admitted_or_told_once(steps, unread) -> None:
    limiter, now, admitted, told = LogLimiter(burst=2), 0.0, 0, []
    for pause, actor, event in steps:
        now += pause
        admitted += limiter.admits(actor, event, now)
        told += limiter.due(now)
    limiter.leave_out("a", "one", unread, now)
    told += limiter.due(now, all_of_them=True)
    assert sum(one.lines for one in told) == limiter.suppressed == len(steps) - admitted + unread
    assert limiter.due(now, all_of_them=True) == []


def test_it_is_told_again_only_after_a_while() -> None:
    limiter = LogLimiter(burst=1, rate=0.0)
    told = []
    for now in range(60):
        limiter.admits("a", "one", float(now))
        told += limiter.due(float(now))
    assert 2 <= len(told) <= 60 / REPORT_INTERVAL + 1
    assert set(told[1:]) == {Suppressed("a", "one", int(REPORT_INTERVAL))}


@pytest.mark.parametrize("event", sorted(NEVER_LIMITED))
def test_the_last_word_of_an_end_is_never_left_out(event) -> None:
    limiter = LogLimiter()
    assert all(limiter.admits("a", event, 0.0) for _ in range(10 * LINE_BURST))


def test_kinds_without_end_are_one_kind() -> None:
    limiter = LogLimiter()
    admitted = sum(limiter.admits(f"actor-{number}", "one", 0.0) for number in range(10 * MAX_KINDS))
    assert MAX_KINDS <= admitted <= MAX_KINDS + LINE_BURST
