"""The clocks of a daemon under test, moved one by one: a suspend, a step of the wall clock, hours in minutes."""

from __future__ import annotations

import shutil
import struct
import subprocess
import time
from pathlib import Path

SOURCE = Path(__file__).with_name("clock_shim.c")
_CLOCKS = (time.CLOCK_REALTIME, time.CLOCK_MONOTONIC, time.CLOCK_BOOTTIME)


def problem() -> str | None:
    """Why clocks cannot be moved on this machine, or None."""
    return None if shutil.which("cc") else "moving clocks needs a C compiler (cc)"


class MovedClocks:
    """`env` goes to the daemon; what is moved shows in all its processes at once.

    A deadline the kernel has been given already comes when it would have come; the next one is right.
    """

    def __init__(self, directory: Path) -> None:
        self._file = directory / "clocks"
        self._turn = 0
        self._rate = 1
        self._since = [0, 0, 0]
        self._ahead = [0, 0, 0]
        self._file.write_bytes(bytes(64))
        self._write()
        library = directory / "clock_shim.so"
        subprocess.run(
            ["cc", "-shared", "-fPIC", "-O1", f'-DCLOCKS="{self._file}"', "-o", str(library), str(SOURCE)],
            check=True,
            timeout=60,
        )
        self.env = {"LD_PRELOAD": str(library)}

    def suspend(self, seconds: float) -> None:
        """CLOCK_BOOTTIME and the wall clock go on, CLOCK_MONOTONIC stands still."""
        self._move(seconds, 0.0, seconds)

    def step_wall(self, seconds: float) -> None:
        """The wall clock alone is set."""
        self._move(seconds, 0.0, 0.0)

    def advance(self, seconds: float) -> None:
        """All clocks, as if the time had passed."""
        self._move(seconds, seconds, seconds)

    def run(self, rate: int) -> None:
        """All clocks run `rate` times as fast from now on; work takes as long as ever."""
        for place, clock in enumerate(_CLOCKS):
            now = time.clock_gettime_ns(clock)
            self._ahead[place] += (self._rate - 1) * (now - self._since[place])
            self._since[place] = now
        self._rate = rate
        self._write()

    def wall(self) -> float:
        """The daemon's wall clock, UNIX seconds."""
        now = time.time_ns()
        return (now + self._ahead[0] + (self._rate - 1) * (now - self._since[0])) / 1e9

    def _move(self, wall: float, monotonic: float, boottime: float) -> None:
        for place, seconds in enumerate((wall, monotonic, boottime)):
            self._ahead[place] += int(seconds * 1e9)
        self._write()

    def _write(self) -> None:
        # In place: the processes have this very file mapped, and wait while the turn is odd.
        with self._file.open("r+b", buffering=0) as file:
            file.write(struct.pack("=q", self._turn + 1))
            self._turn += 2
            rest = struct.pack("=7q", self._rate, *self._since, *self._ahead)
            file.seek(8)
            file.write(rest)
            file.seek(0)
            file.write(struct.pack("=q", self._turn))
