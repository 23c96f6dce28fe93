"""An http_endpoint process and a publisher process whose Supervisor is the test."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import msgspec
import zmq

from netmap_actors.boot import Boot, HttpSettings
from netmap_actors.wire import internal_pb2
from tests.support.processes import pairs
from tests.support.processes.log_pipe import LogPipe
from tests.support.processes.publisher_process import LIMIT, RUN, PublisherProcess
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator


class HttpProcess:
    """The endpoint, answered by a thread that plays the Supervisor."""

    def __init__(self, publisher: PublisherProcess, listen: str, **settings: Any) -> None:
        self.listen = listen
        self.trusting: ssl.SSLContext | None = None
        """What its clients trust; None: they speak no TLS."""
        self.token = ""
        """Sent with each `get`."""
        self.counters: dict[str, int] = {}
        """Of its last heartbeat."""
        self._heartbeats = 0
        self.told: dict[str, Any] | None = None
        """The Supervisor's answer to a status request; None: none."""
        self.said: list[dict[str, Any]] = []
        """Its log, when it has ended."""
        self.ready = threading.Event()
        self.conditions: list[tuple[str, str, bool]] = []
        self._over = threading.Event()
        self._codec = pairs.supervisor(RUN, "http_endpoint")
        self._context: zmq.Context[Any] = zmq.Context()
        self._router = self._context.socket(zmq.ROUTER)
        where = f"ipc://{publisher.runtime_dir}/http-supervisor"
        self._router.bind(where)
        endpoints = msgspec.structs.replace(publisher.endpoints, supervisor=where)
        boot = Boot(
            run=RUN,
            actor="http_endpoint",
            generation=1,
            parent_pid=os.getpid(),
            life_fd=publisher.life_read,
            endpoints=endpoints,
            secrets=pairs.secrets_of("http_endpoint"),
            heartbeat_interval=0.5,
            settings=msgspec.Raw(msgspec.json.encode(HttpSettings(listen=listen, **settings))),
        )
        read_fd, write_fd = os.pipe()
        os.write(write_fd, msgspec.json.encode(boot))
        os.close(write_fd)
        self.log_file = LogPipe()
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "netmap_actors", "http_endpoint", "--boot-fd", str(read_fd)],
            pass_fds=(read_fd, publisher.life_read),
            stdin=subprocess.DEVNULL,
            stderr=self.log_file,
        )
        os.close(read_fd)
        self._thread = threading.Thread(target=self._supervise)
        self._thread.start()
        assert self.ready.wait(LIMIT), self.log()

    def _supervise(self) -> None:
        while not self._over.is_set():
            if not self._router.poll(50):
                continue
            address, data = self._router.recv_multipart()
            envelope = self._codec.open(data)
            match envelope.WhichOneof("body"):
                case "ready":
                    self.ready.set()
                case "degraded":
                    condition = envelope.degraded
                    self.conditions.append((condition.code, condition.text, condition.active))
                case "heartbeat":
                    self.counters = dict(envelope.heartbeat.counters)
                    self._heartbeats += 1
                case "status_request" if self.told is not None:
                    reply = internal_pb2.StatusReply(
                        token=envelope.status_request.token, json=json.dumps(self.told).encode()
                    )
                    self._router.send_multipart([address, self._codec.wrap(reply)])

    def connection(self) -> http.client.HTTPConnection:
        """A client of the standard library, connected."""
        if self.listen.startswith("unix:"):
            client = http.client.HTTPConnection("localhost", timeout=LIMIT)
            client.sock = socket.socket(socket.AF_UNIX)
            client.sock.settimeout(LIMIT)
            client.sock.connect(self.listen.removeprefix("unix:"))
            return client
        client = (
            http.client.HTTPConnection(self.listen, timeout=LIMIT)
            if self.trusting is None
            else http.client.HTTPSConnection(self.listen, timeout=LIMIT, context=self.trusting)
        )
        client.connect()
        return client

    def get(self, target: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
        """(status, headers in lower case, body) of one request on a connection of its own."""
        client = self.connection()
        if self.token:
            headers.setdefault("Authorization", f"Bearer {self.token}")
        try:
            client.request(method, target, headers={k.replace("_", "-"): v for k, v in headers.items()})
            response = client.getresponse()
            fields = {name.lower(): value for name, value in response.getheaders()}
            return response.status, fields, response.read()
        finally:
            client.close()

    def fresh(self) -> None:
        """Wait until it has a fresh netmap."""
        wait_for(lambda: self.get("/healthz")[0] == 200, LIMIT, "a fresh netmap behind HTTP")

    def counted(self, name: str) -> int:
        """What it counts now: the heartbeat after the next one was certainly made after this call."""
        heard = self._heartbeats
        wait_for(lambda: self._heartbeats > heard + 1, LIMIT, "two heartbeats")
        return self.counters.get(name, 0)

    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log_file.read().splitlines()]

    def close(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(LIMIT)
        finally:
            if self.process.poll() is None:
                self.process.kill()
            self._over.set()
            self._thread.join()
            self._router.close(0)
            self._context.term()
            self.said = self.log()
            self.log_file.close()


@contextlib.contextmanager
def running_http(publisher: PublisherProcess, listen: str, **settings: Any) -> Iterator[HttpProcess]:
    """`settings`: of HttpSettings."""
    process = HttpProcess(publisher, listen, **settings)
    try:
        yield process
    finally:
        process.close()
