"""The actors of a tree at rest, in one thread and on a clock that is moved by hand; counts what wakes a thread.

The actors and their loops are the real ones. Their messages are counted and delivered by hand, so nothing waits for
ZeroMQ: each costs the same three wake-ups (the sender's I/O thread, the receiver's, the receiver's loop), although
some that arrive together share one.
"""

from __future__ import annotations

import collections
import json
from typing import TYPE_CHECKING, Any
from unittest import mock

import msgspec
import zmq

from netmap_actors.boot import (
    Boot,
    ConnectionSettings,
    HistorySettings,
    LivenessSettings,
    PublisherSettings,
)
from netmap_actors.control_connection import actor as connection_actor
from netmap_actors.control_connection.client import events
from netmap_actors.history_writer.actor import HistoryKeeper
from netmap_actors.liveness.actor import Liveness
from netmap_actors.process import actor_base
from netmap_actors.publisher import actor as publisher_actor
from netmap_actors.wire import internal_pb2
from netmap_actors.wire.vocabulary import Stage
from netmap_supervisor.daemon.boot_records import endpoints_of
from tests.support.machines.simulated_shell import BODY
from tests.support.netmaps.publishing import full, node
from tests.support.processes import pairs

if TYPE_CHECKING:
    from pathlib import Path

    from netmap_actors.process.actor_base import ActorBase

RUN = "00112233445566dd"
OF_A_MESSAGE = 3
"""Wake-ups of one message between two processes."""
SILENCE = 1e6
"""Seconds that may pass without a keep-alive: none comes."""


class ManualClock:
    """One time for all three clocks, in seconds."""

    def __init__(self) -> None:
        self.time = 10_000.0

    def boottime(self) -> float:
        return self.time

    monotonic = wall = boottime


class IdleTree:
    """Publisher, liveness and connection with a map session and no news, and a history if asked for. To be closed."""

    def __init__(self, directory: Path, *, peers: int, history: bool = False) -> None:
        self.clock = ManualClock()
        self.endpoints = endpoints_of(directory, directory, history=history)
        self.turns: collections.Counter[str] = collections.Counter()
        """How often each actor's loop had something to do."""
        self.messages: collections.Counter[tuple[str, str]] = collections.Counter()
        """Sender and kind -> how many."""
        self.bus: collections.Counter[bytes] = collections.Counter()
        """Topic -> how many were published."""
        state = directory / "state"
        state.mkdir(mode=0o700)
        node_at = ConnectionSettings(control_url="http://127.0.0.1:9", state_dir=str(state), hostname="idle")
        with (
            mock.patch.object(connection_actor, "resolve"),
            mock.patch.object(connection_actor, "return_large_blocks"),
            mock.patch.object(publisher_actor, "FloodGuard"),
        ):
            self.publisher = self._begin(
                publisher_actor.Publisher, "publisher", PublisherSettings(silence_timeout=SILENCE)
            )
            self.liveness = self._begin(Liveness, "liveness", LivenessSettings())
            self.connection = self._begin(connection_actor.ControlConnection, "control_connection", node_at)
        assert self.publisher._local is not None
        mock.patch.object(self.publisher._local, "send", self._published).start()
        self.connection._reports._to_liveness = self._to_liveness
        self.history: HistoryKeeper | None = None
        self._begin_session(peers)
        if history:
            self.history = self._begin(
                HistoryKeeper, "history", HistorySettings(directory=str(directory / "history"))
            )

    @property
    def actors(self) -> tuple[ActorBase, ...]:
        own = (self.publisher, self.liveness, self.connection)
        return own if self.history is None else (*own, self.history)

    def wake_ups(self) -> int:
        """Of all threads so far, where no message shares one."""
        return self.turns.total() + OF_A_MESSAGE * self.messages.total()

    def advance(self, seconds: float) -> None:
        """Let time pass, from one timer to the next."""
        end = self.clock.time + seconds
        while (at := self._next()) <= end:
            self.clock.time = max(at, self.clock.time)
            self.turn()
        self.clock.time = end

    def turn(self) -> None:
        """Let each loop do what is due."""
        for actor in self.actors:
            calls = actor.loop.wait(block=False)
            if calls:
                self.turns[actor.boot.actor] += 1
            for call in calls:
                call()

    def forget(self) -> None:
        """Count from now on."""
        self.turns.clear()
        self.messages.clear()
        self.bus.clear()

    def close(self) -> None:
        for actor in self.actors:
            actor._close()
            actor.loop.close()

    def _next(self) -> float:
        timers = (timer for actor in self.actors for timer in actor.loop._timers)
        return min(timer.when for timer in timers if not timer.cancelled)

    def _begin(self, kind: type[Any], name: str, settings: msgspec.Struct) -> Any:
        boot = Boot(
            run=RUN,
            actor=name,
            generation=1,
            parent_pid=1,
            life_fd=-1,
            endpoints=self.endpoints,
            secrets=pairs.secrets_of(name),
            settings=msgspec.Raw(msgspec.json.encode(settings)),
        )
        kind.prepare(boot)
        with mock.patch.object(actor_base, "SystemClock", return_value=self.clock):
            actor = kind(boot)
        actor.tell_supervisor = lambda body: self._sent(name, body)
        actor.on_start()
        assert actor.exit_reason is None
        return actor

    def _begin_session(self, peers: int) -> None:
        started = internal_pb2.Envelope(connection_started=internal_pb2.ConnectionStarted(generation=1))
        for watcher in (self.publisher, self.liveness):
            watcher.on_supervisor(started)
        now = self.clock.time
        self.connection._on_event(events.StageEntered(Stage.MAP, now, SILENCE, 1))
        expiry = {"KeyExpiry": "2030-01-01T00:00:00Z"}
        document = json.dumps(full(*(node(number, **expiry) for number in range(2, peers + 2)))).encode()
        header = internal_pb2.MapResponseReceived(
            generation=1, session=1, number=1, received_at=now, size=len(document)
        )
        envelope = pairs.connection(RUN, "publisher").wrap(header, document)
        self.publisher._waiting.append((envelope, document))
        self.publisher._apply()
        self.advance(10.0)
        assert self.publisher._netmap.statistics.peers == peers
        self.forget()

    def _sent(self, actor: str, body: Any) -> None:
        self.messages[actor, type(body).__name__] += 1

    def _to_liveness(self, message: Any) -> None:
        self._sent("control_connection", message)
        envelope = internal_pb2.Envelope()
        getattr(envelope, BODY[type(message).__name__]).CopyFrom(message)
        self.liveness._feed(envelope)
        self.liveness._arm()

    def _published(self, published: Any) -> None:
        self.bus[published.topic] += 1


def subscribed(tree: IdleTree) -> zmq.Socket[bytes]:
    """A subscriber that connects; its socket's context is its own."""
    socket: zmq.Socket[bytes] = zmq.Context().socket(zmq.SUB)
    socket.subscribe(b"")
    socket.connect(tree.endpoints.updates)
    return socket
