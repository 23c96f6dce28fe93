"""One measured figure against its bound, and the table and the file a run leaves behind."""

from __future__ import annotations

import datetime
import json
import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path

RESULTS = Path(__file__).resolve().parent / "results"


@dataclass(frozen=True)
class Figure:
    """`value` has to be at most `bound`; without a bound it is only reported."""

    name: str
    value: float
    unit: str
    bound: float | None = None

    @property
    def reached(self) -> bool:
        return self.bound is None or self.value <= self.bound


def report(program: str, figures: list[Figure], details: object = None) -> int:
    """Print the table, write bench/results/PROGRAM.json; exit status 1 when a bound was missed."""
    width = max(len(figure.name) for figure in figures)
    print(f"\n{program}")
    for figure in figures:
        bound = "" if figure.bound is None else f"≤ {figure.bound:.4g}"
        verdict = "" if figure.bound is None else ("reached" if figure.reached else "MISSED")
        print(
            f"  {figure.name:{width}}  {figure.value:>10.4g} {figure.unit:5} {bound:>10}  {verdict}",
            flush=True,
        )
    RESULTS.mkdir(exist_ok=True)
    record = {
        "program": program,
        "at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": {
            "cores": os.cpu_count(),
            "kernel": platform.release(),
            "python": platform.python_version(),
        },
        "figures": [asdict(figure) | {"reached": figure.reached} for figure in figures],
        "details": details,
    }
    (RESULTS / f"{program}.json").write_text(json.dumps(record, indent=1) + "\n")
    return 0 if all(figure.reached for figure in figures) else 1
