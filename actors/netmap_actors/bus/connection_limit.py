"""Limits the connections that one process, and all together, may have to a ZeroMQ unix socket.

Not here: which has to go when all are too many (`admission`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import zmq

from netmap_actors.bus.admission import Admission
from netmap_actors.bus.monitor import next_event
from netmap_actors.bus.peers import hang_up, hang_up_on_all, hang_up_on_floods, origin_of_descriptor

if TYPE_CHECKING:
    from netmap_actors.bus.loop import Loop

__all__ = ["ConnectionLimit"]

_EVENTS_PER_TURN: Final = 500


class ConnectionLimit:
    """Watches the socket's monitor. To be closed before its socket."""

    def __init__(self, loop: Loop, socket: zmq.Socket[bytes], *, of_all: int, of_one: int) -> None:
        self._loop = loop
        self._socket = socket
        self._of_one = of_one
        self._admission: Admission[int] = Admission(of_all)
        self._monitor = socket.get_monitor_socket(zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED)
        loop.watch(self._monitor, self._on_events)

    def close(self) -> None:
        """End the monitor."""
        self._loop.unwatch(self._monitor)
        self._socket.disable_monitor()
        self._monitor.close()

    def hang_up_on_floods(self) -> int:
        """See `peers.hang_up_on_floods`."""
        return hang_up_on_floods(self._admission)

    def hang_up_on_all(self) -> int:
        """See `peers.hang_up_on_all`."""
        return hang_up_on_all(self._admission)

    def _on_events(self) -> None:
        for _ in range(_EVENTS_PER_TURN):
            event = next_event(self._monitor)
            if event is None:
                return
            if event.event == zmq.EVENT_DISCONNECTED:
                self._admission.left(event.value)
            else:
                self._admit(event.value)

    def _admit(self, descriptor: int) -> None:
        peer = origin_of_descriptor(descriptor)
        if peer is None:
            return  # it has left already
        if self._admission.held_by(peer) >= self._of_one:
            hang_up(descriptor, peer)
        elif (victim := self._admission.arrived(descriptor, peer)) is not None:
            hang_up(*victim)
