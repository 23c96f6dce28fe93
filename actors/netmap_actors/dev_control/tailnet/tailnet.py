"""The tailnet of this control server: users, nodes, addresses, names, routes, keys, who is online.

Not here: what each client was sent (`client_netmap`), who may join (`registrar`), random changes (`churn`). Times: UNIX
seconds (`wall`).
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

import msgspec

from netmap_actors.dev_control.tailnet.addresses import addresses_at, registered_places, simulated_places
from netmap_actors.dev_control.tailnet.derp_map import built_in_derp_map
from netmap_actors.dev_control.tailnet.entry import Entry, TailnetError, carrying
from netmap_actors.dev_control.tailnet.json_types import JsonNode, JsonUser, encode_json
from netmap_actors.dev_control.tailnet.names import find_entry, free_label, stable_id_of
from netmap_actors.dev_control.tailnet.patches import Patches
from netmap_actors.dev_control.tailnet.policy import Subject
from netmap_actors.dev_control.tailnet.routes import Routes, is_exit, offered
from netmap_actors.dev_control.tailnet.shared_parts import Aspect, Aspects
from netmap_actors.dev_control.tailnet.visibility import Visibility
from netmap_actors.rfc3339 import stamp

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from netmap_actors.dev_control.tailnet.derp_map import DerpMap
    from netmap_actors.dev_control.tailnet.policy import Policy

__all__ = ["FIRST_SIMULATED_ID", "MAX_NODES", "TAGGED_USER", "Aspect", "Entry", "Tailnet", "TailnetError"]

MAX_NODES = 100_000
"""Nodes of one tailnet, simulated ones included."""
TAGGED_USER = 2147455555
"""User of every tagged node, as on headscale and on the hosted server."""
FIRST_SIMULATED_ID = 100_000
"""Ids below belong to registered nodes, so that a restart with another number of simulated nodes moves none."""

_NO_HOSTINFO = msgspec.Raw(b"{}")
"""Never absent: tailscaled panics over a peer without Hostinfo when it is asked for its status."""
_FIRST_USER = 1
"""The tailnet's owner and administrator."""
_RULES_LOOK_AT = frozenset({"tags", "user", "addresses"})
_SELF_CAPABILITIES: dict[str, list[msgspec.Raw]] = {
    "default-auto-update": [msgspec.Raw(b"false")],
    "https://tailscale.com/cap/file-sharing": [],
    "https://tailscale.com/cap/is-admin": [],
    "https://tailscale.com/cap/ssh": [],
}


class Tailnet:
    """Nodes and users, with a record of what changed since the last `take_changes`."""

    def __init__(
        self,
        domain: str = "dev.netmap.example",
        *,
        derp_map: DerpMap | None = None,
        policy: Policy | None = None,
    ) -> None:
        relays = derp_map or built_in_derp_map()
        self.domain = domain
        self.regions = relays.regions
        """Relay regions a node may be at home in."""
        self.visibility = None if policy is None else Visibility(policy)
        """Who sees whom; None: everybody sees everybody."""
        self.entries: dict[int, Entry] = {}
        self.users: dict[int, JsonUser] = {}
        self._parts = Aspects(domain, relays.json)
        self._by_key: dict[str, int] = {}
        self._by_label: dict[str, int] = {}
        self._encoded: dict[int, tuple[JsonNode, bytes]] = {}
        self._reduced: dict[int, dict[tuple[str, ...], bytes]] = {}
        """JSON of nodes without all of their routes, by AllowedIPs."""
        self._routes = Routes()
        self.patches = Patches()
        self._registered_ids: dict[int, None] = {}
        self.expiries: dict[int, float] = {}
        """When the keys of nodes that have not expired yet will (UNIX seconds)."""
        self._changed: dict[int, None] = {}
        self._registered = registered_places()
        self._simulated = simulated_places()
        self._next_id = 1
        self._next_simulated_id = FIRST_SIMULATED_ID

    # Reading

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def policy(self) -> Policy | None:
        """The rules of who sees whom and who may give which tag; None: there are none."""
        return None if self.visibility is None else self.visibility.policy

    def peers_of(self, node_id: int) -> dict[int, JsonNode]:
        """The nodes that a node sees, by id, as it sees them."""
        entries, visibility = self.entries, self.visibility
        others = sorted(entries if visibility is None else visibility.peers(node_id))
        nodes = {other: entries[other].node for other in others if other != node_id}
        if visibility is not None:
            for other in nodes.keys() & self._routes.nodes:
                nodes[other] = self.seen_by(node_id, other)
        return nodes

    def seen_by(self, viewer: int, node_id: int) -> JsonNode:
        """A node as another one sees it: without the routes that the policy keeps from that one."""
        node = self.entries[node_id].node
        routes = node.allowed_ips[len(node.addresses) :]
        if self.visibility is None or not routes:
            return node
        shown = [route for route in routes if self.visibility.shows(route, node_id, viewer)]
        return node if len(shown) == len(routes) else carrying(node, shown)

    def encoded(self, node_id: int, node: JsonNode | None = None) -> bytes:
        """JSON of a node as its peers see it, or of what `seen_by` made of it; made once per change."""
        made = self._encoded.get(node_id)
        if made is None:
            whole = self.entries[node_id].node
            made = self._encoded[node_id] = whole, encode_json(whole)
        if node is None or node is made[0]:
            return made[1]
        reduced = self._reduced.setdefault(node_id, {})
        if node.allowed_ips not in reduced:
            reduced[node.allowed_ips] = encode_json(node)
        return reduced[node.allowed_ips]

    def refused_tags(self, login: str, tags: Iterable[str]) -> list[str]:
        """Those of the tags which the policy does not let this user give to a node."""
        first = self.users.get(_FIRST_USER)
        admin = first is None or first.login_name == login
        user = Subject(login=login, tags=frozenset(), domain=self.domain, admin=admin)
        return [] if self.policy is None else self.policy.refused_tags(user, tags)

    def self_node(self, node_id: int) -> JsonNode:
        """A node as it sees itself: online, with its capabilities."""
        node = self.entries[node_id].node
        return msgspec.structs.replace(node, online=True, last_seen=None, cap_map=_SELF_CAPABILITIES)

    def by_key(self, key: str) -> Entry | None:
        """The node with this node key (text form)."""
        node_id = self._by_key.get(key)
        return None if node_id is None else self.entries[node_id]

    def registered(self) -> list[Entry]:
        """The nodes that registered over the wire."""
        return [self.entries[node_id] for node_id in self._registered_ids]

    def by_machine(self, machine: str) -> list[Entry]:
        """The registered nodes of a machine key (text form)."""
        return [entry for entry in self.registered() if entry.node.machine == machine]

    def find(self, word: str | int) -> Entry:
        """A node by id, stable id, name, label, node key or address; a number is an id.

        Raises TailnetError, also for a word that matches two nodes.
        """
        return find_entry(word, self.entries, self._by_key, self._by_label, self.domain)

    # Nodes come and go

    def add_node(
        self,
        name: str,
        *,
        key: str,
        machine: str,
        wall: float,
        user: str = "alice",
        real: bool = False,
        ephemeral: bool = False,
        tags: tuple[str, ...] = (),
        hostinfo: dict[str, Any] | None = None,
        hostinfo_raw: msgspec.Raw = _NO_HOSTINFO,
        **fields: Any,
    ) -> Entry:
        """A new node with the next id and the lowest free addresses. Further `fields` are those of Node."""
        if len(self.entries) >= MAX_NODES:
            raise TailnetError(f"cannot add a node: the tailnet has {MAX_NODES} already")
        if key in self._by_key:
            raise TailnetError("cannot add a node: its node key is in use")
        if real:
            node_id, self._next_id = self._next_id, self._next_id + 1
        else:
            node_id, self._next_simulated_id = self._next_simulated_id, self._next_simulated_id + 1
        place = (self._registered if real else self._simulated).take()
        label = free_label(name, self._by_label)
        owner = self.user_id(user)
        addresses = addresses_at(place)
        known: dict[str, Any] = {
            "stable_id": stable_id_of(node_id),
            "allowed_ips": addresses,
            "created": stamp(wall),
            "machine_authorized": True,
            "last_seen": stamp(wall) if fields.get("online") is False else None,
            **fields,
        }
        node = JsonNode(
            id=node_id,
            name=self._full_name(label),
            user=TAGGED_USER if tags else owner,
            key=key,
            machine=machine,
            addresses=addresses,
            tags=tags,
            hostinfo=hostinfo_raw,
            **known,
        )
        entry = Entry(node, label, real, owner, ephemeral, None, place)
        self._insert(entry)
        if hostinfo is not None:
            self.set_hostinfo(node_id, hostinfo)
        return entry

    @property
    def next_id(self) -> int:
        """Of the next node that registers."""
        return self._next_id

    def begin_ids(self, next_id: int) -> None:
        """Continue the ids of an earlier run: those of deleted nodes are not used again."""
        self._next_id = max(self._next_id, next_id)

    def restore(self, entry: Entry) -> None:
        """A registered node from before a restart, with the id, label and addresses it had."""
        self.begin_ids(entry.node.id + 1)
        entry.node = msgspec.structs.replace(entry.node, name=self._full_name(entry.label))
        self._registered.claim(entry.place)
        self._insert(entry)

    def skip_ids(self, count: int) -> None:
        """Leave out ids of simulated nodes, which an earlier run may have given away."""
        self._next_simulated_id += count

    def remove_node(self, node_id: int) -> None:
        """Delete a node; its addresses are free again. Raises TailnetError."""
        entry = self._entry(node_id)
        del self.entries[node_id]
        self._registered_ids.pop(node_id, None)
        self.expiries.pop(node_id, None)
        self._by_key.pop(entry.node.key, None)
        self._by_label.pop(entry.label, None)
        self._encoded.pop(node_id, None)
        self._reduced.pop(node_id, None)
        if self.visibility is not None:
            self.visibility.drop(node_id)
        self._carry(self._routes.put(node_id, ()) - {node_id})
        (self._registered if entry.real else self._simulated).give_back(entry.place)
        self._changed[node_id] = None

    # Nodes change

    def set_online(self, node_id: int, online: bool, wall: float) -> None:
        """Set whether the node is connected to control. As on headscale, LastSeen is there while it is not."""
        self._replace(node_id, online=online, last_seen=None if online else stamp(wall))

    def set_tags(self, node_id: int, tags: Iterable[str]) -> None:
        """Replace the tags. A tagged node has no owner."""
        chosen = tuple(sorted(set(tags)))
        entry = self._entry(node_id)
        self._replace(node_id, tags=chosen, user=TAGGED_USER if chosen else entry.owner)
        self._approve(entry)

    def set_routes(self, node_id: int, routes: Iterable[str]) -> None:
        """Replace the approved subnet routes. Raises TailnetError for what is not a prefix."""
        try:
            chosen = tuple(str(ipaddress.ip_network(route)) for route in routes)
        except ValueError as error:
            raise TailnetError(f"cannot set routes: {error}") from None
        entry = self._entry(node_id)
        entry.routes = chosen
        self._route(entry)

    def set_endpoints(self, node_id: int, endpoints: Iterable[str]) -> None:
        """Replace the WireGuard endpoints, `ip:port`."""
        self._replace(node_id, endpoints=tuple(endpoints))

    def set_home_derp(self, node_id: int, region: int) -> None:
        """Move the node to another relay region; 0 means unknown."""
        self._replace(node_id, home_derp=region)

    def set_expiry(self, node_id: int, at: float | None, *, wall: float) -> None:
        """The node key expires then (UNIX seconds); None: never."""
        if at is None or at <= wall:
            self.expiries.pop(node_id, None)
        else:
            self.expiries[node_id] = at
        self._replace(
            node_id,
            key_expiry=None if at is None else stamp(at),
            expired=at is not None and at <= wall,
        )

    def rotate_key(self, node_id: int, key: str, disco_key: str | None = None) -> None:
        """A new node key after a new login. Raises TailnetError when another node has it."""
        holder = self._by_key.get(key)
        if holder not in (None, node_id):
            raise TailnetError("cannot change the node key: another node has it")
        self._by_key.pop(self._entry(node_id).node.key, None)
        self._by_key[key] = node_id
        self.expiries.pop(node_id, None)
        fields: dict[str, Any] = {} if disco_key is None else {"disco_key": disco_key}
        self._replace(node_id, key=key, key_expiry=None, expired=False, **fields)

    def set_disco_key(self, node_id: int, disco_key: str) -> None:
        self._replace(node_id, disco_key=disco_key)

    def set_version(self, node_id: int, version: int) -> None:
        """The capability version the node speaks."""
        self._replace(node_id, cap=version)

    def set_authorized(self, node_id: int, authorized: bool) -> None:
        """An administrator approved the device, or took the approval back."""
        self._replace(node_id, machine_authorized=authorized)

    def set_capabilities(self, node_id: int, names: Iterable[str]) -> None:
        """Capabilities of a peer as its peers see them."""
        self._replace(node_id, cap_map={name: [] for name in sorted(set(names))} or None)

    def rename(self, node_id: int, name: str) -> None:
        """Another first label; a number is added when it is taken."""
        entry = self._entry(node_id)
        self._by_label.pop(entry.label, None)
        entry.label = free_label(name, self._by_label)
        self._by_label[entry.label] = node_id
        self._replace(node_id, name=self._full_name(entry.label))

    def set_hostinfo(self, node_id: int, hostinfo: dict[str, Any]) -> None:
        """What a host says about itself; its NetInfo names the home relay."""
        entry = self._entry(node_id)
        if entry.hostinfo == hostinfo:
            return
        kept = dict(hostinfo)
        if "NetInfo" not in kept and entry.hostinfo and "NetInfo" in entry.hostinfo:
            kept["NetInfo"] = entry.hostinfo["NetInfo"]  # as headscale: absent means unchanged
        entry.hostinfo = kept
        fields: dict[str, Any] = {"hostinfo": msgspec.Raw(encode_json(kept))}
        net_info = kept.get("NetInfo")
        if isinstance(net_info, dict):
            preferred = {str(name).lower(): value for name, value in net_info.items()}.get("preferredderp")
            if isinstance(preferred, int) and 0 < preferred < 1 << 31:
                fields["home_derp"] = preferred
        self._replace(node_id, **fields)
        self._approve(entry)

    # What is not a node

    def user_id(self, login: str) -> int:
        """Id of a user, who is created when there is none of this login name."""
        for user in self.users.values():
            if user.login_name == login:
                return user.id
        made = JsonUser(
            id=len(self.users) + 1, login_name=login, display_name=login.partition("@")[0].title()
        )
        self.users[made.id] = made
        return made.id

    def user(self, user_id: int) -> JsonUser:
        """The profile of a user; all tagged nodes share a fixed one."""
        tagged = JsonUser(id=TAGGED_USER, login_name="tagged-devices", display_name="Tagged Devices")
        return self.users.get(user_id, tagged)

    def rename_user(self, login: str, display_name: str) -> None:
        user_id = self.user_id(login)
        self.users[user_id] = msgspec.structs.replace(self.users[user_id], display_name=display_name)
        self._parts.changed.add(Aspect.USERS)

    @property
    def aspects(self) -> Mapping[Aspect, bytes]:
        """JSON of every aspect but the users, who are sent as they are needed."""
        return self._parts.json

    def set_policy(self, policy: Policy | None) -> None:
        """Other rules from now on, for every node; None: everybody sees everybody."""
        self.visibility = None if policy is None else Visibility(policy)
        for entry in self.entries.values():
            self._show(entry.node)
            self._approve(entry)
        self._changed.update(dict.fromkeys(self.entries))
        self._parts.changed.add(Aspect.PACKET_FILTER)

    def set_aspect(self, aspect: Aspect, json: bytes) -> None:
        """Replace a whole part of the netmap. Raises TailnetError when it is not JSON, or the users'."""
        if aspect is Aspect.USERS:
            raise TailnetError("cannot replace the users: rename one instead")
        if aspect is Aspect.PACKET_FILTER and self.visibility is not None:
            raise TailnetError("cannot replace the packet filters: the policy makes those of each node")
        try:
            value = msgspec.json.decode(json)
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            raise TailnetError(f"cannot set {aspect.value}: {error}") from None
        self._parts.replace(aspect, encode_json(value))

    @property
    def changed(self) -> bool:
        """Whether `take_changes` has something to say."""
        return bool(self._changed or self._parts.changed)

    def take_changes(self) -> tuple[list[int], frozenset[Aspect]]:
        """Ids of the nodes and the aspects that changed since the last call, whatever became of them."""
        changed, aspects = list(self._changed), frozenset(self._parts.changed)
        self._changed.clear()
        self._parts.changed.clear()
        return changed, aspects

    # Inside

    def _entry(self, node_id: int) -> Entry:
        entry = self.entries.get(node_id)
        if entry is None:
            raise TailnetError(f"cannot change node {node_id}: it is not there")
        return entry

    def _insert(self, entry: Entry) -> None:
        self.entries[entry.node.id] = entry
        if entry.real:
            self._registered_ids[entry.node.id] = None
        self._by_key[entry.node.key] = entry.node.id
        self._by_label[entry.label] = entry.node.id
        self._changed[entry.node.id] = None
        if entry.routes or len(entry.node.allowed_ips) > len(entry.node.addresses):
            self._route(entry)
        else:
            self._show(entry.node)
        self._approve(entry)

    def _replace(self, node_id: int, **fields: Any) -> None:
        entry = self._entry(node_id)
        node = msgspec.structs.replace(entry.node, **fields)
        if node == entry.node:
            return
        entry.node = node
        self._encoded.pop(node_id, None)
        self._reduced.pop(node_id, None)
        self._changed[node_id] = None
        if not _RULES_LOOK_AT.isdisjoint(fields):
            self._show(node)

    def _approve(self, entry: Entry) -> None:
        """Approve of the routes a node offers what the policy lets it; what it offers no more is no more approved."""
        routes = offered(entry.hostinfo)
        if not routes and not entry.approved:
            return
        policy = self.policy
        by_itself = () if policy is None else policy.approved(self._subject(entry.node), routes)
        approved = tuple(route for route in routes if route in entry.approved or route in by_itself)
        if approved != entry.approved:
            entry.approved = approved
            self._route(entry)

    def _route(self, entry: Entry) -> None:
        """Let the approved routes of a node be in force."""
        node_id = entry.node.id
        self._carry(self._routes.put(node_id, tuple(dict.fromkeys((*entry.routes, *entry.approved)))))
        self._show(entry.node)

    def _carry(self, node_ids: Iterable[int]) -> None:
        for node_id in node_ids:
            routed = carrying(self._entry(node_id).node, self._routes.carried(node_id))
            self._replace(node_id, allowed_ips=routed.allowed_ips, primary_routes=routed.primary_routes)

    def _show(self, node: JsonNode) -> None:
        """Update the rules for a node that is new, or changed in what they look at."""
        if self.visibility is not None:
            self.visibility.put(node.id, self._subject(node))

    def _subject(self, node: JsonNode) -> Subject:
        routes = self._routes.approved(node.id)
        subnets = tuple(route for route in routes if not is_exit(route))
        return Subject(
            login="" if node.tags else self.user(node.user).login_name,
            tags=frozenset(node.tags),
            domain=self.domain,
            addresses=node.addresses,
            routes=subnets,
            exit_node=len(subnets) < len(routes),
            admin=node.user == _FIRST_USER,
        )

    def _full_name(self, label: str) -> str:
        return f"{label}.{self.domain}."
