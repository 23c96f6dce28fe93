"""A real `netmap-supervisor run` as a child process, with directories of its own; tests and benchmarks use it.

It is driven through its command line, its log and signals only, as a user would.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from types import TracebackType

    Status = dict[str, Any]
    Event = dict[str, Any]

PROGRAM = (sys.executable, "-P", "-m", "netmap_supervisor")
STOP_LIMIT = 15.0
"""Seconds for a stop; the daemon itself promises 5, which is for its own tests to check."""


def clean_environment(home: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment without settings of ours, without proxies, and with a home of its own."""
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("NETMAP_SUPERVISOR_", "XDG_")) and not key.lower().endswith("_proxy")
    }
    return kept | {"HOME": str(home), "PYTHONUNBUFFERED": "1", "COLUMNS": "120"} | dict(extra or {})


class Daemon:
    """One daemon. Use as a context manager; `start()` may be called again after its end."""

    def __init__(
        self,
        *options: str,
        config: str = "",
        prefix: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        directory: Path | None = None,
        history: bool = False,
    ) -> None:
        """As a service runs it, without a view, and without a history unless asked for.

        `options` go to `run`; `config` is the text of a TOML file; `prefix` stands before every command.

        `directory` keeps state and runtime directory and must have a short name (socket paths are limited to 107
        bytes); without it a temporary one is made and removed.
        """
        self._made = directory is None
        self.directory = directory or Path(tempfile.mkdtemp(prefix="nms-", dir="/tmp"))
        self.state_dir = self.directory / "state"
        self.runtime_dir = self.directory / "run"
        self.log_path = self.directory / "log.jsonl"
        self.out_path = self.directory / "out.txt"
        self.config_path = self.directory / "config.toml"
        self.config_path.write_text(config)
        self._options = options if history else ("--history-keep=off", *options)
        self._prefix = tuple(prefix)
        self._env = clean_environment(self.directory, env)
        self._process: subprocess.Popen[bytes] | None = None
        self._seen_children: set[int] = set()

    # --- life -------------------------------------------------------------------------------------------------

    def start(self) -> Self:
        """Spawn it; returns at once. The log of an earlier start is kept, new lines are appended."""
        for made in (self.state_dir, self.runtime_dir):
            made.mkdir(mode=0o700, exist_ok=True)
        command = [
            *self._prefix,
            *PROGRAM,
            "run",
            f"--config={self.config_path}",
            f"--state-dir={self.state_dir}",
            f"--runtime-dir={self.runtime_dir}",
            "--log-format=json",
            "--view=off",
            *self._options,
        ]
        with self.log_path.open("ab") as log, self.out_path.open("ab") as out:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=log, env=self._env
            )
        return self

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The started process."""
        assert self._process is not None, "the daemon was not started"
        return self._process

    @property
    def pid(self) -> int:
        """Process id of the Supervisor."""
        return self.process.pid

    def running(self) -> bool:
        """It was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def wait(self, limit: float = STOP_LIMIT) -> int:
        """Its exit status, negative for a signal. Raises subprocess.TimeoutExpired."""
        return self.process.wait(limit)

    def terminate(self, limit: float = STOP_LIMIT) -> int:
        """SIGTERM, then its exit status."""
        self.process.terminate()
        return self.wait(limit)

    def kill(self, limit: float = STOP_LIMIT) -> None:
        """SIGKILL to the Supervisor alone, not to its children."""
        self.process.kill()
        self.process.wait(limit)

    def close(self) -> None:
        """End whatever is left of it and remove the temporary directory."""
        if self.running():
            self._note_children()
            self.process.terminate()
            try:
                self.process.wait(STOP_LIMIT)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(STOP_LIMIT)
        for pid in self._seen_children:
            if is_actor_process(pid, self.runtime_dir):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        if self._made:
            shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> Self:
        return self if self._process else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and self.log_path.exists():
            tail = self.log_path.read_text(errors="replace").splitlines()[-40:]
            print(f"--- last lines of {self.log_path}", *tail, sep="\n", file=sys.stderr)
        self.close()

    # --- commands ---------------------------------------------------------------------------------------------

    def command(
        self, *arguments: str, limit: float = 20.0, check: bool = False
    ) -> subprocess.CompletedProcess[str]:
        """Run one command against this daemon, with `--runtime-dir` added, and wait for it."""
        command = [*self._prefix, *PROGRAM, *arguments, f"--runtime-dir={self.runtime_dir}"]
        return subprocess.run(
            command, env=self._env, capture_output=True, text=True, timeout=limit, check=check
        )

    def run_free(self, *arguments: str, limit: float = 20.0) -> subprocess.CompletedProcess[str]:
        """Run one command as it is, in this daemon's environment, and wait for it."""
        command = [*self._prefix, *PROGRAM, *arguments]
        return subprocess.run(
            command, env=self._env, capture_output=True, text=True, timeout=limit, check=False
        )

    def spawn_command(self, *arguments: str, **options: Any) -> subprocess.Popen[bytes]:
        """Start one command against this daemon (`watch --json` …); the caller ends it."""
        command = [*self._prefix, *PROGRAM, *arguments, f"--runtime-dir={self.runtime_dir}"]
        return subprocess.Popen(command, env=self._env, stdin=subprocess.DEVNULL, **options)

    def status(self) -> Status | None:
        """`status --json`, or None while there is no answer."""
        shown = self.command("status", "--json")
        try:
            status = json.loads(shown.stdout)
        except ValueError:
            return None
        if not isinstance(status, dict) or "actors" not in status:
            return None
        self._seen_children.update(actor["pid"] for actor in status["actors"] if actor.get("pid"))
        return status

    def wait_status(
        self, predicate: Callable[[Status], object], limit: float = 20.0, what: str = "a status"
    ) -> Status:
        """The first status the predicate holds for. Raises TimeoutError, or AssertionError when the daemon ended."""

        def asked() -> Status | None:
            status = self.status()
            if status is not None and predicate(status):
                return status
            assert self.running(), (
                f"the daemon ended with {self.process.returncode} while a test waited for {what}"
            )
            return None

        return wait_for(asked, limit, what)

    def wait_fresh(self, limit: float = 30.0) -> Status:
        """The first status whose netmap is fresh."""
        return self.wait_status(lambda status: status["netmap"]["state"] == "fresh", limit, "a fresh netmap")

    def wait_reported(self, limit: float = 20.0) -> Status:
        """The first status with a heartbeat of every process in it: how large it is and what holds it come with those.

        A netmap may be fresh, and a new process ready, before that.
        """
        return self.wait_status(
            lambda status: all(row["rss_bytes"] and row["confinement"] for row in status["actors"]),
            limit,
            "a heartbeat of every process",
        )

    # --- processes --------------------------------------------------------------------------------------------

    def actor(self, name: str) -> dict[str, Any]:
        """One actor's row of `status`."""
        status = self.status()
        assert status is not None, "the daemon does not answer"
        return next(row for row in status["actors"] if row["name"] == name)

    def signal_actor(self, name: str, number: signal.Signals = signal.SIGKILL) -> int:
        """Send a signal to one actor's process; returns the process id."""
        pid = self.actor(name)["pid"]
        assert is_actor_process(pid, self.runtime_dir, self.pid), f"{pid} is not the {name} of this daemon"
        os.kill(pid, number)
        return pid

    def children(self) -> list[int]:
        """Process ids of the Supervisor's children, from /proc."""
        return children_of(self.pid)

    def tree(self) -> list[int]:
        """The Supervisor and everything below it."""
        return tree_of(self.pid)

    def _note_children(self) -> None:
        self._seen_children.update(self.children())

    # --- the log ----------------------------------------------------------------------------------------------

    def events(self, name: str | None = None, **fields: object) -> list[Event]:
        """Log events so far, those with this name and these fields."""
        return list(matching(read_events(self.log_path), name, fields))

    def wait_event(self, name: str, limit: float = 20.0, *, after: int = 0, **fields: object) -> Event:
        """The first event of this name and fields, the `after` first ones not counted."""

        def found() -> Event | None:
            events = self.events(name, **fields)
            return events[after] if len(events) > after else None

        return wait_for(found, limit, f"log event {name} {fields or ''}")


def read_events(path: Path) -> Iterator[Event]:
    """The complete JSON lines of a log file; other lines are left out."""
    if not path.exists():
        return
    for line in path.read_bytes().split(b"\n")[:-1]:
        with contextlib.suppress(ValueError):
            event = json.loads(line)
            if isinstance(event, dict):
                yield event


def matching(events: Iterator[Event], name: str | None, fields: Mapping[str, object]) -> Iterator[Event]:
    """Those events that have this name and carry these fields."""
    for event in events:
        if name in {None, event.get("event")} and all(
            event.get(key) == value for key, value in fields.items()
        ):
            yield event


def children_of(pid: int) -> list[int]:
    """Process ids of a process's children, of all its threads."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += map(int, task.read_text().split())
    return found


def tree_of(pid: int) -> list[int]:
    """A process and all its descendants."""
    found = [pid]
    for member in found:
        found += children_of(member)
    return found


def role_of(pid: int) -> str:
    """What this child of a daemon is, an actor or `nursery`; empty for any other process and for one that has ended."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return ""
    # Its own word once it runs; before that, the command it was started with.
    program, _, role = words[0].partition(": ")
    if program == "netmap-supervisor":
        return role
    return words[words.index("netmap_actors") + 1] if "netmap_actors" in words else ""


def is_actor_process(pid: int, runtime_dir: Path, parent: int | None = None) -> bool:
    """This process is (still) a child actor of the daemon with that runtime directory."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    parent_now = int(stat.rpartition(")")[2].split()[1])
    if role_of(pid) in {"", "nursery"}:
        return False
    return parent_now == parent if parent is not None else holds_lock_of(pid, runtime_dir)


def holds_lock_of(pid: int, runtime_dir: Path) -> bool:
    """The process has a file below this directory open: every child inherits the lock of the runtime directory."""
    with contextlib.suppress(OSError):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                if str(descriptor.readlink()).startswith(f"{runtime_dir}/"):
                    return True
    return False
