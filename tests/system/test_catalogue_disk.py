"""A disk that fails or dawdles under the daemon's keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.availability import unavailable
from tests.support.host.failing_disk import FailingDisk
from tests.support.host.moved_clocks import problem
from tests.support.servers.scripted import joined
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.processes.daemon import Daemon
    from tests.support.servers.scripted import Control


@pytest.fixture
def disk(tmp_path: Path) -> FailingDisk:
    reason = problem()
    if reason is not None:
        unavailable(reason)
    return FailingDisk(tmp_path)


def test_f63_keys_a_broken_disk_does_not_take_are_never_registered(
    control: Control, daemon: Callable[..., Daemon], disk: FailingDisk
) -> None:
    disk.fail()
    running = daemon(*joined(control), env=disk.env)
    wait_for(
        lambda: "Input/output error" in running.log_path.read_text() or not running.running(),
        30.0,
        "the reason in the log",
    )
    assert "Input/output error" in running.log_path.read_text()
    assert control.server.seen("register") == []
    assert not list(running.state_dir.glob("*/node.json")), "no half of a file"
    disk.heal()
    if running.running():
        running.wait_fresh(60.0)
    else:
        again = daemon(*joined(control), f"--state-dir={running.state_dir}", env=disk.env)
        again.wait_fresh(60.0)


def test_f63_a_session_lives_on_over_a_broken_disk_and_no_key_is_lost(
    control: Control, daemon: Callable[..., Daemon], disk: FailingDisk
) -> None:
    running = daemon(*joined(control), env=disk.env)
    before = running.wait_fresh()
    (node_file,) = running.state_dir.glob("*/node.json")
    node = node_file.read_bytes()
    disk.fail()
    running.signal_actor("control_connection")
    running.wait_status(
        lambda status: (
            status["netmap"]["state"] == "fresh"
            and status["connection"]["generation"] > before["connection"]["generation"]
        ),
        30.0,
        "fresh on a broken disk",
    )
    assert node_file.read_bytes() == node
    assert len(control.server.seen("register")) == 1


def test_f63_a_slow_disk_delays_the_first_start_and_nothing_else(
    control: Control, daemon: Callable[..., Daemon], disk: FailingDisk
) -> None:
    disk.slow(2)
    running = daemon(*joined(control), env=disk.env)
    running.wait_fresh(60.0)
    assert running.events("child_killed") == [], "who waits for a disk is not hung"
    assert running.events("actor_exited") == []
