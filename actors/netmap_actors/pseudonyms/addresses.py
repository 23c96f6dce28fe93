"""Addresses in the place of addresses: prefixes keep their length and what they contain, ranges of common knowledge
their meaning.

Each bit is flipped, or not, by a keyed hash of the bits before it (Xu et al., Crypto-PAn, 2002): two addresses share as
many leading bits after as before. What is public goes where nobody lives: IPv4 into 240.0.0.0/4, for the documentation
ranges have 768 addresses; IPv6 into 3fff::/20 (RFC 9637), a /48 each.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

__all__ = ["AddressPseudonyms"]


class _Range(NamedTuple):
    """Addresses with the same first bits."""

    version: int
    bits: int
    length: int

    def holds(self, other: _Range) -> bool:
        """Whether all of the other is in it."""
        rest = _WIDTH[self.version] - self.length
        return (
            self.version == other.version
            and self.length <= other.length
            and self.bits >> rest == other.bits >> rest
        )


def _range(text: str) -> _Range:
    network = ipaddress.ip_network(text)
    return _Range(network.version, int(network.network_address), network.prefixlen)


_WIDTH: Final = {4: 32, 6: 128}
_KEPT: Final = tuple(map(_range, (
    "100.64.0.0/10", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16",
    "fd7a:115c:a1e0::/96", "fd7a:115c:a1e0:ab12::/64", "fd7a:115c:a1e0::/48", "fe80::/64", "fe80::/10", "fc00::/7",
)))  # fmt: skip
"""What is in one stays in it; the narrowest first."""
_SAME: Final = tuple(map(_range, (
    "0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/4", "100.100.100.100/32", "::/127", "ff00::/8", "fd7a:115c:a1e0::53/128",
)))  # fmt: skip
"""What every machine has, and the resolver that every tailnet has."""
_VIA: Final = _range("fd7a:115c:a1e0:b1a::/64")
"""4via6: a site of 32 bits, and an IPv4 address."""
_MAPPED: Final = _range("::ffff:0:0/96")
_WIDE: Final = {4: 8, 6: 20}
"""A public prefix shorter than that is nobody's."""
_NUMBERED: Final = {4: 16, 6: 48}
"""Bits of a public address that are numbered as they come; below, containment is kept."""
_NOBODYS: Final = {4: (0xF << 28, 1 << 12), 6: (0x3FFF0 << 108, 1 << 28)}
_LOW: Final = 0xFFFFFFFF
_PORT: Final = re.compile(r"(?:\[(?P<six>[^\]]+)\]|(?P<four>[0-9.]+))(?P<port>:[0-9]{1,5})")


class AddressPseudonyms:
    """The addresses of one file."""

    def __init__(self, salt: bytes) -> None:
        self._salt = hashlib.blake2s(salt).digest()
        self._slots: dict[tuple[int, int], int] = {}
        self._known: dict[_Range, int] = {}

    @property
    def count(self) -> int:
        """Addresses and prefixes that were replaced."""
        return len(self._known)

    def several(self, text: str) -> list[str] | None:
        """What stands for an address, a prefix, an endpoint, or a range, which may need several prefixes; None for
        other text.
        """
        if (one := self.one(text)) is not None:
            return [one]
        first, dash, last = text.partition("-")
        if not dash:
            return None
        try:
            networks = ipaddress.summarize_address_range(
                ipaddress.ip_address(first.strip()),
                ipaddress.ip_address(last.strip()),
            )
            return [self._network(network) for network in networks]
        except (ValueError, TypeError):
            return None

    def one(self, text: str) -> str | None:
        """What stands for an address, a prefix or an endpoint; None for other text."""
        # Most texts are none, and ip_address says so slowly.
        if not text or len(text) > 64 or (":" not in text and not text[0].isdigit()):
            return None
        if (found := _PORT.fullmatch(text)) is not None:
            address = self.one(found["six"] or found["four"])
            return address and (f"[{address}]" if found["six"] else address) + found["port"]
        address, percent, zone = text.partition("%")
        try:
            if "/" in address:
                return self._network(ipaddress.ip_network(address, strict=False))
            return self._address(ipaddress.ip_address(address)) + (percent and f"%{_zone(zone)}")
        except ValueError:
            return None

    def _address(self, address: IPv4Address | IPv6Address) -> str:
        width = address.max_prefixlen
        return str(type(address)(self._bits(_Range(address.version, int(address), width))))

    def _network(self, network: IPv4Network | IPv6Network) -> str:
        bits = self._bits(_Range(network.version, int(network.network_address), network.prefixlen))
        return f"{type(network.network_address)(bits)}/{network.prefixlen}"

    def _bits(self, given: _Range) -> int:
        """The first bits of an address; the others stay zero."""
        if (known := self._known.get(given)) is None:
            known = self._made(given)
            if known != given.bits:
                self._known[given] = known
        return known

    def _made(self, given: _Range) -> int:
        version, bits, length = given
        if any(same.holds(given) for same in _SAME):
            return bits
        if _VIA.holds(given) or _MAPPED.holds(given):
            # The site of 4via6 is a small number.
            inner = length - _WIDTH[6] + _WIDTH[4]
            return bits >> 32 << 32 | (self._bits(_Range(4, bits & _LOW, inner)) if inner > 0 else 0)
        if any(given.holds(kept) for kept in (*_KEPT, _VIA)):
            return bits
        for kept in _KEPT:
            if kept.holds(given):
                start = _free_from(given, kept)
                out = self._flipped(given, start)
                # Again as long as it is one that says something else.
                while any(same == (version, out, length) for same in _SAME):
                    out = self._flipped(_Range(version, out, length), start)
                return out
        return bits if length <= _WIDE[version] else self._public(given)

    def _flipped(self, given: _Range, start: int) -> int:
        width = _WIDTH[given.version]
        out = given.bits
        for index in range(start, given.length):
            before = f"{given.version} {index} {given.bits >> (width - index):x}".encode()
            if hashlib.blake2s(before, key=self._salt, digest_size=1).digest()[0] & 1:
                out ^= 1 << (width - 1 - index)
        return out

    def _public(self, given: _Range) -> int:
        version, bits, length = given
        width, numbered = _WIDTH[version], _NUMBERED[version]
        base, slots = _NOBODYS[version]
        slot = self._slots.setdefault((version, bits >> (width - numbered)), len(self._slots)) % slots
        low = self._flipped(given, numbered) & ((1 << (width - numbered)) - 1)
        rest = width - length
        return (base | slot << (width - numbered) | low) >> rest << rest


def _free_from(given: _Range, kept: _Range) -> int:
    """The first bit that may be flipped of what is in `kept`: what holds a narrower range that is kept stays as it is,
    and so does the bit by which `given` leaves it.
    """
    narrower = (one for one in (*_KEPT, _VIA) if one.length > kept.length and kept.holds(one))
    common = (_WIDTH[given.version] - (given.bits ^ one.bits).bit_length() for one in narrower)
    return max([kept.length, *(one + 1 for one in common)])


def _zone(zone: str) -> str:
    """Names of interfaces are the machine's own."""
    return zone if re.fullmatch(r"(?:eth|en|wlan|wl|tailscale|lo)[0-9]{0,3}", zone) else "eth0"
