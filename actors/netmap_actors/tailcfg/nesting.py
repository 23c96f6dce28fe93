"""Limit of the nesting of a JSON document, the same on every Python.

msgspec recurses: until Python 3.13 the interpreter's limit of 1 000 calls refused deeper documents, since 3.14 only the
end of the stack does. Other readers take less (Go's encoding/json 10 000, another Python 1 000).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

__all__ = ["MAX_NESTING", "looking_deeper_than"]

MAX_NESTING: Final = 500
"""Objects and lists within each other in one document."""

_SLICE: Final = 1 << 20

_NOT_STRUCTURE: Final = bytes(sorted(set(range(256)) - set(b'[]{}"')))
_AS_LISTS: Final = bytes.maketrans(b"{}", b"[]")
_STRING: Final = re.compile(rb'"[^"]*"')


def looking_deeper_than(limit: int, data: bytes) -> Generator[None, None, bool]:
    """Whether brackets are nested more than `limit` deep in `data`, which must be valid JSON.

    All but brackets is dropped, a MB in a slice, then pairs of them, one pass a level.
    """
    # Only of a small document: to count takes longer than to drop.
    if len(data) <= _SLICE and data.count(b"[") + data.count(b"{") <= limit:
        return False
    pieces: list[bytes] = []
    for piece in _slices(data):
        pieces.append(_structure(piece))
        yield
    bare = b"".join(pieces)
    # An empty string, or two adjacent ones, which become one.
    bare = bare.replace(b'""', b"")
    if b'"' in bare:
        bare = _STRING.sub(b"", bare)
    for _ in range(limit):
        if not bare:
            return False
        bare = bare.replace(b"[]", b"")
    return bool(bare)


def _slices(data: bytes) -> Iterator[bytes]:
    """Pieces of about `_SLICE` bytes, none of which ends within an escape: no second copy of a large document."""
    start = 0
    while start < len(data):
        end = start + _SLICE
        while data[end - 1 : end] == b"\\":
            end += 1
        yield data[start:end]
        start = end


def _structure(piece: bytes) -> bytes:
    """Brackets, and the quotes around strings, of a piece that begins and ends between two characters."""
    if b"\\" in piece:
        # Backslashes occur in strings only. Pairs first: a single one then escapes a quote, or nothing of interest.
        piece = piece.replace(b"\\\\", b"").replace(b'\\"', b"")
    return piece.translate(_AS_LISTS, _NOT_STRUCTURE)
