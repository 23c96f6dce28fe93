"""The clocks of a daemon under test, moved one by one: a suspend, a step of the wall clock."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_name("clock_shim.c")
_OFFSETS = struct.Struct("=qqq")


def problem() -> str | None:
    """Why clocks cannot be moved on this machine, or None."""
    return None if shutil.which("cc") else "moving clocks needs a C compiler (cc)"


class MovedClocks:
    """`env` goes to the daemon; what is moved shows in all its processes at once.

    A deadline the kernel has been given already comes when it would have come; the next one is right.
    """

    def __init__(self, directory: Path) -> None:
        self._file = directory / "clocks"
        self._moved = [0, 0, 0]
        self._write()
        library = directory / "clock_shim.so"
        subprocess.run(
            ["cc", "-shared", "-fPIC", "-O1", f'-DOFFSETS="{self._file}"', "-o", str(library), str(SOURCE)],
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

    def _move(self, wall: float, monotonic: float, boottime: float) -> None:
        for place, seconds in enumerate((wall, monotonic, boottime)):
            self._moved[place] += int(seconds * 1e9)
        self._write()

    def _write(self) -> None:
        # In place: the processes have this very file mapped.
        mode = "r+b" if self._file.exists() else "w+b"
        with self._file.open(mode) as file:
            file.write(_OFFSETS.pack(*self._moved))
