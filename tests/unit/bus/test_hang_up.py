"""Who is one too many at a socket of libzmq's is hung up on, and nobody in its place."""

from __future__ import annotations

import os
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from netmap_actors.bus.admission import Origin
from netmap_actors.bus.peers import hang_up

if TYPE_CHECKING:
    from collections.abc import Iterator

US = Origin(os.geteuid(), os.getpid())


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A connection over a unix socket with a path: who connected, and what was accepted."""
    with tempfile.TemporaryDirectory(prefix="nm-") as place, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(Path(place) / "s"))
        listener.listen()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(listener.getsockname())
            client.setblocking(False)
            accepted, _ = listener.accept()
            with accepted:
                yield client, accepted


def test_whoever_is_meant_finds_the_connection_ended(ends: tuple[socket.socket, socket.socket]) -> None:
    client, accepted = ends
    hang_up(accepted.fileno(), US)
    assert client.recv(1) == b""
    assert accepted.recv(1) == b"", "libzmq sees the end, too, and closes what is its own"
    os.fstat(accepted.fileno())


@pytest.mark.parametrize("other", [Origin(US.user, US.process + 1), Origin(4242, US.process)])
def test_who_has_the_descriptor_now_is_left_alone(
    ends: tuple[socket.socket, socket.socket], other: Origin
) -> None:
    client, accepted = ends
    hang_up(accepted.fileno(), other)
    with pytest.raises(BlockingIOError):
        client.recv(1)


def test_a_descriptor_that_is_closed_or_no_socket_is_passed_over() -> None:
    read, write = os.pipe()
    hang_up(read, US)
    os.write(write, b"x")
    assert os.read(read, 1) == b"x"
    os.close(read)
    os.close(write)
    hang_up(read, US)
