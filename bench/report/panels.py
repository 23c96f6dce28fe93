"""What is drawn: which figures share a panel, and which panels a drawing."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Line:
    """A figure's course."""

    figure: str
    name: str
    """At its newest value."""
    kind: str
    """Of its style: `ours`, `more` (ours, too), `theirs`, `server`."""
    taken: str = "median"


@dataclass(frozen=True)
class Reach:
    """A bound: that of a figure, times another figure where it is a ratio to that."""

    figure: str
    times: str = ""
    taken: str = "median"
    name: str = ""
    """Where there is more than one."""


@dataclass(frozen=True)
class Panel:
    """One small chart."""

    title: str
    lines: tuple[Line, ...]
    reaches: tuple[Reach, ...] = ()


def _beside(title: str, peers: int, what: str, theirs: str, their_name: str, reach: str) -> Panel:
    """Ours, theirs, and the server's own share as the floor under both."""
    of = f"real.{peers}"
    lines = (
        Line(f"{of}.{what}", "ours", "ours"),
        Line(f"{of}.{theirs}", their_name, "theirs"),
        Line(f"{of}.server", "the server", "server"),
    )
    return Panel(title, lines, (Reach(f"{of}.{reach}", f"{of}.{theirs}"),))


START = (
    _beside(
        "run to fresh, 1 000 peers",
        1_000,
        "run_to_fresh",
        "tailscaled_busy",
        "tailscaled busy",
        "run_to_fresh/busy",
    ),
    _beside(
        "control_connection to fresh, 1 000 peers",
        1_000,
        "connection_to_fresh",
        "tailscaled_busy",
        "tailscaled busy",
        "connection_to_fresh/busy",
    ),
    _beside(
        "run to fresh, 10 000 peers",
        10_000,
        "run_to_fresh",
        "tailscaled_busy",
        "tailscaled busy",
        "run_to_fresh/busy",
    ),
    _beside(
        "run to fresh, 50 000 peers",
        50_000,
        "run_to_fresh",
        "tailscaled_busy",
        "tailscaled busy",
        "run_to_fresh/busy",
    ),
    _beside(
        "session, 10 000 peers", 10_000, "session", "tailscaled_running", "tailscaled up", "session/running"
    ),
    _beside(
        "session, 50 000 peers", 50_000, "session", "tailscaled_running", "tailscaled up", "session/running"
    ),
    Panel(
        "the server's last byte to a subscriber, 50 000 peers",
        (Line("real.50000.last_byte_to_fresh", "ours", "ours"),),
        (Reach("real.50000.last_byte_to_fresh"),),
    ),
    Panel(
        "run to fresh, embedded server",
        (
            Line("embedded.8.run_to_fresh", "ours", "ours"),
            Line("embedded.8.pass", "python -c pass", "theirs"),
        ),
        (Reach("embedded.8.run_to_fresh/pass", "embedded.8.pass"),),
    ),
)
LIFE = (
    Panel(
        "kill -9 of the connection to fresh, 1 000 peers",
        (
            Line("real.1000.kill_to_fresh", "median", "ours"),
            Line("real.1000.kill_to_fresh", "worst", "more", "max"),
        ),
        (
            Reach("real.1000.kill_to_fresh", name="median"),
            Reach("real.1000.kill_to_fresh", taken="max", name="worst"),
        ),
    ),
    Panel(
        "wake-ups of the whole tree, idle",
        (Line("real.10.wake_ups", "ours", "ours"),),
        (Reach("real.10.wake_ups"),),
    ),
    Panel(
        "CPU of one change in the publisher, least",
        (
            Line("fed.100.change_cpu", "100 peers", "ours", "min"),
            Line("fed.250000.change_cpu", "250 000", "more", "min"),
        ),
        (Reach("fed.100.change_cpu", taken="min"),),
    ),
    Panel(
        "one change to 1 000 subscribers",
        (
            Line("fed.100.delivery_p99", "99 of 100", "ours"),
            Line("fed.100.delivery_median", "half of them", "more"),
            Line("fed.100.bare_delivery_p99", "libzmq alone", "server"),
        ),
        (Reach("fed.100.delivery_p99"),),
    ),
    Panel(
        "a core's share, idle, whole tree",
        (Line("real.10.core_share", "ours", "ours"),),
        (Reach("real.10.core_share"),),
    ),
    Panel(
        "a core's share at 100 changes a second, whole tree",
        (Line("embedded.1000.churn_share", "ours", "ours"),),
    ),
)
MEMORY = (
    Panel(
        "small tailnet",
        (Line("real.10.pss_peak", "peak", "ours"), Line("real.10.pss_steady", "at rest", "more")),
        (Reach("real.10.pss_peak"),),
    ),
    Panel(
        "10 000 peers, peaks",
        (
            Line("real.10000.pss_peak", "ours", "ours"),
            Line("real.10000.tailscaled_pss_peak", "tailscaled", "theirs"),
        ),
    ),
    Panel(
        "50 000 peers, peaks",
        (
            Line("real.50000.pss_peak", "ours", "ours"),
            Line("real.50000.tailscaled_pss_peak", "tailscaled", "theirs"),
        ),
        (Reach("real.50000.pss_peak/tailscaled", "real.50000.tailscaled_pss_peak"),),
    ),
    Panel(
        "the largest, peaks",
        (
            Line("embedded.250000-small.pss_peak", "250 000 small", "ours"),
            Line("embedded.100000-real.pss_peak", "100 000 real", "more"),
        ),
    ),
)
DRAWINGS = {"start": START, "life": LIFE, "memory": MEMORY}
"""By the name of the file."""
