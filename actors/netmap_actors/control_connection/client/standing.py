"""Where the connection is, and when its silence has to be proved. Pure; times are seconds of CLOCK_BOOTTIME."""

from __future__ import annotations

import msgspec

from netmap_actors.wire.vocabulary import Stage

__all__ = ["Standing"]


class Standing(msgspec.Struct):
    """The stage with all that counts in it: what Progress carries."""

    session: int = 0
    stage: Stage = Stage.RESOLVE
    stage_since: float = 0.0
    limit: float = 0.0
    """Seconds the stage, or a silence in it, may last; 0 = for ever."""
    last_number: int = 0
    last_received_at: float = 0.0
    drained_at: float = 0.0
    """When a read last found nothing, and all that had come before was handled; 0 = not yet."""
    _proved_for: float = 0.0

    @property
    def _deadline(self) -> float:
        # The same sum as the detector's: both must name the same moment.
        return max(self.last_received_at, self.stage_since) + self.limit

    @property
    def proof_due(self) -> float | None:
        """When the socket is to be read to its end, to prove the silence or find what ends it; None: no need."""
        waits = self.stage is Stage.MAP and self._deadline != self._proved_for
        return self._deadline if waits else None

    def expire(self, now: float) -> bool:
        """Whether the proof is due, once for each deadline. To be called after the read."""
        due = self.proof_due
        if due is None or now < due:
            return False
        self._proved_for = due
        return True
