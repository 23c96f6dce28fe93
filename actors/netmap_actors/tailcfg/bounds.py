"""Bounds of every list and map of a MapResponse.

Too many nodes, filters, names, relays or logins: the whole message is refused, as a part of it would be another netmap.
Too many Health lines, DisplayMessages or unreferenced profiles: the rest is dropped and counted. The bounds are many
times what the largest tailnets have. Not here: how many peers there may be (`limits.max_peers`).
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Final, NamedTuple

from netmap_actors.tailcfg.go_json import ABSENT, NotGoJson, go_name
from netmap_actors.tailcfg.map_response import MapResponse

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import msgspec

__all__ = [
    "MAX_FILTERS",
    "MAX_HEALTH_TEXT",
    "MAX_MESSAGES",
    "MAX_MESSAGE_BYTES",
    "MAX_PROFILES_AT_ONCE",
    "MAX_PROFILE_BYTES",
    "MAX_UNREFERENCED_PROFILES",
    "Bound",
    "check_bounds",
    "check_filters",
    "check_number_of_values",
]


class Bound(NamedTuple):
    """Bound of one part."""

    values: int
    """Values in lists and objects, counted as commas, those in strings included."""
    size: int
    """Bytes of JSON."""


_NODE: Final = Bound(50_000, 1 << 20)
"""A subnet router or app connector may have thousands of AllowedIPs."""
_FILTER: Final = Bound(2_000_000, 32 << 20)
_SMALL: Final = Bound(10_000, 1 << 20)

BOUNDS: Final = {
    "node": _NODE,
    "derp_map": Bound(200_000, 16 << 20),
    "dns_config": Bound(200_000, 16 << 20),
    "packet_filter": _FILTER,
    "ssh_policy": Bound(500_000, 16 << 20),
    "tka_info": _SMALL,
    "control_dial_plan": _SMALL,
    "client_version": _SMALL,
}
"""Of the parts that are one document, by field."""
_NODES: Final = ("peers", "peers_changed", "peers_changed_patch")
_nodes: Final = operator.attrgetter(*_NODES)
_TEXTS: Final = ("domain", "domain_data_plane_audit_log_id")
_MAX_NAME: Final = 1 << 16
"""Characters of each of these."""
_OTHERS: Final = (*BOUNDS, *_TEXTS, "packet_filters")
_others: Final = operator.attrgetter(*_OTHERS)
_NO_OTHERS: Final = _others(MapResponse())
"""Nearly all messages have none of them."""

MAX_FILTERS: Final = 10_000
"""Named packet filters, deltas folded in; all together are bounded as one is."""
MAX_HEALTH_TEXT: Final = 4096
"""Characters of a Health line, or of the id of a DisplayMessage."""
MAX_MESSAGES: Final = 100
"""Health lines, and DisplayMessages, that are shown."""
MAX_MESSAGE_BYTES: Final = 16 << 10
"""Bytes of one DisplayMessage."""
MAX_PROFILES_AT_ONCE: Final = 200_000
"""Profiles read from one message."""
MAX_PROFILE_BYTES: Final = 64 << 10
"""Bytes of one profile."""
MAX_UNREFERENCED_PROFILES: Final = 10_000
"""Profiles kept although no node refers to them: the node may come later."""

_VALUES_ALWAYS: Final = 2_000_000
_BYTES_PER_VALUE: Final = 16


def check_number_of_values(data: bytes) -> None:
    """Raises NotGoJson for too many values: each becomes an object many times its size."""
    number = data.count(b",")
    most = _VALUES_ALWAYS + len(data) // _BYTES_PER_VALUE
    if number > most:
        raise NotGoJson(
            f"cannot use MapResponse: its {len(data)} bytes hold {number} values, at most {most} may be"
        )


def check_bounds(response: MapResponse) -> None:
    """Raises NotGoJson for a part beyond its bound."""
    for name, nodes in zip(_NODES, _nodes(response), strict=True):
        if nodes:
            _check_nodes(name, nodes)
    if (others := _others(response)) == _NO_OTHERS:
        return
    for name, value in zip(_OTHERS, others, strict=True):
        if name in _TEXTS and len(value) > _MAX_NAME:
            raise NotGoJson(
                f"cannot use MapResponse: its {go_name(name)} is longer than {_MAX_NAME} characters"
            )
        if name in BOUNDS and value is not ABSENT:
            _check("its", name, value, BOUNDS[name])
    if response.packet_filters:
        check_filters(response.packet_filters)


def check_filters(filters: Mapping[str, msgspec.Raw | bytes]) -> None:
    """Raises NotGoJson for too many filters, or too much in all of them together."""
    size = sum(len(memoryview(rules)) + len(name) for name, rules in filters.items())
    values = sum(_commas(rules) for rules in filters.values())
    if len(filters) > MAX_FILTERS or size > _FILTER.size or values > _FILTER.values:
        raise NotGoJson(
            f"cannot use MapResponse: its PacketFilters are {len(filters)} with {size} bytes and about {values} "
            f"values; {MAX_FILTERS}, {_FILTER.size} and {_FILTER.values} may be"
        )


def _check_nodes(name: str, nodes: Iterable[msgspec.Raw]) -> None:
    for node in nodes:
        # A shorter one cannot exceed the bound.
        if len(memoryview(node)) > _NODE.values:
            _check("a node in", name, node, _NODE)


def _check(which: str, name: str, value: msgspec.Raw, bound: Bound) -> None:
    size = len(memoryview(value))
    if size > bound.size:
        raise NotGoJson(
            f"cannot use MapResponse: {which} {go_name(name)} has {size} bytes, and {bound.size} may be"
        )
    if size > bound.values and _commas(value) > bound.values:
        raise NotGoJson(
            f"cannot use MapResponse: {which} {go_name(name)} has more than {bound.values} values"
        )


def _commas(value: msgspec.Raw | bytes) -> int:
    return bytes(value).count(b",")
