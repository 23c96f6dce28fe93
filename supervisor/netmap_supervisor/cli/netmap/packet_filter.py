"""The packet filter as lines: who may reach what on this node. Pure.

Field names and meanings: tailscale, tailcfg/tailcfg.go, FilterRule, NetPortRange and CapGrant.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netmap_actors.errors import escape
from netmap_supervisor.cli.netmap.server_json import mapping, mappings, texts
from netmap_supervisor.view.sentences import peer_label
from netmap_supervisor.view.text_layout import fold

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netmap_actors.subscriber import Netmap

__all__ = ["filter_lines"]

_PROTOCOLS = {
    1: "icmp", 2: "igmp", 4: "ipv4", 6: "tcp", 17: "udp", 41: "ipv6", 47: "gre", 50: "esp", 51: "ah", 58: "ipv6-icmp",
    89: "ospf", 132: "sctp",
}  # fmt: skip
"""IANA's names (protocol-numbers)."""
_USUAL = "tcp, udp, icmp"
"""What a rule without IPProto is for."""
_ALL_PORTS = (0, 0xFFFF)


def filter_lines(netmap: Netmap, width: int | None) -> Iterator[str]:
    """`width`: cells of a line, None for any."""
    names = _names(netmap)
    rules = [
        (f"{escape(chunk, 60)} {number}", rule)
        for chunk, listed in sorted(mapping(netmap.packet_filter).items())
        for number, rule in enumerate(mappings(listed), 1)
    ]
    if not rules:
        yield "No rules: nobody may reach this node."
        return
    wide = max(len(lead) for lead, _ in rules) + 2
    for lead, rule in rules:
        for sentence in _sentences(rule, names):
            yield from fold(f"{lead:<{wide}}", sentence, width)


def _sentences(rule: dict[str, Any], names: dict[str, str]) -> Iterator[str]:
    """What one rule lets through, and what it grants."""
    sources = _named([*texts(rule.get("SrcIPs"))], names) or "nobody"
    ports = _destinations(mappings(rule.get("DstPorts")), names)
    grants = mappings(rule.get("CapGrant"))
    if ports or not grants:
        yield f"{sources} → {ports or 'nothing'} ({_protocols(rule.get('IPProto'))})"
    for grant in grants:
        where = _named(texts(grant.get("Dsts")), names) or "nothing"
        capabilities = list(map(escape, texts(grant.get("Caps"))))
        capabilities += [_capability(name, values) for name, values in mapping(grant.get("CapMap")).items()]
        yield f"{sources} may use {', '.join(capabilities) or 'nothing'} on {where}"


def _capability(name: str, values: Any) -> str:
    count = len(values) if isinstance(values, list) else 0
    return escape(name) + (f" ({count} argument{'s' if count > 1 else ''})" if count else "")


def _destinations(ports: list[dict[str, Any]], names: dict[str, str]) -> str:
    """`web-1:22,443`: the ports of one address together, and addresses of one node once."""
    found: dict[str, list[str]] = {}
    for one in ports:
        address = one.get("IP")
        if isinstance(address, str):
            place = _named([_with_bits(address, one.get("Bits"))], names)
            listed = found.setdefault(place, [])
            if (port := _ports(mapping(one.get("Ports")))) not in listed:
                listed.append(port)
    return ", ".join(f"{_bracketed(place)}:{','.join(listed)}" for place, listed in found.items())


def _with_bits(address: str, bits: Any) -> str:
    """An older server gives the length of the prefix beside the address."""
    return f"{address}/{bits}" if isinstance(bits, int) and "/" not in address else address


def _bracketed(place: str) -> str:
    return f"[{place}]" if ":" in place else place


def _ports(ports: dict[str, Any]) -> str:
    first, last = ports.get("First"), ports.get("Last")
    if (first, last) == _ALL_PORTS:
        return "*"
    return escape(str(first)) if first == last else f"{escape(str(first))}-{escape(str(last))}"


def _protocols(numbers: Any) -> str:
    if not isinstance(numbers, list) or not numbers:
        return _USUAL
    return ", ".join(
        _PROTOCOLS.get(one, f"protocol {one}") if isinstance(one, int) else escape(str(one))
        for one in numbers
    )


def _named(addresses: list[str], names: dict[str, str]) -> str:
    """The nodes and addresses, each once: a node has several addresses, and a rule lists all of them."""
    return ", ".join(dict.fromkeys(names.get(_host(one)) or escape(one) for one in addresses))


def _host(prefix: str) -> str:
    """The address of a prefix that holds one address only."""
    address, _, bits = prefix.partition("/")
    return address if bits in {"", "128" if ":" in address else "32"} else prefix


def _names(netmap: Netmap) -> dict[str, str]:
    """Names by address; an address that two nodes have stays an address."""
    found: dict[str, str] = {}
    shared: set[str] = set()
    own = netmap.self_node
    for node in (*netmap.peers.values(), *(() if own is None else (own,))):
        held = node.held()
        for address in held.ips:
            if address in found:
                shared.add(address)
            found[address] = peer_label(held)
    return {address: name for address, name in found.items() if address not in shared}
