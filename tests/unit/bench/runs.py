"""Runs as history.jsonl holds them."""

from __future__ import annotations

from bench.figures import Figure
from bench.history import Run
from bench.machine import Machine, Versions

MACHINE = Machine(processor="AMD EPYC", cores=2, memory_mib=4096, kernel="Linux 6.18")
VERSIONS = Versions(python="3.11.7", pyzmq="27.1.0", libzmq="4.3.5", tailscale="v1.102.5")


def run(
    day: int,
    figures: dict[str, Figure] | None = None,
    *,
    quick: bool = False,
    clean: bool = True,
    machine: Machine = MACHINE,
) -> Run:
    """One of November 2026."""
    return Run(
        at=f"2026-11-{day:02}T10:00:00Z",
        commit=f"{day:012x}",
        clean=clean,
        quick=quick,
        programs=["kill_to_fresh"],
        failed=[],
        load=0.1,
        yardstick=Figure("ms", 14.0, 13.0, 15.0, 20),
        machine=machine,
        versions=VERSIONS,
        figures=figures or {},
    )
