"""A day of a daemon's life in a minute: core, detector and control session against a server that fails, all pure.

Time is faster than life (a keep-alive every half second, silence after 1.2 s), the clocks are simulated and nothing
waits. Every protocol byte is real: Noise, HTTP/2, zstd and JSON of each message.
"""

from __future__ import annotations

import collections
import dataclasses
import json
import random
from typing import Any

from netmap_actors.control_connection.client.events import MapDocument, SessionFailed, StageEntered
from netmap_actors.control_connection.client.session import SessionLimits
from netmap_actors.exit_reason import ExitReason
from netmap_actors.liveness.detector import LivenessDetector
from netmap_actors.wire import internal_pb2
from tests.support.machines.simulated_shell import SimulatedKernel, SimulatedShell
from tests.support.servers.scripted_control import FIRST_MAP, KEEP_ALIVE, ScriptedControl

__all__ = ["KEEP_ALIVE_EVERY", "SILENCE", "Day", "long_session"]

CONNECTION = "control_connection"
KEEP_ALIVE_EVERY = 0.5
SILENCE = 1.2
GRACE = 1.0
"""Seconds the detector waits for the Progress that proves an empty socket."""
PROGRESS = 0.3
START = 0.3
"""Seconds from the start of a process to its session."""
FAULT_EVERY = 30.0
FAULTS = (
    "kill -9", "kill -9", "silence", "pings only", "hung", "end of file", "goaway", "garbage", "publisher dies",
    "liveness dies", "the machine sleeps", "the network flaps", "a family goes", "the lid is closed",
)  # fmt: skip
ADDRESSES = ("2001:db8::7", "198.51.100.7")
BACK = 6.0
"""Seconds from a route that came back to an attempt."""
MOST_STARTS = 10
"""Within a minute; more are held back whatever the network does."""


@dataclasses.dataclass
class Figures:
    """What came of it."""

    simulated_s: float = 0.0
    keep_alives: int = 0
    map_sessions: int = 0
    respawns: int = 0
    faults: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    kills: int = 0
    """By the Supervisor; each of them was looked up among the faults."""
    latest_verdict: float = 0.0
    """Seconds after the last MapResponse."""
    lowest_window: float = 1.0
    latest_return: float = 0.0
    """Seconds from a route to the next attempt."""


class Day:
    """One history from one seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.kernel = SimulatedKernel()
        self.shell = SimulatedShell(jitter=self._random.random, kernel=self.kernel)
        self.shell.answers_probes = True
        self._remote = ""
        """The address of the present connection."""
        self.shell.obedient = True
        self.detector = LivenessDetector(hung_grace=GRACE)
        self.figures = Figures()
        self._server: ScriptedControl | None = None
        self._generation = 0
        self._last_at = 0.0
        """When the last MapResponse was complete."""
        self._mood = ""
        """The fault that holds, empty for none."""
        self._struck_at = 0.0
        """CLOCK_MONOTONIC of its beginning."""
        self._expected: set[tuple[str, int]] = set()
        """(actor, incarnation) of those a fault justifies to kill."""
        self._looked_at = 0

    def live(self, seconds: float) -> Figures:
        """So long, a fault every half minute; raises AssertionError where a promise is broken."""
        shell = self.shell
        shell.started()
        # Time asleep does not count.
        began, end = shell.monotonic, shell.monotonic + seconds
        fault_at = began + FAULT_EVERY
        while shell.monotonic < end:
            self._connect()
            if shell.monotonic >= fault_at:
                fault_at = shell.monotonic + FAULT_EVERY
                self._strike(self._random.choice(FAULTS))
            self._step()
        self.figures.simulated_s = shell.monotonic - began
        self.figures.respawns = len(shell.starts) - 4
        self.figures.kills = len(shell.kills)
        return self.figures

    # One connection

    def _connect(self) -> None:
        """A process that was started makes its session."""
        shell = self.shell
        incarnation = shell.processes.get(CONNECTION)
        if incarnation is None or incarnation == self._generation or CONNECTION in shell.killed:
            return
        self._generation = incarnation
        self._mood = ""
        shell.advance(START)
        if shell.processes.get(CONNECTION) != incarnation:
            return
        self._tell_detector()
        info = internal_pb2.ConnectionInfo(generation=incarnation, addresses=map(_with_port, ADDRESSES))
        shell.word(CONNECTION, internal_pb2.StageEntered(generation=incarnation, stage="connect"))
        shell.word(CONNECTION, info)
        self._remote = next(filter(self.kernel.ask, ADDRESSES), "")
        if not self._remote:
            self._ends(ExitReason.ERROR)
            return
        info.remote_address = _with_port(self._remote)
        shell.word(CONNECTION, info)
        server = self._server = ScriptedControl(limits=SessionLimits(silence=SILENCE))
        server.now = shell.boottime
        server.start()
        self._last_at = shell.boottime
        server.send_map(FIRST_MAP)
        self._take_events()
        self._progress()

    def _take_events(self) -> None:
        server, shell = self._server, self.shell
        assert server is not None
        events, server.events = server.events, []
        for event in events:
            match event:
                case StageEntered():
                    self.detector.stage_entered(
                        self._generation, event.session, event.stage.value, event.since, event.limit
                    )
                    self.figures.map_sessions += event.stage.value == "map"
                    stage = internal_pb2.StageEntered(
                        generation=self._generation,
                        session=event.session,
                        stage=event.stage.value,
                        since=event.since,
                    )
                    shell.word(CONNECTION, stage)
                case MapDocument():
                    self._last_at = event.received_at
                    self.detector.map_response(self._generation, event.session, event.received_at)
                    if event.keep_alive:
                        self.figures.keep_alives += 1
                        self._mood = ""  # of those faults with which a keep-alive can come, it has passed
                    else:
                        figures = internal_pb2.PublisherStatistics(
                            state="fresh", generation=self._generation, session=event.session, peers=1
                        )
                        shell.word("publisher", internal_pb2.Heartbeat(publisher=figures))
                case SessionFailed():
                    self._ends(event.reason, event)
                    return
        self.figures.lowest_window = min(self.figures.lowest_window, server.session.window_low)

    def _ends(self, reason: ExitReason, failed: SessionFailed | None = None) -> None:
        """The process of the connection ends by itself, or by a hand from outside."""
        self._server = None
        if failed is not None:
            words = internal_pb2.SessionEnded(
                generation=self._generation, session=1, reason=failed.reason.value, stage="map", had_map=True
            )
            self.shell.word(CONNECTION, words)
        self.shell.end(CONNECTION, reason, signal=9 if reason is ExitReason.CRASHED else None)
        self._tell_detector()

    def _tell_detector(self) -> None:
        """What the core has said to liveness."""
        sent, self.shell.sent = self.shell.sent, []
        for actor, _, body in sent:
            match body:
                case internal_pb2.ConnectionStarted() if actor == "liveness":
                    self.detector.connection_started(body.generation)
                case internal_pb2.SessionEnded() if actor == "liveness":
                    self.detector.connection_ended(body.generation)

    def _progress(self) -> None:
        server = self._server
        if server is None or server.session.map is None or self._mood == "hung":
            return
        if "liveness" not in self.shell.processes:
            return
        session = server.session
        assert session.map is not None
        report = internal_pb2.Progress(
            generation=self._generation,
            session=session.map.session,
            stage="map",
            stage_since=session.stage_since,
            limit=SILENCE,
            last_received_at=session.map.last_received_at,
            drained_at=self.shell.boottime,
            paused=False,
            paused_since=0.0,
        )
        self.detector.progress(report)

    # Time

    def _step(self) -> None:
        """To the next keep-alive, in steps of Progress, with the detector asked where it wants to be."""
        until = self.shell.boottime + KEEP_ALIVE_EVERY * self._random.uniform(0.9, 1.1)
        while self.shell.boottime < until and self._alive():
            self._advance(min(PROGRESS, until - self.shell.boottime))
        if not self._alive():
            self._advance(PROGRESS)
            return
        server = self._server
        assert server is not None
        server.now = self.shell.boottime
        match self._mood:
            case "" | "garbage":
                server.send_map(KEEP_ALIVE)
            case "pings only":
                # What arrives and completes nothing is no food.
                for number in range(3):
                    server.http2.ping(number.to_bytes(8, "big"))
                server.flush()
                server.settle()
        self._take_events()

    def _alive(self) -> bool:
        return self._server is not None and self.shell.processes.get(CONNECTION) == self._generation

    def _advance(self, seconds: float) -> None:
        deadline = self.detector.deadline()
        now = self.shell.boottime
        if deadline is not None and now < deadline < now + seconds:
            seconds = deadline - now + 1e-6
        self.shell.advance(seconds)
        self._tell_detector()
        self._progress()
        if self._alive() and self._mood and self._mood != "unreachable":
            since = self.shell.monotonic - self._struck_at
            assert since <= SILENCE + GRACE + 3 * PROGRESS, f"no verdict {since:.2f} s after {self._mood!r}"
        for verdict in self.detector.expire(self.shell.boottime):
            # Never early, never more than a second late.
            late = self.shell.boottime - self._last_at
            assert late >= SILENCE, f"a verdict {late:.3f} s after a MapResponse"
            asleep = 3600.0 + 4 * PROGRESS
            slack = {"hung": GRACE, "asleep": asleep, "unreachable": asleep}.get(self._mood, 0.0)
            latest = SILENCE + slack + 0.05
            assert late <= latest, f"a verdict only {late:.3f} s after the last MapResponse"
            assert self._mood, "a verdict about a server that is well"
            if self._mood not in {"asleep", "unreachable"}:
                self.figures.latest_verdict = max(self.figures.latest_verdict, late)
            self._server = None
            self.shell.verdict(verdict.reason, verdict.generation, verdict.session)
        self._look_at_kills()

    def _look_at_kills(self) -> None:
        for actor, incarnation, why in self.shell.kills[self._looked_at :]:
            assert (actor, incarnation) in self._expected, (
                f"{actor} {incarnation} was killed ({why}) without a fault"
            )
        self._looked_at = len(self.shell.kills)

    # Faults

    def _strike(self, fault: str) -> None:
        shell, server = self.shell, self._server
        if server is None or not self._alive():
            return
        self.figures.faults[fault] += 1
        self._struck_at = shell.monotonic
        server.now = shell.boottime
        match fault:
            case "kill -9":
                self._ends(ExitReason.CRASHED)
            case "silence" | "pings only" | "hung":
                self._mood = fault
                self._expected.add((CONNECTION, self._generation))
            case "end of file":
                server.note(server.session.eof())
                self._take_events()
            case "goaway":
                server.http2.goaway()
                server.flush()
                self._take_events()
            case "garbage":
                assert server.records is not None
                # Most of it ends the connection; some begins a frame that swallows what comes after it.
                self._mood = fault
                self._expected.add((CONNECTION, self._generation))
                server.to_client(server.records.seal(self._random.randbytes(200)))
                self._take_events()
            case "publisher dies":
                shell.end("publisher", signal=9)
                shell.advance(0.3, until=lambda: "publisher" in shell.processes)
                # Its successor asks for the whole netmap again, on the same connection.
                server.note(server.session.resync(shell.boottime))
                server.settle()
                server.now = shell.boottime
                server.send_map(FIRST_MAP)
                self._take_events()
            case "liveness dies":
                shell.end("liveness", signal=9)
                self.detector = LivenessDetector(hung_grace=GRACE)
                shell.advance(0.3, until=lambda: "liveness" in shell.processes)
                self._tell_detector()
                self._progress()
            case "the machine sleeps":
                # Longer than silence may last; the server has given us up meanwhile.
                self._mood = "asleep"
                self._expected.add((CONNECTION, self._generation))
                shell.suspend(self._random.uniform(2.5, 3600.0))
                shell.advance(0.01)
            case "the network flaps":
                for _ in range(self._random.randint(1, 3)):
                    self._routes(ipv4=False, ipv6=False)
                    self._live_on(self._random.choice((0.5, 0.5, 2.5, 33.0)))
                    self._routes(ipv4=True, ipv6=True)
                    self._live_on(self._random.uniform(0.0, 3.0))
                self._come_back()
            case "a family goes":
                ipv6 = ":" in self._remote
                self._routes(ipv4=ipv6, ipv6=not ipv6)
                self._live_on(self._random.uniform(0.0, 20.0))
                self._routes(ipv4=True, ipv6=True)
                self._come_back()
            case "the lid is closed":
                self._routes(ipv4=False, ipv6=False)
                self._live_on(0.5)
                shell.suspend(self._random.uniform(2.5, 3600.0))
                self._live_on(self._random.uniform(0.0, 8.0))
                self._routes(ipv4=True, ipv6=True)
                self._come_back()

    # The network

    def _routes(self, *, ipv4: bool, ipv6: bool) -> None:
        """These default routes are there; the kernel says so, or it is found out."""
        self.kernel.default = {
            False: "eth0 via 192.0.2.254" if ipv4 else None,
            True: "eth0 via fe80::1" if ipv6 else None,
        }
        if self._random.random() < 0.5:
            self.shell.look()

    def _live_on(self, seconds: float) -> None:
        """Whatever happens to a connection meanwhile has its reason."""
        until = self.shell.monotonic + seconds
        while self.shell.monotonic < until:
            self._connect()
            reachable = bool(self.kernel.ask(self._remote)) if self._remote else False
            self.shell.answers_probes = reachable
            if not reachable and self._alive():
                self._mood = "unreachable"
            self._expected.add((CONNECTION, self.shell.generation(CONNECTION)))
            if reachable and self._alive() and not self._mood:
                self._step()
            else:
                self._advance(PROGRESS)

    def _come_back(self) -> None:
        """There is a route for good: an attempt begins, if none has."""
        shell = self.shell
        came, before = shell.boottime, shell.generation(CONNECTION)
        starts = [at for at, actor, _ in shell.starts if actor == CONNECTION]
        held = sum(at > came - 60.0 for at in starts) >= MOST_STARTS
        while not self._alive():
            self._live_on(PROGRESS)
            if shell.generation(CONNECTION) > before:
                break
            took = shell.boottime - came
            assert took <= (70.0 if held else BACK + PROGRESS), f"no attempt {took:.1f} s after the route"
        if shell.generation(CONNECTION) > before and not held:
            at = next(at for at, actor, number in shell.starts if (actor, number) == (CONNECTION, before + 1))
            self.figures.latest_return = max(self.figures.latest_return, at - came)
        # What became unreachable meanwhile is found out; then nothing harms it any more.
        self._live_on(SILENCE + GRACE + 6.0)
        shell.answers_probes = True


def _with_port(address: str) -> str:
    return f"[{address}]:443" if ":" in address else f"{address}:443"


def long_session(messages: int, size: int, seed: int) -> tuple[int, float]:
    """One session with so many MapResponses of `size` bytes that do not compress: (bytes, lowest window)."""
    chance = random.Random(seed)
    server = ScriptedControl(piece=16 * 1024).start()
    server.send_map(FIRST_MAP)
    received = 0
    for _ in range(messages):
        document: dict[str, Any] = {"Health": [chance.randbytes(size // 2).hex()]}
        data = json.dumps(document).encode()
        received += len(data)
        server.send_map(data)
        assert not server.session.over, server.events
        server.events.clear()
    return received, server.session.window_low
