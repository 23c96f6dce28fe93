"""What was measured: a figure with its spread, the ratio of two, and how a program prints and keeps them."""

from __future__ import annotations

import statistics
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Self

import click
import msgspec

from bench.bounds import bounds_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

RESULTS = Path(__file__).resolve().parent / "results"


class Figure(msgspec.Struct, frozen=True):
    """One figure of `n` measurements. Its unit: s, ms, 1/s, %, MiB, KiB, or empty for ratios and counts."""

    unit: str
    median: float
    min: float
    max: float
    n: int

    @classmethod
    def of(cls, unit: str, values: Sequence[float]) -> Self:
        """The spread of at least one value."""
        return cls(
            unit, float(statistics.median(values)), float(min(values)), float(max(values)), len(values)
        )

    @classmethod
    def ratio(cls, ours: Sequence[float], theirs: Sequence[float]) -> Self:
        """Ours ÷ theirs, measured in turns: the ratio of the medians, and the extremes of the pairs."""
        pairs = [mine / other for mine, other in zip(ours, theirs, strict=True)]
        return cls(
            "", statistics.median(ours) / statistics.median(theirs), min(pairs), max(pairs), len(pairs)
        )


Figures = dict[str, Figure]
"""By key: `real.` against a server that is not ours (tailscale's testcontrol), `embedded.` against our own, `fed.` of a
publisher that gets its MapResponses from the benchmark; then how many peers, then what."""


def missed(figures: Figures) -> list[str]:
    """Keys of the figures that are above a bound."""
    return [
        key
        for key, figure in figures.items()
        if any(getattr(figure, bound.taken) > bound.most for bound in bounds_of(key))
    ]


def table(figures: Figures) -> str:
    """For people: a line for each figure, and one more for each further bound it has."""
    width = max(len(key) for key in figures)
    lines = []
    for key, figure in figures.items():
        spread = f"{figure.min:.4g} to {figure.max:.4g} of {figure.n}" if figure.n > 1 else ""
        lines.append(f"  {key:{width}}  {figure.median:>10.4g} {figure.unit:4} {spread}".rstrip())
        for bound in bounds_of(key):
            verdict = "reached" if getattr(figure, bound.taken) <= bound.most else "MISSED"
            lines.append(f"  {'':{width}}  {bound.taken} ≤ {bound.most:.4g}: {verdict}")
    return "\n".join(lines)


def run_program(name: str, measure: Callable[[bool], Figures]) -> None:
    """The command of one program, which ends with 1 when a bound was missed: `measure(quick)` gives its figures."""

    @click.command(help=(sys.modules["__main__"].__doc__ or "").strip())
    @click.option("--quick", is_flag=True, help="Fewer rounds, for a first look.")
    def command(quick: bool) -> None:
        figures = measure(quick)
        click.echo(f"\n{name}\n{table(figures)}")
        RESULTS.mkdir(exist_ok=True)
        result_of(name).write_bytes(msgspec.json.encode(figures))
        sys.exit(1 if missed(figures) else 0)

    command()


def result_of(program: str) -> Path:
    """Where a program leaves its figures."""
    return RESULTS / f"{program}.json"
