"""Runs every benchmark in turn; exit status 1 when one of them missed a figure."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAMS = (
    "delta_cost",
    "kill_to_fresh",
    "fan_out",
    "follow",
    "hold",
    "idle",
    "start_to_published",
    "thousand_clients",
)


def main() -> int:
    root = Path(__file__).resolve().parents[1]
    failed = [
        program
        for program in PROGRAMS
        if subprocess.run(
            [sys.executable, "-m", f"bench.programs.{program}"], cwd=root, check=False
        ).returncode
        != 0
    ]
    print("\nevery figure reached" if not failed else f"\nfigures missed in: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
