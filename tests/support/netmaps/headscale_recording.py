"""The recorded session of headscale as a recording: only the header and the beginning are missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netmap_actors.recording.format import began_line, header_line
from tests.support.netmaps.recorded_netmap import FIXTURE

if TYPE_CHECKING:
    from pathlib import Path


def headscale_recording(path: Path) -> Path:
    """Write it there."""
    path.write_bytes(
        header_line("a lab headscale", 130, {"Stream": True}, "2026-11-22T11:36:43Z")
        + began_line(1, 1, "2026-11-22T11:36:43Z")
        + FIXTURE.read_bytes()
    )
    return path
