from __future__ import annotations

import pytest

from netmap_actors.errors import AuthRefused, BadMapResponse, ConfigurationError, LocalProtocolError
from netmap_actors.exit_reason import ExitReason, from_exception, from_wait_status, status_of


@pytest.mark.parametrize("reason", ExitReason)
def test_every_reason_survives_the_way_over_the_process_boundary(reason: ExitReason) -> None:
    assert from_wait_status(status_of(reason), None) is reason


def test_no_two_reasons_share_a_status() -> None:
    assert len({status_of(reason) for reason in ExitReason}) == len(ExitReason)


@pytest.mark.parametrize(("status", "signal"), [(2, None), (255, None), (None, 9), (0, 11), (None, None)])
def test_whatever_nobody_gave_a_meaning_to_is_abnormal(status: int | None, signal: int | None) -> None:
    assert from_wait_status(status, signal) is ExitReason.CRASHED


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (AuthRefused("x"), ExitReason.LOGIN_REFUSED),
        (ConfigurationError("x"), ExitReason.CONFIGURATION),
        (BadMapResponse("x"), ExitReason.ERROR),
        (LocalProtocolError("x"), ExitReason.CRASHED),
        (ValueError("x"), ExitReason.CRASHED),
        (KeyboardInterrupt(), ExitReason.CRASHED),
        (SystemExit(0), ExitReason.CRASHED),
    ],
)
def test_an_exception_becomes_the_reason_its_disposition_asks_for(
    error: BaseException, reason: ExitReason
) -> None:
    assert from_exception(error) is reason
