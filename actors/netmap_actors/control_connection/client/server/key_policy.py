"""Whether the answer of `/key` may be trusted: it decides which server owns the session.

Not here: the request (`protocol.key_endpoint`).
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from netmap_actors.errors import ConfigurationError

if TYPE_CHECKING:
    from netmap_actors.control_connection.client.server.control_url import ControlUrl
    from netmap_actors.transport.address import Address

__all__ = ["demand_trustworthy_key"]

_LOCAL = tuple(
    ipaddress.ip_network(text)
    for text in (
        "127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16",
        "::1/128", "fc00::/7", "fe80::/10",
    )
)  # fmt: skip


def demand_trustworthy_key(
    url: ControlUrl, remote: Address, *, insecure: bool, proxied: bool = False
) -> None:
    """Over https always; over http from an address in the URL that is loopback or private, or when it was allowed.

    `remote`: the address connected to. `proxied`: it is a proxy's, and the way behind it is unknown.
    Raises ConfigurationError.
    """
    if url.is_https or insecure:
        return
    if proxied:
        way = "through a proxy"
    elif _is_name(url.host) and not _is_loopback_name(url.host, remote):
        # The resolver chooses the address: that it is a private one proves nothing.
        way = f"to a name (here {remote.ip})"
    elif not _is_local_network(remote.ip):
        way = "to a public address"
    else:
        return
    raise ConfigurationError(
        f"cannot trust the control key from {url.text}: plain http {way} can be forged on the way; "
        "use an https URL, the private address itself in the URL, or --insecure-key-fetch if you accept that"
    )


def _is_name(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return True
    return False


def _is_loopback_name(host: str, remote: Address) -> bool:
    """`localhost` resolved as in RFC 6761, section 6.3, which not every resolver follows."""
    name = host.rstrip(".")
    named = name == "localhost" or name.endswith(".localhost")
    return named and ipaddress.ip_address(remote.ip).is_loopback


def _is_local_network(ip: str) -> bool:
    """Whether an IP address is loopback, private or link-local."""
    address = ipaddress.ip_address(ip.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return any((mapped or address) in network for network in _LOCAL)
