"""systemd's notification protocol (sd_notify(3)): READY, STATUS, WATCHDOG, STOPPING, EXTEND_TIMEOUT_USEC.

Nothing is sent without NOTIFY_SOCKET.
"""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

from netmap_actors.finite import whole_number

if TYPE_CHECKING:
    from collections.abc import Mapping


__all__ = ["Notifier"]

LEAST_INTERVAL = 0.05
"""Seconds between two WATCHDOG=1 at least, whatever WATCHDOG_USEC says."""
_MAX_MICROSECONDS = 2**64 - 1


class Notifier:
    """Sends to the manager that started us, if there is one."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        if self._address.startswith("@"):
            self._address = "\0" + self._address[1:]
        self._socket: socket.socket | None = None
        if self._address:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.setblocking(False)
        self.lost = 0
        """Notifications the manager did not take."""
        self._shown: tuple[str, int] | None = None
        self.watchdog_interval = _watchdog_interval(environment)
        """Seconds between two WATCHDOG=1, half of what is allowed; None for no watchdog."""

    @property
    def active(self) -> bool:
        """Whether there is a manager to notify."""
        return self._socket is not None

    def extend_timeout(self, seconds: float) -> None:
        """While starting or stopping: have so long until the next of these, whatever the unit allows."""
        self.send(EXTEND_TIMEOUT_USEC=str(int(seconds * 1e6)))

    def show(self, state: str, peers: int, age_s: float | None, *, again: bool) -> None:
        """The line of `systemctl status`; `again`: also when nothing but the age of the last map is another."""
        if self._socket is None or (not again and self._shown == (state, peers)):
            return
        self._shown = state, peers
        age = "no map yet" if age_s is None else f"last map {age_s:.0f} s ago"
        self.send(STATUS=f"{state}, {peers} peers, {age}")

    def send(self, **fields: str) -> None:
        """`send(READY="1", STATUS="…")`. Never blocks."""
        if self._socket is None:
            return
        # A line break in a value would begin another field.
        text = "\n".join(f"{name}={' '.join(value.split())}" for name, value in fields.items())
        try:
            self._socket.sendto(text.encode(), self._address)
        except OSError:
            self.lost += 1


def _watchdog_interval(environment: Mapping[str, str]) -> float | None:
    microseconds, pid = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
    allowed = whole_number(microseconds, _MAX_MICROSECONDS)
    if not allowed or (pid and pid != str(os.getpid())):
        return None
    return max(allowed / 2e6, LEAST_INTERVAL)
