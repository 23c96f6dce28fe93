"""From nothing to a netmap that a subscriber holds, against tailscaled and the same testcontrol, in turns.

Fresh: the state is fresh and one subscriber holds the whole netmap. Session: from the first byte the server reads.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from bench.figures import Figure, Figures, run_program
from bench.instruments.server_watch import ServerWatch, Share, share_of
from bench.peers.our_daemon import OurRun, measure_daemon
from bench.peers.tailscaled import TailscaledRun, measure_tailscaled
from tests.support.peers.go_tools import build
from tests.support.peers.testcontrol import control_slot, running_control

MIB = 2**20
SMALL = 10
NODES = (1_000, 10_000, 50_000)
QUICK_NODES = (1_000, 10_000)
ROUNDS, QUICK_ROUNDS = 5, 2


@dataclass(frozen=True)
class Turn:
    """Both against a server of their own."""

    ours: OurRun
    served: Share
    theirs: TailscaledRun
    served_theirs: float
    """Seconds from the first byte the server read of tailscaled to the last one of the map, until it was Running."""


def small_tailnet(tools: Path, *, history: bool = False) -> OurRun:
    """What most of the memory is when there is nearly no netmap."""
    with (
        tempfile.TemporaryDirectory() as scratch,
        control_slot(),
        running_control(tools / "testcontrol", SMALL, Path(scratch) / "log") as control,
    ):
        return measure_daemon(f"--control-url={control.url}", peers=SMALL, history=history)


def turn(tools: Path, nodes: int) -> Turn:
    """Tailscaled, then we: a change of the machine's mood meets both."""
    with tempfile.TemporaryDirectory() as scratch, control_slot():
        log = Path(scratch) / "log"
        with (
            running_control(tools / "testcontrol", nodes, log) as control,
            ServerWatch(control.pid) as watch,
        ):
            theirs = measure_tailscaled(tools, control.url)
            until = theirs.began + theirs.running_after
            other = share_of(watch.counts, theirs.began, until)
        with (
            running_control(tools / "testcontrol", nodes, log) as control,
            ServerWatch(control.pid) as watch,
        ):
            ours = measure_daemon(f"--control-url={control.url}", peers=nodes)
            served = share_of(watch.counts, ours.started, ours.fresh)
    return Turn(ours, served, theirs, other.last_written - other.first_read)


def figures_of(nodes: int, turns: list[Turn]) -> Figures:
    """All of one size."""
    run = [one.ours.fresh - one.ours.started for one in turns]
    connection = [one.ours.fresh - one.ours.connection_started for one in turns]
    session = [one.ours.fresh - one.served.first_read for one in turns]
    peak = [one.ours.peak_pss / MIB for one in turns]
    busy = [one.theirs.busy_until for one in turns]
    running = [one.theirs.running_after for one in turns]
    their_peak = [one.theirs.peak_pss / MIB for one in turns]
    seconds = {
        "run_to_fresh": run,
        "connection_to_fresh": connection,
        "session": session,
        "server": [one.served.last_written - one.served.first_read for one in turns],
        "last_byte_to_fresh": [one.ours.fresh - one.served.last_written for one in turns],
        "cpu": [one.ours.cpu for one in turns],
        "tailscaled_running": running,
        "tailscaled_busy": busy,
        "tailscaled_server": [one.served_theirs for one in turns],
        "tailscaled_cpu": [one.theirs.cpu for one in turns],
    }
    memory = {
        "pss_peak": peak,
        "pss_steady": [one.ours.steady_pss / MIB for one in turns],
        "tailscaled_pss_peak": their_peak,
    }
    figures = {name: Figure.of("s", values) for name, values in seconds.items()}
    figures |= {name: Figure.of("MiB", values) for name, values in memory.items()}
    figures |= {
        "run_to_fresh/busy": Figure.ratio(run, busy),
        "connection_to_fresh/busy": Figure.ratio(connection, busy),
        "session/running": Figure.ratio(session, running),
        "pss_peak/tailscaled": Figure.ratio(peak, their_peak),
    }
    return {f"real.{nodes}.{name}": figure for name, figure in figures.items()}


def measure(quick: bool) -> Figures:
    """The small tailnet alone, the others beside tailscaled."""
    tools = build()
    rounds = QUICK_ROUNDS if quick else ROUNDS
    small = [small_tailnet(tools) for _ in range(rounds)]
    remembering = [small_tailnet(tools, history=True) for _ in range(QUICK_ROUNDS)]
    figures = {
        f"real.{SMALL}.run_to_fresh": Figure.of("s", [one.fresh - one.started for one in small]),
        f"real.{SMALL}.pss_peak": Figure.of("MiB", [one.peak_pss / MIB for one in small]),
        f"real.{SMALL}.pss_steady": Figure.of("MiB", [one.steady_pss / MIB for one in small]),
        f"real.{SMALL}.pss_peak_with_history": Figure.of("MiB", [one.peak_pss / MIB for one in remembering]),
    }
    for nodes in QUICK_NODES if quick else NODES:
        figures |= figures_of(nodes, [turn(tools, nodes) for _ in range(rounds)])
    return figures


if __name__ == "__main__":
    run_program("start_to_published", measure)
