"""A control_connection process whose Supervisor, liveness and publisher are the test."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import zmq

from netmap_actors.boot import Boot, ConnectionSettings, Endpoints
from tests.support.processes import pairs
from tests.support.processes.log_pipe import LogPipe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from google.protobuf.message import Message

RUN = "0123456789abcdef"
LIMIT = 30


class ConnectionProcess:
    """The process, and its messages to each of the three."""

    def __init__(self, directory: Path, settings: ConnectionSettings, generation: int = 1) -> None:
        self.generation = generation
        self.codec = pairs.supervisor(RUN, "control_connection", generation)
        self.inboxes = {name: pairs.inbox(RUN, name) for name in ("liveness", "publisher")}
        names = ("supervisor", "liveness", "publisher", "updates", "requests")
        endpoints = Endpoints(**{name: f"ipc://{directory}/{name}" for name in names})
        self.context: zmq.Context[Any] = zmq.Context()
        self.router = self._bind(zmq.ROUTER, endpoints.supervisor)
        self.liveness = self._bind(zmq.PULL, endpoints.liveness)
        self.publisher = self._bind(zmq.PULL, endpoints.publisher)
        self.address = b""
        self.life_read, self.life_write = os.pipe()
        self.log_file = LogPipe()
        boot = Boot(
            run=RUN,
            actor="control_connection",
            generation=generation,
            parent_pid=os.getpid(),
            life_fd=self.life_read,
            endpoints=endpoints,
            secrets=pairs.secrets_of("control_connection", generation),
            heartbeat_interval=0.5,
            settings=msgspec.Raw(msgspec.json.encode(settings)),
        )
        read_fd, write_fd = os.pipe()
        os.write(write_fd, msgspec.json.encode(boot))
        os.close(write_fd)
        command = [
            sys.executable,
            "-P",
            "-m",
            "netmap_actors",
            "control_connection",
            "--boot-fd",
            str(read_fd),
        ]
        self.process = subprocess.Popen(
            command, pass_fds=(read_fd, self.life_read), stdin=subprocess.DEVNULL, stderr=self.log_file
        )
        os.close(read_fd)

    def _bind(self, kind: int, endpoint: str) -> zmq.Socket[Any]:
        socket = self.context.socket(kind)
        if endpoint.endswith("publisher"):
            socket.setsockopt(zmq.RCVHWM, 4)
        socket.bind(endpoint)
        return socket

    def next(self, body: str, **fields: object) -> Any:
        """The next message of this kind to the Supervisor with these values; others are passed over."""
        deadline = time.monotonic() + LIMIT
        while self.router.poll(max(0, int((deadline - time.monotonic()) * 1000))):
            self.address, data = self.router.recv_multipart()
            envelope = self.codec.open(data)
            if envelope.WhichOneof("body") != body:
                continue
            found = getattr(envelope, body)
            if all(getattr(found, name) == value for name, value in fields.items()):
                return found
        raise AssertionError(f"no {body} with {fields} within {LIMIT} s; the log: {self.log()}")

    def next_map(self) -> tuple[Any, bytes]:
        """The next MapResponse to the publisher: header and JSON, the parts that came before it included."""
        parts = b""
        while self.publisher.poll(LIMIT * 1000):
            header, body = self.publisher.recv_multipart()
            envelope = self.inboxes["publisher"].open(header, body)
            if envelope.WhichOneof("body") == "map_response_received":
                received = envelope.map_response_received
                return received, parts[: received.passed_on] + body
            parts = parts[: envelope.map_text_arrived.offset] + body
        raise AssertionError(f"no MapResponse within {LIMIT} s; the log: {self.log()}")

    def next_word(self, body: str, **fields: object) -> Any:
        """The next message of this kind to liveness with these values."""
        deadline = time.monotonic() + LIMIT
        while self.liveness.poll(max(0, int((deadline - time.monotonic()) * 1000))):
            envelope = self.inboxes["liveness"].open(self.liveness.recv())
            if envelope.WhichOneof("body") != body:
                continue
            found = getattr(envelope, body)
            if all(getattr(found, name) == value for name, value in fields.items()):
                return found
        raise AssertionError(f"no {body} to liveness with {fields} within {LIMIT} s; the log: {self.log()}")

    def tell(self, body: Message) -> None:
        """Send a message as the Supervisor."""
        self.router.send_multipart([self.address, self.codec.wrap(body)])

    def exit_status(self) -> int:
        """Wait for its end."""
        return self.process.wait(LIMIT)

    def log(self) -> list[dict[str, Any]]:
        """Its log lines so far."""
        return [json.loads(line) for line in self.log_file.read().splitlines() if line.startswith(b"{")]

    def log_text(self) -> str:
        return self.log_file.read().decode()

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for socket in (self.router, self.liveness, self.publisher):
            socket.close(0)
        self.context.term()
        self.log_file.close()
        for fd in (self.life_read, self.life_write):
            os.close(fd)


@contextlib.contextmanager
def running_connection(settings: ConnectionSettings, generation: int = 1) -> Iterator[ConnectionProcess]:
    """Unix socket paths are short; pytest's own directories are not."""
    with tempfile.TemporaryDirectory(prefix="nm-") as directory:
        process = ConnectionProcess(Path(directory), settings, generation)
        try:
            yield process
        finally:
            process.close()
