"""Holds one client's course: `check-client` as a child, its progress line by line, its end within a bound."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import signal
import subprocess
import threading
import time
from typing import TYPE_CHECKING, TextIO

from bench.client_table.clients import DAEMON, TRUTH_PER_LIMIT
from bench.client_table.measurement import Machine, Measurement
from netmap_supervisor.devtools.client_check.scenarios import Limits, chosen_scenarios

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from bench.client_table.clients import TestedClient

JOIN = 10.0
"""Seconds that a client has usually joined in, and ended."""
END_LIMIT = 60.0
"""Seconds for check-client to end its clients when it is interrupted."""


class CourseFailed(Exception):
    """There is no report; the text says why."""


class Courses:
    """All that are held, with the same options. Times in seconds."""

    def __init__(self, limit: float, jobs: int, scenarios: Sequence[str], side_by_side: int) -> None:
        self._limit = limit
        self._jobs = jobs
        self._scenarios = scenarios
        self._side_by_side = side_by_side
        self._running: set[subprocess.Popen[str]] = set()
        self._ending = threading.Event()
        limits = Limits(limit, limit * TRUTH_PER_LIMIT)
        longest = [row.longest(limits) for row in chosen_scenarios(scenarios)]
        self.usual = max(*longest, sum(longest) / jobs) + 2 * JOIN
        """If each scenario takes as long as it may, and none is run again."""
        self.most = self.usual + sum(longest) + len(longest) * (limits.join + JOIN)
        """If each failed and was run again alone."""

    def measure(self, name: str, client: TestedClient, directory: Path) -> Measurement:
        """One whole course. Raises CourseFailed."""
        report = directory / f"{name}.report.json"
        logs = directory / f"{name}.logs"
        options = [f"--limit={self._limit:g}s", f"--truth-limit={self._limit * TRUTH_PER_LIMIT:g}s"]
        options += [f"--jobs={self._jobs}", f"--json={report}", f"--output={logs}"]
        options += [f"--scenario={one}" for one in self._scenarios]
        if client.peers:
            options.append(f"--peers-command={client.peers}")
        path = os.environ["PATH"] if client.build is None else f"{client.build()}:{os.environ['PATH']}"
        load, started, began = 0.0, datetime.datetime.now(datetime.UTC), time.monotonic()
        with (
            (directory / f"{name}.txt").open("w") as table,
            self._started([*DAEMON, "check-client", *options, "--", *client.command], table, path) as process,
        ):
            assert process.stderr is not None
            for line in process.stderr:
                load = max(load, os.getloadavg()[0])
                print(f"{name:17} {line.rstrip()}", flush=True)
            status = process.wait()
        if status not in (0, 1):
            raise CourseFailed(
                f"cannot measure {name}: check-client ended with {status}; see {directory}/{name}.txt"
            )
        found = json.loads(report.read_text())
        report.unlink()
        return Measurement(
            client=name,
            what=client.what,
            started=started.isoformat(timespec="seconds"),
            took=round(time.monotonic() - began, 1),
            jobs=self._jobs,
            side_by_side=self._side_by_side,
            machine=Machine.this_one(load),
            report=found,
        )

    def end(self) -> None:
        """End those that run, with their clients, and start no more."""
        self._ending.set()
        for process in list(self._running):
            process.send_signal(signal.SIGINT)

    @contextlib.contextmanager
    def _started(self, command: list[str], table: TextIO, path: str) -> Iterator[subprocess.Popen[str]]:
        """In a session of its own: Ctrl-C is for us, and check-client ends its clients when we interrupt it."""
        if self._ending.is_set():
            raise CourseFailed("interrupted")
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=table,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env={**os.environ, "PATH": path},
            start_new_session=True,
        )
        bound = threading.Timer(self.most, process.send_signal, [signal.SIGINT])
        bound.start()
        self._running.add(process)
        try:
            yield process
        finally:
            bound.cancel()
            self._running.discard(process)
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(END_LIMIT)
                process.kill()
                process.wait()
