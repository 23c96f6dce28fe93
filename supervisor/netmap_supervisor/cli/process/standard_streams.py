"""The standard streams of a command: there, and able to take any text."""

from __future__ import annotations

import codecs
import io
import os
import re
import sys

__all__ = ["prepare"]

_ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"
_IN_ASCII = {"\N{RIGHTWARDS ARROW}": "->", _ELLIPSIS: "...", "\N{MIDDLE DOT}": "."}
"""What our own words use beyond ASCII, for encodings that do not have it."""
_BEFORE_A_WORD = re.compile(f"{_ELLIPSIS} (?! )")
_CUT = "~"
"""For one that ends a cell of a table."""
_SUBSTITUTE = "netmap-supervisor"
"""The name of our way with what an encoding does not have."""
_SEVEN_BIT = "netmap-supervisor-ascii"
"""ASCII under a name of its own: click takes "ascii" for a mistake, and writes UTF-8."""


def prepare() -> None:
    """Open what was closed at the start, and let no name of a node end a command whose terminal cannot show it."""
    _open_missing()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and (name := codecs.lookup(stream.encoding).name) != "utf-8":
            codecs.register_error(_SUBSTITUTE, _substitute)
            codecs.register(_seven_bit)
            stream.reconfigure(encoding=_SEVEN_BIT if name == "ascii" else None, errors=_SUBSTITUTE)


def _seven_bit(name: str) -> codecs.CodecInfo | None:
    if name.replace("_", "-") != _SEVEN_BIT:  # Python asks with other punctuation
        return None
    ascii_ = codecs.lookup("ascii")
    return codecs.CodecInfo(
        *ascii_,
        incrementalencoder=ascii_.incrementalencoder,
        incrementaldecoder=ascii_.incrementaldecoder,
        name=_SEVEN_BIT,
    )


def _substitute(error: UnicodeError) -> tuple[str | bytes, int]:
    """Each character in ASCII of ours, or as its escape; the mark of a cut word is one cell wide, as its own is."""
    assert isinstance(error, UnicodeEncodeError), "these streams are written"
    text = error.object
    return "".join(
        _CUT
        if text[place] == _ELLIPSIS and not _BEFORE_A_WORD.match(text, place)
        else _IN_ASCII.get(text[place]) or text[place].encode("ascii", "backslashreplace").decode()
        for place in range(error.start, error.end)
    ), error.end


def _open_missing() -> None:
    """Open /dev/null for each that was closed: Python has None for it, and its number would be reused."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # The lowest free number is the missing one: those below it are open by now.
            fd = os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(fd, True)
            setattr(sys, name, os.fdopen(fd, mode))
