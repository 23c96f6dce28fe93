"""`fault` and `run --demo-faults`: what users see of their own experiments."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.processes.daemon import PROGRAM, clean_environment
from tests.support.servers.scripted import joined

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.processes.daemon import Daemon
    from tests.support.servers.scripted import Control

pytestmark = pytest.mark.xdist_group("waits")

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "breaking.md"
DEMONSTRATION = ["run", "--demo-faults"]
STORY_LINE = re.compile(r" *([0-9.]+) s {2}(\S+)")


def story(text: str) -> list[tuple[float, str]]:
    """(seconds, first word) of each line."""
    found = [STORY_LINE.match(line) for line in text.splitlines()]
    return [(float(one[1]), one[2]) for one in found if one]


@pytest.mark.parametrize("victim", ["control_connection", "publisher", "liveness", "dev_control"])
def test_a_kill_is_told_until_all_is_well_again(embedded: Daemon, victim: str) -> None:
    done = embedded.command("fault", "kill", victim, limit=60.0)
    assert done.returncode == 0, done.stderr
    words = [word for _, word in story(done.stdout)]
    assert words[0] == "kill"
    assert f"ended       {victim} (pid " in done.stdout
    assert f"started     {victim} (pid " in done.stdout
    if victim != "liveness":
        # It may be stale for a shorter time than there is between two looks.
        assert words.index("started") < words.index("fresh") == len(words) - 1
    status = embedded.status()
    assert status is not None
    assert status["netmap"]["state"] == "fresh"


def test_a_black_hole_is_found_by_its_silence_alone(daemon: Callable[..., Daemon]) -> None:
    running = daemon("--silence-timeout=5s")
    before = running.wait_fresh()
    done = running.command("fault", "black-hole", limit=60.0)
    assert done.returncode == 0, done.stderr
    assert "silence: no MapResponse for 5.0 s" in done.stdout
    after = running.wait_fresh()
    assert after["connection"]["generation"] == before["connection"]["generation"] + 1
    assert after["connection"]["ended"]["silence"] == 1
    assert running.wait_event("black_hole_on_request", 5.0)["actor"] == "control_connection"


def test_a_black_hole_that_heals_in_time_costs_nothing(
    control: Control, daemon: Callable[..., Daemon]
) -> None:
    running = daemon(*joined(control), "--silence-timeout=20s")
    before = running.wait_fresh()
    done = running.command("fault", "black-hole", "--for", "3s", "--force", limit=60.0)
    assert done.returncode == 0, done.stderr
    assert [word for _, word in story(done.stdout)] == ["black-hole", "survived"]
    control.server.tailnet.add_node("after-the-hole")
    after = running.wait_status(
        lambda status: status["netmap"]["peers"] == before["netmap"]["peers"] + 1,
        10.0,
        "a change after the hole",
    )
    assert after["connection"]["pid"] == before["connection"]["pid"]


def test_a_stop_for_a_time_is_survived(embedded: Daemon) -> None:
    done = embedded.command("fault", "stop", "publisher", "--for", "2s", limit=60.0)
    assert done.returncode == 0, done.stderr
    assert "publisher is the same process as before" in done.stdout


def test_a_server_fault_for_a_time_is_healed(daemon: Callable[..., Daemon]) -> None:
    running = daemon("--silence-timeout=4s")
    running.wait_fresh()
    done = running.command("fault", "server", "--for", "6s", "liveness/silence", limit=60.0)
    assert done.returncode == 0, done.stderr
    words = [word for _, word in story(done.stdout)]
    assert words.index("ended") < words.index("fresh")
    assert "healed" in words


def test_a_server_fault_is_told_until_all_is_well_again(daemon: Callable[..., Daemon]) -> None:
    running = daemon("--silence-timeout=4s")
    running.wait_fresh()
    done = running.command("fault", "server", "liveness/silence", limit=60.0)
    assert done.returncode == 0, done.stderr
    words = [word for _, word in story(done.stdout)]
    assert words == [
        "liveness/silence:",
        *(["stale"] if "stale" in words else []),
        "ended",
        "started",
        "fresh",
    ]
    at_once = running.command("fault", "server", "liveness/silence", "--no-wait")
    assert [word for _, word in story(at_once.stdout)] == ["liveness/silence:"]
    unknown = running.command("fault", "server", "liveness/silence", "client=nobody")
    assert unknown.returncode == 1
    assert "no client 'nobody' is connected; say scope=later" in unknown.stderr


def test_what_the_page_breaks_is_broken(embedded: Daemon) -> None:
    lines = re.findall(r"^netmap-supervisor (.*?)(?: +#.*)?$", PAGE.read_text(), flags=re.MULTILINE)
    first, *faults = (shlex.split(line) for line in lines)
    assert first == DEMONSTRATION
    assert len(faults) == 4
    for words in faults:
        embedded.wait_fresh()
        done = embedded.command(*words, "--no-wait", limit=60.0)
        assert done.returncode == 0, done.stderr


def test_a_real_node_is_not_broken_by_mistake(control: Control, daemon: Callable[..., Daemon]) -> None:
    running = daemon(*joined(control))
    before = running.wait_fresh()
    refused = running.command("fault", "kill", "control_connection")
    assert refused.returncode == 1
    assert f"this daemon is a node of {control.url}; say --force if you mean it" in refused.stderr
    assert "control.url" in running.command("fault", "server", "liveness/silence").stderr
    status = running.status()
    assert status is not None
    assert status["connection"]["pid"] == before["connection"]["pid"]
    assert running.command("fault", "kill", "control_connection", "--force", limit=60.0).returncode == 0


def test_the_demonstration_is_over_in_ten_seconds_and_leaves_nothing(tmp_path: Path) -> None:
    environment = clean_environment(tmp_path) | {"TMPDIR": "/tmp"}
    done = subprocess.run(
        [*PROGRAM, *DEMONSTRATION],
        capture_output=True,
        text=True,
        timeout=60.0,
        env=environment,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = story(done.stdout)
    words = [word for _, word in told]
    fresh = words.index("fresh")
    assert [word for word in words[fresh + 1 :] if word != "stale"][:2] == ["silent", "ended"]
    assert words[-2:] == ["fresh", "end"]
    # Told in about ten seconds on a machine that has time; the order is what matters.
    assert told[-1][0] < 30.0
    assert [path.name for path in tmp_path.iterdir()] == []


def test_the_telling_ends_with_the_daemon(daemon: Callable[..., Daemon]) -> None:
    running = daemon()
    running.wait_fresh()
    telling = [*PROGRAM, "fault", "black-hole", f"--runtime-dir={running.runtime_dir}"]
    process = subprocess.Popen(telling, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert "black-hole" in process.stdout.readline()
        running.kill()
        _, err = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 1
    assert re.fullmatch(
        r"netmap-supervisor: cannot tell what comes of it: after [0-9.]+ s the daemon has ended\n", err
    )
