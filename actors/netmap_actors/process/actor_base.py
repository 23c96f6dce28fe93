"""The base of every actor that is a process: one thread, one loop, messages to the Supervisor, an exit reason.

pykka gives the mailbox and the message order. Every end has a reason the bootstrap turns into an exit status.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import zmq

from netmap_actors.bus.loop import Loop
from netmap_actors.bus.mailbox import LoopActor
from netmap_actors.bus.monitor import next_event
from netmap_actors.bus.sockets import Sockets
from netmap_actors.clock import SystemClock, time_namespace
from netmap_actors.confinement.memory_guard import resident_bytes
from netmap_actors.confinement.unused_memory import SETTLED, give_back
from netmap_actors.exit_reason import ExitReason, from_exception
from netmap_actors.process.child_log import ChildLog
from netmap_actors.wire import internal_pb2
from netmap_actors.wire.codec import Codec, ForeignEnvelope
from netmap_actors.wire.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable

    from google.protobuf.message import Message

    from netmap_actors.boot import Boot

__all__ = ["ActorBase"]

_MESSAGES_PER_TURN = 100
"""Of the Supervisor's messages, before other sources get their turn."""


class ActorBase(LoopActor):
    """One actor, one process, one thread.

    A subclass gives `setup`, and where it needs them `on_supervisor`, `statistics` and `teardown`. `__init__`
    and every hook run in the process's main thread.
    """

    def __init__(self, boot: Boot) -> None:
        self.clock = SystemClock()
        self.loop = Loop(self.clock)
        super().__init__(self.loop)
        self.boot = boot
        self.codec = Codec(
            boot.run,
            boot.actor,
            boot.generation,
            peer="supervisor",
            secret=Secret.from_text(boot.secrets.supervisor),
        )
        """To and from the Supervisor."""
        self.sockets = Sockets(listeners=boot.listeners)
        self.log = ChildLog(2, actor=boot.actor, pid=os.getpid(), generation=boot.generation)
        self.exit_reason: ExitReason | None = None
        """Why the actor ended; None while it lives."""
        self.confinement: dict[str, int] = {}
        """What confines it to its row, for status."""
        self._heartbeats = 0
        self._heartbeat_due = False
        self._degraded: set[str] = set()
        self._supervisor = self.sockets.dealer_connect(
            boot.endpoints.supervisor,
            f"{boot.actor}-{boot.generation}-{secrets.token_hex(4)}".encode(),
            monitored=zmq.EVENT_CONNECTED,
        )
        self._line: zmq.Socket[bytes] | None = self._supervisor.get_monitor_socket()
        self.when_up: Callable[[], object] | None = None
        """Called once: the actor is ready and connected to the Supervisor."""

    # What a subclass gives

    @classmethod
    def preload(cls) -> None:
        """Load and build what every process of this kind uses and none changes; for a process that forks them, once."""

    @classmethod
    def prepare(cls, boot: Boot) -> None:
        """What has to be made before the process gives up what it does not need (`permissions`)."""

    @classmethod
    def connect_ports(cls, boot: Boot) -> tuple[int, ...]:  # noqa: ARG003
        """TCP ports it will connect to; every other is out of reach once it is confined."""
        return ()

    def setup(self) -> None:
        """Open sockets, watch them, arm timers; call `ready` when the actor serves."""
        raise NotImplementedError

    def on_supervisor(self, envelope: internal_pb2.Envelope) -> None:
        """A message from the Supervisor other than Stop and Freeze."""

    def statistics(self, heartbeat: internal_pb2.Heartbeat) -> None:
        """Fill in this actor's figures."""

    def foreign_messages(self) -> int:
        """Messages refused: malformed, of another run, or without proof of their sender."""
        return self.codec.foreign

    def teardown(self) -> None:
        """Close what `setup` opened; called at every end but the process's death."""

    # What it may use

    def ready(self, facts: dict[str, str] | None = None) -> None:
        """Report to the Supervisor that this actor is up, with facts only it knows."""
        self.tell_supervisor(internal_pb2.Ready(facts=facts or {}))
        self.heartbeat_now()
        self.loop.at(self.loop.now() + SETTLED, give_back)
        if self._line is not None:
            self.loop.watch(self._line, self._on_line)

    def tell_supervisor(self, body: Message) -> None:
        """Send without waiting; the message is lost when the Supervisor takes nothing (it may be stopped)."""
        with contextlib.suppress(zmq.Again):
            self._supervisor.send(self.codec.wrap(body), zmq.DONTWAIT)

    def heartbeat_now(self) -> None:
        """A heartbeat at the end of this turn: a figure of interest changed."""
        if not self._heartbeat_due:
            self._heartbeat_due = True
            self.loop.call_soon(self._send_heartbeat)

    def degraded(self, code: str, text: str) -> None:
        """Show a condition in status until `healed`."""
        self._degraded.add(code)
        self.tell_supervisor(internal_pb2.Degraded(code=code, text=text, active=True))

    def healed(self, code: str) -> None:
        """Take a condition back; nothing is sent for one that was not shown."""
        if code in self._degraded:
            self._degraded.remove(code)
            self.tell_supervisor(internal_pb2.Degraded(code=code, active=False))

    def finish(self, reason: ExitReason, detail: str = "") -> None:
        """End the actor with this reason once the handler that calls it returns. The first reason counts."""
        if self.exit_reason is not None:
            return
        self.exit_reason = reason
        if reason is not ExitReason.NORMAL:
            self.log.info("actor_finished", reason=reason.value, detail=detail)
        self._close()

    def run(self) -> ExitReason:
        """Run until the end, in the calling thread; returns its reason."""
        self._actor_loop()
        return self.exit_reason or ExitReason.CRASHED

    # pykka's hooks

    def _begin_life(self) -> None:
        self.tell_supervisor(internal_pb2.Hello(pid=os.getpid(), time_namespace=time_namespace()))
        self.loop.watch(self._supervisor, self._from_supervisor)
        self.loop.every(self.boot.heartbeat_interval, self._send_heartbeat)
        self.setup()

    def on_stop(self) -> None:
        if self.exit_reason is None:
            self.exit_reason = ExitReason.NORMAL
            self._close()

    # Inside

    def _on_line(self) -> None:
        if self._line is not None and next_event(self._line) is not None:
            self._forget_line()
            if self.when_up is not None:
                self.when_up()

    def _forget_line(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            self.loop.unwatch(line)
            self._supervisor.disable_monitor()
            line.close(0)

    def _from_supervisor(self) -> None:
        for _ in range(_MESSAGES_PER_TURN):
            try:
                data = self._supervisor.recv(zmq.DONTWAIT)
            except zmq.Again:
                return
            try:
                envelope = self.codec.open(data)
            except ForeignEnvelope as error:
                self.log.warning("foreign_envelope", detail=str(error))
                continue
            match envelope.WhichOneof("body"):
                case "stop":
                    self.finish(ExitReason.NORMAL, envelope.stop.reason)
                case "freeze":
                    self._freeze(envelope.freeze.seconds)
                case _:
                    self.on_supervisor(envelope)
            if self.exit_reason is not None:
                return

    def _freeze(self, seconds: float) -> None:
        """Hold this thread without yielding, as an endless loop in an extension would."""
        self.log.warning("frozen_on_request", seconds=seconds)
        until = self.clock.monotonic() + seconds
        while self.clock.monotonic() < until:
            pass

    def _send_heartbeat(self) -> None:
        self._heartbeat_due = False
        self._heartbeats += 1
        heartbeat = internal_pb2.Heartbeat(number=self._heartbeats, rss_bytes=resident_bytes())
        heartbeat.confinement.update(self.confinement)
        heartbeat.counters["foreign_words"] = self.foreign_messages()
        self.statistics(heartbeat)
        self.tell_supervisor(heartbeat)

    def _fail(self, error: BaseException) -> None:
        """The end by an exception. Its text is ours or the library's; arguments of calls are never logged."""
        if self.exit_reason is None:
            self.exit_reason = from_exception(error)
            self.log.error(
                "actor_failed",
                reason=self.exit_reason.value,
                error=type(error).__name__,
                detail=str(error)[:500],
                where=_where(error),
            )
        self._close()

    def _close(self) -> None:
        if self.actor_stopped.is_set():
            return
        self._end_life()
        try:
            self.teardown()
        except Exception as error:  # noqa: BLE001
            # The reason for the end is known already; this is only logged.
            self.log.error("teardown_failed", error=type(error).__name__, where=_where(error))
        self._forget_line()
        self.sockets.close()


def _where(error: BaseException) -> list[str]:
    """The last frames of the traceback, innermost last: files and lines, no values."""
    frames = traceback.extract_tb(error.__traceback__)[-8:]
    return [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames]
