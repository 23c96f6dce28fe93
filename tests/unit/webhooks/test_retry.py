"""How long to wait after a failure."""

from __future__ import annotations

import pytest

from netmap_actors.webhooks.retry import Outcome, delay, lane_delay


def at_most(outcome: Outcome, failures: int) -> float:
    return delay(outcome, failures, lambda: 0.999999999)


@pytest.mark.parametrize(
    "outcome", [Outcome(failure="timeout"), *(Outcome(status=one) for one in (408, 425, 429, 500, 502, 503))]
)
def test_what_may_pass_is_tried_soon_and_then_more_seldom(outcome: Outcome) -> None:
    waits = [at_most(outcome, failures) for failures in range(1, 12)]
    assert waits == pytest.approx([2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300])
    assert delay(outcome, 100_000, lambda: 0.0) == 1.0


@pytest.mark.parametrize("status", [101, 301, 302, 307, 401, 403, 404, 405])
def test_what_somebody_has_to_mend_is_tried_slowly(status: int) -> None:
    waits = [at_most(Outcome(status=status), failures) for failures in range(1, 7)]
    assert waits == pytest.approx([60, 120, 240, 480, 900, 900])
    assert delay(Outcome(status=status), 1, lambda: 0.0) == 30.0


def test_what_is_gone_is_tried_once_an_hour() -> None:
    assert at_most(Outcome(status=410), 1) == pytest.approx(3600.0)
    assert delay(Outcome(status=410), 9, lambda: 0.0) == 1800.0


@pytest.mark.parametrize(
    ("status", "asked", "wait"),
    [
        (429, 50.0, 50.0),
        (503, 50.0, 50.0),
        (503, 1e12, 3600.0),
        (429, 0.5, 1.0),
        (429, -5.0, 1.0),
        (500, 50.0, 1.0),
        (302, 50.0, 30.0),
    ],
)
def test_retry_after_holds_for_429_and_503_for_an_hour_at_most(
    status: int, asked: float, wait: float
) -> None:
    assert delay(Outcome(status=status, retry_after=asked), 1, lambda: 0.0) == wait


@pytest.mark.parametrize(
    ("status", "delivered"),
    [(0, False), (199, False), (200, True), (204, True), (299, True), (302, False), (500, False)],
)
def test_only_2xx_is_delivered(status: int, delivered: bool) -> None:
    assert Outcome(status=status).delivered is delivered


def test_one_event_that_is_refused_alone_is_tried_slowly_unless_the_receiver_may_be_broken() -> None:
    assert lane_delay(Outcome(status=400), 1, lambda: 0.0) == 30.0
    assert lane_delay(Outcome(status=500), 1, lambda: 0.0) == 1.0


@pytest.mark.parametrize(
    ("outcome", "why"),
    [
        (Outcome(failure="timeout"), "timeout"),
        (Outcome(status=404), "status 404"),
        (Outcome(status=307), "status 307, a redirect, which is not followed"),
    ],
)
def test_a_failure_says_why(outcome: Outcome, why: str) -> None:
    assert outcome.why_not == why
