"""OTP's supervisor as a machine: children start together, are restarted by their specification, and stop one by one.

It knows processes, limits and conditions, and nothing of what the children do. It never waits, reads a clock or
touches a process: its owner reports what happened and the time, and takes the commands (`take`).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec

from netmap_actors.exit_reason import ExitReason, from_wait_status, status_of
from netmap_actors.wire import internal_pb2
from netmap_supervisor.supervision.child_machine import Action, ChildEvent, ChildMachine, ChildState
from netmap_supervisor.supervision.child_spec import Restart, check_child_specs
from netmap_supervisor.supervision.conditions import Conditions
from netmap_supervisor.supervision.messages import (
    Exit,
    Exited,
    Kill,
    LogEvent,
    Now,
    Send,
    Spawn,
    Spawned,
    Terminate,
    TreeCommand,
    Up,
    Waited,
)
from netmap_supervisor.supervision.restart_policy import Escalate, History, RestartAfter, decide
from netmap_supervisor.supervision.strategy import affected, start_order, stop_order

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from google.protobuf.message import Message

    from netmap_supervisor.supervision.child_spec import ChildSpec, SupervisorFlags
    from netmap_supervisor.supervision.restart_policy import RestartDecision

__all__ = [
    "FLAPPING",
    "HUNG",
    "LATE",
    "NOT_REAPED",
    "SUPERVISOR",
    "TICK",
    "VERSION_MISMATCH",
    "ChildTree",
    "Death",
]

SUPERVISOR = "supervisor"
TICK = 5.0
"""Seconds between two ticks, at the multiples of the clock at which heartbeats come."""
LATE = 1.0
"""Seconds by which a tick may be late; after more, every child gets a full new limit."""

HUNG = "hung"
"""Why a child is killed that is not up in time, or sends no heartbeat."""
FLAPPING = "actor_flapping"
"""Code of the condition shown while a child keeps dying."""
NOT_REAPED = "not_reaped"
"""Code of the condition shown while SIGKILL did not end a child."""

VERSION_MISMATCH = "version_mismatch"
"""Code of the condition shown while the program on disk is another one than the one that runs."""
_MISMATCH = (
    "the program on disk is another one than the one that runs, and a process started anew may not fit the others: "
    "restart the daemon"
)


class Death(msgspec.Struct, frozen=True):
    """The end of one process."""

    child: ChildMachine
    pid: int | None
    reason: ExitReason
    """What its status says."""
    killed_for: str
    """Why it was killed; empty when it ended by itself."""
    up_for: float | None
    """Seconds since Ready; None when it never was."""
    detail: str
    """Why it could not be spawned."""
    said: str
    """Why, as the process itself reported, or `detail`."""
    ordered: bool
    """It was asked to stop, or would have been."""


class ChildTree:
    """The children of one run. `jitter()` gives a number in [0, 1)."""

    def __init__(
        self,
        specs: Sequence[ChildSpec],
        flags: SupervisorFlags,
        jitter: Callable[[], float],
        *,
        tick: float = TICK,
    ) -> None:
        check_child_specs(flags, specs)
        self._flags = flags
        self._jitter = jitter
        self._tick = tick
        self.tick_at = 0.0
        """When all children are looked at next, seconds of CLOCK_BOOTTIME."""
        self._monotonic_offset = 0.0
        self._offset_at_tick = 0.0
        """`_monotonic_offset` when the next tick was planned: what it has grown by since, the machine slept."""
        self.children = {spec.name: ChildMachine(spec) for spec in specs}
        self.conditions = Conditions()
        self.foreign = 0
        """Messages and ends of processes that do not count (any more)."""
        self.stopping = False
        self.exit_code = 0
        self._why = ""
        """Of the run's end, for a person."""
        self._history = {spec.name: History() for spec in specs}
        self._stops: list[str] = []
        """Children still to be stopped, in order."""
        self._group: tuple[str, ...] = ()
        """Children to be started at `_group_due`, once `_stops` is empty."""
        self._group_due = 0.0
        self.was_up = False
        """Every child was up once."""
        self._out: list[TreeCommand] = []

    # Time

    def note_clocks(self, now: Now) -> None:
        """How far the clocks are apart, for `deadline`."""
        self._monotonic_offset = now.boottime - now.monotonic

    def start(self, now: Now) -> None:
        """Begin: all children at once. None waits for another, for nothing is sent to one that is not there."""
        self.note_clocks(now)
        self._plan_tick(now)
        for spec in start_order(child.spec for child in self.children.values()):
            if not spec.after_up:
                self.move(self.children[spec.name], ChildEvent.START, now)

    def deadline(self) -> float | None:
        """When `expire` is to be called next, seconds of CLOCK_BOOTTIME; None once all children are gone."""
        if self.finished:
            return None
        times = [self.tick_at]
        for child in self.children.values():
            healed_at = self._healed_at(child)
            times += [at for at in (child.due, healed_at) if at is not None]
            if child.limit_at is not None:
                times.append(child.limit_at + self._monotonic_offset)
        return min(times)

    def expire(self, now: Now) -> None:
        """Look at the clock. To be called at the deadline, after everything that waits was taken in."""
        self.note_clocks(now)
        if now.boottime >= self.tick_at:
            late = now.boottime - self.tick_at
            slept = self._monotonic_offset - self._offset_at_tick
            self._plan_tick(now)
            if late > LATE:
                # This process was stopped, or the machine slept: heartbeats sent in time may still be unread.
                for child in self.children.values():
                    child.full_limit(now.monotonic)
            if late - slept > LATE:
                self.log("warning", "supervisor_late", late_s=round(late - slept, 3))
        for child in self.children.values():
            limit, healed_at = child.limit_at, self._healed_at(child)
            if limit is not None and now.monotonic >= limit:
                why = "stop_limit" if child.state is ChildState.STOPPING else HUNG
                self.move(child, ChildEvent.LIMIT, now, why)
            elif child.due is not None and now.boottime >= child.due:
                self.move(child, ChildEvent.LIMIT, now)
            elif healed_at is not None and now.boottime >= healed_at:
                child.flapping = False
                self.healed(child.spec.name, FLAPPING)

    @property
    def finished(self) -> bool:
        """All children were stopped and are gone."""
        return self.stopping and not self._stops

    def _healed_at(self, child: ChildMachine) -> float | None:
        if not child.flapping or child.ready_at is None:
            return None
        return child.ready_at + self._flags.healthy

    def _plan_tick(self, now: Now) -> None:
        self.tick_at = (math.floor(now.boottime / self._tick) + 1) * self._tick
        self._offset_at_tick = self._monotonic_offset

    def take(self) -> list[TreeCommand]:
        """What is to be done, in order."""
        out, self._out = self._out, []
        return out

    # Processes

    def move(self, child: ChildMachine, event: ChildEvent, now: Now, why: str = "") -> None:
        """Let one child's machine move, and turn what it asks for into commands. `why`: it is killed or stopped."""
        name = child.spec.name
        match child.receive(event, boottime=now.boottime, monotonic=now.monotonic):
            case Action.SPAWN:
                self._out.append(Spawn(name, child.generation))
            case Action.KILL:
                child.ended_because = why
                self.log("warning", "child_killed", child, reason=why)
                self._out.append(Kill(name, child.generation))
            case Action.ASK_TO_STOP if child.said_hello:
                self._out.append(Send(name, internal_pb2.Stop(reason=why)))
            case Action.ASK_TO_STOP:
                self._out.append(Terminate(name, child.generation))
            case Action.ALARM:
                text = (
                    f"{name} (pid {child.pid}) does not end after SIGKILL; no other is started until it does"
                )
                self.degraded(name, NOT_REAPED, text, now)
            case Action.REPORT_READY:
                took = round(now.boottime - child.started_at, 3)
                self.log("info", "actor_ready", child, took_s=took)
                self._look_whether_up(now)
            case Action.REPORT_EXIT | Action.NOTHING:
                pass  # `follow` goes on with what the end means

    def waited(self, waited: Waited) -> None:
        for name, seconds in waited.seconds.items():
            self.children[name].waited_for_processor(seconds)

    def spawned(self, spawned: Spawned) -> None:
        child = self.children[spawned.actor]
        if spawned.generation == child.generation and child.alive:
            child.pid = spawned.pid
            self.log("info", "actor_started", child)

    def exited(self, exited: Exited, now: Now) -> Death | None:
        """Take in the end of a process, which `follow` has to go on with; None: of one that does not count any more."""
        name = exited.actor
        child = self.children[name]
        if exited.generation != child.generation or not child.alive:
            self.foreign += 1
            return None
        ordered = child.state is ChildState.STOPPING or name in self._stops
        reason = from_wait_status(exited.status, exited.signal)
        by_itself = reason.value if exited.signal is None else f"signal {exited.signal}"
        self.move(child, ChildEvent.EXITED, now)
        child.last_exit = child.ended_because or by_itself
        fields = {
            "reason": child.last_exit,
            "status": exited.status,
            "signal": exited.signal,
            "detail": exited.detail or None,
        }
        self.log("info" if ordered else "warning", "actor_exited", child, **fields)
        up_for, killed_for = child.up_for(now.boottime), child.ended_because
        pid, said = child.forget_process(), exited.said or exited.detail
        death = Death(child, pid, reason, killed_for, up_for, exited.detail, said, ordered)
        self.healed(name, NOT_REAPED)
        for condition in self.conditions.of(name):
            # Not healed: the process that could say so is gone, and the next one looks for itself.
            self.conditions.take_back(name, condition.code)
            self.log("info", "condition_dropped", child, code=condition.code, detail="its process has ended")
        return death

    def decide(self, death: Death, now: Now, reason: ExitReason | None = None) -> RestartDecision:
        """What its specification says of this end, which counts from now on. `reason`: as what, if not as its own."""
        child, name = death.child, death.child.spec.name
        decision, self._history[name] = decide(
            child.spec,
            self._flags,
            self._history[name],
            reason or death.reason,
            was_up=child.was_up,
            up_for=death.up_for,
            now=now.boottime,
            jitter=self._jitter(),
        )
        if isinstance(decision, Escalate):
            return decision
        # One that stays down has ended for good, and no longer keeps ending.
        child.flapping = isinstance(decision, RestartAfter) and decision.flapping
        if isinstance(decision, RestartAfter) and decision.flapping:
            text = f"{name} keeps ending ({child.last_exit}); it is started every {decision.delay:.0f} s"
            self.degraded(name, FLAPPING, text, now)
        else:
            self.healed(name, FLAPPING)
        return decision

    def follow(self, death: Death, decision: RestartDecision, now: Now) -> None:
        """Go on after an end. The decision counts for a child that was not asked to stop."""
        child, name = death.child, death.child.spec.name
        if isinstance(decision, Escalate):
            why = decision.why or death.said or f"cannot go on: {name} ended: {child.last_exit}"
            self.stop(f"{name} ended: {death.reason.value}", status_of(decision.reason), now, why)
        elif name in self._stops or self.stopping:
            self._stop_next(now)
        elif isinstance(decision, RestartAfter):
            self._restart(name, now.boottime + decision.delay, now)
        else:
            self._look_whether_up(now)

    def _restart(self, failed: str, due: float, now: Now) -> None:
        """Start it again at `due`, with the siblings its strategy affects."""
        names = affected(self._flags.strategy, list(self.children), failed)
        if len(names) == 1:
            self._schedule(failed, due, now)
            return
        # A group that is being stopped already lies within this one: what failed now stands before it.
        self._group, self._group_due = names, due
        self._stops = list(stop_order(names))
        self._stop_next(now)

    def _schedule(self, name: str, due: float, now: Now) -> None:
        child = self.children[name]
        self.move(child, ChildEvent.SCHEDULE, now)
        child.due = due

    def _look_whether_up(self, now: Now) -> None:
        """Say once that each child has been up, or stays down; then start those that wait for it."""
        if self.was_up or self.stopping or self._stops:
            return
        later = [child for child in self.children.values() if child.spec.after_up]
        others = [child for child in self.children.values() if not child.spec.after_up]
        if all(child.was_up or child.state is ChildState.INACTIVE for child in others):
            self.was_up = True
            self._out.append(Up())
            for child in later:
                self.move(child, ChildEvent.START, now)

    def stop(self, reason: str, code: int, now: Now, why: str = "") -> None:
        """Stop all children, in reverse; the run ends with this status. `why`: for a person who can mend it."""
        if self.stopping:
            return
        self.stopping = True
        self.exit_code, self._why = code, why
        self._group = ()
        self.log("info", "stopping", reason=reason)
        self._stops = list(stop_order(list(self.children)))
        self._stop_next(now)

    def _stop_next(self, now: Now) -> None:
        for child in map(self.children.__getitem__, self._stops):
            if not child.alive:
                # It must not come back while it waits for its turn.
                self.move(child, ChildEvent.STOP, now)
        while self._stops:
            child = self.children[self._stops[0]]
            self.move(child, ChildEvent.STOP, now, "stopping")
            if child.alive:
                return
            self._stops.pop(0)
        if self.stopping:
            self._out.append(Exit(self.exit_code, self._why))
            return
        group, self._group = self._group, ()
        for name in group:
            if self.children[name].spec.restart is not Restart.TEMPORARY:
                self._schedule(name, self._group_due, now)
        self._look_whether_up(now)

    # What comes out

    def tell(self, name: str, body: Message) -> None:
        """Send this message to a child that can take it, if there is one."""
        child = self.children.get(name)
        if child is not None and child.alive and child.said_hello:
            self._out.append(Send(name, body))

    def degraded(self, about: str, code: str, text: str, now: Now, *, owner: str = "") -> None:
        """Show a condition of a child: ours, which outlives its process, unless the child itself is the owner."""
        condition = self.conditions.show(owner or f"{SUPERVISOR}/{about}", code, text, now.wall)
        if condition is not None:
            fields = {"code": condition.code, "text": condition.text}
            self.log("warning", "degraded", self.children[about], **fields)

    def healed(self, about: str, code: str, *, owner: str = "") -> None:
        """That condition no longer holds."""
        condition = self.conditions.take_back(owner or f"{SUPERVISOR}/{about}", code)
        if condition is not None:
            self.log("info", "healed", self.children[about], code=condition.code)

    def code_on_disk(self, now: Now, *, changed: bool) -> None:
        """The program's files are not those this process was loaded from, or are again."""
        if changed:
            shown = self.conditions.show(SUPERVISOR, VERSION_MISMATCH, _MISMATCH, now.wall)
            if shown is not None:
                self.log("warning", "degraded", code=shown.code, text=shown.text)
        elif self.conditions.take_back(SUPERVISOR, VERSION_MISMATCH) is not None:
            self.log("info", "healed", code=VERSION_MISMATCH)

    def log(self, level: str, event: str, child: ChildMachine | None = None, **fields: object) -> None:
        about: dict[str, object] = {"actor": SUPERVISOR}
        if child is not None:
            about = {"actor": child.spec.name, "pid": child.pid, "generation": child.generation}
        known = {key: value for key, value in (about | fields).items() if value is not None}
        self._out.append(LogEvent(level, event, known))
