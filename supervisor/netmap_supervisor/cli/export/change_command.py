"""The command of --exec, which runs after each change of the file, without a shell."""

from __future__ import annotations

import os
import shlex
import subprocess
from typing import TYPE_CHECKING

from netmap_supervisor.admin.commands import CommandFailed

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["VARIABLE", "ChangeCommand"]

VARIABLE = "NETMAP_EXPORT_FILE"
"""Holds the file's path in the command's environment."""


class ChangeCommand:
    """One command line; one run of it at a time."""

    def __init__(self, words: list[str], file: Path) -> None:
        self._words = words
        self._file = file
        self._process: subprocess.Popen[bytes] | None = None

    def __str__(self) -> str:
        return shlex.join(self._words)

    def start(self) -> None:
        """Start a run. Raises CommandFailed."""
        assert self._process is None, "one run at a time"
        try:
            self._process = subprocess.Popen(
                self._words,
                stdin=subprocess.DEVNULL,
                env=os.environ | {VARIABLE: str(self._file)},
                # Ctrl-C in our terminal must not interrupt it.
                process_group=0,
            )
        except OSError as error:
            raise CommandFailed(f"cannot run `{self}`: {error.strerror}") from None

    def finish(self, limit: float | None) -> bool:
        """Wait for the run to end; False when it has not. Raises CommandFailed when it ended badly."""
        if self._process is None:
            return True
        try:
            code = self._process.wait(limit)
        except subprocess.TimeoutExpired:
            return False
        self._process = None
        if code:
            ended = f"with exit status {code}" if code > 0 else f"by signal {-code}"
            raise CommandFailed(
                f"cannot complete the export: `{self}` ended {ended}; {self._file} is written all the same"
            )
        return True
