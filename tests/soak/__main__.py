"""`python -m tests.soak [--minutes N] [--seed N] [--simulated-hours N] [--histories N]`: a long life in a short time.

First a simulated day of the pure machines, then a real daemon under kills and cuts, then histories of some that are
held against what happened. Exit status 1 when anything did not stay as it should. The seed is printed; with it the
same things are done in the same order.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.soak import history, network
from tests.soak.real import Soak
from tests.soak.simulated import Day, long_session


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.soak", description="Wear a daemon down, and look at it."
    )
    parser.add_argument("--minutes", type=float, default=5.0, help="of the real daemon (default: 5)")
    parser.add_argument(
        "--simulated-hours", type=float, default=24.0, help="of the machines alone (default: 24)"
    )
    parser.add_argument(
        "--seed", type=int, default=random.SystemRandom().randrange(2**32), help="repeat a run"
    )
    parser.add_argument(
        "--histories",
        type=int,
        default=5,
        help="that are held against what happened, a minute each (default: 5)",
    )
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)

    print(f"\nsimulated, {options.simulated_hours:g} h", flush=True)
    began = time.monotonic()
    day = Day(options.seed).live(options.simulated_hours * 3600.0)
    received, lowest = long_session(2000, 20_000, options.seed)
    for name, text in (
        ("took", f"{time.monotonic() - began:.0f} s"),
        ("keep-alives", f"{day.keep_alives}"),
        ("map sessions", f"{day.map_sessions}"),
        ("faults", ", ".join(f"{count} × {what}" for what, count in day.faults.most_common())),
        ("processes started again", f"{day.respawns}"),
        ("kills by the Supervisor", f"{day.kills}, each with its fault"),
        ("latest verdict", f"{day.latest_verdict:.2f} s after the last MapResponse"),
        ("latest attempt", f"{day.latest_return:.2f} s after a route came back"),
        ("lowest window", f"{100 * lowest:.0f} % over {received / 2**20:.0f} MiB in one session"),
    ):
        print(f"{name:<34}{text}")

    print(f"\nreal, {options.minutes:g} min", flush=True)
    reason = network.problem()
    if reason is not None:
        print(f"without routes that flap and sleeps: {reason}")
    with tempfile.TemporaryDirectory(prefix="nms-", dir="/tmp") as directory:
        report = Soak(options.minutes * 60.0, options.seed, Path(directory)).run()
    print(*report.lines(), sep="\n")
    false = 0
    for number in range(options.histories):
        print(f"\nhistory {number + 1} of {options.histories}", flush=True)
        chance = random.Random(options.seed + number)
        with tempfile.TemporaryDirectory(prefix="nms-", dir="/tmp") as directory:
            life = history.live(chance, Path(directory), history.plan(chance))
        print(*life.lines(), sep="\n")
        false += len(life.found) + len(life.unlike)
    return 1 if report.problems or lowest < 0.49 or false else 0


sys.exit(main())
