"""What a running daemon has given up, as the kernel tells it: the Supervisor as well as its children."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from netmap_actors.confinement import landlock
from netmap_actors.confinement.permissions import ROWS
from netmap_supervisor.daemon.run import OWN_MEMORY
from tests.support.availability import unavailable
from tests.support.waiting import wait_for
from tests.system.test_privileges import limits, pids

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.processes.daemon import Daemon
    from tests.support.servers.scripted import Control


def told(pid: int) -> dict[str, str]:
    """/proc/PID/status (proc_pid_status(5))."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def test_the_supervisor_gives_up_what_its_children_give_up(daemon: Callable[..., Daemon]) -> None:
    running = daemon(prefix=("prlimit", "--nofile=300:5000"))
    running.wait_fresh()
    # As many files as it needs, and its children may have more.
    assert limits(running.pid)["Max open files"] == (str(ROWS["supervisor"].max_files), "5000")
    assert limits(running.pid)["Max core file size"] == ("0", "0")
    soft, hard = map(int, limits(running.pid)["Max address space"])
    assert soft == OWN_MEMORY < hard, "its children may be given more than it has"
    assert told(running.pid)["NoNewPrivs"] == "1"


def test_no_process_of_root_keeps_a_capability_it_does_not_need(daemon: Callable[..., Daemon]) -> None:
    if os.geteuid() != 0:
        unavailable("only root's processes have capabilities")
    running = daemon()
    running.wait_fresh()
    found = pids(running)
    assert len(found) == 4
    for name, pid in found.items():
        for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            assert int(told(pid)[kind], 16) == 0, f"{name} {kind}"


def test_no_process_has_a_secret_in_its_environment(daemon: Callable[..., Daemon], control: Control) -> None:
    key, password = control.key_file.read_text().strip(), "hunter2-of-the-proxy"
    env = {
        "TAILNET_KEY": key,
        "HTTPS_PROXY": f"http://user:{password}@127.0.0.1:9",
        "NO_PROXY": "127.0.0.1,localhost",
    }
    running = daemon(f"--control-url={control.url}", "--auth-key=env:TAILNET_KEY", env=env)
    running.wait_fresh()
    # Another connection has to know them as well.
    killed = running.signal_actor("control_connection")
    running.wait_status(
        lambda status: (
            status["netmap"]["state"] == "fresh" and killed not in {row["pid"] for row in status["actors"]}
        ),
        what="a fresh netmap from the next connection",
    )
    tree = running.tree()
    assert len(tree) >= 4
    for pid in tree:
        held = Path(f"/proc/{pid}/environ").read_bytes()
        assert b"PATH=" in held
        assert key.encode() not in held
        assert password.encode() not in held
    assert wait_for(running.status, 10.0, "a status")["netmap"]["state"] == "fresh"


def test_a_reload_that_names_a_file_it_gave_up_says_so_and_changes_nothing(
    daemon: Callable[..., Daemon],
) -> None:
    if landlock.abi() == 0:
        unavailable("this kernel has no Landlock")
    running = daemon(config="")
    running.wait_fresh()
    with tempfile.TemporaryDirectory(prefix="nms-", dir="/dev/shm") as place:
        file = Path(place) / "file"
        file.write_text("tskey-x\n")
        for setting in (f'ca_file = "{file}"', f'auth_key = "file:{file}"'):
            running.config_path.write_text(f"[control]\n{setting}\n")
            told = running.command("reload")
            assert told.returncode == 1, told
            assert f"cannot read {file}: the running daemon has given up reading there" in told.stderr
            assert "restart it" in told.stderr
    running.config_path.write_text("")
    assert running.command("reload").returncode == 0
    assert running.wait_fresh()["netmap"]["state"] == "fresh"


def test_status_tells_what_holds_each_process(daemon: Callable[..., Daemon]) -> None:
    running = daemon()
    running.wait_fresh()
    told = {row["name"]: row["confinement"] for row in running.wait_reported()["actors"]}
    assert set(told) == {"supervisor", "dev_control", "publisher", "liveness", "control_connection"}
    for name, held in told.items():
        assert held["landlock"] == landlock.abi(), name
        assert held["capabilities"] == (1 if name == "supervisor" and os.geteuid() == 0 else 0), name
    left = [list(landlock.missing(landlock.abi()))] if landlock.missing(landlock.abi()) else []
    assert [event["left_open"] for event in running.events("not_confined")] == left
