"""Reads the files an operator hands to the control server: DERP map and policy.

Not here: what must be in them (`derp_map`, `policy`).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from netmap_actors.devcontrol.derp_map import parse_derp_map
from netmap_actors.errors import ConfigurationError

if TYPE_CHECKING:
    from netmap_actors.devcontrol.derp_map import DerpMap

__all__ = ["MAX_FILE", "read_derp_map"]

MAX_FILE = 16 << 20
"""Bytes of one file that are read."""


def read_derp_map(path: str | Path) -> DerpMap:
    """A DERP map as JSON. Raises ConfigurationError, which names the file."""
    text = _read(path)
    try:
        return parse_derp_map(text)
    except ConfigurationError as error:
        raise ConfigurationError(f"{error} (in {path})") from None


def _read(path: str | Path) -> bytes:
    try:
        with Path(path).open("rb") as file:
            text = file.read(MAX_FILE + 1)
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from None
    if len(text) > MAX_FILE:
        raise ConfigurationError(f"cannot read {path}: it has more than {MAX_FILE} bytes")
    return text
