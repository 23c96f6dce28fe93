"""A Supervisor over real processes of fake actors, without a network: what tests of its shell start."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Self

from netmap_supervisor.admin.socket import AdminClient
from tests.support.waiting import wait_for

NAMES = ["dev_control", "publisher", "liveness", "control_connection"]
LIMIT = 20.0
UP_LIMIT = 50.0
"""Seconds for all to be started, by exec and one after another, on a busy machine."""

SITECUSTOMIZE = """
    import sys
    if {"netmap_actors", "-c"} & set(sys.orig_argv):
        from netmap_actors.process import bootstrap
        main = bootstrap.main
        for name in bootstrap.ACTOR_CLASSES:
            bootstrap.ACTOR_CLASSES[name] = "fake_actors:Fake"
        def hooked(actor, boot_fd):
            from netmap_actors.confinement import confinement
            # They write down what they were told, wherever the test is.
            confinement.confine = lambda row, allowed: {"landlock": 7, "capabilities": 0}
            # Nor are they what the machine has to have files for.
            confinement.limit_files = lambda wanted: wanted
            main(actor, boot_fd)
        bootstrap.main = hooked
"""
PROGRAM = """
    import msgspec, os, pathlib, sys
    from netmap_supervisor.system.nursery_process import fork_first
    first_nursery = fork_first(["run"], os.environ)
    from netmap_actors.errors import ConfigurationError, NetmapError
    from netmap_supervisor.config.settings import RunSettings
    from netmap_supervisor.daemon.run import run
    path = pathlib.Path(sys.argv[1])
    def read():
        try:
            return msgspec.json.decode(path.read_bytes(), type=RunSettings)
        except msgspec.DecodeError as error:
            raise ConfigurationError(f"cannot read {path}: {error}")
    try:
        sys.exit(run(read(), read_settings=read, first_nursery=first_nursery))
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        sys.exit(78)
    except NetmapError as error:
        print(error, file=sys.stderr)
        sys.exit(1)
"""


class FakeDaemon:
    """One daemon whose actors are fakes. Its own log goes into a file, as JSON lines."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.runtime_dir = place / "run"
        self.log_path = place / "log"
        self.process: subprocess.Popen[bytes] | None = None
        self.process_group: int | None = None
        """0 for one of its own."""
        for name in ("behaviour", "boots"):
            (place / name).mkdir()
        (place / "sitecustomize.py").write_text(textwrap.dedent(SITECUSTOMIZE))
        fakes = Path(__file__).with_name("fake_actors.py")
        (place / "fake_actors.py").write_text(fakes.read_text())
        # Four children, of which each test knows where they are; the history has its own tests.
        self.settings = {
            "state_dir": str(place / "state"),
            "runtime_dir": str(self.runtime_dir),
            "history_keep": 0,
        }
        self.write_settings()

    def write_settings(self, **changes) -> None:
        self.settings |= changes
        (self.place / "settings.json").write_text(json.dumps(self.settings))

    def behave(self, actor: str, how: str) -> None:
        (self.place / "behaviour" / actor).write_text(how)

    def start(self, **environment: str) -> Self:
        command = [sys.executable, "-P", "-c", textwrap.dedent(PROGRAM), str(self.place / "settings.json")]
        env = {**os.environ, "PYTHONPATH": str(self.place), **environment}
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                command, env=env, stdin=subprocess.DEVNULL, stderr=log, process_group=self.process_group
            )
        return self

    def up(self, **environment: str) -> Self:
        self.start(**environment)
        self.wait_event("up")
        return self

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(LIMIT)

    def wait(self) -> int:
        assert self.process is not None
        return self.process.wait(LIMIT)

    def request(self, command: str, /, **arguments):
        return AdminClient(self.runtime_dir).request(command, **arguments)

    def row(self, name: str) -> dict:
        return next(row for row in self.request("status")["actors"] if row["name"] == name)

    def events(self, name: str | None = None, **fields) -> list[dict]:
        found = []
        for line in self.log_path.read_bytes().split(b"\n")[:-1]:
            if line.startswith(b"{"):
                event = json.loads(line)
                if name in {None, event["event"]} and fields.items() <= event.items():
                    found.append(event)
        return found

    def wait_event(self, name: str, after: int = 0, **fields) -> dict:
        limit = UP_LIMIT if name == "up" else LIMIT
        return wait_for(
            lambda: self.events(name, **fields)[after : after + 1], limit, f"{name} {fields or ''}"
        )[0]

    def told(self, actor: str, incarnation: int = 1) -> dict:
        path = self.place / "boots" / f"{actor}-{incarnation}.json"
        wait_for(path.exists, LIMIT, path.name)
        return json.loads(path.read_text())

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def pidfds(pids) -> list[int]:
    return [os.pidfd_open(pid) for pid in pids]


def wait_gone(fds: list[int], limit: float) -> None:
    """Every one of these processes has ended (a pidfd tells it also of those that are not our children)."""
    wait_for(lambda: len(select.select(fds, [], [], 0.0)[0]) == len(fds), limit, "the end of every process")
    for fd in fds:
        os.close(fd)
