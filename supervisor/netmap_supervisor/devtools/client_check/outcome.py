"""What a check found: the outcome of each scenario, with the timeline of each attempt. Plain data for every report.

Times are seconds since the client was started, unless it says otherwise.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Attempt", "CheckVerdict", "Level", "Reached", "ScenarioOutcome", "TimelineEvent"]


class CheckVerdict(enum.Enum):
    """How a scenario ended."""

    PASS = "pass"  # noqa: S105  # no secret
    FAIL = "fail"
    """The client does not do what it MUST."""
    WARN = "warn"
    """It does not do what it SHOULD."""
    FLAKY = "flaky"
    """It failed, and passed when it was run again alone."""
    SKIP = "skip"
    """Not run; the outcome's `seen` is the reason."""
    ERROR = "error"
    """It could not be run: says nothing about the client's behaviour in this scenario."""

    @property
    def is_told(self) -> bool:
        """Reports tell what happened: neither pass nor skip."""
        return self not in (CheckVerdict.PASS, CheckVerdict.SKIP)


class Level(enum.Enum):
    """How binding a scenario is (RFC 2119)."""

    MUST = "MUST"
    SHOULD = "SHOULD"


class Reached(enum.Enum):
    """How far a client came, in this order."""

    NOTHING = "nothing"
    CONNECTION = "connection"
    KEY = "key"
    """It asked for the server's Noise key."""
    UPGRADE = "upgrade"
    """The Noise handshake is done."""
    REGISTER = "register"
    """Its node is registered."""
    MAP = "map"
    """It has a map stream with its first map."""


class TimelineEvent(msgspec.Struct, frozen=True):
    """One thing that happened."""

    at: float
    connection: int | None
    """Number of the server's connection; None: of the check itself, as `started`, `fault`."""
    side: str
    """Who did it: `client`, `server` or `check`."""
    kind: str
    """As in the server's list of what it saw: accept, key, upgrade, register, map, refused, fault, …"""
    detail: str = ""


class Attempt(msgspec.Struct, frozen=True):
    """One run of a scenario."""

    verdict: CheckVerdict
    seen: str
    """What the client did, in one sentence."""
    took: float
    """Seconds, joining included."""
    reached: Reached = Reached.NOTHING
    refused: str = ""
    """The last thing the server refused it; empty: nothing."""
    facts: Mapping[str, object] = {}
    timeline: tuple[TimelineEvent, ...] = ()
    log: str = ""
    """Path of what the client wrote; empty: it was not kept, or not ours to read."""
    never_started: bool = False
    """There is no such program, or it is none; or a client that is started elsewhere did not come."""


class ScenarioOutcome(msgspec.Struct, frozen=True):
    """One scenario, with every attempt. One that was not begun has none."""

    name: str
    """Such as `liveness/silence`; the group stands before the slash."""
    level: Level
    does: str
    """What the server does."""
    expected: str
    """What a client must or should do, with the bounds in it."""
    why: str
    sources: tuple[str, ...]
    """Where that is from: an RFC's section, a type of tailcfg, an issue of the field."""
    verdict: CheckVerdict
    seen: str
    attempts: tuple[Attempt, ...] = ()
    expected_failure: str = ""
    """The reason for which its author expects it to fail; empty: it is not expected to."""
    bounds: Mapping[str, float] = {}
    """`earliest` and `latest`, where there are such: seconds after the fault between which the client has to act."""

    @property
    def took(self) -> float:
        """Seconds of all attempts."""
        return sum(attempt.took for attempt in self.attempts)
