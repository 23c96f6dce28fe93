"""Host names: which words are valid, and which must not be given to a node.

Systems and programs look some short names up by themselves: a node with such a name would receive their requests.
"""

from __future__ import annotations

import re

__all__ = ["host_name", "is_below", "is_reserved"]

MAX_NAME = 253
"""Characters of a name (RFC 1123 section 2.1; 255 bytes on the wire)."""
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*")
"""As the last label it makes an address of the whole (RFC 1123 section 2.1; inet_aton(3) reads 0x7f000001)."""
_OF_THIS_MACHINE = frozenset(
    {"localhost", "localhost4", "localhost6", "ip6-localhost", "ip6-loopback", "localdomain", "localdomain4",
     "localdomain6"}
)  # fmt: skip
"""As the last label: names every program takes for its own machine (RFC 6761 section 6.3, and what systems ship)."""
_RESERVED = frozenset(
    {
        # The rest of RFC 6761, RFC 6762, RFC 7686 and RFC 9476, and what ICANN keeps for private use.
        "alt", "arpa", "example", "internal", "invalid", "local", "onion", "test",
        # What systems ship in /etc/hosts or make up: macOS, BSD, nss-myhostname(8) before version 235.
        "broadcasthost", "gateway", "loopback",
        # Looked up by every Windows and by browsers; its DNS servers refuse the first two (MS-DNSP 3.1.1.1.4).
        "isatap", "wpad", "teredo",
        # Where programs on Google's and Amazon's machines and in Kubernetes ask for their identity.
        "instance-data", "kubernetes", "metadata",
        # Where mail programs, Puppet's and Salt's agents and syslog.conf look by default.
        "autodiscover", "loghost", "mailhost", "puppet", "salt",
    }
)  # fmt: skip
_RESERVED_BEGINNINGS = ("ip6-", "ipv6-")
"""Debian's and openSUSE's /etc/hosts."""


def host_name(name: str) -> str | None:
    """This name in small letters, if it is a host name (RFC 952, RFC 1123) and not one of this machine's own."""
    labels = name.split(".")
    if len(name) > MAX_NAME or not all(_LABEL.fullmatch(label) for label in labels):
        return None
    last = labels[-1].lower()
    return None if last in _OF_THIS_MACHINE or _NUMBER.fullmatch(last) else name.lower()


def is_below(name: str, domains: frozenset[str]) -> bool:
    """Whether this host name lies below one of these domains, which is not to be one of them."""
    while name:
        name = name.partition(".")[2]
        if name in domains:
            return bool(name)
    return False


def is_reserved(label: str) -> bool:
    """Whether a host name of one label is looked up by systems or programs of themselves."""
    return label in _RESERVED or label.startswith(_RESERVED_BEGINNINGS)
