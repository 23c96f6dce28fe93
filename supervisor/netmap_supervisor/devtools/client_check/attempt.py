"""One attempt at a scenario: the fault or the steps, and observation until the outcome is known.

Not here: what is expected (`scenarios`), what the events mean (`verdicts`), server and client (`place`).
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import msgspec

from netmap_actors.clock import SystemClock
from netmap_actors.errors import NetmapError
from netmap_supervisor.devtools.client_check.outcome import Attempt, CheckVerdict, Level, TimelineEvent
from netmap_supervisor.devtools.client_check.place.peers import BeliefReader
from netmap_supervisor.devtools.client_check.place.place import CannotStart, CheckInterrupted
from netmap_supervisor.devtools.client_check.place.stage import CannotAct, act, others_of, own_node
from netmap_supervisor.devtools.client_check.scenarios.scenario import Shape
from netmap_supervisor.devtools.client_check.scenarios.steps import ServerAway
from netmap_supervisor.devtools.client_check.verdicts.assessment import Assessment, assess
from netmap_supervisor.devtools.client_check.verdicts.expectations import (
    StepStanding,
    StepView,
    judge,
    standing_of,
)
from netmap_supervisor.devtools.client_check.verdicts.observations import (
    Facts,
    Session,
    StepFact,
    Timeline,
    observe,
)
from netmap_supervisor.devtools.client_check.verdicts.timelines import (
    last_refused,
    last_seen,
    reached,
    timeline_of,
)

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable
    from pathlib import Path

    from netmap_actors.dev_control.http.state import Seen
    from netmap_actors.dev_control.operator.commands import Commands
    from netmap_actors.dev_control.operator.listings import ClientView, StreamView
    from netmap_supervisor.devtools.client_check.place.place import Place, Settings
    from netmap_supervisor.devtools.client_check.scenarios.scenario import CheckScenario
    from netmap_supervisor.devtools.client_check.scenarios.steps import Step
    from netmap_supervisor.devtools.client_check.verdicts.beliefs import BelievedPeer

__all__ = ["run_attempt"]

_LOOK_EVERY = 0.05
_SETTLED_BY = 20.0
"""Seconds after which a client that goes on asking counts as joined all the same."""
_DRIPS_PER_LIMIT = 40
_GONE = 5.0
"""Seconds without a map session after which a client that is left alone has plainly lost it."""
_JOINING = frozenset({"accept", "register", "map"})
_KEEP_ALIVE = '{"KeepAlive":true}'


class _Ended(Exception):
    """The client ended by itself; the text says how."""


class _Skipped(Exception):
    """The scenario is nothing for this client; the text says why."""


def run_attempt(
    scenario: CheckScenario, settings: Settings, log: Path, stop: threading.Event
) -> Attempt | None:
    """One attempt, with a server and a client of its own; None if it was interrupted."""
    clock = SystemClock()
    began = clock.boottime()
    run: _Run | None = None
    never_started = False
    try:
        with settings.open_place(scenario, settings, log, stop) as place:
            if scenario.before:
                place.server.fault(scenario.fault, **scenario.given)
            place.start()
            run = _Run(scenario, settings, place, stop)
            assessment = run.outcome()
    except CheckInterrupted:
        return None
    except CannotStart as error:
        never_started = True
        assessment = Assessment(CheckVerdict.ERROR, str(error))
    except (NetmapError, OSError) as error:
        assessment = Assessment(CheckVerdict.ERROR, f"cannot run the scenario: {error}")
    took = clock.boottime() - began
    if run is None:
        return Attempt(assessment.verdict, assessment.seen, took, never_started=never_started)
    return msgspec.structs.replace(
        run.attempt(),
        verdict=assessment.verdict,
        seen=assessment.seen,
        took=took,
        log=str(log) if log.exists() else "",
    )


class _Run:
    """One server and one client, from the start until the outcome is known."""

    def __init__(
        self, scenario: CheckScenario, settings: Settings, place: Place, stop: threading.Event
    ) -> None:
        self._scenario = scenario
        self._settings = settings
        self._limits = settings.limits
        self._place = place
        self._stop = stop
        self._clock = SystemClock()
        secure = place.server.url.startswith("https:")
        self._timeline = Timeline(place.client.started_at, secure=secure)
        self._sessions: list[Session] = []
        self._events: list[Seen] = []
        self._told: list[TimelineEvent] = []

    def outcome(self) -> Assessment:
        """Play it. Raises NetmapError, OSError, CheckInterrupted."""
        ended = ""
        try:
            self._play()
        except _Ended as error:
            ended = f"{error}; {last_seen(self._events)}" if self._timeline.joined_at is None else str(error)
        except _Skipped as error:
            return Assessment(CheckVerdict.SKIP, str(error))
        facts = self._facts()
        if facts.joined_after is None and not ended and not self._scenario.before:
            ended = f"did not join within {self._limits.join:g} s; {last_seen(self._events)}"
            ended += self._last_words()
        return assess(self._scenario, self._limits, facts, ended)

    def attempt(self) -> Attempt:
        """All that is known of it but the verdict."""
        events = self._events
        return Attempt(
            CheckVerdict.ERROR,
            "",
            0.0,
            reached=reached(events, has_map=bool(self._sessions)),
            refused=last_refused(events),
            facts=self._facts().document(),
            timeline=timeline_of(events, self._timeline, self._told),
        )

    def _facts(self) -> Facts:
        return observe(self._events, self._sessions, self._timeline, self._scenario.counted)

    def _last_words(self) -> str:
        words = self._place.client.last_words()
        return f"; its log ends with{words}" if words else ""

    def _play(self) -> None:
        """Until the outcome is known, or the time for it has passed. Raises _Ended, CheckInterrupted, _Skipped."""
        if self._scenario.before:
            self._wait(self._limits.join, lambda: self._first(self._scenario.counted) is not None)
            asked_at = self._first(self._scenario.counted)
            self._timeline.injected_at = self._clock.boottime() if asked_at is None else asked_at
        else:
            if not self._wait(self._limits.join, lambda: bool(self._sessions)):
                return
            self._timeline.joined_at = self._sessions[0].began_at
            if self._scenario.shape is Shape.JOIN:
                return
            self._wait(_SETTLED_BY, self._is_settled)
            if self._scenario.steps:
                self._take_steps()
                return
            self._inject()
        self._watch()

    def _first(self, kind: str) -> float | None:
        """When the first event of a kind came."""
        return next((event.at for event in self._events if event.kind == kind), None)

    # The fault

    def _inject(self) -> None:
        scenario, timeline = self._scenario, self._timeline
        given: dict[str, Any] = dict(scenario.given)
        if scenario.fault == "liveness/slow-drip":
            given["period"] = self._limits.silence / _DRIPS_PER_LIMIT
        elif scenario.fault == "map/foreign-ping":
            given["url"] = self._place.elsewhere_url
        elif scenario.fault == "liveness/headers-never":
            given["times"] = 1

        def inject(commands: Commands) -> tuple[float, frozenset[int]] | None:
            views = commands.clients()
            fed = [stream for view in views for stream in view.map_streams if _is_fed(stream)]
            if scenario.fault and not fed:
                return None  # who is just coming back does not meet it
            if scenario.zstd and not any(stream.compress for stream in fed):
                raise _Skipped("the client does not ask for zstd (Compress)")
            # The silence that follows is as long for the client as for us.
            commands.raw(_KEEP_ALIVE)
            # Before its first byte: what the client answers within milliseconds comes behind it.
            at = self._clock.boottime()
            if scenario.fault:
                commands.fault(scenario.fault, **given)
            # A second connection, without a map stream, is none that has half a frame of one.
            struck = [view.number for view in commands.clients() if scenario.fault in view.faults]
            if scenario.cut:
                commands.drop_all()
            return at, frozenset(struck or (view.number for view in views))

        until = self._clock.boottime() + self._limits.join
        while (injected := self._place.server.call(inject)) is None:
            if not self._wait(until - self._clock.boottime(), self._is_in_session):
                raise CannotAct(f"the client has no map session any more that {scenario.fault} could concern")
        timeline.injected_at, timeline.old = injected
        if scenario.fault == "liveness/headers-never":
            self._wait_for_request()

    def _heal(self, commands: Commands) -> float:
        """When: what the client is answered from then on is no refusal."""
        at = self._clock.boottime()
        commands.heal()
        return at

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
            self._place.server.fault("liveness/headers-never", client=f"connection:{found.connection}")

    # Steps

    def _take_steps(self) -> None:
        reader = None
        if self._scenario.needs_peers:
            reader = BeliefReader(self._settings.peers_command, self._place.values, self._clock.boottime)
        try:
            for step in self._scenario.steps:
                fact = self._take(step, reader)
                self._timeline.steps.append(fact)
                if fact.unknown or (fact.said and fact.level is Level.MUST):
                    return
        finally:
            if reader is not None:
                reader.close()

    def _take(self, step: Step, reader: BeliefReader | None) -> StepFact:
        """One step, until its outcome is known. Raises CannotAct, _Ended, CheckInterrupted."""
        self._look()
        me = own_node(self._place, self._sessions)
        node_key = "" if me is None else me.key
        began = self._clock.boottime()
        self._told.append(TimelineEvent(began - self._timeline.started_at, None, "check", "step", step.does))
        for away, group in itertools.groupby(step.actions, lambda action: isinstance(action, ServerAway)):
            if not away:
                act([*group], self._place, me)
                continue
            for action in group:
                assert isinstance(action, ServerAway), "they are grouped by that"
                self._place.end_server()
                if self._stop.wait(action.seconds):
                    raise CheckInterrupted
                self._place.reopen_server()
        within = self._limits.seconds(step.within)
        nodes: tuple[BelievedPeer, ...] = ()
        held: tuple[float, tuple[BelievedPeer, ...]] | None = None
        while True:
            self._look()
            self._demand_client()
            newest = None if reader is None else reader.since(began)
            if newest is not held:
                held, nodes = newest, others_of(self._place, me)
            view = StepView(
                began,
                self._events,
                self._sessions,
                node_key,
                me="" if me is None else me.name,
                nodes=nodes,
                peers=None if held is None else held[1],
            )
            elapsed = told = self._clock.boottime() - began
            if step.needs_peers:
                # A list from before its time is over says nothing of what it believes then.
                told = 0.0 if held is None else held[0] - began
            found = standing_of(
                [judge(one, view) for one in step.expects],
                elapsed=elapsed,
                told=told,
                within=within,
                watch=step.watch,
            )
            if found.standing is not StepStanding.PENDING:
                unknown = found.standing is StepStanding.UNKNOWN
                return StepFact(step.does, elapsed, found.said, step.level, unknown)
            if reader is not None and reader.problem and told < within <= elapsed:
                raise CannotAct(reader.problem)
            if self._stop.wait(_LOOK_EVERY):
                raise CheckInterrupted

    # Observation

    def _watch(self) -> None:
        scenario, limits = self._scenario, self._limits
        match scenario.shape:
            case Shape.STEADY:
                self._wait(scenario.watched(limits), self._is_unsteady)
            case Shape.WATCHDOG | Shape.NONSENSE:
                self._until(limits.latest, lambda facts: facts.session_after is not None)
            case Shape.PROMPT:
                self._until(limits.prompt_latest, lambda facts: facts.session_after is not None)
            case Shape.TRUTH:
                self._until(limits.truth_latest, lambda facts: facts.asked_after is not None)
            case _:
                self._wait(limits.refusal, lambda: False)
                self._timeline.healed_at = self._place.server.call(self._heal)
                self._wait(limits.back, lambda: self._facts().back_after is not None)
                if scenario.before and self._sessions:
                    self._timeline.joined_at = self._sessions[0].began_at

    def _until(self, after: float, fact: Callable[[Facts], bool]) -> None:
        """Wait for a fact until so long after the fault was injected, and the time it took to join."""
        injected_at = self._timeline.injected_at
        assert injected_at is not None, "it was injected"
        until = injected_at + after + self._facts().grace
        self._wait(until - self._clock.boottime(), lambda: fact(self._facts()))

    def _is_in_session(self) -> bool:
        return any(one.alive_at == self._timeline.seen_until for one in self._sessions)

    def _is_settled(self) -> bool:
        newest = max((event.at for event in self._events if event.kind in _JOINING), default=0.0)
        return self._clock.boottime() - newest >= self._limits.settle

    def _is_unsteady(self) -> bool:
        facts = self._facts()
        signs = (facts.session_after, facts.closed_after, facts.reset_after)
        gone = facts.fed_until is not None and facts.watched - facts.fed_until > _GONE
        return (
            gone or any(sign is not None for sign in signs) or bool(facts.asked_on_old or facts.foreign_calls)
        )

    def _wait(self, limit: float, fact: Callable[[], bool]) -> bool:
        """Look until it is true; False: not within so many seconds. Raises _Ended, CheckInterrupted."""
        until = self._clock.boottime() + limit
        while True:
            self._look()
            if fact():
                return True
            self._demand_client()
            if self._clock.boottime() >= until:
                return False
            if self._stop.wait(_LOOK_EVERY):
                raise CheckInterrupted

    def _demand_client(self) -> None:
        """Raises _Ended."""
        how = self._place.client.ended()
        if how:
            raise _Ended(how)

    def _look(self) -> None:
        views = self._place.clients()
        now = self._clock.boottime()
        for view in views:
            self._look_at(view, now)
        self._events = self._place.events()
        self._timeline.seen_until = now
        self._timeline.foreign_calls += self._place.foreign_calls()

    def _look_at(self, view: ClientView, now: float) -> None:
        """Note the map streams that are fed."""
        if view.map_streams and self._is_spoilt(view):
            return
        for stream in view.map_streams:
            if not _is_fed(stream):
                continue
            for place, known in enumerate(self._sessions):
                if (known.connection, known.began_at) == (view.number, stream.began_at):
                    self._sessions[place] = msgspec.structs.replace(known, alive_at=now)
                    break
            else:
                self._sessions.append(Session(stream.began_at, view.number, now))

    def _is_spoilt(self, view: ClientView) -> bool:
        """Whether what is sent on this connection can no longer be read."""
        return self._scenario.fault == "input/corrupt-record" and view.number in self._timeline.old


def _is_fed(stream: StreamView) -> bool:
    """The server has sent its first message on it and goes on."""
    return bool(stream.messages) and not stream.held
