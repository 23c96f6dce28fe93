"""The Supervisor actor: the shell around the core. It waits, carries out commands and answers the command line.

One thread, the process's main one: children are tied to the thread that spawned them. It never parses what came
from the network.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import random
import secrets
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from netmap_actors import __version__
from netmap_actors.bus.mailbox import LoopActor
from netmap_actors.bus.sockets import Sockets
from netmap_actors.clock import time_namespace
from netmap_actors.confinement import landlock
from netmap_actors.confinement.memory_guard import resident_bytes, unwatch_memory, watch_memory
from netmap_actors.errors import NetmapError
from netmap_actors.nursery.orders import ROLE
from netmap_actors.wire.vocabulary import ActorName
from netmap_supervisor.admin.server import AdminServer
from netmap_supervisor.admin.socket import AdminError
from netmap_supervisor.config.settings import EMBEDDED
from netmap_supervisor.connection.messages import LookForRoute
from netmap_supervisor.daemon.boot_records import (
    BootRecords,
    endpoints_of,
    listened_on,
    state_slug,
)
from netmap_supervisor.daemon.children import MAX_MESSAGES, Children
from netmap_supervisor.daemon.core import SupervisorCore
from netmap_supervisor.daemon.embedded_control import EmbeddedControl
from netmap_supervisor.daemon.keyring import Keyring
from netmap_supervisor.daemon.nursery import Nursery
from netmap_supervisor.daemon.observer import RunFacts
from netmap_supervisor.daemon.operator_requests import OperatorRequests
from netmap_supervisor.daemon.output.history_feed import HistoryFeed
from netmap_supervisor.daemon.output.log_pipes import LogPipes
from netmap_supervisor.daemon.reload import ReloadResult, compare
from netmap_supervisor.daemon.status_report import SupervisorFacts, make_report
from netmap_supervisor.daemon.tree import FLAGS, in_nursery, specs_for
from netmap_supervisor.supervision.messages import (
    ChildMessage,
    CodeOnDisk,
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
    Waited,
)
from netmap_supervisor.system.code_stamp import code_stamp, loaded_stamp
from netmap_supervisor.system.held_environment import environment_for
from netmap_supervisor.system.log import Log
from netmap_supervisor.system.peer_process import descends_from
from netmap_supervisor.system.route_watch import RouteWatch
from netmap_supervisor.system.run_listeners import RunListeners
from netmap_supervisor.system.sd_notify import Notifier
from netmap_supervisor.system.signals import watch_signals
from netmap_supervisor.system.single_instance import make_private

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from google.protobuf.message import Message

    from netmap_actors.bus.loop import Loop
    from netmap_actors.wire.status import StatusReport
    from netmap_supervisor.config.settings import RunSettings
    from netmap_supervisor.daemon.core import Command, Input
    from netmap_supervisor.daemon.observer import Observer
    from netmap_supervisor.system.held_environment import HeldEnvironment
    from netmap_supervisor.system.nursery_process import NurseryProcess
    from netmap_supervisor.system.os_process import ChildProcess
    from netmap_supervisor.system.single_instance import Claim

__all__ = ["Supervisor"]

STATUS_INTERVAL = 5.0
"""Seconds between two STATUS lines for the service manager, and two looks at our own memory and directory."""
FIRST_CODE_LOOK, CODE_LOOK_INTERVAL = 1.0, 120.0
"""Seconds until the first look at the program's files (6 ms, for which a start has no time), and between two looks."""
START_EXTENSION = 120.0
"""Seconds the service manager is asked to wait on, every STATUS_INTERVAL, until every child was up once."""
END_LIMIT = 10.0
"""Seconds between the end of the last child and ours. After them the stack of each thread is dumped and the process
ends: a daemon that hangs would keep its directories from the next one."""
NOT_CONFINED = "this kernel's Landlock cannot hold processes back from these: docs/explanation/confinement.md"


class Supervisor(LoopActor):
    """Owns the children, decides about restarts through its core, answers the command line."""

    def __init__(
        self,
        settings: RunSettings,
        claim: Claim,
        loop: Loop,
        observer: Observer | None,
        read_settings: Callable[[], RunSettings] | None,
        environment: HeldEnvironment,
        confinement: Mapping[str, int],
        nursery: NurseryProcess | None = None,
    ) -> None:
        """`read_settings()`: the settings again, raises NetmapError. `confinement`: what this process has given up.
        `nursery`: the one that was forked from it.
        """
        super().__init__(loop)
        self.runtime_dir_lost = False
        """It ended only because its runtime directory was removed."""
        self._loop = loop
        self.settings = settings
        self._claim = claim
        self._observer = observer
        self._read_settings = read_settings
        self._environment = environment
        self._embedded: EmbeddedControl | None = None
        self._log = Log(loop.clock, form=settings.log_format, level=settings.log_level)
        self._log_pipes = LogPipes(loop, self._log)
        self._sockets = Sockets()
        self._run = secrets.token_hex(8)
        self._keyring = Keyring()
        self._endpoints = endpoints_of(
            claim.run_dir, Path(settings.runtime_dir), history=settings.history_keep > 0
        )
        self.nursery = self._make_nursery(nursery)
        self._begun = False
        """The first children were ordered."""
        self._listeners = RunListeners(listened_on(self._endpoints))
        self._children = Children(
            loop,
            self._sockets,
            run=self._run,
            endpoint=self._endpoints.supervisor,
            log_pipes=self._log_pipes,
            nursery=self.nursery,
            on_messages=self._on_messages,
            on_exit=self.happened,
        )
        self._closing = contextlib.ExitStack()
        """What is to be closed at the end."""
        self._closing.callback(self._listeners.close)
        self._closing.callback(self._children.close)
        self._closing.callback(self.nursery.close)
        self._routes = RouteWatch(loop, self.happened)
        self._closing.callback(self._routes.close)
        self._deadline = loop.deadline(self._on_deadline)
        self._exit_code = 1
        self.why = ""
        """Why it ended for good, for a person: "cannot X: why; what to do"."""
        self._failure: BaseException | None = None
        self._notifier = Notifier(environment)
        self._history_feed = HistoryFeed(
            lambda actor, body: self._children.tell(actor, body) is None,  # logged, it were one more to tell
            loop.call_soon,
            wanted=settings.history_keep > 0,
        )
        self._own = SupervisorFacts(__version__, os.getpid(), loop.now(), confinement)
        self._core = self._make_core()

    def _make_nursery(self, first: NurseryProcess | None) -> Nursery:
        settings = self.settings
        return Nursery(
            self._loop,
            self._log_pipes,
            first=first,
            rooms=in_nursery(settings),
            by_exec={ActorName.CONNECTION} if settings.nursery == "not-connection" else (),
            environment=environment_for(ROLE, self._environment),
            wanted=settings.nursery != "off",
        )

    def _make_core(self) -> SupervisorCore:
        settings = self.settings
        return SupervisorCore(
            specs_for(settings),
            FLAGS,
            random.SystemRandom().random,
            time_namespace=time_namespace(),
            truth_interval=settings.truth_interval,
            probe_interval=settings.probe_interval,
            probe_timeout=settings.probe_timeout,
        )

    def run(self) -> int:
        """Live in the calling thread; the exit status."""
        self._actor_loop()
        self._log.close()
        if self._failure is not None:
            raise self._failure
        return self._exit_code

    # Set-up

    def _begin_life(self) -> None:
        self._requests = OperatorRequests(self, self._loop, self._reload)
        self._admin = AdminServer(
            self._loop,
            Path(self.settings.runtime_dir),
            self._requests.on_request,
            descends_from(self._children.pids),
            viewer=lambda: 0 if self._observer is None else self._observer.pid,
        )
        self._closing.callback(self._admin.close)
        self._boots = self._make_boots()
        watch_signals(self._loop, self.end, self._on_reload_signal, self._children.reap_strangers)
        watch_memory(self._loop, self._children, grows=False)
        self._closing.callback(unwatch_memory)
        self._look_at_self()
        self._loop.every(STATUS_INTERVAL, self._look_at_self)
        if self._notifier.watchdog_interval is not None:
            self._loop.every(self._notifier.watchdog_interval, self._ping_watchdog)
        self._loop.at(self._loop.now() + FIRST_CODE_LOOK, self._look_at_code)
        self._report_facts()
        if left := landlock.missing(self._own.confinement.get("landlock", 0)):
            self.event("warning", "not_confined", {"left_open": left, "detail": NOT_CONFINED})
        if not self._routes.available:
            detail = "changes of the network show by silence only"
            self.event("warning", "link_watch_unavailable", {"detail": detail})
        self.nursery.when_settled(self._begin)

    def _begin(self) -> None:
        """Start the first children: when the nursery is there, or something happens that does not wait for it."""
        if not self._begun and not self.actor_stopped.is_set():
            self._begun = True
            self._carry_out(self._core.start(self._now()))

    def _make_boots(self) -> BootRecords:
        settings, state_dir = self.settings, Path(self.settings.state_dir)
        connection_dir = state_dir / (EMBEDDED if settings.embedded else state_slug(settings.control_url))
        make_private(connection_dir)
        own = self._embedded = EmbeddedControl(state_dir) if settings.embedded else None
        if own is not None:
            self._closing.callback(own.close)
        return BootRecords(
            settings=settings,
            run=self._run,
            parent_pid=os.getpid(),
            endpoints=self._endpoints,
            control_url=settings.control_url if own is None else own.url,
            auth_key=settings.auth_key if own is None else own.auth_key,
            secrets_of=self._environment.secrets,
            connection_dir=connection_dir,
            server_dir=None if own is None else own.directory,
            listen_fd=-1 if own is None else own.listen_fd,
            listeners_of=self._listeners.of,
            keyring=self._keyring,
            locks=tuple(map(str, self._claim.shared)),
        )

    def _report_facts(self) -> None:
        settings = self.settings
        facts = RunFacts(
            version=self._own.version,
            pid=self._own.pid,
            control_url=settings.control_url,
            embedded=settings.embedded,
            state_dir=settings.state_dir,
            runtime_dir=settings.runtime_dir,
            updates=self._endpoints.updates,
            requests=self._endpoints.requests,
            silence_timeout=settings.silence_timeout,
        )
        self.event("info", "run_started", msgspec.structs.asdict(facts))
        if self._observer is not None:
            self._observer.facts(facts, self._log_pipes)

    # What happens

    def _now(self) -> Now:
        clock = self._loop.clock
        return Now(clock.boottime(), clock.monotonic(), clock.wall())

    def happened(self, event: Input) -> None:
        """Report it to the core, and carry out its commands."""
        self._begin()
        self._carry_out(self._core.receive(event, self._now()))

    def _on_messages(self, most: int) -> None:
        for envelope in self._children.take(most):
            if not (self._requests.on_message(envelope) or self._history_feed.on_message(envelope)):
                message = ChildMessage(envelope)
                if self._core.wants_route(message):
                    self._routes.look()
                self.happened(message)
        ledger = self._core.connection.ledger
        self._routes.aim(ledger.lookup, ledger.remote_address)

    def _on_deadline(self) -> None:
        # A heartbeat may wait in the socket: it is read to its end before a missing one counts.
        self._on_messages(MAX_MESSAGES)
        self.happened(Waited(self._children.waited(self._loop.clock.monotonic())))
        self._carry_out(self._core.expire(self._now()))

    def _on_reload_signal(self) -> None:
        try:
            self._reload()
        except NetmapError as error:
            self.event("error", "reload_failed", {"detail": str(error)})

    # Commands

    def _carry_out(self, commands: Sequence[Command]) -> None:
        for command in commands:
            match command:
                case Spawn():
                    self._spawn(command)
                case Kill(actor, _):
                    self._children.send_signal(actor, signal.SIGKILL)
                case Terminate(actor, _):
                    self._children.send_signal(actor, signal.SIGTERM)
                case Send(actor, body):
                    self.tell(actor, body)
                case LogEvent(level, event, fields):
                    self.event(level, event, fields)
                case LookForRoute():
                    self._routes.look()
                case Up():
                    self.event("info", "up", {})
                    self._notifier.send(READY="1")
                case Exit(code, why):
                    self._finish(code, why)
                    return
        self._show_service_status(again=False)
        self._deadline.set(self._core.deadline())

    def _spawn(self, command: Spawn) -> None:
        actor, generation = command.actor, command.generation
        try:
            pid = self._children.start(
                actor,
                generation,
                lambda life_fd: self._boots.record(command, life_fd),
                secret=self._keyring.with_us(actor, generation),
                environment=environment_for(actor, self._environment),
                inherited=self._handed_over(actor),
            )
        except OSError as error:
            why = f"cannot start a process: {error.strerror}"
            # Said after this turn, not within it: the core is still being asked.
            self._loop.call_soon(lambda: self.happened(Exited(actor, generation, None, detail=why)))
            return
        self.happened(Spawned(actor, generation, pid))

    def _handed_over(self, actor: str) -> list[int]:
        """Its listening sockets, which are bound for the whole run."""
        if actor == ActorName.DEV_CONTROL and self._embedded is not None:
            return [self._embedded.listen_fd]
        return [*self._listeners.of(actor).values()]

    def tell(self, actor: str, body: Message) -> bool:
        """Send a message to a child; False when it cannot take it."""
        lost = self._children.tell(actor, body)
        if lost:
            self.event("debug", "word_lost", {"actor": actor, "detail": lost})
        return lost is None

    def _finish(self, code: int, why: str) -> None:
        self._exit_code, self.why = code, why
        if self.runtime_dir_lost:
            self.event("info", "begins_anew", {"runtime_dir": self.settings.runtime_dir})
        else:
            self._notifier.send(STOPPING="1")
            # On a screen it is said when the view has gone; a log for programs is read to its last line.
            level = "error" if why and self.settings.log_format == "json" else "info"
            self.event(level, "stopped", {"exit_code": code} | ({"detail": why} if why else {}))
        self._close()

    def _fail(self, error: BaseException) -> None:
        """The Supervisor itself is broken: its end takes every child along."""
        self._failure = error
        self.event("error", "supervisor_failed", {"error": type(error).__name__, "detail": str(error)[:500]})
        self._children.signal_all(signal.SIGKILL)
        self._close()

    def _close(self) -> None:
        faulthandler.dump_traceback_later(END_LIMIT, exit=True, file=2)
        self._deadline.set(None)
        self._closing.close()
        self._end_life()
        self._sockets.close()

    # For operators

    def end(self, who: str) -> None:
        """End everything, for good."""
        self.runtime_dir_lost = False
        self.happened(Stop(who))

    def event(self, level: str, event: str, fields: Mapping[str, Any]) -> None:
        """Log it, show it to the observer, and have it remembered."""
        self._history_feed.event(event, fields, self._loop.clock.wall())
        if self._log.event(level, event, fields) and self._observer is not None:
            self._observer.event(level, event, fields)

    def filtered(self, why_not: str) -> None:
        """This process's system calls are filtered; or why they could not be."""
        self._own.system_calls = "off" if why_not else "refused"
        if why_not:
            self.event("info", "system_calls_not_filtered", {"actor": "supervisor", "detail": why_not})

    def process(self, actor: str) -> ChildProcess | None:
        """The process of an actor, if it has one."""
        return self._children.get(actor)

    def report(self) -> StatusReport:
        """What `status` shows."""
        self._own.log_lines_suppressed = self._log.suppressed
        self._own.nursery = self.nursery.status()
        return make_report(self._core, self.settings, self._own, self._now(), self._children.refused_calls)

    def counters(self) -> dict[str, dict[str, int]]:
        """The newest counters of each child, and our own, by actor."""
        own = {"foreign_words": self._children.foreign_words, "orders_refused": self._admin.refused}
        own["occurrences_lost"] = self._history_feed.lost
        beats = self._core.heartbeats.items()
        return {name: dict(beat.counters) for name, beat in beats} | {"supervisor": own}

    def _reload(self) -> ReloadResult:
        """Take over the settings that can change in a running daemon. Raises NetmapError."""
        if self._read_settings is None:
            raise AdminError("cannot reload: the settings of this run do not come from a file")
        settings, changes = compare(self.settings, self._read_settings())
        self._environment.hold(settings.auth_key)
        self.settings = settings
        self._log.level = settings.log_level
        self._core.probe_timeout = settings.probe_timeout
        self._boots.renew(settings)
        if "webhooks" in changes.applied and (process := self.process(ActorName.WEBHOOKS)) is not None:
            process.send(signal.SIGTERM)  # the next one has the new ones
        level = "warning" if changes.needs_restart else "info"
        self.event(level, "reloaded", msgspec.structs.asdict(changes))
        return changes

    def _look_at_self(self) -> None:
        self._log.tell_suppressed()
        if self._claim.lost(self._loop.now()) and not self._core.tree.stopping:
            self.runtime_dir_lost = True
            self.event("error", "runtime_dir_removed", {"runtime_dir": self.settings.runtime_dir})
            self.happened(Stop("nobody can reach it: its runtime directory was removed"))
            return
        # Without a free descriptor the old figure stands.
        self._own.rss_bytes = resident_bytes() or self._own.rss_bytes
        self._show_service_status(again=True)
        if self._notifier.active and not self._core.tree.was_up and not self._core.tree.stopping:
            self._notifier.extend_timeout(START_EXTENSION)

    def _look_at_code(self) -> None:
        """Whether the program was updated below us: what is started by exec from now on is another version."""
        self._loop.at(self._loop.now() + CODE_LOOK_INTERVAL, self._look_at_code)
        try:
            changed = code_stamp() != loaded_stamp()
        except OSError:
            return  # it is being replaced right now
        self.happened(CodeOnDisk(changed=changed))

    def _show_service_status(self, *, again: bool) -> None:
        if self._notifier.active:
            netmap = self.report().netmap
            self._notifier.show(netmap.state, netmap.peers, netmap.age_s, again=again)

    def _ping_watchdog(self) -> None:
        """From the loop, after a look at the children."""
        self._on_deadline()
        if not self.actor_stopped.is_set():
            self._notifier.send(WATCHDOG="1")
