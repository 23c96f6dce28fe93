"""The Retry-After header (RFC 9110, section 10.2.3) in seconds from now, without a clock.

Not here: bounds of the wait, which are the caller's.
"""

from __future__ import annotations

__all__ = ["retry_after_seconds"]

_MAX_DIGITS = 12


def retry_after_seconds(retry_after: str | None, date: str | None = None) -> float | None:
    """Seconds to wait, or None when the header is missing or invalid.

    An HTTP date is relative to the server's `Date` header, so that no clock matters; without one it is invalid. A date
    in the past gives 0.
    """
    if retry_after is None:
        return None
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return float(text) if len(text) <= _MAX_DIGITS else None
    if date is None:
        return None
    import email.utils  # noqa: PLC0415

    try:
        until = email.utils.parsedate_to_datetime(text)
        sent = email.utils.parsedate_to_datetime(date.strip())
        return max(0.0, (until - sent).total_seconds())
    except (TypeError, ValueError, OverflowError, IndexError):
        return None
