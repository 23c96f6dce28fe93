"""OTP's supervisor as a machine: children are started in order, restarted by their specification, stopped in reverse.

It knows processes, limits and conditions, and nothing of what the children do; `core` adds that. It never waits,
reads a clock or touches a process: what happened and the time go in, commands come out.
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

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
from netmap_supervisor.supervision.restart_policy import Escalate, History, Leave, RestartAfter, decide
from netmap_supervisor.supervision.strategy import affected, start_order, stop_order

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from google.protobuf.message import Message

    from netmap_supervisor.supervision.child_spec import ChildSpec, SupervisorFlags

__all__ = ["FLAPPING", "HUNG", "LATE", "NOT_REAPED", "SUPERVISOR", "TICK", "ChildTree", "Death"]

SUPERVISOR = "supervisor"
TICK = 5.0
"""Seconds between two looks at the children, at the multiples of the clock at which their heartbeats come."""
LATE = 1.0
"""Seconds by which a look may be late; after more, every child gets a full new limit."""

HUNG = "hung"
"""Why a child is killed that is not up, or not heard of, in time."""
FLAPPING = "actor_flapping"
"""Code of the condition shown while a child keeps dying."""
NOT_REAPED = "not_reaped"
"""Code of the condition shown while SIGKILL did not end a child."""


@dataclasses.dataclass(frozen=True, slots=True)
class Death:
    """The end of one process."""

    pid: int | None
    reason: ExitReason
    """What its status says."""
    killed_for: str
    """Why we killed it; empty when it ended by itself."""
    up_for: float | None
    """Seconds since it said Ready; None when it never did."""
    detail: str
    """Why it could not be spawned."""
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
        self._tick_at = 0.0
        self._monotonic_offset = 0.0
        self._offset_at_tick = 0.0
        """`_monotonic_offset` when the next tick was planned: what it has grown by since, the machine slept."""
        self.children = {spec.name: ChildMachine(spec) for spec in specs}
        self.conditions = Conditions()
        self.foreign = 0
        """Words and ends of processes that do not count (any more)."""
        self.stopping = False
        self.exit_code = 0
        self._why = ""
        """Of the end of it all, for a person."""
        self._said: dict[str, str] = {}
        """The last words of each child that ended."""
        self._history = {spec.name: History() for spec in specs}
        self._starts: list[str] = []
        """Children still to be started, in order."""
        self._stops: list[str] = []
        """Children still to be stopped, in order."""
        self._group: tuple[str, ...] = ()
        """Children to be started at `_group_due`, once `_stops` is empty."""
        self._group_due = 0.0
        self.was_up = False
        """Every child was up once."""
        self._exit_said = False
        self._out: list[TreeCommand] = []

    # What a subclass adds

    def _starting(self, child: ChildMachine, now: Now) -> object:  # noqa: ARG002
        """A process is about to be started; what goes with its Spawn."""
        return None

    def _is_up(self, child: ChildMachine) -> None:
        """It said Ready."""

    def _died(self, child: ChildMachine, death: Death, now: Now) -> float | None:
        """Seconds until it is started again; None: it is not, or everything stops."""
        return None if death.ordered else self._decide(child, death.reason, death.up_for, now)

    # Time

    def start(self, now: Now) -> list[TreeCommand]:
        """Begin: children in order, each when the one before is up."""
        self._take(now)
        self._plan_tick(now)
        names = start_order(list(self.children))
        for name in names:
            self._move(self.children[name], ChildEvent.HOLD, now)
        self._starts = list(names)
        self._start_next(now)
        return self._flush()

    def deadline(self) -> float | None:
        """When `expire` is to be called next, seconds of CLOCK_BOOTTIME; None once everything is gone."""
        if self.finished:
            return None
        times = [self._tick_at]
        for child in self.children.values():
            healed_at = self._healed_at(child)
            times += [at for at in (child.due, healed_at) if at is not None]
            if child.limit_at is not None:
                times.append(child.limit_at + self._monotonic_offset)
        return min(times)

    def expire(self, now: Now) -> list[TreeCommand]:
        """Look at the clock. To be called at the deadline, after everything that waits was taken in."""
        self._take(now)
        if now.boottime >= self._tick_at:
            late = now.boottime - self._tick_at
            slept = self._monotonic_offset - self._offset_at_tick
            self._plan_tick(now)
            if late > LATE:
                # We were stopped, or the machine slept: what they said in time we may hear only now.
                for child in self.children.values():
                    child.full_limit(now.monotonic)
            if late - slept > LATE:
                self._log("warning", "supervisor_late", late_s=round(late - slept, 3))
        for child in self.children.values():
            limit, healed_at = child.limit_at, self._healed_at(child)
            if limit is not None and now.monotonic >= limit:
                why = "stop_limit" if child.state is ChildState.STOPPING else HUNG
                self._move(child, ChildEvent.LIMIT, now, why)
            elif child.due is not None and now.boottime >= child.due:
                self._move(child, ChildEvent.LIMIT, now)
            elif healed_at is not None and now.boottime >= healed_at:
                child.flapping = False
                self._healed(child.spec.name, FLAPPING)
        return self._flush()

    @property
    def finished(self) -> bool:
        """Everything was stopped and is gone."""
        return self.stopping and not self._stops

    def _healed_at(self, child: ChildMachine) -> float | None:
        if not child.flapping or child.ready_at is None:
            return None
        return child.ready_at + self._flags.healthy

    def _plan_tick(self, now: Now) -> None:
        self._tick_at = (math.floor(now.boottime / self._tick) + 1) * self._tick
        self._offset_at_tick = self._monotonic_offset

    def _take(self, now: Now) -> None:
        self._monotonic_offset = now.boottime - now.monotonic

    def _flush(self) -> list[TreeCommand]:
        out, self._out = self._out, []
        return out

    # Processes

    def _move(self, child: ChildMachine, event: ChildEvent, now: Now, why: str = "") -> None:
        """Let one child's machine move, and turn what it asks for into commands."""
        name = child.spec.name
        match child.receive(event, boottime=now.boottime, monotonic=now.monotonic):
            case Action.SPAWN:
                # Those who are to hear of it hear of it before the process can say anything.
                start = self._starting(child, now)
                self._out.append(Spawn(name, child.generation, start))
            case Action.KILL:
                child.ended_because = why
                self._log("warning", "child_killed", child, reason=why)
                self._out.append(Kill(name, child.generation))
            case Action.ASK_TO_STOP if child.said_hello:
                self._out.append(Send(name, internal_pb2.Stop(reason=why)))
            case Action.ASK_TO_STOP:
                self._out.append(Terminate(name, child.generation))
            case Action.ALARM:
                text = (
                    f"{name} (pid {child.pid}) does not end after SIGKILL; no other is started until it does"
                )
                self._degraded(name, NOT_REAPED, text, now)
            case Action.REPORT_READY:
                took = round(now.boottime - child.started_at, 3)
                self._log("info", "actor_ready", child, took_s=took)
                self._is_up(child)
                self._start_next(now)
            case Action.REPORT_EXIT | Action.NOTHING:
                pass  # `_exited` goes on with what the end means

    def _waited(self, waited: Waited) -> None:
        for name, seconds in waited.seconds.items():
            self.children[name].waited_for_processor(seconds)

    def _spawned(self, spawned: Spawned) -> None:
        child = self.children[spawned.actor]
        if spawned.generation == child.generation and child.alive:
            child.pid = spawned.pid
            self._log("info", "actor_started", child)

    def _exited(self, exited: Exited, now: Now, detail: str = "") -> None:
        name = exited.actor
        child = self.children[name]
        if exited.generation != child.generation or not child.alive:
            self.foreign += 1
            return
        ordered = child.state is ChildState.STOPPING or name in self._stops
        reason = from_wait_status(exited.status, exited.signal)
        by_itself = reason.value if exited.signal is None else f"signal {exited.signal}"
        self._move(child, ChildEvent.EXITED, now)
        self._said[name] = exited.said or detail
        child.last_exit = child.ended_because or by_itself
        fields = {
            "reason": child.last_exit,
            "status": exited.status,
            "signal": exited.signal,
            "detail": detail or None,
        }
        self._log("info" if ordered else "warning", "actor_exited", child, **fields)
        up_for, killed_for = child.up_for(now.boottime), child.ended_because
        death = Death(child.forget_process(), reason, killed_for, up_for, detail, ordered)
        self._healed(name, NOT_REAPED)
        for condition in self.conditions.of(name):
            # Not healed: who could tell is gone, and the next process will look for itself.
            self.conditions.take_back(name, condition.code)
            self._log("info", "condition_dropped", child, code=condition.code, detail="its process has ended")
        delay = self._died(child, death, now)
        if name in self._stops or self.stopping:
            self._stop_next(now)
        elif delay is not None:
            self._restart(name, now.boottime + delay, now)
        else:
            self._start_next(now)

    def _decide(
        self, child: ChildMachine, reason: ExitReason, up_for: float | None, now: Now
    ) -> float | None:
        """What its specification says: seconds until it is started again; None: it is not, or everything stops."""
        name = child.spec.name
        decision, self._history[name] = decide(
            child.spec,
            self._flags,
            self._history[name],
            reason,
            was_up=child.was_up,
            up_for=up_for,
            now=now.boottime,
            jitter=self._jitter(),
        )
        match decision:
            case RestartAfter(delay, flapping):
                child.flapping = flapping
                if flapping:
                    text = f"{name} keeps ending ({child.last_exit}); it is started every {delay:.0f} s"
                    self._degraded(name, FLAPPING, text, now)
                else:
                    self._healed(name, FLAPPING)
                return delay
            case Leave():
                # It has ended for good, and no longer keeps ending.
                child.flapping = False
                self._healed(name, FLAPPING)
            case Escalate():
                why = self._said[name] or f"cannot go on: {name} ended: {child.last_exit}"
                self._stop(f"{name} ended: {reason.value}", status_of(reason), now, why)
        return None

    def _restart(self, failed: str, due: float, now: Now) -> None:
        """Start it again at `due`, with those who share its fate."""
        names = affected(self._flags.strategy, list(self.children), failed)
        if len(names) == 1:
            self._schedule(failed, due, now)
            return
        # A group that is being stopped already lies within this one: what failed now stands before it.
        self._group, self._group_due = names, due
        self._starts = [name for name in self._starts if name not in names]
        self._stops = list(stop_order(names))
        self._stop_next(now)

    def _schedule(self, name: str, due: float, now: Now) -> None:
        child = self.children[name]
        self._move(child, ChildEvent.SCHEDULE, now)
        child.due = due

    def _start_next(self, now: Now) -> None:
        while self._starts and not self.stopping:
            child = self.children[self._starts[0]]
            if child.state is ChildState.WAITING:
                self._move(child, ChildEvent.START, now)
            if child.state not in {ChildState.RUNNING, ChildState.INACTIVE}:
                return
            self._starts.pop(0)
        if not self.was_up and not self.stopping:
            self.was_up = True
            self._out.append(Up())

    def _stop(self, reason: str, code: int, now: Now, why: str = "") -> None:
        if self.stopping:
            return
        self.stopping = True
        self.exit_code, self._why = code, why
        self._starts, self._group = [], ()
        self._log("info", "stopping", reason=reason)  # `stopped` tells the status
        self._stops = list(stop_order(list(self.children)))
        self._stop_next(now)

    def _stop_next(self, now: Now) -> None:
        for child in map(self.children.__getitem__, self._stops):
            if not child.alive:
                # It must not come back while it waits for its turn.
                self._move(child, ChildEvent.STOP, now)
        while self._stops:
            child = self.children[self._stops[0]]
            self._move(child, ChildEvent.STOP, now, "stopping")
            if child.alive:
                return
            self._stops.pop(0)
        if self.stopping:
            if not self._exit_said:
                self._exit_said = True
                self._out.append(Exit(self.exit_code, self._why))
            return
        again = [name for name in self._group if self.children[name].spec.restart is not Restart.TEMPORARY]
        self._group = ()
        for name in again:
            self._move(self.children[name], ChildEvent.HOLD, now)
        if again:
            self._schedule(again[0], self._group_due, now)
            self._starts = again + self._starts

    # What is told

    def _tell(self, name: str, body: Message) -> None:
        child = self.children.get(name)
        if child is not None and child.alive and child.said_hello:
            self._out.append(Send(name, body))

    def _degraded(self, about: str, code: str, text: str, now: Now) -> None:
        """Our own condition about a child: it outlives the child's process."""
        self._show(f"{SUPERVISOR}/{about}", about, code, text, now)

    def _healed(self, about: str, code: str) -> None:
        self._take_back(f"{SUPERVISOR}/{about}", code, about)

    def _show(self, owner: str, about: str, code: str, text: str, now: Now) -> None:
        condition = self.conditions.show(owner, code, text, now.wall)
        if condition is not None:
            self._log("warning", "degraded", self.children[about], code=condition.code, text=condition.text)

    def _take_back(self, owner: str, code: str, about: str) -> None:
        condition = self.conditions.take_back(owner, code)
        if condition is not None:
            self._log("info", "healed", self.children[about], code=condition.code)

    def _log(self, level: str, event: str, child: ChildMachine | None = None, **fields: object) -> None:
        about: dict[str, object] = {"actor": SUPERVISOR}
        if child is not None:
            about = {"actor": child.spec.name, "pid": child.pid, "generation": child.generation}
        known = {key: value for key, value in (about | fields).items() if value is not None}
        self._out.append(LogEvent(level, event, known))
