"""One recorded history of one daemon: what the server sent, what was done about it, what was published and shown.

A test uses the fixture `recorded`, which starts a scripted server and a daemon, and ends with the checker:

    def test_f12_goaway_is_an_end(recorded):
        scene = recorded("--probe-timeout=2s", silence=4.0)     # options of `run`
        scene.daemon.wait_fresh()
        scene.control.fault("session/goaway")
        …

A test with a scene of its own (namespaces, a proxy, another server) records the daemon it has:

    with recording(daemon, tmp_path, silence=10.0) as history:  # checked on leaving, unless the test failed
        …

`control` (a `tests.support.servers.scripted.Control`) adds what the server sent; say `direct=False` when that may get
lost on its way or goes to several nodes. The test notes what the checker must know and cannot see:
`stopped()` around a time in which the daemon does not run, `operator()` before a `reconnect`.

The file has one JSON object a line, in the order of CLOCK_BOOTTIME (`at`). `what` is
    begin        silence (the limit), direct;
    sent         a MapResponse: stream (its number on the server), node, json;
    log          an event of the daemon's log, with the child's and the Supervisor's own;
    processes    connections: process ids of control connections, zombies too, from /proc, at each change;
    status       what `status --json` says, twice a second;
    published    a message of the bus: epoch, seq, topic, topic_seq; of a heartbeat the last commit;
    subscriber   name, and a record of a subscriber that is a process of its own (`recording_subscriber`);
    stopped, resumed, operator, end.
Not here: what must hold of it (`history_checker`).
"""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import msgspec
import zmq

from netmap_actors.runtime_paths import updates_path
from netmap_actors.wire import netmap_pb2
from netmap_supervisor.admin.socket import AdminClient, AdminError
from tests.support.histories.history_checker import check
from tests.support.histories.recordings import RecordingSubscriber, end_all
from tests.support.processes.daemon import Daemon, children_of, role_of
from tests.support.servers import scripted
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from netmap_actors.dev_control.http.map_stream import MapStream
    from tests.support.servers.scripted import Control

SAMPLE = 0.05
"""Seconds between two looks at the processes."""
ASK = 0.5
"""Seconds between two questions for the status."""
_numbers = itertools.count(1)


def boottime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Recording:
    """What happens to one daemon, from `start` to `finish`."""

    def __init__(
        self,
        daemon: Daemon,
        directory: Path,
        *,
        silence: float,
        control: Control | None = None,
        direct: bool = True,
        subscribers: int = 1,
    ) -> None:
        self.path = directory / f"history-{next(_numbers)}.jsonl"
        self._daemon = daemon
        self._directory = directory
        self._control = control
        self._lines: list[dict[str, Any]] = []
        self._names: dict[int, bool] = {}
        self._shown: list[int] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="history", daemon=True)
        self._count = subscribers
        self.subscribers: list[RecordingSubscriber] = []
        self.note("begin", silence=silence, direct=direct and control is not None)

    def note(self, what: str, **fields: object) -> None:
        """Write down something that happens now."""
        self._lines.append({"at": boottime(), "what": what, **fields})

    def start(self) -> Self:
        """The daemon need not run yet."""
        if self._control is not None:
            self._control.server.call(lambda it: setattr(it._control, "on_message", self._on_message))
        for number in range(1, self._count + 1):
            name = f"{self.path.stem}-subscriber-{number}"
            record = self._directory / f"{name}.jsonl"
            self.subscribers.append(RecordingSubscriber(self._daemon.runtime_dir, record, name))
        self._thread.start()
        return self

    def operator(self) -> None:
        """An operator asks for a new connection: the pace starts anew."""
        self.note("operator")

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """Within, the daemon (or its machine) does not run, so nothing can be asked of it."""
        self.note("stopped")
        try:
            yield
        finally:
            self.note("resumed")

    def wait_shown(self, fact: Callable[[dict[str, Any]], object], limit: float, what: str) -> dict[str, Any]:
        """The last step of the first subscriber's view, once this is true of it (epoch, seq, state, digest, at)."""

        def last() -> dict[str, Any] | None:
            steps = self.subscribers[0].shown()
            return steps[-1] if steps and fact(steps[-1]) else None

        return wait_for(last, limit, what)

    def finish(self) -> Path:
        """End it, with the daemon; the file that was written."""
        self.note("end")
        living = [one for one in self.subscribers if one.lives]
        end_all(living)
        self._over.set()
        self._thread.join(10.0)
        if self._control is not None:
            self._control.server.call(lambda it: setattr(it._control, "on_message", lambda *_: None))
        if self._daemon.running():
            self._daemon.terminate()
        self._write()
        return self.path

    def abandon(self) -> None:
        """The test has failed: nothing is checked."""
        self._over.set()
        for one in self.subscribers:
            one.__exit__(None, None, None)
        self._thread.join(10.0)

    # Inside

    def _write(self) -> None:
        lines = list(self._lines)
        events = (event for event in self._daemon.events() if "boottime" in event)
        lines += [{"at": event["boottime"], "what": "log", **event} for event in events]
        for one in self.subscribers:
            lines += [
                {"at": record["at"], "what": "subscriber", "name": one.name, "record": record}
                for record in one.records()
            ]
        lines.sort(key=lambda line: line["at"])
        self.path.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))

    def _on_message(self, stream: MapStream, json: bytes) -> None:
        # In the server's thread, before the message can be received.
        self.note("sent", stream=stream.number, node=stream.node_id, json=json.decode(errors="replace"))

    def _watch(self) -> None:
        context = zmq.Context()
        updates = context.socket(zmq.SUB)
        updates.setsockopt(zmq.LINGER, 0)
        updates.setsockopt(zmq.RCVHWM, 0)
        updates.setsockopt(zmq.SUBSCRIBE, b"")
        updates.connect(f"ipc://{updates_path(self._daemon.runtime_dir)}")
        ask_at = 0.0
        try:
            while not self._over.is_set():
                if updates.poll(int(SAMPLE * 1000)):
                    self._take(updates)
                self._look_at_processes()
                if boottime() >= ask_at:
                    ask_at = boottime() + ASK
                    self._ask()
            self._take(updates)
        finally:
            context.destroy()

    def _take(self, updates: zmq.Socket[bytes]) -> None:
        while True:
            try:
                topic, data = updates.recv_multipart(zmq.DONTWAIT)
            except zmq.Again:
                return
            message = netmap_pb2.BusMessage.FromString(data)
            seq = message.seq
            if message.WhichOneof("body") == "heartbeat":
                seq = message.heartbeat.last_commit.seq
            kind = topic.decode().rpartition("/")[2]
            self.note("published", epoch=message.epoch, seq=seq, topic=kind, topic_seq=message.topic_seq)

    def _look_at_processes(self) -> None:
        if not self._daemon.running():
            return
        found = self._connections()
        if len(found) > 1:
            # The kernel's list is no snapshot: one may have gone while it was read.
            found = self._connections()
        if found != self._shown:
            self._shown = found
            self.note("processes", connections=found)

    def _connections(self) -> list[int]:
        return [pid for pid in children_of(self._daemon.pid) if self._is_connection(pid)]

    def _is_connection(self, pid: int) -> bool:
        # A zombie has no command line any more; what it was is remembered.
        if pid not in self._names:
            role = role_of(pid)
            if role in {"", "nursery"}:
                return False  # not yet: a process that was just forked is called as the nursery is
            self._names[pid] = role == "control_connection"
        return self._names[pid]

    def _ask(self) -> None:
        if not self._daemon.runtime_dir.exists():
            return
        with contextlib.suppress(AdminError):
            self.note("status", status=AdminClient(self._daemon.runtime_dir, 1.0).request("status"))


@contextlib.contextmanager
def recording(daemon: Daemon, directory: Path, **settings: Any) -> Iterator[Recording]:
    """Record this daemon, running or not; on leaving it is ended and its history checked."""
    history = Recording(daemon, directory, **settings)
    try:
        yield history.start()
    except BaseException:
        history.abandon()
        raise
    check(history.finish())


class Scene:
    """A scripted server, a daemon that has joined it, and the recording of both."""

    def __init__(self, control: Control, daemon: Daemon, history: Recording) -> None:
        self.control = control
        self.daemon = daemon
        self.history = history

    def wait_back(self, before: dict[str, Any], limit: float = 30.0) -> dict[str, Any]:
        """The status once the netmap is fresh over a later connection than in `before`."""
        return self.daemon.wait_status(
            lambda status: (
                status["netmap"]["state"] == "fresh"
                and status["connection"]["generation"] > before["connection"]["generation"]
            ),
            limit,
            "a fresh netmap over a new connection",
        )

    def reconnect(self) -> None:
        """As an operator."""
        self.history.operator()
        self.daemon.command("reconnect", check=True)


class Scenes:
    """Starts scenes; on leaving all of them are ended and, if that was with no error, their histories checked."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._running = contextlib.ExitStack()
        self._count = 0

    def __call__(
        self,
        *options: str,
        silence: float = 10.0,
        server: dict[str, Any] | None = None,
        control: Control | None = None,
        direct: bool = True,
        subscribers: int = 1,
        start: bool = True,
        **settings: Any,
    ) -> Scene:
        """A scene with a server of its own (`server`: its settings), or with `control`; it does not wait for a netmap.
        `start=False`: the caller starts the daemon. `settings`: those of Daemon."""
        self._count += 1
        directory = self._directory / f"scene-{self._count}"
        directory.mkdir()
        if control is None:
            control = self._running.enter_context(scripted.running(directory, **(server or {})))
        options = (*scripted.joined(control), f"--silence-timeout={silence:g}s", *options)
        daemon = Daemon(*options, **settings)
        self._running.push(daemon)
        history = self._running.enter_context(
            recording(
                daemon, directory, silence=silence, control=control, direct=direct, subscribers=subscribers
            )
        )
        if start:
            daemon.start()
        return Scene(control, daemon, history)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.__exit__(kind, error, trace)
