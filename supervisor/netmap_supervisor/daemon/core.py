"""The supervisor of this product as a machine: what its children say, and what follows for the control connection.

What holds for children of any kind stands in `child_tree`. It never waits, reads a clock or touches a process: the
shell reports what happened, carries the commands out in order and calls `expire` at `deadline()`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netmap_actors.boot import PAUSE_LIMIT
from netmap_actors.exit_reason import ExitReason
from netmap_actors.wire import internal_pb2
from netmap_actors.wire.vocabulary import PUBLISHER_PAUSED, ActorName, EndReason, Stage
from netmap_supervisor.connection.hurry import Hurry
from netmap_supervisor.connection.messages import ConnectionStart, LookForRoute, Reconnect, Route
from netmap_supervisor.connection.patterns import CALM, NO_FIRST_MAP, PATTERNS, SessionPatterns
from netmap_supervisor.connection.policy import KEY_CHANGED, OUR_FAULT, ConnectionPolicy
from netmap_supervisor.connection.probe_schedule import ProbeSchedule
from netmap_supervisor.connection.questions import Questions, Situation
from netmap_supervisor.connection.suspicion import INTERVAL
from netmap_supervisor.daemon.figures import bounded
from netmap_supervisor.supervision.child_machine import ChildEvent, ChildState
from netmap_supervisor.supervision.child_tree import TICK, ChildTree, Death
from netmap_supervisor.supervision.messages import (
    ChildMessage,
    Exited,
    Now,
    Spawned,
    SpawnFailed,
    Stop,
    Waited,
)
from netmap_supervisor.supervision.restart_policy import prompt

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from google.protobuf.message import Message

    from netmap_supervisor.connection.history import End
    from netmap_supervisor.supervision.child_machine import ChildMachine
    from netmap_supervisor.supervision.child_spec import ChildSpec, SupervisorFlags
    from netmap_supervisor.supervision.messages import TreeCommand

    Input = Spawned | SpawnFailed | Exited | ChildMessage | Reconnect | Stop | Route | Waited
    Command = TreeCommand | LookForRoute

__all__ = ["CONNECTION", "LIVENESS", "PUBLISHER", "SupervisorCore"]

CONNECTION, PUBLISHER, LIVENESS = ActorName.CONNECTION, ActorName.PUBLISHER, ActorName.LIVENESS
SLEPT = 2.0
"""Seconds by which CLOCK_BOOTTIME has to run ahead of CLOCK_MONOTONIC for the machine to have slept."""
NO_ROUTE_PACE = 300.0
"""Seconds between two tries while there is no route to the server: we may be wrong about it."""
_BEFORE_CONNECTED = frozenset({Stage.RESOLVE, Stage.CONNECT})
_ATTEMPT = _BEFORE_CONNECTED | {Stage.HANDSHAKE, Stage.REGISTER}
"""Stages of an attempt that has looked for the server and may come to nothing."""


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
        schedule = ProbeSchedule(truth_interval=truth_interval, probe_interval=probe_interval, jitter=jitter)
        self._questions = Questions(schedule, probe_timeout)
        self.probe_timeout = probe_timeout
        """Of the connections to come."""
        self._patterns = SessionPatterns()
        self._route: str | None = ""
        """To the server; empty while nobody knows, None for none."""
        self._elsewhere: str | None = None
        """Without one: to the rest of the world, where the server may have other addresses."""
        self._hurry = Hurry()
        self._doubt: tuple[EndReason, float, bool] = (EndReason.LINK, float("-inf"), False)
        """The last sleep or change of the network, when it was seen, and whether attempts may have been in vain."""
        self._ordered = False
        """An operator waits for the next start."""
        self._clock_gap: float | None = None
        self.wakes = 0
        self.links = 0
        self._time_namespace = time_namespace
        self.connection = ConnectionPolicy(jitter)
        self._slices = 0
        self._applying = False
        """Between its last two heartbeats the publisher went on with a map that takes more than a moment."""
        self.heartbeats: dict[str, internal_pb2.Heartbeat] = {}
        """The newest of each actor; kept after its death."""
        self.heard_from: dict[str, int] = {}
        """The generation it is from."""

    def receive(self, happened: Input, now: Now) -> list[TreeCommand]:
        """Take in one thing that happened."""
        self._take(now)
        self._look_for_sleep(now)
        match happened:
            case Spawned():
                self._spawned(happened)
            case SpawnFailed(actor, generation, why):
                self._exited(Exited(actor, generation, None), now, why)
            case Exited():
                self._exited(happened, now)
            case ChildMessage(envelope):
                self._message(envelope, now)
            case Reconnect():
                self._reconnect(now)
            case Route():
                self._route_is(happened, now)
            case Stop(reason):
                self._stop(reason, 0, now)
            case Waited():
                self._waited(happened)
        return self._flush()

    @staticmethod
    def wants_route(message: ChildMessage) -> bool:
        """Whether the kernel is to be asked for the route before this is received: it may have gone unnoticed."""
        envelope = message.envelope
        return envelope.WhichOneof("body") == "probe_result" and not envelope.probe_result.answered

    # Time

    def deadline(self) -> float | None:
        """When `expire` is to be called next, seconds of CLOCK_BOOTTIME; None once everything is gone."""
        due = (super().deadline(), self._questions.deadline(), self._hurry.deadline())
        times = [at for at in due if at is not None]
        return None if self.finished else min(times, default=None)

    def expire(self, now: Now) -> list[TreeCommand]:
        """Look at the clock. To be called at the deadline, after everything that waits was taken in."""
        if now.boottime >= self._tick_at:
            # A notification saves time; nobody may have to rely on one.
            self._out.append(LookForRoute())  # type: ignore[arg-type]
        commands = super().expire(now)
        self._look_for_sleep(now)
        reason = self._questions.expire(self._here, now.boottime)
        self._put_questions()
        if reason:
            self._probe_failed(self.children[CONNECTION], reason, now)
        if self._hurry.expired(now.boottime) and self.connection.ledger.stage in _BEFORE_CONNECTED:
            self._move(self.children[CONNECTION], ChildEvent.KILL, now, EndReason.LINK)
        return [*commands, *self._flush()]

    def _look_for_sleep(self, now: Now) -> None:
        gap, self._clock_gap = self._clock_gap, now.boottime - now.monotonic
        if gap is None or self._clock_gap - gap <= SLEPT:
            return
        self.wakes += 1
        self._log("info", "wake_detected", slept_s=round(self._clock_gap - gap, 3))
        self._suspect(EndReason.WAKE, now, anew=True)
        self._out.append(LookForRoute())  # type: ignore[arg-type]

    @property
    def _no_way(self) -> bool:
        """An attempt would be in vain, as far as anybody can know."""
        return self._route is None and self._elsewhere is None

    def _route_is(self, route: Route, now: Now) -> None:
        before, self._route = self._route, route.text
        elsewhere, self._elsewhere = self._elsewhere, route.elsewhere
        if self._no_way:
            self._wait_for_route(now)
        if route.aimed:
            return
        if "" not in {before, route.text} and route.text != before:
            self.links += 1
            self._log("info", "link_changed", route=route.text or "none", before=before or "none")
            self._suspect(EndReason.LINK, now, anew=before is None)
        elif route.elsewhere not in {None, elsewhere}:
            # Another network than that of the last lookup: the next one may find other addresses.
            self._start_early(now, anew=True)

    def _wait_for_route(self, now: Now) -> None:
        self._hurry.lost()
        child = self.children[CONNECTION]
        if child.state is ChildState.BACKOFF and not self._ordered:
            child.due = max(child.due or 0.0, now.boottime + NO_ROUTE_PACE)

    def _suspect(self, reason: EndReason, now: Now, *, anew: bool) -> None:
        """The connection may be dead, and whatever one waits for may have come."""
        self._doubt = (reason, now.boottime, anew)
        self._weigh(now)

    def _weigh(self, now: Now) -> None:
        reason, _, anew = self._doubt
        stage = self.connection.ledger.stage
        if stage in {Stage.MAP, Stage.LOGIN} and self.children[CONNECTION].alive:
            truth = reason is EndReason.WAKE and stage == Stage.MAP
            self._questions.suspect(reason, self._here, now.boottime, truth=truth)
            self._put_questions()
        elif not self._no_way:
            self._start_early(now, anew=anew)

    @property
    def _here(self) -> Situation:
        generation, session = self.children[CONNECTION].generation, self.connection.ledger.session
        return Situation(generation, session, self.wakes, self.links, self._route is not None)

    def _put_questions(self) -> None:
        for put in self._questions.take():
            if isinstance(put.body, internal_pb2.Probe) and not put.again:
                level = "debug" if put.body.reason == INTERVAL else "info"
                self._log(level, "probe_sent", self.children[CONNECTION], reason=put.body.reason)
            self._tell(CONNECTION, put.body)

    def _start_early(self, now: Now, *, anew: bool) -> None:
        """Whoever waits for the next attempt need wait no longer, at most once in a while.

        `anew`: whoever has not found the server yet may have looked for it in vain.
        """
        child = self.children[CONNECTION]
        at = self._hurry.at(now.boottime, self.connection.schedule.held_until)
        if child.state is ChildState.BACKOFF and child.due is not None and child.due > at:
            self._hurry.pulled()
            child.due = at
            if at <= now.boottime:
                self._move(child, ChildEvent.START, now)
        elif anew and child.alive and self.connection.ledger.stage in _ATTEMPT:
            self._hurry.in_vain(child.generation, at)

    # Processes

    def _starting(self, child: ChildMachine, now: Now) -> ConnectionStart | None:
        if child.spec.name != CONNECTION:
            return None
        self._hurry.started(now.boottime)
        self._ordered = False
        self._questions.timeout = self.probe_timeout
        self._tell_watchers(internal_pb2.ConnectionStarted(generation=child.generation))
        return self.connection.started(child.generation, now)

    def _is_up(self, child: ChildMachine) -> None:
        connection = self.children[CONNECTION]
        if child.spec.name in {PUBLISHER, LIVENESS} and connection.alive:
            self._tell(child.spec.name, internal_pb2.ConnectionStarted(generation=connection.generation))

    def _died(self, child: ChildMachine, death: Death, now: Now) -> float | None:
        if child.spec.name != CONNECTION:
            return super()._died(child, death, now)
        suspected = bool(self._questions.suspected)
        self._questions.ended()
        outcome = self.connection.ended(
            death.reason, death.killed_for, death.detail, now, suspected=suspected
        )
        end, delay = outcome.end, outcome.delay
        word = end.reason
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
            delay = self._routed(child, end, delay, now)
            fields["next_attempt_s"] = round(delay, 3)
        self._log("info", "session_ended", child, **fields, detail=end.detail)
        if end.reason is EndReason.REMOVED:
            self._log("warning", "node_removed", child, detail=end.detail)
        self._note_pattern(end, now)
        if death.reason is ExitReason.KEY_CHANGED and not death.killed_for:
            self._degraded(CONNECTION, KEY_CHANGED, end.detail, now)
        if outcome.run_ends is not None:
            why = end.detail or f"cannot go on: the connection ended: {death.reason.value}"
            self._stop(f"{CONNECTION} ended: {death.reason.value}", outcome.run_ends, now, why)
            return None
        return delay

    def _note_pattern(self, end: End, now: Now) -> None:
        found = self._patterns.ended(end)
        for code in PATTERNS:
            if found is not None and found.code == code:
                self._degraded(CONNECTION, code, found.text, now)
            else:
                self._healed(CONNECTION, code)

    def _paced(self, child: ChildMachine, death: Death, ended_as: EndReason, delay: float, now: Now) -> float:
        """An end the network has no part in counts for the intensity of restarts, too."""
        if ended_as in OUR_FAULT:
            reason = ExitReason.CRASHED
        elif death.reason is ExitReason.CONFIGURATION and not death.killed_for:
            reason = death.reason
        else:
            return delay
        return max(delay, self._decide(child, reason, death.up_for, now) or 0.0)

    def _routed(self, child: ChildMachine, end: End, delay: float, now: Now) -> float:
        """The delay, with what is known of the way to the server."""
        # The way may have gone unnoticed, and the connection with it.
        self._out.append(LookForRoute())  # type: ignore[arg-type]
        if self._ordered:
            return min(delay, prompt(self._jitter()))
        if self._no_way:
            return max(delay, NO_ROUTE_PACE)
        if not end.had_map and self._hurry.began_in_vain(child.generation):
            self._hurry.pulled()
            early = self._hurry.at(now.boottime, self.connection.schedule.held_until)
            return min(delay, early - now.boottime)
        return delay

    def _reconnect(self, now: Now) -> None:
        if self.stopping:
            return
        child = self.children[CONNECTION]
        self.connection.schedule.forget()
        self._ordered = True
        if child.state is ChildState.BACKOFF:
            self._move(child, ChildEvent.START, now)
        else:
            self._move(child, ChildEvent.KILL, now, EndReason.OPERATOR)

    # Words

    def _renamed(self, child: ChildMachine, info: internal_pb2.ConnectionInfo) -> None:
        if info.previous_hostname:
            names = {"previous": info.previous_hostname, "hostname": info.hostname}
            self._log("warning", "hostname_changed", child, **names)

    def _message(self, envelope: internal_pb2.Envelope, now: Now) -> None:
        child = self.children.get(envelope.actor)
        if child is None or envelope.incarnation != child.generation or not child.alive:
            self.foreign += 1
            return
        match envelope.actor, envelope.WhichOneof("body"):
            case _, "hello":
                self._hello(child, envelope.hello, now)
            case _, "ready":
                self._move(child, ChildEvent.READY, now)
            case name, "heartbeat":
                child.heartbeat(envelope.heartbeat.rss_bytes, now.monotonic)
                if name == PUBLISHER:
                    self._applying = envelope.heartbeat.counters["slices"] > self._slices
                    self._slices = envelope.heartbeat.counters["slices"]
                self.heartbeats[name] = bounded(envelope.heartbeat)
                self.heard_from[name] = envelope.incarnation
                if name == PUBLISHER:
                    self._published(envelope.heartbeat.publisher, now)
            case name, "degraded" if envelope.degraded.active:
                self._show(name, name, envelope.degraded.code, envelope.degraded.text, now)
            case name, "degraded":
                self._take_back(name, envelope.degraded.code, name)
            case ActorName.LIVENESS | ActorName.PUBLISHER, "verdict":
                # The publisher's: a document passed the connection's gate and is no MapResponse all the same.
                self._verdict(envelope.verdict, now)
            case ActorName.PUBLISHER, "resync":
                self._resync(envelope.resync)
            case ActorName.CONNECTION, "probe_result":
                self._probe_result(child, envelope.probe_result, now)
            case ActorName.CONNECTION, _:
                self._connection_message(child, envelope, now)
            case _, body:
                self._log("warning", "unexpected_message", child, body=body)

    def _hello(self, child: ChildMachine, hello: internal_pb2.Hello, now: Now) -> None:
        child.said_hello = True
        if hello.time_namespace != self._time_namespace:
            # Its clock may differ from ours, and every deadline with it.
            self._log("error", "foreign_time_namespace", child, detail=hello.time_namespace)
            self._move(child, ChildEvent.KILL, now, "foreign_time_namespace")

    def _connection_message(self, child: ChildMachine, envelope: internal_pb2.Envelope, now: Now) -> None:
        ledger = self.connection.ledger
        match envelope.WhichOneof("body"):
            case "stage_entered":
                self._stage_entered(child, envelope.stage_entered, now)
            case "connection_info":
                ledger.connected(envelope.connection_info)
                self._renamed(child, envelope.connection_info)
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

    def _stage_entered(self, child: ChildMachine, entered: internal_pb2.StageEntered, now: Now) -> None:
        ledger = self.connection.ledger
        before = ledger.stage
        if self.connection.stage_entered(entered):
            self._healed(CONNECTION, KEY_CHANGED)
            self._log("info", "map_session_started", child, session=ledger.session)
        if before != Stage.LOGIN == ledger.stage:
            self._questions.schedule.login_began(now.boottime)
        elif before == Stage.LOGIN != ledger.stage:
            self._questions.schedule.login_ended()
        if entered.since < self._doubt[1]:
            # It was that far before, and is heard of only now: its word has waited as long as we did.
            self._weigh(now)
        # Another session, maybe: what is known of the one before says nothing of it.
        self._questions.look(self._here, now.boottime)
        self._put_questions()

    def _resync(self, resync: internal_pb2.Resync) -> None:
        """Of a connection that is gone nothing can be sent again; before a session the whole map is still to come."""
        if resync.generation not in {0, self.children[CONNECTION].generation}:
            self.foreign += 1
        elif self.connection.ledger.stage == Stage.MAP:
            self._tell(CONNECTION, resync)

    def _probe_result(self, child: ChildMachine, result: internal_pb2.ProbeResult, now: Now) -> None:
        reason = self._questions.concluded(result, self._here)
        if not reason:
            self.foreign += 1
        elif not result.answered:
            self._probe_failed(child, EndReason.CLOSED if reason == INTERVAL else reason, now)
        else:
            level, took = "debug" if reason == INTERVAL else "info", round(result.round_trip, 4)
            self._log(level, "probe_answered", child, round_trip=took, reason=reason)
            self._put_questions()

    def _probe_failed(self, child: ChildMachine, reason: str, now: Now) -> None:
        self._log("warning", "probe_failed", child, timeout=self._questions.timeout, reason=reason)
        self._move(child, ChildEvent.KILL, now, reason)

    def _published(self, statistics: internal_pb2.PublisherStatistics, now: Now) -> None:
        connection = self.children[CONNECTION]
        if connection.alive and self.connection.ledger.published(statistics):
            self._questions.schedule.session_began(now.boottime)
            took = round(now.boottime - connection.started_at, 3)
            self._log("info", "first_netmap", connection, peers=statistics.peers, took_s=took)
            self._patterns.fed()
            self._healed(CONNECTION, NO_FIRST_MAP)
        since = self.connection.ledger.map_since
        if since is not None and now.boottime - since >= CALM:
            self._patterns.calm()
            for code in PATTERNS:
                self._healed(CONNECTION, code)

    def _verdict(self, verdict: internal_pb2.Verdict, now: Now) -> None:
        child = self.children[CONNECTION]
        session = self.connection.ledger.session
        if not child.alive or verdict.generation != child.generation or verdict.session < session:
            self.foreign += 1
            return
        if verdict.reason == PUBLISHER_PAUSED:
            # One that came later cannot have taken nothing for so long, and one that goes on with a long map is left to
            # it; it is said again if it goes on.
            up_for = self.children[PUBLISHER].up_for(now.boottime) or 0.0
            if up_for >= PAUSE_LIMIT and not self._applying:
                self._move(self.children[PUBLISHER], ChildEvent.KILL, now, PUBLISHER_PAUSED)
            return
        if verdict.reason == EndReason.SILENCE and child.state is not ChildState.KILLED:
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
