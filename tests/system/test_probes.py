"""Regular probes of a real daemon: a busy publisher speaks against nobody, and a dead connection is found in time."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.waiting import Stopwatch, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.processes.daemon import Daemon

PROBE = 2.0
STOPPED = 9.0
"""Seconds: below the 12 after which a child that does not beat is hung."""
LOOK = 1.0


@pytest.mark.slow
def test_a_stopped_publisher_speaks_against_no_connection_and_a_dead_one_is_found(
    daemon: Callable[..., Daemon],
) -> None:
    running = daemon(
        f"--probe-interval={PROBE:g}s",
        f"--probe-timeout={PROBE:g}s",
        "--dev-nodes=200",
        "--dev-churn=300",
        "--log-level=debug",
    )
    before = running.wait_fresh()
    publisher = running.signal_actor("publisher", signal.SIGSTOP)
    # The fault itself: it is over when the clock says so.
    time.sleep(STOPPED)
    running.signal_actor("publisher", signal.SIGCONT)
    asked = len(running.events("probe_answered"))
    running.wait_status(
        lambda status: (
            status["netmap"]["state"] == "fresh" and status["netmap"]["seq"] > before["netmap"]["seq"]
        ),
        20.0,
        "changes after the stop",
    )
    wait_for(lambda: len(running.events("probe_answered")) > asked + 1, 20.0, "answers after the stop")
    after = running.wait_fresh()
    assert after["connection"]["pid"] == before["connection"]["pid"]
    assert not running.events("probe_failed")
    assert running.actor("publisher")["pid"] == publisher

    # The floor: this line is dead, and the next probe shows it.
    running.command("fault", "black-hole", "control_connection", "--no-wait", check=True)
    watch = Stopwatch()
    wait_for(lambda: running.events("probe_failed"), 20.0, "the failed probe", every=0.05)
    print(f"a dead connection was found after {watch.wall():.2f} s")
    assert watch.seconds() <= 1.1 * PROBE + PROBE + LOOK
    ended = running.wait_status(
        lambda status: status["netmap"]["state"] == "fresh" and status["connection"]["ended"]["closed"] == 1,
        20.0,
        "a fresh netmap by the next connection",
    )
    assert ended["connection"]["generation"] == before["connection"]["generation"] + 1
