"""Reads a policy as operators write it: acls, grants, groups, hosts, tagOwners, autoApprovers; checked as a whole.

Not here: what a single word means (`selectors`), who sees whom by these rules (`visibility`), and from which file they
came (`operator.files`). A policy means what Tailscale's service makes of it, or is refused with its place.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec

from netmap_actors.dev_control.tailnet.policy.document import Part
from netmap_actors.dev_control.tailnet.policy.ports import ALL_PORTS, ports_of, protocols_of
from netmap_actors.dev_control.tailnet.policy.selectors import (
    ANYWHERE,
    Selector,
    Subject,
    Words,
    address_range,
    network_of,
    union,
)
from netmap_actors.dev_control.tailnet.routes import is_exit

if TYPE_CHECKING:
    from collections.abc import Iterable

    from netmap_actors.dev_control.tailnet.policy.ports import PortRanges, Protocols

__all__ = ["Policy", "PolicyRule", "Target", "parse_policy"]

_KNOWN = ("acls", "autoApprovers", "grants", "groups", "hosts", "tagOwners")
_WITHOUT_EFFECT = (
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
)
"""Parts of a policy that change nothing of who sees whom; they may be there."""
_MOST_RULES = 10_000
_OWN_CAPABILITIES = frozenset(
    f"tailscale.com/cap/{name}" for name in ("drive", "kubernetes", "relay", "secrets", "tsidp", "webui")
)
"""The only ones of Tailscale's domain that a policy may grant."""
_ANSWERS = {
    "tailscale.com/cap/drive": "tailscale.com/cap/drive-sharer",
    "tailscale.com/cap/relay": "tailscale.com/cap/relay-target",
}
"""What the service grants in the other direction along with a capability (tailscale: tailcfg.PeerCapability)."""


class Target(msgspec.Struct, frozen=True):
    """Where a rule leads to."""

    selector: Selector
    ports: PortRanges = ()


class PolicyRule(msgspec.Struct, frozen=True):
    """One entry of `acls`, or what one of `grants` says of a protocol or of capabilities."""

    source: Selector
    targets: tuple[Target, ...]
    protocols: Protocols = ()
    via: frozenset[str] = frozenset()
    """If any, what is behind the routes of nodes with one of these tags is all that it leads to."""
    capabilities: msgspec.Raw | None = None
    """JSON of the CapMap (tailcfg.CapGrant) of a rule that lets nothing in; it has no ports."""


class Policy(msgspec.Struct, frozen=True):
    """A policy that makes sense."""

    rules: tuple[PolicyRule, ...]
    tag_owners: dict[str, Selector]
    approvers: tuple[tuple[str, Selector], ...] = ()
    """Whose subnet routes within which prefix are approved as they are offered."""
    exit_approvers: Selector = Selector()
    ignored: tuple[str, ...] = ()
    """Parts and words of it that this server makes nothing of."""

    def refused_tags(self, user: Subject, tags: Iterable[str]) -> list[str]:
        """Those of the tags which a user may not give to a node."""
        return [tag for tag in tags if tag not in self.tag_owners or not self.tag_owners[tag].names(user)]

    def approved(self, subject: Subject, routes: Iterable[str]) -> tuple[str, ...]:
        """Those of the routes a node offers that need no approval by hand."""
        return tuple(route for route in routes if self._approves(subject, route))

    def _approves(self, subject: Subject, route: str) -> bool:
        if is_exit(route):
            # As on the service: an entry for 0.0.0.0/0 under `routes` makes no exit node.
            return self.exit_approvers.names(subject)
        version, first, last = address_range(route)
        for prefix, selector in self.approvers:
            within = address_range(prefix)
            if within[0] == version and within[1] <= first and last <= within[2] and selector.names(subject):
                return True
        return False


def parse_policy(document: object) -> Policy:
    """The rules of a decoded policy file. Raises BadPolicy.

    Without `acls` and `grants` everybody reaches everybody, as on the hosted server; with an empty list nobody does.
    """
    known = ", ".join(sorted(_KNOWN))
    parts = Part(document).fields(
        (*_KNOWN, *_WITHOUT_EFFECT), f"this server does not know it; it knows {known}"
    )
    words = Words(parts.get("groups"), parts.get("hosts"), parts.get("tagOwners"))
    owners = {} if "tagOwners" not in parts else parts["tagOwners"].members()
    tag_owners = {
        tag: union(words.owner(word) for word in ([] if part.value is None else part.words()))
        for tag, part in owners.items()
    }
    rules: list[PolicyRule] = []
    for part, read in (
        *((part, _acl) for part in _items(parts, "acls")),
        *((part, _grant) for part in _items(parts, "grants")),
    ):
        rules += read(part, words)
        if len(rules) > _MOST_RULES:
            raise part.wrong(f"it has more than {_MOST_RULES} rules up to this one")
    if not {"acls", "grants"} & parts.keys():
        rules = [PolicyRule(ANYWHERE, (Target(ANYWHERE, ALL_PORTS),))]
    approvers, exit_approvers = _approvers(parts.get("autoApprovers"), words)
    ignored = sorted({*(parts.keys() & set(_WITHOUT_EFFECT)), *words.without_effect})
    return Policy(tuple(rules), tag_owners, approvers, exit_approvers, tuple(ignored))


def _acl(part: Part, words: Words) -> list[PolicyRule]:
    fields = part.fields(
        ("action", "src", "dst", "proto"),
        "a rule has action, src, dst and perhaps proto",
        users="src",
        ports="dst",
    )
    if "action" not in fields or fields["action"].value != "accept":
        raise fields.get("action", part).wrong('the action must be "accept": what no rule accepts is refused')
    protocols = protocols_of(fields["proto"], fields["proto"].value) if "proto" in fields else ()
    targets = []
    for word in _words(part, fields, "dst"):
        target, colon, ports = word.value.rpartition(":")
        if not colon or not target or not ports or target in ("tag", "group", "autogroup"):
            raise word.wrong(f"{word.shown} lacks a port, such as :443 or :*")
        targets.append(Target(words.selector(word, target, "dst"), ports_of(word, ports, protocols)))
    sources = _sources(part, fields, words, targets, everybody=True)
    return [PolicyRule(union(sources), tuple(targets), protocols)]


def _grant(part: Part, words: Words) -> list[PolicyRule]:
    """A rule for each protocol it names, as a packet filter has its ports by protocol, and one for capabilities."""
    fields = part.fields(
        ("src", "dst", "ip", "app", "via"), "a grant has src, dst, ip or app, and perhaps via"
    )
    ports = _by_protocol(fields.get("ip"))
    app = {} if "app" not in fields else fields["app"].members()
    if not ports and not app:
        raise part.wrong('it grants nothing: give it ip, such as ["tcp:443"] or ["*"], or app')
    via = frozenset(words.tag(tag) for tag in _words(part, fields, "via")) if "via" in fields else frozenset()
    answers = {_ANSWERS[name]: None for name in sorted(app.keys() & _ANSWERS.keys())}
    targets = []
    for word in _words(part, fields, "dst"):
        selector = words.selector(word, word.value, "dst")
        if app and selector.internet:
            raise word.wrong("app cannot be granted for autogroup:internet")
        if answers and selector.self:
            raise word.wrong(f"with {', '.join(sorted(_ANSWERS))} this server does not know autogroup:self")
        if via and not (selector.networks or selector.internet):
            raise word.wrong(f"{word.shown}: with via this server knows networks and autogroup:internet only")
        targets.append(Target(selector))
    source = union(_sources(part, fields, words, targets, everybody=False))
    rules = [
        PolicyRule(source, tuple(Target(target.selector, ranges) for target in targets), protocols, via)
        for protocols, ranges in ports.items()
    ]
    if app:
        rules.append(PolicyRule(source, tuple(targets), via=via, capabilities=_capabilities(app)))
        if answers and not via:
            back = union(target.selector for target in targets)
            rules.append(
                PolicyRule(back, (Target(source),), capabilities=msgspec.Raw(msgspec.json.encode(answers)))
            )
    return rules


def _by_protocol(part: Part | None) -> dict[Protocols, PortRanges]:
    found: dict[Protocols, PortRanges] = {}
    for word in [] if part is None else part.words():
        protocol, _, ports = word.value.rpartition(":")
        protocols = protocols_of(word, protocol)
        if "," in ports:
            raise word.wrong(f"{word.shown}: one port or range each")
        found[protocols] = (*found.get(protocols, ()), *ports_of(word, ports, protocols))
    return found


def _sources(
    part: Part, fields: dict[str, Part], words: Words, targets: list[Target], *, everybody: bool
) -> list[Selector]:
    """Those of a rule; `everybody`: with autogroup:self as its target they may be `*`."""
    to_self = any(target.selector.self for target in targets)
    found = []
    for word in _words(part, fields, "src"):
        selector = words.selector(word, word.value, "src")
        of_users = bool(selector.logins or selector.members or word.value.startswith("group:"))
        if to_self and not of_users and not (everybody and word.value == "*"):
            raise word.wrong(f"{word.shown}: to autogroup:self lead users, groups and autogroup:member only")
        found.append(selector)
    return found


def _capabilities(app: dict[str, Part]) -> msgspec.Raw:
    for name, part in app.items():
        domain, slash, path = name.partition("/")
        if not slash or not domain or not path or "://" in name:
            raise part.wrong("the name of a capability is DOMAIN/PATH", name=True)
        if domain == "tailscale.com" and name not in _OWN_CAPABILITIES:
            raise part.wrong(
                f"of tailscale.com a policy may grant {', '.join(sorted(_OWN_CAPABILITIES))}", name=True
            )
        part.items()
        try:
            json.dumps({name: part.value}, ensure_ascii=False, allow_nan=False, default=str).encode()
        except ValueError:
            raise part.wrong(
                "it holds what no client reads as JSON: half a character, or too large a number"
            ) from None
    return msgspec.Raw(msgspec.json.encode({name: part.value for name, part in app.items()}))


def _approvers(part: Part | None, words: Words) -> tuple[tuple[tuple[str, Selector], ...], Selector]:
    if part is None:
        return (), Selector()
    fields = part.fields(("routes", "exitNode"), "there are routes and exitNode")
    routes = {} if "routes" not in fields else fields["routes"].members()
    exits = [] if "exitNode" not in fields else fields["exitNode"].words()
    approvers = tuple(
        (network_of(by, prefix, name=True), union(words.owner(word) for word in by.words()))
        for prefix, by in routes.items()
    )
    return approvers, union(words.owner(word) for word in exits)


def _items(parts: dict[str, Part], name: str) -> list[Part]:
    return parts[name].items() if name in parts else []


def _words(part: Part, fields: dict[str, Part], name: str) -> list[Part]:
    if name not in fields:
        raise part.wrong(f"it has no {name}")
    return fields[name].words()
