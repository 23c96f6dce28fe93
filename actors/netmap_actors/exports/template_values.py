"""What a template sees of the netmap: plain values, the same for the same netmap.

Not here: the templates (`template_sandbox`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netmap_actors import shown_json
from netmap_actors.exports.host_names import host_name
from netmap_actors.exports.identifiers import identifiers
from netmap_actors.exports.nodes import (
    all_nodes,
    chosen_nodes,
    name_bearers,
    node_addresses,
    own_short_name,
    tag_names,
)
from netmap_actors.wire.vocabulary import TAILNET

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Unpack

    from netmap_actors.exports.nodes import Listed, NodeChoice
    from netmap_actors.subscriber import Netmap

__all__ = ["template_values", "with_nodes"]


def template_values(netmap: Netmap, *, state: str, **choice: Unpack[NodeChoice]) -> dict[str, Any]:
    """`tailnet`, `state`, `domain`, `suffix`, `peers`, `self_node`, `tags`, `users` and `dns`.

    `state`: fresh or stale. The choice is that of the peers; our own node is `self_node` always.

    A node has the fields of `netmap --json`, and: `short_name` and `dns_name`, host names that are its alone, or empty;
    `address`, `ipv4` and `ipv6`, without prefix length and only such as lead to a node; `tag_names`, its tags without
    "tag:"; `identifier`, unlike that of any other; `shared_in` and `self`. No string holds a line break or another
    control character: such are shown as an escape.

    Of a tag there are `name`, `identifier` and `nodes`; of a user the fields of its profile and `nodes`: those of our
    own tailnet with an address that have not expired, as `tagged` has it; here as places in `peers`, since the values
    go to another process, where `with_nodes` puts the nodes there.
    """
    listed = all_nodes(netmap)
    bearers = name_bearers(listed)
    unique = identifiers({_word(one) for one in listed})
    own = next((one for one in listed if one.own), None)
    peers = [_shown(one, bearers, unique) for one in chosen_nodes(listed, **choice)]
    by_tag: dict[str, list[int]] = {}
    by_user: dict[int, list[int]] = {}
    for at, node in enumerate(peers):
        if node["address"] and not node["expired"] and not node["shared_in"]:
            by_user.setdefault(node["user_id"], []).append(at)
            for name in node["tag_names"]:
                by_tag.setdefault(name, []).append(at)
    names = identifiers(by_tag)
    return {
        "tailnet": TAILNET,
        "state": state,
        "domain": shown_json.visible(netmap.domain),
        "suffix": host_name(netmap.own_suffix or "") or "",
        "peers": peers,
        "self_node": None if own is None else _shown(own, bearers, unique),
        "tags": [{"name": name, "identifier": names[name], "nodes": by_tag[name]} for name in sorted(by_tag)],
        "users": [
            shown_json.visible(profile.to_json()) | {"nodes": by_user.get(profile.id, [])}
            for profile in sorted(netmap.user_profiles.values(), key=lambda one: (one.login_name, one.id))
        ],
        "dns": shown_json.visible(netmap.dns),
    }


def _shown(one: Listed, bearers: Mapping[str | None, int], unique: Mapping[str, str]) -> dict[str, Any]:
    node, name = one.node.held(), host_name(one.node.name)
    addresses = node_addresses(node)
    alone = name is not None and bearers[name] == 1 and node.short_name is not None
    value: dict[str, Any] = shown_json.visible(
        node.to_json() | {"shared_in": node.shared_in, "self": one.own}
    )
    return value | {
        "short_name": own_short_name(one),
        "dns_name": name if alone else "",
        "address": addresses[0] if addresses else "",
        "ipv4": [address for address in addresses if ":" not in address],
        "ipv6": [address for address in addresses if ":" in address],
        "tag_names": shown_json.visible(tag_names(node)),
        "identifier": unique[_word(one)],
        "tailnet": TAILNET,
    }


def with_nodes(values: dict[str, Any]) -> dict[str, Any]:
    """The values with the nodes of tags and users in their place."""
    peers = values["peers"]
    return values | {
        kind: [one | {"nodes": [peers[at] for at in one["nodes"]]} for one in values[kind]]
        for kind in ("tags", "users")
    }


def _word(one: Listed) -> str:
    """What its identifier is made of: the shortest name that is its alone."""
    return own_short_name(one) or f"{one.node.name}/{one.node.stable_id}"
