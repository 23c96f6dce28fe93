"""Who sees whom and which routes by the rules of a policy, and what traffic each node lets in; kept up to date.

Not here: the rules (`policy`), their JSON (`packet_filter`) and what clients were sent (`client_netmap`). A node is a
few bit masks, the rules that have it among their sources and those that lead to it: two nodes see each other when a
rule has one on either side.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from netmap_actors.dev_control.tailnet.packet_filter import PacketFilters, destinations
from netmap_actors.dev_control.tailnet.policy.selectors import address_range
from netmap_actors.dev_control.tailnet.routes import is_exit

if TYPE_CHECKING:
    from netmap_actors.dev_control.tailnet.policy.rules import Policy
    from netmap_actors.dev_control.tailnet.policy.selectors import Subject

__all__ = ["NodeStanding", "Visibility"]


class NodeStanding(msgspec.Struct, frozen=True):
    """A node among the rules: what decides whom it sees, and which of their routes."""

    source: int
    """A bit for each rule that has it, or a network behind it, among its sources."""
    target: int
    """A bit for each rule that leads to it, or to a network behind it."""
    own: int
    """A bit for each rule that leads from its user's nodes to these themselves."""
    login: str
    routes: tuple[str, ...]


class _Place(msgspec.Struct):
    subject: Subject
    standing: NodeStanding
    begins: dict[str, int]
    """For each subnet route the rules that have it among their sources."""
    ends: dict[str, int]
    """For each subnet route the rules that lead to it."""
    exits: int
    """The rules that lead out through this node."""
    packet_filter: bytes = b""
    serial: int = -1
    """Of the filters when this one was made."""


class Visibility:
    """The nodes of a tailnet as a policy sees them."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._places: dict[int, _Place] = {}
        self._filters = PacketFilters(policy.rules)

    def put(self, node_id: int, subject: Subject) -> None:
        """A node is there, or has changed."""
        before = self._places.get(node_id)
        if before is not None and before.subject == subject:
            return
        named = source = target = own = exits = 0
        reached = (*subject.own, *subject.routed)
        begins, ends = dict.fromkeys(subject.routes, 0), dict.fromkeys(subject.routes, 0)
        for number, rule in enumerate(self.policy.rules):
            bit = 1 << number
            if rule.source.names(subject):
                named |= bit
                source |= bit
            elif rule.source.everybody or rule.source.meets(reached):
                source |= bit
            for selector in (one.selector for one in rule.targets):
                if destinations(rule, selector, subject):
                    target |= bit
                    exits |= bit * (subject.exit_node and (selector.everybody or selector.internet))
                if selector.self and not subject.tags:
                    own |= bit & source
            for route in subject.routes:
                behind = (address_range(route),)
                if rule.source.everybody or rule.source.meets(behind):
                    begins[route] |= bit
                if target & bit and any(
                    one.selector.everybody or one.selector.meets(behind) for one in rule.targets
                ):
                    ends[route] |= bit
        self._filters.put(node_id, subject, named)
        self._places[node_id] = _Place(
            subject, NodeStanding(source, target, own, subject.login, subject.routes), begins, ends, exits
        )

    def drop(self, node_id: int) -> None:
        """A node is gone."""
        if self._places.pop(node_id, None) is not None:
            self._filters.drop(node_id)

    def standing(self, node_id: int) -> NodeStanding:
        """The same standing, the same peers with the same routes."""
        return self._places[node_id].standing

    def connects(self, one: int, other: int) -> bool:
        """Whether a rule leads from one node to the other, or back."""
        first, second = self._places[one].standing, self._places[other].standing
        return bool(
            first.source & second.target
            or second.source & first.target
            or (first.own & second.own and first.login == second.login)
        )

    def peers(self, node_id: int) -> list[int]:
        """All the nodes it is connected with."""
        me = self._places[node_id].standing
        source, target, own = me.source, me.target, me.own
        return [
            other
            for other, place in self._places.items()
            if (
                source & place.standing.target
                or place.standing.source & target
                or (own & place.standing.own and me.login == place.standing.login)
            )
            and other != node_id
        ]

    def shows(self, route: str, of: int, to: int) -> bool:
        """Whether a node is told that a route leads to another: a rule leads through it, there or back.

        Who has the same route approved is told of it too (as the service does; it is the other's stand-in).
        """
        place, viewer = self._places[of], self._places[to].standing
        if is_exit(route):
            return bool(viewer.source & place.exits)
        return bool(
            viewer.source & place.ends[route] or place.begins[route] & viewer.target or route in viewer.routes
        )

    def packet_filter(self, node_id: int) -> bytes:
        """JSON of the PacketFilters of a node: what the rules that lead to it let in."""
        place = self._places[node_id]
        if place.serial != self._filters.serial:
            place.packet_filter = self._filters.of(place.subject, place.standing.target, place.standing.own)
            place.serial = self._filters.serial
        return place.packet_filter
