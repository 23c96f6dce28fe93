"""A disk whose fsync fails with EIO or is slow, for a daemon under test."""

from __future__ import annotations

import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_name("failing_disk.c")


class FailingDisk:
    """`env` goes to the daemon; what is set shows in all its processes at once. Needs cc (`moved_clocks.problem`)."""

    def __init__(self, directory: Path) -> None:
        self._fault = directory / "disk-fault"
        self._fault.write_text(".0")
        library = directory / "failing_disk.so"
        subprocess.run(
            ["cc", "-shared", "-fPIC", "-O1", f'-DFAULT="{self._fault}"', "-o", str(library), str(SOURCE)],
            check=True,
            timeout=60,
        )
        self.env = {"LD_PRELOAD": str(library)}

    def fail(self) -> None:
        """Every fsync fails with EIO."""
        self._set("e0")

    def slow(self, seconds: int) -> None:
        """Every fsync takes so long."""
        self._set(f"s{seconds}")

    def heal(self) -> None:
        self._set(".0")

    def _set(self, fault: str) -> None:
        """In place: the processes have the file mapped."""
        with self._fault.open("r+") as file:
            file.write(fault)
