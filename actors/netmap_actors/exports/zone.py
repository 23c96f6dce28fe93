"""The netmap as a zone in the form of RFC 1035 section 5, for BIND, Knot, NSD, Unbound and their like.

Names are chosen by members of the tailnet, by other tailnets and by the control server. A zone holds those of our own
tailnet only, below its domain or below another one, the tailnet's DNS records, and for each tag a name that leads to
all its nodes. A name is a host name (RFC 1123) or is left out and counted: nothing in the file has to be escaped.

Not here: which serial follows which (`zone_serial`).
"""

from __future__ import annotations

import collections
import ipaddress
from typing import TYPE_CHECKING, Final, NamedTuple

from netmap_actors.exports.dns_records import address_records
from netmap_actors.exports.host_names import MAX_NAME, host_name, is_reserved
from netmap_actors.exports.nodes import (
    all_nodes,
    chosen_nodes,
    name_bearers,
    narrows,
    node_addresses,
    tag_names,
    unfit,
)
from netmap_actors.exports.remarks import (
    NO_ADDRESS,
    NO_NAME,
    OUTSIDE,
    RECORDED,
    RESERVED,
    SAME_TAG,
    TOO_MANY,
    UNASKED,
    CannotExport,
    counted,
    heading,
)
from netmap_actors.wire.vocabulary import TAILNET

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from typing import TypeAlias, Unpack

    from netmap_actors.exports.nodes import NodeChoice
    from netmap_actors.subscriber import Netmap

    Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

__all__ = ["reverse_zone", "text"]

TTL: Final = 60
"""Seconds a resolver may keep a record, or the answer that there is none."""
SERVER: Final = "localhost"
"""In SOA and NS where no server is named, as in the zones that resolvers have of themselves."""
TAGS: Final = "tag"
"""Below this label stand the tags: web.tag.example.ts.net. No node has a name there."""
MAX_ADDRESSES: Final = 100
"""Of one family behind one name: BIND refuses a zone with more (max-records-per-type, since 9.18.28)."""
_TIMERS: Final = "3600 600 604800"
"""Seconds after which a secondary asks again, tries again, and gives up (RFC 1035 section 3.3.13)."""
_SHOWN_ZONES: Final = 8


class _Names(NamedTuple):
    """What the zone holds: addresses by host name, in full."""

    nodes: dict[str, list[str]]
    records: dict[str, list[str]]
    tags: dict[str, list[str]]
    remarks: list[str]


def text(
    netmap: Netmap,
    *,
    state: str,
    serial: int,
    origin: str | None = None,
    servers: Collection[str] = (),
    reverse: Network | None = None,
    **choice: Unpack[NodeChoice],
) -> str:
    """The whole file. The same netmap and serial give the same text.

    `state`: fresh or stale. `origin`: the domain below which the names are given; None: the tailnet's own.
    `servers`: host names of the servers of the zone, the primary one first. `reverse`: the zone of this network's
    addresses instead, which has to be one (`reverse_zone`). Raises CannotExport without a domain, and when a server in
    the zone has no address.
    """
    domain = _Domain(netmap.own_suffix, origin)
    names = _collected(netmap, domain, choice)
    shown = list(dict.fromkeys(server.rstrip(".").lower() for server in servers or [SERVER]))
    forward = names.nodes | {
        name: _ordered({*names.nodes.get(name, ()), *found}) for name, found in names.records.items()
    }
    for server in shown:
        if _relative(server, domain.zone) is not None and server not in forward:
            raise CannotExport(
                f"cannot export the zone: its server {server} lies in it and has no address there; name a server "
                "outside, or one of the nodes"
            )
    zone = domain.zone if reverse is None else _reverse_name(reverse)
    head = [*heading(netmap.domain, state), *names.remarks]
    if reverse is None:
        head += _reverse_zones(forward.values())
        entries = list(_forward(forward | names.tags, zone, state))
    else:
        entries = list(_pointers(names, reverse, zone))
    soa = f"{shown[0]}. hostmaster.{domain.zone}. {serial} {_TIMERS} {TTL}"
    lines = [
        *(f"; {line}" for line in head),
        f"$ORIGIN {zone}.",
        f"$TTL {TTL}",
        f"@\tIN\tSOA\t{soa}",
        *(f"@\tIN\tNS\t{server}." for server in shown),
        *entries,
    ]
    return "".join(f"{line}\n" for line in lines)


def reverse_zone(network: str) -> Network:
    """The network, if its addresses are one reverse zone. Raises ValueError with the reason.

    RFC 1035 section 3.5 and RFC 3596 section 2.5: a label for each 8 bits of an IPv4 address, 4 of an IPv6 address.
    """
    found = ipaddress.ip_network(network)
    step = 8 if found.version == 4 else 4
    if not 0 < found.prefixlen < found.max_prefixlen or found.prefixlen % step:
        ends = "/8, /16 or /24" if found.version == 4 else "a multiple of 4, as /48"
        raise ValueError(f"{network} is no reverse zone: one ends at {ends}")
    return found


def _collected(netmap: Netmap, domain: _Domain, choice: NodeChoice) -> _Names:
    left_out: collections.Counter[str] = collections.Counter()
    without_tag: collections.Counter[str] = collections.Counter()
    narrowed = narrows(choice)
    wanted = {tag.removeprefix("tag:") for tag in choice.get("tags", ())}
    found, without_record = address_records(
        netmap.dns, lambda name: None if domain.of_record(name) else OUTSIDE
    )
    records: dict[str, list[str]] = {}
    for recorded, values in found.items():
        name = domain.of_record(recorded)
        records[name] = _ordered({*records.get(name, ()), *values})
    listed = all_nodes(netmap)
    bearers = name_bearers(listed)
    nodes: dict[str, list[str]] = {}
    tagged: dict[str, set[str]] = {}
    for node, _, _ in chosen_nodes(listed, left_out, **choice):
        given, addresses = host_name(node.name) or "", node_addresses(node)
        name = domain.of_node(given) if given and not node.shared_in else ""
        if name and not node.expired:
            # Of a tag that was not asked for only some nodes are here, and its name has to lead to all.
            for tag in tag_names(node) if not wanted else [*wanted.intersection(tag_names(node))]:
                tagged.setdefault(tag, set()).update(addresses)
        if (why := unfit(node, given, addresses, bearers)) is not None:
            left_out[why] += 1
        elif not name:
            left_out[OUTSIDE] += 1
        elif domain.is_refused(name):
            left_out[RESERVED] += 1
        elif not set(records.get(name, ())).issubset(addresses):
            left_out[RECORDED] += 1
        else:
            nodes[name] = addresses
    if narrowed and records:
        without_record[UNASKED] += sum(map(len, records.values()))
        records = {}
    by_name = _tag_names(tagged, domain.zone, {*nodes, *records}, without_tag)
    counts = f"DNS records: {sum(map(len, records.values()))}. Tags: {len(by_name)}."
    remarks = [
        f"Nodes: {len(nodes)}{' of those asked for' if narrowed else ''}. {counts}",
        *counted("Left out", left_out),
        *counted("Left out of the DNS records", without_record),
        *counted("Left out of the tags", without_tag),
    ]
    return _Names(nodes, records, by_name, remarks)


class _Domain:
    """Which names the tailnet's have in the zone."""

    def __init__(self, suffix: str | None, origin: str | None) -> None:
        """`suffix`: the tailnet's own domain, as far as it is known. `origin`: another one for the zone."""
        zone = host_name((suffix or "") if origin is None else origin.rstrip("."))
        if zone is None:
            raise CannotExport(
                "cannot export the zone: the tailnet's domain is not known, or is no domain; name one: --origin DOMAIN"
            )
        self.zone = zone
        self._suffix = suffix

    def of_node(self, name: str) -> str:
        """In full; empty for a name outside the tailnet's domain."""
        label = (name if "." not in name else None) if self._suffix == "" else _relative(name, self._suffix)
        return "" if label is None or label == "@" else host_name(f"{label}.{self.zone}") or ""

    def of_record(self, name: str) -> str:
        """In full; empty for a name outside both domains."""
        if _relative(name, self.zone) is not None:
            return name
        return self.zone if name == self._suffix else self.of_node(name)

    def is_refused(self, name: str) -> bool:
        """Whether no node may have it: it is a tag's, or in a domain of yours what programs look up by themselves."""
        label = _relative(name, self.zone) or ""
        return label.endswith(f".{TAGS}") or (self.zone != self._suffix and is_reserved(label))


def _tag_names(
    tagged: Mapping[str, set[str]], zone: str, taken: Collection[str], left_out: collections.Counter[str]
) -> dict[str, list[str]]:
    """Addresses by the name of each tag. Two tags that differ in the size of letters only have none."""
    labels = {tag: host_name(tag) for tag in tagged}
    bearers = collections.Counter(labels.values())
    found: dict[str, list[str]] = {}
    for tag, addresses in tagged.items():
        label = labels[tag]
        full = "" if label is None else f"{label}.{TAGS}.{zone}"
        families = collections.Counter(":" in address for address in addresses)
        if label is None or "." in label or len(full) > MAX_NAME:
            left_out[NO_NAME] += 1
        elif bearers[label] > 1:
            left_out[SAME_TAG] += 1
        elif full in taken:
            left_out[RECORDED] += 1
        elif not addresses:
            left_out[NO_ADDRESS] += 1
        elif max(families.values()) > MAX_ADDRESSES:
            left_out[TOO_MANY] += 1
        else:
            found[full] = _ordered(addresses)
    return found


def _forward(names: Mapping[str, list[str]], zone: str, state: str) -> Iterator[str]:
    # For who has the zone from a server and sees no comments.
    yield f'_netmap\tIN\tTXT\t"tailnet={TAILNET}" "state={state}"'
    for name, addresses in sorted(names.items()):
        label = _relative(name, zone)
        for address in addresses:
            yield f"{label}\tIN\t{'AAAA' if ':' in address else 'A'}\t{address}"


def _pointers(names: _Names, network: Network, zone: str) -> Iterator[str]:
    """One name for each address: a node's, else a record's."""
    found: dict[str, str] = {}
    for some in (names.nodes, names.records):
        for name in sorted(some):
            for address in some[name]:
                found.setdefault(address, name)
    for address in _ordered(found):
        parsed = ipaddress.ip_address(address)
        if parsed in network:
            yield f"{parsed.reverse_pointer.removesuffix(f'.{zone}')}\tIN\tPTR\t{found[address]}."


def _reverse_name(network: Network) -> str:
    labels = network.network_address.reverse_pointer.split(".")
    hidden = (network.max_prefixlen - network.prefixlen) // (8 if network.version == 4 else 4)
    return ".".join(labels[hidden:])


def _reverse_zones(addresses: Iterable[list[str]]) -> Iterator[str]:
    """Which reverse zones these addresses lie in, cut where tailnets are: their IPv6 range is a /48."""
    networks = {_reverse_network(address) for some in addresses for address in some}
    zones = sorted({str(ipaddress.ip_network(network)) for network in networks}, key=_by_family)
    more = f" and {len(zones) - _SHOWN_ZONES} more" if len(zones) > _SHOWN_ZONES else ""
    if zones:
        yield f"Reverse zones (--reverse): {', '.join(zones[:_SHOWN_ZONES])}{more}."


def _relative(name: str, zone: str | None) -> str | None:
    """The name as it stands in the zone, "@" for the zone itself; None outside."""
    if zone is None or name == zone:
        return None if zone is None else "@"
    return name.removesuffix(f".{zone}") if name.endswith(f".{zone}") else None


def _reverse_network(address: str) -> str:
    if ":" not in address:
        first, second, _ = address.split(".", 2)
        return f"{first}.{second}.0.0/16"
    # Most addresses of a tailnet begin with the same three groups, written out; to parse each takes longest of all.
    groups = address.split(":", 3)[:3]
    return (
        f"{':'.join(groups)}::/48"
        if all(groups)
        else str(ipaddress.ip_network(f"{address}/48", strict=False))
    )


def _ordered(addresses: Iterable[str]) -> list[str]:
    return sorted(addresses, key=_by_family)


def _by_family(text: str) -> tuple[bool, int, str]:
    """IPv4 first; then as numbers where they have as many digits."""
    return (":" in text, len(text), text)
