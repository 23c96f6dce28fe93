"""A busy tailnet with a night behind it: 40 nodes named as strangers name them, and a daemon that lived through it.

Everything in it happens to a real daemon, within seconds. Then the daemon is stopped, the quiet hours between
what happened are put into its history, and it is started again.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from typing import TYPE_CHECKING

from tests.support.browser.page_daemon import LIMIT, PageDaemon
from tests.support.servers import scripted
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from netmap_actors.dev_control.operator.commands import Commands
    from tests.support.servers.scripted import Control

HOUR = 3600.0
HOURS = 8.2
"""Put into the night altogether."""
MOMENT = 0.3
"""Seconds without anything new, after which all that happened has been written."""
SHORT = ("--silence-timeout=5s",)
NODES: tuple[tuple[str, str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("web-1", "alice", ("tag:web", "tag:prod"), ()),
    ("web-2", "alice", ("tag:web", "tag:prod"), ()),
    ("web-3", "alice", ("tag:web", "tag:prod"), ()),
    ("web-canary", "alice", ("tag:web", "tag:canary"), ()),
    ("db-primary", "bob", ("tag:db", "tag:prod"), ()),
    ("db-replica-1", "bob", ("tag:db", "tag:prod"), ()),
    ("db-replica-2", "bob", ("tag:db", "tag:prod"), ()),
    ("cache-fra-1", "bob", ("tag:cache",), ()),
    ("cache-fra-2", "bob", ("tag:cache",), ()),
    ("ci-runner-a41f", "carol", ("tag:ci",), ()),
    ("ci-runner-b07c", "carol", ("tag:ci",), ()),
    ("ci-runner-c9d2", "carol", ("tag:ci",), ()),
    ("k8s-node-01", "carol", ("tag:k8s",), ("10.42.1.0/24",)),
    ("k8s-node-02", "carol", ("tag:k8s",), ("10.42.2.0/24",)),
    ("k8s-node-03", "carol", ("tag:k8s",), ("10.42.3.0/24",)),
    ("office-router", "dave", ("tag:router",), ("192.168.10.0/24", "192.168.20.0/24", "fd00:10::/64")),
    ("exit-berlin", "dave", ("tag:exit",), ("0.0.0.0/0", "::/0")),
    ("exit-seoul", "dave", ("tag:exit",), ("0.0.0.0/0", "::/0")),
    ("prometheus", "dave", ("tag:monitoring",), ()),
    ("grafana", "dave", ("tag:monitoring",), ()),
    ("alice-macbook-pro", "alice", (), ()),
    ("alices-iphone-15", "alice", (), ()),
    ("alice-desktop", "alice", (), ()),
    ("bobs-thinkpad", "bob", (), ()),
    ("bob-pixel-8", "bob", (), ()),
    ("carol-framework-13", "carol", (), ()),
    ("carol-ipad", "carol", (), ()),
    ("DESKTOP-7Q2M4K1", "dave", (), ()),
    ("dave-steamdeck", "dave", (), ()),
    ("nas", "dave", (), ("192.168.1.0/24",)),
    ("homeassistant", "dave", (), ()),
    ("raspberrypi", "erin", (), ()),
    ("raspberrypi-1", "erin", (), ()),
    ("raspberrypi-2", "erin", (), ()),
    ("printserver-3rd-floor", "erin", (), ()),
    ("meeting-room-display-with-a-rather-long-name-near-the-kitchen", "erin", (), ()),
    ("build-windows-2022", "carol", ("tag:ci", "tag:windows"), ()),
    ("backup-offsite", "bob", ("tag:backup",), ()),
    ("vpn-gw-aws-eu-central-1", "dave", ("tag:router",), ("172.31.0.0/16",)),
    ("lab-switch-mgmt", "erin", (), ()),
)
"""Name, owner, tags and routes."""


class Night:
    """What happened, scene by scene, and the hours between the scenes."""

    def __init__(self, control: Control, daemon: PageDaemon) -> None:
        self._control = control
        self._daemon = daemon
        self._written = 0
        self._quiet: list[tuple[float, float]] = []
        """At which moment how many seconds are put in."""

    def quiet(self, hours: float) -> None:
        """Nothing happens for so long. It is in the history up to here before it goes on."""
        known = wait_for(self._news, LIMIT, "what happened is in the history", every=0.05)
        while True:
            time.sleep(MOMENT)
            later = self._known()
            if later == known:
                break
            known = later
        self._written = known
        self._quiet.append((time.time(), hours * HOUR))

    def _known(self) -> int:
        """The newest occurrence of the history; 0: there is none, or no history yet."""
        status, body = self._daemon.get("/history?since=24h")
        return max((one["id"] for one in json.loads(body)["occurrences"]), default=0) if status == 200 else 0

    def _news(self) -> int:
        known = self._known()
        return known if known > self._written else 0

    def edit(self, command: str, *arguments: object, ago: float | None = None, **named: object) -> None:
        """A command of the control server, by the clock of the night: the hours put in later are still to come."""
        if ago is None:
            ago = HOURS * HOUR - sum(length for _, length in self._quiet)

        def at_its_time(it: Commands) -> None:
            right = it._control.wall
            it._control.wall = lambda: time.time() - ago
            try:
                getattr(it, command)(*arguments, **named)
            finally:
                it._control.wall = right

        self._control.server.call(at_its_time)

    def live(self) -> None:
        """From the evening to the morning."""
        edit, daemon = self.edit, self._daemon
        self.quiet(1.4)
        for name in ("alice-macbook-pro", "bobs-thinkpad", "carol-framework-13"):
            edit("set_online", name, False)
            self.quiet(0.2)
        edit("set_online", "ci-runner-b07c", False)
        self.quiet(0.1)
        edit("remove_node", "ci-runner-b07c")
        edit("add_node", "ci-runner-d113", user="carol", tags=["tag:ci"])
        self.quiet(0.9)
        daemon.signal_actor("publisher")
        daemon.wait_event("actor_ready", actor="publisher", generation=2)
        daemon.wait_fresh()
        self.quiet(1.1)
        self._outage()
        self.quiet(0.8)
        for name in ("backup-offsite", "raspberrypi-1", "lab-switch-mgmt", "bob-pixel-8"):
            edit("set_online", name, False)
            self.quiet(0.15)
        edit("rename", "db-replica-2", "db-replica-2-old")
        edit("set_tags", "web-canary", ["tag:web", "tag:prod"])
        self.quiet(0.7)
        daemon.signal_actor("control_connection")
        daemon.wait_event("actor_exited", actor="control_connection", after=1)
        daemon.wait_fresh()
        self.quiet(0.9)
        edit("set_online", "raspberrypi-1", True)
        edit("set_online", "alice-macbook-pro", True)
        edit("expire", "dave-steamdeck", -60.0)
        edit("expire", "carol-ipad", 5 * 24 * HOUR)
        self.quiet(0.7)
        assert abs(sum(length for _, length in self._quiet) - HOURS * HOUR) < 1, self._quiet

    def _outage(self) -> None:
        """A server that falls silent and then refuses."""
        self._control.fault("refusal/status", scope="later", status=503)
        self._control.fault("liveness/silence")
        self._daemon.wait_event("actor_exited", 40.0, actor="control_connection")
        self._daemon.wait_event("actor_ready", 40.0, actor="control_connection", generation=2)
        self.quiet(0.4)
        self._control.heal()
        self._daemon.wait_fresh(60.0)

    def stretch(self, file: Path) -> None:
        """Put the quiet hours into the history of the stopped daemon: what was before them is so much longer ago."""
        with contextlib.closing(sqlite3.connect(file)) as store, store:
            store.create_function("moved", 1, self._moved)
            for table, columns in {
                "occurrence": ("at", "after"),
                "span": ("since", "until"),
                "node": ("left_at", "due"),
                "seen": ("until",),
            }.items():
                store.execute(
                    f"UPDATE {table} SET {', '.join(f'{name} = moved({name})' for name in columns)}"
                )

    def _moved(self, moment: float | None) -> float | None:
        if moment is None:
            return None
        return moment - sum(length for at, length in self._quiet if moment < at)


@contextlib.contextmanager
def morning_after(directory: Path) -> Iterator[tuple[PageDaemon, Control]]:
    """The daemon in the morning, its netmap fresh, and the server it is joined to."""
    with scripted.running(directory, nodes=0) as control, PageDaemon(*SHORT, control=control) as daemon:
        night = Night(control, daemon)
        for number, (name, user, tags, routes) in enumerate(NODES):
            night.edit("add_node", name, user=user, tags=list(tags), ago=(number % 17 + 1) * 9.3 * 24 * HOUR)
            if routes:
                night.edit("set_routes", name, list(routes))
        daemon.wait_served()
        night.live()
        assert daemon.terminate() == 0
        night.stretch(wait_for(lambda: next(daemon.state_dir.rglob("*.sqlite3"), None), 5.0, "a history"))
        daemon.start()
        daemon.wait_served()
        night.edit("set_online", "web-2", False)
        night.edit("set_online", "bobs-thinkpad", True)
        yield daemon, control
