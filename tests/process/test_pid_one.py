"""The daemon as the first process of a container: orphans become its children, and signals find it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.availability import unavailable
from tests.support.processes.daemon import Daemon, children_of, role_of
from tests.support.waiting import Stopwatch, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT = 20.0
FIRST = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
ORPHANS = 40
LEAVE_ORPHANS = f"""
import os, time
for number in range({ORPHANS}):
    if os.fork() == 0:
        if os.fork() == 0:
            time.sleep(0.3 + number / 100)
            os._exit(number)
        os._exit(0)
    os.wait()
"""
SUBREAPER = """
import ctypes, os, sys
assert ctypes.CDLL(None).prctl(36, 1, 0, 0, 0) == 0
os.execv(sys.argv[1], sys.argv[1:])
"""
"""prctl(2): PR_SET_CHILD_SUBREAPER, which outlives execve(2)."""


def state_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def ours_of(daemon: Daemon) -> dict[int, str]:
    """What its own children are, the nursery included, by pid."""
    return {pid: role for pid in children_of(daemon.pid) if (role := role_of(pid))}


def strangers_of(daemon: Daemon) -> set[int]:
    """Its other children, dead or alive."""
    return set(children_of(daemon.pid)) - ours_of(daemon).keys()


class FirstProcess(Daemon):
    """A daemon that is process 1 of a namespace of its own; its commands are given outside."""

    def start(self) -> FirstProcess:
        self._prefix = FIRST
        super().start()
        self._prefix = ()
        return self

    @property
    def pid(self) -> int:
        """As seen from here."""
        return wait_for(lambda: children_of(self.process.pid), LIMIT, "the daemon")[0]


@pytest.fixture
def first() -> Iterator[FirstProcess]:
    if os.geteuid() != 0 or shutil.which("nsenter") is None:
        unavailable("a process namespace needs root, unshare and nsenter")
    with FirstProcess("--dev-churn=0") as daemon:
        yield daemon


def leave_orphans(daemon: Daemon) -> None:
    inside = ["nsenter", "-t", str(daemon.pid), "-p", "--", sys.executable, "-c", LEAVE_ORPHANS]
    subprocess.run(inside, check=True, timeout=LIMIT)


@pytest.mark.netns
def test_orphans_are_reaped_and_how_a_child_ended_is_known(first: FirstProcess) -> None:
    first.wait_fresh()
    assert "NSpid:" in Path(f"/proc/{first.pid}/status").read_text()
    for _ in range(2):
        before = len(ours_of(first))
        leave_orphans(first)
        wait_for(lambda: len(strangers_of(first)) > ORPHANS // 2, LIMIT, "orphans")
        # Its own end in the middle of theirs: the status of the one must not be taken by who reaps the others.
        [publisher] = [pid for pid, role in ours_of(first).items() if role == "publisher"]
        os.kill(publisher, signal.SIGKILL)
        first.wait_event("actor_exited", LIMIT, actor="publisher", signal=9)
        first.wait_fresh()
        assert len(ours_of(first)) == before
        wait_for(lambda: not strangers_of(first), LIMIT, "no orphan left, dead or alive")
    os.kill(first.pid, signal.SIGTERM)
    assert first.wait(LIMIT) == 0


@pytest.mark.parametrize("prefix", [
    ("sh", "-c", 'sleep 0.5 & exec "$@"', "sh"),
    (sys.executable, "-c", SUBREAPER, "/bin/sh", "-c", '(sleep 3 & sleep 3.2 &) ; exec "$@"', "sh"),
])  # fmt: skip
def test_what_was_started_before_it_is_reaped(prefix: tuple[str, ...]) -> None:
    """An entry point that leaves something in the background and becomes the daemon; a subreaper (prctl(2))."""
    daemon = Daemon("--dev-churn=0", prefix=prefix)
    daemon.start()
    daemon._prefix = ()
    with daemon:
        strangers = wait_for(
            lambda: [
                pid for pid in children_of(daemon.pid) if Path(f"/proc/{pid}/comm").read_text() == "sleep\n"
            ],
            LIMIT,
            "what the shell left",
        )
        daemon.wait_fresh()
        wait_for(lambda: not any(state_of(pid) for pid in strangers), LIMIT, "no zombie")
        assert daemon.terminate() == 0


@pytest.mark.netns
def test_the_first_process_is_stopped_by_a_signal_that_comes_early(first: FirstProcess) -> None:
    """To process 1 the kernel gives no signal that it has not asked for: one that comes before must not be lost."""
    blocked = 1 << (signal.SIGTERM - 1)

    def asked() -> bool:
        # Before it becomes the daemon it is unshare(1), which blocks the signal for a moment and then does not want it.
        if Path(f"/proc/{first.pid}/cmdline").read_bytes().startswith(b"unshare\0"):
            return False
        fields = dict(
            line.split(":", 1) for line in Path(f"/proc/{first.pid}/status").read_text().splitlines()
        )
        return bool((int(fields["SigBlk"], 16) | int(fields["SigCgt"], 16)) & blocked)

    wait_for(asked, LIMIT, "somebody who takes the signal", every=0.001)
    watch = Stopwatch()
    os.kill(first.pid, signal.SIGTERM)
    assert first.wait(LIMIT) == 0
    assert watch.seconds() < 5.0
    assert not first.events("up")


@pytest.mark.netns
def test_stop_from_another_process_namespace_ends_when_the_daemon_has(first: FirstProcess) -> None:
    first.wait_fresh()
    assert (first.status() or {})["pid"] == 1
    pid = first.pid
    done = first.command("stop", limit=30.0)
    assert done.returncode == 0, done.stderr
    assert state_of(pid) in {"", "Z"}
    assert first.wait(LIMIT) == 0


OURS_AND_A_STRANGER = """
import os
from netmap_supervisor.system.os_process import reap_stranger

def ended(status):
    pid = os.fork()
    if pid == 0:
        os._exit(status)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    return pid

ours, stranger = ended(7), ended(8)
while reap_stranger({ours}):
    pass
assert os.waitstatus_to_exitcode(os.waitpid(ours, 0)[1]) == 7, "how ours ended is not taken"
while reap_stranger(set()):
    pass
try:
    os.waitpid(stranger, os.WNOHANG)
except ChildProcessError:
    print("buried")
assert not reap_stranger(set()), "nobody is left"
"""


def test_who_buries_strangers_leaves_the_status_of_ours() -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-c", OURS_AND_A_STRANGER],
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "buried\n"), done.stderr


def takes(pid: int, number: signal.Signals) -> bool:
    """Whether the process has a handler for this signal (proc(5): SigCgt)."""
    caught = re.search(r"^SigCgt:\t([0-9a-f]+)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return caught is not None and bool(int(caught[1], 16) >> (number - 1) & 1)


@pytest.mark.netns
@pytest.mark.parametrize("words", [("watch", "--json"), ("wait", "--for=fresh")], ids=lambda words: words[0])
def test_a_command_is_ended_by_a_signal_there_as_it_is_elsewhere(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    if os.geteuid() != 0:
        unavailable("a process namespace needs root and unshare")
    command = [sys.executable, "-P", "-m", "netmap_supervisor", *words, "--runtime-dir", str(tmp_path)]
    with subprocess.Popen([*FIRST, *command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as outer:
        try:
            [first] = wait_for(lambda: children_of(outer.pid), LIMIT, "the first process there")
            wait_for(lambda: takes(first, signal.SIGTERM), LIMIT, "its way with SIGTERM")
            os.kill(first, signal.SIGTERM)
            assert outer.wait(LIMIT) == 128 + signal.SIGTERM
        finally:
            outer.kill()
