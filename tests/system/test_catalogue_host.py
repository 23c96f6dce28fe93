"""What the machine below does to the daemon: kills, hunger for the processor, full disks; and portals in its way."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from netmap_actors.boot import ConnectionSettings
from tests.support.availability import unavailable
from tests.support.histories.history import recording
from tests.support.processes.connection_process import running_connection
from tests.support.processes.daemon import is_actor_process
from tests.support.servers.scripted import joined
from tests.support.waiting import Stopwatch, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.processes.daemon import Daemon
    from tests.support.servers.scripted import Control

HOGS = 4


def zombies(pid: int) -> list[str]:
    """Children of this process that have ended and were not reaped."""
    found = subprocess.run(
        ["ps", "--ppid", str(pid), "-o", "stat="], capture_output=True, text=True, check=False
    ).stdout
    return [state for state in found.split() if state.startswith("Z")]


@pytest.mark.timeout(180)
@pytest.mark.parametrize("daemons", ["one", "another"])
def test_f43_kills_at_ten_random_times_each_end_in_a_fresh_netmap(
    daemon: Callable[..., Daemon], tmp_path: Path, daemons: str
) -> None:
    seed = int(os.environ.get("NETMAP_TEST_SEED", "0")) or random.SystemRandom().randrange(1 << 32)
    print(f"NETMAP_TEST_SEED={seed}")
    dice = random.Random(seed)
    # Few of each: kills in quick succession are met with a delay that doubles, and that is another test.
    children = ["control_connection", "publisher", "liveness"]
    victims = [*children * 3, dice.choice(children)]
    dice.shuffle(victims)
    running = daemon()
    with recording(running, tmp_path, silence=120.0):
        running.wait_fresh()
        for victim in victims:
            moment = time.monotonic() + dice.uniform(0.0, 0.3)
            wait_for(
                lambda moment=moment: time.monotonic() >= moment, 5.0, "the moment of the kill", every=0.01
            )
            pid = running.signal_actor(victim)
            running.wait_status(
                lambda status, victim=victim, pid=pid: (
                    status["netmap"]["state"] == "fresh"
                    and all(row["state"] == "active" for row in status["actors"])
                    and next(row for row in status["actors"] if row["name"] == victim)["pid"]
                    not in {pid, None}
                ),
                60.0,
                f"all well after the kill of {victim}",
            )
        wait_for(lambda: not zombies(running.pid), 5.0, "every dead child is reaped")


@pytest.mark.xdist_group("waits")
@pytest.mark.timeout(120)
@pytest.mark.parametrize("unread", [False, True], ids=["nothing-unread", "a-message-unread"])
def test_f55_a_machine_that_stands_still_with_all_its_processes_is_fresh_soon_after(
    control: Control, daemon: Callable[..., Daemon], unread: bool
) -> None:
    """What waits unread then came nobody knows when: it must not pass for the newest word of a living server."""
    running = daemon(*joined(control), "--silence-timeout=6s")
    before = running.wait_fresh()
    stopped = [running.pid, *running.children()]
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        # The connection dies meanwhile: what the server would have sent never comes.
        if unread:
            control.server.raw('{"KeepAlive":true}')
        control.server.fault("liveness/silence", scope="current")
        awake = time.monotonic() + 12.0
        wait_for(lambda: time.monotonic() >= awake, 15.0, "the end of the pause", every=0.1)
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
    watch = Stopwatch()
    after = running.wait_status(
        lambda status: (
            status["netmap"]["state"] == "fresh"
            and status["connection"]["generation"] > before["connection"]["generation"]
        ),
        30.0,
        "a fresh netmap",
    )
    print(f"stood still for 12 s, fresh {watch.wall():.2f} s after")
    assert watch.seconds() <= 5.0
    assert after["connection"]["generation"] == before["connection"]["generation"] + 1
    killed = [event["actor"] for event in running.events("child_killed")]
    assert killed == ["control_connection"], "nobody is hung who was stopped together with the one who asks"


@pytest.mark.xdist_group("waits")
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_f50_a_child_that_dies_at_each_start_is_started_once_a_minute_until_it_lives(
    control: Control, daemon: Callable[..., Daemon]
) -> None:
    running = daemon(*joined(control))
    running.wait_fresh()
    killed: set[int] = set()

    def shot() -> bool:
        """Kill the liveness processes there are; whether the condition shows."""
        for event in running.events("actor_started", actor="liveness"):
            pid = int(event["pid"])
            if pid not in killed and is_actor_process(pid, running.runtime_dir, running.pid):
                os.kill(pid, signal.SIGKILL)
                killed.add(pid)
        return bool(running.events("degraded", actor="liveness", code="actor_flapping"))

    wait_for(shot, 120.0, "the condition of an actor that dies again and again", every=0.05)
    starts = [float(event["boottime"]) for event in running.events("actor_started", actor="liveness")]
    assert all(later - earlier >= 59.0 for earlier, later in zip(starts, starts[10:], strict=False))
    assert running.actor("publisher")["restarts"] == 0, "nobody else is concerned"
    assert running.actor("liveness")["state"] == "error"
    # It may live from now on, and nobody has to do anything.
    running.wait_event("healed", 150.0, actor="liveness", code="actor_flapping")
    healed = running.wait_fresh()
    assert healed["degraded"] == []
    assert all(row["state"] == "active" for row in healed["actors"])
    last = running.events("actor_started", actor="liveness")[-1]
    assert 45.0 <= float(last["boottime"]) - starts[-1] <= 75.0, "once a minute"


@pytest.fixture
def hogs() -> Iterator[None]:
    """Four processes that never wait."""
    running = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(HOGS)]
    yield
    for process in running:
        process.kill()
        process.wait()


@pytest.mark.timeout(180)
@pytest.mark.usefixtures("hogs")
def test_f56_a_large_netmap_on_a_machine_without_time_kills_nobody(daemon: Callable[..., Daemon]) -> None:
    running = daemon("--dev-nodes=50000", "--dev-churn=20")
    status = running.wait_fresh(120.0)
    assert status["netmap"]["peers"] > 45_000
    assert running.events("child_killed") == []
    assert running.wait_fresh()["connection"]["generation"] == 1


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a megabyte."""
    if os.geteuid() != 0:
        unavailable("a file system of one's own needs root")
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "none", str(place)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode != 0:
        unavailable(f"cannot mount a tmpfs: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def fill(place: Path) -> None:
    """Leave no room in this file system."""
    with (place / "filler").open("wb", buffering=0) as filler, pytest.raises(OSError, match="No space"):
        while True:
            filler.write(b"\0" * 4096)


def test_f63_a_full_disk_costs_no_key_and_no_session(
    control: Control, daemon: Callable[..., Daemon], small_disk: Path
) -> None:
    state = small_disk / "state"
    running = daemon(*joined(control), f"--state-dir={state}")
    running.wait_fresh()
    (node_file,) = state.glob("*/node.json")
    node = node_file.read_bytes()
    fill(small_disk)
    running.signal_actor("control_connection")
    after = running.wait_status(
        lambda status: status["connection"]["ended"]["crashed"] == 1 and status["netmap"]["state"] == "fresh",
        30.0,
        "fresh on a full disk",
    )
    assert after["connection"]["state"] == "map_session"
    assert node_file.read_bytes() == node, "the keys are as they were"
    (small_disk / "filler").unlink()
    assert running.terminate() == 0
    again = daemon(*joined(control), f"--state-dir={state}")
    assert again.wait_fresh()["netmap"]["self"]["stable_id"] == after["netmap"]["self"]["stable_id"]
    assert len(control.server.seen("register")) == 1


def test_f63_a_new_node_without_a_place_for_its_keys_does_not_register(
    control: Control, daemon: Callable[..., Daemon], small_disk: Path
) -> None:
    (small_disk / "state").mkdir(mode=0o700)
    fill(small_disk)
    running = daemon(*joined(control), f"--state-dir={small_disk / 'state'}")
    wait_for(
        lambda: "No space left" in running.log_path.read_text() or not running.running(),
        30.0,
        "the reason in the log",
    )
    assert "No space left" in running.log_path.read_text()
    assert control.server.seen("register") == []


@pytest.mark.parametrize("moment", ["key", "upgrade"])
@pytest.mark.parametrize(
    ("status", "body"),
    [
        (302, "<html>moved to the login page</html>"),
        (200, '<html><form action="/login">{"publicKey":"mkey:00"}</form></html>'),
        (511, "Network Authentication Required"),
    ],
)
def test_f36_a_captive_portal_is_believed_in_nothing(
    control: Control, tmp_path: Path, moment: str, status: int, body: str
) -> None:
    control.server.fault("refusal/status", moment=moment, status=status, body=body)
    settings = ConnectionSettings(
        control_url=control.url, state_dir=str(tmp_path / "state"), auth_key=f"file:{control.key_file}"
    )
    with running_connection(settings) as process:
        ended = process.next("session_ended")
        assert (ended.reason, ended.stage, ended.had_map) == ("error", "handshake", False)
        assert str(status) in ended.detail or "cannot read" in ended.detail or "key" in ended.detail
    assert control.server.seen("register") == []
    if moment == "key":
        assert not (tmp_path / "state" / "node.json").exists(), "no key was pinned"


def test_f36_behind_a_portal_the_daemon_tries_on_and_is_fresh_once_it_opens(
    control: Control, daemon: Callable[..., Daemon]
) -> None:
    control.server.fault("refusal/status", moment="key", status=302, body="login first")
    running = daemon(*joined(control))
    waiting = running.wait_status(
        lambda status: status["connection"]["attempts"] >= 3, 30.0, "a third attempt"
    )
    assert waiting["netmap"]["state"] == "none"
    control.heal()
    running.wait_fresh(45.0)
