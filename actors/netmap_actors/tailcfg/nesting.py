"""How deep a JSON document may be nested: the same on every Python, below the limit of each.

msgspec goes down by recursion. Until Python 3.13 the interpreter's limit of 1 000 calls refused what is deeper; since
3.14 only the end of the stack does, and what this process takes another reader cannot (Go's encoding/json ends at
10 000, another Python at 1 000).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["MAX_NESTING", "is_deeper_than"]

MAX_NESTING: Final = 500
"""Objects and lists within each other in one document."""

_SLICE: Final = 1 << 20

_NOT_STRUCTURE: Final = bytes(sorted(set(range(256)) - set(b'[]{}"')))
_AS_LISTS: Final = bytes.maketrans(b"{}", b"[]")
_STRING: Final = re.compile(rb'"[^"]*"')


def is_deeper_than(limit: int, data: bytes) -> bool:
    """Whether brackets stand more than `limit` deep in `data`, which a decoder has found to be JSON.

    0.75 ms per MB of netmap: whatever is no bracket is dropped, then pairs are, one pass a level.
    """
    if data.count(b"[") + data.count(b"{") <= limit:
        return False
    bare = b"".join(map(_structure, _slices(data)))
    # An empty string, or two strings that touch: joined, they are one whose content counts as little.
    bare = bare.replace(b'""', b"")
    if b'"' in bare:
        bare = _STRING.sub(b"", bare)
    for _ in range(limit):
        if not bare:
            return False
        bare = bare.replace(b"[]", b"")
    return bool(bare)


def _slices(data: bytes) -> Iterator[bytes]:
    """Pieces of about `_SLICE` bytes, none of which ends within an escape: 200 MB are looked at without 200 MB more."""
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
        # Only within strings. Pairs first: what a lone one stands before is then an escaped quote, or of no interest.
        piece = piece.replace(b"\\\\", b"").replace(b'\\"', b"")
    return piece.translate(_AS_LISTS, _NOT_STRUCTURE)
