"""An XPUB without a publisher behind it: the least that a change costs, the same messages by the same libzmq."""

from __future__ import annotations

import shutil
import tempfile
from typing import TYPE_CHECKING, Self

import zmq

from bench.peers.bare_subscribers import HEARTBEAT

if TYPE_CHECKING:
    from collections.abc import Iterable
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

    def send(self, messages: Iterable[list[bytes]]) -> None:
        """Each of them a topic and a body."""
        for message in messages:
            self._updates.send_multipart(message)
