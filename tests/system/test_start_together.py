"""The children come up together: whoever is late finds what the others sent, and nobody is ended for having waited."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from typing import TYPE_CHECKING

import pytest

from netmap_actors.runtime_paths import updates_path
from netmap_supervisor import Subscriber
from tests.support.processes.daemon import Daemon
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

LATE = ("dev_control", "publisher", "liveness")
TRIES = 20
LIMIT = 60.0
"""Seconds for what takes a few on a machine that has time."""


@contextlib.contextmanager
def started_without(late: str) -> Iterator[tuple[Daemon, int]]:
    """A daemon one of whose children was stopped before it was up, and that child's process id."""
    for _ in range(TRIES):
        with Daemon() as daemon:
            wait_for(lambda: daemon.events("actor_started", actor=late), LIMIT, f"{late} is started", 0.001)
            pid = daemon.events("actor_started", actor=late)[0]["pid"]
            os.kill(pid, signal.SIGSTOP)
            if daemon.events("actor_ready", actor=late):
                continue  # it was quicker
            for name in {*LATE, "control_connection"} - {late}:
                daemon.wait_event("actor_ready", LIMIT, actor=name)
            if daemon.events("actor_ready", actor=late):
                continue
            yield daemon, pid
            return
    pytest.fail(f"{late} was up before it could be stopped, {TRIES} times")


def assert_nobody_was_ended(daemon: Daemon) -> None:
    """And no session was begun anew."""
    status = daemon.wait_fresh(LIMIT)
    assert (status["connection"]["attempts"], status["connection"]["sessions"]) == (1, 1)
    assert {row["restarts"] for row in status["actors"]} == {0}
    daemon.wait_event("up", LIMIT)


def test_the_session_begins_while_the_publisher_comes_up_and_its_map_waits() -> None:
    with started_without("publisher") as (daemon, pid):
        daemon.wait_event("map_session_started", LIMIT)
        assert not daemon.events("actor_ready", actor="publisher")
        os.kill(pid, signal.SIGCONT)
        assert_nobody_was_ended(daemon)


def test_subscribers_that_come_before_the_publisher_are_served_and_counted_each_of_them() -> None:
    with contextlib.ExitStack() as opened, started_without("publisher") as (daemon, pid):
        here = [opened.enter_context(Subscriber(daemon.runtime_dir)) for _ in range(3)]
        # Bound, though nobody serves it yet; this one goes away again.
        with socket.socket(socket.AF_UNIX) as another:
            another.connect(str(updates_path(daemon.runtime_dir)))
        assert not daemon.events("actor_ready", actor="publisher")
        os.kill(pid, signal.SIGCONT)
        for one in here:
            assert one.wait_for(lambda netmap: netmap.state == "fresh", LIMIT)
        daemon.wait_status(lambda status: status["subscribers"] == len(here), LIMIT, "three subscribers")
        assert_nobody_was_ended(daemon)


def test_a_netmap_is_published_before_liveness_is_up_which_then_knows_the_session() -> None:
    with started_without("liveness") as (daemon, pid):
        daemon.wait_event("first_netmap", LIMIT)
        assert not daemon.events("actor_ready", actor="liveness")
        os.kill(pid, signal.SIGCONT)
        daemon.wait_status(lambda status: status["liveness"]["deadline_in_s"], LIMIT, "a deadline")
        assert_nobody_was_ended(daemon)


def test_a_connection_waits_for_the_embedded_server() -> None:
    with started_without("dev_control") as (daemon, pid):
        shaking = daemon.wait_status(
            lambda status: status["connection"]["state"] == "handshaking", LIMIT, "a connection"
        )
        assert shaking["connection"]["generation"] == 1
        os.kill(pid, signal.SIGCONT)
        assert_nobody_was_ended(daemon)


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_connection_waits_longer_than_its_stages_limit_for_an_embedded_server_that_is_started_again() -> (
    None
):
    with started_without("dev_control") as (daemon, _):
        daemon.wait_event("child_killed", LIMIT, actor="dev_control", reason="hung")
        status = daemon.wait_fresh(2 * LIMIT)
        assert (status["connection"]["attempts"], status["connection"]["generation"]) == (1, 1)
        assert set(status["connection"]["ended"].values()) == {0}
