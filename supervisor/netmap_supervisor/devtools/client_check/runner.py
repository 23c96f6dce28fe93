"""Runs scenarios: for each a server of its own, a fresh client, the fault, and observation until the outcome is known.

Not here: what is expected (`scenarios`) and what the events mean (`observations`, `verdicts`).
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import shutil
import socket
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netmap_actors.clock import SystemClock
from netmap_actors.errors import NetmapError
from netmap_supervisor.devtools.client_check.client import Client
from netmap_supervisor.devtools.client_check.observations import Facts, Session, Timeline, observe
from netmap_supervisor.devtools.client_check.outcome import Attempt, CheckVerdict, ScenarioOutcome
from netmap_supervisor.devtools.client_check.scenarios.scenario import Shape
from netmap_supervisor.devtools.client_check.verdicts import Assessment, assess

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from netmap_actors.dev_control.http.state import Seen
    from netmap_actors.dev_control.operator.commands import Commands
    from netmap_actors.dev_control.operator.listings import ClientView
    from netmap_actors.dev_control.standalone import RunningServer
    from netmap_supervisor.devtools.client_check.scenarios.scenario import CheckScenario, Limits

__all__ = ["Settings", "run_scenario", "run_scenarios"]

_LOOK_EVERY = 0.05
_ASK_EVERY = 0.2
_SETTLED_BY = 20.0
"""Seconds after which a client that goes on asking counts as joined all the same."""
_ELSEWHERE = "127.0.0.2"
_DRIPS_PER_LIMIT = 40
_GONE = 5.0
"""Seconds without a map session after which a client that is left alone has plainly lost it."""
_SAME = 0.25
"""Seconds: two looks at one map stream differ by less in when it began."""
_JOINING = frozenset({"accept", "register", "map"})
_KEEP_ALIVE = '{"KeepAlive":true}'


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """What is the same for all scenarios."""

    command: Sequence[str]
    limits: Limits
    output: Path
    """Directory of the clients' logs."""
    nodes: int = 8


class _Interrupted(Exception):
    """Ctrl-C."""


class _Ended(Exception):
    """The client ended by itself; the text says how."""


def run_scenarios(
    scenarios: Sequence[CheckScenario],
    settings: Settings,
    *,
    jobs: int,
    interrupted: Callable[[], bool],
    began: Callable[[str], None],
    done: Callable[[ScenarioOutcome], None],
) -> list[ScenarioOutcome]:
    """Run `jobs` scenarios at a time; the outcomes of those that came to an end, in the order of `scenarios`.

    `began(name)` is called from any thread, `done(outcome)` from this one.
    """
    stop = threading.Event()
    outcomes: dict[str, ScenarioOutcome] = {}
    # The longest first, where that saves time; otherwise as they are listed.
    order = (
        sorted(scenarios, key=lambda scenario: -scenario.longest(settings.limits)) if jobs > 1 else scenarios
    )

    def one(scenario: CheckScenario) -> ScenarioOutcome | None:
        if stop.is_set():
            return None
        began(scenario.name)
        return run_scenario(scenario, settings, stop)

    with concurrent.futures.ThreadPoolExecutor(jobs, "scenario") as pool:
        pending = {pool.submit(one, scenario) for scenario in order}
        while pending:
            finished, pending = concurrent.futures.wait(
                pending, _ASK_EVERY, return_when=concurrent.futures.FIRST_COMPLETED
            )
            for future in finished:
                outcome = future.result()
                if outcome is not None:
                    outcomes[outcome.name] = outcome
                    done(outcome)
            if interrupted():
                stop.set()
    return [outcomes[scenario.name] for scenario in scenarios if scenario.name in outcomes]


def run_scenario(
    scenario: CheckScenario, settings: Settings, stop: threading.Event
) -> ScenarioOutcome | None:
    """One scenario; None if it was interrupted."""
    clock = SystemClock()
    began = clock.boottime()
    log = settings.output / f"{scenario.name.replace('/', '.')}.log"
    # A short name: clients may put Unix sockets there, whose paths are limited to 107 bytes.
    directory = Path(tempfile.mkdtemp(prefix="nmc-", dir="/tmp"))
    facts = Facts()
    try:
        assessment, facts = _run(scenario, settings, stop, directory, log)
    except _Interrupted:
        return None
    except (NetmapError, OSError, TimeoutError) as error:
        assessment = Assessment(CheckVerdict.ERROR, f"cannot run the scenario: {error}")
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    return ScenarioOutcome(
        name=scenario.name,
        level=scenario.level,
        does=scenario.does,
        expected=scenario.expected(settings.limits),
        why=scenario.why,
        sources=scenario.sources,
        verdict=assessment.verdict,
        seen=assessment.seen,
        attempts=(
            Attempt(
                assessment.verdict,
                assessment.seen,
                clock.boottime() - began,
                facts=facts.document(),
                log=str(log),
            ),
        ),
    )


def _run(
    scenario: CheckScenario, settings: Settings, stop: threading.Event, directory: Path, log: Path
) -> tuple[Assessment, Facts]:
    # Loaded here and nowhere else: a server has no place in a client's processes.
    from netmap_actors.dev_control.standalone import running_server  # noqa: PLC0415

    clock, limits = SystemClock(), settings.limits
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(running_server(nodes=settings.nodes, keep_alive=limits.keep_alive))
        elsewhere = stack.enter_context(socket.create_server((_ELSEWHERE, 0)))
        elsewhere.setblocking(False)
        key_file = directory / "auth_key"
        key_file.touch(mode=0o600)
        key_file.write_text(server.auth_key)
        values = {
            "url": server.url,
            "auth_key": server.auth_key,
            "auth_key_file": str(key_file),
            "dir": str(directory),
            "hostname": f"check-{scenario.name.replace('/', '-')}",
        }
        if scenario.before:
            server.fault(scenario.fault, **scenario.given)
        try:
            client = Client(settings.command, values, log, clock)
        except OSError as error:
            said = f"cannot start {settings.command[0]}: {error.strerror}"
            return Assessment(CheckVerdict.ERROR, said), Facts()
        stack.callback(client.end)
        run = _ScenarioRun(scenario, limits, server, client, elsewhere, stop)
        ended = ""
        try:
            run.play()
        except _Ended as error:
            ended = str(error)
        facts = run.facts()
        if facts.joined_after is None and not ended:
            ended = (
                f"did not join within {limits.join:g} s{client.last_words()}" if not scenario.before else ""
            )
        return assess(scenario, limits, facts, ended), facts


class _ScenarioRun:
    """One server and one client, from the start until the outcome is known."""

    def __init__(
        self,
        scenario: CheckScenario,
        limits: Limits,
        server: RunningServer,
        client: Client,
        elsewhere: socket.socket,
        stop: threading.Event,
    ) -> None:
        self._scenario = scenario
        self._limits = limits
        self._server = server
        self._client = client
        self._elsewhere = elsewhere
        self._stop = stop
        self._clock = SystemClock()
        self._timeline = Timeline(client.started_at)
        self._sessions: list[Session] = []
        self._events: list[Seen] = []

    def facts(self) -> Facts:
        """What has been seen so far."""
        return observe(self._events, self._sessions, self._timeline, self._scenario.counted)

    def play(self) -> None:
        """Until the outcome is known, or the time for it has passed. Raises _Ended, _Interrupted."""
        if self._scenario.before:
            self._wait(self._limits.join, lambda: self.facts_of(self._scenario.counted) is not None)
            self._timeline.injected_at = self.facts_of(self._scenario.counted)
            if self._timeline.injected_at is None:
                self._timeline.injected_at = self._clock.boottime()
        else:
            if not self._wait(self._limits.join, lambda: bool(self._sessions)):
                return
            self._timeline.joined_at = self._sessions[0].began_at
            if self._scenario.shape is Shape.JOIN:
                return
            self._wait(_SETTLED_BY, self._is_settled)
            self._inject()
        self._watch()

    def facts_of(self, kind: str) -> float | None:
        """When the first event of a kind came."""
        return next((event.at for event in self._events if event.kind == kind), None)

    # The fault

    def _inject(self) -> None:
        scenario, timeline = self._scenario, self._timeline
        given: dict[str, Any] = dict(scenario.given)
        if scenario.fault == "liveness/slow-drip":
            given["period"] = self._limits.silence / _DRIPS_PER_LIMIT
        elif scenario.fault == "map/foreign-ping":
            host, port = self._elsewhere.getsockname()
            given["url"] = f"http://{host}:{port}/machine/ping-response?id=foreign"
        elif scenario.fault == "liveness/headers-never":
            given["times"] = 1

        def inject(commands: Commands) -> frozenset[int]:
            # The silence that follows is as long for the client as for us.
            commands.raw(_KEEP_ALIVE)
            injected = frozenset(view.number for view in commands.clients())
            if scenario.fault:
                commands.fault(scenario.fault, **given)
            if scenario.cut:
                commands.drop_all()
            return injected

        timeline.old = self._server.call(inject)
        timeline.injected_at = self._clock.boottime()
        if scenario.fault == "liveness/headers-never":
            self._wait_for_request()

    def _wait_for_request(self) -> None:
        """The connection that counts is the one whose request is never answered, however often it asks."""
        cut_at = self._timeline.injected_at
        assert cut_at is not None, "it has been cut"

        def asked() -> Seen | None:
            return next((one for one in self._events if one.kind == "map" and one.at >= cut_at), None)

        self._wait(self._limits.back, lambda: asked() is not None)
        found = asked()
        if found is not None:
            self._timeline.injected_at, self._timeline.old = found.at, frozenset({found.connection})
            self._server.fault("liveness/headers-never", client=f"connection:{found.connection}")

    # Observation

    def _watch(self) -> None:
        scenario, limits = self._scenario, self._limits
        match scenario.shape:
            case Shape.STEADY:
                self._wait(scenario.watched(limits), self._is_unsteady)
            case Shape.WATCHDOG:
                self._until(limits.latest, lambda facts: facts.session_after is not None)
            case Shape.NONSENSE:
                self._until(limits.latest, lambda facts: facts.session_after is not None)
            case Shape.PROMPT:
                self._until(limits.prompt, lambda facts: facts.session_after is not None)
            case Shape.TRUTH:
                self._until(limits.truth_latest, lambda facts: facts.asked_after is not None)
            case _:
                self._wait(limits.refusal, lambda: False)
                self._server.heal()
                self._timeline.healed_at = self._clock.boottime()
                self._wait(limits.back, lambda: self.facts().back_after is not None)
                if scenario.before and self._sessions:
                    self._timeline.joined_at = self._sessions[0].began_at

    def _until(self, after: float, fact: Callable[[Facts], bool]) -> None:
        """Wait for a fact until so long after the fault was injected."""
        injected_at = self._timeline.injected_at
        assert injected_at is not None, "it was injected"
        self._wait(injected_at + after - self._clock.boottime(), lambda: fact(self.facts()))

    def _is_settled(self) -> bool:
        newest = max((event.at for event in self._events if event.kind in _JOINING), default=0.0)
        return self._clock.boottime() - newest >= self._limits.settle

    def _is_unsteady(self) -> bool:
        facts = self.facts()
        signs = (facts.session_after, facts.closed_after, facts.reset_after)
        gone = facts.fed_until is not None and facts.watched - facts.fed_until > _GONE
        return (
            gone or any(sign is not None for sign in signs) or bool(facts.asked_on_old or facts.foreign_calls)
        )

    def _wait(self, limit: float, fact: Callable[[], bool]) -> bool:
        """Look until it is true; False: not within so many seconds. Raises _Ended, _Interrupted."""
        until = self._clock.boottime() + limit
        while True:
            self._look()
            if fact():
                return True
            how = self._client.ended()
            if how:
                raise _Ended(how)
            if self._clock.boottime() >= until:
                return False
            if self._stop.wait(_LOOK_EVERY):
                raise _Interrupted

    def _look(self) -> None:
        views = self._server.clients()
        now = self._clock.boottime()
        for view in views:
            self._look_at(view, now)
        self._events = self._server.seen()
        self._timeline.seen_until = now
        with contextlib.suppress(BlockingIOError):
            self._elsewhere.accept()[0].close()
            self._timeline.foreign_calls += 1

    def _look_at(self, view: ClientView, now: float) -> None:
        """Note the map streams that are fed."""
        if view.map_streams and self._is_spoilt(view):
            return
        for stream in view.map_streams:
            if stream.held or not stream.messages:
                continue
            began = now - stream.age
            for place, known in enumerate(self._sessions):
                if known.connection == view.number and abs(known.began_at - began) < _SAME:
                    self._sessions[place] = dataclasses.replace(known, alive_at=now)
                    break
            else:
                self._sessions.append(Session(began, view.number, now))

    def _is_spoilt(self, view: ClientView) -> bool:
        """Whether what is sent on this connection can no longer be read."""
        return self._scenario.fault == "input/corrupt-record" and view.number in self._timeline.old
