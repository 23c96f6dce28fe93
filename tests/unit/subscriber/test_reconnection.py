"""When a subscriber connects anew: not without a reason, and never more than one look in ten seconds."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from hypothesis import example, given
from hypothesis import strategies as st

from netmap_actors.subscriber import Subscriber
from netmap_actors.subscriber.reconnection import CONNECT_AGAIN, Reconnection

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

HERE, THERE = ((1, 10), (1, 11)), ((1, 20), (1, 21))
A_WORD = 2.0
"""Seconds between two heartbeats."""


def followed(one: Reconnection, begin: float, end: float, place, epoch: int) -> list[float]:
    """When it connects anew while heartbeats come."""
    anew = []
    now = begin
    while now < end:
        one.heard(now)
        if one.wants_look(now) and one.look(now, place, epoch):
            anew.append(now)
        now += A_WORD
    return anew


def test_while_words_come_from_who_is_at_the_path_nothing_is_done() -> None:
    one = Reconnection(0.0, HERE)
    assert followed(one, 0.0, 1000.0, HERE, 5) == []
    assert one.due() > 1000.0


def test_another_socket_at_the_path_is_a_reason_although_words_come() -> None:
    one = Reconnection(0.0, HERE)
    assert followed(one, 0.0, 60.0, HERE, 5) == []
    [moment] = followed(one, 60.0, 200.0, THERE, 5)
    assert moment < 60.0 + CONNECT_AGAIN + A_WORD


def test_a_publisher_that_libzmq_found_by_itself_is_none() -> None:
    one = Reconnection(0.0, HERE)
    assert followed(one, 0.0, 60.0, HERE, 5) == []
    assert followed(one, 60.0, 200.0, THERE, 6) == []


def test_a_socket_that_comes_later_or_is_gone_for_a_while_is_none() -> None:
    one = Reconnection(0.0, None)
    assert followed(one, 0.0, 60.0, None, 0) == []
    assert followed(one, 60.0, 120.0, HERE, 5) == []
    assert followed(one, 120.0, 180.0, None, 5) == []
    assert followed(one, 180.0, 240.0, HERE, 5) == []


def test_silence_is_one_each_time_it_lasts_so_long() -> None:
    one = Reconnection(0.0, HERE)
    moments = [now for now in range(100) if one.wants_look(now) and one.look(now, HERE, 5)]
    assert moments == list(range(10, 100, 10))


@example([(1.0, True, None), (9.0, False, None), (1.0, False, None)])
@given(
    st.lists(
        st.tuples(st.floats(0.0, 30.0), st.booleans(), st.sampled_from([None, HERE, THERE])), max_size=50
    )
)
def test_it_looks_at_the_disk_once_in_ten_seconds_at_most(steps) -> None:
    one, now = Reconnection(0.0, HERE), 0.0
    looks = [0.0]
    for wait, word, place in steps:
        now += wait
        if word:
            one.heard(now)
        if one.wants_look(now):
            looks.append(now)
            one.look(now, place, 1)
            assert not one.wants_look(now)
    assert all(later - earlier >= CONNECT_AGAIN for earlier, later in itertools.pairwise(looks))


def test_a_program_that_waits_without_a_limit_waits_for_the_next_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is missing and nobody gave a limit: this is the one thing that is due."""
    with Subscriber(tmp_path) as subscriber:
        monkeypatch.setattr(subscriber._replica, "deadline", lambda: None)
        assert 0.0 <= subscriber._patience(None) <= CONNECT_AGAIN


def test_one_that_expects_to_hear_less_waits_longer() -> None:
    one = Reconnection(0.0, HERE, again=70.0)
    assert one.due() == 70.0
    assert not one.wants_look(69.0)
    assert one.look(70.0, HERE, 5)
