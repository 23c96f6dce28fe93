"""Ports of the loopback for programs that are told one: nobody else is given it while this process lives.

A port that was bound, and closed again to be told to somebody, may meanwhile be another test's: the kernel gives it
away for the next connection or listener.
"""

from __future__ import annotations

import contextlib
import os
import socket

__all__ = ["free_address", "free_port"]

FIRST, END = 10_000, 32_000
"""Below those that the kernel gives to whoever asks for any (ip_local_port_range)."""
_taken: dict[int, socket.socket] = {}


def free_port(in_a_row: int = 1) -> int:
    """The first of so many on which nobody listens. Raises OSError when there are none."""
    span = END - FIRST
    for turn in range(span):
        port = FIRST + (os.getpid() * 97 + len(_taken) + turn) % span
        with contextlib.ExitStack() as held:
            try:
                marks = {one: held.enter_context(_mark(one)) for one in range(port, port + in_a_row)}
            except OSError:
                continue
            held.pop_all()
            _taken.update(marks)
            return port
    raise OSError(f"cannot find {in_a_row} free ports: all from {FIRST} to {END} are taken")


def free_address() -> str:
    """ADDRESS:PORT, as `http.listen` takes it."""
    return f"127.0.0.1:{free_port()}"


def _mark(port: int) -> socket.socket:
    """What tells other processes that this port is taken: an abstract name, which ends with its process."""
    mark = socket.socket(socket.AF_UNIX)
    try:
        mark.bind(f"\0netmap-tests-port-{port}")
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            with socket.socket(type=kind) as probe:
                probe.bind(("127.0.0.1", port))
    except OSError:
        mark.close()
        raise
    return mark
