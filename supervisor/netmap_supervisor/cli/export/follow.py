"""Keeps an exported file current: waits for the netmap, for signals and for the command, and does what is due.

Not here: when something is due (`export.pacing`).
"""

from __future__ import annotations

import select
from typing import TYPE_CHECKING

import click

from netmap_actors.wire.vocabulary import Trust
from netmap_supervisor.admin.commands import CommandFailed
from netmap_supervisor.cli.export.pacing import CommandRuns, Writing
from netmap_supervisor.cli.process.interruption import Interruption

if TYPE_CHECKING:
    from collections.abc import Callable

    from netmap_actors.clock import Clock
    from netmap_actors.subscriber import Subscriber
    from netmap_supervisor.cli.export.change_command import ChangeCommand

__all__ = ["Follower", "notify", "warn"]

LAST_RUN_LIMIT = 10.0
"""Seconds to wait for the command at the end."""


def notify(text: object) -> None:
    """Print a message on standard error."""
    click.echo(f"netmap-supervisor: {text}", err=True)


def warn(text: object) -> None:
    """Print a problem that does not end the command."""
    notify(f"warning: {text}")


class Follower:
    """One file that follows one netmap."""

    def __init__(
        self,
        subscriber: Subscriber,
        write: Callable[[], bool],
        command: ChangeCommand | None,
        *,
        clock: Clock,
    ) -> None:
        """`write()`: write the file if it has to change; whether it has. Raises CommandFailed."""
        self._subscriber = subscriber
        self._write_file = write
        self._command = command
        self._clock = clock
        self._writing = Writing()
        self._runs = CommandRuns()
        self._complaint: str | None = None

    def run(self, until: float | None = None) -> None:
        """Run until Ctrl-C or SIGTERM; a pending change is written before it returns.

        Raises CommandFailed when `until` (CLOCK_BOOTTIME) passes and no netmap has come.
        """
        with Interruption() as interruption:
            while not interruption.asked:
                now = self._clock.boottime()
                if self._subscriber.poll():
                    self._writing.changed()
                if self._subscriber.store.state != Trust.NONE:
                    until = None
                    if self._writing.due_in(now) == 0:
                        self._write()
                elif until is not None and now >= until:
                    raise CommandFailed(
                        "cannot export the netmap: none has come in time; `netmap-supervisor status` says what is "
                        "missing"
                    )
                self._tend_command()
                self._wait(interruption, until)
        self._finish()

    def _write(self) -> None:
        ok = False
        try:
            if self._write_file():
                self._runs.written()
            ok = True
        except CommandFailed as error:
            # A disk stays full for a while: each reason is reported once.
            if str(error) != self._complaint:
                self._complaint = str(error)
                warn(f"{error}; it is tried again")
        # The time afterwards: long writes, too, are to have pauses between them.
        self._writing.attempted(self._clock.boottime(), ok=ok)
        if ok and self._complaint is not None:
            self._complaint = None
            notify("the file can be written again")

    def _tend_command(self) -> None:
        if self._command is None:
            return
        if self._runs.running:
            self._reap(self._command, 0.0)
        now = self._clock.boottime()
        if self._runs.due:
            self._start(self._command, now)
        if self._runs.overdue_in(now) == 0:
            self._runs.reported()
            warn(
                f"`{self._command}` still runs; the file has changed since, and the next run has to wait for it"
            )

    def _start(self, command: ChangeCommand, now: float) -> None:
        self._runs.started(now)
        try:
            command.start()
        except CommandFailed as error:
            self._runs.ended()
            warn(error)

    def _reap(self, command: ChangeCommand, limit: float) -> None:
        try:
            if command.finish(limit):
                self._runs.ended()
        except CommandFailed as error:
            self._runs.ended()
            warn(error)

    def _wait(self, interruption: Interruption, until: float | None) -> None:
        now = self._clock.boottime()
        has_netmap = self._subscriber.store.state != Trust.NONE
        times = [
            self._subscriber.due_in(),
            self._writing.due_in(now) if has_netmap else None,
            self._runs.overdue_in(now),
            None if until is None else max(0.0, until - now),
        ]
        known = [time for time in times if time is not None]
        waiting = select.poll()
        waiting.register(interruption, select.POLLIN)
        for socket in self._subscriber.sockets:
            waiting.register(socket.fileno(), select.POLLIN)
        # ZMQ_FD is edge-triggered (zmq_getsockopt(3)): its edge may have come while we were sending.
        if not any(socket.poll(0) for socket in self._subscriber.sockets):
            # Rounded up: not to wake just before a deadline, again and again.
            waiting.poll(int(min(known) * 1000) + 1 if known else None)
        interruption.drain()

    def _finish(self) -> None:
        """Do what is due, within a limit; another Ctrl-C ends the process as usual."""
        if self._writing.pending and self._subscriber.store.state != Trust.NONE:
            self._write()
        if self._command is None:
            return
        # The present run, and the one that is due after it.
        for _ in range(2):
            if self._runs.running:
                self._reap(self._command, LAST_RUN_LIMIT)
            if self._runs.running:
                warn(f"`{self._command}` still runs and is left alone")
                return
            if self._runs.due:
                self._start(self._command, self._clock.boottime())
