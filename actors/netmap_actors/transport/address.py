"""A socket address, and the order in which to try several.

Not here: name resolution (`resolve`) and connecting (`dial`).
"""

from __future__ import annotations

import itertools
import socket
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Address", "in_turn", "interleave"]


class Address(msgspec.Struct, frozen=True):
    """An IP address with a port. `scope` is the interface of a link-local IPv6 address, else 0."""

    ip: str
    port: int
    scope: int = 0

    @property
    def is_ipv6(self) -> bool:
        return ":" in self.ip

    @property
    def socket_address(self) -> tuple[str, int] | tuple[str, int, int, int]:
        """As the socket module expects it."""
        return (self.ip, self.port, 0, self.scope) if self.is_ipv6 else (self.ip, self.port)

    def __str__(self) -> str:
        """IP:PORT, [IP]:PORT or [IP%INTERFACE]:PORT."""
        zone = f"%{_interface(self.scope)}" if self.scope else ""
        return f"[{self.ip}{zone}]:{self.port}" if self.is_ipv6 else f"{self.ip}:{self.port}"


def _interface(index: int) -> str:
    try:
        return socket.if_indextoname(index)
    except (OSError, OverflowError):
        return str(index)


def interleave(addresses: list[Address]) -> list[Address]:
    """Address families alternate, the first one's first, in order within a family (RFC 8305, section 4)."""
    if not addresses:
        return []
    first = [a for a in addresses if a.is_ipv6 == addresses[0].is_ipv6]
    other = [a for a in addresses if a.is_ipv6 != addresses[0].is_ipv6]
    pairs = itertools.zip_longest(first, other)
    return [address for pair in pairs for address in pair if address is not None]


def in_turn(addresses: list[Address], avoid: Sequence[str]) -> tuple[list[Address], list[Address]]:
    """Addresses in the order to try them, and those to try only when these have failed or are slow.

    `avoid`: addresses, as text, that did not work, oldest first. At least one is tried at once.
    """
    first = interleave([address for address in addresses if str(address) not in avoid])
    last = sorted((a for a in addresses if str(a) in avoid), key=lambda address: avoid.index(str(address)))
    return (first, last) if first else (last[:1], last[1:])
