"""Wake-up and changes of the network, with real processes: the connection is asked whether it lives, and believed."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from tests.support.availability import unavailable
from tests.support.host.dark_scene import client_port, joined_across
from tests.support.host.moved_clocks import MovedClocks, problem
from tests.support.processes.daemon import Daemon
from tests.support.waiting import Stopwatch, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.host.netns import Pair

pytestmark = pytest.mark.xdist_group("waits")

NOTICED = 6.0
"""Seconds until the daemon looks at its moved clocks: every 5 s; a real wake-up ends that wait at once."""
PROBE = 5.0
FRESH = 5.0
"""Seconds from the wake-up to a fresh netmap when the connection is dead beyond its limit."""


def across_namespaces(test: Callable[..., None]) -> Callable[..., None]:
    """What a test needs that makes networks."""
    for mark in (pytest.mark.netns, pytest.mark.timeout(120)):
        test = mark(test)
    return test


@pytest.fixture
def clocks(tmp_path: Path) -> MovedClocks:
    reason = problem()
    if reason is not None:
        unavailable(reason)
    return MovedClocks(tmp_path)


@pytest.fixture
def embedded(clocks: MovedClocks) -> Iterator[Daemon]:
    with Daemon(env=clocks.env) as daemon:
        daemon.wait_fresh()
        yield daemon


@pytest.mark.slow
def test_a_wake_up_after_half_a_minute_keeps_a_healthy_connection(
    embedded: Daemon, clocks: MovedClocks
) -> None:
    before = embedded.wait_fresh()
    clocks.suspend(30.0)
    woken = embedded.wait_event("wake_detected", NOTICED + 5.0)
    assert 29.0 < woken["slept_s"] < 40.0
    embedded.wait_event("probe_sent", 5.0, reason="wake")
    embedded.wait_event("probe_answered", 5.0, reason="wake")
    assert embedded.wait_event("truth_probe", 10.0)["outcome"] == "alive"
    after = embedded.wait_fresh()
    assert after["connection"]["pid"] == before["connection"]["pid"]
    assert not embedded.events("child_killed")


@pytest.mark.slow
@pytest.mark.parametrize("step", [86_400.0, -86_400.0, 3600.0])
def test_f52_a_step_of_the_wall_clock_does_nothing(
    embedded: Daemon, clocks: MovedClocks, step: float
) -> None:
    before = embedded.wait_fresh()
    clocks.step_wall(step)
    seq = before["netmap"]["seq"]
    after = embedded.wait_status(
        lambda status: status["netmap"]["seq"] > seq + 3 and status["netmap"]["state"] == "fresh",
        30.0,
        "changes after the step",
    )
    assert after["connection"]["pid"] == before["connection"]["pid"]
    for event in ("wake_detected", "child_killed", "session_ended", "probe_sent"):
        assert not embedded.events(event)


@pytest.mark.slow
def test_a_question_that_was_out_when_the_machine_fell_asleep_is_put_again(clocks: MovedClocks) -> None:
    with Daemon("--probe-interval=1s", "--log-level=debug", env=clocks.env) as daemon:
        before = daemon.wait_fresh()
        answered = len(daemon.events("probe_answered"))
        wait_for(lambda: len(daemon.events("probe_answered")) > answered, 10.0, "an answer")
        # The server is slow for a moment; in it the lid is closed.
        server = daemon.signal_actor("dev_control", signal.SIGSTOP)
        sent = len(daemon.events("probe_sent"))
        wait_for(lambda: len(daemon.events("probe_sent")) > sent, 5.0, "a question", every=0.02)
        clocks.suspend(30.0)
        daemon.wait_event("wake_detected", NOTICED + 5.0)
        daemon.wait_event("probe_sent", 5.0, reason="wake")
        os.kill(server, signal.SIGCONT)
        daemon.wait_event("probe_answered", PROBE + 2.0, reason="wake")
        daemon.wait_event("truth_probe", 10.0, outcome="alive")
        after = daemon.wait_fresh()
        assert after["connection"]["pid"] == before["connection"]["pid"]
        assert not daemon.events("child_killed")


@across_namespaces
def test_a_lid_that_is_closed_after_the_network_went_leads_to_the_truth(
    namespaces: Pair, clocks: MovedClocks, tmp_path: Path
) -> None:
    with joined_across(namespaces, tmp_path, "--probe-interval=2s", env=clocks.env) as (
        _server,
        client,
        _key,
    ):
        before = client.wait_fresh()
        side = namespaces.client
        side.run("ip", "link", "set", side.link, "down")
        client.wait_event("link_changed", 10.0, route="none")
        clocks.suspend(60.0)
        client.wait_event("wake_detected", NOTICED + 5.0)
        assert not client.events("probe_sent", reason="wake"), "there is nobody to ask"
        side.run("ip", "link", "set", side.link, "up")
        client.wait_event("probe_answered", 15.0, reason="link")
        client.wait_event("truth_probe", 10.0, outcome="alive")
        after = client.wait_fresh()
        assert after["connection"]["pid"] == before["connection"]["pid"]
        assert not client.events("child_killed")


@across_namespaces
@pytest.mark.parametrize(
    "asleep", [pytest.param(600.0, id="ten-minutes"), pytest.param(60.0, id="one-minute")]
)
def test_f55_a_wake_up_with_a_dead_connection_is_fresh_soon(
    namespaces: Pair, clocks: MovedClocks, tmp_path: Path, asleep: float
) -> None:
    with joined_across(namespaces, tmp_path, env=clocks.env) as (_server, client, _key):
        before = client.wait_fresh()
        namespaces.drop_flow(client_port(before))
        clocks.suspend(asleep)
        client.wait_event("wake_detected", NOTICED + 5.0)
        watch = Stopwatch()
        after = client.wait_status(
            lambda status: (
                status["netmap"]["state"] == "fresh"
                and status["connection"]["generation"] > before["connection"]["generation"]
            ),
            PROBE + 20.0,
            "a fresh netmap",
        )
        took = watch.wall()
        print(f"slept {asleep:g} s: fresh {took:.2f} s after the wake-up was seen")
        ended = {reason for reason, count in after["connection"]["ended"].items() if count}
        assert client_port(after) != client_port(before)
        if asleep > 120.0:
            # Its deadline is past: the verdict falls without a probe.
            assert ended == {"silence"}
            assert took <= watch.allowed(FRESH)
        else:
            assert ended == {"wake"}
            assert PROBE - watch.allowed(1.0) <= took <= PROBE + watch.allowed(FRESH)


@across_namespaces
def test_another_address_is_a_reason_to_ask_and_a_dead_connection_is_replaced(
    namespaces: Pair, tmp_path: Path
) -> None:
    with joined_across(namespaces, tmp_path) as (_server, client, _key):
        before = client.wait_fresh()
        side = namespaces.client
        # As when a laptop comes into another network: its old address is gone, and with it every old flow.
        side.run("ip", "addr", "del", f"{side.address}/24", "dev", side.link)
        side.run("ip", "addr", "add", "10.87.0.77/24", "dev", side.link)
        changed = client.wait_event("link_changed", 10.0)
        assert side.address in changed["before"]
        watch = Stopwatch()
        client.wait_event("probe_sent", 10.0, reason="link")
        after = client.wait_status(
            lambda status: (
                status["netmap"]["state"] == "fresh" and status["connection"]["ended"]["link"] == 1
            ),
            30.0,
            "a fresh netmap over the new address",
        )
        print(f"fresh {watch.wall():.2f} s after the change was seen")
        assert after["connection"]["local_address"].startswith("10.87.0.77:")
        assert after["connection"]["pid"] != before["connection"]["pid"]


@across_namespaces
def test_a_new_default_route_with_a_living_connection_keeps_it(namespaces: Pair, tmp_path: Path) -> None:
    with joined_across(namespaces, tmp_path) as (_server, client, _key):
        before = client.wait_fresh()
        side = namespaces.client
        # The same server by another source address, as when a second interface takes over; the old flow lives on.
        side.run("ip", "addr", "add", "10.87.0.78/24", "dev", side.link)
        server = f"{namespaces.server.address}/32"
        side.run("ip", "route", "add", server, "dev", side.link, "src", "10.87.0.78")
        side.run("ip", "route", "replace", "default", "via", namespaces.server.address, "src", "10.87.0.78")
        client.wait_event("link_changed", 10.0)
        client.wait_event("probe_answered", 10.0, reason="link")
        after = client.wait_fresh()
        assert after["connection"]["pid"] == before["connection"]["pid"]


@across_namespaces
def test_without_a_route_nothing_is_started_and_a_route_that_appears_ends_the_wait(
    namespaces: Pair, tmp_path: Path
) -> None:
    with joined_across(namespaces, tmp_path) as (_server, client, _key):
        before = client.wait_fresh()
        side = namespaces.client
        side.run("ip", "link", "set", side.link, "down")
        client.wait_event("link_changed", 10.0, route="none")
        client.signal_actor("control_connection")
        waiting = client.wait_status(
            lambda status: (status["connection"]["next_attempt_s"] or 0.0) > 200.0, 20.0, "a long wait"
        )
        assert waiting["connection"]["state"] == "backing_off"
        side.run("ip", "link", "set", side.link, "up")
        after = client.wait_fresh(20.0)
        assert after["connection"]["generation"] == before["connection"]["generation"] + 1


@pytest.mark.slow
@across_namespaces
def test_thousands_of_route_changes_cost_nothing(namespaces: Pair, tmp_path: Path) -> None:
    with joined_across(namespaces, tmp_path) as (_server, client, _key):
        client.wait_fresh()
        side = namespaces.client
        before = _cpu_seconds(client.pid)
        batch = "".join(
            f"route {word} 198.18.{number // 250}.{number % 250}/32 via {namespaces.server.address}\n"
            for word in ("add", "del")
            for number in range(5000)
        )
        (tmp_path / "routes").write_text(batch)
        side.run("ip", "-batch", str(tmp_path / "routes"))
        assert client.wait_fresh()["connection"]["generation"] == 1
        used = _cpu_seconds(client.pid) - before
        print(f"10 000 route changes: {used:.3f} s of the Supervisor's CPU")
        assert used < 0.5
        assert not client.events("link_changed")


def _cpu_seconds(pid: int) -> float:
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100.0
