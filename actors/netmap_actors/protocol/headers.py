"""Header fields of HTTP/1.1 and HTTP/2 messages, in one form."""

from __future__ import annotations

__all__ = ["MAX_INFORMATIONAL", "Headers", "first_header"]

MAX_INFORMATIONAL = 16
"""1xx responses before the final one."""

Headers = tuple[tuple[str, str], ...]
"""Names in lower case, in order, without pseudo-headers; every octet as one Latin-1 character."""


def first_header(headers: Headers, name: str) -> str | None:
    """The first value of a header, by its lower-case name."""
    return next((value for key, value in headers if key == name), None)
