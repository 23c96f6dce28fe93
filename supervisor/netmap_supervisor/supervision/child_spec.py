"""OTP's child specification and supervisor flags.

Checked before anything starts. Not here: which children this product has (`tree`) and what follows from a
specification (`restart_policy`, `strategy`).
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

import msgspec

from netmap_actors.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["ChildSpec", "Restart", "Strategy", "SupervisorFlags", "check_child_specs"]

MAX_SHUTDOWN = 5.0
"""Seconds all children together may take to stop: SIGTERM means that everything is gone after that."""


class Restart(enum.Enum):
    """When a child that ended is started again (OTP: restart type)."""

    PERMANENT = "permanent"
    """Always."""
    TRANSIENT = "transient"
    """Only after an abnormal end."""
    TEMPORARY = "temporary"
    """Never."""


class Strategy(enum.Enum):
    """Which siblings are restarted with a child (OTP: restart strategy)."""

    ONE_FOR_ONE = "one_for_one"
    """None."""
    REST_FOR_ONE = "rest_for_one"
    """Those started after it."""
    ONE_FOR_ALL = "one_for_all"
    """All."""


class ChildSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One child. Durations in seconds."""

    name: str
    """The actor, as in `python -m netmap_actors NAME`."""
    first: bool = False
    """It is started before those without it: what it begins with takes longest."""
    restart: Restart = Restart.PERMANENT
    after_up: bool = False
    """Started once all others were up, and nobody waits for it: the run is up without it."""
    shutdown: float = 1.0
    """From Stop to SIGKILL; 0 is OTP's brutal_kill."""
    start_limit: float = 15.0
    """From spawn to Ready, CLOCK_MONOTONIC, less the time it waited for a processor; a child that takes longer is hung.
    Twice as long with each start that took longer, up to `slow_start_limit`: on a slow machine it has to end there."""
    slow_start_limit: float = 120.0
    longest_start: float = 300.0
    """From spawn to Ready, the time it waited for a processor included."""
    heartbeat_limit: float = 12.0
    """Without a heartbeat, CLOCK_MONOTONIC, less the time it waited for a processor; a child that is silent for longer
    is hung."""
    longest_silence: float = 60.0
    """Without a heartbeat, the time it waited for a processor included."""


class SupervisorFlags(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for all children. Durations in seconds."""

    strategy: Strategy = Strategy.ONE_FOR_ONE
    intensity: int = 9
    """Restarts of one child within `period`; one more, and it goes to the slow pace. (OTP ends the supervisor;
    a control client that gives up is a fault of the field, so ours slows down and says so.)"""
    period: float = 60.0
    failures: int = 6
    """Ends in a row without a healthy stretch; one more, and it goes to the slow pace. Backoff alone would
    keep every window below the intensity."""
    healthy: float = 25.0
    """How long a child must have been up for its earlier failures to be forgotten."""
    slow_pace: float = 60.0
    """Between two starts of a child that keeps dying."""


def check_child_specs(flags: SupervisorFlags, specs: Sequence[ChildSpec]) -> None:
    """Raises ConfigurationError naming the first field that cannot work."""
    _require(flags.intensity >= 0, "intensity", flags.intensity, "it must be 0 or more")
    _require(flags.failures >= 0, "failures", flags.failures, "it must be 0 or more")
    for field in ("period", "healthy", "slow_pace"):
        _require(getattr(flags, field) > 0, field, getattr(flags, field), "it must be more than 0 s")
    _require(
        flags.slow_pace >= flags.period,
        "slow_pace",
        flags.slow_pace,
        "shorter than the period it would not slow down",
    )
    _require(len(specs) > 0, "children", 0, "a supervisor needs one")
    for name in _twice(spec.name for spec in specs):
        _require(False, "name", name, "two children have it")
    for spec in specs:
        _require(spec.name.isidentifier(), "name", spec.name, "it must be the name of an actor")
        _require(spec.shutdown >= 0, f"{spec.name}.shutdown", spec.shutdown, "it must be 0 s or more")
        for fields in (
            ("start_limit", "slow_start_limit", "longest_start"),
            ("heartbeat_limit", "longest_silence"),
        ):
            least = 0.0
            for field in fields:
                value = getattr(spec, field)
                _require(value > 0, f"{spec.name}.{field}", value, "it must be more than 0 s")
                _require(value >= least, f"{spec.name}.{field}", value, f"it must be {least:g} s or more")
                least = value
    total = sum(spec.shutdown for spec in specs)
    _require(
        total < MAX_SHUTDOWN, "shutdown", total, f"together the children must stop within {MAX_SHUTDOWN:g} s"
    )


def _require(holds: bool, field: str, value: object, why: str) -> None:
    if not holds:
        raise ConfigurationError(f"cannot supervise with {field} = {value!r}: {why}")


def _twice(names: Iterable[str]) -> list[str]:
    seen: set[str] = set()
    return [name for name in names if name in seen or seen.add(name)]  # type: ignore[func-returns-value]
