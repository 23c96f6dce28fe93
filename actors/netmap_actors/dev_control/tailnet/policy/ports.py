"""Ports and protocols as a policy writes them.

Not here: the rules they stand in (`rules`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from netmap_actors.dev_control.tailnet.policy.document import Part

__all__ = ["ALL_PORTS", "PortRanges", "Protocols", "ports_of", "protocols_of"]

PortRanges = tuple[tuple[int, int], ...]
"""First and last port of each."""
Protocols = tuple[int, ...]
"""IP protocol numbers; none: those a client takes by itself (TCP, UDP, ICMP)."""

_LAST_PORT = 0xFFFF
ALL_PORTS: PortRanges = ((0, _LAST_PORT),)
_PROTOCOLS = {
    "icmp": 1,
    "igmp": 2,
    "ipv4": 4,
    "ip-in-ip": 4,
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
_WITH_PORTS = frozenset({6, 17, 132})


def ports_of(part: Part, text: str, protocols: Protocols) -> PortRanges:
    """`*`, `443`, `8000-8080`, or several with commas; only TCP, UDP and SCTP have any. Raises BadPolicy."""
    if text == "*":
        return ALL_PORTS
    if not _WITH_PORTS.issuperset(protocols):
        raise part.wrong(f"{part.shown}: only tcp, udp and sctp have ports; others take *")
    return tuple(_port_range(part, one) for one in text.split(","))


def _port_range(part: Part, text: str) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    bounds = (first, last if dash else first)
    if not all(bound.isascii() and bound.isdigit() and len(bound) <= 5 for bound in bounds):
        raise part.wrong(f"{part.shown} does not end with a port, a range of ports or *")
    low, high = int(bounds[0]), int(bounds[1])
    if not 0 < low <= high <= _LAST_PORT:
        raise part.wrong(
            f"{part.shown}: the ports are 1 to {_LAST_PORT}, the lower one first; all of them are *"
        )
    return low, high


def protocols_of(part: Part, value: object) -> Protocols:
    """A name or a number as text; nothing for "". Raises BadPolicy."""
    if value == "":
        return ()
    if isinstance(value, str):
        number = _PROTOCOLS.get(value)
        if (
            number is None
            and value.isascii()
            and value.isdigit()
            and len(value) <= 3
            and str(int(value)) == value
        ):
            number = int(value)
        if number is not None and number <= 0xFF:
            return (number,)
    raise part.wrong(f"{part.shown}: the protocol is none of {', '.join(_PROTOCOLS)} and no number as text")
