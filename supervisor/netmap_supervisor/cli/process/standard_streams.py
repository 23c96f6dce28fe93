"""The standard streams of a command: there, and able to take any text."""

from __future__ import annotations

import codecs
import io
import os
import sys

__all__ = ["prepare"]

_IN_ASCII = {"\N{RIGHTWARDS ARROW}": "->", "\N{HORIZONTAL ELLIPSIS}": "...", "\N{MIDDLE DOT}": "."}
"""What our own words use beyond ASCII, for encodings that do not have it."""
_SUBSTITUTE = "netmap-supervisor"
"""The name of our way with what an encoding does not have."""


def prepare() -> None:
    """Open what was closed at the start, and let no name of a node end a command whose terminal cannot show it."""
    _open_missing()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and codecs.lookup(stream.encoding).name != "utf-8":
            codecs.register_error(_SUBSTITUTE, _substitute)
            stream.reconfigure(errors=_SUBSTITUTE)


def _substitute(error: UnicodeError) -> tuple[str | bytes, int]:
    """Each character in ASCII of ours, or as its escape."""
    assert isinstance(error, UnicodeEncodeError), "these streams are written"
    text = error.object[error.start : error.end]
    return "".join(
        _IN_ASCII.get(c) or c.encode("ascii", "backslashreplace").decode() for c in text
    ), error.end


def _open_missing() -> None:
    """Open /dev/null for each that was closed: Python has None for it, and its number would be reused."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # The lowest free number is the missing one: those below it are open by now.
            fd = os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(fd, True)
            setattr(sys, name, os.fdopen(fd, mode))
