"""The Supervisor actor: the shell around the core. It waits, carries out commands and answers the command line.

One thread, the process's main one: children are tied to the thread that spawned them. It never parses what came
from the network.
"""

from __future__ import annotations

import os
import random
import secrets
import signal
import socket
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
import pykka
import zmq

from netmap_actors.bus.loop import Loop
from netmap_actors.bus.mailbox import Mailbox, Turn
from netmap_actors.bus.sockets import Sockets
from netmap_actors.clock import SystemClock
from netmap_actors.errors import ConfigurationError
from netmap_actors.wire import internal_pb2
from netmap_actors.wire.codec import Codec, ForeignEnvelope, require_native_protobuf
from netmap_supervisor.admin import AdminError, AdminServer
from netmap_supervisor.boot_records import BootRecords, endpoints_of, environment_for, state_slug
from netmap_supervisor.core import SupervisorCore
from netmap_supervisor.core_messages import (
    Exit,
    Exited,
    Kill,
    Log,
    Now,
    Reconnect,
    Send,
    Spawn,
    Spawned,
    SpawnFailed,
    Stop,
    Terminate,
    Up,
    Word,
)
from netmap_supervisor.log import ChildOutput
from netmap_supervisor.log import Log as LogWriter
from netmap_supervisor.os_process import ChildProcess, spawn
from netmap_supervisor.report import Own, make_report
from netmap_supervisor.sd_notify import Notifier
from netmap_supervisor.single_instance import Claim, make_private
from netmap_supervisor.tree import DEV_CONTROL, FLAGS, specs_for

if TYPE_CHECKING:
    from collections.abc import Mapping

    from netmap_actors.bus.loop import Timer
    from netmap_supervisor.core_messages import Command, Input
    from netmap_supervisor.run_settings import RunSettings

__all__ = ["Observer", "RunFacts", "run"]

_PAGE = os.sysconf("SC_PAGE_SIZE")
WORDS_PER_TURN = 500
LOG_CHUNK = 64 * 1024
STATUS_INTERVAL = 5.0
"""Seconds between two STATUS lines for the service manager, and two looks at our own memory."""
MAX_FREEZE = 3600.0


class RunFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody who started it wants to know first."""

    version: str
    pid: int
    control_url: str
    embedded: bool
    state_dir: str
    runtime_dir: str
    updates: str
    requests: str
    silence_timeout: float


class Observer(Protocol):
    """Who watches a run in the same process. Called in the Supervisor's thread: it must not block."""

    def facts(self, facts: RunFacts) -> None: ...
    def event(self, level: str, event: str, fields: Mapping[str, Any]) -> None: ...


def run(settings: RunSettings, observer: Observer | None = None) -> int:
    """Be the daemon until it is told to stop; the exit status. Raises ConfigurationError or AlreadyRunning."""
    require_native_protobuf()
    loop = Loop(SystemClock())
    claim = Claim(
        Path(settings.state_dir), Path(settings.runtime_dir), lambda seconds: _pass_time(loop, seconds)
    )
    try:
        actor = Supervisor(settings, claim, loop, observer)
        return actor.run()
    finally:
        claim.release()


class Supervisor(pykka.ThreadingActor):
    """Owns the children, decides about restarts through its core, answers the command line."""

    def __init__(self, settings: RunSettings, claim: Claim, loop: Loop, observer: Observer | None) -> None:
        super().__init__()
        # pykka's factory is static and cannot be handed the loop; the reference holds the mailbox.
        self.actor_inbox = Mailbox(loop)
        self._actor_ref = pykka.ActorRef(self)
        self._loop = loop
        self._settings = settings
        self._claim = claim
        self._observer = observer
        self._log = LogWriter(loop.clock, form=settings.log_format, level=settings.log_level)
        self._sockets = Sockets()
        self._run = secrets.token_hex(8)
        self._codec = Codec(self._run, "supervisor", 1)
        self._children: dict[str, ChildProcess] = {}
        self._addresses: dict[str, bytes] = {}
        self._timer: Timer | None = None
        self._exit_code: int | None = None
        self._failure: BaseException | None = None
        self._notifier = Notifier(os.environ)
        self._own = Own(metadata.version("netmap-supervisor"), os.getpid(), loop.now())
        self._core = SupervisorCore(
            specs_for(settings), FLAGS, random.SystemRandom().random, time_namespace=_time_namespace()
        )

    def run(self) -> int:
        """Live in the calling thread; the exit status."""
        self._actor_loop()
        self._log.close()
        if self._failure is not None:
            raise self._failure
        return self._exit_code if self._exit_code is not None else 1

    # pykka's hooks

    def _start_actor_loop(self) -> None:
        """Nothing: `run` is the loop."""

    def on_start(self) -> None:
        try:
            self._set_up()
        except BaseException as error:  # noqa: BLE001  # raised again where the command can tell it
            self._fail(error)

    def on_receive(self, message: Any) -> None:
        try:
            if not isinstance(message, Turn):
                raise TypeError(f"cannot handle {type(message).__name__}")
            for call in message.calls:
                call()
                if self.actor_stopped.is_set():
                    return
        except BaseException as error:  # noqa: BLE001
            self._fail(error)

    # Set-up

    def _set_up(self) -> None:
        runtime_dir = Path(self._settings.runtime_dir)
        endpoints = endpoints_of(self._claim.run_dir, runtime_dir)
        self._router = self._sockets.router_bind(endpoints.supervisor)
        self._loop.watch(self._router, self._on_words)
        self._admin = AdminServer(self._loop, self._sockets, runtime_dir, self._on_request)
        self._life_read, self._life_write = os.pipe2(os.O_CLOEXEC)
        log_read, self._log_write = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(log_read, False)
        output = ChildOutput(self._log)
        self._loop.watch(log_read, lambda: _drain(log_read, output))
        self._boots = self._make_boots(endpoints)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(
                number, lambda caught, _frame: self._loop.call_soon(lambda: self._on_signal(caught))
            )
        self._loop.every(STATUS_INTERVAL, self._look_at_self)
        if self._notifier.watchdog_interval is not None:
            self._loop.every(self._notifier.watchdog_interval, self._ping_watchdog)
        self._tell_facts(endpoints.updates, endpoints.requests)
        self._carry_out(self._core.start(self._now()))

    def _make_boots(self, endpoints: Any) -> BootRecords:
        settings, state_dir = self._settings, Path(self._settings.state_dir)
        control_url, auth_key, listen_fd = settings.control_url, settings.auth_key, -1
        connection_dir = state_dir / ("embedded" if settings.embedded else state_slug(control_url))
        make_private(connection_dir)
        if settings.embedded:
            server_dir = state_dir / "embedded-server"
            make_private(server_dir)
            key_path = server_dir / "auth_key"
            _write_once(key_path, f"embedded-{secrets.token_hex(16)}\n")
            self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
            listen_fd = self._listener.fileno()
            control_url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
            auth_key = f"file:{key_path}"
        return BootRecords(
            settings,
            run=self._run,
            parent_pid=os.getpid(),
            endpoints=endpoints,
            life_fd=self._life_read,
            control_url=control_url,
            auth_key=auth_key,
            connection_dir=connection_dir,
            listen_fd=listen_fd,
        )

    def _tell_facts(self, updates: str, requests: str) -> None:
        settings = self._settings
        facts = RunFacts(
            version=self._own.version,
            pid=self._own.pid,
            control_url=settings.control_url,
            embedded=settings.embedded,
            state_dir=settings.state_dir,
            runtime_dir=settings.runtime_dir,
            updates=updates,
            requests=requests,
            silence_timeout=settings.silence_timeout,
        )
        self._event("info", "run_started", msgspec.structs.asdict(facts))
        if self._observer is not None:
            self._observer.facts(facts)

    # What happens

    def _now(self) -> Now:
        clock = self._loop.clock
        return Now(clock.boottime(), clock.monotonic(), clock.wall())

    def _happened(self, event: Input) -> None:
        self._carry_out(self._core.receive(event, self._now()))

    def _on_words(self) -> None:
        for _ in range(WORDS_PER_TURN):
            if not self._take_word():
                return

    def _take_word(self) -> bool:
        try:
            frames = self._router.recv_multipart(zmq.DONTWAIT)
        except zmq.Again:
            return False
        try:
            address, data = frames
            envelope = self._codec.open(data)
        except (ValueError, ForeignEnvelope):
            return True  # counted by the codec
        child = self._core.children.get(envelope.actor)
        if child is not None and envelope.incarnation == child.incarnation:
            self._addresses[envelope.actor] = address
        self._happened(Word(envelope))
        return True

    def _on_deadline(self) -> None:
        self._timer = None
        # A heartbeat may lie in the socket: nobody is judged before it is read to its end.
        while self._take_word():
            pass
        self._carry_out(self._core.expire(self._now()))

    def _on_death(self, actor: str, incarnation: int, process: ChildProcess) -> None:
        # Its last words first: they say why.
        while self._take_word():
            pass
        self._loop.unwatch(process.pidfd)
        ended = process.reap()
        assert ended is not None, "its pidfd is readable: it has ended"
        if self._children.get(actor) is process:
            del self._children[actor]
        self._happened(Exited(actor, incarnation, ended.status, ended.signal))

    def _on_signal(self, number: int) -> None:
        if number == signal.SIGHUP:
            self._reload()
        else:
            self._happened(Stop(signal.Signals(number).name))

    # Commands

    def _carry_out(self, commands: list[Command]) -> None:
        for command in commands:
            match command:
                case Spawn():
                    self._spawn(command)
                case Kill(actor, _):
                    self._signal(actor, signal.SIGKILL)
                case Terminate(actor, _):
                    self._signal(actor, signal.SIGTERM)
                case Send(actor, body):
                    self._send(actor, body)
                case Log(level, event, fields):
                    self._event(level, event, fields)
                case Up():
                    self._event("info", "up", {})
                    self._notifier.send(READY="1", STATUS=self._status_line())
                case Exit(code):
                    self._finish(code)
                    return
        self._arm()

    def _arm(self) -> None:
        deadline = self._core.deadline()
        if self._timer is not None:
            if self._timer.when == deadline:
                return
            self._timer.cancel()
            self._timer = None
        if deadline is not None:
            self._timer = self._loop.at(deadline, self._on_deadline)

    def _spawn(self, command: Spawn) -> None:
        actor, incarnation = command.actor, command.incarnation
        self._addresses.pop(actor, None)
        inherited = [self._life_read, *self._claim.locks]
        if actor == DEV_CONTROL:
            inherited.append(self._listener.fileno())
        try:
            process = spawn(
                actor,
                self._boots.record(command),
                environment=environment_for(actor, os.environ, self._settings.auth_key),
                inherited=inherited,
                log_fd=self._log_write,
            )
        except OSError as error:
            why = f"cannot start a process: {error.strerror}"
            # Said after this turn, not within it: the core is still being asked.
            self._loop.call_soon(lambda: self._happened(SpawnFailed(actor, incarnation, why)))
            return
        self._children[actor] = process
        self._loop.watch(process.pidfd, lambda: self._on_death(actor, incarnation, process))
        self._carry_out(self._core.receive(Spawned(actor, incarnation, process.pid), self._now()))

    def _signal(self, actor: str, number: signal.Signals) -> None:
        process = self._children.get(actor)
        if process is not None:
            process.send(number)

    def _send(self, actor: str, body: Any) -> None:
        address = self._addresses.get(actor)
        if address is None:
            return
        try:
            self._router.send_multipart([address, self._codec.wrap(body)], zmq.DONTWAIT)
        except zmq.ZMQError as error:
            # It has gone, or takes nothing: its end, or its missing heartbeats, are dealt with.
            self._event("debug", "word_lost", {"actor": actor, "detail": str(error)})

    def _finish(self, code: int) -> None:
        self._exit_code = code
        self._notifier.send(STOPPING="1")
        self._event("info", "stopped", {"exit_code": code})
        self._close()

    def _fail(self, error: BaseException) -> None:
        """The Supervisor itself is broken: its end takes every child along."""
        self._failure = error
        for actor in list(self._children):
            self._signal(actor, signal.SIGKILL)
        self._close()

    def _close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self.actor_stopped.set()
        pykka.ActorRegistry.unregister(self.actor_ref)
        self._sockets.close()

    # For operators

    def _event(self, level: str, event: str, fields: Mapping[str, Any]) -> None:
        self._log.event(level, event, fields)
        if self._observer is not None:
            self._observer.event(level, event, fields)

    def _on_request(self, command: str, arguments: dict[str, Any]) -> Any:
        match command:
            case "status":
                return make_report(self._core, self._settings, self._own, self._now())
            case "stop":
                self._loop.call_soon(lambda: self._happened(Stop("the command line")))
            case "reconnect":
                self._loop.call_soon(lambda: self._happened(Reconnect()))
            case "reload":
                self._loop.call_soon(self._reload)
            case "fault":
                self._fault(str(arguments.get("what", "")), str(arguments.get("actor", "")), arguments)
            case _:
                raise AdminError(f"cannot do {command!r}: no such command")
        return {}

    def _fault(self, what: str, actor: str, arguments: dict[str, Any]) -> None:
        process = self._children.get(actor)
        if process is None:
            raise AdminError(f"cannot {what} {actor!r}: it has no process now")
        signals = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP, "cont": signal.SIGCONT}
        self._event("warning", "fault_on_request", {"actor": actor, "pid": process.pid, "fault": what})
        if what in signals:
            process.send(signals[what])
        elif what == "freeze":
            seconds = min(float(arguments.get("seconds", 30.0)), MAX_FREEZE)
            self._send(actor, internal_pb2.Freeze(seconds=seconds))
        else:
            raise AdminError(f"cannot {what!r} {actor}: kill, stop, cont and freeze are known")

    def _reload(self) -> None:
        """What can change while it runs, and a word about what cannot."""
        self._event("info", "reloaded", {"detail": "the auth key is read again at the next registration"})

    def _look_at_self(self) -> None:
        with Path("/proc/self/statm").open("rb") as file:
            self._own.rss_bytes = int(file.read().split()[1]) * _PAGE
        self._notifier.send(STATUS=self._status_line())

    def _ping_watchdog(self) -> None:
        """From the loop that has just had its turn: a stuck Supervisor pings nobody."""
        self._notifier.send(WATCHDOG="1")

    def _status_line(self) -> str:
        netmap = make_report(self._core, self._settings, self._own, self._now()).netmap
        age = "no map yet" if netmap.age_s is None else f"last map {netmap.age_s:.0f} s ago"
        return f"{netmap.state}, {netmap.peers} peers, {age}"


def _drain(fd: int, output: ChildOutput) -> None:
    try:
        output.feed(os.read(fd, LOG_CHUNK))
    except BlockingIOError:
        return


def _pass_time(loop: Loop, seconds: float) -> None:
    until = loop.now() + seconds
    loop.at(until, lambda: None)
    loop.run(lambda: loop.now() >= until)


def _write_once(path: Path, text: str) -> None:
    """A secret made at the first run; an existing one is kept."""
    if path.exists():
        return
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise ConfigurationError(f"cannot write {path}: {error.strerror}") from None


def _time_namespace() -> str:
    try:
        return str(Path("/proc/self/ns/time").readlink())
    except OSError:
        return ""
