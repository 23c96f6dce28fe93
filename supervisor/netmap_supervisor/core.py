"""The supervisor of this product as a machine: what its children say, and what follows for the control connection.

What holds for children of any kind stands in `child_tree`. It never waits, reads a clock or touches a process: the
shell reports what happened, carries the commands out in order and calls `expire` at `deadline()`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netmap_actors.exit_reason import ExitReason
from netmap_actors.wire import internal_pb2
from netmap_supervisor.child_machine import ChildEvent, ChildState
from netmap_supervisor.child_tree import TICK, ChildTree, Death
from netmap_supervisor.connection_policy import KEY_CHANGED, OUR_FAULT, ConnectionPolicy
from netmap_supervisor.connection_schedule import EndReason
from netmap_supervisor.core_messages import (
    Command,
    ConnectionStart,
    Exited,
    Input,
    Now,
    Reconnect,
    Spawned,
    SpawnFailed,
    Stop,
    Word,
)
from netmap_supervisor.probe_schedule import ProbeSchedule, Question
from netmap_supervisor.session_ledger import MAP_STAGE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from google.protobuf.message import Message

    from netmap_supervisor.child_machine import ChildMachine
    from netmap_supervisor.child_spec import ChildSpec, SupervisorFlags

__all__ = ["CONNECTION", "LIVENESS", "PUBLISHER", "SupervisorCore"]

CONNECTION = "control_connection"
PUBLISHER = "publisher"
LIVENESS = "liveness"
_PUBLISHER_PAUSED = "publisher_paused"


class SupervisorCore(ChildTree):
    """One run; `specs` holds the three children named above, and whatever else.

    `jitter()` gives a number in [0, 1). `time_namespace` is the Supervisor's own, for Hello. Intervals and
    `probe_timeout` are seconds; an interval of 0 is off.
    """

    def __init__(
        self,
        specs: Sequence[ChildSpec],
        flags: SupervisorFlags,
        jitter: Callable[[], float],
        *,
        time_namespace: str = "",
        tick: float = TICK,
        truth_interval: float = 0.0,
        probe_interval: float = 0.0,
        probe_timeout: float = 5.0,
    ) -> None:
        super().__init__(specs, flags, jitter, tick=tick)
        self._probes = ProbeSchedule(
            truth_interval=truth_interval, probe_interval=probe_interval, jitter=jitter
        )
        self._probe_timeout = probe_timeout
        self._probe_token = 0
        self._time_namespace = time_namespace
        self.connection = ConnectionPolicy(jitter)
        self.heartbeats: dict[str, internal_pb2.Heartbeat] = {}
        """The newest of each actor; kept after its death."""
        self.heard_from: dict[str, int] = {}
        """The incarnation it is from."""

    def receive(self, happened: Input, now: Now) -> list[Command]:
        """Take in one thing that happened."""
        self._take(now)
        match happened:
            case Spawned():
                self._spawned(happened)
            case SpawnFailed(actor, incarnation, why):
                self._exited(Exited(actor, incarnation, None), now, why)
            case Exited():
                self._exited(happened, now)
            case Word(envelope):
                self._word(envelope, now)
            case Reconnect():
                self._reconnect(now)
            case Stop(reason):
                self._stop(reason, 0, now)
        return self._flush()

    # Time

    def deadline(self) -> float | None:
        """When `expire` is to be called next, seconds of CLOCK_BOOTTIME; None once everything is gone."""
        times = [at for at in (super().deadline(), self._probes.deadline()) if at is not None]
        return None if self.finished else min(times, default=None)

    def expire(self, now: Now) -> list[Command]:
        """Look at the clock. To be called at the deadline, after everything that waits was taken in."""
        commands = super().expire(now)
        for question in self._probes.due(now.boottime):
            self._ask(question)
        return [*commands, *self._flush()]

    def _ask(self, question: Question) -> None:
        child = self.children[CONNECTION]
        if question is Question.TRUTH:
            self._tell(CONNECTION, internal_pb2.TruthProbe(generation=child.incarnation))
            return
        self._probe_token += 1
        probe = internal_pb2.Probe(token=self._probe_token, reason="interval", timeout=self._probe_timeout)
        self._log("debug", "probe_sent", child, reason=probe.reason)
        self._tell(CONNECTION, probe)

    # Processes

    def _starting(self, child: ChildMachine, now: Now) -> ConnectionStart | None:
        if child.spec.name != CONNECTION:
            return None
        self._tell_watchers(internal_pb2.ConnectionStarted(generation=child.incarnation))
        return self.connection.started(child.incarnation, now)

    def _is_up(self, child: ChildMachine) -> None:
        connection = self.children[CONNECTION]
        if child.spec.name in {PUBLISHER, LIVENESS} and connection.alive:
            self._tell(child.spec.name, internal_pb2.ConnectionStarted(generation=connection.incarnation))

    def _died(self, child: ChildMachine, death: Death, now: Now) -> float | None:
        if child.spec.name != CONNECTION:
            return super()._died(child, death, now)
        self._probes.session_ended()
        outcome = self.connection.ended(death.reason, death.killed_for, death.detail, now)
        end, delay = outcome.end, outcome.delay
        word = end.reason.value
        self._tell_watchers(
            internal_pb2.SessionEnded(
                generation=end.generation,
                session=end.session,
                reason=word,
                stage=end.stage,
                detail=end.detail,
            )
        )
        fields: dict[str, object] = {
            "pid": death.pid,
            "reason": word,
            "stage": end.stage,
            "session": end.session,
        }
        if death.ordered:
            self._log("info", "session_ended", child, **fields)
            return None
        if outcome.run_ends is None:
            delay = self._paced(child, death, end.reason, delay, now)
            fields["next_attempt_s"] = round(delay, 3)
        self._log("info", "session_ended", child, **fields, detail=end.detail)
        if end.reason is EndReason.REMOVED:
            self._log("warning", "node_removed", child, detail=end.detail)
        if death.reason is ExitReason.KEY_CHANGED and not death.killed_for:
            self._degraded(CONNECTION, KEY_CHANGED, end.detail, now)
        if outcome.run_ends is not None:
            self._stop(f"{CONNECTION} ended: {death.reason.value}", outcome.run_ends, now)
            return None
        return delay

    def _paced(self, child: ChildMachine, death: Death, ended_as: EndReason, delay: float, now: Now) -> float:
        """An end the network has no part in counts for the intensity of restarts, too."""
        if ended_as in OUR_FAULT:
            reason = ExitReason.CRASHED
        elif death.reason is ExitReason.CONFIGURATION and not death.killed_for:
            reason = death.reason
        else:
            return delay
        return max(delay, self._decide(child, reason, death.up_for, now) or 0.0)

    def _reconnect(self, now: Now) -> None:
        if self.stopping:
            return
        child = self.children[CONNECTION]
        self.connection.schedule.forget()
        if child.state is ChildState.BACKOFF:
            self._move(child, ChildEvent.START, now)
        else:
            self._move(child, ChildEvent.KILL, now, EndReason.OPERATOR.value)

    # Words

    def _word(self, envelope: internal_pb2.Envelope, now: Now) -> None:
        child = self.children.get(envelope.actor)
        if child is None or envelope.incarnation != child.incarnation or not child.alive:
            self.foreign += 1
            return
        match envelope.actor, envelope.WhichOneof("body"):
            case _, "hello":
                self._hello(child, envelope.hello, now)
            case _, "ready":
                self._move(child, ChildEvent.READY, now)
            case name, "heartbeat":
                child.heartbeat(envelope.heartbeat.rss_bytes, now.monotonic)
                self.heartbeats[name] = envelope.heartbeat
                self.heard_from[name] = envelope.incarnation
                if name == PUBLISHER:
                    self._published(envelope.heartbeat.publisher, now)
            case name, "degraded" if envelope.degraded.active:
                self._show(name, name, envelope.degraded.code, envelope.degraded.text, now)
            case name, "degraded":
                self._take_back(name, envelope.degraded.code, name)
            case "liveness" | "publisher", "verdict":
                # The publisher's: a document passed the connection's gate and is no MapResponse all the same.
                self._verdict(envelope.verdict, now)
            case "publisher", "resync":
                # Without a session there is nothing to send again: the next one begins with the whole map.
                if self.connection.ledger.stage == MAP_STAGE:
                    self._tell(CONNECTION, envelope.resync)
            case "control_connection", "probe_result":
                self._probe_result(child, envelope.probe_result, now)
            case "control_connection", _:
                self._connection_word(child, envelope)
            case _, body:
                self._log("warning", "unexpected_message", child, body=body)

    def _hello(self, child: ChildMachine, hello: internal_pb2.Hello, now: Now) -> None:
        child.said_hello = True
        if hello.time_namespace != self._time_namespace:
            # Its clock may differ from ours, and every deadline with it.
            self._log("error", "foreign_time_namespace", child, detail=hello.time_namespace)
            self._move(child, ChildEvent.KILL, now, "foreign_time_namespace")

    def _connection_word(self, child: ChildMachine, envelope: internal_pb2.Envelope) -> None:
        ledger = self.connection.ledger
        match envelope.WhichOneof("body"):
            case "stage_entered":
                if self.connection.stage_entered(envelope.stage_entered):
                    self._healed(CONNECTION, KEY_CHANGED)
                    self._log("info", "map_session_started", child, session=ledger.session)
            case "connection_info":
                ledger.connected(envelope.connection_info)
            case "registered":
                ledger.registered(envelope.registered)
            case "login_needed":
                url = envelope.login_needed.url
                if url and url != ledger.auth_url:
                    self._log("warning", "login_needed", child, url=url)
                ledger.auth_url = url
            case "session_ended":
                ledger.last_words(envelope.session_ended)
            case "truth_probe":
                # Removed or expired: the connection ends by itself and says so. No answer is never a verdict.
                told = envelope.truth_probe
                self._log("info", "truth_probe", child, outcome=told.outcome, detail=told.detail or None)
            case body:
                self._log("warning", "unexpected_message", child, body=body)

    def _probe_result(self, child: ChildMachine, result: internal_pb2.ProbeResult, now: Now) -> None:
        if result.answered:
            self._log("debug", "probe_answered", child, round_trip=round(result.round_trip, 4))
            return
        self._log("warning", "probe_failed", child, timeout=self._probe_timeout)
        self._move(child, ChildEvent.KILL, now, EndReason.CLOSED.value)

    def _published(self, statistics: internal_pb2.PublisherStatistics, now: Now) -> None:
        connection = self.children[CONNECTION]
        if connection.alive and self.connection.ledger.published(statistics):
            self._probes.session_began(now.boottime)
            took = round(now.boottime - connection.started_at, 3)
            self._log("info", "first_netmap", connection, peers=statistics.peers, took_s=took)

    def _verdict(self, verdict: internal_pb2.Verdict, now: Now) -> None:
        child = self.children[CONNECTION]
        if verdict.reason == _PUBLISHER_PAUSED:
            self._move(self.children[PUBLISHER], ChildEvent.KILL, now, _PUBLISHER_PAUSED)
            return
        session = self.connection.ledger.session
        if not child.alive or verdict.generation != child.incarnation or verdict.session < session:
            self.foreign += 1
            return
        if verdict.reason == EndReason.SILENCE.value and child.state is not ChildState.KILLED:
            silent_for = round(verdict.silent_for, 3)
            self._log("warning", "silence_detected", child, silent_for=silent_for, session=verdict.session)
        if child.state is not ChildState.KILLED:
            self.connection.ledger.judged(verdict)
        self._move(child, ChildEvent.KILL, now, verdict.reason)

    # What is told

    def _tell_watchers(self, body: Message) -> None:
        """To those who hold something about the connection."""
        for name in (PUBLISHER, LIVENESS):
            self._tell(name, body)
