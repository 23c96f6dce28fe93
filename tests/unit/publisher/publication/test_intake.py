from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netmap_actors.publisher.publication.intake import REMEDY_INTERVAL, Acceptance, Intake, Remedy

FIRST, NEXT, DROP = Acceptance.FIRST, Acceptance.NEXT, Acceptance.DROP


@pytest.mark.parametrize(
    ("messages", "decisions"),
    [
        ([(1, 1, 1), (1, 1, 2), (1, 1, 3)], [FIRST, NEXT, NEXT]),
        ([(1, 1, 1), (1, 1, 1), (1, 1, 2), (1, 1, 2)], [FIRST, DROP, NEXT, DROP]),
        ([(1, 1, 1), (1, 2, 1), (1, 1, 2), (1, 2, 2)], [FIRST, FIRST, DROP, NEXT]),
        ([(2, 1, 1), (1, 9, 1), (1, 9, 2)], [FIRST, DROP, DROP]),
        ([(1, 1, 1), (1, 1, 3), (1, 1, 2), (1, 1, 4)], [FIRST, DROP, DROP, DROP]),
        ([(1, 1, 1), (1, 1, 3), (1, 2, 1), (1, 2, 2)], [FIRST, DROP, FIRST, NEXT]),
        ([(1, 1, 1), (1, 2, 2), (1, 1, 2), (1, 2, 1)], [FIRST, DROP, DROP, FIRST]),
        ([(1, 1, 5)], [DROP]),
    ],
)
def test_number_one_of_a_newer_session_then_one_more_each_time(messages, decisions) -> None:
    intake = Intake(restarted=False)
    assert [intake.receive(*message, 0.0) for message in messages] == decisions
    assert intake.dropped == decisions.count(DROP)


def test_a_gap_is_asked_about_at_once_and_every_five_seconds_until_a_new_session_begins() -> None:
    intake = Intake(restarted=False)
    intake.receive(1, 1, 1, 0.0)
    assert intake.deadline() is None
    intake.receive(1, 1, 3, 10.0)
    assert not intake.in_step
    assert [intake.expire(t) for t in (10.0, 12.0, 14.9)] == [Remedy.RESYNC, None, None]
    assert intake.deadline() == 10.0 + REMEDY_INTERVAL
    intake.receive(1, 1, 4, 14.0)
    assert intake.expire(15.0) is Remedy.RESYNC
    intake.receive(1, 2, 1, 16.0)
    assert intake.deadline() is None
    assert intake.expire(100.0) is None
    assert intake.gaps == 1


def test_a_publisher_that_comes_back_asks_the_connection_that_was_there() -> None:
    intake = Intake(restarted=True)
    intake.connection_started(3, 0.0)
    assert intake.expire(0.0) is Remedy.RESYNC
    intake.connection_started(4, 1.0)
    assert intake.expire(10.0) is None, "the new connection begins with a number 1 by itself"


def test_a_publisher_that_comes_back_between_two_connections_asks_for_nothing() -> None:
    intake = Intake(restarted=True)
    intake.ended(3)
    assert intake.receive(3, 1, 1, 0.0) is DROP, "it waited in the socket"
    intake.connection_started(4, 1.0)
    assert intake.deadline() is None
    assert intake.receive(4, 1, 1, 2.0) is FIRST


def test_a_first_publisher_waits_for_what_comes() -> None:
    intake = Intake(restarted=False)
    intake.connection_started(1, 0.0)
    assert intake.deadline() is None


def test_nothing_of_an_ended_connection_counts() -> None:
    intake = Intake(restarted=False)
    intake.receive(1, 1, 1, 0.0)
    assert intake.ended(1)
    assert not intake.ended(1)
    assert intake.receive(1, 1, 2, 1.0) is DROP
    assert intake.receive(1, 2, 1, 1.0) is DROP
    assert intake.deadline() is None
    assert intake.receive(2, 1, 1, 2.0) is FIRST
    assert not intake.ended(1)
    assert intake.in_step


def test_a_refused_message_asks_for_the_end_of_its_connection_until_that_ends() -> None:
    intake = Intake(restarted=False)
    intake.receive(1, 1, 1, 0.0)
    intake.refuse("cannot read it", 1.0)
    assert [intake.expire(t) for t in (1.0, 2.0, 6.0)] == [Remedy.END_SESSION, None, Remedy.END_SESSION]
    assert intake.receive(1, 1, 2, 7.0) is DROP
    assert intake.receive(1, 2, 1, 7.0) is DROP
    intake.connection_started(2, 8.0)
    assert intake.deadline() is None
    assert intake.receive(2, 1, 1, 9.0) is FIRST


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 4)), max_size=30))
def test_what_is_accepted_is_a_run_of_numbers_of_ever_newer_sessions(messages) -> None:
    intake = Intake(restarted=False)
    accepted = [m for m in messages if intake.receive(*m, 0.0) is not DROP]
    for before, after in itertools.pairwise(accepted):
        assert after[:2] > before[:2] or (after[:2] == before[:2] and after[2] == before[2] + 1)
        assert after[:2] == before[:2] or after[2] == 1
    assert not accepted or accepted[0][2] == 1
