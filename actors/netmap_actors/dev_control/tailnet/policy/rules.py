"""Reads a policy as operators write it: acls, grants, groups, hosts, tagOwners, checked as a whole, rules as values.

Not here: who sees whom by these rules (`visibility`), and from which file they came (`operator.files`).
"""

from __future__ import annotations

import dataclasses
import functools
import ipaddress
from typing import TYPE_CHECKING, Any

from netmap_actors.errors import ConfigurationError, escape

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "ANYBODY",
    "BadPolicy",
    "Network",
    "Policy",
    "PolicyRule",
    "Selector",
    "Subject",
    "Target",
    "parse_policy",
]

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_KNOWN = frozenset({"acls", "grants", "groups", "hosts", "tagOwners"})
_WITHOUT_EFFECT = frozenset(
    {
        "autoApprovers",
        "defaultSrcPosture",
        "derpMap",
        "disableIPv4",
        "nodeAttrs",
        "oneCGNATRoute",
        "postures",
        "randomizeClientPort",
        "ssh",
        "sshTests",
        "tests",
    }
)
"""Parts of a policy that change nothing of who sees whom; they may be there."""
_PROTOCOLS = {
    "icmp": 1,
    "igmp": 2,
    "tcp": 6,
    "egp": 8,
    "igp": 9,
    "udp": 17,
    "gre": 47,
    "esp": 50,
    "ah": 51,
    "ipv6-icmp": 58,
    "sctp": 132,
}
_LAST_PORT = 0xFFFF
_ALL_PORTS = ((0, _LAST_PORT),)
_MOST_RULES = 10_000


class BadPolicy(ConfigurationError):
    """A policy that cannot be used; the text names the place in it."""


@dataclasses.dataclass(frozen=True)
class Subject:
    """What a rule can know of a node."""

    login: str
    """Of its user; empty while it is tagged."""
    label: str
    """First label of its name."""
    tags: frozenset[str]
    addresses: tuple[str, ...]
    routes: tuple[str, ...] = ()
    """Approved subnet routes."""

    @functools.cached_property
    def networks(self) -> tuple[Network, ...]:
        """Where it can be reached; not what it routes to everywhere, or an exit node would be in every network."""
        found = [ipaddress.ip_network(text) for text in (*self.addresses, *self.routes)]
        return tuple(network for network in found if network.prefixlen > 0)


@dataclasses.dataclass(frozen=True, slots=True)
class Selector:
    """A set of nodes, or of addresses, in the words of a policy: all that any of its parts holds."""

    everybody: bool = False
    logins: frozenset[str] = frozenset()
    labels: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()
    members: bool = False
    """Nodes that belong to a user."""
    tagged: bool = False
    networks: tuple[Network, ...] = ()

    def names(self, subject: Subject) -> bool:
        """Whether it means this node as such, whatever its addresses are."""
        return (
            subject.login in self.logins
            or subject.label in self.labels
            or not self.tags.isdisjoint(subject.tags)
            or (self.members and not subject.tags)
            or (self.tagged and bool(subject.tags))
        )

    def meets(self, subject: Subject) -> tuple[Network, ...]:
        """Those of its networks in which the node, or a route of it, lies."""
        if not self.networks:
            return ()
        own = subject.networks
        return tuple(network for network in self.networks if any(_overlap(network, one) for one in own))

    def holds(self, subject: Subject) -> bool:
        return self.everybody or self.names(subject) or bool(self.meets(subject))


ANYBODY = Selector(everybody=True)


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """Where a rule lets traffic in."""

    selector: Selector
    ports: tuple[tuple[int, int], ...]
    """First and last of each range; none: its nodes are seen, and nothing is let in."""


@dataclasses.dataclass(frozen=True, slots=True)
class PolicyRule:
    """One entry of `acls`, or what one of `grants` says of some protocols."""

    source: Selector
    targets: tuple[Target, ...]
    protocols: tuple[int, ...] = ()
    """IP protocol numbers; none: those a client takes by itself."""


@dataclasses.dataclass(frozen=True, slots=True)
class Policy:
    """A policy that makes sense."""

    rules: tuple[PolicyRule, ...]
    tag_owners: dict[str, Selector]
    ignored: tuple[str, ...] = ()
    """Parts of it that this server makes nothing of."""

    def refused_tags(self, login: str, tags: Iterable[str]) -> list[str]:
        """Those of the tags which this user may not give to a node."""
        user = Subject(login=login, label="", tags=frozenset(), addresses=())
        return [tag for tag in tags if tag not in self.tag_owners or not self.tag_owners[tag].holds(user)]


def parse_policy(document: object) -> Policy:
    """The rules of a decoded policy file. Raises BadPolicy.

    Without `acls` and `grants` everybody reaches everybody, as on the hosted server; with an empty list nobody does.
    """
    fields = _object(document, "the policy")
    unknown = sorted(set(fields) - _KNOWN - _WITHOUT_EFFECT)
    if unknown:
        raise _wrong(
            escape(unknown[0], 40), f"this server does not know it; it knows {', '.join(sorted(_KNOWN))}"
        )
    words = _Words(fields)
    acls, grants = fields.get("acls"), fields.get("grants")
    rules: list[PolicyRule] = []
    for number, rule in enumerate(_list([] if acls is None else acls, "acls")):
        rules.append(words.rule(rule, f"acls[{number}]"))
    for number, grant in enumerate(_list([] if grants is None else grants, "grants")):
        rules += words.grant(grant, f"grants[{number}]")
    if acls is None and grants is None:
        rules = [PolicyRule(ANYBODY, (Target(ANYBODY, _ALL_PORTS),))]
    if len(rules) > _MOST_RULES:
        raise _wrong("acls and grants", f"more than {_MOST_RULES} rules")
    ignored = set(fields) & _WITHOUT_EFFECT
    if any("app" in grant for grant in grants or []):
        ignored.add("grants.app")
    return Policy(tuple(rules), words.tag_owners, tuple(sorted(ignored)))


class _Words:
    """What the words of one policy mean."""

    def __init__(self, fields: dict[str, Any]) -> None:
        self._groups: dict[str, frozenset[str]] = {}
        for name, members in _object(fields.get("groups", {}), "groups").items():
            where = f"groups.{escape(name, 40)}"
            if not name.startswith("group:"):
                raise _wrong(where, "the name of a group begins with group:")
            logins = [_login(word, where) for word in _texts(members, where)]
            self._groups[name] = frozenset(logins)
        self._hosts = {
            name: _network(address, f"hosts.{escape(name, 40)}")
            for name, address in _object(fields.get("hosts", {}), "hosts").items()
        }
        owners = _object(fields.get("tagOwners", {}), "tagOwners")
        for tag in owners:
            if not tag.startswith("tag:") or tag == "tag:":
                raise _wrong(f"tagOwners.{escape(tag, 40)}", "a tag begins with tag:")
        self._tags = frozenset(owners)
        self.tag_owners = {
            tag: self._owners(_texts(words, f"tagOwners.{tag}"), f"tagOwners.{tag}")
            for tag, words in owners.items()
        }

    def rule(self, value: object, where: str) -> PolicyRule:
        fields = _object(value, where)
        unknown = sorted(set(fields) - {"action", "src", "dst", "proto"})
        if unknown:
            raise _wrong(f"{where}.{escape(unknown[0], 40)}", "a rule has action, src, dst and perhaps proto")
        if fields.get("action") != "accept":
            raise _wrong(f"{where}.action", 'it must be "accept": what no rule accepts is refused')
        targets = _texts(fields.get("dst"), f"{where}.dst")
        return PolicyRule(
            _union(self._selectors(fields, "src", where)),
            tuple(self._target(word, f"{where}.dst[{number}]") for number, word in enumerate(targets)),
            _protocols(fields.get("proto"), f"{where}.proto"),
        )

    def grant(self, value: object, where: str) -> list[PolicyRule]:
        """A rule for each protocol it names, for a packet filter has its ports by protocol."""
        fields = _object(value, where)
        unknown = sorted(set(fields) - {"src", "dst", "ip", "app"})
        if unknown:
            raise _wrong(f"{where}.{escape(unknown[0], 40)}", "a grant has src, dst, and ip or app")
        if not {"ip", "app"} & set(fields):
            raise _wrong(where, 'it grants nothing: give it ip, such as ["tcp:443"] or ["*"], or app')
        _object(fields.get("app", {}), f"{where}.app")
        source = _union(self._selectors(fields, "src", where))
        targets = self._selectors(fields, "dst", where)
        by_protocol: dict[tuple[int, ...], tuple[tuple[int, int], ...]] = {}
        for number, text in enumerate(_texts(fields.get("ip", []), f"{where}.ip")):
            at = f"{where}.ip[{number}]"
            protocol, _, ports = text.rpartition(":")
            key = _protocols(protocol, at)
            by_protocol[key] = by_protocol.get(key, ()) + _ports(ports, text, at)
        return [
            PolicyRule(source, tuple(Target(selector, ports) for selector in targets), protocols)
            for protocols, ports in (by_protocol or {(): ()}).items()
        ]

    def _selectors(self, fields: dict[str, Any], name: str, where: str) -> list[Selector]:
        words = _texts(fields.get(name), f"{where}.{name}")
        return [self._selector(word, f"{where}.{name}[{number}]") for number, word in enumerate(words)]

    def _target(self, text: str, where: str) -> Target:
        word, colon, ports = text.rpartition(":")
        if not colon or not word or ports == "" or word in ("tag", "group", "autogroup"):
            raise _wrong(where, f"{escape(text, 80)!r} lacks a port, such as {escape(text, 80)}:* or :443")
        return Target(self._selector(word, where), _ports(ports, text, where))

    def _selector(self, word: str, where: str) -> Selector:
        if word == "*":
            return ANYBODY
        kind, colon, _ = word.partition(":")
        if colon and kind == "group":
            if word not in self._groups:
                raise _wrong(where, f"there is no {escape(word, 80)!r} under groups")
            return Selector(logins=self._groups[word])
        if colon and kind == "tag":
            if word not in self._tags:
                raise _wrong(where, f"there is no {escape(word, 80)!r} under tagOwners")
            return Selector(tags=frozenset({word}))
        if colon and kind == "autogroup":
            return _autogroup(word, where)
        if word in self._hosts:
            return Selector(networks=(self._hosts[word],))
        if "@" in word:
            return Selector(logins=frozenset({_login(word, where)}))
        address = word[1:-1] if word.startswith("[") and word.endswith("]") else word
        if ":" in address or "/" in address or address.replace(".", "").isdigit():
            return Selector(networks=(_network(address, where),))
        # A word alone: in older policies a user, and here also a node of that name.
        return Selector(logins=frozenset({word}), labels=frozenset({word.lower()}))

    def _owners(self, words: list[str], where: str) -> Selector:
        # Nobody has a role here, so everybody has each.
        roles = ("autogroup:admin", "autogroup:member", "autogroup:network-admin", "autogroup:owner")
        return _union(
            Selector(members=True) if word in roles else self._selector(word, where) for word in words
        )


def _union(selectors: Iterable[Selector]) -> Selector:
    parts = list(selectors)
    return Selector(
        everybody=any(part.everybody for part in parts),
        logins=frozenset().union(*(part.logins for part in parts)),
        labels=frozenset().union(*(part.labels for part in parts)),
        tags=frozenset().union(*(part.tags for part in parts)),
        members=any(part.members for part in parts),
        tagged=any(part.tagged for part in parts),
        networks=tuple(dict.fromkeys(network for part in parts for network in part.networks)),
    )


def _autogroup(word: str, where: str) -> Selector:
    if word == "autogroup:member":
        return Selector(members=True)
    if word == "autogroup:tagged":
        return Selector(tagged=True)
    raise _wrong(
        where, f"{escape(word, 80)!r} is not known here; there are autogroup:member and autogroup:tagged"
    )


def _login(word: str, where: str) -> str:
    """`alice@` and `alice` are the user alice; `alice@example.com` is one whose login is all of that."""
    login = word.removesuffix("@")
    if not login or login.startswith(("group:", "tag:", "autogroup:")) or login == "*":
        raise _wrong(where, f"{escape(word, 80)!r} is no user")
    return login


def _ports(text: str, whole: str, where: str) -> tuple[tuple[int, int], ...]:
    if text == "*":
        return _ALL_PORTS
    ranges = []
    for part in text.split(","):
        first, dash, last = part.partition("-")
        bounds = (first, last if dash else first)
        if not all(bound.isascii() and bound.isdigit() for bound in bounds):
            raise _wrong(where, f"{escape(part, 40)!r} in {escape(whole, 80)!r} is no port")
        low, high = int(bounds[0]), int(bounds[1])
        if not low <= high <= _LAST_PORT:
            raise _wrong(where, f"{escape(part, 40)!r} in {escape(whole, 80)!r} is no range of ports")
        ranges.append((low, high))
    return tuple(ranges)


def _protocols(value: object, where: str) -> tuple[int, ...]:
    if value is None or value == "":
        return ()
    number = _PROTOCOLS.get(value) if isinstance(value, str) else None
    if number is None and isinstance(value, str) and value.isascii() and value.isdigit():
        number = int(value)
    if number is None or number > 0xFF:
        raise _wrong(where, f"{escape(str(value), 40)!r} is none of {', '.join(_PROTOCOLS)} and no number")
    return (number,)


def _network(value: object, where: str) -> Network:
    try:
        if isinstance(value, str):
            return ipaddress.ip_network(value)
    except ValueError as error:
        raise _wrong(where, escape(str(error))) from None
    raise _wrong(where, "an address or a prefix is expected")


def _overlap(one: Network, other: Network) -> bool:
    # Apart by version: `overlaps` does not take both.
    if isinstance(one, ipaddress.IPv4Network):
        return isinstance(other, ipaddress.IPv4Network) and one.overlaps(other)
    return isinstance(other, ipaddress.IPv6Network) and one.overlaps(other)


def _object(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _wrong(where, "it is not an object")
    return value


def _list(value: object, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise _wrong(where, "it is not a list")
    return value


def _texts(value: object, where: str) -> list[str]:
    words = _list(value, where)
    if not all(isinstance(word, str) and word for word in words):
        raise _wrong(where, "it is not a list of words")
    return words


def _wrong(where: str, why: str) -> BadPolicy:
    return BadPolicy(f"cannot use the policy: {where}: {why}")
