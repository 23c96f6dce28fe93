"""What the keys of a terminal mean to a table that scrolls. Pure."""

from __future__ import annotations

import enum
import re

__all__ = ["Key", "keys", "scrolled"]


class Key(enum.Enum):
    """What a key asks for."""

    DOWN = "down"
    UP = "up"
    PAGE_DOWN = "page down"
    PAGE_UP = "page up"
    FIRST = "first"
    LAST = "last"
    QUIT = "quit"


_MEANINGS: dict[bytes, Key] = {
    b"j": Key.DOWN, b"\x1b[B": Key.DOWN, b"\x1bOB": Key.DOWN,
    b"k": Key.UP, b"\x1b[A": Key.UP, b"\x1bOA": Key.UP,
    b" ": Key.PAGE_DOWN, b"\x1b[6~": Key.PAGE_DOWN, b"\x06": Key.PAGE_DOWN,
    b"b": Key.PAGE_UP, b"\x1b[5~": Key.PAGE_UP, b"\x02": Key.PAGE_UP,
    b"g": Key.FIRST, b"\x1b[H": Key.FIRST, b"\x1bOH": Key.FIRST, b"\x1b[1~": Key.FIRST,
    b"G": Key.LAST, b"\x1b[F": Key.LAST, b"\x1bOF": Key.LAST, b"\x1b[4~": Key.LAST,
    b"q": Key.QUIT, b"Q": Key.QUIT,
}  # fmt: skip
"""As in less(1), and what terminals send for the keys beside the letters (xterm: ctlseqs, PC-Style Function Keys)."""
_ONE = re.compile(rb"\x1b\[[0-9;]*[ -/]*[@-~]|\x1bO.|.", re.DOTALL)


def keys(typed: bytes) -> list[Key]:
    """The keys that mean something, in order; the rest is passed over."""
    return [_MEANINGS[one] for one in _ONE.findall(typed) if one in _MEANINGS]


def scrolled(key: Key, first: int, page: int, rows: int) -> int:
    """Which row is the first one then. `page`: rows on the screen; the last page is full."""
    wanted = {
        Key.DOWN: first + 1,
        Key.UP: first - 1,
        Key.PAGE_DOWN: first + page,
        Key.PAGE_UP: first - page,
        Key.FIRST: 0,
        Key.LAST: rows,
    }.get(key, first)
    return max(0, min(wanted, rows - page))
