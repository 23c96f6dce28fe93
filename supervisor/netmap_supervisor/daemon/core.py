"""The supervisor of this product as a machine: messages of its children, and what follows for the control connection.

What holds for children of any kind is left to the `ChildTree`. The core never waits, reads a clock or touches a
process: the shell reports what happened, carries the commands out in order and calls `expire` at `deadline()`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec

from netmap_actors.exit_reason import ExitReason
from netmap_actors.wire import internal_pb2
from netmap_actors.wire.vocabulary import PUBLISHER_PAUSED, ActorName, EndReason, Stage
from netmap_supervisor.connection.early_starts import EarlyStarts
from netmap_supervisor.connection.messages import LookForRoute, Reconnect
from netmap_supervisor.connection.patterns import CALM, NO_FIRST_MAP, PATTERNS, SessionPatterns
from netmap_supervisor.connection.policy import KEY_CHANGED, ConnectionPolicy
from netmap_supervisor.connection.probe_schedule import ProbeSchedule
from netmap_supervisor.connection.questions import Questions, Situation
from netmap_supervisor.connection.suspicion import INTERVAL
from netmap_supervisor.connection.verdicts import comes_too_early
from netmap_supervisor.daemon.figures import bounded
from netmap_supervisor.supervision.child_machine import ChildEvent, ChildState
from netmap_supervisor.supervision.child_tree import TICK, ChildTree, Death
from netmap_supervisor.supervision.messages import (
    ChildMessage,
    CodeOnDisk,
    Exited,
    Now,
    Spawn,
    Spawned,
    Stop,
    Waited,
)
from netmap_supervisor.supervision.restart_policy import Escalate, Leave, RestartAfter
from netmap_supervisor.system.routes import Route

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from google.protobuf.message import Message

    from netmap_supervisor.connection.history import End
    from netmap_supervisor.connection.policy import AfterEnd
    from netmap_supervisor.supervision.child_machine import ChildMachine
    from netmap_supervisor.supervision.child_spec import ChildSpec, SupervisorFlags
    from netmap_supervisor.supervision.messages import TreeCommand
    from netmap_supervisor.supervision.restart_policy import RestartDecision

    Input = Spawned | Exited | ChildMessage | Reconnect | Stop | Route | Waited | CodeOnDisk
    Command = TreeCommand | LookForRoute

__all__ = ["CONNECTION", "LIVENESS", "PUBLISHER", "SupervisorCore"]

CONNECTION, PUBLISHER, LIVENESS = ActorName.CONNECTION, ActorName.PUBLISHER, ActorName.LIVENESS
_WATCHERS = (PUBLISHER, LIVENESS)
"""They keep state about the connection."""
SLEPT = 2.0
"""Seconds by which CLOCK_BOOTTIME has to run ahead of CLOCK_MONOTONIC for the machine to have slept."""
NO_ROUTE_PACE = 300.0
"""Seconds between two tries while there is no route to the server: we may be wrong about it."""
_BEFORE_CONNECTED = frozenset({Stage.RESOLVE, Stage.CONNECT})
_ATTEMPT = _BEFORE_CONNECTED | {Stage.HANDSHAKE, Stage.REGISTER}
"""Stages of an attempt that has looked for the server and may come to nothing."""


class SupervisorCore:
    """One run; `specs` holds the three children named above, and any others.

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
        self.tree = ChildTree(specs, flags, jitter, tick=tick)
        self._child = self.tree.children[CONNECTION]
        """The control connection's."""
        self._out: list[Command] = []
        schedule = ProbeSchedule(truth_interval=truth_interval, probe_interval=probe_interval, jitter=jitter)
        self._questions = Questions(schedule, probe_timeout)
        self.probe_timeout = probe_timeout
        """Of the connections to come."""
        self._patterns = SessionPatterns()
        self._route: str | None = ""
        """To the server; empty while it is not known, None for none."""
        self._elsewhere: str | None = None
        """Without one: to the rest of the world, where the server may have other addresses."""
        self._early_starts = EarlyStarts()
        self._doubt: tuple[EndReason, float, bool] = (EndReason.LINK, float("-inf"), False)
        """The last sleep or change of the network, when it was seen, and whether attempts may have been in vain."""
        self._ordered = False
        """An operator waits for the next start."""
        self._clock_gap: float | None = None
        self.wakes = 0
        self.links = 0
        self._time_namespace = time_namespace
        self.connection = ConnectionPolicy(jitter)
        self._applying = False
        """Between its last two heartbeats the publisher went on with a map that takes more than a moment."""
        self.heartbeats: dict[str, internal_pb2.Heartbeat] = {}
        """The newest of each actor; kept after its death."""
        self.heard_from: dict[str, int] = {}
        """The generation it is from."""

    def start(self, now: Now) -> list[Command]:
        """Begin."""
        self.tree.start(now)
        return self._commands(now)

    def receive(self, happened: Input, now: Now) -> list[Command]:
        """Take in one thing that happened."""
        self.tree.note_clocks(now)
        self._look_for_sleep(now)
        match happened:
            case Spawned():
                self.tree.spawned(happened)
            case Exited():
                self._exited(happened, now)
            case ChildMessage(envelope):
                self._message(envelope, now)
            case Reconnect():
                self._reconnect(now)
            case Route():
                self._route_is(happened, now)
            case Stop(reason):
                self.tree.stop(reason, 0, now)
            case Waited():
                self.tree.waited(happened)
            case CodeOnDisk(changed):
                self.tree.code_on_disk(now, changed=changed)
        return self._commands(now)

    def _commands(self, now: Now) -> list[Command]:
        self._collect(now)
        out, self._out = self._out, []
        return out

    def _collect(self, now: Now) -> None:
        """Take over the tree's commands. To be called before anything depends on a connection that may have started."""
        for command in self.tree.take():
            if isinstance(command, Spawn) and command.actor == CONNECTION:
                self._early_starts.started(now.boottime)
                self._ordered, self._questions.timeout = False, self.probe_timeout
                start = self.connection.started(command.generation, now)
                # Its watchers know of it before its first message.
                self._tell_watchers(internal_pb2.ConnectionStarted(generation=command.generation))
                self._out += [*self.tree.take(), msgspec.structs.replace(command, start=start)]
            else:
                self._out.append(command)

    def _look_for_route(self, now: Now) -> None:
        """The answer is taken in as soon as this is carried out: after everything that was decided before."""
        self._collect(now)
        self._out.append(LookForRoute())

    @staticmethod
    def wants_route(message: ChildMessage) -> bool:
        """Whether the kernel is to be asked for the route before this is received: it may have gone unnoticed."""
        said = message.envelope
        return said.WhichOneof("body") == "probe_result" and not said.probe_result.answered

    # Time

    def deadline(self) -> float | None:
        """When `expire` is to be called next, seconds of CLOCK_BOOTTIME; None once everything is gone."""
        due = (self.tree.deadline(), self._questions.deadline(), self._early_starts.deadline())
        return None if due[0] is None else min(at for at in due if at is not None)

    def expire(self, now: Now) -> list[Command]:
        """Look at the clock. To be called at the deadline, after everything that waits was taken in."""
        if now.boottime >= self.tree.tick_at:
            # A notification saves time, and may be missing.
            self._look_for_route(now)
        self.tree.expire(now)
        self._collect(now)
        self._look_for_sleep(now)
        reason = self._questions.expire(self._here, now.boottime)
        self._put_questions()
        if reason:
            self._probe_failed(reason, now)
        if self._early_starts.expired(now.boottime) and self.connection.ledger.stage in _BEFORE_CONNECTED:
            self.tree.move(self._child, ChildEvent.KILL, now, EndReason.LINK.value)
        return self._commands(now)

    def _look_for_sleep(self, now: Now) -> None:
        gap, self._clock_gap = self._clock_gap, now.boottime - now.monotonic
        if gap is None or self._clock_gap - gap <= SLEPT:
            return
        self.wakes += 1
        self.tree.log("info", "wake_detected", slept_s=round(self._clock_gap - gap, 3))
        self._doubt = (EndReason.WAKE, now.boottime, True)
        self._suspect(now)
        self._look_for_route(now)

    @property
    def _no_way(self) -> bool:
        """An attempt would be in vain, as far as is known."""
        return self._route is None and self._elsewhere is None

    def _route_is(self, route: Route, now: Now) -> None:
        before, self._route = self._route, route.text
        elsewhere, self._elsewhere = self._elsewhere, route.elsewhere
        if self._no_way:
            self._early_starts.lost()
            if self._child.state is ChildState.BACKOFF and not self._ordered:
                self._child.due = max(self._child.due or 0.0, now.boottime + NO_ROUTE_PACE)
        if route.aimed:
            return
        if "" not in {before, route.text} and route.text != before:
            self.links += 1
            self.tree.log("info", "link_changed", route=route.text or "none", before=before or "none")
            self._doubt = (EndReason.LINK, now.boottime, before is None)
            self._suspect(now)
        elif route.elsewhere not in {None, elsewhere}:
            # Another network than that of the last lookup: the next one may find other addresses.
            self._start_early(now, anew=True)

    def _suspect(self, now: Now) -> None:
        """The connection may be dead, and what the next attempt waits for may have come."""
        reason, _, anew = self._doubt
        stage = self.connection.ledger.stage
        if stage in {Stage.MAP, Stage.LOGIN} and self._child.alive:
            truth = reason is EndReason.WAKE and stage == Stage.MAP
            self._questions.suspect(reason.value, self._here, now.boottime, truth=truth)
            self._put_questions()
        elif not self._no_way:
            self._start_early(now, anew=anew)

    @property
    def _here(self) -> Situation:
        generation, session = self._child.generation, self.connection.ledger.session
        return Situation(generation, session, self.wakes, self.links, self._route is not None)

    def _put_questions(self) -> None:
        for put in self._questions.take():
            if isinstance(put.body, internal_pb2.Probe) and not put.again:
                level = "debug" if put.body.reason == INTERVAL else "info"
                self.tree.log(level, "probe_sent", self._child, reason=put.body.reason)
            self.tree.tell(CONNECTION, put.body)

    def _start_early(self, now: Now, *, anew: bool) -> None:
        """Start the next attempt before its turn, at most once in a while.

        `anew`: an attempt that has not found the server yet may have looked for it in vain.
        """
        child = self._child
        at = self._early_starts.at(now.boottime, self.connection.schedule.held_until)
        if child.state is ChildState.BACKOFF and child.due is not None and child.due > at:
            self._early_starts.pulled()
            child.due = at
            if at <= now.boottime:
                self.tree.move(child, ChildEvent.START, now)
        elif anew and child.alive and self.connection.ledger.stage in _ATTEMPT:
            self._early_starts.in_vain(child.generation, at)

    # Processes

    def _ready(self, child: ChildMachine, now: Now) -> None:
        if child.spec.name in _WATCHERS and child.state is ChildState.STARTING:
            standing = self.connection.ledger.standing(alive=self._child.alive)
            if standing is not None:
                self.tree.tell(child.spec.name, standing)
        self.tree.move(child, ChildEvent.READY, now)

    def _exited(self, exited: Exited, now: Now) -> None:
        death = self.tree.exited(exited, now)
        if death is None:
            return
        if exited.actor == CONNECTION:
            decision = self._connection_ended(death, now)
        else:
            decision = Leave() if death.ordered else self.tree.decide(death, now)
        self.tree.follow(death, decision, now)

    def _connection_ended(self, death: Death, now: Now) -> RestartDecision:
        suspected = bool(self._questions.suspected)
        self._questions.ended()
        after = self.connection.ended(death, now, suspected=suspected)
        end = after.end
        self._tell_watchers(end.message())
        decision = self._next(death, after, now)
        fields: dict[str, object] = {"pid": death.pid, "reason": end.reason.value, "stage": end.stage}
        fields |= {"session": end.session, "lived_s": round(end.lived, 3)}
        if isinstance(decision, RestartAfter):
            fields["next_attempt_s"] = round(decision.delay, 3)
        detail = None if death.ordered else end.detail
        self.tree.log("info", "session_ended", self._child, **fields, detail=detail)
        if death.ordered:
            return decision
        if end.reason is EndReason.REMOVED:
            self.tree.log("warning", "node_removed", self._child, detail=end.detail)
        self._note_pattern(end, now)
        if death.reason is ExitReason.KEY_CHANGED and not death.killed_for:
            self.tree.degraded(CONNECTION, KEY_CHANGED, end.detail, now)
        return decision

    def _next(self, death: Death, after: AfterEnd, now: Now) -> RestartDecision:
        """When the next one starts, with what is known of the way to the server."""
        if death.ordered:
            return Leave()
        if after.run_ends is not None:
            why = after.end.detail or f"cannot go on: the connection ended: {death.reason.value}"
            return Escalate(after.run_ends, why)
        delay = after.delay
        if after.fault is not None:
            decision = self.tree.decide(death, now, after.fault)
            delay = max(delay, decision.delay if isinstance(decision, RestartAfter) else 0.0)
        # The route may have gone unnoticed, and the connection with it.
        self._look_for_route(now)
        if self._ordered:
            delay = 0.0
        elif self._no_way:
            delay = max(delay, NO_ROUTE_PACE)
        elif not after.end.had_map and self._early_starts.began_in_vain(self._child.generation):
            self._early_starts.pulled()
            early = self._early_starts.at(now.boottime, self.connection.schedule.held_until)
            delay = min(delay, early - now.boottime)
        return RestartAfter(delay)

    def _note_pattern(self, end: End, now: Now) -> None:
        found = self._patterns.ended(end)
        for code in PATTERNS:
            if found is not None and found.code == code:
                self.tree.degraded(CONNECTION, code, found.text, now)
            else:
                self.tree.healed(CONNECTION, code)

    def _reconnect(self, now: Now) -> None:
        if self.tree.stopping:
            return
        child = self._child
        self.connection.schedule.forget()
        self._ordered = True
        if child.state is ChildState.BACKOFF:
            self.tree.move(child, ChildEvent.START, now)
        else:
            self.tree.move(child, ChildEvent.KILL, now, EndReason.OPERATOR.value)

    # Messages

    def _message(self, envelope: internal_pb2.Envelope, now: Now) -> None:
        child = self.tree.children.get(envelope.actor)
        if child is None or envelope.incarnation != child.generation or not child.alive:
            self.tree.foreign += 1
            return
        match envelope.actor, envelope.WhichOneof("body"):
            case _, "hello":
                self._hello(child, envelope.hello, now)
            case _, "ready":
                self._ready(child, now)
            case name, "heartbeat":
                child.heartbeat(envelope.heartbeat.rss_bytes, now.monotonic)
                before = self.heartbeats.get(name, internal_pb2.Heartbeat())
                self.heartbeats[name] = bounded(envelope.heartbeat)
                self.heard_from[name] = envelope.incarnation
                if name == PUBLISHER:
                    self._applying = envelope.heartbeat.counters["slices"] > before.counters["slices"]
                    self._published(envelope.heartbeat.publisher, now)
            case name, "degraded" if envelope.degraded.active:
                self.tree.degraded(name, envelope.degraded.code, envelope.degraded.text, now, owner=name)
            case name, "degraded":
                self.tree.healed(name, envelope.degraded.code, owner=name)
            case ActorName.LIVENESS | ActorName.PUBLISHER, "verdict":
                # The publisher's: a document passed the connection's gate and is no MapResponse all the same.
                self._verdict(envelope.verdict, now)
            case ActorName.PUBLISHER, "resync":
                self._resync(envelope.resync)
            case ActorName.CONNECTION, "probe_result":
                self._probe_result(envelope.probe_result, now)
            case ActorName.CONNECTION, _:
                self._connection_message(envelope, now)
            case _, body:
                self.tree.log("warning", "unexpected_message", child, body=body)

    def _hello(self, child: ChildMachine, hello: internal_pb2.Hello, now: Now) -> None:
        child.said_hello = True
        if hello.time_namespace != self._time_namespace:
            # Its clock may differ from ours, and every deadline with it.
            self.tree.log("error", "foreign_time_namespace", child, detail=hello.time_namespace)
            self.tree.move(child, ChildEvent.KILL, now, "foreign_time_namespace")

    def _connection_message(self, envelope: internal_pb2.Envelope, now: Now) -> None:
        ledger = self.connection.ledger
        match envelope.WhichOneof("body"):
            case "stage_entered":
                self._stage_entered(envelope.stage_entered, now)
            case "connection_info":
                ledger.connected(envelope.connection_info)
                if old := envelope.connection_info.previous_hostname:
                    new = envelope.connection_info.hostname
                    self.tree.log("warning", "hostname_changed", self._child, previous=old, hostname=new)
            case "registered":
                ledger.registered(envelope.registered)
            case "login_needed":
                url = envelope.login_needed.url
                if url and url != ledger.auth_url:
                    self.tree.log("warning", "login_needed", self._child, url=url)
                ledger.auth_url = url
            case "session_ended":
                ledger.last_words(envelope.session_ended)
            case "truth_probe":
                # Removed or expired: the connection ends by itself. A missing answer is never a verdict.
                outcome, detail = envelope.truth_probe.outcome, envelope.truth_probe.detail or None
                self.tree.log("info", "truth_probe", self._child, outcome=outcome, detail=detail)
            case body:
                self.tree.log("warning", "unexpected_message", self._child, body=body)

    def _stage_entered(self, entered: internal_pb2.StageEntered, now: Now) -> None:
        ledger = self.connection.ledger
        before = ledger.stage
        if self.connection.stage_entered(entered):
            self.tree.healed(CONNECTION, KEY_CHANGED)
            self.tree.log("info", "map_session_started", self._child, **ledger.map_session)
        if before != Stage.LOGIN == ledger.stage:
            self._questions.schedule.login_began(now.boottime)
        elif before == Stage.LOGIN != ledger.stage:
            self._questions.schedule.login_ended()
        if entered.since < self._doubt[1]:
            # It had got that far before, and its message waited while this process did.
            self._suspect(now)
        # Another session, maybe: what is known of the one before says nothing of it.
        self._questions.look(self._here, now.boottime)
        self._put_questions()

    def _resync(self, resync: internal_pb2.Resync) -> None:
        """Of a connection that is gone nothing can be sent again; before a session the whole map is still to come."""
        if resync.generation not in {0, self._child.generation}:
            self.tree.foreign += 1
        elif self.connection.ledger.stage == Stage.MAP:
            self.tree.tell(CONNECTION, resync)

    def _probe_result(self, result: internal_pb2.ProbeResult, now: Now) -> None:
        reason = self._questions.concluded(result, self._here)
        if not reason:
            self.tree.foreign += 1
        elif not result.answered:
            self._probe_failed(EndReason.CLOSED.value if reason == INTERVAL else reason, now)
        else:
            level, took = "debug" if reason == INTERVAL else "info", round(result.round_trip, 4)
            self.tree.log(level, "probe_answered", self._child, round_trip=took, reason=reason)
            self._put_questions()

    def _probe_failed(self, reason: str, now: Now) -> None:
        self.tree.log("warning", "probe_failed", self._child, timeout=self._questions.timeout, reason=reason)
        self.tree.move(self._child, ChildEvent.KILL, now, reason)

    def _published(self, statistics: internal_pb2.PublisherStatistics, now: Now) -> None:
        connection = self._child
        if connection.alive and self.connection.ledger.published(statistics):
            self._questions.schedule.session_began(now.boottime)
            took = round(now.boottime - connection.started_at, 3)
            self.tree.log("info", "first_netmap", connection, peers=statistics.peers, took_s=took)
            self._patterns.fed()
            self.tree.healed(CONNECTION, NO_FIRST_MAP)
        since = self.connection.ledger.map_since
        if since is not None and now.boottime - since >= CALM:
            self._patterns.calm()
            for code in PATTERNS:
                self.tree.healed(CONNECTION, code)

    def _verdict(self, verdict: internal_pb2.Verdict, now: Now) -> None:
        child, session = self._child, self.connection.ledger.session
        if not child.alive or verdict.generation != child.generation or verdict.session < session:
            self.tree.foreign += 1
            return
        server, publisher = self.tree.children.get(ActorName.DEV_CONTROL), self.tree.children[PUBLISHER]
        if comes_too_early(
            verdict,
            publisher_up_for=publisher.up_for(now.boottime) or 0.0,
            applying=self._applying,
            server_up_for=math.inf if server is None else server.up_for(now.boottime) or 0.0,
        ):
            return
        if verdict.reason == PUBLISHER_PAUSED:
            self.tree.move(publisher, ChildEvent.KILL, now, PUBLISHER_PAUSED)
            return
        if child.state is not ChildState.KILLED:
            if verdict.reason == EndReason.SILENCE.value:
                told, silent_for = verdict.session, round(verdict.silent_for, 3)
                self.tree.log("warning", "silence_detected", child, silent_for=silent_for, session=told)
            self.connection.ledger.judged(verdict)
        self.tree.move(child, ChildEvent.KILL, now, verdict.reason)

    def _tell_watchers(self, body: Message) -> None:
        for name in _WATCHERS:
            self.tree.tell(name, body)
