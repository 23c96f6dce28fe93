"""What came of a request, and how long to wait before the next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Outcome", "delay", "lane_delay"]

MAX_RETRY_AFTER: Final = 3600.0
"""Seconds; a receiver may not silence us for longer."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a request. No field may hold the URL or anything the receiver wrote."""

    status: int = 0
    """HTTP, 0 when there was no answer."""
    retry_after: float = 0.0
    """Seconds of its Retry-After, 0 without one."""
    failure: str = ""
    """Without an answer: why, as "timeout" or "connection refused"."""
    sent: bool = True
    """False: nothing left this machine, as when there is no body (CannotRender) or the secret cannot be read."""
    of_the_body: bool = False
    """It is the body that failed, as with CannotRender."""

    @property
    def delivered(self) -> bool:
        """Whether the receiver took it. A redirect is not followed: the secret is for the URL alone."""
        return 200 <= self.status < 300

    @property
    def why_not(self) -> str:
        """Why it was not delivered."""
        redirected = ", a redirect, which is not followed" if 300 <= self.status < 400 else ""
        return self.failure or f"status {self.status}{redirected}"

    @property
    def blames_the_body(self) -> bool:
        """One event among several may be the reason: fewer in one body may pass."""
        return self.of_the_body or self.status in OF_THE_BODY


class _Pace(NamedTuple):
    """Seconds to wait after failures: evenly between 0 and a limit that doubles from `first` to `most`, but `least`."""

    least: float
    first: float
    most: float


_SOON: Final = _Pace(1.0, 2.0, 300.0)
_SLOW: Final = _Pace(30.0, 60.0, 900.0)
"""Refused: a token or a URL is wrong until somebody mends it."""
_HOURLY: Final = _Pace(1800.0, 3600.0, 3600.0)
"""410: gone, says the receiver. It may be an archived channel, and come back."""
_BUSY: Final = frozenset({408, 425, 429})
OF_THE_BODY: Final = frozenset({400, 413, 422, 500})
"""Answers that may mean one event, as when a template does not quote a name."""


def delay(outcome: Outcome, failures: int, jitter: Callable[[], float]) -> float:
    """Seconds to wait after this failure, the last of so many in a row. `jitter()`: a number in [0, 1)."""
    refused = 100 <= outcome.status < 500 and outcome.status not in _BUSY | OF_THE_BODY
    pace = _HOURLY if outcome.status == 410 else _SLOW if refused else _SOON
    seconds = _drawn(pace, failures, jitter)
    # RFC 9110, 10.2.3, and RFC 6585, 4.
    return (
        max(seconds, min(outcome.retry_after, MAX_RETRY_AFTER)) if outcome.status in {429, 503} else seconds
    )


def lane_delay(outcome: Outcome, failures: int, jitter: Callable[[], float]) -> float:
    """The same for an event that was refused alone, so many times; others are tried meanwhile."""
    return _drawn(_SOON if outcome.status == 500 else _SLOW, failures, jitter)


def _drawn(pace: _Pace, failures: int, jitter: Callable[[], float]) -> float:
    return max(pace.least, jitter() * min(pace.most, pace.first * 2.0 ** min(failures - 1, 30)))
