"""What is kept of a webhook over the death of its process, and what is shown of it."""

from __future__ import annotations

from typing import Annotated

import msgspec

__all__ = ["Figures", "WebhookStanding"]

# What a file holds beyond these could neither be asked of a history nor be told the Supervisor.
_Count = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
_Moment = Annotated[float, msgspec.Meta(ge=0.0, lt=253_402_300_800.0)]


class WebhookStanding(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a webhook over the death of its process: no occurrence, no secret, and of bounded size."""

    tailnet: str = "default"
    history: str = ""
    """The identity of the history's file in which the ids are."""
    cursor: _Count = 0
    """Every id up to this one is settled: told, not wanted, held down, given up or lost."""
    settled: tuple[tuple[_Count, _Count], ...] = ()
    """First and last of ids above it that are settled, ascending."""
    begun: tuple[_Count, ...] = ()
    """Ids of what began a state and may have been told: a short state is told, too, then."""
    told: tuple[str, ...] = ()
    """Subjects whose state has been told and not its end, by stable id; "" is the netmap."""
    delivered: _Count = 0
    """Events."""
    attempts: _Count = 0
    """Requests."""
    failed: _Count = 0
    """Attempts that did not deliver, and those that could not be made."""
    suppressed: _Count = 0
    """Events that were not told: short states, and ends of states that were not told."""
    given_up: _Count = 0
    """Events that got older than retry_for."""
    lost: _Count = 0
    """Ids that the history no longer had when they were to be read, of whatever kind, and events of a file that is no
    longer there."""
    delivered_at: _Moment = 0.0
    """The last time something was, UNIX seconds; 0: never."""


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """For a status and metrics, beside the counts of the standing."""

    pending: int
    """Events that are read and not settled: held down, or waiting to be sent."""
    failing_for: float = 0.0
    """Seconds since the first of the failures in a row, 0 for none."""
    failures: int = 0
    """In a row."""
    failure: str = ""
    """The last one, as Outcome.why_not; "" when the last attempt delivered."""
