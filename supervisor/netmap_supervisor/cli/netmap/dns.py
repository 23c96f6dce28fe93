"""The DNS settings as lines. Pure.

Field names and meanings: tailscale, tailcfg/tailcfg.go, DNSConfig; the order is that of `tailscale dns status`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netmap_actors.errors import escape
from netmap_supervisor.cli.netmap.server_json import mapping, mappings, texts
from netmap_supervisor.view.text_layout import fold

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netmap_actors.subscriber import Netmap

__all__ = ["dns_lines"]

_LEAD = 18
_REVERSE = (".in-addr.arpa", ".ip6.arpa")
_OWN = "Tailscale's own resolver (100.100.100.100)"


def dns_lines(netmap: Netmap, width: int | None) -> Iterator[str]:
    """`width`: cells of a line, None for any."""
    dns = mapping(netmap.dns)
    if not dns:
        yield "The control server sets no DNS: names are looked up as this machine does anyway."
        return
    suffix = f", names end with {escape(netmap.own_suffix)}" if netmap.own_suffix else ""
    rows = [("MagicDNS", [f"on{suffix}" if dns.get("Proxied") else "off"])]
    rows.append(("resolvers", _resolvers(dns.get("Resolvers")) or ["this machine's own"]))
    rows.append(("routes", list(_routes(mapping(dns.get("Routes"))))))
    rows.append(("search domains", [escape(one) for one in texts(dns.get("Domains"))]))
    rows.append(("fallback", _resolvers(dns.get("FallbackResolvers"))))
    rows.append(("nameservers", [escape(one) for one in texts(dns.get("Nameservers"))]))
    rows.append(("certificates for", [escape(one) for one in texts(dns.get("CertDomains"))]))
    rows.append(("extra records", [_record(one) for one in mappings(dns.get("ExtraRecords"))]))
    rows.append(("exit node refuses", [escape(one) for one in texts(dns.get("ExitNodeFilteredSet"))]))
    for name, values in rows:
        for number, value in enumerate(values):
            lead = "" if number else name
            yield from (line.rstrip() for line in fold(f"{lead:<{_LEAD}}", value, width))


def _resolvers(value: Any) -> list[str]:
    return [_resolver(one) for one in mappings(value)]


def _resolver(resolver: dict[str, Any]) -> str:
    found = escape(str(resolver.get("Addr") or "?"))
    bootstrap = [escape(one) for one in texts(resolver.get("BootstrapResolution"))]
    if bootstrap:
        found += f" (at {', '.join(bootstrap)})"
    return found + (", with an exit node, too" if resolver.get("UseWithExitNode") else "")


def _routes(routes: dict[str, Any]) -> Iterator[str]:
    """Split DNS. No resolver: the client answers itself; of these the reverse zones are counted, headscale sends 67."""
    reverse = 0
    for suffix, value in sorted(routes.items()):
        resolvers = _resolvers(value)
        if not resolvers and suffix.rstrip(".").endswith(_REVERSE):
            reverse += 1
            continue
        yield f"{escape(suffix)} → {', '.join(resolvers) or _OWN}"
    if reverse:
        yield f"{reverse} reverse zone{'s' if reverse > 1 else ''} → {_OWN}"


def _record(record: dict[str, Any]) -> str:
    name, kind, value = (escape(str(record.get(key) or "")) for key in ("Name", "Type", "Value"))
    # No type: A or AAAA, as the value is.
    return f"{name} {kind or ('AAAA' if ':' in value else 'A')} {value}"
