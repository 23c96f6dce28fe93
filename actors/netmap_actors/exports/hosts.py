"""The netmap as a hosts file (hosts(5)), for resolvers and other readers.

Names are chosen by members of the tailnet, by other tailnets that share nodes and by the control server. So a full
name is written only below the tailnet's domain, a short one only for a node of the tailnet and only if nothing else
goes by it; and a line break in a name would be a line of its own. What is left out is counted.
"""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING, Any, Final

from netmap_actors.errors import escape
from netmap_actors.exports.host_names import MAX_NAME, host_name, is_below, is_reserved
from netmap_actors.exports.nodes import all_nodes, is_chosen, node_addresses, shown_tags, unicast
from netmap_actors.wire.vocabulary import Trust

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from netmap_actors.exports.nodes import Listed
    from netmap_actors.subscriber import Netmap

__all__ = ["text"]

_TRUST: dict[str, tuple[str, ...]] = {
    Trust.FRESH: (),
    Trust.STALE: (
        "STALE: the control server, or the daemon, has not been heard for too long; this may be out of date.",
    ),
    Trust.NONE: ("NO NETMAP has come yet, so no node is listed.",),
}
UNREADABLE: Final = "unreadable"
NO_NAME: Final = "without a valid host name"
NO_ADDRESS: Final = "without a valid address"
OUTSIDE: Final = "outside the tailnet's domain"
RESERVED: Final = "with a name that is not to be given"
THIS_MACHINE: Final = "with a name of this machine"
TAKEN: Final = "with a name that another node has, too"
RECORDED: Final = "with a name that a DNS record has, too"
EXPIRED: Final = "expired"
OTHER_TYPE: Final = "neither A nor AAAA"
UNASKED: Final = "since nodes were asked for"
REASONS = (
    UNREADABLE, EXPIRED, NO_NAME, NO_ADDRESS, OUTSIDE, RESERVED, THIS_MACHINE, TAKEN, RECORDED, OTHER_TYPE, UNASKED,
)  # fmt: skip


def text(
    netmap: Netmap,
    *,
    state: str,
    tags: Collection[str] = (),
    online_only: bool = False,
    include_self: bool = False,
    suffixes: Collection[str] = (),
    machine: str = "",
) -> str:
    """The whole file. The same netmap gives the same text.

    `state`: none, fresh or stale. `tags`: only nodes with one of them. `online_only`: only those the control server
    says to be online. Whether a name can mean one node only is asked of the whole netmap all the same.
    `include_self`: our own node, too. `suffixes`: domains below which full names are written besides the tailnet's.
    `machine`: the host name of the machine that reads the file; no node gets it.
    """
    names = _Names(netmap, suffixes, machine)
    records, left_out_records = _records(netmap.dns, names)
    listed = [] if state == Trust.NONE else all_nodes(netmap)
    wanted = shown_tags(tags)
    narrowed = bool(wanted) or online_only
    left_out: collections.Counter[str] = collections.Counter()
    bearers = collections.Counter(host_name(one.node.name) for one in listed if one.node.decoded)
    lines: list[str] = []
    said: set[tuple[str, str]] = set()
    written = 0
    for one in listed:
        node = one.node.held()
        if one.own and not include_self:
            continue
        if not node.decoded:
            left_out[UNREADABLE] += 1
            continue
        if not is_chosen(node.tags, node.online, wanted=wanted, online_only=online_only):
            continue
        name, addresses = host_name(node.name), node_addresses(node)
        given = [] if name is None else names.of_node(one, name)
        if node.expired:
            left_out[EXPIRED] += 1
        elif name is None:
            left_out[NO_NAME] += 1
        elif not addresses:
            left_out[NO_ADDRESS] += 1
        elif bearers[name] > 1:
            left_out[TAKEN] += 1
        elif not given:
            left_out[names.why_not(one, name)] += 1
        elif not records.get(name, set()).issubset(addresses):
            left_out[RECORDED] += 1
        else:
            written += 1
            lines += [f"{address}\t{' '.join(given)}\n" for address in addresses]
            said |= {(name, address) for address in addresses}
    pairs = [(name, address) for name in sorted(records) for address in sorted(records[name])]
    if state == Trust.NONE:
        pairs, left_out_records = [], collections.Counter()
    elif narrowed and pairs:
        left_out_records[UNASKED] += len(pairs)
        pairs = []
    # After the nodes: a reverse lookup takes the first name.
    lines += [f"{address}\t{name}\n" for name, address in pairs if (name, address) not in said]
    head = [
        *_head(netmap.domain, state),
        f"Nodes: {written}{' of those asked for' if narrowed else ''}. DNS records: {len(pairs)}.",
        *_counted("Left out", left_out),
        *_counted("Left out of the DNS records", left_out_records),
    ]
    return "".join(f"# {line}\n" for line in head) + "".join(lines)


class _Names:
    """Which names may be given."""

    def __init__(self, netmap: Netmap, suffixes: Collection[str], machine: str) -> None:
        own = netmap.own_suffix
        self._domains = frozenset(word.rstrip(".").lower() for word in (own or "", *suffixes)) - {""}
        mine = machine.rstrip(".").lower()
        self._mine = {mine, mine.partition(".")[0]}

    def of_node(self, one: Listed, name: str) -> list[str]:
        """The names of a node whose valid full name this is: the full one, the short one, both or none."""
        full = [name] if self.is_ours(name) else []
        short = [one.short_name] if self._may_be_short(one.short_name) else []
        return list(dict.fromkeys([*full, *short]))

    def is_ours(self, name: str) -> bool:
        """Whether this valid full name lies where names are given, and is not this machine's."""
        return is_below(name, self._domains) and name not in self._mine

    def why_not(self, one: Listed, name: str) -> str:
        """Why a node whose full name this is gets none."""
        if name in self._mine:
            return THIS_MACHINE
        return RESERVED if one.short_name else OUTSIDE

    def why_no_record(self, name: str) -> str:
        """Why a record of this name is left out."""
        return THIS_MACHINE if name in self._mine else OUTSIDE

    def _may_be_short(self, label: str) -> bool:
        return host_name(label) == label and not is_reserved(label) and label not in self._mine


def _records(dns: Any, names: _Names) -> tuple[dict[str, set[str]], collections.Counter[str]]:
    """Addresses by name of the tailnet's own DNS records, and how many are left out, by reason.

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
        elif not names.is_ours(name):
            left_out[names.why_no_record(name)] += 1
        elif address is None:
            left_out[NO_ADDRESS] += 1
        else:
            found.setdefault(name, set()).add(str(address))
    return found, left_out


def _head(domain: str, state: str) -> Iterator[str]:
    name = escape(domain, MAX_NAME) or "(without a name)"
    yield f"Tailnet {name}, by netmap-supervisor; what is changed here is lost."
    yield f"State: {state}."
    yield from _TRUST.get(state, _TRUST[Trust.STALE])


def _counted(what: str, left_out: collections.Counter[str]) -> Iterator[str]:
    counts = [f"{left_out[why]} {why}" for why in REASONS if left_out[why]]
    if counts:
        yield f"{what}: {', '.join(counts)}."
