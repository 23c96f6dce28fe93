"""One client's course as it was measured, and the file that keeps it."""

from __future__ import annotations

import dataclasses
import os
from typing import Any, Self

from bench.machine import kernel, processor


@dataclasses.dataclass(frozen=True)
class Machine:
    """Where a course was held."""

    system: str
    processor: str
    cores: int
    load: float
    """The highest load average of a minute meanwhile: what was asked of it, by others too."""

    @classmethod
    def this_one(cls, load: float) -> Self:
        """Where this runs."""
        return cls(kernel(), processor(), os.cpu_count() or 1, load)


@dataclasses.dataclass(frozen=True)
class Measurement:
    """One client's whole course."""

    client: str
    what: str
    """What it is, with its version."""
    started: str
    """RFC 3339."""
    took: float
    """Seconds."""
    jobs: int
    side_by_side: int
    """How many courses there were at the same time at most."""
    machine: Machine
    report: dict[str, Any]
    """As `check-client --json` has written it."""

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_document(cls, found: dict[str, Any]) -> Self:
        """What `document` has made."""
        return cls(**{**found, "machine": Machine(**found["machine"])})
