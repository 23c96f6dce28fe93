"""The client under test: a command in a process group of its own, with a directory and a log.

A child that has left the group, as a daemon does, is known by the directory in its environment.
"""

from __future__ import annotations

import contextlib
import difflib
import os
import re
import signal
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from netmap_actors.errors import escape
from netmap_supervisor.devtools.client_check.place.log import ClientLog
from netmap_supervisor.devtools.client_check.verdicts.timelines import whole_lines

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from netmap_actors.clock import Clock

__all__ = ["PLACEHOLDERS", "Client", "environment", "filled_in", "mistyped"]

_END_LIMIT = 10.0
"""Seconds between SIGTERM and SIGKILL."""
_LOOK_EVERY = 0.05
_LAST_LINES = 3
_LAST_BYTES = 4096
_LAST_CHARACTERS = 400
_PROXIES = frozenset({"http_proxy", "https_proxy", "all_proxy", "ftp_proxy"})


PLACEHOLDERS = ("url", "auth_key", "auth_key_file", "dir", "hostname")
"""What is filled in for `{name}` in the commands of a check."""
_BRACES = re.compile(r"\{([a-z_]{2,20})\}")


def mistyped(command: Sequence[str]) -> str:
    """The first `{name}` that is none of PLACEHOLDERS but much like one, with what was meant; empty: there is none."""
    for name in _BRACES.findall(" ".join(command)):
        swapped = [one for one in PLACEHOLDERS if sorted(one) == sorted(name)]
        meant = swapped or difflib.get_close_matches(name, PLACEHOLDERS, 1, 0.7)
        if meant and name not in PLACEHOLDERS:
            return f"{{{name}}} is not filled in; did you mean {{{meant[0]}}}?"
    return ""


def filled_in(command: Sequence[str], values: Mapping[str, str]) -> list[str]:
    """The command with `{name}` replaced by its value. Other braces stay as they are."""
    words = []
    for given in command:
        word = given
        for name, value in values.items():
            word = word.replace("{" + name + "}", value)
        words.append(word)
    return words


def environment(values: Mapping[str, str]) -> dict[str, str]:
    """Ours, with each value as `NETMAP_CHECK_NAME`; without proxies, which are outside the machine."""
    ours = {name: value for name, value in os.environ.items() if name.lower() not in _PROXIES}
    return {**ours, **{f"NETMAP_CHECK_{name.upper()}": value for name, value in values.items()}}


class Client:
    """One running client. Ended with its whole group, and whoever has left that."""

    def __init__(self, command: Sequence[str], values: Mapping[str, str], log: Path, clock: Clock) -> None:
        """Start it. Raises OSError."""
        self._clock = clock
        self.started_at = clock.boottime()
        self._log = ClientLog(log)
        self._directory = values.get("dir", "")
        with self._log.inlet() as inlet:
            self._process = subprocess.Popen(
                filled_in(command, values),
                stdin=subprocess.DEVNULL,
                stdout=inlet,
                stderr=subprocess.STDOUT,
                env=environment(values),
                start_new_session=True,  # Ctrl-C is for us; the client is ended by us
            )

    def ended(self) -> str:
        """How it ended, with the end of its log; empty while it runs."""
        # Not reaped: its number stays that of its group until the group is ended.
        found = os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if found is None:
            return ""
        self._log.settle()
        how = "exit status" if found.si_code == os.CLD_EXITED else "signal"
        after = self._clock.boottime() - self.started_at
        return f"the client ended by itself after {after:.1f} s, {how} {found.si_status}{self.last_words()}"

    def last_words(self) -> str:
        """The last whole lines of its log, behind a colon."""
        tail = self._log.tail()
        text = tail[-_LAST_BYTES:].decode("utf-8", "replace")
        lines = whole_lines(
            text, lines=_LAST_LINES, characters=_LAST_CHARACTERS, begun=len(tail) <= _LAST_BYTES
        )
        return f": {escape(' / '.join(lines), 2 * _LAST_CHARACTERS)}" if lines else ""

    def end(self) -> None:
        """SIGTERM to its group, then SIGKILL. No effect on one that was ended."""
        if self._process.returncode is not None:
            return
        self._signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            until = self._clock.boottime() + _END_LIMIT
            while not self.ended() and self._clock.boottime() < until:
                # Nothing of its own to wait on: a pidfd would tell of the end, but also only of the leader's.
                threading.Event().wait(_LOOK_EVERY)
        self._signal(signal.SIGKILL)
        self._process.wait()
        if self._directory:
            _kill_those_of(self._directory)
        self._log.close()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)


def _kill_those_of(directory: str) -> None:
    """Kill each process that was started with this directory in its environment."""
    entry = f"\0NETMAP_CHECK_DIR={directory}\0".encode()
    for found in Path("/proc").glob("[0-9]*"):
        # It may have ended meanwhile, or be another user's.
        with contextlib.suppress(OSError):
            handle = os.pidfd_open(int(found.name))
            try:
                if entry in b"\0" + (found / "environ").read_bytes():
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
            finally:
                os.close(handle)
