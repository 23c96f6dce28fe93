"""Durations as values of a flag: "90s", "10m"."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from netmap_supervisor.option_kinds import BadValue, Duration

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["duration"]


def duration(minimum: float, maximum: float) -> Callable[[click.Context, click.Parameter, str], float]:
    """A click callback that gives seconds, within bounds."""
    kind = Duration(minimum, maximum)

    def convert(ctx: click.Context, param: click.Parameter, value: str) -> float:
        try:
            return kind.parse(value, Path())
        except BadValue as error:
            raise click.BadParameter(str(error), ctx, param) from None

    return convert
