"""Checks of untrusted numbers: the result is finite and within bounds.

Not here: durations with units (`netmap_supervisor.config.kinds`).
"""

from __future__ import annotations

import math
from typing import TypeGuard

__all__ = ["NotANumber", "bounded", "is_number", "whole_number"]


class NotANumber(ValueError):
    """The text reads "is not a number from A to B", to follow the name of the value."""


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether it is a finite number; a boolean is none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and _is_finite(value)


def bounded(value: object, least: float, most: float, *, whole: bool = False) -> float:
    """The number if it is from `least` to `most`, both included. Raises NotANumber."""
    if is_number(value) and least <= value <= most and not (whole and isinstance(value, float)):
        return value
    kind = "a whole number" if whole else "a number"
    raise NotANumber(f"is not {kind} from {least:.15g} to {most:.15g}")


def whole_number(text: str, most: int) -> int | None:
    """The number in these digits; None for other text and above `most`. Python refuses thousands of digits
    (sys.set_int_max_str_digits).
    """
    if not (text.isascii() and text.isdigit()) or len(text.lstrip("0")) > len(str(most)):
        return None
    number = int(text.lstrip("0") or "0")
    return number if number <= most else None


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an int beyond float
        return False
