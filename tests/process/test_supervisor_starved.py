"""The Supervisor over real processes on a processor that others take: who is starved lives, who hangs does not."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process.test_supervisor import daemon  # noqa: F401  # the fixture
from tests.support.availability import unavailable
from tests.support.processes.fake_daemon import FakeDaemon
from tests.support.waiting import wait_for

START_LIMIT = 15.0
HUNG_LIMIT = 12.0
MARGIN = 2.0
"""Seconds for the two clocks of the test and the daemon's own turn."""
SLOW = 90.0
"""Seconds for what has only the processors that are left, and perhaps another test beside it."""
WORK = "0.3"
"""Seconds of processor time: a minute and more beside the hogs."""
HOG = """
import contextlib, os, pathlib, sys
os.nice(-20)
# Where each session is scheduled as a group of its own (sched(7)), the group has to be that nice.
with contextlib.suppress(OSError):
    pathlib.Path("/proc/self/autogroup").write_text("-20")
os.sched_setaffinity(0, {int(sys.argv[1])})
print("hog", flush=True)
while True:
    pass
"""


@dataclasses.dataclass
class Hogs:
    """Four that take one processor from everybody else."""

    processor: int
    running: list[subprocess.Popen[bytes]]

    def end(self) -> None:
        while self.running:
            hog = self.running.pop()
            hog.kill()
            hog.communicate()


@pytest.fixture
def hogs() -> Iterator[Hogs]:
    """Where they are, nobody comes by chance: the daemon inherits the other processors from the test."""
    if os.geteuid() != 0:
        unavailable("taking a processor from others needs root")
    processors = os.sched_getaffinity(0)
    if len(processors) < 2 or not Path("/proc/self/schedstat").exists():
        unavailable("needs two processors and a kernel that counts who waits for one")
    taken = min(processors)
    command = [sys.executable, "-c", HOG, str(taken)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) for _ in range(4)]
    made = Hogs(taken, running)
    try:
        os.sched_setaffinity(0, processors - {taken})
        for hog in made.running:
            assert hog.stdout is not None
            assert hog.stdout.readline()
        yield made
    finally:
        made.end()
        os.sched_setaffinity(0, processors)


def wait_until(moment: float, what: str) -> None:
    wait_for(lambda: time.monotonic() >= moment, 60.0, what)


def killed(starving: FakeDaemon) -> dict[str, str]:
    return {event["actor"]: event["reason"] for event in starving.events("child_killed")}


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_an_actor_that_is_starved_while_it_starts_is_not_killed(daemon, hogs) -> None:  # noqa: F811
    daemon.behave("dev_control", f"burn {WORK}")
    daemon.start()
    wait_for(lambda: daemon.events("actor_started"), SLOW, "dev_control is started")
    pid = daemon.events("actor_started", actor="dev_control")[0]["pid"]
    # From outside: no process of the run may choose its processor.
    os.sched_setaffinity(pid, {hogs.processor})
    (daemon.place / "go").touch()
    wait_until(time.monotonic() + START_LIMIT + MARGIN, "an idle machine's time to start is over")
    assert daemon.events("actor_ready", actor="dev_control") == [], "it was starved all the time"
    assert killed(daemon) == {}
    hogs.end()
    wait_for(lambda: daemon.events("up"), SLOW, "every actor is up")
    assert daemon.row("dev_control")["pid"] == pid


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_loop_a_stop_and_a_frozen_extension_are_found_beside_one_that_is_starved(daemon, hogs) -> None:  # noqa: F811
    daemon.behave("dev_control", f"later burn {WORK}")
    daemon.behave("publisher", "later loop")
    daemon.behave("liveness", "later hold_gil")
    daemon.start()
    wait_for(lambda: daemon.events("up"), SLOW, "every actor is up")
    before = {name: daemon.row(name)["pid"] for name in ("dev_control", "control_connection")}
    for name in ("publisher", "liveness"):
        daemon.behave(name, "")
    # From outside: once it is up it may not choose its processor.
    os.sched_setaffinity(before["dev_control"], {hogs.processor})
    (daemon.place / "go").touch()
    os.kill(before["control_connection"], signal.SIGSTOP)
    since = time.monotonic()
    wait_until(since + HUNG_LIMIT + 5.0 + MARGIN, "the starved one has not beaten for longer than a limit")
    assert "dev_control" not in killed(daemon)
    hogs.end()
    # The loop may have to share the other processor, and has its twelve seconds of one all the same.
    hung = dict.fromkeys(("publisher", "liveness", "control_connection"), "hung")
    wait_for(lambda: killed(daemon) == hung, 60.0, "those that hang are killed, and nobody else")
    wait_for(lambda: daemon.row("dev_control")["state"] == "active", 10.0, "it beats again")
    assert daemon.row("dev_control")["pid"] == before["dev_control"]
    assert killed(daemon) == hung
