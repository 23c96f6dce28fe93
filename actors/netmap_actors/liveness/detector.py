"""Decides when a connection is dead, from its reports and the time only.

Only a complete MapResponse moves the deadline. Silence is declared only after the socket was read to its end past the
deadline and was empty; without that proof the process is hung, not the line silent. While the publisher takes nothing,
no verdict falls on the connection. Not here: which process is killed (the Supervisor).
"""

from __future__ import annotations

import msgspec

from netmap_actors.wire import internal_pb2
from netmap_actors.wire.vocabulary import PUBLISHER_PAUSED, EndReason, Stage

__all__ = ["LivenessDetector", "Observed"]

_LATE = 1.0
"""Seconds by which the end of a pause may be noticed late. After more this process was stopped or the machine slept,
and the publisher with it: its time begins anew."""
_REPEAT = 2.0
"""Seconds after which a verdict without effect is repeated: the first may have met a full socket."""


class Observed(msgspec.Struct):
    """The current connection as reported."""

    generation: int = 0
    session: int = 0
    stage: str = ""
    stage_since: float = 0.0
    limit: float = 0.0
    """Seconds this stage, or a silence in it, may last; 0 = for ever."""
    last_received_at: float = 0.0
    drained_at: float = 0.0
    paused_since: float | None = None

    @property
    def since(self) -> float:
        """The moment the current deadline is counted from."""
        if self.stage == Stage.MAP:
            return max(self.last_received_at, self.stage_since)
        return self.stage_since


class LivenessDetector:
    """Reports and `now` in, verdicts out. `now` is seconds of CLOCK_BOOTTIME."""

    def __init__(self, *, hung_grace: float = 1.0, pause_limit: float = 30.0) -> None:
        self._hung_grace = hung_grace
        self._pause_limit = pause_limit
        self.connection = Observed()
        self.foreign = 0
        """Reports dropped: of older generations or sessions, or of connections that have ended."""
        self._ended = 0
        """The newest generation that has ended: its reports that waited in a queue are dropped."""
        self._overdue_since: float | None = None
        self._said_at: float | None = None
        self._pause_from: float | None = None
        """The pause is counted from here instead: after a verdict, or a stop of this process."""

    def connection_started(self, generation: int) -> None:
        """A new process: its clock starts with its first report."""
        if generation > self.connection.generation:
            self._forget(Observed(generation=generation))

    def connection_ended(self, generation: int) -> None:
        """That process is gone, and gets no verdict any more."""
        self._ended = max(self._ended, generation)
        if generation >= self.connection.generation:
            self._forget(Observed(generation=generation))

    def stage_entered(self, generation: int, session: int, stage: str, since: float, limit: float) -> None:
        """A stage begins, or with the map stage a session: a new clock."""
        if not self._counts(generation, session):
            return
        self._forget(Observed(generation, session, stage, since, limit, last_received_at=since))

    def map_response(self, generation: int, session: int, received_at: float) -> None:
        """One complete MapResponse: only that moves the deadline of the map stage."""
        if not self._counts(generation, session):
            return
        connection = self.connection
        if (generation, session) != (connection.generation, connection.session):
            # Its StageEntered is lost or late; the limit comes with the next Progress.
            self._forget(Observed(generation, session, Stage.MAP, received_at, connection.limit, received_at))
        elif received_at > connection.last_received_at:
            connection.last_received_at = received_at
            self._overdue_since = None
            self._said_at = None

    def progress(self, report: internal_pb2.Progress) -> None:
        """A Progress: one is enough for a new detector."""
        if not self._counts(report.generation, report.session):
            return
        connection = self.connection
        same = (connection.generation, connection.session, connection.stage) == (
            report.generation,
            report.session,
            report.stage,
        )
        received_at = (
            max(report.last_received_at, connection.last_received_at) if same else report.last_received_at
        )
        was_since = connection.since if same else None
        self.connection = Observed(
            report.generation,
            report.session,
            report.stage,
            report.stage_since,
            report.limit,
            received_at,
            report.drained_at,
            report.paused_since if report.paused else None,
        )
        if was_since != self.connection.since or report.paused:
            self._overdue_since = None
            self._said_at = None
        if not report.paused:
            self._pause_from = None

    def deadline(self) -> float | None:
        """When `expire` is to be called next; None while nothing is pending."""
        connection = self.connection
        if connection.paused_since is not None:
            since = connection.paused_since if self._pause_from is None else self._pause_from
            return since + self._pause_limit
        if not connection.stage or connection.limit <= 0:
            return None
        if self._said_at is not None:
            return self._said_at + _REPEAT
        if self._overdue_since is not None and not self._proven():
            return self._overdue_since + self._hung_grace
        return connection.since + connection.limit

    def silence_deadline(self) -> float | None:
        """When the current stage or silence reaches its limit; None without one, or in a pause."""
        connection = self.connection
        if not connection.stage or connection.limit <= 0 or connection.paused_since is not None:
            return None
        return connection.since + connection.limit

    def expire(self, now: float) -> list[internal_pb2.Verdict]:
        """The verdicts that are due. To be called after all reports were taken in."""
        deadline = self.deadline()
        if deadline is None or now < deadline:
            return []
        connection = self.connection
        if connection.paused_since is not None:
            self._pause_from = now
            return [] if now > deadline + _LATE else [self._verdict(PUBLISHER_PAUSED, now)]
        if connection.stage != Stage.MAP:
            self._said_at = now
            return [self._verdict(EndReason.ERROR, now)]
        if self._proven():
            self._said_at = now
            return [self._verdict(EndReason.SILENCE, now)]
        if self._overdue_since is None:
            # Counted from now, not from the deadline: after a suspend or a stop of all processes the connection
            # gets its second to prove itself, too.
            self._overdue_since = now
            return []
        if now >= self._overdue_since + self._hung_grace:
            self._said_at = now
            return [self._verdict(EndReason.HUNG, now)]
        return []

    def _proven(self) -> bool:
        """Whether the socket was read to its end after the limit, and was empty."""
        connection = self.connection
        # The same sum as the deadline's: a difference can round to just below the limit.
        return connection.drained_at >= connection.since + connection.limit

    def _counts(self, generation: int, session: int) -> bool:
        if generation > self._ended and (generation, session) >= (
            self.connection.generation,
            self.connection.session,
        ):
            return True
        self.foreign += 1
        return False

    def _forget(self, connection: Observed) -> None:
        self.connection = connection
        self._overdue_since = None
        self._said_at = None
        self._pause_from = None

    def _verdict(self, reason: str, now: float) -> internal_pb2.Verdict:
        connection = self.connection
        return internal_pb2.Verdict(
            generation=connection.generation,
            session=connection.session,
            stage=connection.stage,
            silent_for=now - connection.since,
            reason=reason,
        )
