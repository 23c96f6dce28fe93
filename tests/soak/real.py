"""A real daemon under a storm of kills and cuts, then in a long calm with very many keep-alives.

The moments are random and come from the seed. Whoever looks at it afterwards has the daemon's own log and the list
of what was done to it; a kill that is in the one and not in the other is a failure.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import json
import os
import random
import re
import signal
import socket
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netmap_supervisor import Snapshot, Subscriber
from netmap_supervisor.admin.socket import AdminClient, AdminError
from tests.soak import network
from tests.soak.samples import Samples
from tests.support.processes.daemon import Daemon, children_of, is_actor_process, matching, role_of
from tests.support.servers import scripted
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from tests.soak.samples import Growth

__all__ = ["Report", "Soak"]

CONNECTION = "control_connection"
STORM = 0.6
"""Share of the time."""
KEEP_ALIVE = 0.02
SILENCE = 4.0
"""Seconds; a busy machine may hold up a keep-alive for one."""
HEALTHY = 27.0
"""Seconds between two kills of the same process other than the connection: one that is well in between is restarted
at once, for ever."""
RECOVERY = 20.0
PROBE = 6.0
"""Seconds for the answer of a connection that may be dead, and for who has to tell that there was none."""
NETWORK = ("routes flap", "a family goes", "sleep", "lid closed")
"""Done where a network can be made; nobody hurries the daemon after them."""
SAMPLE_EVERY = 1.0
BULK = 150_000
"""Bytes that do not compress, twice a second in the calm: both windows are used up several times in two minutes."""
_WINDOW = re.compile(rb'event="window_low_percent"\} ([0-9.]+)')


@dataclasses.dataclass
class Report:
    """What was done, what came of it, and what is wrong."""

    seconds: float = 0.0
    done: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    respawns: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    recoveries: list[float] = dataclasses.field(default_factory=list)
    killed_by_us: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    """Kills of the Supervisor by their reason."""
    keep_alives: int = 0
    """In the session of the calm."""
    window_low: float = 100.0
    samples: int = 0
    growths: list[Growth] = dataclasses.field(default_factory=list)
    problems: list[str] = dataclasses.field(default_factory=list)

    def lines(self) -> list[str]:
        """The table."""
        quick = sorted(self.recoveries) or [0.0]
        rows = [
            ("time", f"{self.seconds:.0f} s"),
            ("done to it", ", ".join(f"{count} × {what}" for what, count in sorted(self.done.items()))),
            (
                "processes started again",
                ", ".join(f"{count} × {name}" for name, count in self.respawns.most_common()),
            ),
            (
                "kills by the Supervisor",
                ", ".join(f"{n} × {why}" for why, n in self.killed_by_us.items()) or "none",
            ),
            ("until fresh again", f"median {statistics.median(quick):.2f} s, worst {quick[-1]:.2f} s"),
            ("keep-alives in the last session", str(self.keep_alives)),
            ("lowest window", f"{self.window_low:.0f} %"),
        ]
        longest = sorted(self.growths, key=lambda growth: -growth.lived)[:8]
        rows += [(f"{growth.name}, {growth.lived:.0f} s", growth.text) for growth in longest]
        return [f"{name:<34}{text}" for name, text in rows] + [
            f"FAILED: {problem}" for problem in self.problems
        ]


class Soak:
    """One run. `seconds` in all; the daemon and its server live below `directory`."""

    def __init__(self, seconds: float, seed: int, directory: Path) -> None:
        self._seconds = seconds
        self._random = random.Random(seed)
        self._directory = directory
        self._bulk = json.dumps({"Health": [self._random.randbytes(BULK).hex()]})
        """Much to read, of which only the first is news: it goes through the windows and stays nowhere."""
        self._fed = False
        """The connection has had a large message."""
        self._report = Report()
        self._samples = Samples(warm_up=min(10.0, seconds / 10))
        self._next_sample = 0.0
        self._last_kill: dict[str, float] = {}
        self._our_victims: set[int] = set()
        self._silenced: set[int] = set()
        """Processes whose server fell silent."""
        self._network: network.Network | None = None
        """Where one can be made: root, namespaces and a C compiler."""
        self._excused: list[range] = []
        """Places in the log at which the network was not there, or the machine slept."""
        self._zombies: set[int] = set()
        self._nurseries: set[int] = set()

    def run(self) -> Report:
        """Storm, calm, and the look at it all."""
        report = self._report
        settings: dict[str, Any] = {"keep_alive": KEEP_ALIVE, "churn": 0.0, "nodes": 20}
        with contextlib.ExitStack() as stack:
            if network.problem() is None:
                self._network = stack.enter_context(network.Network(self._directory))
                settings["host"] = "::"
            server = self._server = stack.enter_context(scripted.running(self._directory, **settings))
            if self._network is not None:
                server.url = f"http://{network.HOST}:{server.server.port}"
            http = self._directory / "http.sock"
            options = (
                *scripted.joined(server),
                f"--silence-timeout={SILENCE:g}s",
                f"--http-listen=unix:{http}",
                "--insecure-key-fetch",
            )
            prefix, env = (self._network.prefix, self._network.clocks.env) if self._network else ((), {})
            with (
                Daemon(*options, prefix=prefix, env=env) as daemon,
                Subscriber(runtime_dir=daemon.runtime_dir) as subscriber,
            ):
                self._daemon = daemon
                daemon.wait_fresh()
                began = time.monotonic()
                # However short the storm, and whatever is drawn: one process at least has to come back.
                self._strike("kill connection")
                while time.monotonic() < began + STORM * self._seconds:
                    self._strike(self._draw())
                    subscriber.poll()
                self._calm(began + self._seconds, http)
                subscriber.poll()
                report.seconds = time.monotonic() - began
                self._check_netmap(subscriber)
                daemon.terminate()
                self._check_log()
        report.samples = self._samples.taken
        report.growths = self._samples.growths()
        report.problems += [problem for growth in report.growths for problem in growth.problems()]
        if not any(growth.name == "supervisor" for growth in report.growths):
            report.problems.append("the Supervisor was not looked at often enough")
        return report

    # The storm

    def _victims(self) -> list[str]:
        return [name for name in ("publisher", "liveness", "http_endpoint") if self._may_die(name)]

    def _draw(self) -> str:
        there = 8 if self._network is not None else 0
        return self._random.choices(
            ["kill connection", "cut", "close", "reconnect", "silence", "kill another", *NETWORK],
            [50, 15, 10, 10, 3, 15 if self._victims() else 0, *(there for _ in NETWORK)],
        )[0]

    def _strike(self, what: str) -> None:
        before = self._pids(self._status())
        if what in NETWORK:
            self._strike_network(what)
            return
        began = time.monotonic()
        match what:
            case "kill connection":
                self._kill(CONNECTION, before)
            case "kill another":
                self._kill(self._random.choice(self._victims()), before)
            case "cut":
                self._server.server.drop_all(reset=True)
            case "close":
                self._server.server.drop_all(reset=False)
            case "reconnect":
                self._ask("reconnect")
            case "silence":
                self._silenced.add(before.get(CONNECTION, 0))
                self._server.fault("liveness/silence", scope="current")
        self._report.done[what] += 1
        gone = None if what == "kill another" else before.get(CONNECTION)
        self._recover(gone, began, SILENCE if what == "silence" else 0.0)
        time.sleep(self._random.uniform(0.0, 0.5))

    def _strike_network(self, what: str) -> None:
        assert self._network is not None
        began = len(self._daemon.events())
        match what:
            case "routes flap":
                self._network.flap(self._random)
            case "a family goes":
                self._network.lose_family(self._random)
            case _:
                self._network.sleep(self._random, closed=what == "lid closed")
        self._report.done[what] += 1
        # What is dead without knowing it is found out within the limit of silence, or by a probe.
        known = time.monotonic() + SILENCE + PROBE
        while time.monotonic() < known:
            self._status()  # a look at its processes, too
            time.sleep(0.25)
        self._recover(None, time.monotonic(), 0.0, alone=True)
        self._excused.append(range(began, len(self._daemon.events())))

    def _may_die(self, name: str) -> bool:
        return time.monotonic() >= self._last_kill.get(name, float("-inf")) + HEALTHY

    def _kill(self, name: str, pids: dict[str, int]) -> None:
        pid = pids.get(name)
        if pid is None or not is_actor_process(pid, self._daemon.runtime_dir, self._daemon.pid):
            return
        self._our_victims.add(pid)
        self._last_kill[name] = time.monotonic()
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    def _recover(self, gone: int | None, began: float, excused: float, *, alone: bool = False) -> None:
        """Until the netmap is fresh over another process; unless it is left alone an operator spares it the wait."""

        def fresh() -> bool:
            status = self._status()
            connection = status["connection"]
            if (
                not alone
                and connection["state"] == "backing_off"
                and (connection["next_attempt_s"] or 0.0) > 0.3
            ):
                self._ask("reconnect")
            return status["netmap"]["state"] == "fresh" and connection["pid"] not in {None, gone}

        try:
            wait_for(fresh, RECOVERY + excused, "a fresh netmap", every=0.05)
        except TimeoutError:
            self._report.problems.append(f"not fresh within {RECOVERY:g} s: {self._status()['connection']}")
        if gone is not None:
            self._report.recoveries.append(time.monotonic() - began - excused)

    # The calm

    def _calm(self, until: float, http: Path) -> None:
        # Whoever was killed last gets the time to be well.
        connection = self._pids(self._status()).get(CONNECTION)
        while time.monotonic() < until:
            self._status()
            if self._random.random() < 0.3:
                self._churn(self._random.randint(1, 5))
            self._server.server.raw(self._bulk)
            if not self._fed:
                # With its first large message a process makes what it keeps for all of them: pyzmq's thread and files.
                self._fed = True
                time.sleep(0.5)
                self._samples.begin_again(connection)
            for told in _WINDOW.findall(_metrics(http)):
                self._report.window_low = min(self._report.window_low, float(told))
            time.sleep(0.5)
        if self._pids(self._status()).get(CONNECTION) != connection:
            self._report.problems.append("a connection ended in the calm")
        streams = [stream for client in self._server.server.clients() for stream in client.map_streams]
        self._report.keep_alives = max((stream.messages for stream in streams), default=0)
        # Below half only by what came with the last read; the daemon tells whole percents.
        if not 49.0 <= self._report.window_low <= 100.0:
            self._report.problems.append(f"a window of HTTP/2 fell to {self._report.window_low:.0f} %")

    def _churn(self, count: int) -> None:
        self._server.server.call(lambda commands: commands.churn(count))

    # Looking

    def _status(self) -> dict[str, Any]:
        def asked() -> Any:
            try:
                return AdminClient(self._daemon.runtime_dir).request("status")
            except AdminError:
                assert self._daemon.running(), "the daemon ended"
                return None

        status: dict[str, Any] = wait_for(asked, RECOVERY, "an answer of the daemon")
        now = time.monotonic()
        if now >= self._next_sample:
            self._next_sample = now + SAMPLE_EVERY
            self._samples.take(self._pids(status), now)
            self._look_at_children()
        return status

    def _ask(self, command: str) -> None:
        with contextlib.suppress(AdminError):
            AdminClient(self._daemon.runtime_dir).request(command)

    @staticmethod
    def _pids(status: dict[str, Any]) -> dict[str, int]:
        return {row["name"]: row["pid"] for row in status["actors"] if row["pid"]}

    def _look_at_children(self) -> None:
        """Never two connections, and nobody stays a zombie."""
        roles, zombies = collections.defaultdict[str, set[int]](set), set()
        for pid in children_of(self._daemon.pid):
            with contextlib.suppress(OSError):
                if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                    zombies.add(pid)
                else:
                    roles[role_of(pid)].add(pid)
        # A child is called as the nursery is for as long as it takes to say who it is.
        stay, self._nurseries = roles["nursery"] & self._nurseries, roles["nursery"]
        for only, pids in ((CONNECTION, roles[CONNECTION]), ("nursery", stay)):
            if len(pids) > 1:
                self._report.problems.append(f"{len(pids)} processes are {only} at a time")
        if zombies & self._zombies:
            self._report.problems.append(f"zombies: {sorted(zombies & self._zombies)}")
        self._zombies = zombies

    def _check_netmap(self, subscriber: Subscriber) -> None:
        there = {node.stable_id for node in self._server.server.nodes() if not node.registered}

        def same(view: Snapshot) -> bool:
            return set(view.netmap.peers) == there and view.state == "fresh"

        if not subscriber.wait_for(same, 10.0):
            now = subscriber.store.snapshot()
            self._report.problems.append(
                f"a subscriber holds {len(now.netmap.peers)} peers ({now.state}), the server has {len(there)}"
            )

    def _check_log(self) -> None:
        """Every end has a cause that is ours."""
        report = self._report
        for event in self._daemon.events("actor_started"):
            report.respawns[event["actor"]] += 1
        report.respawns.subtract(set(report.respawns))
        events = self._daemon.events()
        excused = {id(events[place]) for places in self._excused for place in places}
        for event in matching(iter(events), "child_killed", {}):
            why = event["reason"]
            report.killed_by_us[why] += 1
            if id(event) in excused and why in {"silence", "link", "wake", "error"}:
                continue
            if why == "silence" and event["pid"] not in self._silenced:
                report.problems.append(f"killed for silence without a fault: {event}")
            elif why not in {"silence", "operator"}:
                report.problems.append(f"a kill nobody asked for: {event}")
        for event in matching(iter(events), "actor_exited", {}):
            if id(event) in excused and event["reason"] == "error":
                continue
            if event.get("signal") == signal.SIGKILL and event["reason"] == "signal 9":
                if event["pid"] not in self._our_victims:
                    report.problems.append(f"ended by a signal nobody sent: {event}")
            elif event["reason"] in {"crashed", "hung", "error", "configuration"}:
                report.problems.append(f"ended by itself: {event}")


def _metrics(path: Path) -> bytes:
    """The page /metrics; empty while nobody serves it."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(5.0)
        try:
            client.connect(str(path))
            client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            page = b""
            while data := client.recv(65536):
                page += data
        except OSError:
            return b""
    return page
