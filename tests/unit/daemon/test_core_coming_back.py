"""Random histories of a network that comes and goes: an attempt begins soon after there is a way again."""

from __future__ import annotations

import random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from netmap_actors.exit_reason import ExitReason
from netmap_actors.wire import internal_pb2
from netmap_supervisor.supervision.child_tree import TICK
from tests.support.machines.simulated_shell import SimulatedKernel, SimulatedShell

CONNECTION = "control_connection"
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


TestComingBack = ComingBack.TestCase
TestComingBack.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
