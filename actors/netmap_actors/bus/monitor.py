"""Reads the events of a socket's monitor (zmq_socket_monitor(3)).

pyzmq's own reader lies in a module that loads asyncio and ssl: 10 MiB for six bytes.

When both ends of the monitor are full, libzmq's thread blocks in the middle of an event and holds the lock that ending
the monitor needs, too (4.3.5: src/socket_base.cpp, monitor_event). So it never accepts more connections at a time than
have been seen, and a monitor has to be emptied before it is closed.
"""

from __future__ import annotations

import itertools
import struct
from typing import NamedTuple

import zmq

__all__ = ["MonitorEvent", "close_monitor", "next_event", "open_monitor"]

_numbers = itertools.count()

_HEAD = struct.Struct("=HI")


class MonitorEvent(NamedTuple):
    """What happened to one connection of the monitored socket."""

    event: int
    """zmq.EVENT_…"""
    value: int
    """For most events the connection's descriptor."""


def next_event(monitor: zmq.Socket[bytes]) -> MonitorEvent | None:
    """The next event; None when there is none now. Events that are cut short are skipped."""
    while True:
        try:
            frames = monitor.recv_multipart(zmq.DONTWAIT)
        except zmq.Again:
            return None
        if len(frames[0]) == _HEAD.size:
            return MonitorEvent(*_HEAD.unpack(frames[0]))


def open_monitor(socket: zmq.Socket[bytes], events: int) -> zmq.Socket[bytes]:
    """Monitor these events; as few wait as can be: 1 000 at libzmq's end, one at ours. Raises ZMQError."""
    where = f"inproc://monitor.{next(_numbers)}"
    monitor: zmq.Socket[bytes] = socket.context.socket(zmq.PAIR)
    try:
        monitor.setsockopt(zmq.LINGER, 0)
        monitor.setsockopt(zmq.RCVHWM, 1)
        socket.monitor(where, events)
        monitor.connect(where)
    except zmq.ZMQError:
        monitor.close()
        raise
    return monitor


def close_monitor(socket: zmq.Socket[bytes], monitor: zmq.Socket[bytes]) -> None:
    """Empty the monitor, then end it."""
    while next_event(monitor) is not None:
        pass
    socket.disable_monitor()
    monitor.close()
