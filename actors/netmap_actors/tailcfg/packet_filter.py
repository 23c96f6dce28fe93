"""The rules of the packet filter, which only ever grant.

Not here: their meaning for packets; we publish them. Names: tailscale: tailcfg/tailcfg.go.
"""

from __future__ import annotations

from typing import Any

from netmap_actors.tailcfg.go_json import GoStruct, Int32

__all__ = ["CapGrant", "FilterRule", "NetPortRange", "PortRange"]


class PortRange(GoStruct, frozen=True):
    """Ports from `first` to `last`, both included."""

    first: Int32 = 0
    last: Int32 = 0


class NetPortRange(GoStruct, frozen=True):
    """Addresses (`*`, an address, a prefix, a range `a-b`) and their ports."""

    ip: str = ""
    bits: Int32 | None = None
    ports: PortRange = PortRange()


class CapGrant(GoStruct, frozen=True):
    """Capabilities that the rule's sources have on `dsts`."""

    dsts: tuple[str, ...] | None = None
    caps: tuple[str, ...] | None = None
    cap_map: dict[str, list[Any] | None] | None = None


class FilterRule(GoStruct, frozen=True):
    """What `src_ips` may reach; `dst_ports` and `cap_grant` exclude each other."""

    src_ips: tuple[str, ...] | None = None
    src_bits: tuple[Int32, ...] | None = None
    dst_ports: tuple[NetPortRange, ...] | None = None
    ip_proto: tuple[Int32, ...] | None = None
    """Empty means TCP, UDP, ICMPv4 and ICMPv6."""
    cap_grant: tuple[CapGrant, ...] | None = None
