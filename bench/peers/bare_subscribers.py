"""Many sockets that only listen, in one process: what `fan_out` delivers to.

`python -m bench.peers.bare_subscribers ENDPOINT COUNT CHANGES`: prints `ready`, then the moments (CLOCK_BOOTTIME) at
which each change arrived, by its seq.

They speak ZMTP 3.0 themselves (rfc.zeromq.org/spec/23), on plain unix sockets: a thousand sockets of libzmq in a few
processes cost three times the processor time of sending to them, and on two cores that would be what is measured.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time
from typing import TYPE_CHECKING

from bench.peers.open_files import allow_files
from netmap_actors.wire import netmap_pb2
from netmap_actors.wire.topics import Kind, topic_of

if TYPE_CHECKING:
    from collections.abc import Iterator

SIGNATURE = b"\xff" + bytes(8) + b"\x7f"
GREETING = SIGNATURE + b"\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
"""Version 3.0, no security, not a server of it, and filler."""
MORE, LONG, COMMAND = 1, 2, 4
"""Flags of a frame."""
COMMIT, HEARTBEAT = topic_of(Kind.COMMIT), topic_of(Kind.HEARTBEAT)
TOPICS = tuple(map(topic_of, Kind))
"""Those of a Subscriber of the client library, which follows everything."""
READ = 4096
"""Bytes: a change is some hundreds."""
QUIET = 0.05
"""Seconds without an arrival after which what came is read: not before, or the next would wait for it."""
SILENCE = 5.0
"""Seconds without an arrival after which there is no publisher any more."""
_LIMIT = 20.0


def frame(body: bytes, flags: int = 0) -> bytes:
    """A short frame: at most 255 bytes."""
    return bytes((flags, len(body))) + body


def subscribed(path: str) -> socket.socket:
    """A connection to this XPUB, past its handshake and with its subscriptions sent."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(_LIMIT)
    connection.connect(path)
    connection.sendall(GREETING)
    _exactly(connection, len(GREETING))
    connection.sendall(frame(b"\x05READY\x0bSocket-Type" + (3).to_bytes(4) + b"SUB", COMMAND))
    _, size = _exactly(connection, 2)
    _exactly(connection, size)
    connection.sendall(b"".join(frame(b"\x01" + topic) for topic in TOPICS))
    connection.setblocking(False)
    return connection


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = connection.recv(size - len(data))
        if not more:
            raise ConnectionError("the publisher closed a connection in its handshake")
        data += more
    return data


class Messages:
    """The messages of one connection, from its bytes."""

    def __init__(self) -> None:
        self._unread = bytearray()
        self._frames: list[bytes] = []

    def read(self, data: bytes) -> Iterator[list[bytes]]:
        """Take in bytes; each message that is whole now, as its frames."""
        unread = self._unread
        unread += data
        while len(unread) > 1:
            head = 9 if unread[0] & LONG else 2
            end = head + int.from_bytes(unread[1:head])
            if len(unread) < max(head, end):
                return
            self._frames.append(bytes(unread[head:end]))
            more = unread[0] & MORE
            del unread[:end]
            if not more:
                frames, self._frames = self._frames, []
                yield frames


def listen(endpoint: str, count: int, changes: int) -> None:
    """Until each socket has had each change. Raises TimeoutError when the publisher falls silent."""
    poller = select.epoll()
    connections = [subscribed(endpoint.removeprefix("ipc://")) for _ in range(count)]
    subscribers = {one.fileno(): (one, Messages()) for one in connections}
    for descriptor in subscribers:
        poller.register(descriptor, select.EPOLLIN)
    greeted: set[int] = set()
    arrivals: dict[int, list[float]] = {}
    unread: list[tuple[int, float, bytes]] = []
    missing = count * changes
    heard = time.monotonic()
    while missing:
        events = poller.poll(QUIET, count)
        for descriptor, _ in events:
            data = subscribers[descriptor][0].recv(READ)
            unread.append((descriptor, time.clock_gettime(time.CLOCK_BOOTTIME), data))
        if events:
            heard = time.monotonic()
            continue
        if time.monotonic() - heard > SILENCE:
            raise TimeoutError(f"no heartbeat for {SILENCE:g} s")
        for descriptor, moment, data in unread:
            if not data:
                raise ConnectionError("the publisher closed a connection")
            for topic, body in subscribers[descriptor][1].read(data):
                if topic == COMMIT:
                    seq = netmap_pb2.BusMessage.FromString(body).seq
                    arrivals.setdefault(seq, []).append(moment)
                    missing -= 1
                elif topic == HEARTBEAT and len(greeted) < count:
                    greeted.add(descriptor)
                    if len(greeted) == count:
                        print("ready", flush=True)
        unread.clear()
    print(json.dumps(arrivals), flush=True)


if __name__ == "__main__":
    allow_files(8192)
    listen(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
