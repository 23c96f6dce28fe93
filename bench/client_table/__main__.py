"""Checks each client that can be had, and writes what it did into docs/clients.md: one row a scenario, one column a
client. Also makes the table anew from the reports of an earlier run.
"""

from __future__ import annotations

import concurrent.futures
import json
import math
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.client_table.clients import ROOT, tested_clients
from bench.client_table.course import CourseFailed, Courses
from bench.client_table.markdown import on_page, part
from bench.client_table.measurement import Measurement
from netmap_supervisor.cli.parameters.ranges import DurationRange
from tests.support.peers.go_tools import GoToolsUnavailable
from tests.support.peers.rust_client import RustUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.client_table.clients import TestedClient

PAGE = ROOT / "docs" / "clients.md"
RESULTS = ROOT / "bench" / "results"
TRUE_LIMIT = 120.0
"""Seconds: tailscaled's own watchdog, for which the page shows the table."""


@click.command(help=" ".join((__doc__ or "").split()))
@click.option(
    "--client", "names", multiple=True, type=click.Choice([*tested_clients(TRUE_LIMIT)]), help="Only this."
)
@click.option("--scenario", "scenarios", multiple=True, metavar="NAME", help="Only this one or this group.")
@click.option(
    "--limit", default="120s", show_default=True, type=DurationRange(2.0, 3600.0), help="The watchdog."
)
@click.option(
    "--jobs",
    default=6,
    show_default=True,
    type=click.IntRange(1, 64),
    help="Scenarios of a client side by side.",
)
@click.option(
    "--side-by-side", default=3, show_default=True, type=click.IntRange(1), help="Clients side by side."
)
@click.option(
    "--reports",
    type=click.Path(path_type=Path),
    help="Keep them here.  [default: bench/results/clients-LIMIT]",
)
@click.option(
    "--from", "kept", type=click.Path(path_type=Path), help="Measure nothing, use the reports here."
)
def main(
    *,
    names: tuple[str, ...],
    scenarios: tuple[str, ...],
    limit: float,
    jobs: int,
    side_by_side: int,
    reports: Path | None,
    kept: Path | None,
) -> None:  # fmt: skip
    clients = {name: one for name, one in tested_clients(limit).items() if name in (names or (name,))}
    directory = kept or reports or RESULTS / f"clients-{limit:g}s"
    missed = False
    if kept is None:
        directory.mkdir(parents=True, exist_ok=True)
        side_by_side = min(side_by_side, len(clients))
        missed = not measured_all(
            clients, Courses(limit, jobs, scenarios, side_by_side), side_by_side, directory
        )
    held = [directory / f"{name}.json" for name in clients]
    measured = [Measurement.from_document(json.loads(path.read_text())) for path in held if path.is_file()]
    if not measured:
        raise click.ClickException(f"cannot make a table: no report in {directory}; measure first")
    text = part(measured)
    whole = len(measured) == len(tested_clients(limit)) and not scenarios and not missed
    if whole and all(one.report["limit_s"] == TRUE_LIMIT for one in measured):
        PAGE.write_text(on_page(PAGE.read_text(), text))
        print(f"wrote the table into {PAGE.relative_to(ROOT)}")
    else:
        print(
            f"\n{text}\n{PAGE.relative_to(ROOT)} stays as it is: it shows whole courses of all clients at 120 s"
        )
    sys.exit(missed)


def measured_all(
    clients: Mapping[str, TestedClient], courses: Courses, side_by_side: int, directory: Path
) -> bool:
    """Hold a course with each, and keep what was measured in a file of each; whether all were measured."""
    turns = math.ceil(len(clients) / side_by_side)
    print(
        f"{', '.join(clients)}: up to {side_by_side} courses side by side, at most "
        f"{turns * courses.usual / 60:.0f} min; if all failed and were run again alone, "
        f"{turns * courses.most / 60:.0f} min",
        flush=True,
    )
    complete = True
    with concurrent.futures.ThreadPoolExecutor(side_by_side) as pool:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        running = {pool.submit(courses.measure, name, one, directory): name for name, one in clients.items()}
        try:
            for future in concurrent.futures.as_completed(running):
                try:
                    found = json.dumps(future.result().document(), indent=1)
                except (CourseFailed, GoToolsUnavailable, RustUnavailable) as error:
                    print(error, file=sys.stderr, flush=True)
                    complete = False
                else:
                    (directory / f"{running[future]}.json").write_text(found + "\n")
        except BaseException:  # Ctrl-C too
            courses.end()
            raise
    return complete


if __name__ == "__main__":
    main()
