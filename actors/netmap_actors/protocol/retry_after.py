"""Reads the Retry-After header (RFC 9110, section 10.2.3) as seconds from now, without asking any clock.

Not here: how long a wait is acceptable; the caller has its own bounds.
"""

from __future__ import annotations

import email.utils

__all__ = ["retry_after_seconds"]

_MAX_DIGITS = 12


def retry_after_seconds(retry_after: str | None, date: str | None = None) -> float | None:
    """Seconds to wait, or None when the header is missing or means nothing.

    An HTTP date is measured against the server's own `Date` header, so that a wrong clock on either side does
    not matter; without one it means nothing. A moment in the past gives 0.
    """
    if retry_after is None:
        return None
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return float(text) if len(text) <= _MAX_DIGITS else None
    if date is None:
        return None
    try:
        until = email.utils.parsedate_to_datetime(text)
        sent = email.utils.parsedate_to_datetime(date.strip())
        return max(0.0, (until - sent).total_seconds())
    except (TypeError, ValueError, OverflowError, IndexError):
        return None
