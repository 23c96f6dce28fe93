"""What a profile around us refuses (seccomp(2)), and what a root may lack: named at the start, with the way out.

Never a retry for ever, a traceback or an abort; and what only gives privileges up is done without.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from netmap_actors.confinement import seccomp_calls
from netmap_supervisor.system.kernel_calls import _CALLS
from tests.support.availability import unavailable
from tests.support.processes.daemon import PROGRAM, Daemon, clean_environment

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

CALLS = ("pidfd_open", "timerfd_create", "sched_setscheduler")
"""Tried on a whole run; the others by the same check alone."""
OTHERS = {
    "dup2": ["dup3"], "epoll_wait": ["epoll_pwait"], "poll": ["ppoll"], "unlink": ["unlinkat"], "mkdir": ["mkdirat"],
    "chmod": ["fchmodat", "fchmodat2"], "rename": ["renameat", "renameat2"],
}  # fmt: skip
"""What C libraries and architectures without a call use in its place."""
OUTER = (
    "sched_setscheduler",
    "sched_setparam",
    "sched_setaffinity",
    "setpriority",
    "ioprio_set",
    "capset",
    "setgroups",
)
"""Of @privileged and @resources, which systemd.exec(5) advises a service to forbid."""
LIMIT = 20.0
SCRIPT = """
import ctypes, os, struct, sys
numbers, refused, *command = sys.argv[1:]
numbers = [int(one) for one in numbers.split(",")]
# seccomp(2): load the number of the call; equal to one of these: the error, else: allowed.
def line(code, jt, jf, k):
    return struct.pack("HBBI", code, jt, jf, k)
program = b"".join([
    line(0x20, 0, 0, 0),
    *(part for one in numbers
      for part in (line(0x15, 0, 1, one), line(0x06, 0, 0, 0x50000 | int(refused)))),
    line(0x06, 0, 0, 0x7FFF0000),
])
held = ctypes.create_string_buffer(program)
class Program(ctypes.Structure):
    _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_void_p)]
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0
filtered = Program(len(program) // 8, ctypes.addressof(held))
assert libc.prctl(22, 2, ctypes.byref(filtered), 0, 0) == 0, ctypes.get_errno()
os.execv(command[0], command)
"""


@pytest.fixture
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="nms-", dir="/tmp") as directory:
        yield Path(directory)


def refusing(calls: Iterable[str], number: int) -> list[str]:
    """What to put before a command that shall find these calls refused."""
    native = seccomp_calls.native()
    if native is None:
        unavailable(f"the numbers of system calls on {os.uname().machine} are not known here")
    wanted = [one for call in calls for one in (call, *OTHERS.get(call, []))]
    numbers = ",".join(str(native.numbers[one]) for one in wanted if one in native.numbers)
    return [sys.executable, "-P", "-c", SCRIPT, numbers, str(number)]


def run_without(calls: Iterable[str], number: int, place: Path) -> subprocess.CompletedProcess[str]:
    """`run` where these calls end with the error."""
    directories = [f"--state-dir={place}/state", f"--runtime-dir={place}/run"]
    return subprocess.run(
        [*refusing(calls, number), *PROGRAM, "run", "--view=off", "--log-format=json", *directories],
        env=clean_environment(place),
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOSYS])
@pytest.mark.parametrize("call", CALLS)
def test_a_call_it_cannot_do_without_is_named_and_the_run_ends(call: str, number: int, place: Path) -> None:
    done = run_without([call], number, place)
    assert done.returncode == 78
    assert done.stderr.count("\n") == 1, done.stderr
    assert f"cannot run here: the system call {call} " in done.stderr
    assert os.strerror(number) in done.stderr
    assert "seccomp" in done.stderr, "the way out"
    assert not (place / "state").exists(), "nothing was begun"


CHECK = """
from netmap_actors.errors import ConfigurationError
from netmap_supervisor.system.kernel_calls import check_machine
try:
    check_machine()
except ConfigurationError as error:
    print(error)
"""


def checked(*prefix: str) -> str:
    done = subprocess.run(
        [*prefix, sys.executable, "-P", "-c", CHECK],
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("call", [call.name for call in _CALLS])
def test_every_call_of_the_table_is_found_to_be_refused_and_no_other(call: str) -> None:
    assert f"the system call {call} is refused" in checked(*refusing([call], errno.EPERM))


def test_where_nothing_is_refused_nothing_is_missing() -> None:
    assert checked() == ""


def test_what_a_unit_is_advised_to_forbid_is_named(place: Path) -> None:
    done = run_without(OUTER, errno.EPERM, place)
    assert done.returncode == 78
    assert "the system call sched_setscheduler is refused" in done.stderr
    assert "SystemCallFilter=" in done.stderr


@pytest.mark.parametrize(
    ("calls", "held"),
    [
        (["landlock_add_rule"], 0), (["landlock_restrict_self"], 0),
        (["capset", "landlock_create_ruleset", "seccomp"], 0), (["capget", "utimensat"], None),
    ],
)  # fmt: skip
def test_what_only_gives_privileges_up_is_done_without(calls: list[str], held: int | None) -> None:
    daemon = Daemon("--dev-churn=0", prefix=refusing(calls, errno.EPERM))
    daemon.start()
    daemon._prefix = ()
    with daemon:
        daemon.wait_fresh()
        if held is not None:
            assert {row["confinement"]["landlock"] for row in daemon.wait_reported()["actors"]} == {held}
            assert daemon.events("not_confined")
        assert daemon.terminate() == 0


def test_a_file_system_that_takes_no_sockets_is_named(place: Path) -> None:
    """As what a virtual machine shares with its host: the kernel knows the call, and the file system does not."""
    done = run_without(["bind"], errno.EOPNOTSUPP, place)
    assert done.returncode == 78, done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert f"cannot make a socket in the directory {place}/run: Operation not supported" in done.stderr
    assert not list((place / "run").glob("r-*")), "nothing is left"


@pytest.mark.netns
@pytest.mark.parametrize(
    ("over", "said"),
    [("/proc", "there is no /proc"), ("/dev", "/dev/null cannot be used (No such file or directory)")],
)
def test_a_root_that_lacks_what_every_system_has_is_told(over: str, said: str, place: Path) -> None:
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        unavailable("another root needs root and unshare")
    covered = ["unshare", "--mount", "sh", "-c", f'mount -t tmpfs none {over} && exec "$@"', "sh"]
    done = subprocess.run(
        [*covered, *PROGRAM, "run", "--view=off", f"--state-dir={place}/s", f"--runtime-dir={place}/r"],
        env=clean_environment(place), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT,
        check=False,
    )  # fmt: skip
    assert done.returncode == 78, done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert said in done.stderr


def test_a_mask_that_takes_everything_away_is_not_ours(place: Path) -> None:
    daemon = Daemon("--dev-churn=0", prefix=("sh", "-c", 'umask 777; exec "$@"', "sh"))
    daemon.start()
    daemon._prefix = ()
    with daemon:
        daemon.wait_fresh()
        assert daemon.terminate() == 0
