"""The tailnet's DNS settings: DNSConfig and what it is made of.

Not here: any name resolution. Names: tailscale: tailcfg/tailcfg.go, types/dnstype.
"""

from __future__ import annotations

import msgspec

from netmap_actors.tailcfg.go_json import GoStruct

__all__ = ["DNSConfig", "DNSRecord", "Resolver"]


class Resolver(GoStruct, frozen=True):
    """One DNS server: an address, `IP:port`, `https://…`."""

    addr: str = ""
    bootstrap_resolution: tuple[str, ...] | None = None
    use_with_exit_node: bool = False


class DNSRecord(GoStruct, frozen=True):
    """A record served by MagicDNS; type "" means A or AAAA by the value."""

    name: str = ""
    type: str = ""
    value: str = ""


class DNSConfig(GoStruct, frozen=True):
    """Replaced as a whole by the next one, never merged."""

    resolvers: tuple[Resolver | None, ...] | None = None
    routes: dict[str, tuple[Resolver | None, ...] | None] | None = None
    """By suffix; an empty list means the built-in resolver."""
    fallback_resolvers: tuple[Resolver | None, ...] | None = None
    domains: tuple[str, ...] | None = None
    proxied: bool = False
    """MagicDNS is on."""
    nameservers: tuple[str, ...] | None = None
    cert_domains: tuple[str, ...] | None = None
    extra_records: tuple[DNSRecord, ...] | None = None
    exit_node_filtered_set: tuple[str, ...] | None = None
    temp_corp_issue: str = msgspec.field(default="", name="TempCorpIssue13969")
