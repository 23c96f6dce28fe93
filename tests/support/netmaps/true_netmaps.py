"""Every netmap that was ever true, in order, and MapResponses that lead from one to the next.

Not here: how they reach a publisher, and what subscribers made of them (`recordings`).
"""

from __future__ import annotations

import bisect
import json
import os
import random
from typing import TYPE_CHECKING, Any

from tests.support.netmaps.netmap_digest import PeersNumber, digest, peer_sent, rest_of
from tests.support.netmaps.netmap_fold import Fold
from tests.support.netmaps.publishing import SELF, node

if TYPE_CHECKING:
    from collections.abc import Iterable

SEED_VARIABLE = "NETMAP_TEST_SEED"
_USERS = 5


def seeded() -> random.Random:
    """A generator whose seed is printed, and taken from NETMAP_TEST_SEED when that is set."""
    seed = int(os.environ.get(SEED_VARIABLE) or random.SystemRandom().randrange(1 << 32))
    print(f"{SEED_VARIABLE}={seed}")
    return random.Random(seed)


class TrueNetmaps:
    """Numbered from 0. No two are the same, so that a digest identifies one."""

    def __init__(self) -> None:
        self._peers = PeersNumber()
        self._numbers: dict[str, int] = {}
        self._presence: dict[str, list[tuple[int, bool]]] = {}
        self.last = -1
        self.last_digest = ""

    def begin(self, nodes: Iterable[dict[str, Any]], rest: dict[str, Any]) -> None:
        """The first of them."""
        self.follow({node["StableID"]: node for node in nodes}, rest)

    def follow(self, nodes: dict[str, dict[str, Any] | None], rest: dict[str, Any]) -> None:
        """The next one: these nodes are now so, or gone (None)."""
        number = self.last + 1
        for stable_id, changed in nodes.items():
            if changed is None:
                self._peers.drop(stable_id)
            else:
                self._peers.put(stable_id, peer_sent(changed))
            presence = self._presence.setdefault(stable_id, [])
            if not presence or presence[-1][1] != (changed is not None):
                presence.append((number, changed is not None))
        shown = digest(self._peers.value, rest)
        assert shown not in self._numbers, f"the true netmap {number} is the same as an earlier one"
        self._numbers[shown] = number
        self.last, self.last_digest = number, shown

    def number(self, shown: str) -> int | None:
        """Which of them has this digest; None: such a netmap was never true."""
        return self._numbers.get(shown)

    def present(self, stable_id: str, number: int) -> bool:
        """Whether this peer was in that netmap."""
        presence = self._presence.get(stable_id, [])
        place = bisect.bisect_right(presence, number, key=lambda entry: entry[0])
        return place > 0 and presence[place - 1][1]


class MapResponses:
    """A tailnet that changes at random: the next MapResponse, and what is true after it."""

    def __init__(self, rng: random.Random, peers: int) -> None:
        self._rng = rng
        self._fold = Fold()
        self._gone: list[int] = []
        self._next_id = 2 + peers
        self._step = 0
        self.truth = TrueNetmaps()
        self._first = {
            "Node": SELF,
            "Peers": [self._node(number) for number in range(2, 2 + peers)],
            "Domain": "example.com",
            "DNSConfig": {"Domains": ["example.com"]},
            "UserProfiles": [_profile(user) for user in range(1, _USERS + 1)],
        }

    def first(self) -> dict[str, Any]:
        """The whole netmap, as a session begins."""
        self._fold.apply(_copy(self._first))
        self.truth.begin(self._fold.peers.values(), self._rest())
        return self._first

    def delta(self) -> dict[str, Any]:
        """A few changes, at least one of them never made before."""
        self._step += 1
        message: dict[str, Any] = {}
        touched = set(self._some(1))
        for node_id in touched:
            message["PeersChangedPatch"] = [{"NodeID": node_id, "Cap": 1000 + self._step}]
        kind = self._rng.choices(
            (self._patch, self._online, self._replace, self._come, self._go, self._come_back, self._dns),
            (40, 15, 15, 8, 8, 4, 4),
        )[0]
        kind(message, touched)
        return self._follow(message)

    def large_delta(self, size: int) -> dict[str, Any]:
        """A change of so many peers at once."""
        self._step += 1
        patches = [{"NodeID": node_id, "Cap": 1000 + self._step} for node_id in self._some(size)]
        return self._follow({"PeersChangedPatch": patches})

    def nodes(self) -> list[dict[str, Any]]:
        """The true peers, as the control server writes them."""
        return list(self._fold.peers.values())

    def rest(self) -> dict[str, Any]:
        """What is true besides the peers."""
        return self._rest()

    # Kinds of change

    def _patch(self, message: dict[str, Any], touched: set[int]) -> None:
        for node_id in set(self._some(self._rng.randint(1, 3))) - touched:
            patch: dict[str, Any] = {"NodeID": node_id, "Endpoints": [f"192.0.2.1:{1 + self._step}"]}
            if self._rng.random() < 0.3:
                patch["Key"] = f"nodekey:{self._rng.randbytes(32).hex()}"
            if self._rng.random() < 0.3:
                patch["DERPRegion"] = self._rng.randint(1, 20)
            message["PeersChangedPatch"].append(patch)

    def _online(self, message: dict[str, Any], touched: set[int]) -> None:
        message["OnlineChange"] = {
            str(node_id): self._rng.random() < 0.5 for node_id in set(self._some(2)) - touched
        }

    def _replace(self, message: dict[str, Any], touched: set[int]) -> None:
        message["PeersChanged"] = [self._node(node_id) for node_id in set(self._some(2)) - touched]

    def _come(self, message: dict[str, Any], _touched: set[int]) -> None:
        message["PeersChanged"] = [self._node(self._next_id)]
        self._next_id += 1

    def _go(self, message: dict[str, Any], touched: set[int]) -> None:
        message["PeersRemoved"] = sorted(set(self._some(2)) - touched)
        self._gone += message["PeersRemoved"]

    def _come_back(self, message: dict[str, Any], _touched: set[int]) -> None:
        if self._gone:
            message["PeersChanged"] = [self._node(self._gone.pop(self._rng.randrange(len(self._gone))))]

    def _dns(self, message: dict[str, Any], _touched: set[int]) -> None:
        message["DNSConfig"] = {"Domains": [f"d{self._step}.example.com"]}

    # Inside

    def _node(self, node_id: int) -> dict[str, Any]:
        return node(
            node_id,
            Name=f"node{node_id}-{self._step}.example.com.",
            User=self._rng.randint(1, _USERS),
            Cap=100,
            HomeDERP=self._rng.randint(1, 20),
            Tags=self._rng.choice(([], ["tag:web"], ["tag:db", "tag:ci"])),
            Endpoints=[f"198.51.100.{self._rng.randint(1, 254)}:41641"],
            Hostinfo={"OS": "linux"},
            Online=self._rng.random() < 0.8,
        )

    def _some(self, count: int) -> list[int]:
        return self._rng.sample(sorted(self._fold.peers), min(count, len(self._fold.peers)))

    def _follow(self, message: dict[str, Any]) -> dict[str, Any]:
        self._fold.apply(_copy(message))
        touched = {
            *message.get("PeersRemoved", ()),
            *(peer["ID"] for peer in message.get("PeersChanged", ())),
            *(patch["NodeID"] for patch in message.get("PeersChangedPatch", ())),
            *map(int, message.get("OnlineChange", ())),
        }
        self.truth.follow({f"n{node_id}": self._fold.peers.get(node_id) for node_id in touched}, self._rest())
        return message

    def _rest(self) -> dict[str, Any]:
        known = self._fold.known_users().values()
        users = [
            {"id": user["ID"], "login_name": user["LoginName"], "display_name": user["DisplayName"]}
            for user in known
        ]
        return rest_of(self._fold.aspects["Domain"], self._fold.aspects["DNSConfig"], users)


def _profile(user: int) -> dict[str, Any]:
    return {"ID": user, "LoginName": f"user{user}@example.com", "DisplayName": f"User {user}"}


def _copy(message: dict[str, Any]) -> dict[str, Any]:
    """The fold keeps and changes what it is given."""
    copied: dict[str, Any] = json.loads(json.dumps(message))
    return copied
