"""The Supervisor's core with simulated processes, clocks and messages."""

from __future__ import annotations

import random
from typing import Any

from netmap_actors.exit_reason import ExitReason, status_of
from netmap_actors.wire import internal_pb2
from netmap_supervisor.connection.messages import LookForRoute, Reconnect
from netmap_supervisor.daemon.core import SupervisorCore
from netmap_supervisor.supervision.child_spec import ChildSpec, SupervisorFlags
from netmap_supervisor.supervision.messages import (
    ChildMessage,
    Exit,
    Exited,
    Kill,
    LogEvent,
    Now,
    Send,
    Spawn,
    Spawned,
    Stop,
    Terminate,
    Up,
)
from netmap_supervisor.system.routes import ControlRoutes, Route

NAMES = ("dev_control", "publisher", "liveness", "control_connection")
BODY = {
    field.message_type.name: field.name
    for field in internal_pb2.Envelope.DESCRIPTOR.oneofs_by_name["body"].fields
}


class SimulatedKernel:
    """The routes of one machine: a default one for each family, and others."""

    ELSEWHERE = ("198.41.0.4", "2001:503:ba3e::2:30")

    def __init__(self) -> None:
        self.default: dict[bool, str | None] = {False: "eth0 via 192.0.2.254", True: "eth0 via fe80::1"}
        """IPv6 or not -> the way."""
        self.own: dict[str, str] = {}
        """Address -> the way of a VPN."""

    def ask(self, host: str) -> str | None:
        return self.own.get(host) or self.default[":" in host]

    def elsewhere(self) -> tuple[str, ...]:
        return self.ELSEWHERE


class SimulatedShell:
    """Carries out commands against simulated processes; asserts what must hold after each of them."""

    def __init__(self, names=NAMES, *, jitter=None, flags=None, specs=None, kernel=None, **core) -> None:
        self.boottime, self.monotonic, self.wall = 10_000.3, 5_000.3, 1_700_000_000.0
        specs = specs or [ChildSpec(name=name) for name in names]
        self.core = SupervisorCore(
            specs, flags or SupervisorFlags(), jitter or random.Random(1).random, **core
        )
        self.processes: dict[str, int] = {}
        """Actor -> generation of its process, dead or alive, until it is reaped."""
        self.killed: set[str] = set()
        self.starts: list[tuple[float, str, int]] = []
        self.connection_starts = []
        self.sent: list[tuple[str, str, object]] = []
        self.standing: dict[str, tuple[str, int]] = {}
        """Actor -> what its present process was last told of the connection, and of which generation."""
        self.logs: list[tuple[str, dict]] = []
        self.asked: list[str] = []
        self.exit: int | None = None
        self.up = False
        self.beats = True
        self.spawns_fail = False
        self.answers_probes = False
        """Each at once; off: the connection says after the probe's time that there was no answer."""
        self.mute = False
        """The connection says nothing of probes: it does not read, or has no processor."""
        self._unanswered: list[tuple[float, int, int]] = []
        """(when its time is over, token, generation) of each probe without an answer."""
        self.reaps = True
        """SIGKILL ends a process at once."""
        self.unspawnable: set[str] = set()
        """Those whose spawn fails, though the others' do not."""
        self._unborn: set[tuple[str, int]] = set()
        """(actor, generation) whose spawn failed and whose end is not told yet."""
        self.silent: set[str] = set()
        """Those who do not beat, though the others do."""
        self.obedient = False
        """Who is asked to stop does so at once."""
        self.spawned_at: dict[str, float] = {}
        self.heard_at: dict[str, float] = {}
        """CLOCK_MONOTONIC of each process's start, and of its Ready or last heartbeat."""
        self.verdicts: set[tuple[int, str]] = set()
        """(generation, reason) of those that fell."""
        self.kills: list[tuple[str, int, str]] = []
        """(actor, generation, why)."""
        self.way: str | None = ""
        """To the control server, as the kernel would say; empty: not asked."""
        self._told_way: str | None = ""
        self.looks = 0
        self.routes = None if kernel is None else ControlRoutes(kernel.ask, kernel.elsewhere)
        self._depth = 0
        self._later: list = []

    # Driving

    def start(self) -> SimulatedShell:
        self.perform(self.core.start(self.now))
        return self

    def started(self) -> SimulatedShell:
        """Everything came up."""
        self.start()
        for name in list(self.core.tree.children):
            self.ready(name)
        return self

    @property
    def now(self) -> Now:
        return Now(self.boottime, self.monotonic, self.wall)

    def feed(self, happened) -> None:
        self.perform(self.core.receive(happened, self.now))

    def word(self, actor: str, body, generation: int | None = None) -> None:
        envelope = internal_pb2.Envelope(
            version=1,
            actor=actor,
            incarnation=self.processes.get(actor, 0) if generation is None else generation,
        )
        getattr(envelope, BODY[type(body).__name__]).CopyFrom(body)
        if isinstance(body, internal_pb2.Heartbeat | internal_pb2.Ready):
            self.heard_at[actor] = self.monotonic
        self.feed(ChildMessage(envelope))
        if self.routes is not None:
            ledger = self.core.connection.ledger
            self._told(self.routes.aim(*ledger.lookup, ledger.remote_address))

    def ready(self, actor: str) -> None:
        self.word(actor, internal_pb2.Hello(pid=1))
        self.word(actor, internal_pb2.Ready())
        self.word(actor, internal_pb2.Heartbeat(number=1, rss_bytes=1))

    def end(self, actor: str, reason: ExitReason = ExitReason.CRASHED, signal: int | None = None) -> None:
        """The process ends and is reaped."""
        generation = self.processes.pop(actor)
        self.killed.discard(actor)
        self.feed(Exited(actor, generation, None if signal else status_of(reason), signal))

    def _stillborn(self, actor: str, generation: int) -> None:
        self._unborn.discard((actor, generation))
        self.feed(Exited(actor, generation, None, detail="no memory"))

    def _reap(self, actor: str, generation: int) -> None:
        if self.processes.get(actor) == generation:
            self.end(actor, signal=9)

    def session(self, generation: int | None = None, session: int = 1, *, full: bool = True) -> None:
        """control_connection has a map session, and the publisher its full map."""
        generation = self.processes["control_connection"] if generation is None else generation
        self.word(
            "control_connection",
            internal_pb2.StageEntered(
                generation=generation, session=session, stage="map", since=self.boottime
            ),
        )
        if full:
            figures = internal_pb2.PublisherStatistics(state="fresh", generation=generation, peers=3)
            self.word("publisher", internal_pb2.Heartbeat(rss_bytes=1, publisher=figures))

    def verdict(self, reason: str = "silence", generation: int | None = None, session: int = 1) -> None:
        generation = self.processes["control_connection"] if generation is None else generation
        self.verdicts.add((generation, reason))
        self.word(
            "liveness",
            internal_pb2.Verdict(
                generation=generation, session=session, stage="map", silent_for=120.2, reason=reason
            ),
        )

    def probe_result(self, token: int, *, answered: bool = True) -> None:
        """What control_connection says of a probe."""
        generation = self.processes["control_connection"]
        self.word(
            "control_connection",
            internal_pb2.ProbeResult(token=token, generation=generation, answered=answered, round_trip=0.02),
        )

    def route(self, text: str | None) -> None:
        """The way to the server is known, or another one."""
        self.feed(Route(text))

    def way_is(self, text: str | None, *, told: bool = True) -> None:
        """The kernel knows another way, or none; `told`: and gives notice of it."""
        self.way = text
        if told:
            self.look()

    def look(self) -> None:
        """The kernel gave notice, or is asked."""
        if self.routes is not None:
            self._told(self.routes.look())
        elif self.way != self._told_way:
            self._told_way = self.way
            self.route(self.way)

    def _told(self, route: Route | None) -> None:
        if route is not None:
            self.feed(route)

    def reconnect(self) -> None:
        self.feed(Reconnect())

    def stop(self) -> None:
        self.feed(Stop("test"))

    def advance(self, seconds: float, *, until=lambda: False, auto_ready: bool = True) -> None:
        """Let time pass; the core is called at its deadlines, living children beat every 5 s."""
        end = self.boottime + seconds
        while not until():
            deadline = self.core.deadline()
            beat_at = (self.boottime // 5.0 + 1) * 5.0
            told_at = min((at for at, _, _ in self._unanswered), default=end)
            at = min(end, beat_at, *(max(t, self.boottime) for t in (deadline or end, told_at)))
            self._pass(at - self.boottime)
            # Sums round; a clock that is a hair past its deadline is what a real one would be.
            self.boottime = max(self.boottime, at)
            self.monotonic += 1e-6
            if at == beat_at and self.beats:
                self.beat()
            if deadline is not None and self.boottime >= deadline:
                self.perform(self.core.expire(self.now))
            self._tell_unanswered()
            if auto_ready:
                self.make_ready()
            if at >= end:
                return

    def _tell_unanswered(self) -> None:
        over = [one for one in self._unanswered if one[0] <= self.boottime]
        self._unanswered = [one for one in self._unanswered if one[0] > self.boottime]
        for _, token, generation in over:
            if self.processes.get("control_connection") == generation:
                self.probe_result(token, answered=False)

    def beat(self) -> None:
        for name in list(self.processes):
            if name not in self.killed and name not in self.silent:
                self.word(name, internal_pb2.Heartbeat(rss_bytes=1))

    def make_ready(self) -> None:
        for name, child in self.core.tree.children.items():
            if child.state.value == "starting" and name in self.processes and name not in self.killed:
                self.ready(name)

    def suspend(self, seconds: float) -> None:
        """The machine sleeps: CLOCK_MONOTONIC stands still."""
        self.boottime += seconds
        self.wall += seconds

    def stopped_for(self, seconds: float) -> None:
        """The Supervisor alone is held by SIGSTOP, then looks at the clock."""
        self._pass(seconds)
        self.perform(self.core.expire(self.now))

    def _pass(self, seconds: float) -> None:
        self.boottime += seconds
        self.monotonic += seconds
        self.wall += seconds

    # Carrying out

    def perform(self, commands) -> None:
        """As the real shell: what a command brings about is heard of once all of them are carried out."""
        self._depth += 1
        for command in commands:
            self._carry_out(command)
        self._depth -= 1
        while not self._depth and self._later:
            self._later.pop(0)()

    def _carry_out(self, command) -> None:
        match command:
            case Spawn(actor, generation, connection):
                assert actor not in self.processes, f"{actor} is spawned while its process is not reaped"
                assert not self.core.tree.stopping
                if actor == "control_connection":
                    self.connection_starts.append(connection)
                self.starts.append((self.boottime, actor, generation))
                self.standing.pop(actor, None)
                if self.spawns_fail or actor in self.unspawnable:
                    self._unborn.add((actor, generation))
                    self._later.append(lambda: self._stillborn(actor, generation))
                else:
                    self.processes[actor] = generation
                    self.spawned_at[actor] = self.heard_at[actor] = self.monotonic
                    self.feed(Spawned(actor, generation, 100 + len(self.starts)))
            case Kill(actor, generation) | Terminate(actor, generation) if (
                actor,
                generation,
            ) in self._unborn:
                pass  # there is nothing a signal could reach
            case Kill(actor, generation):
                assert self.processes.get(actor) == generation
                self._check_kill(actor, generation)
                self.killed.add(actor)
                if self.reaps:
                    self._later.append(lambda: self._reap(actor, generation))
            case Terminate(actor, generation):
                assert self.processes.get(actor) == generation
                self._ask(actor)
            case Send(actor, body):
                assert actor in self.processes, f"{actor} has no process to hear {body}"
                if isinstance(body, internal_pb2.Stop):
                    self._ask(actor)
                self.sent.append((actor, type(body).__name__, body))
                if isinstance(body, internal_pb2.ConnectionStarted | internal_pb2.SessionEnded):
                    self.standing[actor] = (type(body).__name__, body.generation)
                if isinstance(body, internal_pb2.Probe):
                    self._hear_probe(body)
            case LogEvent(_, event, fields):
                self.logs.append((event, dict(fields)))
            case Up():
                assert not self.up
                self.up = True
            case LookForRoute():
                self.looks += 1
                self._later.append(self.look)
            case Exit(code):
                assert self.exit is None
                assert not self.processes, "the run ends after every process did"
                self.exit = code

    def _hear_probe(self, probe: internal_pb2.Probe) -> None:
        generation = self.processes["control_connection"]

        def answer() -> None:
            if self.processes.get("control_connection") == generation:
                self.probe_result(probe.token)

        if self.answers_probes:
            self._later.append(answer)
        elif not self.mute:
            self._unanswered.append((self.boottime + probe.timeout, probe.token, generation))

    def _ask(self, actor: str) -> None:
        self.asked.append(actor)
        if self.obedient:
            self._later.append(lambda: self.end(actor, ExitReason.NORMAL))

    def _check_kill(self, actor: str, generation: int) -> None:
        """No process is killed for missing heartbeats before its limit, on CLOCK_MONOTONIC."""
        child = self.core.tree.children[actor]
        why = child.ended_because
        self.kills.append((actor, generation, why))
        judged = actor == "control_connection" and (generation, why) in self.verdicts
        if why == "hung" and not judged:
            if child.ready_at is None:
                limit, since = child.spec.start_limit, self.spawned_at[actor]
            else:
                limit, since = child.spec.heartbeat_limit, self.heard_at[actor]
            quiet = self.monotonic - since
            assert quiet >= limit - 1e-3, f"{actor} is killed after {quiet} s of {limit}"

    # Looking

    def events(self, name: str, **fields) -> list[dict]:
        return [seen for event, seen in self.logs if event == name and fields.items() <= seen.items()]

    def generation(self, actor: str) -> int:
        return self.core.tree.children[actor].generation

    def degraded(self) -> list[str]:
        return [condition.code for condition in self.core.tree.conditions.all()]


def running(**options: Any) -> SimulatedShell:
    """Everything is up and a good session is an hour old."""
    shell = SimulatedShell(**options).started()
    shell.session()
    shell.advance(3600.0)
    shell.sent.clear()
    shell.logs.clear()
    return shell
