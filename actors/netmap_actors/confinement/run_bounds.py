"""What the Supervisor gives up, and with it all it starts; a nursery that was forked from it before does so itself.

Not here: what a process may do (`permissions`), what each gives up besides (`process.bootstrap`).
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from netmap_actors.confinement import confinement, seccomp
from netmap_actors.confinement.permissions import ROWS, RunPlaces
from netmap_actors.confinement.seccomp_rows import of_supervisor

__all__ = ["RunBounds"]


class RunBounds(msgspec.Struct, frozen=True, kw_only=True):
    """The bounds of one run."""

    places: RunPlaces
    memory: int
    """Bytes of address space the Supervisor may have."""
    memory_of_child: int
    """Bytes a child may be given: the most that ours can be set to again, for limits are inherited."""

    def encode(self) -> msgspec.Raw:
        """As JSON."""
        return msgspec.Raw(msgspec.json.encode(self, enc_hook=str))

    @classmethod
    def decode(cls, data: msgspec.Raw) -> RunBounds:
        """The same. Raises msgspec.DecodeError."""
        return msgspec.json.decode(data, type=cls, dec_hook=lambda _, text: Path(text))

    def give_up(self, *, signals_kept: bool = False) -> dict[str, int]:
        """Limits, capabilities, files and ports; what status shows of it. Raises OSError.

        `signals_kept`: as for `landlock.enforce`.
        """
        row = ROWS["supervisor"]
        confinement.bound_memory(self.memory, most=self.memory_of_child)
        confinement.bound_files(row.max_files)
        return confinement.confine(row, row.permissions(self.places), signals_kept=signals_kept)

    def filter_calls(self) -> str:
        """System calls, last: "", or why not."""
        return seccomp.restrict_with_children(of_supervisor(shares=bool(self.places.socket_group)))
