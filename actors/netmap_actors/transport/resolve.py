"""Resolves a name in a daemon thread: getaddrinfo cannot be cancelled.

Not here: a time limit, which is the caller's.
"""

from __future__ import annotations

import ipaddress
import socket
import threading
from typing import TYPE_CHECKING

from netmap_actors.finite import whole_number
from netmap_actors.transport.address import Address

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from netmap_actors.bus.loop import Loop

__all__ = ["MAX_ADDRESSES", "resolve"]

MAX_ADDRESSES = 16
"""Addresses of one name that are tried."""
_MAX_SCOPE = 2**32 - 1
"""The number of an interface (sin6_scope_id, RFC 3493)."""


def resolve(
    loop: Loop,
    host: str,
    port: int,
    on_resolved: Callable[[list[Address]], None],
    on_failed: Callable[[str], None],
) -> None:
    """Resolve `host`; calls one of the two callbacks in the loop's thread, `on_failed` with the reason."""
    try:
        literal = _literal(host, port)
    except OSError:
        why = f"cannot resolve {host}: there is no interface {host.partition('%')[2]}"
        loop.call_soon(lambda: on_failed(why))
        return
    if literal is not None:
        loop.call_soon(lambda: on_resolved([literal]))
        return

    def look_up() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
        except (OSError, UnicodeError) as error:
            why = error.strerror or str(error) if isinstance(error, OSError) else "it is not a host name"
            loop.call_soon(lambda: on_failed(f"cannot resolve {host}: {why}"))
            return
        addresses = _addresses(found)
        if addresses:
            loop.call_soon(lambda: on_resolved(addresses))
        else:
            loop.call_soon(lambda: on_failed(f"cannot resolve {host}: it has no IP address"))

    # A daemon thread: it must not keep the process alive.
    threading.Thread(target=look_up, name=f"resolve {host}", daemon=True).start()


def _literal(host: str, port: int) -> Address | None:
    """The address `host` is, or None. Raises OSError when the interface of a link-local address does not exist."""
    ip, _, zone = host.partition("%")
    try:
        address = str(ipaddress.ip_address(ip))
    except ValueError:
        return None
    if not zone:
        return Address(address, port)
    number = whole_number(zone, _MAX_SCOPE)
    return Address(address, port, socket.if_nametoindex(zone) if number is None else number)


def _addresses(
    found: Sequence[tuple[socket.AddressFamily, object, int, str, tuple[object, ...]]],
) -> list[Address]:
    """In the resolver's order (RFC 6724), without duplicates."""
    addresses: dict[Address, None] = {}
    for family, _, _, _, where in found:
        if family == socket.AF_INET6:
            addresses[Address(str(where[0]).partition("%")[0], int(str(where[1])), int(str(where[3])))] = None
        elif family == socket.AF_INET:
            addresses[Address(str(where[0]), int(str(where[1])))] = None
    return list(addresses)[:MAX_ADDRESSES]
