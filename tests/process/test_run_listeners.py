"""Sockets bound for receivers that come later, and for those that come after them."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from netmap_actors.bus.sockets import Sockets, ipc
from netmap_supervisor.system.run_listeners import RunListeners

LIMIT = 10.0
"""Seconds for what needs a moment."""


class Place:
    """The listener of one run, senders, and the receivers that come and go."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "publisher.sock"
        self.endpoint = ipc(self.path)
        self.listeners = RunListeners({"publisher": (self.endpoint,)})
        self.sockets = Sockets()

    def close(self) -> None:
        self.sockets.context.destroy(linger=0)
        self.listeners.close()

    def sender(self) -> zmq.Socket[bytes]:
        """One that connects once and never again."""
        made = self.sockets.context.socket(zmq.PUSH)
        made.setsockopt(zmq.LINGER, 0)
        made.setsockopt(zmq.RECONNECT_IVL, -1)
        made.connect(self.endpoint)
        waiting, _, _ = select.select([*self.listeners.of("publisher").values()], [], [], LIMIT)
        assert waiting, "its connection waits at the listener"
        return made

    def receiver(self, context: zmq.Context[zmq.Socket[bytes]] | None = None) -> zmq.Socket[bytes]:
        """As in a process, which inherits a descriptor of its own."""
        handed = {endpoint: os.dup(fd) for endpoint, fd in self.listeners.of("publisher").items()}
        return Sockets(context or self.sockets.context, listeners=handed).pull_bind(self.endpoint)

    def receiver_that_ends(self) -> None:
        """One with its process: a socket that is closed alone goes on accepting until libzmq's thread hears of it."""
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.receiver(context).close()
        context.term()

    def received(self, receiver: zmq.Socket[bytes]) -> bytes:
        assert receiver.poll(LIMIT * 1000), "nothing comes"
        return receiver.recv()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    made.close()


def test_what_is_sent_before_a_receiver_is_there_waits_for_it_and_needs_no_second_try(place: Place) -> None:
    sender = place.sender()
    for number in range(3):
        sender.send(b"%d" % number)
    receiver = place.receiver()
    assert [place.received(receiver) for _ in range(3)] == [b"0", b"1", b"2"]


def test_a_receiver_takes_the_place_of_one_that_has_ended(place: Place) -> None:
    inode = place.path.stat().st_ino
    place.receiver_that_ends()
    sender = place.sender()
    sender.send(b"to the second")
    assert place.received(place.receiver()) == b"to the second"
    assert place.path.stat().st_ino == inode


def test_the_sockets_are_their_owners_alone_whatever_the_shell_had_set(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        made = Place(tmp_path)
        assert os.umask(0) == 0
    finally:
        os.umask(before)
    assert made.path.stat().st_mode & 0o777 == 0o600
    assert not any(map(os.get_inheritable, made.listeners.of("publisher").values()))
    made.close()


def test_who_listens_on_nothing_gets_nothing(place: Place) -> None:
    assert place.listeners.of("control_connection") == {}


def test_what_a_run_that_was_killed_left_is_in_nobodys_way(place: Place) -> None:
    place.listeners.close()
    again = RunListeners({"publisher": (place.endpoint,)})
    assert len(again.of("publisher")) == 1
    again.close()
