"""The packets that packet filters let in, as sets that can be compared whatever their rules look like.

All ranges of both filters are cut into cells that none of them divides; a filter is then, for each cell of
destination, port and protocol, the cells of sources as bits. An address is a number, the version of IP on top.
"""

from __future__ import annotations

import bisect
import ipaddress
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["same_packets"]

Rules = list[dict[str, Any]]
_EVERY_ADDRESS = (("0.0.0.0", "255.255.255.255"), ("::", "ffff:" * 7 + "ffff"))
_BY_ITSELF = (1, 6, 17, 58)
"""Protocols of a rule that names none (tailscale: tailcfg.FilterRule.IPProto)."""
_VERSION = 128


def same_packets(one: Rules, other: Rules) -> bool:
    """Whether two lists of tailcfg.FilterRule let in the same packets, and grant the same capabilities."""
    cuts = _Cuts([*one, *other])
    return cuts.cells(one) == cuts.cells(other)


class _Cuts:
    """Where the ranges of some rules begin, or others have ended."""

    def __init__(self, rules: Rules) -> None:
        found: set[int] = set()
        ports: set[int] = set()
        for rule in rules:
            for first, last in _all_ranges(rule):
                found |= {first, last + 1}
            for place in rule.get("DstPorts") or []:
                ports |= {place["Ports"]["First"], place["Ports"]["Last"] + 1}
        self._addresses, self._ports = sorted(found), sorted(ports)
        self._version6 = bisect.bisect_left(self._addresses, 6 << _VERSION)

    def cells(self, rules: Rules) -> dict[tuple[Any, ...], int]:
        """For each cell of destination and what is let in there, a bit for each cell of sources."""
        found: dict[tuple[Any, ...], int] = {}
        for rule in rules:
            sources = 0
            for first, last in _ranges(rule["SrcIPs"]):
                for cell in self._within(self._addresses, first, last):
                    sources |= 1 << cell
            for cell, what in self._let_in(rule):
                # No packet has addresses of two versions.
                of4 = (1 << self._version6) - 1
                met = sources & of4 if cell < self._version6 else sources & ~of4
                if met:
                    found[cell, what] = found.get((cell, what), 0) | met
        return found

    def _let_in(self, rule: dict[str, Any]) -> Iterator[tuple[int, Any]]:
        for place in rule.get("DstPorts") or []:
            ports = self._within(self._ports, place["Ports"]["First"], place["Ports"]["Last"])
            for first, last in _ranges([place["IP"]]):
                for cell in self._within(self._addresses, first, last):
                    for port in ports:
                        for protocol in rule.get("IPProto") or _BY_ITSELF:
                            yield cell, (protocol, port)
        for grant in rule.get("CapGrant") or []:
            for first, last in _ranges(grant["Dsts"]):
                for cell in self._within(self._addresses, first, last):
                    for name, values in grant["CapMap"].items():
                        yield cell, (name, json.dumps(values, sort_keys=True))

    def _within(self, cuts: list[int], first: int, last: int) -> range:
        return range(bisect.bisect_left(cuts, first), bisect.bisect_left(cuts, last + 1))


def _all_ranges(rule: dict[str, Any]) -> Iterator[tuple[int, int]]:
    yield from _ranges(rule["SrcIPs"])
    yield from _ranges(place["IP"] for place in rule.get("DstPorts") or [])
    for grant in rule.get("CapGrant") or []:
        yield from _ranges(grant["Dsts"])


def _ranges(words: Iterable[str]) -> Iterator[tuple[int, int]]:
    """First and last address of `*`, an address, a prefix or a range."""
    for word in words:
        if word == "*":
            yield from ((_number(first), _number(last)) for first, last in _EVERY_ADDRESS)
        elif "-" in word:
            first, _, last = word.partition("-")
            yield _number(first), _number(last)
        else:
            network = ipaddress.ip_network(word)
            yield _number(str(network.network_address)), _number(str(network.broadcast_address))


def _number(address: str) -> int:
    made = ipaddress.ip_address(address)
    return made.version << _VERSION | int(made)
