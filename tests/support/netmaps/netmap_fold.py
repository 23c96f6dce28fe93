"""A second, simple implementation of MapResponse deltas, to compare the product's with."""

from __future__ import annotations

from typing import Any

ZERO_TIME = "0001-01-01T00:00:00Z"
_PATCHED = {"DERPRegion": "HomeDERP"}
_ASPECTS = ("Node", "DERPMap", "DNSConfig", "Domain", "PacketFilters", "SSHPolicy")


class Fold:
    """What a client knows after the messages so far."""

    def __init__(self) -> None:
        self.peers: dict[int, dict[str, Any]] = {}
        self.users: dict[int, dict[str, Any]] = {}
        self.aspects: dict[str, Any] = {}

    def apply(self, message: dict[str, Any]) -> None:
        if message.get("KeepAlive"):
            return
        if message.get("Peers"):
            self.peers = {peer["ID"]: peer for peer in message["Peers"]}
        else:
            self._apply_delta(message)
        for user in message.get("UserProfiles", ()):
            self.users[user["ID"]] = user
        for name in _ASPECTS:
            if name in message:
                self.aspects[name] = message[name]

    def _apply_delta(self, message: dict[str, Any]) -> None:
        for node_id in message.get("PeersRemoved", ()):
            self.peers.pop(node_id, None)
        for peer in message.get("PeersChanged", ()):
            self.peers[peer["ID"]] = peer
        for node_id, seen in message.get("PeerSeenChange", {}).items():
            if int(node_id) in self.peers and not seen:
                self.peers[int(node_id)].pop("LastSeen", None)
        for node_id, online in message.get("OnlineChange", {}).items():
            if int(node_id) in self.peers:
                self.peers[int(node_id)]["Online"] = online
        for patch in message.get("PeersChangedPatch", ()):
            peer = self.peers.get(patch["NodeID"])
            if peer is None:
                continue
            for name, value in patch.items():
                if name != "NodeID":
                    peer[_PATCHED.get(name, name)] = value

    def known_users(self) -> dict[int, dict[str, Any]]:
        """Profiles that a node of the netmap refers to."""
        wanted = {peer["User"] for peer in self.peers.values()} | {self.aspects["Node"]["User"]}
        return {user_id: user for user_id, user in self.users.items() if user_id in wanted}

    def plain_peers(self) -> dict[int, dict[str, Any]]:
        """Peers with every way to say "nothing" left out."""
        return {node_id: _plain(peer) for node_id, peer in self.peers.items()}


def _plain(peer: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in peer.items()
        if value not in (None, [], {}, "", 0, ZERO_TIME) or name == "Online"
        if name != "LastSeen" or not peer.get("Online")
    }
