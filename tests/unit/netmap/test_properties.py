"""A random tailnet, described in any way the protocol allows: the netmap must follow."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from netmap_actors.netmap.changes import Document
from tests.support.netmaps.netmap_replica import NOW, Replica

ZERO = "0001-01-01T00:00:00Z"
NOISE_ID = 404
IDS = st.sampled_from([-(2**63), -2, 0, 1, 2, 3, 2**63 - 1])
NAMES = st.sampled_from(["web.example.", "db.example.", "bare", ""])
ADDRESSES = st.lists(
    st.sampled_from(["100.64.0.1/32", "100.64.0.2/32", "fd7a::1/128"]), unique=True, max_size=2
)
ENDPOINTS = st.lists(st.sampled_from(["192.0.2.1:1", "[2001:db8::1]:2"]), max_size=2)
CAPS: st.SearchStrategy[Any] = st.dictionaries(
    st.sampled_from(["a", "b"]), st.sampled_from([None, [], [1, {"x": None}]])
)


def key_of(kind: str) -> st.SearchStrategy[str]:
    return st.sampled_from("12").map(lambda digit: f"{kind}:{digit * 64}")


# What a node may hold. A field that is not drawn is absent.
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "Name": NAMES,
    "User": st.integers(1, 3),
    "Sharer": st.integers(1, 3),
    "Key": key_of("nodekey"),
    "KeyExpiry": st.sampled_from(["2030-01-01T00:00:00Z", "2031-01-01T00:00:00.000000001Z"]),
    "KeySignature": st.sampled_from(["", "AwQ="]),
    "DiscoKey": key_of("discokey"),
    "Addresses": ADDRESSES,
    "AllowedIPs": ADDRESSES,
    "Endpoints": ENDPOINTS,
    "HomeDERP": st.integers(1, 3),
    "Hostinfo": st.fixed_dictionaries({"OS": st.sampled_from(["linux", "windows"])}),
    "Cap": st.integers(1, 3),
    "CapMap": CAPS,
    "Tags": st.lists(st.sampled_from(["tag:a", "tag:b"]), max_size=2),
    "LastSeen": st.sampled_from(["2020-01-01T00:00:00Z", NOW]),
    "Online": st.booleans(),
    "Expired": st.just(True),
    "Later": st.sampled_from([1.5, {"x": [None, "é"]}]),
}
# Of PeerChange, by the field of Node it sets; all but KeyExpiry can only be set.
PATCHABLE = {
    "HomeDERP": "DERPRegion",
    "Cap": "Cap",
    "CapMap": "CapMap",
    "Endpoints": "Endpoints",
    "Key": "Key",
    "KeySignature": "KeySignature",
    "DiscoKey": "DiscoKey",
    "Online": "Online",
    "LastSeen": "LastSeen",
    "KeyExpiry": "KeyExpiry",
}
RULES = st.lists(st.fixed_dictionaries({"SrcIPs": st.just(["*"]), "IPProto": st.just([6])}), max_size=2)


class Truth:
    """The true tailnet, and the messages about each change."""

    def __init__(self, data: st.DataObject) -> None:
        self.draw = data.draw
        self.peers: dict[int, dict[str, Any]] = {}
        self.node: dict[str, Any] = {"ID": 1000, "StableID": "self", "User": 1}
        self.domain = "example"
        self.dns: dict[str, Any] | None = None
        self.filters: dict[str, Any] = {}
        self.profiles: dict[int, str] = {}
        self._births = 0

    # --- life ---

    def node_fields(self) -> dict[str, Any]:
        chosen = self.draw(st.lists(st.sampled_from(sorted(FIELDS)), unique=True, max_size=6))
        return {name: self.draw(FIELDS[name]) for name in chosen}

    def live(self) -> None:
        """Change the peers a little; ids, names and addresses are taken up again by others."""
        for _ in range(self.draw(st.integers(0, 3))):
            node_id = self.draw(IDS)
            match self.draw(st.sampled_from(["birth", "death", "change", "change", "change"])):
                case "birth":
                    self._births += 1
                    stable = {} if self.draw(st.booleans()) else {"StableID": f"n{self._births}"}
                    self.peers[node_id] = {"ID": node_id, **stable, **self.node_fields()}
                case "death":
                    self.peers.pop(node_id, None)
                case "change" if node_id in self.peers:
                    peer = dict(self.peers[node_id])
                    for name in self.draw(st.lists(st.sampled_from(sorted(FIELDS)), min_size=1, max_size=3)):
                        peer.pop(name, None)
                        if self.draw(st.booleans()):
                            peer[name] = self.draw(FIELDS[name])
                    self.peers[node_id] = peer

    # --- telling ---

    def tell_all(self) -> dict[str, Any]:
        """The first message of a session."""
        self.profiles = {}
        message = self._tell_rest(first=True)
        message["Node"] = self.node
        peers = self.draw(st.permutations(list(self.peers.values())))
        if peers and self.draw(st.booleans()):
            return {**message, "Peers": peers}
        if peers:
            message["PeersChanged"] = peers  # legal, though no server is known to
        elif self.draw(st.booleans()):
            message["Peers"] = []
        return message

    def tell_changes(self, before: dict[int, dict[str, Any]]) -> dict[str, Any]:
        message = self._tell_rest(first=False)
        if self.peers and self.draw(st.integers(0, 5)) == 0:
            stale = {
                "PeersRemoved": list(self.peers),
                "OnlineChange": dict.fromkeys(map(str, self.peers), True),
            }
            return {
                **message,
                "Peers": list(self.peers.values()),
                **(stale if self.draw(st.booleans()) else {}),
            }
        removed = [node_id for node_id in before if node_id not in self.peers]
        changed: list[Any] = []
        seen: dict[str, bool] = {}
        online: dict[str, bool] = {}
        patches: list[Any] = []
        for node_id, peer in self.peers.items():
            old = before.get(node_id)
            if old == peer and self.draw(st.integers(0, 9)):
                continue
            if old is not None and self._patchable(old, peer) and self.draw(st.integers(0, 3)):
                patch = self._patch(old, peer, seen, online)
                if patch:
                    patches.append({"NodeID": node_id, **patch})
                continue
            if self.draw(st.integers(0, 4)) == 0:
                removed.append(node_id)  # changed wins
            changed.append(peer)
        if self.draw(st.booleans()):
            removed.append(NOISE_ID)
            online[str(NOISE_ID)] = True
            patches.append({"NodeID": NOISE_ID, "Online": True})
        told = {
            "PeersRemoved": removed,
            "PeersChanged": changed,
            "PeerSeenChange": seen,
            "OnlineChange": online,
            "PeersChangedPatch": patches,
        }
        return {
            **message,
            **{name: value for name, value in told.items() if value or self.draw(st.booleans())},
        }

    def _tell_rest(self, *, first: bool) -> dict[str, Any]:
        message: dict[str, Any] = {}
        if first or self.draw(st.booleans()):
            self.domain = self.draw(st.sampled_from(["example", "other"]))
            message["Domain"] = self.domain
        if self.draw(st.booleans()):
            self.dns = {"Proxied": self.draw(st.booleans())}
            message["DNSConfig"] = self.dns
        elif first:
            self.dns = None
        if first:
            self.filters = {}
        if self.draw(st.booleans()):
            message["PacketFilter"] = self.filters["base"] = self.draw(RULES)
        if self.draw(st.booleans()):
            named: dict[str, Any] = {}
            if self.draw(st.booleans()):
                named["*"] = None
                self.filters = {}
            for name in self.draw(st.lists(st.sampled_from(["base", "x", "y"]), unique=True)):
                named[name] = self.draw(RULES | st.none())
                if named[name] is None:
                    self.filters.pop(name, None)
                else:
                    self.filters[name] = named[name]
            message["PacketFilters"] = dict(self.draw(st.permutations(list(named.items()))))
        if self.draw(st.booleans()):
            given = {
                user: self.draw(st.sampled_from(["ann", "bob"]))
                for user in self.draw(st.sets(st.integers(1, 3)))
            }
            self.profiles |= given
            message["UserProfiles"] = [{"ID": user, "LoginName": name} for user, name in given.items()]
        if not first and self.draw(st.booleans()):
            self.node = {"ID": 1000, "StableID": "self", **self.node_fields()}
            message["Node"] = self.node
        return message

    def _patchable(self, old: dict[str, Any], new: dict[str, Any]) -> bool:
        if old.get("StableID") != new.get("StableID"):
            return False
        different = {name for name in FIELDS if old.get(name, self) != new.get(name, self)}
        clearable = {"KeyExpiry", "LastSeen"}
        return all(name in PATCHABLE and (name in new or name in clearable) for name in different)

    def _patch(
        self, old: dict[str, Any], new: dict[str, Any], seen: dict[str, bool], online: dict[str, bool]
    ) -> dict[str, Any]:
        patch: dict[str, Any] = {}
        for name, theirs in PATCHABLE.items():
            if old.get(name, self) == new.get(name, self):
                continue
            key = str(new["ID"])
            if name == "LastSeen" and name not in new:
                seen[key] = False
            elif name == "LastSeen" and new[name] == NOW and self.draw(st.booleans()):
                seen[key] = True
            elif name == "Online" and self.draw(st.booleans()):
                online[key] = new[name]
            else:
                patch[theirs] = new.get(name, ZERO)
        return patch

    # --- the outcome ---

    def is_double(self, peer: dict[str, Any]) -> bool:
        """Whether it claims the identity of our own node."""
        shared = set(peer.get("Addresses", [])) & set(self.node.get("Addresses", []))
        return bool(shared) or ("Key" in peer and peer["Key"] == self.node.get("Key"))

    def check(self, replica: Replica) -> None:
        replica.check()
        assert {peer.id: json.loads(peer.json) for peer in replica.peers.values()} == self.peers
        for peer in replica.peers.values():
            node = self.peers[peer.id]
            if self.is_double(node):
                assert (peer.decoded, peer.stable_id, peer.name) == (False, f"double:{peer.id}", "")
                continue
            assert peer.decoded
            assert peer.stable_id == node.get("StableID", f"id:{peer.id}")
            assert peer.name == node.get("Name", "").rstrip(".")
            assert list(peer.addresses) == node.get("Addresses", [])
            assert list(peer.allowed_ips) == node.get("AllowedIPs", node.get("Addresses", []))
            assert list(peer.endpoints) == node.get("Endpoints", [])
            assert list(peer.tags) == node.get("Tags", [])
            assert peer.online == node.get("Online")
            assert (peer.last_seen, peer.key_expiry) == (node.get("LastSeen", ""), node.get("KeyExpiry", ""))
            assert (peer.key, peer.disco_key) == (node.get("Key", ""), node.get("DiscoKey", ""))
            assert (peer.home_derp, peer.cap, peer.user_id) == (
                node.get("HomeDERP", 0),
                node.get("Cap", 0),
                node.get("User", 0),
            )
            assert (peer.hostinfo.os if peer.hostinfo else "", peer.expired) == (
                node.get("Hostinfo", {}).get("OS", ""),
                node.get("Expired", False),
            )
        assert replica.self_node is not None
        assert json.loads(replica.self_node.json) == self.node
        assert replica.domain == self.domain
        assert json.loads(replica.documents[Document.PACKET_FILTER]) == self.filters
        dns = replica.documents[Document.DNS]
        assert (json.loads(dns) if dns else None) == self.dns
        readable = (peer for peer in self.peers.values() if not self.is_double(peer))
        referred = {peer.get(role) for peer in readable for role in ("User", "Sharer")} | {
            self.node.get("User")
        }
        assert {user: profile.login_name for user, profile in replica.profiles.items()} == {
            user: name for user, name in self.profiles.items() if user in referred
        }


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_the_netmap_is_the_truth_after_every_message(data: st.DataObject) -> None:
    truth, replica = Truth(data), Replica()
    truth.live()
    replica.apply(truth.tell_all(), first=True)
    truth.check(replica)
    for _ in range(data.draw(st.integers(0, 6))):
        before = dict(truth.peers)
        truth.live()
        if data.draw(st.integers(0, 4)) == 0:
            truth.live()  # while nobody was connected
            replica.apply(truth.tell_all(), first=True)
        else:
            replica.apply(truth.tell_changes(before))
        truth.check(replica)


def meaning(replica: Replica) -> Any:
    """The content of a replica, whatever the spelling of its JSON: equal JSON that came later is not adopted."""
    return (
        {stable_id: json.loads(peer.json) for stable_id, peer in replica.peers.items()},
        {name: json.loads(document or b"null") for name, document in replica.documents.items()},
        {user: json.loads(profile.json) for user, profile in replica.profiles.items()},
        replica.domain,
        replica.self_node and json.loads(replica.self_node.json),
    )


@given(st.data())
@settings(max_examples=50, deadline=None)
def test_a_netmap_told_by_deltas_and_one_told_at_once_are_the_same(data: st.DataObject) -> None:
    truth, grown = Truth(data), Replica()
    grown.apply(truth.tell_all(), first=True)
    for _ in range(4):
        before = dict(truth.peers)
        truth.live()
        grown.apply(truth.tell_changes(before))
    message = {**truth.tell_all(), "Node": truth.node}
    fresh = Replica()
    fresh.apply(message, first=True)
    grown.apply(message, first=True)
    assert meaning(grown) == meaning(fresh)
    assert grown.apply(message, first=True).updates == []
