"""Random histories of the whole tree: what must hold whatever happens, and in whatever order."""

from __future__ import annotations

import random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from netmap_actors.exit_reason import ExitReason
from netmap_actors.wire import internal_pb2
from netmap_supervisor.supervision.child_machine import ActorState, ChildState
from netmap_supervisor.supervision.child_spec import ChildSpec, Restart, Strategy, SupervisorFlags
from netmap_supervisor.supervision.child_tree import FLAPPING, TICK
from tests.support.machines.simulated_shell import NAMES, SimulatedKernel, SimulatedShell

CONNECTION = "control_connection"
actors = st.sampled_from(NAMES)
reasons = st.sampled_from(list(ExitReason))


class Histories(RuleBasedStateMachine):
    """`SimulatedShell` itself asserts: no spawn before the old process was reaped, none while stopping, no word to a
    child without a process, no child killed as hung before its limit, one exit and only after the last process."""

    strategy = Strategy.ONE_FOR_ONE
    types = (Restart.PERMANENT,)

    @initialize(seed=st.integers())
    def begin(self, seed) -> None:
        chance = random.Random(seed)
        # Short stops: a simulated process that ignores them must not hold up a history.
        specs = [
            ChildSpec(
                name=name,
                shutdown=1.0,
                restart=Restart.PERMANENT if name == CONNECTION else chance.choice(self.types),
            )
            for name in NAMES
        ]
        flags = SupervisorFlags(strategy=self.strategy)
        self.shell = SimulatedShell(jitter=random.Random(seed).random, specs=specs, flags=flags).start()
        self.operator_at = -1e9

    @rule(seconds=st.floats(0.0, 90.0))
    def time_passes(self, seconds) -> None:
        self.shell.advance(seconds)

    @rule(seconds=st.floats(0.0, 10.0))
    def time_passes_and_nobody_says_ready(self, seconds) -> None:
        self.shell.advance(seconds, auto_ready=False)

    @rule(seconds=st.floats(0.0, 100_000.0))
    def the_machine_sleeps(self, seconds) -> None:
        self.shell.suspend(seconds)
        self.shell.perform(self.shell.core.expire(self.shell.now))

    @rule(seconds=st.floats(0.0, 100.0))
    def the_supervisor_is_stopped(self, seconds) -> None:
        self.shell.stopped_for(seconds)

    @rule(beats=st.booleans())
    def children_hang_or_go_on(self, beats) -> None:
        self.shell.beats = beats

    @rule(reaps=st.booleans())
    def the_kernel_holds_the_dead_or_lets_go(self, reaps) -> None:
        self.shell.reaps = reaps
        if reaps:
            for actor in list(self.shell.killed):
                if actor in self.shell.killed:
                    self.shell.end(actor, signal=9)

    @rule(fail=st.booleans())
    def spawns_fail_or_work(self, fail) -> None:
        self.shell.spawns_fail = fail

    @rule(actor=actors, reason=reasons, signal=st.sampled_from([None, None, 9, 11]))
    def a_process_ends(self, actor, reason, signal) -> None:
        if actor in self.shell.processes:
            self.shell.end(actor, reason, signal)

    @rule(actor=actors)
    def a_child_is_up(self, actor) -> None:
        if actor in self.shell.processes:
            self.shell.ready(actor)

    @rule(session=st.integers(1, 3), full=st.booleans())
    def a_session_begins(self, session, full) -> None:
        if CONNECTION in self.shell.processes:
            self.shell.session(session=session, full=full)

    @rule(
        reason=st.sampled_from(["silence", "hung", "error", "publisher_paused"]),
        generation=st.integers(0, 30),
        session=st.integers(0, 3),
    )
    def a_verdict_falls(self, reason, generation, session) -> None:
        self.shell.verdict(reason, generation, session)

    @rule()
    def an_operator_reconnects(self) -> None:
        self.operator_at = self.shell.boottime
        self.shell.reconnect()

    @precondition(lambda self: self.shell.core.connection.ledger.had_session)
    @rule()
    def an_operator_stops(self) -> None:
        self.shell.stop()

    @invariant()
    def there_is_always_a_next_action(self) -> None:
        core = self.shell.core
        if core.tree.finished:
            assert self.shell.exit is not None
            assert core.deadline() is None
            return
        deadline = core.deadline()
        assert deadline is not None
        assert deadline <= self.shell.boottime + 5.0, "the children are looked at every 5 s"
        for child in core.tree.children.values():
            match child.state:
                case ChildState.INACTIVE:
                    stays_down = child.spec.restart is not Restart.PERMANENT
                    assert core.tree.stopping or core.tree._stops or stays_down, (
                        "a permanent child comes back"
                    )
                case ChildState.BACKOFF:
                    assert child.due is not None
                case ChildState.KILLED:
                    assert child.alarmed or child.limit_at is not None
                case _:
                    assert child.limit_at is not None

    @invariant()
    def the_core_knows_the_processes(self) -> None:
        alive = {name for name, child in self.shell.core.tree.children.items() if child.alive}
        assert alive == set(self.shell.processes)

    @invariant()
    def who_keeps_state_about_the_connection_knows_how_it_stands(self) -> None:
        children = self.shell.core.tree.children
        connection = children[CONNECTION]
        if connection.generation:
            stands = "ConnectionStarted" if connection.alive else "SessionEnded"
            for name in ("publisher", "liveness"):
                if children[name].state is ChildState.RUNNING:
                    assert self.shell.standing[name] == (stands, connection.generation)

    @invariant()
    def it_is_up_once_each_child_was_or_stays_down(self) -> None:
        tree = self.shell.core.tree
        if not tree.stopping and not tree._stops:
            waited_for = [
                child
                for child in tree.children.values()
                if not child.was_up and child.state is not ChildState.INACTIVE
            ]
            assert self.shell.up or waited_for

    @invariant()
    def nobody_is_killed_without_a_reason(self) -> None:
        for actor, generation, why in self.shell.kills:
            match why:
                case "hung" if actor == CONNECTION:
                    pass  # by a verdict or by its heartbeats, which the shell has checked
                case "silence" | "error":
                    assert actor == CONNECTION
                    assert (generation, why) in self.shell.verdicts
                case "publisher_paused":
                    assert actor == "publisher"
                case "operator":
                    assert self.operator_at > -1e9
                case "wake" | "link":
                    assert actor == CONNECTION
                case _:
                    assert why in {"hung", "stop_limit"}

    @invariant()
    def what_keeps_dying_is_shown_and_nothing_else(self) -> None:
        core = self.shell.core
        shown = {c.text.partition(" ")[0] for c in core.tree.conditions.all() if c.code == FLAPPING}
        assert shown == {name for name, child in core.tree.children.items() if child.flapping}
        for name in shown:
            state = core.tree.children[name].public_state
            assert state in {ActorState.ERROR, ActorState.INACTIVE}

    @invariant()
    def starts_are_bounded(self) -> None:
        for name in NAMES:
            starts = [at for at, actor, _ in self.shell.starts if actor == name]
            # An operator may have as many connections as he asks for.
            if name == CONNECTION and self.operator_at > -1e9:
                continue
            if starts:
                assert sum(starts[-1] - 60.0 < at for at in starts) <= self.most_starts

    @property
    def most_starts(self) -> int:
        # With a strategy that takes siblings along, each sibling's restarts add up.
        return 10 if self.strategy is Strategy.ONE_FOR_ONE else 10 * len(NAMES)

    def teardown(self) -> None:
        """However it went: the tree can be stopped, and heals when everybody behaves."""
        shell = self.shell
        shell.beats = shell.reaps = True
        shell.spawns_fail = False
        for actor in list(shell.killed):
            if actor in shell.killed:
                shell.end(actor, signal=9)
        if not shell.core.tree.stopping:
            shell.advance(400.0)
            states = {name: child.state for name, child in shell.core.tree.children.items()}
            for name, state in states.items():
                stays_down = shell.core.tree.children[name].spec.restart is not Restart.PERMANENT
                assert state is ChildState.RUNNING or (stays_down and state is ChildState.INACTIVE), states
            # A control key that changed is shown until there is a session, and there is none here.
            assert set(shell.degraded()) <= {"control_key_changed"}
        shell.stop()
        asked_at = shell.boottime
        shell.advance(10.0, until=lambda: shell.exit is not None)
        assert shell.exit is not None
        assert shell.boottime - asked_at <= 5.0


class RestForOne(Histories):
    strategy = Strategy.REST_FOR_ONE


class OneForAll(Histories):
    strategy = Strategy.ONE_FOR_ALL


class OfEveryType(Histories):
    types = tuple(Restart)


class OfEveryTypeForAll(OfEveryType):
    strategy = Strategy.ONE_FOR_ALL


class OfEveryTypeForTheRest(OfEveryType):
    strategy = Strategy.REST_FOR_ONE


V6, V4, VPN = "2001:db8::1", "192.0.2.1", "10.8.0.1"
SOON = 6.0
"""Seconds from a route to an attempt."""
STEP = 0.25
CONNECT_LIMIT = 10.0


class ComingBack(RuleBasedStateMachine):
    """A network that comes and goes, with the truth about it in one hand and the core in the other.

    The names of a server may have addresses of both families and one of a VPN, whose routes are not reported. Promised:
    SOON after there is a way to any of them again, following a time without one, an attempt has begun, unless the
    server asked us to stay away, refused us, a person has to log in, or there were too many.
    """

    @initialize(seed=st.integers(), addresses=st.sets(st.sampled_from([V6, V4, VPN]), min_size=1))
    def begin(self, seed, addresses) -> None:
        self.kernel = SimulatedKernel()
        self.addresses = sorted(addresses, reverse=True)
        self.shell = SimulatedShell(jitter=random.Random(seed).random, kernel=self.kernel).started()
        self.server = "well"
        self.dns = True
        self.ordered_at = -1e9
        self.held_until = 0.0
        self.owed: float | None = None
        """Since when an attempt is owed."""
        self.way = self.there_is_a_way
        self.begun = self.shell.generation(CONNECTION)
        self.stage_at = self.gone_at = self.shell.boottime
        self.told = False
        """The kernel gave notice while there was no way."""

    # The world

    @property
    def there_is_a_way(self) -> bool:
        return any(self.kernel.ask(address) for address in self.addresses)

    @rule(ipv6=st.booleans(), there=st.booleans())
    def a_default_route_comes_or_goes(self, ipv6, there) -> None:
        self.kernel.default[ipv6] = (
            ("eth0 via fe80::1" if ipv6 else "eth0 via 192.0.2.254") if there else None
        )
        self.shell.look()
        self.told = self.told or not self.there_is_a_way
        self.look()

    @rule(there=st.booleans())
    def both_default_routes_come_or_go(self, there) -> None:
        self.a_default_route_comes_or_goes(False, there)
        self.a_default_route_comes_or_goes(True, there)

    @rule(there=st.booleans())
    def the_route_of_a_vpn_comes_or_goes_and_nobody_says_so(self, there) -> None:
        self.kernel.own.pop(VPN, None)
        if there:
            self.kernel.own[VPN] = "wg0"
        self.look()

    @rule(gateway=st.sampled_from(["192.0.2.254", "198.51.100.1"]))
    def another_network(self, gateway) -> None:
        self.kernel.default[False] = f"wlan0 via {gateway}"
        self.shell.look()
        self.look()

    @rule(server=st.sampled_from(["well", "refuses", "swallows", "busy", "unauthorized", "login"]))
    def the_server_is(self, server) -> None:
        self.server = server

    @rule(dns=st.booleans())
    def names_are_looked_up_or_not(self, dns) -> None:
        self.dns = dns

    @rule(seconds=st.floats(0.0, 3600.0))
    def the_machine_sleeps(self, seconds) -> None:
        self.shell.suspend(seconds)
        self.shell.perform(self.shell.core.expire(self.shell.now))
        if self.owed is not None:
            self.owed = self.shell.boottime

    @rule()
    def an_operator_reconnects(self) -> None:
        before = self.shell.generation(CONNECTION)
        self.ordered_at = self.shell.boottime
        self.shell.reconnect()
        self.held_until = 0.0
        self.shell.advance(0.3)
        assert self.shell.generation(CONNECTION) > before, "an operator is never made to wait"
        self.look()

    @rule(answers=st.booleans())
    def probes_are_answered_or_not(self, answers) -> None:
        self.shell.answers_probes = answers

    @rule()
    def the_connection_ends(self) -> None:
        if CONNECTION in self.shell.processes:
            self.shell.end(CONNECTION, ExitReason.CLOSED)
        self.look()

    @rule(seconds=st.floats(0.0, 60.0))
    def time_passes(self, seconds) -> None:
        for _ in range(int(seconds / STEP) + 1):
            self.shell.advance(STEP)
            self.go_on()
            self.look()

    @rule(flaps=st.integers(1, 8), up=st.floats(0.0, 3.0), down=st.floats(0.0, 3.0))
    def the_network_flaps(self, flaps, up, down) -> None:
        for number in range(2 * flaps):
            self.both_default_routes_come_or_go(number % 2 == 1)
            self.time_passes(up if number % 2 else down)

    @rule(gone=st.floats(1.0, 60.0))
    def only_a_vpn_leads_there_and_its_route_is_late(self, gone) -> None:
        self.both_default_routes_come_or_go(False)
        self.the_route_of_a_vpn_comes_or_goes_and_nobody_says_so(False)
        self.time_passes(gone)
        self.the_route_of_a_vpn_comes_or_goes_and_nobody_says_so(True)
        self.time_passes(2 * SOON)

    @rule(gone=st.floats(0.25, 9.0))
    def an_attempt_hangs_while_the_network_goes_and_comes_back(self, gone) -> None:
        self.server, self.shell.answers_probes = "swallows", False
        self.both_default_routes_come_or_go(True)
        self.the_connection_ends()
        self.time_passes(8.0)
        self.both_default_routes_come_or_go(False)
        self.time_passes(gone)
        self.both_default_routes_come_or_go(True)
        self.time_passes(2 * SOON)

    # The connection's process

    @property
    def stage(self) -> str:
        return self.shell.core.connection.ledger.stage

    def enter(self, stage: str) -> None:
        self.stage_at = self.shell.boottime
        generation = self.shell.processes[CONNECTION]
        self.shell.word(
            CONNECTION,
            internal_pb2.StageEntered(generation=generation, stage=stage, since=self.shell.boottime),
        )

    def fail(self, reason: ExitReason = ExitReason.ERROR, retry_after: float = 0.0) -> None:
        words = internal_pb2.SessionEnded(reason="error", stage=self.stage, retry_after=retry_after)
        if retry_after:
            self.held_until = self.shell.boottime + retry_after * 1.25
        if reason is ExitReason.LOGIN_REFUSED:
            self.held_until = self.shell.boottime + 60.0
        self.shell.word(CONNECTION, words)
        self.shell.end(CONNECTION, reason)

    def go_on(self) -> None:
        """As the network and the server let it."""
        if CONNECTION not in self.shell.processes:
            return
        info = internal_pb2.ConnectionInfo(generation=self.shell.processes[CONNECTION])
        reachable = [address for address in self.addresses if self.kernel.ask(address)]
        late = self.shell.boottime - self.stage_at > CONNECT_LIMIT
        match self.stage, self.server:
            case "", _:
                self.enter("resolve")
            case "resolve", _ if self.dns and any(map(self.kernel.ask, self.kernel.elsewhere())):
                info.addresses.extend(f"[{a}]:443" if ":" in a else f"{a}:443" for a in self.addresses)
                self.enter("connect")
                self.shell.word(CONNECTION, info)
            case "resolve", _ if late or not self.there_is_a_way:
                self.fail()
            case "connect", "swallows" if not late:
                pass
            case "connect", "refuses" | "swallows":
                self.fail()
            case "connect", _ if not reachable:
                self.fail()
            case "connect", _:
                info.remote_address = (
                    f"[{reachable[0]}]:443" if ":" in reachable[0] else f"{reachable[0]}:443"
                )
                self.shell.word(CONNECTION, info)
                self.enter("handshake")
            case "handshake", "busy":
                self.fail(retry_after=40.0)
            case "handshake", "unauthorized" if self.shell.core.connection.ledger.had_session:
                self.fail(ExitReason.LOGIN_REFUSED)
            case "handshake", "login":
                self.enter("login")
            case "handshake", _:
                self.shell.session()

    # The promise

    def look(self) -> None:
        way, before = self.there_is_a_way, self.way
        self.way = way
        shell = self.shell
        if not way or shell.generation(CONNECTION) > self.begun:
            self.owed = None
        self.begun = shell.generation(CONNECTION)
        if before and not way:
            self.gone_at = shell.boottime
        # What comes and goes between two looks, unreported, was never gone.
        missed = shell.boottime - self.gone_at >= TICK + STEP or self.told
        if way:
            self.told = False
        if way and not before and missed and self.stage not in {"map", "login"}:
            self.owed = shell.boottime
            if CONNECTION in shell.processes and self.stage == "":
                self.owed = None  # it has not looked for anything yet
        if self.stage in {"map", "login"}:
            self.owed = None
        starts = [at for at, actor, _ in shell.starts if actor == CONNECTION]
        many = sum(at > shell.boottime - 60.0 for at in starts) >= 10
        # Where the addresses were never learned, a route that is not reported cannot be known.
        unknown = not shell.core.connection.ledger.lookup[1]
        connected = self.stage in {"handshake", "register"}
        if self.owed is None:
            return
        if many or unknown or connected or shell.boottime < self.held_until:
            self.owed = shell.boottime
        assert shell.boottime - self.owed <= SOON, (
            f"no attempt {shell.boottime - self.owed:.1f} s after the route"
        )

    @invariant()
    def there_is_a_next_thing_to_do(self) -> None:
        deadline = self.shell.core.deadline()
        assert deadline is not None
        assert deadline <= self.shell.boottime + 5.0

    @invariant()
    def there_are_never_too_many_starts(self) -> None:
        if self.ordered_at > -1e9:
            return
        starts = [at for at, actor, _ in self.shell.starts if actor == CONNECTION]
        assert sum(at > starts[-1] - 60.0 for at in starts) <= 10

    def teardown(self) -> None:
        """However it went: with a network and a server that are well there is a session soon."""
        self.server, self.dns, self.shell.answers_probes = "well", True, False
        self.both_default_routes_come_or_go(True)
        self.time_passes(max(0.0, self.held_until - self.shell.boottime) + 120.0)
        assert self.stage in {"map", "login"}


MANY = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestOneForOne = Histories.TestCase
TestRestForOne = RestForOne.TestCase
TestOneForAll = OneForAll.TestCase
TestOfEveryType = OfEveryType.TestCase
TestOfEveryTypeForAll = OfEveryTypeForAll.TestCase
TestOfEveryTypeForTheRest = OfEveryTypeForTheRest.TestCase
TestComingBack = ComingBack.TestCase
for case in (
    TestOneForOne,
    TestRestForOne,
    TestOneForAll,
    TestOfEveryType,
    TestOfEveryTypeForAll,
    TestOfEveryTypeForTheRest,
    TestComingBack,
):
    case.settings = MANY
del case  # or it would be collected once more
