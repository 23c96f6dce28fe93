"""HTTP/2 PINGs that are waited for, each with its own limit. Pure.

Not here: what an answer or its absence means; it never feeds the silence deadline.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from netmap_actors.protocol.http2 import Http2Client

__all__ = ["MAX_PROBES", "Probes"]

MAX_PROBES = 32
"""PINGs in flight; more are not sent."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Probe:
    token: int | None
    sent_at: float
    until: float


class Probes:
    """The PINGs in flight. A token of None is our own, for the login."""

    def __init__(self, http2: Http2Client) -> None:
        self._http2 = http2
        self._count = 0
        self._waiting: dict[bytes, _Probe] = {}

    def send(self, token: int | None, timeout: float, now: float) -> None:
        """PING; it must be answered within `timeout` seconds."""
        if len(self._waiting) >= MAX_PROBES:
            return
        self._count += 1
        opaque = self._count.to_bytes(8, "big")
        self._http2.ping(opaque)
        self._waiting[opaque] = _Probe(token, now, now + timeout)

    def acked(self, opaque: bytes, now: float) -> tuple[int, float] | None:
        """Token and round trip of a probe that was answered in time; None for everything else."""
        probe = self._waiting.pop(opaque, None)
        if probe is None or probe.token is None:
            return None
        return probe.token, now - probe.sent_at

    def deadline(self) -> float | None:
        """When the next one runs out."""
        return min((probe.until for probe in self._waiting.values()), default=None)

    def expired(self, now: float) -> list[tuple[int | None, float]]:
        """Token and time of sending of those that ran out, each once."""
        late = [(opaque, probe) for opaque, probe in self._waiting.items() if now >= probe.until]
        for opaque, _ in late:
            del self._waiting[opaque]
        return [(probe.token, probe.sent_at) for _, probe in late]
