"""Whether and when a child that ended is started again: a function of its specification, history, reason and time.

Not here: the pace of new control connections, which follows the network (`connection.schedule`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from netmap_actors.exit_reason import GIVE_UP, ExitReason
from netmap_supervisor.supervision.child_spec import Restart

if TYPE_CHECKING:
    from netmap_supervisor.supervision.child_spec import ChildSpec, SupervisorFlags

__all__ = [
    "PROMPT_MAX",
    "Escalate",
    "History",
    "Leave",
    "RestartAfter",
    "RestartDecision",
    "backoff",
    "decide",
    "prompt",
]

PROMPT_MAX = 0.25
"""Seconds a first restart without a healthy stretch before it is delayed by at most: many machines must not act as one,
and their server could feel that."""
_BACKOFF_FIRST = 0.5
_BACKOFF_MAX = 30.0

RESTARTED = {
    # (restart type, abnormal end)
    (Restart.PERMANENT, False): True,
    (Restart.PERMANENT, True): True,
    (Restart.TRANSIENT, False): False,
    (Restart.TRANSIENT, True): True,
    (Restart.TEMPORARY, False): False,
    (Restart.TEMPORARY, True): False,
}


class History(msgspec.Struct, frozen=True):
    """What is remembered of one child's ends."""

    restarts: tuple[float, ...] = ()
    """When it was (or will be) started again within the last period, seconds of CLOCK_BOOTTIME, oldest first."""
    failures: int = 0
    """Ends in a row without a healthy stretch between them."""


class RestartAfter(msgspec.Struct, frozen=True):
    """Start it again after `delay` seconds."""

    delay: float
    flapping: bool = False
    """It keeps dying: this is the slow pace."""


class Leave(msgspec.Struct, frozen=True):
    """Its specification says that it stays down."""


class Escalate(msgspec.Struct, frozen=True):
    """No restart can help: the run has to end for this reason."""

    reason: ExitReason
    why: str = ""
    """For a person; empty: as the process itself said."""


RestartDecision = RestartAfter | Leave | Escalate


def prompt(jitter: float) -> float:
    """Seconds before a first restart that nothing healthy came before; `jitter` in [0, 1)."""
    return PROMPT_MAX * jitter


def backoff(step: int, jitter: float) -> float:
    """Seconds before attempt number `step` (0, 1, 2 …): 0.5 doubling to 30, × 0.5–1.5 by `jitter` in [0, 1)."""
    return min(_BACKOFF_FIRST * 2.0 ** min(step, 16), _BACKOFF_MAX) * (0.5 + jitter)


def decide(
    spec: ChildSpec,
    flags: SupervisorFlags,
    history: History,
    reason: ExitReason,
    *,
    was_up: bool,
    up_for: float | None,
    now: float,
    jitter: float,
) -> tuple[RestartDecision, History]:
    """What follows from this end, and the history with it.

    `was_up`: some process of it was up in this run, so what it refuses now is not how it was set up. `up_for`:
    seconds between Ready and the end, None when this one never was up. `now`: seconds of CLOCK_BOOTTIME.
    """
    healthy = up_for is not None and up_for >= flags.healthy
    failures = 1 if healthy else history.failures + 1
    if reason in GIVE_UP and not was_up:
        return Escalate(reason), History(history.restarts, failures)
    if not RESTARTED[spec.restart, reason is not ExitReason.NORMAL]:
        return Leave(), History(history.restarts, failures)
    delay = 0.0 if healthy else prompt(jitter) if failures == 1 else backoff(failures - 2, jitter)
    recent = tuple(at for at in history.restarts if at > now + delay - flags.period)
    # One that refuses its configuration after it was up once is not worth hurrying for, either.
    flapping = failures > flags.failures or len(recent) + 1 > flags.intensity or reason in GIVE_UP
    if flapping:
        delay = max(delay, flags.slow_pace)
        recent = tuple(at for at in recent if at > now + delay - flags.period)
    return RestartAfter(delay, flapping), History((*recent, now + delay), failures)
