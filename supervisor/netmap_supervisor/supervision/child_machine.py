"""One child's life as a table: (state, event) -> (action, next state).

The table answers every pair, so what is ignored is ignored in writing. Not here: whether a child is started again
(`restart_policy`), and the commands an action becomes (`child_tree`).
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from netmap_supervisor.supervision.child_spec import ChildSpec

__all__ = ["LIMIT_TO_REAP", "TABLE", "Action", "ActorState", "ChildEvent", "ChildMachine", "ChildState"]

LIMIT_TO_REAP = 5.0
"""Seconds of CLOCK_MONOTONIC from SIGKILL to the end; after that the process hangs in the kernel: an alarm."""


class ChildState(enum.Enum):
    """Where a child is."""

    INACTIVE = "inactive"
    """No process, and none is planned."""
    BACKOFF = "backoff"
    """No process; started at `due`."""
    STARTING = "starting"
    """A process that has not sent Ready."""
    RUNNING = "running"
    """A process that sent Ready."""
    STOPPING = "stopping"
    """Asked to stop."""
    KILLED = "killed"
    """Sent SIGKILL, not reaped: nothing but its end leads out of here, so no second one is ever started."""


class ChildEvent(enum.Enum):
    """What can happen to a child."""

    SCHEDULE = "schedule"
    """It is wanted, at `due`."""
    START = "start"
    """It is wanted now."""
    READY = "ready"
    """It sent Ready."""
    STOP = "stop"
    """It is no longer wanted."""
    KILL = "kill"
    """It has to go at once."""
    LIMIT = "limit"
    """The limit of its state ran out."""
    EXITED = "exited"
    """Its process was reaped, or could not be spawned."""


class Action(enum.Enum):
    """What has to be done."""

    NOTHING = "nothing"
    SPAWN = "spawn"
    ASK_TO_STOP = "ask_to_stop"
    KILL = "kill"
    REPORT_READY = "report_ready"
    REPORT_EXIT = "report_exit"
    """Decide what becomes of it."""
    ALARM = "alarm"
    """SIGKILL did not end it."""


class ActorState(enum.Enum):
    """The state of a child that operators see."""

    ACTIVE = "active"
    BACKOFF = "backoff"
    ERROR = "error"
    """It keeps ending, or SIGKILL does not end it: an operator should look."""
    INACTIVE = "inactive"


_S, _E, _A = ChildState, ChildEvent, Action

TABLE: dict[ChildState, dict[ChildEvent, tuple[Action, ChildState]]] = {
    _S.INACTIVE: {
        _E.SCHEDULE: (_A.NOTHING, _S.BACKOFF),
        _E.START: (_A.SPAWN, _S.STARTING),
        _E.READY: (_A.NOTHING, _S.INACTIVE),  # from a process that is gone
        _E.STOP: (_A.NOTHING, _S.INACTIVE),
        _E.KILL: (_A.NOTHING, _S.INACTIVE),
        _E.LIMIT: (_A.NOTHING, _S.INACTIVE),
        _E.EXITED: (_A.NOTHING, _S.INACTIVE),
    },
    _S.BACKOFF: {
        _E.SCHEDULE: (_A.NOTHING, _S.BACKOFF),
        _E.START: (_A.SPAWN, _S.STARTING),
        _E.READY: (_A.NOTHING, _S.BACKOFF),  # from a process that is gone
        _E.STOP: (_A.NOTHING, _S.INACTIVE),
        _E.KILL: (_A.NOTHING, _S.BACKOFF),  # there is nothing to kill
        _E.LIMIT: (_A.SPAWN, _S.STARTING),
        _E.EXITED: (_A.NOTHING, _S.BACKOFF),
    },
    _S.STARTING: {
        _E.SCHEDULE: (_A.NOTHING, _S.STARTING),
        _E.START: (_A.NOTHING, _S.STARTING),
        _E.READY: (_A.REPORT_READY, _S.RUNNING),
        _E.STOP: (_A.ASK_TO_STOP, _S.STOPPING),
        _E.KILL: (_A.KILL, _S.KILLED),
        _E.LIMIT: (_A.KILL, _S.KILLED),
        _E.EXITED: (_A.REPORT_EXIT, _S.INACTIVE),
    },
    _S.RUNNING: {
        _E.SCHEDULE: (_A.NOTHING, _S.RUNNING),
        _E.START: (_A.NOTHING, _S.RUNNING),
        _E.READY: (_A.NOTHING, _S.RUNNING),  # sent twice
        _E.STOP: (_A.ASK_TO_STOP, _S.STOPPING),
        _E.KILL: (_A.KILL, _S.KILLED),
        _E.LIMIT: (_A.KILL, _S.KILLED),
        _E.EXITED: (_A.REPORT_EXIT, _S.INACTIVE),
    },
    _S.STOPPING: {
        _E.SCHEDULE: (_A.NOTHING, _S.STOPPING),
        _E.START: (_A.NOTHING, _S.STOPPING),
        _E.READY: (_A.NOTHING, _S.STOPPING),  # too late to be of use
        _E.STOP: (_A.NOTHING, _S.STOPPING),
        _E.KILL: (_A.KILL, _S.KILLED),
        _E.LIMIT: (_A.KILL, _S.KILLED),
        _E.EXITED: (_A.REPORT_EXIT, _S.INACTIVE),
    },
    _S.KILLED: {
        _E.SCHEDULE: (_A.NOTHING, _S.KILLED),
        _E.START: (_A.NOTHING, _S.KILLED),
        _E.READY: (_A.NOTHING, _S.KILLED),
        _E.STOP: (_A.NOTHING, _S.KILLED),
        _E.KILL: (_A.NOTHING, _S.KILLED),
        _E.LIMIT: (_A.ALARM, _S.KILLED),
        _E.EXITED: (_A.REPORT_EXIT, _S.INACTIVE),
    },
}

ALIVE = frozenset({_S.STARTING, _S.RUNNING, _S.STOPPING, _S.KILLED})
"""States in which there is (or may be) a process."""


class _Limit(NamedTuple):
    """How long something may take. Seconds; `since` of CLOCK_MONOTONIC."""

    since: float
    seconds: float
    longest: float
    """With the time the process waited for a processor meanwhile."""
    waited_before: float
    """What it had waited for a processor when this began."""


class ChildMachine:
    """The state of one child with its figures. Moved by `receive` only; `now` is both clocks in seconds."""

    def __init__(self, spec: ChildSpec) -> None:
        self.spec = spec
        self.state = ChildState.INACTIVE
        self.generation = 0
        """Number of the newest process, 1 for the first."""
        self.pid: int | None = None
        self.said_hello = False
        """It is connected to the ROUTER: messages reach it."""
        self.due: float | None = None
        """BACKOFF: when it is started, seconds of CLOCK_BOOTTIME."""
        self.waited = 0.0
        """Seconds its process has waited for a processor, as last reported."""
        self._limit: _Limit | None = None
        self._slow_starts = 0
        """Starts that took longer than they may on a machine with time."""
        self.started_at = 0.0
        """CLOCK_BOOTTIME."""
        self.ready_at: float | None = None
        """CLOCK_BOOTTIME; None before Ready and without a process."""
        self.was_up = False
        """Some process of it sent Ready in this run."""
        self.ended_because = ""
        """Why we killed the newest process; empty: it ended by itself."""
        self.last_exit = ""
        self.rss_bytes = 0
        self.flapping = False
        self.alarmed = False

    @property
    def alive(self) -> bool:
        """There is a process, or one that was not reaped."""
        return self.state in ALIVE

    @property
    def limit_at(self) -> float | None:
        """A process's limit, seconds of CLOCK_MONOTONIC: start, heartbeat, shutdown or reaping."""
        limit = self._limit
        if limit is None:
            return None
        waited = self.waited - limit.waited_before
        return limit.since + min(limit.seconds + waited, limit.longest)

    @property
    def public_state(self) -> ActorState:
        """The state operators see."""
        if self.alarmed or (self.flapping and self.state is not ChildState.INACTIVE):
            return ActorState.ERROR
        if self.alive:
            return ActorState.ACTIVE
        return ActorState.BACKOFF if self.state is ChildState.BACKOFF else ActorState.INACTIVE

    def receive(self, event: ChildEvent, *, boottime: float, monotonic: float) -> Action:
        """Move to the next state; the action has to be carried out."""
        action, after = TABLE[self.state][event]
        if action is Action.ALARM:
            self.alarmed = True
            self._limit = None
        if event is ChildEvent.LIMIT and self.state is ChildState.STARTING:
            self._slow_starts += 1
        if after is not self.state:
            self._enter(after, boottime, monotonic)
        return action

    def heartbeat(self, rss_bytes: int, monotonic: float) -> None:
        """It sent a heartbeat."""
        self.rss_bytes = rss_bytes
        if self.state is ChildState.RUNNING:
            self._expect_heartbeat(monotonic)

    def waited_for_processor(self, seconds: float) -> None:
        """The sum of its process's waits so far: that time does not count towards its limits."""
        self.waited = max(self.waited, seconds)

    def full_limit(self, monotonic: float) -> None:
        """The Supervisor was late: what the child may have sent in time counts as sent now."""
        if self.state is ChildState.RUNNING:
            self._expect_heartbeat(monotonic)
        elif self.state is ChildState.STARTING:
            self._expect_ready(monotonic)

    def up_for(self, boottime: float) -> float | None:
        """Seconds since Ready; None when it was not up."""
        return None if self.ready_at is None else boottime - self.ready_at

    def forget_process(self) -> int | None:
        """After its end: forget everything but its generation. Returns the pid it had."""
        pid, self.pid = self.pid, None
        self.said_hello = False
        self.ready_at = None
        self.rss_bytes = 0
        self.ended_because = ""
        return pid

    def _enter(self, state: ChildState, boottime: float, monotonic: float) -> None:
        self.state = state
        before, self._limit = self._limit, None
        if state is not ChildState.BACKOFF:
            self.due = None
        match state:
            case ChildState.STARTING:
                self.generation += 1
                self.started_at = boottime
                self.waited = 0.0
                self._expect_ready(monotonic)
            case ChildState.RUNNING:
                self.ready_at = boottime
                self.was_up = True
                if before is not None and monotonic - before.since <= self.spec.start_limit:
                    self._slow_starts = 0
                self._expect_heartbeat(monotonic)
            case ChildState.STOPPING:
                self._take_at_most(self.spec.shutdown, monotonic)
            case ChildState.KILLED:
                self._take_at_most(LIMIT_TO_REAP, monotonic)
            case ChildState.INACTIVE:
                self.alarmed = False
            case ChildState.BACKOFF:
                pass

    def _expect_ready(self, monotonic: float) -> None:
        spec = self.spec
        seconds = min(spec.start_limit * 2.0**self._slow_starts, spec.slow_start_limit)
        self._limit = _Limit(monotonic, seconds, spec.longest_start, self.waited)

    def _expect_heartbeat(self, monotonic: float) -> None:
        self._limit = _Limit(monotonic, self.spec.heartbeat_limit, self.spec.longest_silence, self.waited)

    def _take_at_most(self, seconds: float, monotonic: float) -> None:
        self._limit = _Limit(monotonic, seconds, seconds, self.waited)
