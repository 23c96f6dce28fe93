"""System calls that an old seccomp profile refuses: named at the start, with the way out, and no retry for ever."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.availability import unavailable
from tests.system.daemon import PROGRAM, clean_environment

if TYPE_CHECKING:
    from collections.abc import Iterator

NUMBERS = {
    "x86_64": {"pidfd_open": 434, "pidfd_send_signal": 424, "waitid": 247, "timerfd_create": 283, "eventfd2": 290,
               "epoll_create1": 291},
    "aarch64": {"pidfd_open": 434, "pidfd_send_signal": 424, "waitid": 95, "timerfd_create": 85, "eventfd2": 19,
                "epoll_create1": 20},
}  # fmt: skip
"""Of the calls on this machine (asm/unistd.h)."""
CALLS = sorted(NUMBERS["x86_64"])
LIMIT = 20.0
SCRIPT = """
import ctypes, os, struct, sys
number, refused, *command = sys.argv[1:]
# seccomp(2): load the number of the call; equal to this one: the error, else: allowed.
def line(code, jt, jf, k):
    return struct.pack("HBBI", code, jt, jf, k)
program = b"".join([
    line(0x20, 0, 0, 0), line(0x15, 0, 1, int(number)),
    line(0x06, 0, 0, 0x50000 | int(refused)), line(0x06, 0, 0, 0x7FFF0000),
])
held = ctypes.create_string_buffer(program)
class Program(ctypes.Structure):
    _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_void_p)]
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.byref(Program(4, ctypes.addressof(held))), 0, 0) == 0, ctypes.get_errno()
os.execv(command[0], command)
"""


@pytest.fixture
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="nms-", dir="/tmp") as directory:
        yield Path(directory)


def run_without(call: str, number: int, place: Path) -> subprocess.CompletedProcess[str]:
    """`run` where this call ends with the error."""
    calls = NUMBERS.get(platform.machine())
    if calls is None or ctypes.sizeof(ctypes.c_void_p) != 8:
        unavailable(f"the numbers of system calls on {platform.machine()} are not known here")
    return subprocess.run(
        [
            *(sys.executable, "-P", "-c", SCRIPT, str(calls[call]), str(number)),
            *(
                *PROGRAM,
                "run",
                "--view=off",
                "--log-format=json",
                f"--state-dir={place}/state",
                f"--runtime-dir={place}/run",
            ),
        ],
        env=clean_environment(place),
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOSYS])
@pytest.mark.parametrize("call", CALLS)
def test_a_call_it_cannot_do_without_is_named_and_the_run_ends(call: str, number: int, place: Path) -> None:
    done = run_without(call, number, place)
    assert done.returncode == 78
    assert done.stderr.count("\n") == 1, done.stderr
    assert f"cannot run here: the system call {call} " in done.stderr
    assert os.strerror(number) in done.stderr
    assert "seccomp" in done.stderr, "the way out"
    assert not (place / "state").exists(), "nothing was begun"
