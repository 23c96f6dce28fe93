"""RFC 3339 times as text, in UTC with `Z`. Pure: the moment is an argument."""

from __future__ import annotations

import datetime
import functools

__all__ = ["stamp", "unix_seconds"]


@functools.lru_cache(maxsize=8)
def stamp(wall: float, timespec: str = "microseconds") -> str:
    """The text of UNIX seconds. `timespec`: as of `datetime.isoformat`."""
    moment = datetime.datetime.fromtimestamp(wall, datetime.UTC)
    return moment.isoformat(timespec=timespec).replace("+00:00", "Z")


def unix_seconds(text: str) -> float | None:
    """UNIX seconds of a time with its offset; None for any other text."""
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.timestamp() if moment.tzinfo is not None else None
