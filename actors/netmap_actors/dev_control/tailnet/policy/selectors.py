"""The words with which a policy names nodes, users and addresses, and what each of them means.

Not here: the rules they stand in (`rules`), and what follows for the nodes of a tailnet (`visibility`). The words are
those of Tailscale's policy file ("Targets and selectors" in its documentation); where this server would have to guess
what the service makes of one, it refuses it.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from typing import TYPE_CHECKING

import msgspec

from netmap_actors.errors import escape

if TYPE_CHECKING:
    from collections.abc import Iterable

    from netmap_actors.dev_control.tailnet.policy.document import Part

__all__ = [
    "ANYBODY",
    "ANYWHERE",
    "AddressRange",
    "Selector",
    "Subject",
    "Words",
    "address_range",
    "network_of",
    "overlap",
    "union",
]

AddressRange = tuple[int, int, int]
"""IP version, first and last address as numbers."""

_LOGIN = r"[^@\s:*,/]+@[^@\s:*,/]*"
_BRACKETS = r"^\[([^\]]*:[^\]]*)\]"
"""Around an IPv6 address, before ports or the length of a prefix."""
_DOMAIN = r"user:\*(@[^@\s:*,/]+)"


class Subject(msgspec.Struct, frozen=True, dict=True):
    """What a rule can know of a node."""

    login: str
    """Of its user; empty while it is tagged."""
    tags: frozenset[str]
    domain: str = ""
    """Of the tailnet: a user without a domain is one of this."""
    addresses: tuple[str, ...] = ()
    """As prefixes."""
    routes: tuple[str, ...] = ()
    """Approved subnet routes."""
    exit_node: bool = False
    """It has an approved route to everywhere."""
    admin: bool = False
    """Its user is the tailnet's owner and administrator."""

    @functools.cached_property
    def full_login(self) -> str:
        """With the domain; empty while it is tagged."""
        return self.login if "@" in self.login or not self.login else f"{self.login}@{self.domain}"

    @functools.cached_property
    def own(self) -> tuple[AddressRange, ...]:
        return tuple(map(address_range, self.addresses))

    @functools.cached_property
    def routed(self) -> tuple[AddressRange, ...]:
        return tuple(map(address_range, self.routes))


class Selector(msgspec.Struct, frozen=True):
    """A set of nodes, of addresses, or of both: all that any of its parts holds."""

    everybody: bool = False
    """Every node, and what is behind its approved subnet routes."""
    anywhere: bool = False
    """Every address there is."""
    logins: frozenset[str] = frozenset()
    domains: frozenset[str] = frozenset()
    """Ends of login names, from the @ on."""
    tags: frozenset[str] = frozenset()
    members: bool = False
    """Nodes that belong to a user."""
    admins: bool = False
    tagged: bool = False
    networks: tuple[str, ...] = ()
    """Addresses and prefixes."""
    internet: bool = False
    """What is behind exit nodes; only where a rule leads to."""
    self: bool = False
    """The nodes of the user at the other end; only where a rule leads to."""

    def names(self, subject: Subject) -> bool:
        """Whether it means this node as such, whatever its addresses are."""
        login = subject.full_login
        return (
            subject.login in self.logins
            or login in self.logins
            or not self.tags.isdisjoint(subject.tags)
            or (self.members and not subject.tags)
            or (self.tagged and bool(subject.tags))
            or (self.admins and subject.admin and not subject.tags)
            or (bool(self.domains) and login[login.find("@") :] in self.domains)
        )

    def meets(self, ranges: tuple[AddressRange, ...]) -> tuple[str, ...]:
        """Those of its networks that have an address in common with one of the ranges."""
        if not self.networks or not ranges:
            return ()
        return tuple(
            network
            for network in self.networks
            if any(overlap(address_range(network), one) for one in ranges)
        )


ANYBODY = Selector(everybody=True)
ANYWHERE = Selector(everybody=True, anywhere=True)

_MEMBERS = Selector(members=True)
_ADMINS = Selector(admins=True)
_AUTOGROUPS: dict[str, tuple[Selector, tuple[str, ...]]] = {
    "autogroup:member": (_MEMBERS, ("src", "dst", "owner")),
    "autogroup:members": (_MEMBERS, ("src", "dst", "owner")),
    "autogroup:tagged": (Selector(tagged=True), ("src", "dst")),
    "autogroup:owner": (_ADMINS, ("src", "dst", "owner")),
    "autogroup:admin": (_ADMINS, ("src", "dst", "owner")),
    "autogroup:self": (Selector(self=True), ("dst",)),
    "autogroup:internet": (Selector(internet=True), ("dst",)),
    "autogroup:danger-all": (ANYWHERE, ("src",)),
    "autogroup:nonroot": (Selector(), ("users of ssh",)),
}
"""What each means, and where it may stand; owner: `tagOwners` and `autoApprovers`."""
_ROLES_OF_NOBODY = {f"autogroup:{role}" for role in ("auditor", "billing-admin", "it-admin", "network-admin")}


class Words:
    """What the words of one policy mean: its groups, hosts and tags."""

    def __init__(self, groups: Part | None, hosts: Part | None, tags: Part | None) -> None:
        """Raises BadPolicy."""
        self.without_effect: set[str] = set()
        """Words that mean nobody on this server."""
        self._groups: dict[str, frozenset[str]] = {}
        for name, part in _members(groups).items():
            if not name.startswith("group:") or name == "group:":
                raise part.wrong("the name of a group begins with group:", name=True)
            self._groups[name] = frozenset(_login(word, word.value) for word in part.words())
        self._hosts: dict[str, str] = {}
        for name, part in _members(hosts).items():
            if ":" in name or "@" in name or "*" in name:
                raise part.wrong("the name of a host has no ':', '@' or '*'", name=True)
            self._hosts[name] = network_of(part, part.value)
        for name, part in _members(tags).items():
            if not name.startswith("tag:") or name == "tag:":
                raise part.wrong("a tag begins with tag:", name=True)
        self._tags = frozenset(_members(tags))

    def selector(self, part: Part, word: str, place: str) -> Selector:
        """What a word of `src` or `dst` (without its ports) means; `part`: where it stands. Raises BadPolicy."""
        if word == "*":
            return ANYBODY
        if (found := re.fullmatch(_DOMAIN, word)) is not None:
            return Selector(domains=frozenset({found[1]}))
        kind, colon, _ = word.partition(":")
        if colon and kind in ("group", "tag", "autogroup"):
            return self._of_kind(part, kind, word, place)
        if colon and kind in ("host", "ipset", "svc", "user"):
            raise part.wrong(f"{part.shown}: of words with {kind}: this server knows user:*@DOMAIN only")
        if "@" in word:
            return Selector(logins=frozenset({_login(part, word)}))
        if word in self._hosts:
            return Selector(networks=(_some(part, self._hosts[word]),))
        address = re.sub(_BRACKETS, r"\1", word)
        if ":" in address or "/" in address or address.replace(".", "").isdigit():
            return Selector(networks=(_some(part, network_of(part, address)),))
        raise part.wrong(f"there is no {part.shown} under hosts; a user is written with an @")

    def owner(self, part: Part) -> Selector:
        """What a word of `tagOwners` or `autoApprovers` means. Raises BadPolicy."""
        kind, colon, _ = part.value.partition(":")
        if colon and kind in ("group", "tag", "autogroup"):
            return self._of_kind(part, kind, part.value, "owner")
        return Selector(logins=frozenset({_login(part, part.value)}))

    def tag(self, part: Part) -> str:
        """A tag that has owners. Raises BadPolicy."""
        if part.value not in self._tags:
            raise part.wrong(f"there is no {part.shown} under tagOwners")
        return str(part.value)

    def _of_kind(self, part: Part, kind: str, word: str, place: str) -> Selector:
        if kind == "group" and word in self._groups:
            return Selector(logins=self._groups[word])
        if kind == "tag" and word in self._tags:
            return Selector(tags=frozenset({word}))
        if kind != "autogroup":
            raise part.wrong(f"there is no {part.shown} under {'groups' if kind == 'group' else 'tagOwners'}")
        if word in _ROLES_OF_NOBODY:
            self.without_effect.add(word)
            return Selector()
        if word not in _AUTOGROUPS:
            raise part.wrong(f"{part.shown} is not known here; there are {', '.join(_AUTOGROUPS)}")
        selector, places = _AUTOGROUPS[word]
        if place not in places:
            raise part.wrong(f"{word} may stand in {' and '.join(places)} only")
        return selector


def union(selectors: Iterable[Selector]) -> Selector:
    """What any of them holds."""
    parts = list(selectors)
    if len(parts) == 1:
        return parts[0]  # rules that name one group share its set of logins
    return Selector(
        everybody=any(part.everybody for part in parts),
        anywhere=any(part.anywhere for part in parts),
        logins=frozenset().union(*(part.logins for part in parts)),
        domains=frozenset().union(*(part.domains for part in parts)),
        tags=frozenset().union(*(part.tags for part in parts)),
        members=any(part.members for part in parts),
        admins=any(part.admins for part in parts),
        tagged=any(part.tagged for part in parts),
        networks=tuple(dict.fromkeys(network for part in parts for network in part.networks)),
    )


@functools.lru_cache(maxsize=1 << 16)
def address_range(prefix: str) -> AddressRange:
    """From the first to the last address of an address or prefix."""
    network = ipaddress.ip_network(prefix)
    return network.version, int(network.network_address), int(network.broadcast_address)


def overlap(one: AddressRange, other: AddressRange) -> bool:
    """Whether they have an address in common."""
    return one[0] == other[0] and one[1] <= other[2] and other[1] <= one[2]


def _members(part: Part | None) -> dict[str, Part]:
    return {} if part is None else part.members()


def _login(part: Part, word: str) -> str:
    """`alice@` is the user alice, who has no domain; `alice@example.com` is one whose login is all of that."""
    if not re.fullmatch(_LOGIN, word):
        raise part.wrong(f"{part.shown} is no user, which is NAME@ or NAME@DOMAIN")
    return word.removesuffix("@")


def network_of(part: Part, value: object, *, name: bool = False) -> str:
    """An address or a prefix as text; `name`: it is the name of the part. Raises BadPolicy."""
    try:
        if isinstance(value, str):
            return str(ipaddress.ip_network(value))
    except ValueError as error:
        raise part.wrong(escape(str(error)), name=name) from None
    raise part.wrong("an address or a prefix is expected", name=name)


def _some(part: Part, network: str) -> str:
    """A network that is not everything."""
    if network.endswith("/0"):
        raise part.wrong(f'{part.shown} is every address: that is "*", or autogroup:internet for exit nodes')
    return network
