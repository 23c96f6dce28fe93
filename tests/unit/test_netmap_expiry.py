"""Tests for key expiry by the clock; cases of tailscale: ipn/ipnlocal/expiry_test.go."""

from __future__ import annotations

import datetime

import pytest

from netmap_actors.netmap import Peer
from netmap_actors.netmap.expiry import EPOCH, FAST_CLOCK_DELAY, flag_expired, next_expiry

NOW = 1675725516.0
HOUR = 3600.0


def node(expiry: float | None, *, expired: bool = False) -> Peer:
    moment = datetime.datetime.fromtimestamp(expiry, datetime.UTC).isoformat() if expiry is not None else ""
    return Peer(
        stable_id="a",
        id=1,
        key="nodekey:1",
        key_expiry=moment,
        expired=expired,
        endpoints=("192.0.2.1:1",),
        home_derp=3,
    )


@pytest.mark.parametrize(
    ("expiry", "now", "skew", "expired"),
    [
        (None, NOW, 0.0, False),
        (NOW + HOUR, NOW, 0.0, False),
        (NOW - HOUR, NOW, 0.0, True),
        (NOW, NOW, 0.0, True),
        (NOW - HOUR, NOW, -2 * HOUR, False),
        (NOW + HOUR, NOW, 2 * HOUR, True),
        (EPOCH - HOUR, EPOCH - 1, 0.0, False),
        (EPOCH - HOUR, NOW, EPOCH - 1 - NOW, False),
    ],
)
def test_a_key_expires_by_the_servers_clock(
    expiry: float | None, now: float, skew: float, expired: bool
) -> None:
    before = node(expiry)
    after = flag_expired(before, now=now, skew=skew)
    assert after.expired is expired
    assert (after.endpoints, after.home_derp) == (
        ((), 0) if expired else (before.endpoints, before.home_derp)
    )
    assert after.key == before.key


def test_what_the_server_calls_expired_is_left_as_the_server_says() -> None:
    said = node(NOW - HOUR, expired=True)
    assert flag_expired(said, now=NOW) is said
    assert flag_expired(node(None, expired=True), now=NOW).expired


PAST, FUTURE, LATER = node(NOW - HOUR), node(NOW + HOUR), node(NOW + 2 * HOUR)


@pytest.mark.parametrize(
    ("nodes", "soonest"),
    [
        ([node(None), node(None)], None),
        ([node(None), FUTURE], NOW + HOUR),
        ([LATER, FUTURE, node(None)], NOW + HOUR),
        ([PAST, FUTURE], NOW + HOUR),
        ([PAST], None),
        ([], None),
        ([node(NOW + HOUR, expired=True), LATER], NOW + 2 * HOUR),
    ],
)
def test_the_next_expiry_is_the_soonest_that_is_still_to_come(
    nodes: list[Peer], soonest: float | None
) -> None:
    assert next_expiry(nodes, now=NOW) == soonest


def test_a_fast_clock_does_not_look_again_at_once() -> None:
    assert next_expiry([PAST], now=NOW, skew=-2 * HOUR) == NOW + FAST_CLOCK_DELAY


def test_a_clock_that_is_not_set_waits_for_nothing() -> None:
    assert next_expiry([FUTURE], now=EPOCH - 1) is None
