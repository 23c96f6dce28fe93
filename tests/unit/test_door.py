"""A listening socket in front of ZeroMQ: who comes is let in while somebody looks, and no more than there is room for.

Not here: floods on a real process (`tests/process/test_connection_floods`).
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import zmq

from netmap_actors.bus import door
from netmap_actors.bus.door import BURST, RESERVE, Door, Doors
from netmap_actors.bus.loop import Loop
from netmap_actors.bus.sockets import Sockets, ipc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from netmap_actors.bus.admission import Peer

LIMIT = 10.0


class Entrance:
    """A door to a PULL socket, the loop it is on, and who comes."""

    def __init__(self, stack: contextlib.ExitStack, **arguments: object) -> None:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="nm-"))
        self.path = Path(directory) / "door"
        self.loop, self.sockets = Loop(), Sockets()
        self.cut: list[tuple[Peer, int]] = []
        self.got: list[bytes] = []
        self.doors = Doors(self.loop, lambda peer, count: self.cut.append((peer, count)))
        self.door: Door = self.doors.door(**arguments)  # type: ignore[arg-type]
        self.pull = self.sockets.pull_bind(ipc(self.path), door=self.door)
        self.loop.watch(self.pull, lambda: self.got.append(self.pull.recv()))
        self.stack = stack
        stack.callback(self.loop.close)
        stack.callback(self.sockets.close)

    def until(self, fact: Callable[[], object]) -> None:
        end = time.monotonic() + LIMIT
        while not fact():
            assert time.monotonic() < end, "it does not come to that"
            timer = self.loop.at(self.loop.now() + 0.02, lambda: None)
            for call in self.loop.wait():
                call()
            timer.cancel()
            self.doors.sweep()

    def knock(self) -> socket.socket:
        client = self.stack.enter_context(socket.socket(socket.AF_UNIX))
        client.connect(str(self.path))
        return client

    def pusher(self) -> zmq.Socket[bytes]:
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.stack.callback(context.destroy, 0)
        push = context.socket(zmq.PUSH)
        push.connect(ipc(self.path))
        return push


@pytest.fixture
def stack() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as stack:
        yield stack


def hung_up(client: socket.socket) -> bool:
    """The other side has closed; its greeting may come before."""
    with contextlib.suppress(OSError):
        while select.select([client], [], [], 0)[0]:
            if not client.recv(4096):
                return True
    return False


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


def test_who_comes_is_let_in_and_who_goes_is_counted_no_more(stack) -> None:
    entrance = Entrance(stack, capacity=10)
    push = entrance.pusher()
    push.send(b"word")
    entrance.until(lambda: entrance.got == [b"word"])
    assert len(entrance.door) == 1
    push.close(0)
    entrance.until(lambda: not entrance.door and not entrance.door.descriptors)


def test_nobody_is_accepted_while_nobody_looks(stack) -> None:
    entrance = Entrance(stack, capacity=1000)
    before = open_files()
    clients = [entrance.knock() for _ in range(50)]
    for client in clients:
        assert not select.select([client], [], [], 0)[0], "greeted already"
    assert open_files() == before + 50, "ours, and none of libzmq's"
    entrance.until(lambda: len(entrance.door) == 50)


def test_above_its_room_whoever_has_most_loses_the_newest(stack) -> None:
    entrance = Entrance(stack, capacity=5)
    clients = [entrance.knock() for _ in range(12)]
    entrance.until(lambda: sum(map(hung_up, clients)) == 7)
    entrance.until(lambda: entrance.door.descriptors == 5)
    assert not any(map(hung_up, clients[:5])), "who was there first stays"
    assert entrance.cut[0][0].process == os.getpid()
    for client in clients:
        client.close()
    push = entrance.pusher()
    push.send(b"after it")
    entrance.until(lambda: entrance.got == [b"after it"])


def test_who_was_to_go_may_have_gone_by_itself(stack, monkeypatch) -> None:
    entrance = Entrance(stack, capacity=1)
    monkeypatch.setattr(door, "_LINGERING", -1)
    monkeypatch.setattr(door, "_inode", lambda _fd: 0)
    for _ in range(5):
        entrance.knock()
    entrance.until(lambda: entrance.cut)
    assert not entrance.door.descriptors


def test_a_process_has_its_share(stack) -> None:
    entrance = Entrance(stack, capacity=100, share=3)
    clients = [entrance.knock() for _ in range(9)]
    entrance.until(lambda: sum(map(hung_up, clients)) == 6)
    assert len(entrance.door) == 3


def test_who_is_not_admitted_is_hung_up_on(stack) -> None:
    entrance = Entrance(stack, capacity=100, admits=lambda peer: peer.process != os.getpid())
    client = entrance.knock()
    entrance.until(lambda: hung_up(client))
    assert not len(entrance.door)


def test_libzmq_accepts_a_burst_at_most_before_it_is_heard(stack) -> None:
    entrance = Entrance(stack, capacity=4 * BURST)
    entered = entrance.door
    before = open_files()
    # As if this thread were kept from running behind these words.
    os.eventfd_write(entered._gate, 1)
    clients = [entrance.knock() for _ in range(2 * BURST)]
    end = time.monotonic() + LIMIT
    while open_files() < before + len(clients) + BURST:
        assert time.monotonic() < end
    assert not select.select([], [], [], 0.3)[0]
    assert open_files() <= before + len(clients) + BURST + 1
    os.eventfd_read(entered._gate)
    entrance.until(lambda: len(entered) == 2 * BURST)


def test_a_door_is_shut_while_others_use_up_the_descriptors(stack, monkeypatch) -> None:
    entrance = Entrance(stack, capacity=100)
    clients = [entrance.knock() for _ in range(10)]
    entrance.until(lambda: len(entrance.door) == 10)
    monkeypatch.setattr(Doors, "room", staticmethod(lambda: 5))
    late = entrance.pusher()
    late.send(b"late")
    for _ in range(20):
        for call in entrance.loop.wait(block=False):
            call()
    assert len(entrance.door) == 10
    for client in clients[:8]:
        client.close()
    entrance.until(lambda: entrance.got == [b"late"])


@pytest.mark.parametrize(
    ("files", "least"), [(256, 60), (512, 140), (1024, 400), (4096, 3000), (65_536, 60_000)]
)
def test_there_is_room_for_somebody_however_few_files_there_are(monkeypatch, files: int, least: int) -> None:
    monkeypatch.setattr(door, "_allowed", lambda: files)
    assert Doors.room() >= least
    if files >= 1024:
        assert Doors.room() + BURST + RESERVE <= files


def test_it_goes_with_its_socket_and_another_one_takes_its_place(stack) -> None:
    entrance = Entrance(stack, capacity=10)
    push = entrance.pusher()
    push.send(b"one")
    entrance.until(lambda: entrance.got == [b"one"])
    entrance.loop.unwatch(entrance.pull)
    entrance.sockets.close_one(entrance.pull)
    assert not entrance.path.exists()
    another = entrance.doors.door(capacity=10)
    entrance.pull = entrance.sockets.pull_bind(ipc(entrance.path), door=another)
    entrance.loop.watch(entrance.pull, lambda: entrance.got.append(entrance.pull.recv()))
    push.send(b"two")
    entrance.until(lambda: b"two" in entrance.got)


def test_a_file_that_is_no_socket_is_left_alone(stack, tmp_path) -> None:
    (tmp_path / "door").write_text("somebody's")
    sockets, loop = Sockets(), Loop()
    stack.callback(loop.close)
    stack.callback(sockets.close)
    with pytest.raises(OSError, match="Address already in use"):
        sockets.pull_bind(ipc(tmp_path / "door"), door=Doors(loop, lambda *_: None).door(capacity=1))
    assert (tmp_path / "door").read_text() == "somebody's"
