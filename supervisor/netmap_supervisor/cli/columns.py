"""Rows of text in columns, for a terminal or a pipe: a pipe gets everything, a terminal what it has room for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netmap_supervisor.view.text_layout import GAP, Column, cell_width, fold, laid_out

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["columns", "described", "table"]

_BETWEEN = " " * GAP
_LEAST_TEXT = 20
"""Cells: a text that would be narrower stands below its name."""


def columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """One line a row, the columns as wide as they need to be; an empty cell is a dash."""
    return table([Column(title or "-") for title in rows[0]], rows[1:], None)


def table(
    layout: Sequence[Column], rows: Sequence[Sequence[str]], width: int | None, indent: str = ""
) -> Iterator[str]:
    """The titles and one line a row within `width` cells; an empty cell is a dash."""
    room = None if width is None else width - len(indent)
    for line in laid_out([[cell or "-" for cell in row] for row in rows], layout, room):
        yield (indent + _BETWEEN.join(text for _, text in line)).rstrip()


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
