"""A control server that restarts, and another program with the same node key: met without a fight."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.support.servers.scripted import joined

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.processes.daemon import Daemon
    from tests.support.servers.scripted import Control


@pytest.mark.timeout(180)
def test_f35_a_copied_state_directory_is_noticed_and_the_fight_is_bounded(
    control: Control, daemon: Callable[..., Daemon], tmp_path: Path
) -> None:
    first = daemon(*joined(control))
    first.wait_fresh()
    copy = tmp_path / "copy"
    shutil.copytree(first.state_dir, copy, symlinks=True)
    second = daemon(*joined(control), f"--state-dir={copy}")
    second.wait_fresh(60.0)

    def fought(status: dict) -> bool:
        return "duplicate_session" in {found["code"] for found in status["degraded"]}

    status = first.wait_status(fought, 90.0, "the alarm")
    text = next(found["text"] for found in status["degraded"] if found["code"] == "duplicate_session")
    assert "use this node's key?" in text
    assert first.wait_event("degraded", 5.0, code="duplicate_session")
    # The alarm comes with the third end; the fight goes on, at ten starts a minute at most.
    first.wait_event("actor_started", 90.0, after=4, actor="control_connection")
    started = [
        float(event["boottime"]) for event in first.events("actor_started", actor="control_connection")
    ]
    assert all(later - earlier >= 59.0 for earlier, later in zip(started, started[10:], strict=False))
    second.terminate()
    first.wait_fresh(60.0)


def test_f34_after_a_restart_of_the_control_server_the_netmap_is_fresh_within_seconds(
    embedded: Daemon,
) -> None:
    before = embedded.wait_fresh()
    for restart in range(1, 4):
        done = embedded.command("fault", "kill", "dev_control", limit=60.0)
        assert done.returncode == 0, done.stderr
        after = embedded.wait_fresh()
        assert after["connection"]["ended"]["closed"] == restart
        assert after["connection"]["generation"] == before["connection"]["generation"] + restart
        (fresh_at,) = [float(line.split()[0]) for line in done.stdout.splitlines() if " fresh " in line]
        print(f"control restart {restart}: fresh after {fresh_at} s")
        assert fresh_at <= 10.0
