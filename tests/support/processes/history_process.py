"""A history process whose Supervisor is the test, and that is there again at once when it was killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import msgspec
import zmq

from netmap_actors.boot import Boot, Endpoints, HistorySettings
from netmap_actors.history.answers import HISTORY_FILE, HistoryQuestion, ask
from netmap_actors.history.store import HistoryStore
from netmap_actors.runtime_paths import history_path
from netmap_actors.wire.codec import ForeignEnvelope
from netmap_supervisor.daemon.output.history_feed import HistoryFeed
from tests.support.processes import pairs
from tests.support.processes.log_pipe import LogPipe

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from google.protobuf.message import Message

    from netmap_actors.history.answers import Answer

__all__ = ["HistoryProcess"]

RUN = "0123456789abcdef"
LIMIT = 30.0

FORKS = """
import os, signal, sys
from netmap_actors.history_writer import actor
from netmap_actors.process import bootstrap
actor.MOMENT, actor.OPEN_AGAIN = 0.005, 0.2
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for line in iter(sys.stdin.buffer.readline, b""):
    read, write = os.pipe()
    os.write(write, line)
    os.close(write)
    pid = os.fork()
    if pid == 0:
        bootstrap.main("history", read)
    os.close(read)
    print(pid, flush=True)
"""
"""It writes what happens within milliseconds, and tries again soon."""


class HistoryProcess:
    """One history after the other, forked from a process that has loaded it."""

    def __init__(self, runtime_dir: Path, directory: Path) -> None:
        history_path(runtime_dir).parent.mkdir(mode=0o700, exist_ok=True)
        self.runtime_dir = runtime_dir
        self.file = directory / HISTORY_FILE
        self.history_feed = HistoryFeed(self._tell, lambda call: call())
        self.conditions: dict[str, str] = {}
        """What status would show, by code."""
        self.pid = 0
        self._settings = HistorySettings(directory=str(directory))
        self._generation = 0
        self._up = False
        self._address = b""
        self._codec = pairs.supervisor(RUN, "history")
        self._context: zmq.Context[Any] = zmq.Context()
        self._router = self._context.socket(zmq.ROUTER)
        self._router.setsockopt(zmq.ROUTER_MANDATORY, 1)
        self._endpoints = Endpoints(
            supervisor=f"ipc://{runtime_dir}/s",
            liveness=f"ipc://{runtime_dir}/l",
            publisher=f"ipc://{runtime_dir}/p",
            updates=f"ipc://{runtime_dir}/u",
            requests=f"ipc://{runtime_dir}/r",
            history=f"ipc://{history_path(runtime_dir)}",
        )
        self._router.bind(self._endpoints.supervisor)
        self._life, self._life_end = os.pipe()
        self._log = LogPipe()
        self._forks = subprocess.Popen(
            [sys.executable, "-P", "-c", FORKS],
            pass_fds=(self._life,),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
        )

    def start(self) -> None:
        """Begin the next one."""
        self._generation += 1
        self._codec = pairs.supervisor(RUN, "history", self._generation)
        self._address, self._up = b"", False
        boot = Boot(
            run=RUN,
            actor="history",
            generation=self._generation,
            parent_pid=self._forks.pid,
            life_fd=self._life,
            endpoints=self._endpoints,
            secrets=pairs.secrets_of("history", self._generation),
            heartbeat_interval=0.2,
            settings=msgspec.Raw(msgspec.json.encode(self._settings)),
        )
        assert self._forks.stdin is not None
        assert self._forks.stdout is not None
        self._forks.stdin.write(msgspec.json.encode(boot) + b"\n")
        self._forks.stdin.flush()
        self.pid = int(self._forks.stdout.readline())

    def kill(self) -> None:
        """Without a word; the Supervisor logs that it has ended."""
        os.kill(self.pid, signal.SIGKILL)
        self.pid = 0
        self._address = b""
        self.happened("actor_exited", actor="history")

    def happened(self, event: str, **fields: Any) -> None:
        """An event of the Supervisor's log."""
        self.history_feed.event(event, fields, time.time())

    def take(self, until: Callable[[], object], limit: float = LIMIT) -> None:
        """Take what it says until that holds. Raises AssertionError."""
        end = time.monotonic() + limit
        while not until():
            assert time.monotonic() < end, self.log()
            self._take_one(5)

    def take_for(self, seconds: float) -> None:
        """Take what it says for that long."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._take_one(max(1, int(left * 1000)))

    def wait_ready(self) -> None:
        self.take(lambda: self._up)

    def wait_kept(self) -> None:
        """Until all that it was told is on disk."""
        self.take(lambda: not self.history_feed._kept)

    def answer(self) -> Answer:
        """What its file tells."""
        store = HistoryStore(self.file, "default", read_only=True)
        try:
            return ask(store, HistoryQuestion(), time.time())
        finally:
            store.close()

    def log(self) -> str:
        return self._log.read().decode()

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            if self.pid:
                os.kill(self.pid, signal.SIGKILL)
        assert self._forks.stdin is not None
        assert self._forks.stdout is not None
        self._forks.stdin.close()
        self._forks.wait(LIMIT)
        self._forks.stdout.close()
        os.close(self._life)
        os.close(self._life_end)
        self._router.close(0)
        self._context.term()
        self._log.close()

    def _take_one(self, milliseconds: int) -> None:
        if not self._router.poll(milliseconds):
            return
        address, data = self._router.recv_multipart()
        with contextlib.suppress(ForeignEnvelope):  # the last words of the one before
            envelope = self._codec.open(data)
            self._address = address
            match envelope.WhichOneof("body"):
                case "ready":
                    self._up = True
                case "degraded" if envelope.degraded.active:
                    self.conditions[envelope.degraded.code] = envelope.degraded.text
                case "degraded":
                    self.conditions.pop(envelope.degraded.code, None)
                case _:
                    self.history_feed.on_message(envelope)

    def _tell(self, actor: str, body: Message) -> bool:
        assert actor == "history"
        if not self._address:
            return False
        try:
            self._router.send_multipart([self._address, self._codec.wrap(body)], zmq.DONTWAIT)
        except zmq.ZMQError:
            return False
        return True
