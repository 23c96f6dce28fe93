"""`python -m tests.soak.night [--stay]`: eight hours of a daemon in a quarter of one, and what it says in the morning.

A real daemon against a real `dev-control`, whose tailnet and faults are docs/examples/scenarios/a-night.toml; a sleep
of the machine and crashes come from here. What is asked for in the morning are floors, each of what was done.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
import time
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from netmap_actors.rfc3339 import unix_seconds
from tests.support.host.moved_clocks import MovedClocks, problem
from tests.support.processes.daemon import Daemon
from tests.support.processes.dev_server import running_dev_server
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SCENARIO = Path(__file__).parents[2] / "docs" / "examples" / "scenarios" / "a-night.toml"
NIGHT = 8 * 3600.0
"""Seconds on the daemon's clocks."""
SLOW = 4
FAST = 30
"""How fast the clocks run. Work takes as long as ever: at 30 a process that takes half a second to start is hung."""
LONGEST = 60.0
"""Seconds of the longest timer that has to be right: a server's keep-alive. One that the kernel was given at half the
rate takes twice as long, and is still no silence."""
AFTERMATH = {"fault": 420.0, "asleep": 60.0, "killed": 45.0}
"""Seconds during which processes may be started."""
ASLEEP_AT, ASLEEP = 9000.0, 41 * 60.0
CRASHES = {13_000.0: "publisher", 17_400.0: "control_connection", 21_000.0: "liveness"}
LOOK = 0.02
"""Real seconds between two looks at the time."""


class Due(NamedTuple):
    """Something of the schedule; `actor`: whose process is killed."""

    at: float
    what: str
    actor: str = ""

    @property
    def until(self) -> float:
        """When all that comes of it has come."""
        return self.at + AFTERMATH.get(self.what, 0.0) + (ASLEEP if self.what == "asleep" else 0.0)


def schedule() -> list[Due]:
    """All of it, by time."""
    events = tomllib.loads(SCENARIO.read_text())["event"]
    dues = [Due(float(event["at"]), event["do"]) for event in events]
    crashes = (Due(at, "killed", actor) for at, actor in CRASHES.items())
    return sorted([*dues, Due(ASLEEP_AT, "asleep"), *crashes])


class Told(NamedTuple):
    """An occurrence of `history --json`."""

    at: float
    """Seconds of the night."""
    what: dict[str, Any]

    @property
    def is_alarm(self) -> bool:
        """It says that something went wrong."""
        return self.what["kind"] in {"silence_detected", "wake_detected", "gap"} or (
            self.what["kind"] == "actor_exited"
            and self.what["detail"].get("reason") not in {"closed", "refused"}
        )

    @property
    def has_cause(self) -> bool:
        """Something that was due shortly before."""
        return any(due.at - 5.0 <= self.at <= due.until for due in schedule())


class Expected(NamedTuple):
    """What has to be told of something that was done."""

    kind: str
    at: float
    within: float
    about: str = ""
    """Stands in it: a node, an actor."""

    def is_met(self, told: Told) -> bool:
        """It is this, and in time."""
        return (
            told.what["kind"] == self.kind
            and self.at - 5.0 <= told.at <= self.at + self.within
            and self.about in json.dumps(told.what)
        )


EXPECTED = (
    Expected("node_offline", 600.0, 30.0, "laptop"),
    # Keep-alives come every 50 s: the silence began up to so long before, and the netmap is stale 120 s after that.
    Expected("silence_detected", 2400.0 + 70.0, 60.0),
    Expected("netmap_stale", 2400.0 + 70.0, 60.0),
    Expected("netmap_fresh", 2400.0 + 71.0, 420.0),
    Expected("node_renamed", 7200.0, 30.0, "db-main"),
    Expected("wake_detected", ASLEEP_AT, ASLEEP + 30.0),
    *(Expected("actor_exited", at, 30.0, actor) for at, actor in CRASHES.items()),
    *(Expected("actor_started", at, 45.0, actor) for at, actor in CRASHES.items()),
    Expected("node_offline", 16_200.0, 30.0, "web-1"),
    Expected("node_left", 16_500.0, 30.0, "web-1"),
    Expected("node_key_expired", 19_800.0, 30.0, "nas"),
    Expected("session_ended", 22_800.0, 30.0),
    Expected("netmap_fresh", 23_100.0, 120.0),
    Expected("node_joined", 25_200.0, 30.0, "phone"),
    Expected("node_online", 27_000.0, 30.0, "laptop"),
)


class Night:
    """One, from the first fresh netmap on."""

    def __init__(self, directory: Path, *options: str, fast: int = FAST) -> None:
        """`directory`: has a short name, and is kept. `options` go to `run`."""
        self._rate = SLOW
        self._fast = fast
        self._slow_until = 0.0
        self.directory = directory
        (directory / "daemon").mkdir()
        (directory / "server").mkdir()
        self.clocks = MovedClocks(directory / "daemon")
        self._server_clocks = MovedClocks(directory / "server")
        self._options = options
        self.began = 0.0
        """UNIX seconds of the daemon's clock."""

    @contextlib.contextmanager
    def living(self) -> Iterator[Daemon]:
        """The daemon, after the night."""
        for clocks in (self.clocks, self._server_clocks):
            clocks.step_wall(-NIGHT)
            clocks.run(SLOW)
        preload = [f"LD_PRELOAD={self._server_clocks.env['LD_PRELOAD']}"]
        with running_dev_server(
            "--nodes=0", f"--scenario={SCENARIO}", "--churn=0", prefix=("env", *preload)
        ) as server:
            key = self.directory / "auth_key"
            key.write_text(server.auth_key)
            key.chmod(0o600)
            with Daemon(
                f"--control-url={server.url}",
                f"--auth-key=file:{key}",
                "--hostname=observer",
                *self._options,
                env=self.clocks.env,
                directory=self.directory / "daemon",
                history=True,
            ) as daemon:
                daemon.wait_fresh()
                self._live(daemon)
                yield daemon

    def _live(self, daemon: Daemon) -> None:
        self.began = self.clocks.wall()
        for due in schedule():
            if due.until > due.at:
                self._pass(due.at - LONGEST)
                self._run(SLOW)
            self._pass(due.at)
            if due.actor:
                daemon.signal_actor(due.actor)
            elif due.what == "asleep":
                self._server_clocks.advance(ASLEEP)
                self.clocks.suspend(ASLEEP)
            self._say(due)
            self._slow_until = max(self._slow_until, due.until)
        # The morning is now.
        while self.clocks.wall() < time.time():
            time.sleep(LOOK)
        self._run(1)
        daemon.wait_fresh()

    def _pass(self, until: float) -> None:
        """Twice as fast at a time, when no timer is left from when it was half as fast."""
        held = time.monotonic()
        while (now := self.clocks.wall() - self.began) < until:
            if (
                now > self._slow_until
                and self._rate < self._fast
                and time.monotonic() > held + 2 * LONGEST / self._rate
            ):
                self._run(min(self._rate * 2, self._fast))
                held = time.monotonic()
            time.sleep(LOOK)

    def _run(self, rate: int) -> None:
        self._rate = rate
        for clocks in (self.clocks, self._server_clocks):
            clocks.run(rate)

    def _say(self, due: Due) -> None:
        shown = time.strftime("%H:%M:%S", time.localtime(self.clocks.wall()))
        print(f"{shown}  {due.what} {due.actor}", file=sys.stderr, flush=True)


def morning(daemon: Daemon, night: Night) -> list[str]:
    """What `history` and `status` do not say of what was done, or say of what was not; empty when all is right."""
    status = daemon.wait_fresh()
    answer = json.loads(daemon.command("history", "--since=12h", "--json", limit=60.0).stdout)
    told = [Told(unix_seconds(one["at"]) - night.began, one) for one in answer["occurrences"]]
    wrong = [f"nothing of it: {expected}" for expected in EXPECTED if not any(map(expected.is_met, told))]
    wrong += [f"not of what was done: {one.what}" for one in told if one.is_alarm and not one.has_cause]
    if status["netmap"]["state"] != "fresh":
        wrong.append(f"the netmap is {status['netmap']['state']}")
    return wrong


def main(words: Sequence[str] | None = None) -> int:
    """Exit status 1 when something was not told."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak.night", description=__doc__)
    parser.add_argument("--stay", action="store_true", help="until Ctrl-C, to be looked at")
    parser.add_argument(
        "--http", default="127.0.0.1:8765", help="where the page is (default: 127.0.0.1:8765)"
    )
    parser.add_argument(
        "--fast", type=int, default=FAST, help=f"how fast clocks run in between (default: {FAST})"
    )
    options = parser.parse_args(words)
    reason = problem()
    if reason is not None:
        print(f"cannot live through a night: {reason}", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="nmn-", dir="/tmp") as made:
        night = Night(Path(made), f"--http-listen={options.http}", fast=options.fast)
        with night.living() as daemon:
            missing = morning(daemon, night)
            print(*(missing or ["everything that was done is told"]), sep="\n")
            shown = daemon.command("status").stdout
            print(shown)
            if options.stay:
                print(f"--runtime-dir {daemon.runtime_dir} --state-dir {daemon.state_dir}", flush=True)
                with contextlib.suppress(KeyboardInterrupt):
                    wait_for(lambda: None, 36_000.0, "Ctrl-C")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
