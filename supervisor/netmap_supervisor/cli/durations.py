"""Durations and other numbers as values of a flag: "90s", "10m"."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from netmap_actors.finite import is_number
from netmap_supervisor.config.kinds import BadValue, Duration

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FiniteRange", "duration"]


class FiniteRange(click.FloatRange):
    """A number between bounds; click takes "nan" to be between any two."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number = float(super().convert(value, param, ctx))
        if not is_number(number):
            self.fail(f"{value!r} is not a finite number", param, ctx)
        return number


def duration(minimum: float, maximum: float) -> Callable[[click.Context, click.Parameter, str], float]:
    """A click callback that gives seconds, within bounds."""
    kind = Duration(minimum, maximum)

    def convert(ctx: click.Context, param: click.Parameter, value: str) -> float:
        try:
            return kind.parse(value, Path())
        except BadValue as error:
            raise click.BadParameter(str(error), ctx, param) from None

    return convert
