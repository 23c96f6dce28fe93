"""Who sees whom by the rules of a policy, and which traffic each node lets in; kept up while nodes change.

Not here: the rules (`policy`) and what clients were sent (`tailnet.client_netmap`). A node is two bit masks, the
rules that have it among their sources and those that lead to it: two nodes see each other when a rule has one on either
side.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import msgspec

from netmap_actors.dev_control.tailnet.json_types import encode_json

if TYPE_CHECKING:
    from netmap_actors.dev_control.tailnet.policy.rules import Policy, PolicyRule, Subject

__all__ = ["Visibility"]

_NOBODY = msgspec.Raw(b"[]")


@dataclasses.dataclass(slots=True)
class _Place:
    """A node among the rules."""

    subject: Subject
    source: int
    """A bit for each rule that has it among its sources."""
    target: int
    """A bit for each rule that leads to it."""
    packet_filter: bytes = b""
    serial: int = -1
    """Of the sources when the filter was made."""


class Visibility:
    """The nodes of a tailnet as a policy sees them."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._places: dict[int, _Place] = {}
        self._named: list[dict[int, tuple[str, ...]]] = [{} for _ in policy.rules]
        """For each rule the addresses of the nodes which its sources name."""
        self._source_ips: list[msgspec.Raw | None] = [None for _ in policy.rules]
        """JSON of each rule's SrcIPs, made once for all the nodes it leads to; None: to be made."""
        self._serial = 0

    def put(self, node_id: int, subject: Subject) -> None:
        """A node is there, or has changed."""
        before = self._places.get(node_id)
        if before is not None and before.subject == subject:
            return
        source = target = 0
        for number, rule in enumerate(self.policy.rules):
            named = rule.source.names(subject)
            if named or rule.source.everybody or rule.source.meets(subject):
                source |= 1 << number
            if any(one.selector.holds(subject) for one in rule.targets):
                target |= 1 << number
            self._name(number, node_id, subject.addresses if named else None)
        self._places[node_id] = _Place(subject, source, target)

    def drop(self, node_id: int) -> None:
        """A node is gone."""
        if self._places.pop(node_id, None) is not None:
            for number in range(len(self._named)):
                self._name(number, node_id, None)

    def standing(self, node_id: int) -> tuple[int, int]:
        """What decides whom a node sees; the same standing, the same peers."""
        place = self._places[node_id]
        return place.source, place.target

    def connects(self, one: int, other: int) -> bool:
        """Whether a rule leads from one node to the other, or back."""
        first, second = self._places[one], self._places[other]
        return bool(first.source & second.target or second.source & first.target)

    def packet_filter(self, node_id: int) -> bytes:
        """JSON of the PacketFilters of a node: what the rules that lead to it let in."""
        place = self._places[node_id]
        if place.serial != self._serial:
            made = [
                self._filter_rule(number, rule, place.subject)
                for number, rule in enumerate(self.policy.rules)
                if place.target >> number & 1
            ]
            place.packet_filter = encode_json({"base": [rule for rule in made if rule]})
            place.serial = self._serial
        return place.packet_filter

    def _name(self, number: int, node_id: int, addresses: tuple[str, ...] | None) -> None:
        """A rule's sources name a node with these addresses, or do not."""
        named = self._named[number]
        if named.get(node_id) == addresses:
            return
        if addresses is None:
            del named[node_id]
        else:
            named[node_id] = addresses
        self._source_ips[number] = None
        self._serial += 1

    def _sources(self, number: int, rule: PolicyRule) -> msgspec.Raw:
        made = self._source_ips[number]
        if made is None:
            words = ["*"] if rule.source.everybody else [str(network) for network in rule.source.networks]
            if not rule.source.everybody:
                # In the order of ids: equal rules give equal JSON.
                for _, addresses in sorted(self._named[number].items()):
                    words += addresses
            made = self._source_ips[number] = msgspec.Raw(encode_json(list(dict.fromkeys(words))))
        return made

    def _filter_rule(self, number: int, rule: PolicyRule, subject: Subject) -> dict[str, object] | None:
        """tailcfg.FilterRule as far as it concerns one node; None when it lets nothing in."""
        sources = self._sources(number, rule)
        if sources == _NOBODY:
            return None
        ports: list[dict[str, object]] = []
        for target in rule.targets:
            selector = target.selector
            reached = ["*"] if selector.everybody else [str(network) for network in selector.meets(subject)]
            if not selector.everybody and selector.names(subject):
                reached += subject.addresses
            for address in dict.fromkeys(reached):
                ports += [
                    {"IP": address, "Ports": {"First": low, "Last": high}} for low, high in target.ports
                ]
        if not ports:
            return None
        made: dict[str, object] = {"SrcIPs": sources, "DstPorts": ports}
        if rule.protocols:
            made["IPProto"] = list(rule.protocols)
        return made
