"""A black hole passes nothing, and sends what it held when it heals."""

from __future__ import annotations

import select
import socket

from netmap_actors.transport.black_hole import BlackHole
from netmap_actors.transport.tcp import TcpStream


def test_nothing_passes_until_it_heals_and_nothing_is_lost_then() -> None:
    near, far = socket.socketpair()
    near.setblocking(False)
    far.settimeout(5.0)
    with near, far:
        hole = BlackHole(TcpStream(near))
        far.sendall(b"to us")
        hole.send(b"from us, ")
        hole.flush()
        hole.send(b"in order")
        assert hole.receive() is None
        assert not hole.wants_write
        assert select.select([far], [], [], 0)[0] == []
        assert select.select([hole.fileno()], [], [], 0)[0] == [], "a loop that watches it is left alone"
        hole.heal()
        assert hole.below.receive() == b"to us"
        assert far.recv(100) == b"from us, in order"
        hole.close()
        assert far.recv(100) == b""
