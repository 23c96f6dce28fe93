"""A publisher process whose Supervisor and control connection are the test."""

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

from netmap_actors.boot import Boot, Endpoints, PublisherSettings
from netmap_actors.runtime_paths import requests_path, updates_path
from netmap_actors.wire import internal_pb2
from netmap_actors.wire.codec import ForeignEnvelope
from tests.support.processes import pairs
from tests.support.processes.log_pipe import LogPipe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from google.protobuf.message import Message

    from netmap_actors.wire.codec import Codec

RUN = "0123456789abcdef"
LIMIT = 30


def boottime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class PublisherProcess:
    """One publisher after the other, as a Supervisor would start them, fed by one connection at a time."""

    def __init__(self, runtime_dir: Path, **settings: Any) -> None:
        self.runtime_dir = runtime_dir
        self.settings = PublisherSettings(**({"heartbeat_interval": 0.2} | settings))
        self.codec = pairs.supervisor(RUN, "publisher")
        self.connection_codecs: dict[int, Codec] = {}
        """Of each generation that has sent messages, which are numbered."""
        inside = {name: f"ipc://{runtime_dir}/{name}" for name in ("supervisor", "liveness", "publisher")}
        self.endpoints = Endpoints(
            **inside,
            updates=f"ipc://{updates_path(runtime_dir)}",
            requests=f"ipc://{requests_path(runtime_dir)}",
        )
        self.context: zmq.Context[Any] = zmq.Context()
        self.router = self.context.socket(zmq.ROUTER)
        self.router.bind(self.endpoints.supervisor)
        self.connection = self.context.socket(zmq.PUSH)
        self.connection.setsockopt(zmq.LINGER, 0)
        self.connection.setsockopt(zmq.IMMEDIATE, 1)
        self.connection.connect(self.endpoints.publisher)
        self.life_read, self.life_write = os.pipe()
        self.log_file = LogPipe()
        self.address = b""
        self.incarnation = 0
        self.generation, self.session, self.number = 1, 0, 0
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the first, or the next, publisher and wait until it is ready."""
        self.incarnation += 1
        self.codec = pairs.supervisor(RUN, "publisher", self.incarnation)
        boot = Boot(
            run=RUN,
            actor="publisher",
            generation=self.incarnation,
            parent_pid=os.getpid(),
            life_fd=self.life_read,
            endpoints=self.endpoints,
            secrets=pairs.secrets_of("publisher"),
            heartbeat_interval=0.2,
            settings=msgspec.Raw(msgspec.json.encode(self.settings)),
        )
        read_fd, write_fd = os.pipe()
        os.write(write_fd, msgspec.json.encode(boot))
        os.close(write_fd)
        command = [sys.executable, "-P", "-m", "netmap_actors", "publisher", "--boot-fd", str(read_fd)]
        self.process = subprocess.Popen(
            command, pass_fds=(read_fd, self.life_read), stdin=subprocess.DEVNULL, stderr=self.log_file
        )
        os.close(read_fd)
        self.next("ready")

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def next(self, body: str, **fields: object) -> Any:
        """The next message of this kind to the Supervisor with these values; others are passed over."""
        deadline = time.monotonic() + LIMIT
        while time.monotonic() < deadline:
            if not self.router.poll(100):
                assert self.process is not None
                if self.process.poll() is not None:
                    raise AssertionError(f"the publisher ended: {self.log()}")
                continue
            self.address, data = self.router.recv_multipart()
            try:
                envelope = self.codec.open(data)
            except ForeignEnvelope:
                continue  # the last words of the one before
            if envelope.WhichOneof("body") == body:
                found = getattr(envelope, body)
                if all(getattr(found, name) == value for name, value in fields.items()):
                    return found
        raise AssertionError(f"no {body} {fields} within {LIMIT} s; log: {self.log()}")

    def statistics(self, **fields: object) -> Any:
        """The publisher's figures once they have these values."""
        deadline = time.monotonic() + LIMIT
        while time.monotonic() < deadline:
            figures = self.next("heartbeat").publisher
            if all(getattr(figures, name) == value for name, value in fields.items()):
                return figures
        raise AssertionError(f"the figures never were {fields}")

    def counters(self, **least: int) -> None:
        """Wait until these counters have reached these numbers."""
        deadline = time.monotonic() + LIMIT
        counters: dict[str, int] = {}
        while time.monotonic() < deadline:
            counters = dict(self.next("heartbeat").counters)
            if all(counters[name] >= value for name, value in least.items()):
                return
        raise AssertionError(f"the counters never reached {least}: {counters}")

    def tell(self, body: Message) -> None:
        """As the Supervisor."""
        self.router.send_multipart([self.address, self.codec.wrap(body)])

    def map_response(
        self, response: dict[str, Any] | bytes, *, at: float | None = None, passed_on: int = 0
    ) -> None:
        """As the connection: the next MapResponse of the session; so many bytes of it were sent before."""
        self.number += 1
        document = response if isinstance(response, bytes) else json.dumps(response).encode()
        keep_alive = isinstance(response, dict) and bool(response.get("KeepAlive"))
        self.send(
            internal_pb2.MapResponseReceived(
                generation=self.generation,
                session=self.session,
                number=self.number,
                received_at=boottime() if at is None else at,
                size=len(document),
                keep_alive=keep_alive,
                passed_on=passed_on,
            ),
            document[passed_on:],
        )

    def map_text(self, text: bytes, offset: int) -> None:
        """As the connection: a part of the next MapResponse."""
        part = internal_pb2.MapTextArrived(
            generation=self.generation, session=self.session, number=self.number + 1, offset=offset
        )
        self.send(part, text)

    def send(self, header: Message, document: bytes) -> None:
        """As the connection."""
        if self.generation not in self.connection_codecs:
            codec = pairs.connection(RUN, "publisher", self.generation)
            self.connection_codecs[self.generation] = codec
        codec = self.connection_codecs[self.generation]
        if not self.connection.poll(LIMIT * 1000, zmq.POLLOUT):
            raise AssertionError("the publisher takes nothing")
        self.connection.send_multipart([codec.wrap(header, document), document])

    def new_session(self, response: dict[str, Any]) -> None:
        """A map request was made; this is its first answer."""
        self.session, self.number = self.session + 1, 0
        self.map_response(response)

    def new_connection(self) -> None:
        """The Supervisor started another control_connection."""
        self.generation, self.session = self.generation + 1, 0
        self.tell(internal_pb2.ConnectionStarted(generation=self.generation))

    def session_ended(self) -> None:
        self.tell(
            internal_pb2.SessionEnded(generation=self.generation, session=self.session, reason="closed")
        )

    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log_file.read().splitlines()]

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.kill()
        self.router.close(0)
        self.connection.close(0)
        self.context.term()
        self.log_file.close()
        os.close(self.life_read)
        os.close(self.life_write)


@contextlib.contextmanager
def running_publisher(**settings: Any) -> Iterator[PublisherProcess]:
    # Unix socket paths are short; pytest's own directories are not.
    with tempfile.TemporaryDirectory(prefix="nm-") as path, contextlib.ExitStack() as stack:
        publisher = PublisherProcess(Path(path), **settings)
        stack.callback(publisher.close)
        publisher.start()
        yield publisher
