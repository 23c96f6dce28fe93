"""Tables and folded lines within a width in cells. Pure.

Not here: how wide the terminal is (`view.terminal`).
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = [
    "GAP",
    "Column",
    "cell_width",
    "described",
    "fold",
    "laid_out",
    "shortened",
    "table_lines",
    "wrapped",
]

GAP = 2
"""Cells between two columns."""
_CUT = "…"
_LEAST_TEXT = 20
"""Cells: a text that would be narrower goes below its name."""
_HANGING = 4
"""Cells before a word that has no room beside its lead and goes below it."""


class Column(msgspec.Struct, frozen=True):
    """One column of a table; what is essential has the rank 0, or `stays`."""

    title: str
    rank: int = 0
    """Which gives way first: it shrinks to `least`, then the next one does; 0 never gives way."""
    least: int = 0
    """Cells it keeps. If that is not enough it goes altogether, again by rank, unless it `stays`."""
    stays: bool = False
    both_ends: bool = False
    """It is cut in the middle: names and keys differ at their ends."""
    right: bool = False
    """Flush right, as numbers are."""


def table_lines(
    layout: Sequence[Column], rows: Sequence[Sequence[str]], width: int | None, indent: str = ""
) -> Iterator[str]:
    """The titles and one line a row within `width` cells; an empty cell is a dash."""
    available = None if width is None else width - len(indent)
    for line in laid_out([[cell or "-" for cell in row] for row in rows], layout, available):
        yield (indent + (" " * GAP).join(text for _, text in line)).rstrip()


def laid_out(
    rows: Sequence[Sequence[str]], layout: Sequence[Column], width: int | None
) -> Iterator[list[tuple[int, str]]]:
    """The titles, then each row, as (index of the column, text padded to its width) of the columns that are shown.

    `width`: cells for all of it; None: as many as it needs.
    """
    lines = [[column.title for column in layout], *rows]
    widths = [max(map(cell_width, column)) for column in zip(*lines, strict=True)]
    if width is not None:
        widths = _fit(widths, layout, width)
    for line in lines:
        yield [
            (
                number,
                _padded(shortened(line[number], wide, both_ends=column.both_ends), wide, right=column.right),
            )
            for number, (column, wide) in enumerate(zip(layout, widths, strict=True))
            if wide
        ]


def _fit(wanted: Sequence[int], layout: Sequence[Column], width: int) -> list[int]:
    """How wide each column is, 0 for one that has gone, if all of them would have these widths."""
    widths = list(wanted)
    order = sorted(
        (number for number, column in enumerate(layout) if column.rank), key=lambda n: layout[n].rank
    )

    def excess() -> int:
        shown = [wide for wide in widths if wide]
        return sum(shown) + GAP * (len(shown) - 1) - width

    for number in order:
        widths[number] = max(min(layout[number].least, widths[number]), widths[number] - max(0, excess()))
    for number in order:
        if excess() > 0 and not layout[number].stays:
            widths[number] = 0
    # A column that went may have left room to those that shrank.
    for number in reversed(order):
        if widths[number]:
            widths[number] = min(wanted[number], widths[number] + max(0, -excess()))
    return widths


def fold(lead: str, text: str, width: int | None) -> Iterator[str]:
    """`lead` and `text` in lines of at most `width` cells, broken between words, the later ones below the text.

    A word that is too long for any line is left whole: a URL or a key that is broken cannot be copied.
    """
    line, begins = lead, True
    for word in text.split(" "):
        longer = line + word if begins else f"{line} {word}"
        if width is not None and cell_width(longer) > width:
            if line.strip():
                yield line.rstrip()
            longer = " " * cell_width(lead) + word
            if cell_width(longer) > width:
                longer = " " * _HANGING + word
        line, begins = longer, False
    yield line


def described(rows: Sequence[tuple[str, str]], width: int | None) -> Iterator[str]:
    """Names and what each means, folded beside it, or below it where that is too narrow."""
    wide = max((cell_width(name) for name, _ in rows), default=0) + GAP
    beside = width is None or width - wide >= _LEAST_TEXT
    for name, text in rows:
        if beside:
            yield from fold(name + " " * (wide - cell_width(name)), text, width)
        else:
            yield name
            yield from fold(" " * GAP, text, width)


def wrapped(text: str, width: int) -> list[str]:
    """The text in lines of at most `width` cells, at least one line, broken between words where that can be."""
    lines, line = [], ""
    for word in text.split():
        longer = f"{line} {word}" if line else word
        if cell_width(longer) <= width:
            line = longer
            continue
        if line:
            lines.append(line)
        line = word
        while cell_width(line) > width and len(line) > 1:
            head = _head(line, width) or line[0]
            lines.append(head)
            line = line[len(head) :]
    return [*lines, line]


def shortened(text: str, width: int, *, both_ends: bool = False) -> str:
    """At most so many cells of it, with a mark where something is missing."""
    if cell_width(text) <= width:
        return text
    room = max(0, width - 1)
    tail = _head(text[::-1], room // 2)[::-1] if both_ends else ""
    return _head(text, room - cell_width(tail)) + _CUT * min(1, width) + tail


def cell_width(text: str) -> int:
    """Cells of a terminal: East Asian wide characters take two, combining ones none."""
    if text.isascii():
        return len(text)
    return sum(map(_cells, text))


def _cells(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _head(text: str, width: int) -> str:
    for place, character in enumerate(text):
        width -= _cells(character)
        if width < 0:
            return text[:place]
    return text


def _padded(text: str, width: int, *, right: bool) -> str:
    padding = " " * (width - cell_width(text))
    return padding + text if right else text + padding
