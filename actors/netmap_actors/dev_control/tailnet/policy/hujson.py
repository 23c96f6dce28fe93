"""HuJSON decoded: JSON with comments and with a comma behind a last element; and where in a text a value stands.

Not here: what the values of a policy mean (`rules`). The form is that of tailscale/hujson ("JWCC"): `//` and `/* */`
comments, trailing commas. Comments and such commas become spaces, so that every place in the JSON is the place in the
text. Lines and columns count characters, from 1.
"""

from __future__ import annotations

import contextlib
import json
import re
from typing import TYPE_CHECKING, Any

from netmap_actors.errors import escape

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["BadHujson", "Step", "decode_hujson", "pieces", "place_of", "plain_json"]

Step = str | int
"""From an object or a list to one of its values: a name or an index."""

_PIECE = r"""(?sx)
    (?P<gap> (?: [ \t\r\n]++ | //[^\n]*+ | /\*(?:[^*]++|\*(?!/))*+\*/ )++ )  # space and comments
    | "[^"\\]*+(?:\\.[^"\\]*+)*+"?                                        # a text
    | [^"/:,\[\]{}\ \t\r\n]++                                            # a number or a literal
    | /\*.*+ | .
    """
"""Possessive, and what has no end reaches to the end of all: nothing is tried over and over, the time is linear."""
_SPACE = " \t\r\n"
_LONGEST_WORD = 1000
"""Characters of a number; Python refuses to convert far longer ones, without a place."""
_NO_JSON = "NaN|Infinity"
"""Python's decoder would take them."""
_DEEPEST = 200
_DECODER = json.JSONDecoder()


class BadHujson(ValueError):
    """A text that is no HuJSON; says where and why."""

    def __init__(self, text: str, at: int, why: str) -> None:
        line, column = _line_and_column(text, at)
        super().__init__(f"line {line}, column {column}: {why}")


def decode_hujson(text: str) -> Any:
    """The value of a HuJSON text. Raises BadHujson, also for a name that stands twice in an object."""
    try:
        return _DECODER.decode(plain_json(text))
    except json.JSONDecodeError as error:
        raise BadHujson(text, error.pos, error.msg) from None


def place_of(text: str, path: tuple[Step, ...], *, name: bool = False) -> tuple[int, int]:
    """Line and column of a value in a text that decodes, or of its name; of what holds it when it is not there."""
    plain = plain_json(text)
    at = _skip_space(plain, 0)
    for depth, step in enumerate(path, 1):
        for key, key_at, value_at in _values(plain, at):
            if key == step:
                at = key_at if name and depth == len(path) else value_at
                break
        else:
            break
    return _line_and_column(text, at)


def plain_json(text: str) -> str:
    """A text with spaces for comments and trailing commas: JSON of the same length. Raises BadHujson."""
    made: list[str] = []
    before, before_at = "", 0
    comma: int | None = None
    """The place in `made` of a comma that may be behind a last element."""
    names: list[set[str]] = []
    """Of each object and list that is open."""
    for at, piece, is_gap in pieces(text):
        if is_gap:
            made.append("\n".join(" " * len(line) for line in piece.split("\n")) if "/" in piece else piece)
            continue
        first = piece[0]
        if first in "[{":
            if len(names) == _DEEPEST:
                raise BadHujson(text, at, f"it is nested more than {_DEEPEST} deep")
            names.append(set())
        elif first in "]}":
            if comma is not None:
                made[comma] = " "
            del names[-1:]
        elif first == ":" and before[:1] == '"' and names:
            name = _unescaped(before)
            if name in names[-1]:
                raise BadHujson(text, before_at, f"{escape(before, 40)} stands twice in one object")
            names[-1].add(name)
        elif first == "/":
            why = "'/' begins no comment" if piece == "/" else "a comment without an end"
            raise BadHujson(text, at, why)
        elif first != '"' and (len(piece) > _LONGEST_WORD or re.search(_NO_JSON, piece)):
            raise BadHujson(text, at, f"{piece[:40]!a} is no JSON")
        follows = before[-1:] not in ("", "[", "{", ",", ":")
        comma = len(made) if first == "," and follows else None
        before, before_at = piece, at
        made.append(piece)
    return "".join(made)


def pieces(text: str) -> Iterator[tuple[int, str, bool]]:
    """Gaps (space and comments), texts and the rest, each with its place; together they are the whole text."""
    return ((found.start(), found[0], found.lastgroup == "gap") for found in re.finditer(_PIECE, text))


def _unescaped(name: str) -> str:
    """A name in quotes, without escapes that are valid."""
    if "\\" in name:
        with contextlib.suppress(ValueError):
            return f'"{json.loads(name)}"'
    return name


def _values(plain: str, at: int) -> Iterator[tuple[Step, int, int]]:
    """Of the object or list at this place: the step to each value, and where its name and the value begin."""
    kind = plain[at]
    if kind not in "[{":
        return
    index, at = 0, _skip_space(plain, at + 1)
    while plain[at] not in "]}":
        key, key_at = index, at
        if kind == "{":
            key, at = _DECODER.raw_decode(plain, at)
            at = _skip_space(plain, _skip_space(plain, at) + 1)
        yield key, key_at, at
        _, at = _DECODER.raw_decode(plain, at)
        at = _skip_space(plain, at)
        if plain[at] == ",":
            at = _skip_space(plain, at + 1)
        index += 1


def _skip_space(plain: str, at: int) -> int:
    while at < len(plain) and plain[at] in _SPACE:
        at += 1
    return at


def _line_and_column(text: str, at: int) -> tuple[int, int]:
    return text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
