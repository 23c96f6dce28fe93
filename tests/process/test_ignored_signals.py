"""A signal that was ignored when a command was started stays ignored: nohup(1), a shell's background, a CI runner."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.clients.control_client import ControlClient, Node
from tests.support.processes.daemon import PROGRAM, Daemon, children_of, clean_environment
from tests.support.processes.dev_server import running_dev_server
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
IGNORING = ("bash", "-c", 'trap "" INT TERM HUP; exec "$0" "$@"')
ROOT = Path(__file__).parents[2]


def ignored(pid: int) -> set[signal.Signals]:
    """What the kernel throws away for this process (proc(5), SigIgn)."""
    status = Path(f"/proc/{pid}/status").read_text()
    mask = int(next(line.split()[1] for line in status.splitlines() if line.startswith("SigIgn")), 16)
    return {number for number in ENDING if mask >> (number - 1) & 1}


@pytest.fixture(scope="module")
def served() -> Iterator[Daemon]:
    """A daemon to give commands to."""
    with Daemon("--dev-churn=0") as daemon:
        daemon.wait_fresh()
        yield daemon


@pytest.fixture
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="nmi-", dir="/tmp", ignore_cleanup_errors=True) as directory:
        yield Path(directory)


def stays(command: list[str], place: Path, ready: Callable[[str], object]) -> None:
    """Started with the signals ignored, it is ready, and takes none of them as its end."""
    told = place / "told"
    with told.open("wb") as out:
        process = subprocess.Popen(
            [*IGNORING, *PROGRAM, *command],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env=clean_environment(place),
            cwd=place,
        )
    try:
        wait_for(lambda: ready(told.read_text()), 20.0, f"{command[0]} at work")
        assert ignored(process.pid) == set(ENDING)
        for number in ENDING:
            process.send_signal(number)
        assert process.poll() is None, told.read_text()
    finally:
        left = children_of(process.pid)
        process.kill()
        process.wait()
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def of(served: Daemon, *words: str) -> list[str]:
    return [*words, f"--runtime-dir={served.runtime_dir}"]


@pytest.mark.parametrize("view", ["off", "plain"])
def test_run_keeps_ignoring_them(view: str, place: Path) -> None:
    command = ["run", f"--view={view}", f"--state-dir={place}/s", f"--runtime-dir={place}/r", "--dev-churn=0"]
    stays(command, place, lambda said: "first_netmap" in said)


def test_a_daemon_whose_starter_ignored_the_end_of_children_sees_its_own_end() -> None:
    """The kernel would reap them and keep their exit statuses to itself (waitpid(2))."""
    with Daemon("--dev-churn=0", prefix=("env", "--ignore-signal=CHLD")) as daemon:
        daemon.wait_fresh()
        assert daemon.command("fault", "kill", "publisher").returncode == 0
        daemon.wait_fresh()
        assert daemon.terminate() == 0


def test_watch_keeps_ignoring_them(served: Daemon, place: Path) -> None:
    stays(of(served, "watch"), place, lambda said: "8 peers" in said)
    stays(of(served, "watch", "--json"), place, lambda said: '"type":"snapshot"' in said)


def test_wait_keeps_ignoring_them(served: Daemon, place: Path) -> None:
    command = of(served, "wait", "--for=peer:nobody=online", "--timeout=60s")
    # It says nothing; its command line and Python's own threads are there before it waits for signals to be set.
    process = subprocess.Popen([*IGNORING, *PROGRAM, *command], env=clean_environment(place))
    try:
        wait_for(lambda: len(list(Path(f"/proc/{process.pid}/task").iterdir())) > 2, 10.0, "ZeroMQ's threads")
        assert ignored(process.pid) == set(ENDING)
    finally:
        process.kill()
        process.wait()


def test_export_follow_keeps_ignoring_them(served: Daemon, place: Path) -> None:
    command = of(served, "export", "hosts", "--follow", f"--output={place}/hosts")
    stays(command, place, lambda _: (place / "hosts").exists())


def test_fault_keeps_ignoring_them(served: Daemon, place: Path) -> None:
    stays(
        of(served, "fault", "server", "liveness/slow-drip", "scope=later", "--for=60s"),
        place,
        lambda said: "struck" in said,
    )
    assert served.command("fault", "heal").returncode == 0


def test_dev_control_keeps_ignoring_them(place: Path) -> None:
    stays(["dev-control", f"--socket={place}/c"], place, lambda said: "auth key" in said)
    with running_dev_server() as server:
        with closing(ControlClient(server.url, Node("first"))) as client:
            client.register(server.auth_key)
        socket = f"--socket={server.socket}"
        stays(["dev-control", "seen", "register", "--follow", socket], place, lambda said: "register" in said)
        stays(
            ["dev-control", "fault", "liveness/silence", "--for=60s", socket],
            place,
            lambda said: "struck" in said,
        )


def test_check_client_keeps_ignoring_them(place: Path) -> None:
    client = ["sh", "-c", f"touch {place}/started; exec sleep 1000"]
    command = ["check-client", f"--output={place}/logs", "--scenario=join", "--join-limit=60s", "--", *client]
    stays(command, place, lambda _: (place / "started").exists())


def test_the_demonstration_keeps_ignoring_them(place: Path) -> None:
    stays(["run", "--demo-faults"], place, lambda said: "fresh" in said)


def test_tests_started_in_the_background_hand_no_ignored_signal_on() -> None:
    """Neither to what they test in their own process nor to the processes they start."""
    chosen = (
        "tests/unit/cli/export/test_follow.py::test_a_signal_is_something_to_wait_for",
        f"{__file__}::test_a_child_of_a_test_has_default_dispositions",
    )
    quiet = ("-q", "-p", "no:cacheprovider", "-p", "no:xdist")
    done = subprocess.run(
        [*IGNORING, sys.executable, "-P", "-m", "pytest", *quiet, *chosen],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_a_child_of_a_test_has_default_dispositions() -> None:
    with subprocess.Popen(["sleep", "1000"]) as child:
        try:
            assert ignored(child.pid) == set()
        finally:
            child.kill()
