"""The children as processes: started, signalled, reaped, and the messages from and to them.

Not here: when any of that is due, and what a message means (`core`).
"""

from __future__ import annotations

import contextlib
import functools
import os
from typing import TYPE_CHECKING

import zmq

from netmap_actors.bus.connection_limit import ConnectionLimit
from netmap_actors.exit_reason import ExitReason, status_of
from netmap_actors.wire.codec import Codec, ForeignEnvelope
from netmap_supervisor.daemon.core import CONNECTION
from netmap_supervisor.daemon.output.child_output import ChildOutput
from netmap_supervisor.daemon.output.log_pipes import LogPipe
from netmap_supervisor.daemon.refused_calls import RefusedCalls
from netmap_supervisor.supervision.messages import Exited
from netmap_supervisor.system.nursery_process import NurseryFailed
from netmap_supervisor.system.os_process import ChildProcess, reap_stranger, spawn

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from google.protobuf.message import Message

    from netmap_actors.bus.loop import Loop
    from netmap_actors.bus.sockets import Sockets
    from netmap_actors.wire import internal_pb2
    from netmap_actors.wire.secret import Secret
    from netmap_supervisor.daemon.nursery import Nursery
    from netmap_supervisor.daemon.output.log_pipes import LogPipes

__all__ = ["MAX_MESSAGES", "Children"]

INTAKE_HWM = 64
"""Messages of one process that wait to be read, of a mebibyte at most each; the others wait in the process, and are
lost with it when it ends: an attempt that fails at once says some twenty, while other children are started."""
MAX_CHILD_MESSAGE = 64 * 1024
"""Bytes of a message, which may be logged and shown; only dev_control's answer to an operator may have more."""
MESSAGES_PER_TURN = 500
BYTES_PER_TURN = 16 << 20
"""Of messages, a moment's work; each process has its turn, so one that says more does not hold up the others."""
MAX_MESSAGES = 20_000
"""Read before an end or a missing heartbeat counts: more than can wait (the high-water marks of all children)."""
LAST_WORDS_LIMIT = 0.25
"""Seconds the last message of a connection that ended by itself is waited for."""
MAX_CONNECTIONS = 32
MAX_OF_ONE = 2
"""Connections of one process: it has one, and for a moment another one in its place."""


class Children:
    """Every process of one run, at most one an actor, and the pipes and the socket that tie them to us."""

    def __init__(
        self,
        loop: Loop,
        sockets: Sockets,
        *,
        run: str,
        endpoint: str,
        log_pipes: LogPipes,
        nursery: Nursery,
        on_messages: Callable[[int], object],
        on_exit: Callable[[Exited], object],
    ) -> None:
        """`endpoint`: where they connect. `on_messages(most)`: `take` them. `on_exit(exited)`: a process was reaped."""
        self._loop = loop
        self._nursery = nursery
        self._on_messages = on_messages
        self._on_exit = on_exit
        self._unexplained: Exited | None = None
        """A connection that was reaped and has not said why it ended."""
        self._explained = False
        """The newest connection has said why it ends."""
        self._run = run
        self._codecs: dict[str, Codec] = {}
        """Each child's, until its next process is started: the last message of one that ended may still come."""
        self.foreign_words = 0
        """Messages that were refused: malformed, or not proved to come from a process that is ours now."""
        self._processes: dict[str, ChildProcess] = {}
        self._unreaped: set[int] = set()
        """Process ids of all that were started and not yet reaped."""
        self._addresses: dict[str, bytes] = {}
        self.refused_calls = RefusedCalls(
            loop,
            lambda actor, generation, call: log_pipes.log.event(
                "warning", "system_call_refused", {"actor": actor, "generation": generation, "call": call}
            ),
        )
        self._router = sockets.router_bind(endpoint, intake=INTAKE_HWM)
        self._limit = ConnectionLimit(loop, self._router, of_all=MAX_CONNECTIONS, of_one=MAX_OF_ONE)
        self._lives: dict[int, int] = {}
        """By pid, our end of the pipe whose end shows a process that we are gone; nothing is written into it."""
        self._log_pipes = log_pipes
        self._outputs: dict[int, LogPipe] = {}
        """The standard error of each process, by pid; of one that was not reaped, too."""
        loop.watch(self._router, lambda: on_messages(MESSAGES_PER_TURN))

    def start(
        self,
        actor: str,
        generation: int,
        boot: Callable[[int], bytes],
        *,
        secret: Secret,
        environment: Mapping[str, str],
        inherited: Iterable[int],
    ) -> int:
        """Start this actor's process; its pid. `boot(life_fd)`: its record. `secret`: its and ours. Raises OSError."""
        self.expect(actor, generation, secret)
        spawn_once = functools.partial(self._spawn, actor, generation, boot, environment, tuple(inherited))
        try:
            process = spawn_once()
        except NurseryFailed:
            # It may have forked one all the same: that has a line of its own, which is closed, and nobody hears it.
            process = spawn_once()
        self._processes[actor] = process
        self._unreaped.add(process.pid)
        self.refused_calls.expect(actor, generation, process.line)
        self._loop.watch(process.pidfd, lambda: self._on_death(actor, generation, process))
        return process.pid

    def _spawn(
        self,
        actor: str,
        generation: int,
        boot: Callable[[int], bytes],
        environment: Mapping[str, str],
        inherited: Iterable[int],
    ) -> ChildProcess:
        """One try, with pipes and a line that no other try has."""
        with contextlib.ExitStack() as given, contextlib.ExitStack() as kept:
            # Of its own: a process that holds a pipe's end to read can open it to write (proc_pid_fd(5)).
            life_read, life_write = os.pipe2(os.O_CLOEXEC)
            kept.callback(os.close, life_write)
            given.callback(os.close, life_read)
            log_read, log_write = os.pipe2(os.O_CLOEXEC)
            kept.callback(os.close, log_read)
            given.callback(os.close, log_write)
            process = spawn(
                actor,
                boot(life_read),
                environment=environment,
                inherited=[life_read, *inherited],
                log_fd=log_write,
                start=functools.partial(self._nursery.start, held=self._unreaped),
            )
            kept.pop_all()
        self._lives[process.pid] = life_write
        self._outputs[process.pid] = pipe = LogPipe(log_read, ChildOutput(actor, process.pid, generation))
        self._log_pipes.hear(pipe)
        return process

    def get(self, actor: str) -> ChildProcess | None:
        """The process of an actor, if it has one."""
        return self._processes.get(actor)

    def pids(self) -> set[int]:
        """The processes that are there now."""
        return {self._nursery.pid, *(process.pid for process in self._processes.values())} - {0}

    def send_signal(self, actor: str, number: signal.Signals) -> None:
        """Nothing happens when there is no such process."""
        process = self._processes.get(actor)
        if process is not None:
            process.send(number)

    def signal_all(self, number: signal.Signals) -> None:
        for process in self._processes.values():
            process.send(number)

    def waited(self, monotonic: float) -> dict[str, float]:
        """Seconds each has waited for a processor."""
        return {actor: child.waited(monotonic) for actor, child in self._processes.items()}

    def _on_death(self, actor: str, generation: int, process: ChildProcess) -> None:
        # Its last messages first: they say why.
        self._on_messages(MAX_MESSAGES)
        exited = self._reap(actor, generation, process)
        # An exception is told by its status alone; every other end by itself has a message.
        explains = exited.status not in {None, 0, status_of(ExitReason.CRASHED)}
        if actor == CONNECTION and explains and not self._explained:
            # The kernel reports its end at once, ZeroMQ's thread its last message a moment later.
            self._unexplained = exited
            self._loop.at(self._loop.now() + LAST_WORDS_LIMIT, lambda: self._report_exit(exited))
        else:
            self._on_exit(exited)

    def _report_exit(self, exited: Exited | None) -> None:
        if exited is not None and self._unexplained is exited:
            self._unexplained = None
            self._on_exit(exited)

    def _reap(self, actor: str, generation: int, process: ChildProcess) -> Exited:
        self._loop.unwatch(process.pidfd)
        if self._processes.get(actor) is process:
            self.refused_calls.forget(actor)
        ended = process.reap()
        assert ended is not None, "its pidfd is readable: it has ended"
        self._unreaped.discard(process.pid)
        self.reap_strangers()
        if self._processes.get(actor) is process:
            del self._processes[actor]
        os.close(self._lives.pop(process.pid))
        failure = self._close_output(self._outputs.pop(process.pid))
        return Exited(actor, generation, ended.status, ended.signal, failure)

    def reap_strangers(self) -> None:
        """Reap processes that were left to us and have ended; our own are for `_reap` alone."""
        while reap_stranger(self._unreaped | {self._nursery.pid}):
            pass

    # Messages

    def expect(self, actor: str, generation: int, secret: Secret) -> None:
        """From now on messages under the actor's name are from and to this process, and none before it."""
        self._addresses.pop(actor, None)
        if actor == CONNECTION:
            self._explained = False
        self._codecs[actor] = Codec(
            self._run, "supervisor", 1, peer=actor, peer_generation=generation, secret=secret
        )

    def take(self, most: int) -> Iterator[internal_pb2.Envelope]:
        """Messages that wait, each proved by the newest process of its actor: so many and BYTES_PER_TURN at most."""
        left = BYTES_PER_TURN
        while most > 0 and left >= 0:
            try:
                frames = self._router.recv_multipart(zmq.DONTWAIT)
            except zmq.Again:
                return
            most, left = most - 1, left - sum(map(len, frames))
            found = self._proved(frames)
            if found is None:
                self.foreign_words += 1
                continue
            address, envelope = found
            self._addresses[envelope.actor] = address
            if (envelope.actor, envelope.WhichOneof("body")) == (CONNECTION, "session_ended"):
                self._explained = True
                self._loop.call_soon(functools.partial(self._report_exit, self._unexplained))
            yield envelope

    def _proved(self, frames: list[bytes]) -> tuple[bytes, internal_pb2.Envelope] | None:
        try:
            address, data = frames
            # The address is what a process calls itself; the message has to prove it.
            codec = self._codecs[address.partition(b"-")[0].decode("ascii")]
            envelope = codec.open(data)
        except (ValueError, KeyError, ForeignEnvelope):
            return None
        if len(data) > MAX_CHILD_MESSAGE and envelope.WhichOneof("body") != "dev_reply":
            return None
        return address, envelope

    def hang_up_on_floods(self) -> int:
        """Disconnect processes that send more than fits into memory; how many there were."""
        return self._log_cut(self._limit.hang_up_on_floods())

    def hang_up_on_all(self) -> int:
        """The same, where it is not known which. Those at the other end connect again."""
        return self._log_cut(self._limit.hang_up_on_all())

    def _log_cut(self, cut: int) -> int:
        if cut:
            self._log_pipes.log.event("warning", "words_without_end", {"connections_cut": cut})
        return cut

    def tell(self, actor: str, body: Message) -> str | None:
        """Send a message to a child. None, or why it is lost: "" when it is not connected yet."""
        address, codec = self._addresses.get(actor), self._codecs.get(actor)
        if address is None or codec is None:
            return ""
        try:
            self._router.send_multipart([address, codec.wrap(body)], zmq.DONTWAIT)
        except zmq.ZMQError as error:
            # It has gone, or takes nothing: its end, or its missing heartbeats, will show.
            return str(error)
        return None

    def _close_output(self, pipe: LogPipe) -> str:
        """Close it; why its process failed, as it last reported."""
        self._log_pipes.end(pipe)
        os.close(pipe.fd)
        return pipe.output.failure

    def close(self) -> None:
        for pid in list(self._outputs):
            self._close_output(self._outputs.pop(pid))
        self.refused_calls.close()
        self._limit.close()
        while self._lives:
            os.close(self._lives.popitem()[1])
