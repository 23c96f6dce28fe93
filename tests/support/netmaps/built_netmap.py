"""A tailnet of the nodes, users and DNS records that a test names."""

from __future__ import annotations

import json
from typing import Any

from netmap_actors.subscriber import Netmap, UserProfile
from netmap_actors.subscriber.netmap_view import Contents
from tests.support.netmaps.shown_netmap import peer

DOMAIN = "tail.example"
USERS = {7: "ann@example.com", 8: "bob@example.com"}


def built_netmap(
    *peers: str | dict[str, Any],
    own: str | dict[str, Any] = f"obs.{DOMAIN}",
    domain: str = DOMAIN,
    records: Any = None,
) -> Netmap:
    """Nodes by name or by fields; they have 100.64.0.1 and fd7a::1 and on, our own has 100.64.9.9."""
    contents = Contents()
    contents.domain = domain
    contents.profiles = {number: UserProfile(id=number, login_name=name) for number, name in USERS.items()}
    for number, node in enumerate(peers, 1):
        addresses = [f"100.64.{number // 250}.{number % 250}/32", f"fd7a::{number:x}/128"]
        fields = {"stable_id": f"n{number}", "id": number, "addresses": addresses}
        fields |= {"name": node} if isinstance(node, str) else node
        contents.upsert(fields["stable_id"], peer(**fields)._piece)
    fields = {"stable_id": "self", "addresses": ["100.64.9.9/32"]}
    fields |= {"name": own} if isinstance(own, str) else own
    contents.self_node = peer(**fields)._piece
    if records is not None:
        contents.documents["dns"] = json.dumps({"Proxied": True, "ExtraRecords": records}).encode()
    return Netmap(contents)
