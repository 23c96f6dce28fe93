"""A scripted control server whose tailnet changes at random, one change at a time, and every netmap it sent."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from netmap_actors.dev_control.tailnet.tailnet import Aspect
from tests.support.netmaps.netmap_digest import rest_of
from tests.support.netmaps.true_netmaps import TrueNetmaps

if TYPE_CHECKING:
    import random

    from netmap_actors.dev_control.operator.commands import Commands
    from netmap_actors.dev_control.tailnet.tailnet import Tailnet
    from tests.support.servers.scripted import Control


class EditedTailnet:
    """Begin when the only client has joined: it is no peer of its own, and nothing else changes by itself."""

    def __init__(self, control: Control, rng: random.Random) -> None:
        self._server = control.server
        self._rng = rng
        self._edits = 0
        self.truth = TrueNetmaps()
        self._server.call(self._begin)

    def changes(self, count: int) -> None:
        """So many changes, each in a message of its own if the client keeps up."""
        for _ in range(count):
            self._server.call(self._edit)

    def nodes(self) -> list[dict[str, Any]]:
        """The true peers, as the control server writes them."""
        return self._server.call(lambda it: [_node(it._tailnet, peer) for peer in _peers(it._tailnet)])

    def rest(self) -> dict[str, Any]:
        """What is true besides the peers."""
        return self._server.call(lambda it: _rest(it._tailnet))

    def _begin(self, it: Commands) -> None:
        nodes = (_node(it._tailnet, peer) for peer in _peers(it._tailnet))
        self.truth.follow({node["StableID"]: node for node in nodes}, _rest(it._tailnet))

    def _edit(self, it: Commands) -> None:
        tailnet, rng = it._tailnet, self._rng
        self._edits += 1
        first, second = rng.sample(_peers(tailnet), 2)
        # This endpoint is new, so no netmap is ever the same as an earlier one.
        it.set_endpoints(first, [f"198.51.100.{1 + self._edits % 250}:{1024 + self._edits}"])
        touched: dict[str, dict[str, Any] | None] = {}
        kind = rng.choices(
            ("online", "tags", "routes", "rename", "add", "remove", "none"), (25, 15, 8, 8, 8, 8, 20)
        )
        match kind[0]:
            case "online":
                it.set_online(second, rng.random() < 0.5)
            case "tags":
                it.set_tags(second, [rng.choice(("tag:web", "tag:db", "tag:ci"))])
            case "routes":
                # Nobody else's: of two nodes with one route the other would change, too.
                it.set_routes(second, [f"10.{self._edits // 256 % 256}.{self._edits % 256}.0/24"])
            case "rename":
                it.rename(second, f"renamed-{self._edits}")
            case "add":
                second = it.add_node(f"added-{self._edits}", endpoints=["192.0.2.1:41641"]).id
            case "remove":
                touched[it.remove_node(second).stable_id] = None
        for peer in (first, second):
            if peer in tailnet.entries:
                node = _node(tailnet, peer)
                touched[node["StableID"]] = node
        self.truth.follow(touched, _rest(tailnet))


def _peers(tailnet: Tailnet) -> list[int]:
    return [node_id for node_id, entry in tailnet.entries.items() if not entry.real]


def _node(tailnet: Tailnet, node_id: int) -> dict[str, Any]:
    node: dict[str, Any] = json.loads(tailnet.encoded(node_id))
    return node


def _rest(tailnet: Tailnet) -> dict[str, Any]:
    known = [tailnet.user(user_id) for user_id in {entry.node.user for entry in tailnet.entries.values()}]
    users = [
        {"id": user.id, "login_name": user.login_name, "display_name": user.display_name} for user in known
    ]
    aspects = tailnet.aspects
    return rest_of(json.loads(aspects[Aspect.DOMAIN]), json.loads(aspects[Aspect.DNS]), users)
