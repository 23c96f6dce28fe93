"""An XPUB without a publisher behind it: the least that a change costs, sent to the same subscribers by the same
libzmq."""

from __future__ import annotations

import shutil
import tempfile
from typing import TYPE_CHECKING, Self

import zmq

from bench.peers.bare_subscribers import COMMIT, HEARTBEAT
from netmap_actors.wire import netmap_pb2

if TYPE_CHECKING:
    from types import TracebackType


class BarePublisher:
    """A context manager; `endpoint` is where it publishes."""

    def __init__(self) -> None:
        self._directory = tempfile.mkdtemp(prefix="nmb-", dir="/tmp")
        self.endpoint = f"ipc://{self._directory}/updates"
        self._context = zmq.Context()
        self._updates = self._context.socket(zmq.XPUB)

    def __enter__(self) -> Self:
        self._updates.setsockopt(zmq.SNDHWM, 2000)
        self._updates.bind(self.endpoint)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._context.destroy(linger=0)
        shutil.rmtree(self._directory, ignore_errors=True)

    def beat(self) -> None:
        self._updates.send_multipart([HEARTBEAT, b""])

    def change(self, seq: int) -> None:
        """A commit with this seq, as short as one can be."""
        self._updates.send_multipart([COMMIT, netmap_pb2.BusMessage(seq=seq).SerializeToString()])
