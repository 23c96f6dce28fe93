"""A machine that really sleeps: a kernel that suspends to memory, its clocks, its packets, and the service over it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.waiting import wait_for
from tests.vm.guest import EVENT_LIMIT

if TYPE_CHECKING:
    from tests.vm.guest import Sleep
    from tests.vm.machine import Machine
    from tests.vm.table import Table

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1800)]

CONNECTION = "control_connection"
NOTICED = 2.0
"""Seconds from the wake to `wake_detected`."""
LENGTH = 1.5
"""Seconds by which the clock that runs on in sleep, which counts whole ones, may differ from this machine's."""
ROUNDING = 0.02
ANSWERED = 5.0
PROBE = 5.0
AT_ONCE = 3.0
"""Seconds from the wake, or the answer that did not come, to another process: no pause and no spread."""
FRESH = 60.0
"""Seconds from the start of a process to the netmap, on an emulated processor; half a second on a real one."""
ROUTE = 6.0
"""Seconds from a route to what is done about it."""
WITHOUT_LINK = 5.0
SHORT, HOLE, LONG = 25.0, 30.0, 150.0
SILENCE = 120.0


class Scene:
    """One scene: what was before it, and what holds of every one."""

    def __init__(self, machine: Machine, table: Table, name: str) -> None:
        self.machine, self.table, self.name = machine, table, name
        self.guest = machine.guest
        self.began = self.guest.now()
        self._watcher = machine.watcher_pid()
        self.before = machine.wait_fresh()
        self.sleeps: list[Sleep] = []

    def sleep(self, seconds: float, meanwhile: object = None) -> Sleep:
        slept = self.machine.sleep(seconds, meanwhile)
        self.sleeps.append(slept)
        woken = self.guest.wait_event("wake_detected", after=slept.middle)
        self.within("noticed after", woken["boottime"] - slept.ended, NOTICED)
        # Between the two looks at the clock it was awake for a while, too.
        assert seconds - LENGTH <= woken["slept_s"] <= slept.seconds + ROUNDING, (woken, slept)
        return slept

    def within(self, what: str, figure: float, most: float, least: float = 0.0) -> None:
        # The daemon may run before the shell that reads the clock after the wake.
        figure = 0.0 if least == 0.0 and -NOTICED < figure < 0.0 else figure
        self.table.within(self.name, what, figure, least, most)

    def kept(self) -> None:
        """The connection, its process and its session are those of before, and asked after every sleep."""
        after = self.machine.wait_fresh()
        was, now = self.before["connection"], after["connection"]
        same = all(was[name] == now[name] for name in ("pid", "local_address"))
        self.table.equal(self.name, "connection kept", same, True)
        ended = self.guest.events("child_killed", after=self.began) + self.guest.events(
            "session_ended", after=self.began
        )
        self.table.equal(self.name, "sessions ended", len(ended), 0)
        self.table.equal(self.name, "subscriber was told `stale`", self.told_stale(), 0)

    def replaced(self, slept: Sleep) -> dict[str, object]:
        """A process of another number has a fresh netmap; the event of its start."""
        started = self.guest.wait_event("actor_started", after=slept.middle, actor=CONNECTION)
        fresh = self.guest.wait_event("first_netmap", after=started["boottime"])
        self.within("fresh after its start", fresh["boottime"] - started["boottime"], FRESH)
        after = self.machine.wait_fresh()
        assert after["connection"]["pid"] == started["pid"] != self.before["connection"]["pid"]
        return started

    def told_stale(self) -> int:
        return sum(
            line["type"] == "state_changed" and line["state"] == "stale" for line in self.machine.heard()
        )

    def over(self) -> None:
        """What no scene may leave behind."""
        since = self.began
        self.machine.wait_fresh()
        assert len(self.guest.events("wake_detected", after=since)) == len(self.sleeps), (
            "each sleep once, and no other"
        )
        false = [event["event"] for event in self.guest.events("supervisor_late", after=since)]
        false += [event["code"] for event in self.guest.events("degraded", after=since, code="clock_skew")]
        false += [event["event"] for event in self.guest.events("system_call_refused", after=since)]
        self.table.equal(self.name, "false alarms", false, [])
        wait_for(
            lambda: self.machine.last_state() == "fresh",
            FRESH,
            "the subscriber hears that it is fresh",
            every=1.0,
        )
        self.table.equal(self.name, "subscriber lives", self.machine.watcher_pid() == self._watcher, True)
        assert self.machine.show("ActiveState")["ActiveState"] == "active"


def test_a_short_sleep_and_a_well_network(machine: Machine, table: Table) -> None:
    scene = Scene(machine, table, f"{SHORT:.0f} s asleep, all well")
    slept = scene.sleep(SHORT)
    answer = machine.guest.wait_event("probe_answered", after=slept.middle, reason="wake")
    scene.within("probe answered after", answer["boottime"] - slept.ended, ANSWERED)
    truth = machine.guest.wait_event("truth_probe", after=slept.middle)
    table.equal(scene.name, "the server still knows the node", truth["outcome"], "alive")
    scene.kept()
    scene.over()


def test_a_long_sleep_and_a_well_network(machine: Machine, table: Table) -> None:
    scene = Scene(machine, table, f"{LONG:.0f} s asleep, all well")
    slept = scene.sleep(LONG)
    verdict = machine.guest.wait_event("silence_detected", after=slept.middle)
    scene.within("dead by silence after", verdict["boottime"] - slept.ended, AT_ONCE)
    assert verdict["silent_for"] >= SILENCE
    started = scene.replaced(slept)
    scene.within("another process after", started["boottime"] - slept.ended, AT_ONCE)
    ended = machine.guest.wait_event("session_ended", after=slept.middle)
    table.equal(scene.name, "reason", ended["reason"], "silence")
    assert scene.told_stale() >= 1, "after so long nothing could be relied on"
    scene.over()


def test_a_network_that_forgot_the_connection_in_the_sleep(machine: Machine, table: Table) -> None:
    scene = Scene(machine, table, f"{HOLE:.0f} s asleep, black hole")
    slept = scene.sleep(HOLE, machine.lose_flows)
    failed = machine.guest.wait_event("probe_failed", after=slept.middle, reason="wake")
    scene.within("given up after", failed["boottime"] - slept.ended, PROBE + AT_ONCE, PROBE - 0.5)
    started = scene.replaced(slept)
    scene.within("another process after", started["boottime"] - slept.ended, PROBE + 2 * AT_ONCE, PROBE - 0.5)
    ended = machine.guest.wait_event("session_ended", after=slept.middle)
    table.equal(scene.name, "reason", ended["reason"], "wake")
    scene.over()


def test_a_server_that_was_restarted_in_the_sleep(machine: Machine, table: Table) -> None:
    def restart() -> None:
        machine.server.stop()
        machine.server.start()

    scene = Scene(machine, table, f"{SHORT:.0f} s asleep, server restarted")
    slept = scene.sleep(SHORT, restart)
    ended = machine.guest.wait_event("session_ended", after=slept.middle)
    scene.within("session over after", ended["boottime"] - slept.ended, AT_ONCE)
    started = scene.replaced(slept)
    scene.within("another process after", started["boottime"] - slept.ended, AT_ONCE)
    scene.over()


def test_a_link_that_goes_before_the_sleep_and_comes_back_after_the_wake(
    machine: Machine, table: Table
) -> None:
    """As with Wi-Fi. The guest's card does not tell of a cable that is pulled while it sleeps."""
    scene = Scene(machine, table, f"{SHORT:.0f} s asleep, link back after the wake")
    guest = machine.guest
    guest.qemu.set_link("control", up=False)
    guest.wait_event("link_changed", after=scene.began, route="none")
    slept = scene.sleep(SHORT)
    time.sleep(WITHOUT_LINK)
    asked = guest.events("probe_sent", after=slept.middle) + guest.events("child_killed", after=slept.middle)
    table.equal(scene.name, "asked or killed without a route", len(asked), 0)
    up_at = guest.now()
    assert up_at - slept.ended >= WITHOUT_LINK / 2
    guest.qemu.set_link("control", up=True)
    question = guest.wait_event("probe_sent", after=up_at)
    scene.within("asked after the link came", question["boottime"] - up_at, ROUTE)

    def settled() -> list[dict[str, Any]]:
        return guest.events("probe_answered", after=up_at) or guest.events(
            "actor_started", after=up_at, actor=CONNECTION
        )

    # What got lost the server repeats at longer and longer intervals (RFC 6298), and its answer waits behind that.
    (first, *_) = wait_for(settled, EVENT_LIMIT, "an answer, or another process")
    scene.within("answered, or another process", first["boottime"] - question["boottime"], PROBE + AT_ONCE)
    if first["event"] == "actor_started":
        scene.replaced(slept)
    else:
        scene.kept()
    scene.over()


def test_several_sleeps_in_a_row(machine: Machine, table: Table) -> None:
    scene = Scene(machine, table, "four times 6 s asleep")
    for _ in range(4):
        slept = scene.sleep(6.0)
    answer = machine.guest.wait_event("probe_answered", after=slept.middle, reason="wake")
    scene.within("probe answered after the last", answer["boottime"] - slept.ended, ANSWERED)
    scene.kept()
    scene.over()
