"""Whether the answer of `/key` may be believed. Whoever controls that answer owns the session.

Not here: the request (`protocol.key_endpoint`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netmap_actors.errors import ConfigurationError
from netmap_actors.transport.address import is_local_network

if TYPE_CHECKING:
    from netmap_actors.control.control_url import ControlUrl
    from netmap_actors.transport.address import Address

__all__ = ["demand_trustworthy_key"]


def demand_trustworthy_key(
    url: ControlUrl, remote: Address, *, insecure: bool, proxied: bool = False
) -> None:
    """Over https always; over http from loopback and private addresses, or when it was explicitly allowed.

    `proxied`: `remote` is a proxy's address and says nothing about the way behind it. Raises ConfigurationError.
    """
    if url.is_https or insecure or (is_local_network(remote.ip) and not proxied):
        return
    way = "through a proxy" if proxied else "to a public address"
    raise ConfigurationError(
        f"cannot trust the control key from {url.text}: plain http {way} can be forged on the way; "
        "use an https URL, or --insecure-key-fetch if you accept that"
    )
