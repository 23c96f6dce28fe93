"""The packet filter of each node under a policy, as the service sends it (tailcfg.FilterRule).

Not here: who sees whom (`visibility`). What rules have as sources is put together once for all the nodes they lead to.
"""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING, Any

import msgspec

from netmap_actors.dev_control.tailnet.json_types import encode_json

if TYPE_CHECKING:
    from netmap_actors.dev_control.tailnet.policy.rules import PolicyRule
    from netmap_actors.dev_control.tailnet.policy.selectors import Selector, Subject

__all__ = ["PacketFilters", "destinations"]

_TAILNET = ("100.64.0.0-100.115.91.255", "100.115.94.0-100.127.255.255", "fd7a:115c:a1e0::/48")
"""What the service sends for `*` in `src`: its ranges without ChromeOS's (tailscale: net/tsaddr.ChromeOSVMRange)."""
_INTERNET = (
    "0.0.0.0-9.255.255.255",
    "11.0.0.0-100.63.255.255",
    "100.128.0.0-169.253.255.255",
    "169.255.0.0-172.15.255.255",
    "172.32.0.0-192.167.255.255",
    "192.169.0.0-255.255.255.255",
    "2000::-3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
)
"""What the service sends for autogroup:internet: what is not private, link-local or its own."""
_NOBODY = msgspec.Raw(b"[]")


def destinations(rule: PolicyRule, selector: Selector, subject: Subject) -> tuple[str, ...]:
    """Where one target of a rule leads to on a node, as DstPorts has it; nowhere for autogroup:self."""
    if rule.via and rule.via.isdisjoint(subject.tags):
        return ()
    if selector.everybody:
        return ("*",)
    own = _bare(subject) if selector.names(subject) else ()
    met = selector.meets(subject.routed if rule.via else (*subject.own, *subject.routed))
    return (*own, *met, *(_INTERNET if selector.internet and subject.exit_node else ()))


class PacketFilters:
    """Made of rules and the nodes that are put in."""

    def __init__(self, rules: tuple[PolicyRule, ...]) -> None:
        self._rules = rules
        self._subjects: dict[int, tuple[Subject, int]] = {}
        """Each node, and a bit for each rule whose sources name it."""
        self._named: list[dict[int, tuple[str, ...]]] = [{} for _ in rules]
        """For each rule the addresses of the nodes which its sources name."""
        self._routes: collections.Counter[str] = collections.Counter()
        """Approved subnet routes, and of how many nodes."""
        self._of_login: dict[str, dict[int, tuple[str, ...]]] = {}
        """For each user the addresses of the nodes that are theirs."""
        self._source_ips: list[msgspec.Raw | None] = [None for _ in rules]
        """JSON of each rule's SrcIPs; None: to be made."""
        self._everybody = [number for number, rule in enumerate(rules) if rule.source.everybody]
        self._to_self = any(target.selector.self for rule in rules for target in rule.targets)
        self.serial = 0
        """Another one when any filter may be another one."""

    def put(self, node_id: int, subject: Subject, named: int) -> None:
        """A node is there, or has changed. `named`: a bit for each rule whose sources name it."""
        before, named_before = self._subjects.get(node_id, (None, 0))
        self._subjects[node_id] = subject, named
        addresses = _bare(subject)
        moved = before is None or before.addresses != subject.addresses
        for number in _bits(named | named_before if moved else named ^ named_before):
            self._name(number, node_id, addresses if named >> number & 1 else None)
        if before is None or before.routes != subject.routes:
            self._count_routes(subject.routes, 1)
            self._count_routes(before.routes if before else (), -1)
        if moved or before is None or before.login != subject.login:
            self._own(before, node_id, None)
            self._own(subject, node_id, addresses)

    def drop(self, node_id: int) -> None:
        """A node is gone."""
        subject, named = self._subjects.pop(node_id)
        for number in _bits(named):
            self._name(number, node_id, None)
        self._count_routes(subject.routes, -1)
        self._own(subject, node_id, None)

    def of(self, subject: Subject, leading: int, own: int) -> bytes:
        """JSON of a node's PacketFilters; a bit for each rule that leads to it, or from its user's nodes to these."""
        made: list[dict[str, Any]] = []
        for number in _bits(leading | own):
            rule = self._rules[number]
            if leading >> number & 1:
                made += _filter_rules(rule, self._sources(number, rule), subject)
            if own >> number & 1:
                theirs = sorted(self._of_login[subject.login].items())
                sources = msgspec.Raw(encode_json([ip for _, addresses in theirs for ip in addresses]))
                made += _filter_rules(rule, sources, subject, to_self=True)
        return encode_json({"base": made})

    def _name(self, number: int, node_id: int, addresses: tuple[str, ...] | None) -> None:
        """A rule's sources name a node with these addresses; None: they do not."""
        if addresses is None:
            self._named[number].pop(node_id, None)
        else:
            self._named[number][node_id] = addresses
        self._changed(number)

    def _changed(self, number: int) -> None:
        self._source_ips[number] = None
        self.serial += 1

    def _count_routes(self, routes: tuple[str, ...], by: int) -> None:
        for route in routes:
            self._routes[route] += by
            if self._routes[route] == max(by, 0):
                for number in self._everybody:
                    self._changed(number)

    def _own(self, subject: Subject | None, node_id: int, addresses: tuple[str, ...] | None) -> None:
        """A node is its user's; None: no more."""
        if subject is None or not subject.login:
            return
        theirs = self._of_login.setdefault(subject.login, {})
        theirs.pop(node_id, None)
        if addresses is not None:
            theirs[node_id] = addresses
        self.serial += self._to_self

    def _sources(self, number: int, rule: PolicyRule) -> msgspec.Raw:
        made = self._source_ips[number]
        if made is None:
            source = rule.source
            words: list[str] = []
            if source.everybody:
                words += [*_TAILNET, *sorted(+self._routes)]
            words += source.networks
            # In the order of ids: equal rules give equal JSON.
            for _, addresses in sorted(self._named[number].items()):
                words += addresses
            words = ["*"] if source.anywhere else list(dict.fromkeys(words))
            made = self._source_ips[number] = msgspec.Raw(encode_json(words))
        return made


def _filter_rules(
    rule: PolicyRule, sources: msgspec.Raw, subject: Subject, *, to_self: bool = False
) -> list[dict[str, Any]]:
    """tailcfg.FilterRule as far as it concerns one node; none when it lets nothing in."""
    if sources == _NOBODY:
        return []
    if rule.capabilities is not None:
        if to_self or any(_reaches(rule, target.selector, subject) for target in rule.targets):
            granted = {"Dsts": subject.addresses, "CapMap": rule.capabilities}
            return [{"SrcIPs": sources, "CapGrant": [granted]}]
        return []
    ports: dict[tuple[str, int, int], None] = {}
    for target in rule.targets:
        if to_self:
            reached = _bare(subject) if target.selector.self else ()
        else:
            reached = destinations(rule, target.selector, subject)
        ports |= dict.fromkeys((ip, low, high) for ip in reached for low, high in target.ports)
    if not ports:
        return []
    made: dict[str, Any] = {
        "SrcIPs": sources,
        "DstPorts": [{"IP": ip, "Ports": {"First": low, "Last": high}} for ip, low, high in ports],
    }
    if rule.protocols:
        made["IPProto"] = rule.protocols
    return [made]


def _reaches(rule: PolicyRule, selector: Selector, subject: Subject) -> bool:
    """Whether capabilities are granted on the node itself: they say nothing of what is behind it."""
    return not rule.via and (
        selector.everybody or selector.names(subject) or bool(selector.meets(subject.own))
    )


def _bare(subject: Subject) -> tuple[str, ...]:
    """Its addresses without the length of the prefix."""
    return tuple(address.partition("/")[0] for address in subject.addresses)


def _bits(mask: int) -> list[int]:
    """The numbers of its bits."""
    found = []
    while mask:
        lowest = mask & -mask
        found.append(lowest.bit_length() - 1)
        mask ^= lowest
    return found
