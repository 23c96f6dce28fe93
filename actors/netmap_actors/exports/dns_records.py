"""The tailnet's own DNS records, as far as they lead from a host name to an address."""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING, Any

from netmap_actors.exports.host_names import host_name
from netmap_actors.exports.nodes import unicast
from netmap_actors.exports.remarks import NO_ADDRESS, NO_NAME, OTHER_TYPE, UNREADABLE

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["address_records"]


def address_records(
    dns: Any, why_not: Callable[[str], str | None]
) -> tuple[dict[str, set[str]], collections.Counter[str]]:
    """Addresses by name, and how many records are left out, by reason.

    `dns`: the DNSConfig. `why_not(name)`: why this valid name is not to be written; None if it is.
    tailscale: tailcfg/tailcfg.go, DNSConfig.ExtraRecords; as there, A and AAAA follow from the value.
    """
    found: dict[str, set[str]] = {}
    left_out: collections.Counter[str] = collections.Counter()
    given = dns.get("ExtraRecords") if isinstance(dns, dict) else None
    for record in given if isinstance(given, list) else ():
        fields = record if isinstance(record, dict) else {}
        written, value, kind = fields.get("Name"), fields.get("Value"), fields.get("Type") or ""
        if not (isinstance(written, str) and isinstance(value, str) and isinstance(kind, str)):
            left_out[UNREADABLE] += 1
            continue
        name, address = host_name(written.removesuffix(".")), unicast(value)
        if kind not in {"", "A", "AAAA"}:
            left_out[OTHER_TYPE] += 1
        elif name is None:
            left_out[NO_NAME] += 1
        elif (why := why_not(name)) is not None:
            left_out[why] += 1
        elif address is None:
            left_out[NO_ADDRESS] += 1
        else:
            found.setdefault(name, set()).add(str(address))
    return found, left_out
