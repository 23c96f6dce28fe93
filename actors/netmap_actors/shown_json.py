"""Encodes JSON and labels for output, with every invisible or controlling character as an escape.

Terminals obey C1 controls and escapes, bidirectional marks reorder a line, and characters without width make different
names look equal. An escape in JSON is the same value (RFC 8259, section 7). Not here: plain text (`errors.escape`), and
JSON between our processes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["encode", "escaped", "indented", "label", "visible"]

HIDDEN: Final = (
    (0x00, 0x1F),
    (0x7F, 0x9F),
    (0xAD, 0xAD),
    (0x34F, 0x34F),
    (0x600, 0x605),
    (0x61C, 0x61C),
    (0x6DD, 0x6DD),
    (0x70F, 0x70F),
    (0x890, 0x891),
    (0x8E2, 0x8E2),
    (0x115F, 0x1160),
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x200B, 0x200F),
    (0x2028, 0x202E),
    (0x2060, 0x206F),
    (0x3164, 0x3164),
    (0xFE00, 0xFE0F),
    (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0),
    (0xFFF0, 0xFFFB),
    (0x110BD, 0x110BD),
    (0x110CD, 0x110CD),
    (0x13430, 0x1343F),
    (0x1BCA0, 0x1BCA3),
    (0x1D173, 0x1D17A),
    (0xE0000, 0xE0FFF),
)
"""Unicode's controls, format characters and line separators (Cc, Cf, Zl, Zp), and Default_Ignorable_Code_Point of
DerivedCoreProperties.txt."""

_CLASS: Final = "".join(f"{chr(first)}-{chr(last)}" for first, last in HIDDEN)
_IN_TEXT: Final = f"[{_CLASS}\ud800-\udfff]"
# Both are compiled by the first text that is not ASCII. The first byte excludes most visible characters.
_IN_UTF8: Final = (
    rb"\x7f|\xc2[\x80-\x9f\xad]|\xcd\x8f|\xd8[\x80-\x85\x9c]|\xdb\x9d|\xdc\x8f"
    rb"|\xe0(?:\xa2[\x90\x91]|\xa3\xa2)|\xe1(?:\x85[\x9f\xa0]|\x9e[\xb4\xb5]|\xa0[\x8b-\x8f])"
    rb"|\xe2(?:\x80[\x8b-\x8f\xa8-\xae]|\x81[\xa0-\xaf])|\xe3\x85\xa4"
    rb"|\xef(?:\xb8[\x80-\x8f]|\xbb\xbf|\xbe\xa0|\xbf[\xb0-\xbb])"
    rb"|\xf0(?:\x91\x82\xbd|\x91\x83\x8d|\x93\x90[\xb0-\xbf]|\x9b\xb2[\xa0-\xa3]|\x9d\x85[\xb3-\xba])"
    rb"|\xf3\xa0[\x80-\xbf][\x80-\xbf]"
)


def encode(value: object, enc_hook: Callable[[Any], Any] | None = None) -> bytes:
    """The value as compact JSON; `enc_hook` converts types that JSON lacks."""
    try:
        data = msgspec.json.encode(value, enc_hook=enc_hook)
    except UnicodeEncodeError:
        # A lone surrogate, as in a file name that is not UTF-8: rare and slower.
        import json  # noqa: PLC0415

        plain = msgspec.to_builtins(value, enc_hook=enc_hook, str_keys=True)
        return escaped(json.dumps(plain, separators=(",", ":")).encode())
    return escaped(data)


def indented(value: object) -> str:
    """The value as indented JSON."""
    return msgspec.json.format(encode(value), indent=2).decode()


def escaped(data: bytes) -> bytes:
    """The same JSON with the HIDDEN characters, which occur in strings only, as escapes. `data` must be UTF-8."""
    if data.isascii():
        return data.replace(b"\x7f", b"\\u007f") if b"\x7f" in data else data
    return re.sub(_IN_UTF8, lambda found: _as_escape(found[0].decode()), data)


def label(text: str) -> str:
    r"""A Prometheus label value, which has no such escapes: a HIDDEN character becomes visible text as `\x1b`."""
    return re.sub(_IN_TEXT, lambda found: found[0].encode("unicode_escape").decode(), text)


def visible(value: Any) -> Any:
    """The plain value with each HIDDEN character of its strings, names too, as visible text."""
    if isinstance(value, str):
        return value if value.isascii() and value.isprintable() else label(value)
    if isinstance(value, list):
        return [visible(item) for item in value]
    if isinstance(value, dict):
        return {visible(name): visible(item) for name, item in value.items()}
    return value


def _as_escape(character: str) -> bytes:
    units = character.encode("utf-16-be")
    return b"".join(b"\\u%02x%02x" % (units[at], units[at + 1]) for at in range(0, len(units), 2))
