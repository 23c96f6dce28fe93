"""A netmap as JSON in parts, so that a large one neither stands in memory as a whole nor holds up everybody else."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from netmap_actors.subscriber import Netmap, Peer

__all__ = ["PEERS_PER_PART", "json_parts"]

PEERS_PER_PART = 500


def json_parts(netmap: Netmap, head: Mapping[str, object] | None = None) -> Iterator[bytes]:
    """One object: `head`, then the netmap as it is now; what comes later does not show in it."""
    frozen = netmap.frozen()
    rest = {**(head or {}), **frozen.rest_json()}
    return itertools.chain(
        [msgspec.json.encode(rest)[:-1] + b',"peers":['], _peers(iter(frozen.peers.values())), [b"]}"]
    )


def _peers(peers: Iterator[Peer]) -> Iterator[bytes]:
    separator = b""
    while batch := list(itertools.islice(peers, PEERS_PER_PART)):
        yield separator + b",".join(msgspec.json.encode(peer.to_json()) for peer in batch)
        separator = b","
