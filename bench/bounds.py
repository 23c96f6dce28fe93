"""The bounds: which figure has to be at most what. The only table of them; docs/performance.md shows it."""

from __future__ import annotations

from typing import Literal

import msgspec


class Bound(msgspec.Struct, frozen=True):
    """`taken` of the figure has to be at most `most`."""

    figure: str
    most: float
    unit: str
    """Of both; empty for ratios and counts."""
    work: str
    """What it is a bound of, for people."""
    program: str
    """Of bench/programs, which measures it."""
    taken: Literal["median", "min", "max"] = "median"


BOUNDS = (
    Bound(
        "real.10000.run_to_fresh/busy",
        0.5,
        "",
        "`run` to fresh ÷ tailscaled busy, 10 000 peers",
        "start_to_published",
    ),
    Bound(
        "real.50000.run_to_fresh/busy",
        0.3,
        "",
        "`run` to fresh ÷ tailscaled busy, 50 000 peers",
        "start_to_published",
    ),
    Bound(
        "real.1000.connection_to_fresh/busy",
        1.0,
        "",
        "start of `control_connection` to fresh ÷ tailscaled busy, 1 000 peers",
        "start_to_published",
    ),
    Bound(
        "real.1000.run_to_fresh/busy",
        2.0,
        "",
        "`run` to fresh ÷ tailscaled busy, 1 000 peers",
        "start_to_published",
    ),
    Bound(
        "real.10000.session/running",
        0.75,
        "",
        "session ÷ tailscaled Running, 10 000 peers",
        "start_to_published",
    ),
    Bound(
        "real.50000.session/running",
        0.45,
        "",
        "session ÷ tailscaled Running, 50 000 peers",
        "start_to_published",
    ),
    Bound(
        "real.50000.last_byte_to_fresh",
        0.5,
        "s",
        "the server's last byte to a subscriber that holds 50 000 peers",
        "start_to_published",
    ),
    Bound(
        "real.1000.kill_to_fresh",
        0.15,
        "s",
        "`kill -9` of the connection to fresh, 1 000 peers, median",
        "kill_to_fresh",
    ),
    Bound(
        "real.1000.kill_to_fresh",
        0.3,
        "s",
        "`kill -9` of the connection to fresh, 1 000 peers, worst",
        "kill_to_fresh",
        "max",
    ),
    Bound(
        "embedded.8.run_to_fresh/pass",
        30.0,
        "",
        "`run` to fresh with the embedded server ÷ `python -c pass`",
        "embedded_start",
    ),
    Bound(
        "real.10.pss_peak",
        65.0,
        "MiB",
        "memory (PSS) of the whole tree, small tailnet, peak",
        "start_to_published",
    ),
    Bound(
        "real.50000.pss_peak/tailscaled",
        0.3,
        "",
        "memory (PSS) of the whole tree ÷ tailscaled, peaks, 50 000 peers",
        "start_to_published",
    ),
    Bound("real.10.wake_ups", 3.0, "1/s", "wake-ups of the whole tree, idle, small tailnet", "idle"),
    Bound("fed.100.change_cpu", 0.2, "ms", "CPU of one change, 100 peers, least", "delta_cost", "min"),
    Bound(
        "fed.250000.change_cpu/100",
        1.2,
        "",
        "CPU of one change with 250 000 peers ÷ with 100",
        "delta_cost",
    ),
    Bound(
        "fed.100.delivery_p99", 20.0, "ms", "one change to 1 000 subscribers, 99 of 100 deliveries", "fan_out"
    ),
    Bound("fed.100.deliveries_lost", 0.0, "", "… deliveries lost", "fan_out", "max"),
    Bound(
        "fed.100.followers_wrong", 0.0, "", "subscribers of 1 000 not told of each change in order", "follow"
    ),
    Bound("fed.50000.time_for_changes", 63.0, "s", "a minute of 100 changes a second, 50 000 peers", "hold"),
    Bound("fed.50000.publisher_share", 0.3, "", "… the publisher's share of a core", "hold"),
    Bound("fed.50000.stall", 50.0, "ms", "… longest wait of a change while a snapshot is taken", "hold"),
    Bound("fed.50000.late_ones_wrong", 0.0, "", "… late subscribers whose netmap is not exact", "hold"),
    Bound("fed.50000.growth", 1.25, "", "… memory of the publisher after ÷ before and 16 MiB", "hold"),
    Bound("real.10.core_share", 0.3, "%", "share of a core, idle, small tailnet", "idle"),
    Bound(
        "embedded.1000.change_last",
        2.0,
        "s",
        "1 000 clients on one server: the last hears of a change",
        "thousand_clients",
    ),
    Bound("embedded.1000.rest_share", 0.05, "", "… the server's share of a core at rest", "thousand_clients"),
    Bound(
        "embedded.10000.page_scrolling_gap",
        33.3,
        "ms",
        "the page with 10 000 peers and 50 changes a second, scrolling: a frame",
        "page",
    ),
    Bound("embedded.10000.page_at_rest_gap", 33.3, "ms", "… not scrolling: a frame", "page"),
    Bound(
        "fed.10000.page_growth", 1.25, "", "… its heap after an hour of changes ÷ after six minutes", "page"
    ),
)
"""In the order in which they are shown."""


def bounds_of(key: str) -> list[Bound]:
    """Those of one figure."""
    return [bound for bound in BOUNDS if bound.figure == key]
