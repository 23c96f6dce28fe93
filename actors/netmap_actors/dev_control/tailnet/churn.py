"""Random changes of simulated nodes: they come, go, change tags, names, routes and keys, go on- and offline.

Not here: registered nodes. All follows from the generator that is passed in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from netmap_actors.dev_control.tailnet.json_types import encode_json

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from netmap_actors.dev_control.tailnet.tailnet import Entry, Tailnet

__all__ = ["Churn", "populate"]

SIMULATED_VERSION = 130
_USERS = ("alice", "bob", "carol", "dave", "erin")
_KINDS = (
    # name, operating system, version of the client, tag it may carry
    ("laptop", "macOS", "1.90.1", "tag:staff"),
    ("desktop", "windows", "1.88.3", "tag:staff"),
    ("phone", "iOS", "1.90.0", ""),
    ("web", "linux", "1.90.2", "tag:web"),
    ("db", "linux", "1.90.2", "tag:db"),
    ("ci", "linux", "1.86.0", "tag:ci"),
    ("nas", "linux", "1.84.1", ""),
    ("router", "linux", "1.90.2", "tag:router"),
)
_TAGS = ("tag:web", "tag:db", "tag:ci", "tag:staff", "tag:router", "tag:canary")
_FIRST_CHANGE = 0.5
"""Seconds after a new map stream until the first change."""


def populate(tailnet: Tailnet, count: int, rng: random.Random, wall: float) -> None:
    """Add `count` simulated nodes, about four in five of them online."""
    hostinfos = _hostinfos()
    for number in range(count):
        _add(tailnet, number, rng, wall - 86400.0, hostinfos, online=rng.random() < 0.8)


class Churn:
    """Makes one change every now and then, `rate` of them per second on average."""

    def __init__(self, tailnet: Tailnet, rng: random.Random, *, rate: float, now: float, nodes: int) -> None:
        self._tailnet = tailnet
        self._rng = rng
        self._rate = rate
        self._aim = nodes
        self._born = nodes
        self._nodes = [entry.node.id for entry in tailnet.entries.values() if not entry.real]
        self._hostinfos = _hostinfos()
        self._next: float | None = now + _FIRST_CHANGE if rate > 0 and nodes else None
        self._steps: tuple[tuple[Callable[[Entry, float], object], int], ...] = (
            (self._flip, 36),
            (self._move, 14),
            (self._retag, 12),
            (self._rename, 8),
            (self._reroute, 8),
            (self._leave, 8),
            (self._rotate, 4),
            (self._upgrade, 4),
        )
        self.changes = 0
        """How many were made."""

    def deadline(self) -> float | None:
        """When the next change is due; None: never."""
        return self._next

    def expire(self, now: float, wall: float) -> None:
        """Make the change that is due. Several that are overdue become one."""
        if self._next is None or now < self._next:
            return
        self._next = now + self._rng.uniform(0.5, 1.5) / self._rate
        self.step(wall)

    def newcomer(self, now: float) -> None:
        """A map stream has begun: make the next change soon."""
        if self._next is not None:
            self._next = min(self._next, now + _FIRST_CHANGE)

    def step(self, wall: float) -> None:
        """One change, now."""
        self.changes += 1
        # Nodes that were removed by command are dropped here.
        while self._nodes:
            place = self._rng.randrange(len(self._nodes))
            entry = self._tailnet.entries.get(self._nodes[place])
            if entry is not None:
                break
            self._forget(place)
        else:
            self._join(wall)
            return
        if self._rng.random() < self._lack():
            self._join(wall)
            return
        (step,) = self._rng.choices([step for step, _ in self._steps], [weight for _, weight in self._steps])
        step(entry, wall)

    def _lack(self) -> float:
        """Chance that the next change is a newcomer: high when nodes are missing, so that the size stays."""
        return max(0.02, min(0.5, 0.08 + (self._aim - len(self._nodes)) / max(self._aim, 4)))

    def _join(self, wall: float) -> None:
        entry = _add(self._tailnet, self._born, self._rng, wall, self._hostinfos, online=True)
        self._born += 1
        self._nodes.append(entry.node.id)

    def _leave(self, entry: Entry, wall: float) -> None:
        if len(self._nodes) <= max(1, self._aim // 2):
            self._flip(entry, wall)
            return
        self._forget(self._nodes.index(entry.node.id))
        self._tailnet.remove_node(entry.node.id)

    def _forget(self, place: int) -> None:
        self._nodes[place] = self._nodes[-1]
        self._nodes.pop()

    def _flip(self, entry: Entry, wall: float) -> None:
        self._tailnet.set_online(entry.node.id, not entry.node.online, wall)

    def _move(self, entry: Entry, _wall: float) -> None:
        self._tailnet.set_endpoints(entry.node.id, _endpoints(self._rng))
        if self._rng.random() < 0.3:
            self._tailnet.set_home_derp(entry.node.id, _home(self._tailnet, self._rng))

    def _retag(self, entry: Entry, _wall: float) -> None:
        tags = set(entry.node.tags) ^ {self._rng.choice(_TAGS)}
        self._tailnet.set_tags(entry.node.id, tags)

    def _rename(self, entry: Entry, _wall: float) -> None:
        kind, *_ = self._rng.choice(_KINDS)
        self._tailnet.rename(entry.node.id, f"{kind}-{self._rng.randrange(1000)}")

    def _reroute(self, entry: Entry, _wall: float) -> None:
        routes = () if entry.routes else (f"10.{self._rng.randrange(256)}.0.0/16",)
        self._tailnet.set_routes(entry.node.id, routes)

    def _rotate(self, entry: Entry, _wall: float) -> None:
        self._tailnet.rotate_key(entry.node.id, _key("nodekey", self._rng), _key("discokey", self._rng))

    def _upgrade(self, entry: Entry, _wall: float) -> None:
        self._tailnet.set_version(entry.node.id, self._rng.randrange(106, SIMULATED_VERSION + 16))


def _add(
    tailnet: Tailnet,
    number: int,
    rng: random.Random,
    wall: float,
    hostinfos: dict[str, msgspec.Raw],
    *,
    online: bool,
) -> Entry:
    kind, _, _, tag = _KINDS[number % len(_KINDS)]
    return tailnet.add_node(
        f"{kind}-{number}",
        key=_key("nodekey", rng),
        machine=_key("mkey", rng),
        disco_key=_key("discokey", rng),
        user=_USERS[rng.randrange(len(_USERS))],
        wall=wall,
        tags=(tag,) if tag and rng.random() < 0.6 else (),
        endpoints=_endpoints(rng),
        home_derp=_home(tailnet, rng),
        hostinfo_raw=hostinfos[kind],
        cap=SIMULATED_VERSION,
        online=online,
    )


def _key(prefix: str, rng: random.Random) -> str:
    return f"{prefix}:{rng.randbytes(32).hex()}"


def _home(tailnet: Tailnet, rng: random.Random) -> int:
    return rng.choice(tailnet.regions) if tailnet.regions else 0


def _endpoints(rng: random.Random) -> tuple[str, ...]:
    """Addresses for documentation only (RFC 5737): nothing answers there."""
    return (f"198.51.100.{rng.randrange(1, 255)}:{rng.randrange(1024, 65536)}",)


def _hostinfos() -> dict[str, msgspec.Raw]:
    """One JSON text for all nodes of a kind, which matters at 50 000 nodes."""
    return {
        kind: msgspec.Raw(encode_json({"IPNVersion": version, "OS": system, "Hostname": kind}))
        for kind, system, version, _ in _KINDS
    }
