"""The peers command: a program that prints what the client under test believes about its peers."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import threading
from typing import TYPE_CHECKING

from netmap_actors.errors import NetmapError, escape
from netmap_supervisor.devtools.client_check.place.client import environment, filled_in
from netmap_supervisor.devtools.client_check.verdicts.beliefs import UnreadablePeers, parse_peers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from netmap_supervisor.devtools.client_check.verdicts.beliefs import BelievedPeer

__all__ = ["MAX_OUTPUT", "BeliefReader", "CannotReadPeers", "read_peers"]

MAX_OUTPUT = 16 << 20
"""Bytes a peers command may print: some 50 000 peers."""
TIME_LIMIT = 15.0
"""Seconds it may take."""
_PAUSE = 0.3
"""Seconds between two of them."""
_MAX_COMPLAINT = 4096


class CannotReadPeers(NetmapError):
    """The peers command failed, or what it printed is no list of peers."""


def read_peers(
    command: Sequence[str],
    values: Mapping[str, str],
    *,
    limit: float = TIME_LIMIT,
    started: Callable[[int], object] = lambda _group: None,
) -> tuple[BelievedPeer, ...]:
    """Run the command once, with `{name}` filled in as for the client. Raises CannotReadPeers.

    `started` is told its process group, which is ended with it, and 0 when that is gone.
    """
    late = threading.Event()
    with tempfile.TemporaryFile() as complaints:
        try:
            process = subprocess.Popen(
                filled_in(command, values),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=complaints,
                env=environment(values),
                start_new_session=True,
            )
        except OSError as error:
            raise CannotReadPeers(f"cannot start the peers command {command[0]}: {error.strerror}") from None
        started(process.pid)

        def give_up() -> None:
            late.set()
            _kill(process.pid)

        timer = threading.Timer(limit, give_up)
        timer.start()
        try:
            assert process.stdout is not None, "it is a pipe"
            with process.stdout as pipe:
                printed = pipe.read(MAX_OUTPUT + 1)
            if len(printed) <= MAX_OUTPUT:
                os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        finally:
            timer.cancel()
            # Not reaped before: its number stays that of its group until the group is ended.
            _kill(process.pid)
            started(0)
            how = process.wait()
        if late.is_set():
            raise CannotReadPeers(f"cannot read peers: the peers command took more than {limit:g} s")
        if len(printed) > MAX_OUTPUT:
            raise CannotReadPeers(
                f"cannot read peers: the peers command printed more than {MAX_OUTPUT >> 20} MiB"
            )
        if how:
            complaints.seek(0)
            said = complaints.read(_MAX_COMPLAINT).decode("utf-8", "replace").strip().splitlines()
            why = f": {escape(said[-1], 200)}" if said else ""
            raise CannotReadPeers(f"cannot read peers: the peers command ended with status {how}{why}")
    try:
        return parse_peers(printed.decode("utf-8"))
    except (UnicodeDecodeError, UnreadablePeers) as error:
        raise CannotReadPeers(f"cannot read peers: the peers command printed {error}") from None


class BeliefReader:
    """Reads peers again and again in a thread of its own, while somebody wants to know."""

    def __init__(self, command: Sequence[str], values: Mapping[str, str], now: Callable[[], float]) -> None:
        self._command = command
        self._values = values
        self._now = now
        self._lock = threading.Lock()
        self._group = 0
        self._closed = threading.Event()
        self._latest: tuple[float, tuple[BelievedPeer, ...]] | None = None
        self.problem = ""
        """Why the last one failed; empty: it did not."""
        self._thread = threading.Thread(target=self._read, name="peers command", daemon=True)
        self._thread.start()

    def since(self, moment: float) -> tuple[float, tuple[BelievedPeer, ...]] | None:
        """When the newest list was asked for, and the list; None: that was before this moment, or there is none."""
        with self._lock:
            found = self._latest
        return found if found is not None and found[0] >= moment else None

    def close(self) -> None:
        """End the command that runs."""
        self._closed.set()
        with self._lock:
            if self._group:
                _kill(self._group)
        self._thread.join()

    def _read(self) -> None:
        while not self._closed.is_set():
            asked_at = self._now()
            try:
                found = read_peers(self._command, self._values, started=self._note_group)
            except CannotReadPeers as error:
                self.problem = str(error)
            else:
                with self._lock:
                    self._latest, self.problem = (asked_at, found), ""
            self._closed.wait(_PAUSE)

    def _note_group(self, group: int) -> None:
        with self._lock:
            self._group = group
            if group and self._closed.is_set():
                _kill(group)


def _kill(group: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
