"""The file of a webhook's standing. What cannot be read is kept beside, and the webhook begins anew."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import msgspec

from netmap_actors.errors import ConfigurationError, escape
from netmap_actors.state_file import read_state_file, write_state_file
from netmap_actors.webhooks.standing import WebhookStanding

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

__all__ = ["BrokenStanding", "StandingFile", "forget_all_but"]

MAX_STANDING = 1 << 20
"""Bytes; the machine bounds it far below."""


class BrokenStanding(Exception):
    """It cannot be read; the text says why, and where it is kept."""


def forget_all_but(names: Collection[str], directory: Path) -> list[str]:
    """Remove the standings of other webhooks; whose. One that comes back is a new one, and told what happens next."""
    forgotten: list[str] = []
    for path in sorted(directory.glob("[!.]*.json")):
        if path.stem not in names:
            with contextlib.suppress(OSError):
                path.unlink()
                forgotten.append(path.stem)
    return forgotten


class StandingFile:
    """Of one webhook."""

    def __init__(self, directory: Path, name: str) -> None:
        self._path = directory / f"{name}.json"

    def read(self) -> WebhookStanding | None:
        """What was written last; None for a webhook that is new. Raises BrokenStanding."""
        try:
            data = read_state_file(self._path, MAX_STANDING)
            return None if data is None else msgspec.json.decode(data, type=WebhookStanding)
        except (ConfigurationError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise BrokenStanding(f"{escape(str(error), 300)}; {self._set_aside()}") from None

    def write(self, standing: WebhookStanding) -> None:
        """Durably. Raises OSError; what was there before is still there then."""
        write_state_file(self._path, msgspec.json.encode(standing))

    def _set_aside(self) -> str:
        broken = self._path.with_name(f"{self._path.name}.broken")
        try:
            self._path.rename(broken)
        except OSError as error:
            return f"it cannot be moved away: {error.strerror}"
        return f"it is kept as {broken}"
