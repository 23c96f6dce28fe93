"""The children come up together: whoever is late finds what the others sent, and nobody is ended for having waited."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from netmap_actors.runtime_paths import updates_path
from netmap_supervisor import Subscriber
from tests.support.processes.daemon import Daemon
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

LATE = ("dev_control", "publisher", "liveness")
LIMIT = 60.0
"""Seconds for what takes a few on a machine that has time."""
STOPS_ITSELF = """
import os, signal, sys

if {"run", "netmap_actors"} & set(sys.orig_argv):
    from netmap_actors.process import bootstrap
    main = bootstrap.main

    def hooked(actor, boot_fd):
        if actor == LATE and os.path.exists(MARK):
            os.kill(os.getpid(), signal.SIGSTOP)
        main(actor, boot_fd)

    bootstrap.main = hooked
"""


@contextlib.contextmanager
def started_without(late: str) -> Iterator[tuple[Daemon, int]]:
    """A daemon one of whose children stands still before it does anything, and that child's process id."""
    with tempfile.TemporaryDirectory(prefix="nm-") as directory:
        place = Path(directory)
        (place / "late").touch()
        hook = STOPS_ITSELF.replace("LATE", repr(late)).replace("MARK", repr(str(place / "late")))
        (place / "sitecustomize.py").write_text(hook)
        # The program may come from such a path itself.
        places = [directory, *filter(None, [os.environ.get("PYTHONPATH")])]
        with Daemon(env={"PYTHONPATH": os.pathsep.join(places)}) as daemon:
            for name in {*LATE, "control_connection"} - {late}:
                daemon.wait_event("actor_ready", LIMIT, actor=name)
            pid = daemon.wait_event("actor_started", LIMIT, actor=late)["pid"]
            stat = Path(f"/proc/{pid}/stat")
            wait_for(
                lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", LIMIT, "a child that stands"
            )
            # The next one goes on.
            (place / "late").unlink()
            yield daemon, pid


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
