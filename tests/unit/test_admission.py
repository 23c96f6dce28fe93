"""Whose connection has to go, and that it is never the only one of somebody while others have more."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from netmap_actors.bus.admission import Admission, Peer

PEERS = st.builds(Peer, st.integers(0, 3), st.integers(1, 4))
STEPS = st.lists(st.one_of(PEERS, st.integers(0, 60)), max_size=80)
"""Somebody comes; or one of those that were there, by the order of arrival, goes."""


@given(STEPS, st.integers(1, 8), st.none() | st.integers(1, 4))
def test_the_bounds_hold_and_the_books_agree(
    steps: list[Peer | int], capacity: int, share: int | None
) -> None:
    admission, there, number = Admission(capacity, share), {}, 0
    for step in steps:
        if isinstance(step, int):
            admission.left(step)
            there.pop(step, None)
            continue
        number += 1
        there[number] = step
        victim = admission.arrived(number, step)
        if victim is not None:
            assert there.pop(victim[0]) == victim[1]
        assert len(admission) == len(there) <= capacity
        assert set(admission) == set(there)
        held = Counter(there.values())
        assert all(admission.held_by(peer) == count for peer, count in held.items())
        assert share is None or max(held.values(), default=0) <= share


@given(st.lists(PEERS, min_size=1, max_size=60), st.integers(1, 8))
def test_nobody_loses_a_connection_to_somebody_who_has_more(coming: list[Peer], capacity: int) -> None:
    admission, there = Admission(capacity), {}
    for number, peer in enumerate(coming):
        there[number] = peer
        victim = admission.arrived(number, peer)
        if victim is None:
            continue
        users = Counter(one.user for one in there.values())
        assert users[victim[1].user] == max(users.values())
        own = Counter(one for one in there.values() if one.user == victim[1].user)
        assert own[victim[1]] == max(own.values())
        assert victim[0] == max(key for key, one in there.items() if one == victim[1]), "the newest one"
        del there[victim[0]]


def test_a_newcomer_gets_in_while_another_process_holds_everything() -> None:
    admission = Admission(100)
    for number in range(100):
        assert admission.arrived(number, Peer(7, 1)) is None
    assert admission.arrived(100, Peer(7, 2)) == (99, Peer(7, 1))
    assert admission.arrived(101, Peer(7, 1)) == (101, Peer(7, 1))
    assert 100 in admission


def test_a_user_with_many_processes_does_not_push_out_another_user() -> None:
    admission = Admission(10)
    for number in range(5):
        admission.arrived(number, Peer(1, 1))
    cut = [admission.arrived(10 + number, Peer(2, 100 + number)) for number in range(50)]
    assert sum(one is not None for one in cut) == 45
    assert admission.held_by(Peer(1, 1)) == 5


def test_it_says_whose_it_was() -> None:
    assert str(Peer(1000, 42)) == "process 42 of user 1000"
    assert str(Peer("192.0.2.1")) == "192.0.2.1"
