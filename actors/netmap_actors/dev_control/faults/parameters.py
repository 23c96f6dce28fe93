"""The parameters of faults and their bounds, within which the server itself is safe.

Not here: which fault takes which (`faults.catalogue`).
"""

from __future__ import annotations

from typing import Any

import msgspec

from netmap_actors.finite import NotANumber, bounded

__all__ = ["BadParameter", "NumberParameter", "TextParameter"]


class BadParameter(ValueError):
    """The text continues "cannot commit NAME: PARAMETER"."""


class NumberParameter(msgspec.Struct, frozen=True):
    """One between two bounds, both included."""

    default: float
    least: float
    most: float
    whole: bool = False

    def check(self, value: Any) -> float:
        """The value. Raises BadParameter."""
        try:
            return bounded(value, self.least, self.most, whole=self.whole)
        except NotANumber as error:
            raise BadParameter(str(error)) from None


class TextParameter(msgspec.Struct, frozen=True):
    """One of a few words, or any text within a length."""

    default: str = ""
    longest: int = 4096
    """Bytes of UTF-8."""
    shortest: int = 0
    words: frozenset[str] = frozenset()
    """Empty: any text will do."""
    printable: bool = False
    """ASCII without control characters, as in the value of an HTTP header."""

    def check(self, value: Any) -> str:
        """The value. Raises BadParameter."""
        if not isinstance(value, str):
            raise BadParameter("is not a text")
        if self.words and value not in self.words:
            raise BadParameter(f"is not one of {', '.join(sorted(self.words))}")
        if self.printable and not (value.isascii() and (value.isprintable() or not value)):
            raise BadParameter("holds more than printable ASCII")
        try:
            length = len(value.encode())
        except UnicodeEncodeError:
            raise BadParameter("is no Unicode text") from None
        if not self.shortest <= length <= self.longest:
            raise BadParameter(f"has {length} bytes, and {self.shortest} to {self.longest} are allowed")
        return value
