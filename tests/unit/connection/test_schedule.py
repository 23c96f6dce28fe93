from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netmap_actors.wire.vocabulary import EndReason
from netmap_supervisor.connection.schedule import ConnectionSchedule

OURS = [
    EndReason.SILENCE,
    EndReason.WAKE,
    EndReason.LINK,
    EndReason.HUNG,
    EndReason.OPERATOR,
    EndReason.CRASHED,
]


def schedule(jitter: float = 0.5) -> ConnectionSchedule:
    return ConnectionSchedule(lambda: jitter)


@pytest.mark.parametrize("suspected", [False, True])
@pytest.mark.parametrize("reason", OURS)
def test_after_a_good_session_that_we_killed_or_that_crashed_the_next_starts_without_delay(
    reason, suspected
) -> None:
    assert schedule(0.999).ended(reason, 100.0, good=True, suspected=suspected) == 0.0


@pytest.mark.parametrize("reason", OURS)
@pytest.mark.parametrize(("jitter", "delay"), [(0.0, 0.0), (0.5, 0.125)])
def test_without_a_good_session_before_it_the_first_restart_is_spread_over_a_quarter_second(
    reason, jitter, delay
) -> None:
    assert schedule(jitter).ended(reason, 100.0, good=False) == delay


@pytest.mark.parametrize("reason", [reason for reason in EndReason if reason not in OURS])
def test_what_the_server_can_feel_is_spread_also_after_a_good_session_and_while_suspected(reason) -> None:
    assert schedule().ended(reason, 100.0, good=True) > 0.125
    assert schedule().ended(reason, 100.0, good=True, suspected=True) == 0.125


@pytest.mark.parametrize("reason", [EndReason.CRASHED, EndReason.SILENCE, EndReason.HUNG])
def test_what_keeps_ending_gets_one_start_without_delay_and_then_waits_longer_each_time(reason) -> None:
    made = schedule()
    delays = [made.ended(reason, 100.0, good=good) for good in (True, False, False, False, True, False)]
    assert delays == [0.0, 0.5, 1.0, 2.0, 0.0, 0.5]


def test_a_wait_that_the_server_asked_for_holds_after_a_good_session_too() -> None:
    assert schedule().ended(EndReason.CRASHED, 0.0, good=True, retry_after=7.0) >= 7.0


@pytest.mark.parametrize(("jitter", "delay"), [(0.0, 0.0), (0.5, 2.0), (0.999, pytest.approx(4.0, abs=0.01))])
def test_after_the_servers_end_the_next_starts_within_four_seconds(jitter, delay) -> None:
    assert schedule(jitter).ended(EndReason.CLOSED, 100.0, good=True) == delay


def test_failures_double_the_delay_up_to_half_a_minute() -> None:
    made = schedule()
    delays = [made.ended(EndReason.ERROR, 100.0, good=False) for _ in range(9)]
    assert delays == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]


def test_only_the_first_end_after_a_good_session_is_prompt() -> None:
    made = schedule()
    ends = [made.ended(EndReason.CLOSED, 100.0, good=good) for good in (True, False, False, True, False)]
    assert ends == [2.0, 0.5, 1.0, 2.0, 0.5]


def test_a_session_that_did_not_live_does_not_bring_the_pace_back() -> None:
    made = schedule()
    for _ in range(5):
        made.ended(EndReason.ERROR, 100.0, good=False)
    assert made.ended(EndReason.SILENCE, 200.0, good=False) == 16.0
    assert made.ended(EndReason.SILENCE, 300.0, good=True) == 0.0


@pytest.mark.parametrize(
    ("asked", "low", "high"),
    [(0.0, 0.5, 0.5), (7.0, 7.0, 8.75), (200.0, 200.0, 250.0), (999_999.0, 300.0, 300.0)],
)
def test_f33_retry_after_is_honoured_up_to_five_minutes(asked, low, high) -> None:
    assert low <= schedule().ended(EndReason.ERROR, 0.0, good=False, retry_after=asked) <= high


def test_a_refusal_is_tried_once_a_minute() -> None:
    made = schedule()
    assert [made.refused(at) for at in (0.0, 60.0, 120.0)] == [60.0, 60.0, 60.0]


def test_an_operator_is_not_held_up_by_what_happened_before() -> None:
    made = schedule()
    for at in range(12):
        made.started(float(at))
        made.ended(EndReason.ERROR, float(at), good=False)
    assert made.ended(EndReason.OPERATOR, 12.0, good=False) == 0.125


reasons = st.sampled_from([reason for reason in EndReason if reason is not EndReason.OPERATOR])


@given(
    st.lists(st.tuples(reasons, st.floats(0.0, 60.0), st.booleans()), min_size=15, max_size=60), st.integers()
)
def test_never_more_than_ten_starts_in_a_minute_whatever_happens(ends, seed) -> None:
    made = ConnectionSchedule(random.Random(seed).random)
    now, starts = 0.0, []
    for reason, lived, good in ends:
        made.started(now)
        starts.append(now)
        now += lived
        delay = made.ended(reason, now, good=good and lived >= 25.0)
        assert 0.0 <= delay <= 60.0
        now += delay
    for at in starts:
        assert sum(at - 60.0 < other <= at for other in starts) <= 10


def test_clients_that_lost_the_same_server_come_back_spread() -> None:
    """A restarted server is met by all its clients: none of 100 ms gets more than a twentieth of them."""
    random_source = random.Random(7)
    delays = [
        ConnectionSchedule(random_source.random).ended(EndReason.CLOSED, 0.0, good=True) for _ in range(1000)
    ]
    assert max(delays) - min(delays) > 2.0
    assert all(sum(at <= other < at + 0.1 for other in delays) <= 50 for at in delays)
