"""RFC 3339 times as text, in UTC with `Z`. Pure: the moment is an argument."""

from __future__ import annotations

import datetime
import functools

__all__ = ["moment", "stamp", "unix_seconds"]


@functools.lru_cache(maxsize=8)
def stamp(wall: float, timespec: str = "microseconds") -> str:
    """The text of UNIX seconds. `timespec`: as of `datetime.isoformat`."""
    return (
        datetime.datetime.fromtimestamp(wall, datetime.UTC)
        .isoformat(timespec=timespec)
        .replace("+00:00", "Z")
    )


def moment(text: str | None) -> datetime.datetime | None:
    """The moment, in UTC; None for any text that is not a time with its offset, and where datetime does not reach."""
    try:
        found = datetime.datetime.fromisoformat(text or "")
        return found.astimezone(datetime.UTC) if found.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def unix_seconds(text: str) -> float | None:
    """UNIX seconds of a time with its offset; None for any other text."""
    try:
        found = datetime.datetime.fromisoformat(text)
    except ValueError:
        return None
    return found.timestamp() if found.tzinfo is not None else None
