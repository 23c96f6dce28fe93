"""The nursery of a run: the process that forks the children, one after another as they end.

Not here: how long one is waited for (`nursery_machine`), and what it does (`netmap_actors.nursery`).
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from netmap_actors.nursery.orders import ROLE
from netmap_actors.wire.status import NurseryStatus
from netmap_supervisor.daemon.output.child_output import ChildOutput
from netmap_supervisor.daemon.output.log_pipes import LogPipe
from netmap_supervisor.supervision.nursery_machine import NurseryAction, NurseryMachine
from netmap_supervisor.system.nursery_process import NurseryFailed, execute_nursery
from netmap_supervisor.system.os_process import execute

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from netmap_actors.bus.loop import Loop
    from netmap_actors.nursery.orders import Rooms
    from netmap_supervisor.daemon.output.log_pipes import LogPipes
    from netmap_supervisor.system.nursery_process import NurseryProcess
    from netmap_supervisor.system.os_process import Execution, Started

__all__ = ["Nursery"]


class Nursery:
    """Gives new children: forked where it can be, started by exec where not."""

    def __init__(
        self,
        loop: Loop,
        log_pipes: LogPipes,
        *,
        first: NurseryProcess | None,
        rooms: Rooms,
        by_exec: Collection[str],
        environment: Mapping[str, str],
        wanted: bool,
    ) -> None:
        """`first`: one that was forked from this process, if it was. `rooms`: what it loads. `by_exec`: children
        that are never forked. `wanted`: there is to be one.
        """
        self._loop = loop
        self._log_pipes = log_pipes
        self._rooms, self._by_exec = rooms, by_exec
        self._environment = environment
        self._machine = NurseryMachine(wanted=wanted)
        self._process: NurseryProcess | None = None
        self._pipe: LogPipe | None = None
        self._generation = 0
        self._then: Callable[[], object] | None = None
        self._deadline = loop.deadline(self._on_deadline)
        self._forked = 0
        if first is not None:
            self._hold(first)

    @property
    def pid(self) -> int:
        """Of the nursery, 0 while there is none."""
        return 0 if self._process is None else self._process.process.pid

    def status(self) -> NurseryStatus | None:
        """For `status`; None while there is none that forks."""
        if not self._machine.ready:
            return None
        return NurseryStatus(pid=self.pid, generation=self._generation, forked=self._forked)

    def when_settled(self, then: Callable[[], object]) -> None:
        """Call it once, as soon as children are started as fast as they will be."""
        self._then = then
        self._machine.began(self._loop.now())
        if self._process is None:
            self._on_deadline()
        self._move_on()

    def start(self, order: Execution, *, held: Collection[int]) -> Started:
        """A new child of ours. Raises OSError, and NurseryFailed: not by a fork, the next time.

        `held`: the children of ours that there are.
        """
        if self._process is not None and self._machine.ready and order.actor not in self._by_exec:
            try:
                started = self._process.fork(order, {self.pid, *held})
            except NurseryFailed as error:
                self._give_up(str(error))
                raise
            self._forked += 1
            return started
        return execute(order)

    def close(self) -> None:
        """End it, and have no other."""
        self._machine.stop()
        self._deadline.set(None)
        if self._process is not None:
            self._process.process.send(signal.SIGKILL)
            self._forget(self._process, wait=True)

    def _hold(self, started: NurseryProcess) -> None:
        self._process = started
        self._generation += 1
        process = started.process
        self._machine.started(self._loop.now())
        self._pipe = LogPipe(started.log_fd, ChildOutput(ROLE, process.pid, self._generation))
        self._log_pipes.hear(self._pipe)
        self._log("debug", "nursery_started")
        self._loop.watch(process.pidfd, lambda: self._on_death(started))
        self._loop.watch(started.orders.fileno(), lambda: self._on_line(started))
        self._move_on()

    def _on_line(self, started: NurseryProcess) -> None:
        # Its answers to orders are waited for where they are given: this is the first message, or its end.
        self._loop.unwatch(started.orders.fileno())
        if started.is_loaded():
            self._machine.loaded()
            self._log("debug", "nursery_ready")
        self._move_on()

    def _on_death(self, started: NurseryProcess) -> None:
        self._forget(started)
        self._move_on()

    def _give_up(self, why: str) -> None:
        """It must not fork any more: what it would fork late would be one too many."""
        self._log("warning", "nursery_failed", detail=why)
        if self._process is not None:
            self._process.process.send(signal.SIGKILL)
        self._machine.given_up(self._loop.now())
        self._move_on()

    def _forget(self, started: NurseryProcess, *, wait: bool = False) -> None:
        process = started.process
        self._loop.unwatch(process.pidfd)
        self._loop.unwatch(started.orders.fileno())
        ended = process.wait() if wait else process.reap()
        assert ended is not None, "its pidfd is readable: it has ended"
        if not wait:
            self._log("warning", "nursery_ended", status=ended.status, signal=ended.signal)
        if self._pipe is not None:
            self._log_pipes.end(self._pipe)
            os.close(self._pipe.fd)
        self._process = self._pipe = None
        self._machine.ended(self._loop.now())

    def _on_deadline(self) -> None:
        match self._machine.expire(self._loop.now()):
            case NurseryAction.START if self._process is None:
                try:
                    self._hold(execute_nursery(self._rooms, self._environment))
                except OSError as error:
                    self._log("warning", "nursery_failed", detail=f"cannot start one: {error.strerror}")
                    self._machine.ended(self._loop.now())
            case NurseryAction.KILL:
                self._give_up("cannot load: it takes too long")
            case _:
                pass
        self._move_on()

    def _move_on(self) -> None:
        if self._then is not None and self._machine.settled(self._loop.now()):
            then, self._then = self._then, None
            self._loop.call_soon(then)
        self._deadline.set(self._machine.deadline())

    def _log(self, level: str, event: str, **fields: object) -> None:
        who = {"actor": ROLE, "pid": self.pid or None, "generation": self._generation}
        known = {name: value for name, value in (who | fields).items() if value is not None}
        self._log_pipes.log.event(level, event, known)
