"""What one client was sent of the tailnet, and the next message that brings it up to date.

Not here: frames, compression and timers (`map_stream`). A delta is the difference between what was sent and what is,
so a client that falls behind gets one message, and no queue can grow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from netmap_actors.dev_control.tailnet.json_types import JsonPeerChange, encode_json
from netmap_actors.dev_control.tailnet.tailnet import Aspect
from netmap_actors.rfc3339 import stamp

if TYPE_CHECKING:
    from collections.abc import Iterable

    from netmap_actors.dev_control.tailnet.json_types import JsonNode, JsonUser
    from netmap_actors.dev_control.tailnet.tailnet import Tailnet
    from netmap_actors.dev_control.tailnet.visibility import NodeStanding, Visibility

__all__ = ["ClientNetmap"]

_ASPECTS = (Aspect.DERP_MAP, Aspect.DNS, Aspect.DOMAIN, Aspect.PACKET_FILTER, Aspect.SSH_POLICY)


class ClientNetmap:
    """One map session: a full message first, then deltas."""

    def __init__(self, tailnet: Tailnet, node_id: int) -> None:
        self._tailnet = tailnet
        self.node_id = node_id
        self._sent: dict[int, JsonNode] = {}
        self._sent_self: JsonNode | None = None
        self._sent_users: dict[int, JsonUser] = {}
        self._sent_filter = b""
        """Of a node under a policy."""
        self._standing: NodeStanding | None = None
        """What the rules made of this node when its peers were last gone through."""
        self._dirty: dict[int, None] = {}
        self._dirty_aspects: set[Aspect] = set()
        self._deltas = 0

    @property
    def behind(self) -> bool:
        """Whether something may have changed that this client was not sent."""
        return bool(self._dirty or self._dirty_aspects)

    @property
    def peers(self) -> list[int]:
        """Ids of the nodes this client knows of."""
        return list(self._sent)

    def mark(self, nodes: Iterable[int], aspects: Iterable[Aspect]) -> None:
        """These may have changed."""
        self._dirty.update(dict.fromkeys(nodes))
        self._dirty_aspects.update(aspects)

    def full(self, wall: float) -> bytes:
        """The whole netmap, as headscale composes a first message. The node must exist."""
        tailnet = self._tailnet
        me = self._sent_self = tailnet.self_node(self.node_id)
        before = self._sent
        self._sent = tailnet.peers_of(self.node_id)
        users = {me.user, *(node.user for node in self._sent.values())}
        self._sent_users = {user_id: tailnet.user(user_id) for user_id in sorted(users)}
        self._dirty.clear()
        self._dirty_aspects.clear()
        fields = {"Node": encode_json(me)}
        fields.update((aspect.value, tailnet.aspects[aspect]) for aspect in _ASPECTS)
        visibility = tailnet.visibility
        self._sent_filter = b""
        if visibility is not None:
            self._standing = visibility.standing(self.node_id)
            self._sent_filter = fields[Aspect.PACKET_FILTER.value] = visibility.packet_filter(self.node_id)
        fields["UserProfiles"] = encode_json(list(self._sent_users.values()))
        if self._sent:
            peers = [tailnet.encoded(*peer) for peer in self._sent.items()]
            fields["Peers"] = b"[%b]" % b",".join(peers)
        elif before:
            # An empty list of peers means "no change": the last ones have to be removed by name.
            fields["PeersRemoved"] = encode_json(sorted(before))
        return _message(fields, wall)

    def delta(self, wall: float) -> bytes | None:
        """What changed since the last message; None when nothing did that this client may see."""
        if self.node_id not in self._tailnet.entries:
            # Deleted: as on headscale, its stream carries only keep-alives from now on.
            self._dirty.clear()
            self._dirty_aspects.clear()
            return None
        fields: dict[str, bytes] = {}
        removed: list[int] = []
        changed: list[int] = []
        patches: list[JsonPeerChange] = []
        online: dict[str, bool] = {}
        self._deltas += 1
        visibility = self._tailnet.visibility
        if visibility is not None:
            self._apply_rules(visibility, fields)
            # Each node has its own under a policy; the common one is for a tailnet without.
            self._dirty_aspects.discard(Aspect.PACKET_FILTER)
        elif Aspect.PACKET_FILTER in self._dirty_aspects:
            self._sent_filter = b""
        for node_id in sorted(self._dirty):
            if node_id != self.node_id:
                self._compare(node_id, removed, changed, patches, online)
        me = self._tailnet.self_node(self.node_id)
        if me != self._sent_self:
            self._sent_self = me
            fields["Node"] = encode_json(me)
        for aspect in _ASPECTS:
            if aspect in self._dirty_aspects:
                fields[aspect.value] = self._tailnet.aspects[aspect]
        users = self._new_users([me.user, *(self._sent[node_id].user for node_id in changed)])
        if users:
            fields["UserProfiles"] = encode_json(users)
        if changed:
            made = [self._tailnet.encoded(node_id, self._sent[node_id]) for node_id in changed]
            fields["PeersChanged"] = b"[%b]" % b",".join(made)
        if removed:
            fields["PeersRemoved"] = encode_json(removed)
        if patches:
            fields["PeersChangedPatch"] = encode_json(patches)
        if online:
            fields["OnlineChange"] = encode_json(online)
        self._dirty.clear()
        self._dirty_aspects.clear()
        return _message(fields, wall) if fields else None

    def _sees(self, node_id: int) -> bool:
        """Whether this is a peer."""
        visibility = self._tailnet.visibility
        return node_id != self.node_id and (visibility is None or visibility.connects(self.node_id, node_id))

    def _apply_rules(self, visibility: Visibility, fields: dict[str, bytes]) -> None:
        """Compare what the policy makes of this node: when its standing changes, every peer may come or go."""
        standing = visibility.standing(self.node_id)
        if standing != self._standing:
            self._standing = standing
            self._dirty.update(dict.fromkeys(self._tailnet.entries))
        made = visibility.packet_filter(self.node_id)
        if made != self._sent_filter:
            self._sent_filter = fields[Aspect.PACKET_FILTER.value] = made

    def _compare(
        self,
        node_id: int,
        removed: list[int],
        changed: list[int],
        patches: list[JsonPeerChange],
        online: dict[str, bool],
    ) -> None:
        """Sort one node into the list its difference belongs to."""
        sent = self._sent.get(node_id)
        if node_id not in self._tailnet.entries or not self._sees(node_id):
            if sent is not None:
                del self._sent[node_id]
                removed.append(node_id)
            return
        node = self._tailnet.seen_by(self.node_id, node_id)
        if sent is node or sent == node:
            return
        self._sent[node_id] = node
        patch = None if sent is None else self._tailnet.patches.between(sent, node)
        if patch is None:
            changed.append(node_id)
        elif not patch:
            pass
        elif patch.keys() == {"online"} and self._deltas % 2:
            # Servers use both forms; clients must know either.
            online[str(node_id)] = patch["online"]
        else:
            patches.append(JsonPeerChange(node_id=node_id, **patch))

    def _new_users(self, wanted: Iterable[int]) -> list[JsonUser]:
        ids = set(wanted)
        if Aspect.USERS in self._dirty_aspects:
            ids.update(self._sent_users)
        profiles = {user_id: self._tailnet.user(user_id) for user_id in sorted(ids)}
        new = [user for user_id, user in profiles.items() if self._sent_users.get(user_id) != user]
        self._sent_users.update((user.id, user) for user in new)
        return new


def _message(fields: dict[str, bytes], wall: float) -> bytes:
    fields["ControlTime"] = msgspec.json.encode(stamp(wall))
    return b"{%b}" % b",".join([b'"%b":%b' % (name.encode(), json) for name, json in fields.items()])
