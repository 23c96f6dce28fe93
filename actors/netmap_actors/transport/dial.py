"""One connection out of several addresses: the families race, a slow or broken one costs a quarter second.

Not here: the addresses (`resolve`) and a limit on the whole; who waits keeps that. After RFC 8305.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING

from netmap_actors.transport.address import interleave
from netmap_actors.transport.tcp import TcpStream, new_socket

if TYPE_CHECKING:
    from collections.abc import Callable

    from netmap_actors.bus.loop import Loop, Timer
    from netmap_actors.transport.address import Address

__all__ = ["ATTEMPT_DELAY", "Dial"]

ATTEMPT_DELAY = 0.25
"""Seconds one attempt has before the next one joins it (RFC 8305, section 5)."""

_MAX_REASONS = 4


class Dial:
    """Attempts to connect, until the first succeeds or all have failed; one of the two is called, once."""

    def __init__(
        self,
        loop: Loop,
        addresses: list[Address],
        on_connected: Callable[[TcpStream], None],
        on_failed: Callable[[str], None],
    ) -> None:
        self._loop = loop
        self._waiting = interleave(addresses)
        self._on_connected = on_connected
        self._on_failed = on_failed
        self._attempts: dict[int, tuple[socket.socket, Address]] = {}
        self._reasons: list[str] = []
        self._timer: Timer | None = None
        self._next()

    def cancel(self) -> None:
        """Give up: every attempt is closed and nobody is called."""
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for descriptor, (attempt, _) in self._attempts.items():
            self._loop.unwatch(descriptor)
            attempt.close()
        self._attempts.clear()

    def _next(self) -> None:
        """Start the next attempt, or find that there is none left."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._waiting:
            address = self._waiting.pop(0)
            if self._start(address):
                if self._waiting:
                    self._timer = self._loop.at(self._loop.now() + ATTEMPT_DELAY, self._next)
                return
        if not self._attempts:
            reasons = "; ".join(self._reasons[:_MAX_REASONS]) or "there is no address to try"
            self._loop.call_soon(lambda: self._on_failed(f"cannot connect: {reasons}"))

    def _start(self, address: Address) -> bool:
        try:
            attempt = new_socket(ipv6=address.is_ipv6)
        except OSError as error:
            self._note(address, error.errno or 0)
            return False
        number = attempt.connect_ex(address.socket_address)
        if number not in (0, errno.EINPROGRESS):
            attempt.close()
            self._note(address, number)
            return False
        descriptor = attempt.fileno()
        self._attempts[descriptor] = (attempt, address)
        self._loop.watch(descriptor, lambda: self._settled(descriptor), read=False, write=True)
        return True

    def _settled(self, descriptor: int) -> None:
        attempt, address = self._attempts.pop(descriptor)
        self._loop.unwatch(descriptor)
        number = attempt.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number == 0:
            self.cancel()
            self._on_connected(TcpStream(attempt))
            return
        attempt.close()
        self._note(address, number)
        self._next()

    def _note(self, address: Address, number: int) -> None:
        self._reasons.append(f"{address}: {os.strerror(number)}")
