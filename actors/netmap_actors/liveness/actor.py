"""The liveness actor: feeds the detector with the reports of control_connection and sends its verdicts on.

It has no state that the next Progress does not repeat, so a crash costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import zmq

from netmap_actors.boot import LivenessSettings, decode_settings
from netmap_actors.liveness.detector import LivenessDetector
from netmap_actors.process.actor_base import ActorBase
from netmap_actors.wire import internal_pb2
from netmap_actors.wire.codec import ForeignEnvelope, Inbox
from netmap_actors.wire.secret import Secret

if TYPE_CHECKING:
    from netmap_actors.boot import Boot

__all__ = ["Liveness"]

_REPORTS_PER_TURN = 500
_LATEST = 1e9
"""Seconds of CLOCK_BOOTTIME, thirty years: more is no time."""


class Liveness(ActorBase):
    """PULL from control_connection, verdicts to the Supervisor."""

    def __init__(self, boot: Boot) -> None:
        super().__init__(boot)
        settings = decode_settings(boot, LivenessSettings)
        self._detector = LivenessDetector(hung_grace=settings.hung_grace, pause_limit=settings.pause_limit)
        self._inbox = Inbox(boot.run, boot.actor, boot.generation, Secret.from_text(boot.secrets.inbox))
        self._deadline = self.loop.deadline(self._on_deadline)
        self._shown: tuple[int, int, str] = (0, 0, "")

    def setup(self) -> None:
        self._reports = self.sockets.pull_bind(self.boot.endpoints.liveness)
        self.loop.watch(self._reports, self._on_reports)
        self.ready()

    def on_supervisor(self, envelope: internal_pb2.Envelope) -> None:
        match envelope.WhichOneof("body"):
            case "connection_started":
                self._inbox.began(envelope.connection_started.generation)
                self._detector.connection_started(envelope.connection_started.generation)
            case "session_ended":
                self._detector.connection_ended(envelope.session_ended.generation)
            case other:
                self.log.warning("unexpected_message", body=other)
        self._arm()

    def statistics(self, heartbeat: internal_pb2.Heartbeat) -> None:
        connection = self._detector.connection
        heartbeat.liveness.CopyFrom(
            internal_pb2.LivenessStatistics(
                generation=connection.generation,
                session=connection.session,
                stage=connection.stage,
                last_received_at=connection.last_received_at,
                deadline_at=self._detector.silence_deadline() or 0.0,
                foreign_dropped=self._detector.foreign + self.foreign_messages(),
            )
        )

    def foreign_messages(self) -> int:
        return super().foreign_messages() + self._inbox.foreign

    def _on_reports(self) -> None:
        self._take_in(_REPORTS_PER_TURN)
        self._arm()

    def _take_in(self, most: int) -> bool:
        """Feed the detector; False when there was more than `most`."""
        for _ in range(most):
            try:
                data = self._reports.recv(zmq.DONTWAIT)
            except zmq.Again:
                return True
            try:
                envelope = self._inbox.open(data)
            except ForeignEnvelope:
                continue  # counted by the inbox
            self._feed(envelope)
        return False

    def _feed(self, envelope: internal_pb2.Envelope) -> None:
        match envelope.WhichOneof("body"):
            case "map_response_received" | "stage_entered" | "progress" if not _has_times(envelope):
                self._detector.foreign += 1
            case "map_response_received":
                header = envelope.map_response_received
                self._detector.map_response(header.generation, header.session, header.received_at)
            case "stage_entered":
                stage = envelope.stage_entered
                self._detector.stage_entered(
                    stage.generation, stage.session, stage.stage, stage.since, stage.limit
                )
            case "progress":
                self._detector.progress(envelope.progress)
            case other:
                self.log.warning("unexpected_message", body=other)

    def _arm(self) -> None:
        connection = self._detector.connection
        shown = (connection.generation, connection.session, connection.stage)
        if shown != self._shown:
            self._shown = shown
            self.heartbeat_now()
        self._deadline.set(self._detector.deadline())

    def _on_deadline(self) -> None:
        # A report in the socket may prove that the connection lives, so it is read to its end first.
        if not self._take_in(100 * _REPORTS_PER_TURN):
            self._deadline.set(self.loop.now())
            return
        for verdict in self._detector.expire(self.loop.now()):
            self.log.info(
                "verdict",
                reason=verdict.reason,
                connection_generation=verdict.generation,
                session=verdict.session,
                stage=verdict.stage,
                silent_for=round(verdict.silent_for, 3),
            )
            self.tell_supervisor(verdict)
        self._arm()


def _has_times(envelope: internal_pb2.Envelope) -> bool:
    """Whether every time in a report is finite and plausible: a NaN as deadline would block all others."""
    body = getattr(envelope, envelope.WhichOneof("body") or "")
    times = [value for _, value in body.ListFields() if isinstance(value, float)]
    return all(0.0 <= time <= _LATEST for time in times)
