"""Runs the benchmarks in turn and adds what they measured to bench/history.jsonl; ends with 1 if a bound was missed."""

from __future__ import annotations

import datetime
import os
import subprocess
import sys

import click
import msgspec

from bench.figures import Figure, missed, result_of
from bench.history import ROOT, Run, append, checkout, rounded
from bench.instruments.yardstick import empty_interpreter
from bench.machine import Machine, Versions

PROGRAMS = (
    "delta_cost",
    "kill_to_fresh",
    "fan_out",
    "follow",
    "hold",
    "churn",
    "idle",
    "embedded_start",
    "start_to_published",
    "large_tailnets",
    "thousand_clients",
    "page",
)
PASSES = 20


def measure(program: str, quick: bool) -> dict[str, Figure] | None:
    """Its figures, those that missed a bound among them; None: it broke off, and said why."""
    result = result_of(program)
    result.unlink(missing_ok=True)
    command = [sys.executable, "-m", f"bench.programs.{program}", *(["--quick"] if quick else [])]
    subprocess.run(command, cwd=ROOT, check=False)
    return msgspec.json.decode(result.read_bytes(), type=dict[str, Figure]) if result.exists() else None


@click.command(help=(__doc__ or "").strip())
@click.option(
    "--only", multiple=True, type=click.Choice(PROGRAMS), metavar="PROGRAM", help="Only this; repeatable."
)
@click.option("--quick", is_flag=True, help="Fewer rounds and smaller tailnets, and marked so.")
def main(only: tuple[str, ...], quick: bool) -> None:
    """A program that breaks off leaves the others to run."""
    programs = [program for program in PROGRAMS if program in (only or PROGRAMS)]
    load, at = round(os.getloadavg()[0], 2), datetime.datetime.now(datetime.UTC)
    commit, clean = checkout()
    yardstick = Figure.of("ms", [empty_interpreter() for _ in range(PASSES)])
    figures: dict[str, Figure] = {}
    failed = []
    for program in programs:
        found = measure(program, quick)
        if found is None:
            failed.append(program)
        figures |= found or {}
    append(
        Run(
            at=f"{at:%Y-%m-%dT%H:%M:%SZ}",
            commit=commit,
            clean=clean,
            quick=quick,
            programs=programs,
            failed=failed,
            load=load,
            yardstick=rounded(yardstick),
            machine=Machine.this_one(),
            versions=Versions.these(),
            figures={key: rounded(figure) for key, figure in figures.items()},
        )
    )
    click.echo("\nadded to bench/history.jsonl; `make bench-report` shows it")
    above = missed(figures)
    if failed:
        click.echo(f"broke off: {', '.join(failed)}")
    click.echo(f"bounds missed: {', '.join(above)}" if above else "every bound reached that was measured")
    sys.exit(1 if above or failed else 0)


if __name__ == "__main__":
    main()
