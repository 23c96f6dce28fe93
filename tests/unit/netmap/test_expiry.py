"""Tests for key expiry by the clock; cases of tailscale: ipn/ipnlocal/expiry_test.go."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netmap_actors.netmap.expiry import EPOCH, Expiries, expiry_of, has_passed, marked_expired
from netmap_actors.netmap.model import NetmapNode

NOW = 1675725516.0
HOUR = 3600.0


def text_of(moment: float) -> str:
    return datetime.datetime.fromtimestamp(moment, datetime.UTC).isoformat()


def node(expiry: float | None, *, expired: bool = False) -> NetmapNode:
    return NetmapNode(
        stable_id="a",
        id=1,
        key="nodekey:1",
        key_expiry=text_of(expiry) if expiry is not None else "",
        expired=expired,
        endpoints=("192.0.2.1:1",),
        home_derp=3,
    )


@pytest.mark.parametrize(
    ("expiry", "control_now", "passed"),
    [
        (None, NOW, False),
        (NOW + HOUR, NOW, False),
        (NOW - HOUR, NOW, True),
        (NOW, NOW, True),
        (EPOCH - HOUR, EPOCH - 1, False),
        (EPOCH - HOUR, 0.0, False),
    ],
)
def test_a_key_expires_by_the_servers_clock(expiry: float | None, control_now: float, passed: bool) -> None:
    assert has_passed(expiry_of(node(expiry)), control_now) is passed


def test_an_expired_node_has_no_endpoints_and_keeps_its_key() -> None:
    before = node(NOW)
    after = marked_expired(before)
    assert (after.expired, after.endpoints, after.home_derp, after.key) == (True, (), 0, before.key)


def test_what_the_server_calls_expired_is_left_as_the_server_says() -> None:
    assert expiry_of(node(NOW + HOUR, expired=True)) is None


def test_each_key_is_named_when_its_moment_has_come() -> None:
    expiries = Expiries()
    for key, moment in ((1, NOW + 10), (2, NOW + 5), (3, None), (4, NOW + 20)):
        expiries.put(key, moment)
    assert expiries.following() == NOW + 5
    assert expiries.turn(NOW) == []
    assert expiries.turn(NOW + 12) == [2, 1]
    assert expiries.turn(NOW + 12) == []
    assert expiries.following() == NOW + 20
    expiries.forget(4)
    assert expiries.following() is None


def test_a_renewed_key_does_not_expire_at_its_old_moment() -> None:
    expiries = Expiries()
    expiries.put(1, NOW + 10)
    expiries.put(1, NOW + 100)
    assert expiries.turn(NOW + 50) == []
    assert expiries.following() == NOW + 100


def test_a_clock_that_is_set_back_makes_keys_valid_again() -> None:
    expiries = Expiries()
    expiries.put(1, NOW + 10)
    assert expiries.turn(NOW + 11) == [1]
    assert expiries.turn(NOW) == [1]
    assert expiries.following() == NOW + 10
    assert expiries.turn(NOW + 11) == [1]


def test_a_clock_that_is_not_set_expires_nothing() -> None:
    expiries = Expiries()
    expiries.put(1, EPOCH - 100)
    assert expiries.turn(EPOCH - 1) == []
    assert expiries.turn(EPOCH) == [1]


def test_many_changes_of_few_nodes_do_not_pile_up() -> None:
    expiries = Expiries()
    for step in range(10_000):
        expiries.put(step % 3, NOW + step)
    assert len(expiries._heap) < 200


MOMENTS = st.one_of(st.none(), st.integers(0, 50))


@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("put"), st.integers(0, 5), MOMENTS),
            st.tuples(st.just("forget"), st.integers(0, 5), st.none()),
            st.tuples(st.just("turn"), st.integers(0, 60), st.none()),
        )
    )
)
def test_it_names_exactly_those_whose_state_differs_from_before(steps) -> None:
    expiries, moments, marked, now = Expiries(), {}, {}, 0.0
    for what, number, moment in steps:
        if what == "put":
            moments[number] = None if moment is None else NOW + moment
            expiries.put(number, moments[number])
            marked[number] = has_passed(moments[number], now)
        elif what == "forget":
            moments.pop(number, None)
            marked.pop(number, None)
            expiries.forget(number)
        else:
            now = NOW + number
            named = expiries.turn(now)
            assert len(named) == len(set(named))
            for key in named:
                marked[key] = not marked[key]
            assert marked == {key: has_passed(when, now) for key, when in moments.items()}
        coming = [when for key, when in moments.items() if when is not None and not marked[key]]
        assert expiries.following() == min(coming, default=None)
