"""Whether the kernel would reach the control server, and how: asked of every address its name has.

A lookup holds for the network it was made in: elsewhere the name may have other addresses. Not here: the kernel
itself (`route_watch`), and what follows when a way comes or goes (`core`).
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["ControlRoutes", "Route"]


class Route(msgspec.Struct, frozen=True):
    """The way to the control server is known, or is another one than before."""

    text: str | None
    """For comparing and for logs; None: to none of its addresses. Empty: its addresses are not known."""
    aimed: bool = False
    """Other addresses are looked at than before, which is no change of the network."""
    elsewhere: str | None = None
    """Without a way to addresses that are known: the one to the rest of the world, when the addresses may be other
    ones there."""


class ControlRoutes:
    """The addresses, and the way to them that was reported last.

    `ask(ip)`: the way there as text, None for none, empty when it is not known now. `elsewhere()`: addresses that
    stand for the rest of the world.
    """

    def __init__(self, ask: Callable[[str], str | None], elsewhere: Callable[[], Sequence[str]]) -> None:
        self._ask = ask
        self._elsewhere = elsewhere
        self._lookup = 0
        self._hosts: tuple[str, ...] = ()
        self._in_use = ""
        """The address of the present connection, or of the last one."""
        self._network: tuple[str, ...] = ()
        """Ways to the rest of the world when the addresses were looked up."""
        self._said = self._way()
        """What the first attempt begins with: another one later is a change of the network, this one is none."""

    def aim(self, lookup: int, addresses: Sequence[str], remote: str) -> Route | None:
        """What a lookup with this number found, and the address of the present connection, empty for none.

        Addresses are IP:PORT, [IP]:PORT or [IP%INTERFACE]:PORT; what is none is left out.
        """
        hosts = tuple(dict.fromkeys(host for host in map(_host, addresses) if host)) or self._hosts
        in_use = _host(remote) or (self._in_use if self._in_use in hosts else "")
        if (lookup, hosts, in_use) == (self._lookup, self._hosts, self._in_use):
            return None
        # Another way to where one was aimed at before has nothing to do with the aim: the network is another one.
        known, now = self._said and self._said[0], self._way()
        same = not known or now is None or now[0] == known
        if lookup != self._lookup:
            self._network = self._ways_elsewhere()
        self._lookup, self._hosts, self._in_use = lookup, hosts, in_use
        return self._changed(aimed=same)

    def look(self) -> Route | None:
        """Ask again; None when nothing has changed."""
        return self._changed(aimed=False)

    def _changed(self, *, aimed: bool) -> Route | None:
        now = self._way()
        if now is None or now == self._said:
            return None
        self._said = now
        return Route(now[0], aimed=aimed, elsewhere=now[1])

    def _way(self) -> tuple[str | None, str | None] | None:
        """The way to the server, and without one to the rest of the world; None when the kernel cannot be asked."""
        asked = [self._in_use, *self._hosts] if self._in_use else [*self._hosts]
        unknown = False
        for host in asked:
            way = self._ask(host)
            if way:
                return way, None
            unknown = unknown or way == ""
        if unknown:
            return None
        network = self._ways_elsewhere()
        if not self._hosts:
            return "", next(iter(network), None)
        return None, next(iter(network), None) if network != self._network else None

    def _ways_elsewhere(self) -> tuple[str, ...]:
        return tuple(way for way in map(self._ask, self._elsewhere()) if way)


def _host(address: str) -> str:
    """The IP address, with its interface; empty when it is none."""
    host = address.rpartition(":")[0].strip("[]")
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return ""
    return host
