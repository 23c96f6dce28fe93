"""How old a message may be that is read now: what waited is as old as the wait."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netmap_actors.control_connection.client.arrivals import BURST, WAKE_GRACE, Arrival, Arrivals

T = 1000.0


def session(*messages: float) -> Arrivals:
    """A map session that began at T, and read these messages in time."""
    arrivals = Arrivals()
    arrivals.requested(T)
    for at in messages:
        arrivals.message(at)
        arrivals.drained(at)
    return arrivals


def test_a_message_that_comes_while_we_look_is_as_old_as_its_way() -> None:
    arrivals = session(T + 1)
    assert arrivals.message(T + 5) == Arrival(T + 5, T + 5, T + 1)
    assert session().message(T + 4) == Arrival(T + 4, T + 4, T), (
        "the answer to a request is younger than that"
    )


def test_what_waited_for_a_stopped_process_was_there_since_it_looked_last() -> None:
    arrivals = session(T + 1)
    arrivals.reading((T + 50, T + 200), T + 200)
    assert arrivals.message(T + 200) == Arrival(T + 50, T + 50, T + 1)
    arrivals.reading((T + 199, T + 200), T + 200)
    assert arrivals.message(T + 200).received_at == T + 50, "nothing was found empty since"


def test_what_was_on_its_way_comes_in_a_moment_after_the_wake() -> None:
    arrivals = session(T + 1)
    arrivals.reading((T + 50, T + 200), T + 200)
    arrivals.drained(T + 200)
    assert arrivals.message(T + 200.5) == Arrival(T + 50, T + 50, T + 1)
    arrivals.drained(T + 200 + WAKE_GRACE)
    assert arrivals.message(T + 202).received_at == T + 202
    assert arrivals.message(T + 202).sent_since == T + 1, "TCP may still be sending again what got lost"
    late = T + 202 + BURST
    assert arrivals.message(late) == Arrival(late, late, T + 202)


def test_what_comes_a_moment_after_the_wake_is_as_old_as_the_sleep_though_nothing_was_read_before() -> None:
    for after, expected in ((0.4, T + 50), (3.0, T + 203)):
        arrivals = session(T + 1)
        arrivals.reading((T + 50, T + 200), T + 200 + after)
        assert arrivals.message(T + 200 + after).received_at == expected
    arrivals.drained(T + 204)
    arrivals.reading((T + 50, T + 200), T + 205)
    assert arrivals.message(T + 205).received_at == T + 205, "the same stop again"


def test_what_was_not_read_on_purpose_may_have_been_there_since() -> None:
    arrivals = session(T + 40)
    arrivals.resumed(T + 41)
    assert arrivals.message(T + 60) == Arrival(T + 60, T + 41, T + 40), "silence is judged by what was read"
    arrivals.drained(T + 60)
    assert arrivals.message(T + 61).present_since == T + 61


def test_what_a_broken_line_held_up_may_be_as_old_as_the_break() -> None:
    arrivals = session(T + 1)
    assert arrivals.message(T + 101).sent_since == T + 1
    assert arrivals.message(T + 101.3).sent_since == T + 1, "sent again one after the other"
    arrivals.drained(T + 102)
    assert arrivals.message(T + 102 + BURST).sent_since == T + 101.3


def test_nothing_of_a_session_is_older_than_its_request() -> None:
    arrivals = session(T + 1)
    arrivals.reading((T + 50, T + 200), T + 200)
    arrivals.requested(T + 200.1)
    assert arrivals.message(T + 200.2) == Arrival(T + 200.1, T + 200.1, T + 200.1)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["message", "drained", "stopped", "resumed", "requested"]), st.floats(0.01, 300.0)
    )
)


@given(STEPS)
def test_the_moments_are_in_order_whatever_happens(steps) -> None:
    arrivals, now, requested = session(), T, T
    for what, pause in steps:
        before, now = now, now + pause
        match what:
            case "message":
                found = arrivals.message(now)
                assert requested <= found.sent_since <= found.present_since <= found.received_at <= now
            case "drained":
                arrivals.drained(now)
            case "stopped":
                arrivals.reading((before, now), now)
                assert arrivals.message(now).received_at <= max(before, requested)
            case "resumed":
                arrivals.resumed(before)
                assert arrivals.message(now).present_since <= max(before, requested)
            case "requested":
                arrivals.requested(now)
                requested = now


@pytest.mark.parametrize("asleep", [20.0, 154.0, 8 * 3600.0])
def test_after_a_sleep_no_message_is_younger_than_what_could_be_sent_before_it(asleep) -> None:
    arrivals = session(T + 1)
    woke = T + 10 + asleep
    for after in (0.0, 0.2, 3.0, 9.0):
        assert arrivals.message(woke + after).sent_since == T + 1
