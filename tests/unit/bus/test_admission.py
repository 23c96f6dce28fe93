"""Whose connection has to go, and that it is never the only one of somebody while others have more."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netmap_actors.bus.admission import Admission, Origin, connections_for, files_for, is_safe
from netmap_actors.bus.peers import LOOPBACK, origin_at

PEERS = st.builds(Origin, st.integers(0, 3), st.integers(1, 4))
STEPS = st.lists(st.one_of(PEERS, st.integers(0, 60)), max_size=80)
"""Somebody comes; or one of those that were there, by the order of arrival, goes."""


@given(STEPS, st.integers(1, 8))
def test_the_bounds_hold_and_the_books_agree(steps: list[Origin | int], capacity: int) -> None:
    admission, there, number = Admission[int](capacity), {}, 0
    for step in steps:
        if isinstance(step, int):
            if step % 3:
                admission.moved(step, waits=bool(step % 2))
            else:
                admission.left(step)
                there.pop(step, None)
            continue
        number += 1
        there[number] = step
        victim = admission.arrived(number, step, waits=bool(number % 2))
        if victim is not None:
            assert there.pop(victim[0]) == victim[1]
        assert len(admission) == len(there) <= capacity
        assert set(admission) == set(there)
        held = Counter(there.values())
        assert all(admission.held_by(peer) == count for peer, count in held.items())
        assert {one: admission.whose(one) for one in admission} == there


@given(st.lists(st.tuples(st.integers(0, 20), st.booleans()), max_size=60), st.integers(1, 8))
def test_of_one_holder_the_longest_awaited_goes_and_who_is_served_only_for_another_one_served(
    moves: list[tuple[int, bool]], capacity: int
) -> None:
    admission, waiting, served = Admission[int](capacity), list[int](), list[int]()
    for number in range(capacity):
        assert admission.arrived(number, Origin(1, 1), waits=True) is None
        waiting.append(number)
    for number, waits in moves:
        admission.moved(number, waits=waits)
        for kind in (waiting, served):
            if number in kind:
                kind.remove(number)
        if number < capacity:
            (waiting if waits else served).append(number)
    newcomer = capacity
    assert admission.arrived(newcomer, Origin(1, 1), waits=True) == ([*waiting, newcomer][0], Origin(1, 1))


def test_a_newcomer_of_many_processes_is_let_in_for_the_longest_awaited_of_them() -> None:
    admission = Admission[int](3)
    for number in range(3):
        admission.arrived(number, Origin(1, 10 + number), waits=True)
    admission.moved(0, waits=True)
    assert admission.arrived(3, Origin(1, 99), waits=True) == (1, Origin(1, 11))


def test_without_a_descriptor_nobody_goes_who_is_being_served() -> None:
    admission = Admission[int](5)
    assert admission.cut_one(waiting_only=True) is None
    admission.arrived(1, Origin(1, 1))
    assert admission.cut_one(waiting_only=True) is None
    admission.arrived(2, Origin(1, 1), waits=True)
    assert admission.cut_one(waiting_only=True) == (2, Origin(1, 1))
    assert admission.cut_one() == (1, Origin(1, 1))
    assert admission.cut == 2


@pytest.mark.parametrize(
    ("address", "whose"),
    [
        ("127.0.0.1", LOOPBACK),
        ("127.9.8.7", LOOPBACK),
        ("::1", LOOPBACK),
        ("::ffff:127.0.0.1", LOOPBACK),
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("fe80::1%lo", "fe80::/64"),
    ],
)
def test_a_machine_with_many_addresses_is_one(address: str, whose: str) -> None:
    assert origin_at(address) == Origin(whose)


@given(st.integers(16, 100_000), st.sampled_from([2, 4]), st.integers(1, 5000))
def test_files_are_left_for_who_comes_unseen(files: int, sockets: int, wanted: int) -> None:
    capacity = connections_for(files, sockets, wanted)
    assert 1 <= capacity <= wanted
    assert capacity == 1 or sockets * capacity < files // 2 or is_safe(files, sockets, capacity)
    if files >= files_for(sockets):
        assert is_safe(files, sockets, capacity)
        assert capacity >= min(wanted, 100)


@given(st.lists(PEERS, min_size=1, max_size=60), st.integers(1, 8))
def test_nobody_loses_a_connection_to_somebody_who_has_more(coming: list[Origin], capacity: int) -> None:
    admission, there = Admission[int](capacity), {}
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
    admission = Admission[int](100)
    for number in range(100):
        assert admission.arrived(number, Origin(7, 1)) is None
    assert admission.arrived(100, Origin(7, 2)) == (99, Origin(7, 1))
    assert admission.arrived(101, Origin(7, 1)) == (101, Origin(7, 1))
    assert 100 in admission


def test_a_user_with_many_processes_does_not_push_out_another_user() -> None:
    admission = Admission[int](10)
    for number in range(5):
        admission.arrived(number, Origin(1, 1))
    cut = [admission.arrived(10 + number, Origin(2, 100 + number)) for number in range(50)]
    assert sum(one is not None for one in cut) == 45
    assert admission.held_by(Origin(1, 1)) == 5


def test_it_says_whose_it_was() -> None:
    assert str(Origin(1000, 42)) == "process 42 of user 1000"
    assert str(Origin("192.0.2.1")) == "192.0.2.1"
