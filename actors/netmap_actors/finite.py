"""The one reader of numbers that come from outside: what it gives can be compared, added and waited for.

Not here: durations with units, as people write them (`netmap_supervisor.config.kinds`).
"""

from __future__ import annotations

import math
from typing import TypeGuard

__all__ = ["NotANumber", "bounded", "is_number", "whole_number"]


class NotANumber(ValueError):
    """The text reads "is not a number from A to B", and goes behind the name of what it is."""


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether it is a number at all: true is none to anybody who writes JSON, and neither are nan and infinity."""
    return isinstance(value, int | float) and not isinstance(value, bool) and _is_finite(value)


def bounded(value: object, least: float, most: float, *, whole: bool = False) -> float:
    """The number, unless it is none or lies outside of the bounds, which are included. Raises NotANumber."""
    if is_number(value) and least <= value <= most and not (whole and isinstance(value, float)):
        return value
    kind = "a whole number" if whole else "a number"
    raise NotANumber(f"is not {kind} from {least:.15g} to {most:.15g}")


def whole_number(text: str, most: int) -> int | None:
    """The number that these digits write; None for anything else, and for what is above `most`: of thousands of digits
    Python makes no number (sys.set_int_max_str_digits).
    """
    if not (text.isascii() and text.isdigit()) or len(text.lstrip("0")) > len(str(most)):
        return None
    number = int(text.lstrip("0") or "0")
    return number if number <= most else None


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number that no float holds
        return False
