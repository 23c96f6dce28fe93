"""Reads the events of a socket's monitor (zmq_socket_monitor(3)).

pyzmq's own reader lies in a module that loads asyncio and ssl: 10 MiB for six bytes.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

import zmq

__all__ = ["MonitorEvent", "next_event"]

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
