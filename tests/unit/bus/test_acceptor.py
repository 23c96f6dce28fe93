"""Connections to an acceptor that is full, or that has no descriptor left."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import time
from pathlib import Path

import pytest
import zmq

from netmap_actors.bus import acceptor
from netmap_actors.bus.acceptor import Acceptor
from netmap_actors.bus.admission import UNSEEN, Origin
from netmap_actors.bus.loop import Loop
from netmap_actors.bus.monitor import close_monitor, next_event, open_monitor
from tests.support.waiting import Stopwatch

BACKLOG = 100
"""ZMQ_BACKLOG, as it is by itself."""


class Guest:
    def __init__(self, sock: socket.socket, peer: Origin) -> None:
        self.sock = sock
        self.peer = peer

    def close(self) -> None:
        self.sock.close()


class House:
    """An acceptor on a unix socket, and the peers that the kernel is going to tell of."""

    def __init__(self, path: Path, capacity: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = path
        self.loop = Loop()
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen(100)
        self.peer = Origin(1, 1)
        monkeypatch.setattr(acceptor, "origin_of", lambda _: self.peer)
        self.acceptor: Acceptor[Guest] = Acceptor(self.loop, self.listener, capacity=capacity, welcome=Guest)

    def knock(self, user: int = 1) -> socket.socket:
        self.peer = Origin(user, 1)
        one = socket.socket(socket.AF_UNIX)
        one.connect(str(self.path))
        self.turn()
        return one

    def turn(self) -> None:
        for _ in range(3):
            for call in self.loop.wait(block=False):
                call()

    def close(self) -> None:
        for connection in self.acceptor:
            connection.close()
        self.acceptor.close()
        self.listener.close()
        self.loop.close()


def is_let_go(one: socket.socket) -> bool:
    one.setblocking(False)
    try:
        return one.recv(1) == b""
    except BlockingIOError:
        return False


def test_whoever_holds_most_makes_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    house = House(tmp_path / "s", 4, monkeypatch)
    greedy = [house.knock() for _ in range(6)]
    modest = house.knock(2)
    assert [is_let_go(one) for one in (*greedy, modest)] == [True, True, True, False, False, False, False]
    assert house.acceptor.sent_away == 3
    for one in (*greedy, modest):
        one.close()
    house.close()


def test_two_listeners_have_room_for_no_more_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = House(tmp_path / "s", 3, monkeypatch)
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(tmp_path / "other"))
        other.listen(100)
        house.acceptor.open(other, Guest)
        one = house.knock()
        house.path = tmp_path / "other"
        more = [house.knock() for _ in range(4)]
        assert [is_let_go(connection) for connection in (one, *more)] == [True, True, False, False, False]
        for connection in (one, *more):
            connection.close()
        house.close()


def test_without_a_descriptor_the_longest_awaited_goes_and_else_the_newcomer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = House(tmp_path / "s", 100, monkeypatch)
    first, second = house.knock(), house.knock()
    served = next(iter(house.acceptor))
    house.acceptor.moved(served, waits=False)
    late = [socket.socket(socket.AF_UNIX) for _ in range(2)]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(path.name) for path in Path("/proc/self/fd").iterdir())
    held: list[int] = []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, hard))
        with contextlib.suppress(OSError):
            while True:
                held.append(os.dup(0))
        for one in late:
            one.connect(str(house.path))
        house.turn()
        assert [is_let_go(one) for one in (first, second, *late)] == [False, True, True, False]
        assert house.acceptor.sent_away >= 2
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for fd in held:
            os.close(fd)
        for one in (first, second, *late):
            one.close()
        house.close()


@pytest.mark.timeout(60)
def test_libzmq_makes_no_more_connections_than_can_be_told_of_and_its_socket_closes_all_the_same(
    tmp_path: Path,
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    bound = context.socket(zmq.XPUB)
    bound.setsockopt(zmq.LINGER, 0)
    bound.bind(f"ipc://{tmp_path}/z")
    monitor = open_monitor(bound, zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED)
    knocks = []
    try:
        for _ in range(1500):
            knocks.append(one := socket.socket(socket.AF_UNIX))
            one.settimeout(0)
            watch = Stopwatch()
            while (refused := one.connect_ex(str(tmp_path / "z"))) and watch.seconds() < 1.0:
                time.sleep(0.001)  # the queue of the listening socket is full
            if refused:
                break
        assert 900 < len(knocks) <= UNSEEN + BACKLOG + 2
        assert next_event(monitor) is not None
    finally:
        close_monitor(bound, monitor)
        bound.close()
        context.destroy(0)
        for one in knocks:
            one.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
