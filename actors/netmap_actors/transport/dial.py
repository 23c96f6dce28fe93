"""Connects to the first of several addresses that answers (Happy Eyeballs, RFC 8305).

Not here: the addresses (`resolve`) and a limit for the whole, which is the caller's.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING

from netmap_actors.transport.address import in_turn
from netmap_actors.transport.tcp import TcpStream, new_socket

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from netmap_actors.bus.loop import Loop, Timer
    from netmap_actors.transport.address import Address

__all__ = ["ATTEMPT_DELAY", "AVOIDED_DELAY", "Dial"]

ATTEMPT_DELAY = 0.25
"""Seconds between the starts of two attempts (RFC 8305, section 5)."""
AVOIDED_DELAY = 2.0
"""Seconds before an avoided address is tried beside the others: more than a round trip on any line."""

_MAX_REASONS = 4


class Dial:
    """Attempts to connect until one succeeds or all have failed; calls one of the two callbacks, once."""

    def __init__(
        self,
        loop: Loop,
        addresses: list[Address],
        on_connected: Callable[[TcpStream], None],
        on_failed: Callable[[str], None],
        avoid: Sequence[str] = (),
    ) -> None:
        """`avoid`: addresses, as text, at which earlier attempts stalled; they are tried last."""
        self._loop = loop
        self._waiting, self._avoided = in_turn(addresses, avoid)
        self._on_connected = on_connected
        self._on_failed = on_failed
        self._attempts: dict[int, tuple[socket.socket, Address]] = {}
        self._reasons: list[str] = []
        self._timer: Timer | None = None
        self._next()

    def cancel(self) -> None:
        """Close every attempt and call nothing."""
        self._waiting.clear()
        self._avoided.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for descriptor, (attempt, _) in self._attempts.items():
            self._loop.unwatch(descriptor)
            attempt.close()
        self._attempts.clear()

    def _next(self) -> None:
        """Start the next attempt, or fail when none is left."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._waiting:
            if self._start(self._waiting.pop(0)) and self._waiting:
                self._timer = self._loop.at(self._loop.now() + ATTEMPT_DELAY, self._next)
                return
            if not self._attempts and not self._waiting:
                self._waiting, self._avoided = self._avoided, []
        if self._avoided:
            self._timer = self._loop.at(self._loop.now() + AVOIDED_DELAY, self._turn_to_avoided)
        elif not self._attempts:
            reasons = "; ".join(self._reasons[:_MAX_REASONS]) or "there is no address to try"
            self._loop.call_soon(lambda: self._on_failed(f"cannot connect: {reasons}"))

    def _turn_to_avoided(self) -> None:
        self._waiting, self._avoided = self._avoided, []
        self._next()

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
        if not self._waiting and not self._attempts:
            self._turn_to_avoided()
        elif self._waiting:
            self._next()

    def _note(self, address: Address, number: int) -> None:
        self._reasons.append(f"{address}: {os.strerror(number)}")
