"""Durations and other numbers as values of a flag: "90s", "10m"."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from netmap_actors.finite import is_number
from netmap_supervisor.config.kinds import BadValue, Duration

__all__ = ["DurationRange", "FiniteRange"]


class FiniteRange(click.FloatRange):
    """A number between bounds; click takes "nan" to be between any two."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number = float(super().convert(value, param, ctx))
        if not is_number(number):
            self.fail(f"{value!r} is not a finite number", param, ctx)
        return number


class DurationRange(click.ParamType):  # type: ignore[type-arg]  # older click has none
    """Seconds between bounds, written as in the configuration file."""

    name = "duration"

    def __init__(self, minimum: float, maximum: float) -> None:
        self._kind = Duration(minimum, maximum)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            return self._kind.parse(value, Path())
        except BadValue as error:
            self.fail(str(error), param, ctx)
