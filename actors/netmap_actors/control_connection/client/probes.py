"""The HTTP/2 PING under way, and when it counts as unanswered. Pure.

Its time runs only while the socket is read. Bytes of a map that came after it count as an answer: on a slow line the
acknowledgement stands behind megabytes of them. Not here: what follows; it never moves the silence deadline.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from netmap_actors.control_connection.client.events import ProbeEnded

if TYPE_CHECKING:
    from netmap_actors.protocol.http2 import Http2Client

__all__ = ["Probes"]

_LATE = 0.25
"""Share of its time by which its end may be noticed late. After more this process was stopped or starved, or the
machine slept: the answer may still be on its way, and the time starts anew."""


class _Probe(msgspec.Struct):
    token: int
    opaque: bytes
    timeout: float
    sent_at: float
    until: float | None
    """None while its time does not run."""
    read_since: bool = False
    """The socket was empty after it was sent: what comes now is newer."""


class Probes:
    """One at a time: a newer probe replaces an older one."""

    def __init__(self, http2: Http2Client) -> None:
        self._http2 = http2
        self._count = 0
        self._probe: _Probe | None = None
        self._unread = False

    def send(self, token: int, timeout: float, now: float) -> None:
        """PING; it must be answered within `timeout` seconds. Nothing if this very probe is under way."""
        if self._probe is not None and self._probe.token == token:
            return
        self._count += 1
        opaque = self._count.to_bytes(8, "big")
        self._http2.ping(opaque)
        self._probe = _Probe(token, opaque, timeout, now, None if self._unread else now + timeout)

    def acked(self, opaque: bytes, now: float) -> list[ProbeEnded]:
        """The server answered this PING."""
        if self._probe is None or self._probe.opaque != opaque:
            return []
        return self._end(now, answered=True)

    def map_moved(self, now: float) -> list[ProbeEnded]:
        """Bytes of a map came."""
        if self._probe is None or not self._probe.read_since:
            return []
        return self._end(now, answered=True)

    def unread(self) -> None:
        """The socket is not read, or not to its end."""
        self._unread = True
        if self._probe is not None:
            self._probe.until = None

    def drained(self, now: float) -> None:
        """The socket was read to its end."""
        self._unread = False
        probe = self._probe
        if probe is not None:
            probe.read_since = True
            if probe.until is None:
                probe.until = now + probe.timeout

    def deadline(self) -> float | None:
        """When its time is over."""
        return self._probe.until if self._probe is not None else None

    def expired(self, now: float) -> list[ProbeEnded]:
        """No answer. To be called after the socket was read to its end, or `unread`."""
        probe = self._probe
        if probe is None or probe.until is None or now < probe.until:
            return []
        if now > probe.until + _LATE * probe.timeout:
            probe.until = now + probe.timeout
            return []
        return self._end(now, answered=False)

    def _end(self, now: float, *, answered: bool) -> list[ProbeEnded]:
        probe, self._probe = self._probe, None
        assert probe is not None, "under way"
        return [ProbeEnded(probe.token, answered, now - probe.sent_at)]
