"""What follows from the end of a control connection: when the next one starts, with what, or that the run ends.

Not here: the delays themselves (`schedule`), the history (`history`), the processes (`core`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from netmap_actors.exit_reason import ExitReason
from netmap_actors.wire.vocabulary import EndReason, Stage
from netmap_supervisor.connection.history import End, SessionLedger
from netmap_supervisor.connection.messages import ConnectionStart
from netmap_supervisor.connection.schedule import ConnectionSchedule

if TYPE_CHECKING:
    from collections.abc import Callable

    from netmap_actors.wire import internal_pb2
    from netmap_supervisor.supervision.child_tree import Death
    from netmap_supervisor.supervision.messages import Now

__all__ = ["KEY_CHANGED", "AfterEnd", "ConnectionPolicy"]

KEY_CHANGED = "control_key_changed"
"""Code of the condition shown while the control server answers with another key."""

_OUR_FAULT = frozenset({EndReason.CRASHED, EndReason.HUNG})
"""Ends the network has no part in."""

_KILLED_FOR: dict[str, EndReason] = {reason: reason for reason in EndReason}
"""Why it was killed -> how that is counted; any other is OPERATOR."""
_BY_ITSELF: dict[str, EndReason] = {
    **_KILLED_FOR,
    ExitReason.KEY_CHANGED: EndReason.ERROR,
    ExitReason.LOGIN_REFUSED: EndReason.ERROR,
    ExitReason.CONFIGURATION: EndReason.ERROR,
    ExitReason.PARENT_GONE: EndReason.CRASHED,
}
"""ExitReason -> how that is counted; any other, as after SIGTERM, is OPERATOR."""

_STUCK: dict[EndReason, tuple[str, ...]] = {
    # The path to that address, or its listener, may be at fault; a login that waits for a person shows neither.
    EndReason.ERROR: (Stage.HANDSHAKE, Stage.REGISTER, Stage.MAP),
    EndReason.CLOSED: (Stage.HANDSHAKE, Stage.REGISTER, Stage.MAP),
    EndReason.SILENCE: (Stage.MAP,),
}
"""Ends without a netmap that count against the address, in these stages."""
MAX_STUCK = 16
"""Addresses remembered: as many as are tried."""

_ENDS_RUN = {
    # Before the first session of the run: it was set up wrongly, and a person is there to see it.
    ExitReason.LOGIN_REFUSED: ExitReason.LOGIN_REFUSED,
    ExitReason.CONFIGURATION: ExitReason.CONFIGURATION,
    ExitReason.KEY_CHANGED: ExitReason.CONFIGURATION,
}


class AfterEnd(msgspec.Struct, frozen=True):
    """What follows from one end."""

    end: End
    delay: float = 0.0
    """Seconds until the next start."""
    run_ends: ExitReason | None = None
    """As what, when no further attempt can help."""
    fault: ExitReason | None = None
    """As what it counts for the intensity of restarts; None: the network had a part in it."""


class ConnectionPolicy:
    """History, pace and memory of one run's control connections."""

    def __init__(self, jitter: Callable[[], float]) -> None:
        self.schedule = ConnectionSchedule(jitter)
        self.ledger = SessionLedger()
        self._register_first = False
        self._stuck: list[str] = []

    def started(self, generation: int, now: Now) -> ConnectionStart:
        """A process is being started; what it has to know of those before it."""
        self.schedule.started(now.boottime)
        self.ledger.started(generation)
        return ConnectionStart(self._register_first, self.ledger.had_session, tuple(self._stuck))

    def stage_entered(self, message: internal_pb2.StageEntered) -> bool:
        """A new stage; True when a map session begins with it."""
        begins = self.ledger.stage_entered(message)
        if begins:
            self._register_first = False
        return begins

    def ended(self, death: Death, now: Now, *, suspected: bool) -> AfterEnd:
        """The process was reaped. `suspected`: it may not have outlived a sleep or a change of the network."""
        if death.killed_for:
            ended_as, reason = _KILLED_FOR.get(death.killed_for, EndReason.OPERATOR), ExitReason.NORMAL
        else:
            ended_as, reason = _BY_ITSELF.get(death.reason, EndReason.OPERATOR), death.reason
        had_session = self.ledger.had_session
        end = self.ledger.end(ended_as, death.detail, now)
        self._remember(end)
        if reason in _ENDS_RUN and not had_session:
            return AfterEnd(end, run_ends=_ENDS_RUN[reason])
        fault = ExitReason.CRASHED if ended_as in _OUR_FAULT else None
        if reason in {ExitReason.REMOVED, ExitReason.EXPIRED, ExitReason.LOGIN_REFUSED}:
            self._register_first = True
        if reason in _ENDS_RUN:
            self.ledger.refused = reason is ExitReason.LOGIN_REFUSED
            fault = reason if reason is ExitReason.CONFIGURATION else None
            return AfterEnd(end, self.schedule.refused(now.boottime), fault=fault)
        delay = self.schedule.ended(
            ended_as, now.boottime, good=end.good, retry_after=end.retry_after, suspected=suspected
        )
        return AfterEnd(end, delay, fault=fault)

    def _remember(self, end: End) -> None:
        """Where an attempt got stuck the next one does not begin, until that address has brought a netmap."""
        stuck = not end.had_map and end.stage in _STUCK.get(end.reason, ())
        if end.address and (stuck or end.had_map):
            others = [address for address in self._stuck if address != end.address]
            self._stuck = [*others, end.address][-MAX_STUCK:] if stuck else others
