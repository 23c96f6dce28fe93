"""A daemon with a history, its tailnet alive, and everything around it killed, stopped and filled, in a seeded order.

Afterwards the history is held against what happened (`histories.truth_checker`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import random
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netmap_actors.history.answers import HistoryQuestion
from netmap_actors.history.questions import NoHistory, ask_daemon
from netmap_actors.history.spans import Interval
from netmap_actors.rfc3339 import stamp, unix_seconds
from netmap_actors.webhooks.spec import EVENTS
from netmap_supervisor.admin.socket import AdminClient, AdminError
from tests.support.histories.delivery_checker import Delivered
from tests.support.histories.delivery_checker import violations as undelivered
from tests.support.histories.tailnet_truth import Logged
from tests.support.histories.truth_checker import LAST_SECOND, PROMPT, Figures, Violation, figures, violations
from tests.support.processes.daemon import Daemon, is_actor_process
from tests.support.servers import scripted
from tests.support.servers.random_tailnet import RandomTailnet
from tests.support.servers.webhook_receiver import WebhookReceiver
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from netmap_actors.history.answers import Answer
    from netmap_actors.history.occurrences import Occurrence
    from tests.support.histories.tailnet_truth import Hindrance
    from tests.support.servers.scripted import Control

__all__ = ["KILLED", "Life", "live", "may_mount", "plan"]

SILENCE = 4.0
CHANGES = 8.0
"""A second."""
PAUSE = 4.0
"""Seconds between two faults, at most."""
STOPS = ((0.5, 2.0), (5.0, 7.5))
"""Seconds a process is stopped: so long that nobody minds, or that others hear too long nothing of it."""
RECOVERY = 30.0
KILLED = ("publisher", "liveness", "control_connection", "history", "http_endpoint", "webhooks")
STOPPED = ("publisher", "control_connection", "history", "webhooks")
AWAY = frozenset({"history", "supervisor", "disk"})
"""While this is gone the history is, too, which it says itself."""
HARMLESS = frozenset({"liveness", "http_endpoint", "webhooks"})
"""Whose death delays nothing."""
HOLD_DOWN = 6.0
"""Seconds of the webhook; a node is offline for about as long."""
TOLD = (
    *(one for one in EVENTS if one.startswith("node_") and one != "node_removed"),
    "netmap_stale",
    "netmap_fresh",
)
"""What the webhook is told."""
ILLNESSES = ("500", "503", "hang")
"""What a receiver answers for a while."""
SECRET = "secret-of-the-webhook"
DELIVERY = 45.0
"""Seconds within which a receiver that is well again has everything; after refusals it is not asked at once."""
OWN_NAMES = {
    "nodeCreated": "node_joined",
    "nodeDeleted": "node_left",
    "nodeKeyExpired": "node_key_expired",
    "nodeKeyExpiringInOneDay": "node_key_expiring",
}
"""Of what Tailscale's form of a body has names for."""
DISK = 16
"""MiB of the disk that gets full."""


class CursorReader:
    """Reads a history from an id on, as webhooks do, whatever happens to it meanwhile."""

    def __init__(self, runtime_dir: Path) -> None:
        self.read: list[tuple[int, Occurrence]] = []
        self._runtime_dir = runtime_dir
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow)
        self._thread.start()

    def _follow(self) -> None:
        file = ""
        while not self._over.is_set():
            after = self.read[-1][0] if self.read else 0
            question = HistoryQuestion(after_id=after, file=file, oldest=True, most=7, lanes=False, wait=1.0)
            try:
                answer = ask_daemon(question, self._runtime_dir, limit=3.0)
            except NoHistory:
                time.sleep(0.05)
                continue
            self.read += answer.occurrences
            file = answer.file

    def close(self) -> list[tuple[int, Occurrence]]:
        """All that it read."""
        self._over.set()
        self._thread.join(10.0)
        return self.read


class Scene:
    """A daemon with a history, and what is done to it."""

    def __init__(
        self,
        server: Control,
        daemon: Daemon,
        tailnet: RandomTailnet,
        receiver: WebhookReceiver,
        rng: random.Random,
    ) -> None:
        self._server = server
        self._daemon = daemon
        self._tailnet = tailnet
        self._receiver = receiver
        self._rng = rng
        self.done: list[str] = []
        self.excused: list[Interval] = []

    def strike(self, what: str) -> None:
        """Break something, and wait until all is well again."""
        self.done.append(what)
        since = time.time()
        verb, _, who = what.partition(" ")
        match verb:
            case "kill" if who == "supervisor":
                self._kill_supervisor()
            case "kill":
                self._kill(*who.split("+"))
            case "stop":
                pid = self._pid(who)
                os.kill(pid, signal.SIGSTOP)
                time.sleep(self._rng.uniform(*self._rng.choice(STOPS)))
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
            case "cut":
                ended = len(self._daemon.events("session_ended"))
                self._server.server.drop_all(reset=self._rng.random() < 0.5)
                self._daemon.wait_event("session_ended", RECOVERY, after=ended)
            case "silence":
                self._server.fault("liveness/silence", scope="current")
                self._wait(lambda status: status["netmap"]["state"] != "fresh", "silence that is noticed")
            case "disk":
                self._fill_disk()
            case "receiver":
                # The next fault may come while it lasts.
                self._receiver.answer = int(who) if who.isdigit() else who
                threading.Timer(self._rng.uniform(2.0, 8.0), self.heal).start()
                return
        self.well()
        for one in who.split("+") if verb == "kill" else [verb]:
            if one not in HARMLESS:
                self._tailnet.truth.hinder(since, time.time(), one, delays=one not in AWAY)

    def heal(self) -> None:
        """The receiver takes everything from now on."""
        self._receiver.answer = 200

    def _pid(self, who: str) -> int:
        pid = next(row["pid"] for row in self._status()["actors"] if row["name"] == who)
        assert is_actor_process(pid, self._daemon.runtime_dir, self._daemon.pid)
        return int(pid)

    def _kill(self, *who: str) -> None:
        """At once, and until the Supervisor has noticed."""
        pids = {name: self._pid(name) for name in who}
        for pid in pids.values():
            os.kill(pid, signal.SIGKILL)
        for name, pid in pids.items():
            self._daemon.wait_event("actor_exited", RECOVERY, actor=name, pid=pid)

    def _kill_supervisor(self) -> None:
        children = self._daemon.children()
        self.excused.append(Interval(time.time() - LAST_SECOND, time.time() + 0.5))
        self._daemon.kill()
        wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in children), 10.0, "no orphan")
        self._daemon.start()

    def _fill_disk(self) -> None:
        filler = Path(f"/proc/{self._daemon.pid}/root{self._daemon.state_dir}/history/filler")
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        self._wait(lambda status: any(one["code"] == "history" for one in status["degraded"]), "a full disk")
        filler.unlink()
        if self._rng.random() < 0.5:
            self._kill("history")

    def _status(self) -> dict[str, Any]:
        def asked() -> Any:
            with contextlib.suppress(AdminError):
                return AdminClient(self._daemon.runtime_dir).request("status")
            return None

        answer: dict[str, Any] = wait_for(asked, RECOVERY, "an answer of the daemon")
        return answer

    def _wait(self, predicate: Any, what: str) -> None:
        wait_for(lambda: predicate(self._status()), RECOVERY, what, every=0.05)

    def well(self) -> None:
        """All processes there, the netmap fresh and the history written."""

        def well(status: dict[str, Any]) -> bool:
            return (
                status["netmap"]["state"] == "fresh"
                and all(row["state"] == "active" for row in status["actors"])
                and not any(one["code"] == "history" for one in status["degraded"])
            )

        self._wait(well, "all to be well")
        wait_for(lambda: self.told() is not None, RECOVERY, "an answer of the history")

    def told(self) -> Answer | None:
        """All the history tells; None while it does not answer."""
        now = time.time()
        with contextlib.suppress(NoHistory):
            return ask_daemon(HistoryQuestion(since=now - 600.0, until=now), self._daemon.runtime_dir)
        return None


@contextlib.contextmanager
def disk_at(directory: Path) -> Iterator[tuple[str, ...]]:
    """Commands with this before them have a small disk there; it stays from one to the next."""
    directory.mkdir(parents=True, mode=0o700)
    mount = f"mount -t tmpfs -o size={DISK}m,mode=700 tmpfs {directory} && echo && exec sleep 300"
    command = ["unshare", "--mount", "--propagation=private", "bash", "-c", mount]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == b"\n", "cannot mount a small disk"
            yield ("nsenter", f"--target={holder.pid}", "--mount", "--")
        finally:
            holder.kill()


def may_mount() -> bool:
    """A small disk can be made."""
    return os.geteuid() == 0 and shutil.which("nsenter") is not None


def plan(rng: random.Random) -> list[str]:
    """What is done to the daemon: everything is killed, the rest is drawn."""
    faults = [f"kill {who}" for who in (*KILLED, "supervisor")]
    faults.append(f"kill {'+'.join(rng.sample(KILLED, 2))}")
    faults += [f"stop {rng.choice(STOPPED)}", rng.choice(["cut", "silence"])]
    faults += [f"receiver {rng.choice(ILLNESSES)}"]
    faults += ["disk"] * may_mount()
    rng.shuffle(faults)
    return faults


@dataclasses.dataclass
class Life:
    """What came of it."""

    done: list[str]
    hindered: list[Hindrance]
    found: list[Violation]
    figures: Figures
    killed: set[str]
    """Those of whom the log has an end by SIGKILL."""
    unlike: list[int]
    """Ids that one who read by cursor all the time has and the history has not, or the reverse, or otherwise."""
    undelivered: list[Violation]
    """What is wrong with what the webhook told."""
    deliveries: int
    """Events that the receiver accepted, again or not."""
    again: int
    """Those of them that it had already."""
    forged: int
    """Requests whose signature does not hold."""

    def lines(self) -> Iterator[str]:
        """The table."""
        yield ", ".join(self.done)
        told = self.figures
        yield (
            f"{told.true} changes, {told.demanded} to be told, {told.unseen} of them unseen; {told.told} occurrences "
            f"of nodes, {told.of_daemon} of the daemon; {told.gaps} gaps, {told.gap_s:.1f} s"
        )
        yield from (
            f"{one.what} from {stamp(one.since, 'milliseconds')} for {one.until - one.since:.2f} s"
            for one in self.hindered
        )
        yield f"{self.deliveries} deliveries, {self.again} of them again, {self.forged} forged"
        yield from map(str, (*self.found, *self.undelivered))
        if self.unlike:
            yield f"read by cursor and told are not the same: {self.unlike}"


def live(rng: random.Random, directory: Path, faults: Sequence[str]) -> Life:
    """One daemon, from its start to the look at its history."""
    with contextlib.ExitStack() as running:
        server = running.enter_context(scripted.running(directory, nodes=15, keep_alive=0.5, batch_delay=0.0))
        options = (
            *scripted.joined(server),
            f"--silence-timeout={SILENCE:g}s",
            f"--http-listen=unix:{directory / 'http'}",
        )
        receiver = running.enter_context(WebhookReceiver(SECRET))
        config = f'[[webhook]]\nname = "hook"\nevents = {json.dumps(TOLD)}\nhold_down = "{HOLD_DOWN:g}s"\n'
        config += "events_per_minute = 6000\nevents_per_body = 20\n"
        for name, text in (("url", receiver.url), ("secret", SECRET)):
            path = directory / name
            path.write_text(text)
            path.chmod(0o600)
            config += f'{name} = "file:{path}"\n'
        place = directory / "d"
        place.mkdir()
        prefix = running.enter_context(disk_at(place / "state" / "history")) if "disk" in faults else ()
        daemon = running.enter_context(
            Daemon(*options, config=config, directory=place, prefix=prefix, history=True)
        )
        daemon.wait_fresh()
        daemon.wait_event("actor_ready", actor="history")
        tailnet = RandomTailnet(server, rng)
        scene = Scene(server, daemon, tailnet, receiver, rng)
        scene.well()
        wait_for(lambda: [*daemon.state_dir.glob("**/hook.json")], 20.0, "the beginning of the webhook")
        reader = CursorReader(daemon.runtime_dir)
        tailnet.live(CHANGES)
        try:
            for what in faults:
                time.sleep(rng.uniform(0.3, PAUSE))
                scene.strike(what)
            time.sleep(2 * PROMPT)
            tailnet.close()
            quiet = time.time()
            # A receiver that was not well is so again by then.
            time.sleep(PROMPT + HOLD_DOWN)
            scene.heal()
            told = scene.told()
            assert told is not None and not told.more

            def wrong() -> list[Violation]:
                return undelivered(
                    told.occurrences, _delivered(receiver), kinds=TOLD, hold_down=HOLD_DOWN, until=quiet
                )

            with contextlib.suppress(TimeoutError):
                wait_for(lambda: not wrong(), DELIVERY, "everything to be delivered", every=0.5)
        finally:
            tailnet.close()
            read = reader.close()
        truth = tailnet.truth
        truth.logged = [*_logged(daemon)]
        known = [one for one in told.occurrences if one[0] <= read[-1][0]]
        delivered = _delivered(receiver)
        return Life(
            done=scene.done,
            hindered=truth.hindered,
            found=violations(truth, told, silence=SILENCE, excused=scene.excused),
            figures=figures(truth, told),
            killed={one["actor"] for one in daemon.events("actor_exited", signal=signal.SIGKILL)},
            unlike=sorted(
                {number for number, _ in (*read, *known)}
                if len(read) != len(known)
                else {one[0] for one, other in zip(read, known, strict=True) if one != other}
            ),
            undelivered=wrong(),
            deliveries=len(delivered),
            again=len(delivered) - len({one.id for one in delivered}),
            forged=receiver.unsigned,
        )


def _delivered(receiver: WebhookReceiver) -> list[Delivered]:
    return [
        Delivered(
            one["data"]["eventID"],
            OWN_NAMES.get(one["type"], one["type"]),
            one["data"].get("nodeID", one["data"].get("subject", "")),
            unix_seconds(one["timestamp"]) or 0.0,
        )
        for one in receiver.events()
    ]


def _logged(daemon: Daemon) -> Iterator[Logged]:
    for event in daemon.events():
        at = unix_seconds(event["timestamp"])
        assert at is not None
        yield Logged(at, event["event"], event)
