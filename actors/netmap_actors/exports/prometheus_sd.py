"""Targets for Prometheus, as its http_sd_configs and file_sd_configs read them: one group a node.

https://prometheus.io/docs/prometheus/latest/http_sd/. Expired nodes stay in the list, and so do those that are offline:
a target that does not answer raises an alert, one that has gone from the list does not.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any

from netmap_actors import shown_json
from netmap_actors.exports.nodes import all_nodes, chosen_nodes, node_addresses
from netmap_actors.wire.vocabulary import TAILNET

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Unpack

    from netmap_actors.exports.nodes import Listed, NodeChoice
    from netmap_actors.subscriber import Netmap, Peer

__all__ = ["SEPARATOR", "target_groups", "text"]

SEPARATOR = ","
"""Around and between the items of a list, as in Prometheus's own discoveries: `.*,tag:web,.*` finds one of them. An
item that holds one would read as several, of which another node's owner may choose one; it is left out."""
_PREFIX = "__meta_netmap_"
_TAILSCALESD_LABELS = {
    "__meta_tailscale_device_hostname": "__meta_netmap_hostname",
    "__meta_tailscale_device_id": "__meta_netmap_stable_id",
    "__meta_tailscale_device_name": "__meta_netmap_name",
    "__meta_tailscale_device_os": "__meta_netmap_os",
    "__meta_tailscale_tailnet": "__meta_netmap_domain",
}
"""Labels of tailscalesd with the value of one of ours."""
_TAG = re.compile(r"[A-Za-z0-9_:-]*")
"""Tags that tailscalesd's way of writing makes a label name of: what else it leaves as it is, Prometheus refuses."""
_ONLINE = {True: "true", False: "false", None: "unknown"}


def target_groups(
    netmap: Netmap, *, state: str, port: int | None, **choice: Unpack[NodeChoice]
) -> Iterator[dict[str, Any]]:
    """One group for each node that can be read and has an address, made one by one.

    `state`: fresh or stale, shown as a label. `port`: None gives bare addresses, which relabelling has to complete.
    """
    domain = netmap.domain
    for listed in chosen_nodes(all_nodes(netmap), **choice):
        node = listed.node
        addresses = node_addresses(node)
        if addresses:
            labels = _labels(node, addresses, domain, state, listed)
            yield {"targets": [_target(addresses[0], port)], "labels": labels}


def text(groups: Iterable[dict[str, Any]]) -> str:
    """The groups as a JSON file."""
    return shown_json.indented(list(groups)) + "\n"


def _target(address: str, port: int | None) -> str:
    host = f"[{address}]" if ":" in address else address
    return host if port is None else f"{host}:{port}"


def _labels(node: Peer, addresses: list[str], domain: str, state: str, listed: Listed) -> dict[str, str]:
    labels = {
        "name": node.name,
        "short_name": listed.short_name,
        "stable_id": node.stable_id,
        "address": addresses[0],
        "addresses": _list(addresses),
        "tags": _list(node.tags),
        "routes": _list(node.routes),
        "online": _ONLINE[node.online],
        "expired": _truth(node.expired),
        "user": node.user or "",
        "shared_in": _truth(node.shared_in),
        "sharer": node.sharer or "",
        "jailed": _truth(node.jailed),
        "wireguard_only": _truth(node.wireguard_only),
        "os": node.os,
        "hostname": node.hostname,
        "domain": domain,
        "tailnet": TAILNET,
        "self": _truth(listed.own),
        "state": state,
    }
    ours = {f"{_PREFIX}{name}": _in_utf8(value) for name, value in labels.items()}
    return ours | _tailscalesd_labels(node, ours)


def _tailscalesd_labels(node: Peer, ours: dict[str, str]) -> dict[str, str]:
    """What tailscalesd says of a device it knows from the local API, and what it knows of one from the public API.

    `ours`: our labels of the node. github.com/cfunkhouser/tailscalesd: tailscalesd.go, translate. As there, an empty
    value is no label. A node that is in the netmap is authorized; one of which nothing is said has no `device_online`.
    """
    found = {"__meta_tailscale_api": "localhost", "__meta_tailscale_device_authorized": "true"}
    for theirs, name in _TAILSCALESD_LABELS.items():
        if value := ours[name]:
            found[theirs] = value
    if node.online is not None:
        found["__meta_tailscale_device_online"] = _truth(node.online)
    for tag in node.tags:
        if name := _tag_label(tag):
            found[name] = "1"
    return found


@functools.lru_cache(maxsize=1024)
def _tag_label(tag: str) -> str:
    """`tag:web-1` is …_tag_web_1, as tailscalesd writes it; empty for a tag of other characters."""
    if not _TAG.fullmatch(tag):
        return ""
    word = tag.removeprefix("tag:").lower()
    return f"__meta_tailscale_device_tag_{re.sub('[:-]', '_', word) or 'EMPTY'}"


def _list(items: Iterable[str]) -> str:
    """An empty list is empty, not two separators."""
    joined = SEPARATOR.join(item for item in items if item and SEPARATOR not in item)
    return f"{SEPARATOR}{joined}{SEPARATOR}" if joined else ""


def _truth(value: bool) -> str:
    return "true" if value else "false"


def _in_utf8(value: str) -> str:
    # Prometheus refuses the whole list for one value that is not.
    return value if value.isascii() else value.encode(errors="replace").decode()
