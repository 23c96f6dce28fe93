"""What a connection is asked, when, and which answer counts: suspicions, regular probes and truth probes.

Pure; times are CLOCK_BOOTTIME seconds. Nothing is asked without a route, and an answer about another process, session
or route, or from before a sleep, does not count. Not here: what follows for the connection (`core`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from netmap_actors.wire import internal_pb2
from netmap_supervisor.connection.probe_schedule import Question
from netmap_supervisor.connection.suspicion import INTERVAL, Asked, Suspicion

if TYPE_CHECKING:
    from netmap_supervisor.connection.probe_schedule import ProbeSchedule

__all__ = ["Put", "Questions", "Situation"]


class Situation(msgspec.Struct, frozen=True):
    """What a question of now is about."""

    generation: int
    session: int
    wakes: int
    """Sleeps so far."""
    links: int
    """Other routes so far."""
    route: bool
    """There is a route to the server, as far as is known."""


class Put(msgspec.Struct, frozen=True):
    """A question for the connection."""

    body: internal_pb2.Probe | internal_pb2.TruthProbe
    again: bool = False
    """It was put before, without an answer."""


class Questions:
    """The questions to one connection after another."""

    def __init__(self, schedule: ProbeSchedule, timeout: float) -> None:
        """`timeout`: seconds for the answer to a probe."""
        self.schedule = schedule
        self.timeout = timeout
        self._suspicion = Suspicion()
        self._token = 0
        self._truth_owed = False
        """To be asked once the connection is known to live."""
        self._out: list[Put] = []

    @property
    def suspected(self) -> str:
        """wake or link while it is not known whether the connection outlived it; else empty."""
        return self._suspicion.reason

    def take(self) -> list[Put]:
        """What is to be asked now."""
        out, self._out = self._out, []
        return out

    def suspect(self, reason: str, here: Situation, now: float, *, truth: bool) -> None:
        """The connection may be dead. `truth`: the server may have forgotten the node, too."""
        self._truth_owed |= truth
        self._suspicion.raise_(reason, now)
        self.look(here, now)

    def look(self, here: Situation, now: float) -> None:
        """The situation has changed: earlier answers say nothing of it."""
        if here.route and self._suspicion.to_ask(here):
            self._ask(self._suspicion.reason, here, now)

    def ended(self) -> None:
        """The connection is gone."""
        self.schedule.session_ended()
        self._suspicion.clear()
        self._truth_owed = False

    def deadline(self) -> float | None:
        """When to call `expire`."""
        times = [at for at in (self.schedule.deadline(), self._suspicion.deadline()) if at is not None]
        return min(times, default=None)

    def expire(self, here: Situation, now: float) -> str:
        """Ask what is due. The reason to end the connection, when no route came to ask over; else empty."""
        for question in self.schedule.due(now):
            if question is Question.TRUTH:
                self._truth_owed = True
                self._ask_truth(here)
            elif here.route and not self._suspicion.open:
                self._ask(INTERVAL, here, now)
        if not self._suspicion.overdue(now):
            return ""
        asked, reason = self._suspicion.asked, self._suspicion.reason
        if asked is not None and asked.about == here:
            # The answer got lost, or the connection does not read at present: it knows the question by its token.
            self._put(asked, reason or INTERVAL, now, again=True)
            return ""
        self._suspicion.clear()
        return reason if asked is None else ""

    def concluded(self, result: internal_pb2.ProbeResult, here: Situation) -> str:
        """The result of a probe: why it was asked; empty when the result does not count."""
        reason = self._suspicion.concluded(result.token, here)
        if reason and result.answered:
            self._ask_truth(here)
        return reason

    def _ask(self, reason: str, here: Situation, now: float) -> None:
        self._token += 1
        self._put(Asked(self._token, here, self.timeout), reason, now)

    def _put(self, asked: Asked, reason: str, now: float, *, again: bool = False) -> None:
        self._suspicion.ask(asked, now)
        probe = internal_pb2.Probe(token=asked.token, reason=reason, timeout=asked.timeout)
        self._out.append(Put(probe, again))

    def _ask_truth(self, here: Situation) -> None:
        if self._truth_owed and here.route and not self._suspicion.reason:
            self._truth_owed = False
            self._out.append(Put(internal_pb2.TruthProbe(generation=here.generation, wake=here.wakes)))
