"""The publisher as its own process, fed with MapResponses by the benchmark instead of by a connection."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

import msgspec
import zmq

from netmap_actors.boot import Boot, Endpoints, PublisherSettings
from netmap_actors.wire import internal_pb2, netmap_pb2
from tests.support.processes import pairs
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from types import TracebackType

RUN = "00000000000000be"


class PublisherProcess:
    """A running publisher. A context manager."""

    def __init__(self) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="nmb-", dir="/tmp"))
        (self._directory / "pub").mkdir(mode=0o700)
        names = {name: f"ipc://{self._directory}/{name}" for name in ("supervisor", "liveness", "publisher")}
        public = {name: f"ipc://{self._directory}/pub/{name}.sock" for name in ("updates", "requests")}
        self.endpoints = Endpoints(**names, **public)
        self._supervisor = pairs.supervisor(RUN, "publisher")
        self._connection = pairs.connection(RUN, "publisher")
        self._context = zmq.Context()
        self._ended = threading.Event()
        self._number = 0

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as undo:
            self._start(undo)
            self._undo = undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._undo.close()

    def _start(self, undo: contextlib.ExitStack) -> None:
        undo.callback(shutil.rmtree, self._directory, ignore_errors=True)
        undo.callback(self._context.destroy, linger=0)
        router = self._context.socket(zmq.ROUTER)
        router.bind(self.endpoints.supervisor)
        life_read, life_write = os.pipe()
        undo.callback(os.close, life_write)
        boot_read, boot_write = os.pipe()
        boot = Boot(
            run=RUN,
            actor="publisher",
            generation=1,
            parent_pid=os.getpid(),
            life_fd=life_read,
            endpoints=self.endpoints,
            secrets=pairs.secrets_of("publisher"),
            settings=msgspec.Raw(msgspec.json.encode(PublisherSettings())),
        )
        os.write(boot_write, msgspec.json.encode(boot))
        os.close(boot_write)
        log = undo.enter_context((self._directory / "log").open("wb"))
        command = [sys.executable, "-P", "-m", "netmap_actors", "publisher", "--boot-fd", str(boot_read)]
        self._process = subprocess.Popen(
            command, pass_fds=(boot_read, life_read), stdin=subprocess.DEVNULL, stderr=log
        )
        undo.callback(self._process.wait)
        undo.callback(self._process.kill)
        os.close(boot_read)
        os.close(life_read)
        address = self._wait_ready(router)
        router.send_multipart([address, self._supervisor.wrap(internal_pb2.ConnectionStarted(generation=1))])
        drain = threading.Thread(target=self._listen, args=(router,), name="supervisor's ear")
        drain.start()
        undo.callback(drain.join)
        undo.callback(self._ended.set)
        self._push = self._context.socket(zmq.PUSH)
        self._push.connect(self.endpoints.publisher)
        self.updates = self._context.socket(zmq.SUB)
        self.updates.setsockopt(zmq.RCVHWM, 0)
        self.updates.subscribe(b"netmap/1/")
        self.updates.connect(self.endpoints.updates)
        # The first heartbeat shows that the subscription has arrived.
        self.wait_kind("heartbeat", 10.0)

    def _wait_ready(self, router: zmq.Socket[bytes]) -> bytes:
        while router.poll(20_000):
            address, data = router.recv_multipart()
            if self._supervisor.open(data).WhichOneof("body") == "ready":
                return address
        raise TimeoutError(f"the publisher is not ready: {(self._directory / 'log').read_text()[-500:]}")

    def _listen(self, router: zmq.Socket[bytes]) -> None:
        """Take the publisher's words as the Supervisor would, so that they never pile up."""
        while not self._ended.is_set():
            if router.poll(100):
                router.recv_multipart()
        router.close(0)

    @property
    def pid(self) -> int:
        return self._process.pid

    def feed(self, document: bytes) -> None:
        """One MapResponse, as control_connection sends it."""
        self._number += 1
        header = internal_pb2.MapResponseReceived(
            generation=1,
            session=1,
            number=self._number,
            received_at=time.clock_gettime(time.CLOCK_BOOTTIME),
            size=len(document),
        )
        self._push.send_multipart([self._connection.wrap(header, document), document])

    def wait_kind(self, kind: str, limit: float) -> netmap_pb2.BusMessage:
        """The next message of this kind on the bus; the others are passed over."""
        deadline = time.monotonic() + limit
        while self.updates.poll(max(0, int((deadline - time.monotonic()) * 1000))):
            topic, body = self.updates.recv_multipart()[:2]
            if topic == b"netmap/1/" + kind.encode():
                return netmap_pb2.BusMessage.FromString(body)
        raise TimeoutError(f"no {kind} within {limit:g} s: {(self._directory / 'log').read_text()[-500:]}")

    def cpu_nanoseconds(self) -> int:
        """CPU time of all threads so far."""
        total = 0
        for task in Path(f"/proc/{self.pid}/task").iterdir():
            with contextlib.suppress(OSError):
                total += int((task / "schedstat").read_text().split()[0])
        return total

    def wait_quiet(self) -> None:
        """Wait until the publisher has used (nearly) no CPU for a while: building the netmap is over."""
        last = [self.cpu_nanoseconds()]

        def quiet() -> bool:
            now = self.cpu_nanoseconds()
            used, last[0] = now - last[0], now
            return used < 5_000_000

        wait_for(quiet, 60.0, "the publisher becomes quiet", every=0.3)
