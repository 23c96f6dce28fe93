"""Flaws of the field in what a client makes of its maps: each is a way to be wrong that some client has been."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.support.netmaps.netmap_fold import Fold

if TYPE_CHECKING:
    from collections.abc import Container

__all__ = ["MAP_FLAWS", "Beliefs", "BrokenByFlaw"]

MAP_FLAWS = {
    "keeps-removed": "ignores PeersRemoved",
    "merges-full": "adds a full list of peers to those it has, of sessions before, too",
    "keeps-old-session": "begins a session with the peers of the one before",
    "deltas-beside-full": "applies PeersRemoved beside a full list",
    "empty-is-full": "takes an empty list of peers for an empty tailnet",
    "no-null": "gives up at null",
    "no-patches": "ignores PeersChangedPatch",
    "no-patched-endpoints": "gives up at a patch with Endpoints",
    "no-online-change": "ignores OnlineChange",
    "seen-is-gone": "removes what PeerSeenChange calls gone",
    "no-unknown-node": "gives up at a node it does not know",
    "known-by-name": "knows peers by name, not by ID",
    "known-by-address": "removes the owner of an address with a node that had it before",
    "keep-alive-is-map": "applies what stands beside KeepAlive",
    "each-is-whole": "takes each message for a whole map",
    "no-unknown-field": "gives up at a field it does not know",
    "no-sparse-node": "gives up at a node without Hostinfo",
    "small-buffer": "reads the first hundred peers of a large map",
}
"""Each flaw, with what the client does."""

_LISTS = ("Peers", "PeersChanged", "PeersRemoved", "PeersChangedPatch", "OnlineChange", "PeerSeenChange")
_SMALL = 512 << 10
"""Bytes, the buffer of a small device."""


class BrokenByFlaw(ValueError):
    """The client gives up its session."""


class Beliefs:
    """What a client with some flaws believes about its peers."""

    def __init__(self, flaws: Container[str] = frozenset()) -> None:
        self._flaws = flaws
        self._fold = Fold()

    def begin_session(self) -> None:
        """A session begins with nothing."""
        if "keeps-old-session" not in self._flaws and "merges-full" not in self._flaws:
            self._fold = Fold()

    def peers(self) -> list[dict[str, Any]]:
        """As a peers command prints them."""
        return [
            {"name": peer["Name"], "addresses": peer["Addresses"], "online": peer.get("Online")}
            for peer in self._fold.peers.values()
        ]

    def apply(self, message: dict[str, Any]) -> None:
        """One MapResponse. Raises BrokenByFlaw."""
        if message.get("KeepAlive"):
            if "keep-alive-is-map" not in self._flaws:
                return
            message = {name: value for name, value in message.items() if name != "KeepAlive"}
        self._give_up(message)
        message = self._misread({name: value for name, value in message.items() if value is not None})
        before = dict(self._fold.peers)
        self._fold.apply(message)
        self._forget(message, before)

    def _give_up(self, message: dict[str, Any]) -> None:
        flaws, known, text = self._flaws, self._fold.peers, json.dumps(message)
        if "no-null" in flaws and any(value is None for value in message.values()):
            raise BrokenByFlaw("null")
        if "no-unknown-field" in flaws and "CheckUnknown" in text:
            raise BrokenByFlaw("unknown field")
        patches = message.get("PeersChangedPatch") or []
        if "no-patched-endpoints" in flaws and any("Endpoints" in patch for patch in patches):
            raise BrokenByFlaw("Endpoints of a patch")
        if "no-unknown-node" in flaws:
            named = [*(message.get("PeersRemoved") or []), *(patch["NodeID"] for patch in patches)]
            if any(node_id not in known for node_id in named):
                raise BrokenByFlaw("unknown node")
        if "no-sparse-node" in flaws:
            nodes = (message.get("Peers") or []) + (message.get("PeersChanged") or [])
            if any("Hostinfo" not in node for node in nodes):
                raise BrokenByFlaw("no Hostinfo")

    def _misread(self, message: dict[str, Any]) -> dict[str, Any]:
        flaws = self._flaws
        ignored = {
            "keeps-removed": "PeersRemoved",
            "no-patches": "PeersChangedPatch",
            "no-online-change": "OnlineChange",
        }
        message = {
            name: value
            for name, value in message.items()
            if not any(flaw in flaws and field == name for flaw, field in ignored.items())
        }
        if "empty-is-full" in flaws and message.get("Peers") == []:
            self._fold.peers.clear()
        if "each-is-whole" in flaws and not any(name in message for name in _LISTS):
            self._fold.peers.clear()
        if "merges-full" in flaws:
            message["PeersChanged"] = message.pop("Peers", []) + message.get("PeersChanged", [])
        if "small-buffer" in flaws and len(json.dumps(message)) > _SMALL:
            message["Peers"] = message.get("Peers", [])[:100]
        return message

    def _forget(self, message: dict[str, Any], before: dict[int, dict[str, Any]]) -> None:
        flaws, peers = self._flaws, self._fold.peers
        removed = message.get("PeersRemoved", [])
        if "deltas-beside-full" in flaws:
            for node_id in removed:
                peers.pop(node_id, None)
        if "seen-is-gone" in flaws:
            for node_id, seen in message.get("PeerSeenChange", {}).items():
                if not seen:
                    peers.pop(int(node_id), None)
        if "known-by-address" in flaws:
            gone = [address for one in removed if one in before for address in before[one]["Addresses"]]
            for node_id in [key for key, peer in peers.items() if {*gone} & {*peer["Addresses"]}]:
                del peers[node_id]
        if "known-by-name" in flaws:
            for peer in message.get("PeersChanged", []):
                old = before.get(peer["ID"])
                if old is not None and old["Name"] != peer["Name"]:
                    peers[-peer["ID"]] = old
