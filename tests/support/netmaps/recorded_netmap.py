"""The netmap of a recorded headscale session, as a subscriber holds it at a moment of that session."""

from __future__ import annotations

import json
from pathlib import Path

from netmap_actors.publisher.publication.tailnet_netmap import encode_peer
from netmap_actors.subscriber import Netmap, UserProfile
from netmap_actors.subscriber.netmap_view import Contents
from tests.support.netmaps.netmap_replica import Replica

FIXTURE = Path(__file__).parents[2] / "fixtures" / "headscale-session.jsonl"


def recorded_netmap(*, until: str = "") -> Netmap:
    """The session folded up to just before this was done to the server; to its end without."""
    replica = Replica()
    first = True
    for line in map(json.loads, FIXTURE.read_text().splitlines()):
        if until and line.get("note", "").startswith(until):
            break
        if "map_response" in line:
            replica.apply(line["map_response"], first=first)
            first = False
    return netmap_of(replica)


def netmap_of(replica: Replica) -> Netmap:
    """What a subscriber holds of this."""
    contents = Contents()
    for stable_id, node in replica.peers.items():
        contents.upsert(stable_id, encode_peer(node))
    contents.domain = replica.domain
    contents.profiles = {
        one.id: UserProfile(id=one.id, login_name=one.login_name, display_name=one.display_name)
        for one in replica.profiles.values()
    }
    contents.documents = {document.value: data for document, data in replica.documents.items()}
    assert replica.self_node is not None
    contents.self_node = encode_peer(replica.self_node)
    return Netmap(contents)
