"""Every child is killed, stopped and frozen; the others live on, and the netmap comes back by itself."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.processes.fake_daemon import pidfds, wait_gone
from tests.support.servers.scripted import joined
from tests.support.waiting import Stopwatch, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.processes.daemon import Daemon
    from tests.support.servers.scripted import Control

pytestmark = pytest.mark.xdist_group("waits")

CHILDREN = ["dev_control", "publisher", "liveness", "control_connection"]
HUNG_LIMIT = 13.0


def pids(status: dict[str, Any]) -> dict[str, int]:
    return {row["name"]: row["pid"] for row in status["actors"] if row["name"] in CHILDREN}


def row(status: dict[str, Any], name: str) -> dict[str, Any]:
    return next(row for row in status["actors"] if row["name"] == name)


def fresh(status: dict[str, Any]) -> bool:
    return status["netmap"]["state"] == "fresh"


@pytest.mark.parametrize("victim", CHILDREN)
def test_f43_a_killed_child_comes_back_alone_and_the_netmap_with_it(victim: str, embedded: Daemon) -> None:
    before = embedded.wait_fresh()
    embedded.signal_actor(victim)
    after = embedded.wait_status(
        lambda status: (
            fresh(status)
            and row(status, victim)["restarts"] == 1
            and row(status, victim)["state"] == "active"
            and all(row(status, name)["state"] == "active" for name in CHILDREN)
        ),
        20.0,
        f"a new {victim} and a fresh netmap",
    )
    assert pids(after)[victim] != pids(before)[victim]
    others = set(CHILDREN) - {victim}
    if victim == "dev_control":
        # Its connection ends with it: for the client this is a restart of the control server.
        others -= {"control_connection"}
    for name in others:
        assert pids(after)[name] == pids(before)[name], f"{name} was restarted with {victim}"
    if victim in {"liveness", "publisher"}:
        assert after["connection"]["local_address"] == before["connection"]["local_address"]
    if victim == "publisher":
        assert after["netmap"]["epoch"] != before["netmap"]["epoch"]
        assert after["connection"]["sessions"] > before["connection"]["sessions"], (
            "it asked for the map again"
        )
    if victim == "control_connection":
        assert after["connection"]["ended"]["crashed"] == 1
        assert after["netmap"]["epoch"] == before["netmap"]["epoch"]


def test_no_process_outlives_a_killed_supervisor_and_a_new_run_is_fresh(embedded: Daemon) -> None:
    deaths = pidfds(list(pids(embedded.wait_fresh()).values()))
    embedded.kill()
    wait_gone(deaths, 2.0)
    watch = Stopwatch()
    embedded.start()
    embedded.wait_fresh()
    assert watch.seconds() < 5.0


@pytest.mark.parametrize("victim", ["control_connection", "liveness", "publisher"])
def test_f44_a_stopped_child_is_found_within_thirteen_seconds(victim: str, embedded: Daemon) -> None:
    watch = Stopwatch()
    pid = embedded.signal_actor(victim, signal.SIGSTOP)
    line = embedded.wait_event("child_killed", 20.0, actor=victim)
    assert (line["reason"], line["pid"]) == ("hung", pid)
    assert watch.seconds() < HUNG_LIMIT + 1.0
    embedded.wait_status(fresh, what="a fresh netmap")


@pytest.mark.timeout(120)
def test_a_child_frozen_inside_is_found_within_thirteen_seconds(embedded: Daemon) -> None:
    pids(embedded.wait_fresh())["control_connection"]
    watch = Stopwatch()
    done = embedded.command("fault", "freeze", "control_connection", "--for", "60s", "--no-wait")
    assert done.returncode == 0, done.stderr

    line = embedded.wait_event("child_killed", 55.0, actor="control_connection")
    assert line["reason"] == "hung"
    assert watch.seconds() < HUNG_LIMIT + 1.0
    embedded.wait_fresh()


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_supervisor_stopped_for_a_minute_kills_nobody_when_it_goes_on(embedded: Daemon) -> None:
    before = embedded.wait_fresh()
    os.kill(embedded.pid, signal.SIGSTOP)
    # The minute is the fault itself; it is over when the clock says so.
    until = time.monotonic() + 60.0
    wait_for(lambda: time.monotonic() >= until, 70.0, "the minute is over", every=1.0)
    os.kill(embedded.pid, signal.SIGCONT)
    after = embedded.wait_status(
        lambda status: status["uptime_s"] >= before["uptime_s"] + 60 + 15, 40.0, "15 s after it went on"
    )
    assert pids(after) == pids(before)
    assert fresh(after)


def test_stop_comes_back_when_the_last_process_is_gone(embedded: Daemon) -> None:
    processes = pids(embedded.wait_fresh()).values()
    assert embedded.command("stop").returncode == 0
    # Those the daemon has reaped; it is a child of ours itself, and stays a zombie until we do.
    assert not [pid for pid in processes if pid != embedded.pid and Path(f"/proc/{pid}").exists()]
    assert Path(f"/proc/{embedded.pid}/stat").read_text().split()[2] == "Z"


def test_sigterm_ends_everything_within_five_seconds(embedded: Daemon) -> None:
    deaths = pidfds(list(pids(embedded.wait_fresh()).values()))
    watch = Stopwatch()
    assert embedded.terminate() == 0
    assert watch.seconds() < 5.0
    wait_gone(deaths, 0.1)


@pytest.mark.timeout(90)
def test_a_stopped_publisher_is_no_reason_to_end_the_connection(
    control: Control, daemon: Callable[..., Daemon]
) -> None:
    """The line is alive and the publisher is not: only the publisher goes, though the limit is shorter."""
    running = daemon(*joined(control), "--silence-timeout=4s")
    before = running.wait_fresh()
    running.signal_actor("publisher", signal.SIGSTOP)
    running.wait_event("child_killed", 20.0, actor="publisher")
    after = running.wait_status(
        lambda status: fresh(status) and row(status, "publisher")["restarts"] == 1, what="a fresh netmap"
    )
    assert pids(after)["control_connection"] == pids(before)["control_connection"]
    assert after["connection"]["ended"]["silence"] == 0
    assert after["connection"]["ended"]["hung"] == 0


def test_an_operators_reconnect_is_a_new_process_and_a_new_port(embedded: Daemon) -> None:
    before = embedded.wait_fresh()
    assert embedded.command("reconnect").returncode == 0
    after = embedded.wait_status(
        lambda status: (
            fresh(status) and status["connection"]["generation"] > before["connection"]["generation"]
        ),
        what="a fresh netmap over a new connection",
    )
    assert after["connection"]["ended"]["operator"] == 1
    assert after["connection"]["local_address"] != before["connection"]["local_address"]
    assert pids(after)["publisher"] == pids(before)["publisher"]
