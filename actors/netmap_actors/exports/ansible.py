"""The netmap as the inventory of Ansible: what an inventory script answers to `--list` and `--host NAME`.

https://docs.ansible.com/ansible/latest/dev_guide/developing_inventory.html. Ansible logs in to these machines with its
user's keys, and takes strings of an inventory for templates, which can run programs. So only nodes of our own tailnet
are in it, and a string that could be a template is marked as none.
"""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING, Any, Final

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
from netmap_actors.exports.remarks import NO_ADDRESS, NO_NAME, OUTSIDE, TAKEN
from netmap_actors.wire.vocabulary import TAILNET

if TYPE_CHECKING:
    from typing import Unpack

    from netmap_actors.exports.nodes import Listed, NodeChoice
    from netmap_actors.subscriber import Netmap, Peer

__all__ = ["host_text", "inventory", "text"]

PREFIX: Final = "netmap_"
_OWN_GROUPS: Final = frozenset({"all", "ungrouped"})
_WORDS: Final = {True: "yes", False: "no", None: "unknown"}
_UNSAFE: Final = "__ansible_unsafe"


def inventory(netmap: Netmap, *, state: str, **choice: Unpack[NodeChoice]) -> dict[str, Any]:
    """The answer to `--list`: groups by name, and under `_meta.hostvars` the variables of each host.

    `state`: fresh or stale, a variable of all hosts.

    A host goes by its short name, or its full one where the short one is reserved. Left out, and counted in the
    variable netmap_left_out, is what cannot be read, has no valid name of its own or no address, and whatever is not
    of our own tailnet. Groups: tag_…, os_…, user_…, online_yes, _no or _unknown, expired_yes.
    """
    left_out: collections.Counter[str] = collections.Counter()
    listed = all_nodes(netmap)
    bearers = name_bearers(listed)
    hosts: dict[str, dict[str, Any]] = {}
    members: dict[str, dict[str, list[str]]] = {kind: {} for kind in ("tag", "os", "user")}
    groups: dict[str, list[str]] = {}
    for one in chosen_nodes(listed, left_out, **choice):
        node, addresses = one.node, node_addresses(one.node)
        full = host_name(node.name)
        if node.short_name is None:
            left_out[OUTSIDE] += 1
        elif full is None:
            left_out[NO_NAME] += 1
        elif bearers[full] > 1:
            left_out[TAKEN] += 1
        elif not addresses:
            left_out[NO_ADDRESS] += 1
        else:
            name = _inventory_name(one, full)
            hosts[name] = {"ansible_host": addresses[0], **_variables(node, own=one.own)}
            for kind, words in (("tag", tag_names(node)), ("os", [node.os]), ("user", [node.user or ""])):
                for word in filter(None, words):
                    members[kind].setdefault(word, []).append(name)
            groups.setdefault(f"online_{_WORDS[node.online]}", []).append(name)
            if node.expired:
                groups.setdefault("expired_yes", []).append(name)
    for kind, found in members.items():
        for word, group in identifiers(found).items():
            groups[f"{kind}_{group}"] = found[word]
    about = {
        "tailnet": TAILNET,
        "domain": _as_data(netmap.domain),
        "state": state,
        "left_out": {why: left_out[why] for why in sorted(left_out)},
    }
    return {
        "_meta": {"hostvars": hosts},
        "all": {
            "hosts": sorted(hosts),
            "vars": {f"{PREFIX}{name}": value for name, value in about.items()},
        },
        **{group: {"hosts": sorted(set(groups[group]))} for group in sorted(groups)},
    }


def text(shown: dict[str, Any]) -> str:
    """The answer to `--list`."""
    return shown_json.indented(shown) + "\n"


def host_text(shown: dict[str, Any], name: str) -> str:
    """The answer to `--host NAME`; an empty object for no such host, as inventory scripts say it."""
    return shown_json.indented(shown["_meta"]["hostvars"].get(name, {})) + "\n"


def _inventory_name(one: Listed, full: str) -> str:
    label = own_short_name(one)
    # `localhost` is reserved: plays on the machine itself would run on that node.
    return full if not label or label in _OWN_GROUPS else label


def _variables(node: Peer, *, own: bool) -> dict[str, Any]:
    values = node.to_json() | {"shared_in": node.shared_in, "self": own}
    return {f"{PREFIX}{name}": _as_data(value) for name, value in values.items()}


def _as_data(value: Any) -> Any:
    """The value, its strings marked where Ansible would evaluate them (ansible: parsing/ajson.py)."""
    if isinstance(value, str):
        return {_UNSAFE: value} if "{" in value else value
    if isinstance(value, list):
        return [_as_data(item) for item in value]
    if isinstance(value, dict):
        return {name: _as_data(item) for name, item in value.items() if not name.startswith("__ansible")}
    return value
