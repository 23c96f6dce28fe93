"""What is this node's alone: a peer that has it, too, is not what it says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from netmap_actors.netmap.model import Peer

__all__ = ["OwnNode"]


class OwnNode(msgspec.Struct, frozen=True):
    """Our own ids, key and addresses, as far as they are known; what is empty is nobody's."""

    stable_id: str = ""
    id: int = 0
    key: str = ""
    addresses: frozenset[str] = frozenset()

    @classmethod
    def of(cls, node: Peer | None) -> OwnNode:
        """Those of this node; of one in quarantine the ids."""
        if node is None:
            return cls()
        return cls(node.stable_id, node.id, node.key, frozenset(node.addresses))

    def claimed_by(self, peer: Peer) -> str:
        """What of ours this peer has; "" for nothing."""
        if peer.stable_id == self.stable_id:
            return "stable id"
        if peer.id == self.id != 0:
            return "NodeID"
        if peer.key == self.key != "":
            return "node key"
        return "" if self.addresses.isdisjoint(peer.addresses) else "address"

    def may_be_in(self, piece: bytes) -> bool:
        """Whether an encoded peer could have our key, stable id or address. The encoder writes texts as they are."""
        texts = (self.stable_id, self.key, *self.addresses)
        return any(text.encode() in piece for text in texts if text)
