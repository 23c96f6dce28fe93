"""Long JSON in parts, so that a large netmap neither stands in memory as a whole nor holds up everybody else."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from netmap_actors import shown_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from netmap_actors.subscriber import Netmap

__all__ = ["ITEMS_PER_PART", "array_parts", "json_parts"]

ITEMS_PER_PART = 500


def json_parts(netmap: Netmap, head: Mapping[str, object] | None = None) -> Iterator[bytes]:
    """One object: `head`, then the netmap."""
    rest = {**(head or {}), **netmap.rest_json()}
    peers = (peer.to_json() for peer in netmap.peers.values())
    return itertools.chain([shown_json.encode(rest)[:-1] + b',"peers":'], array_parts(peers), [b"}"])


def array_parts(items: Iterator[object]) -> Iterator[bytes]:
    """A JSON array of these items, some at a time."""
    before = b"["
    while batch := list(itertools.islice(items, ITEMS_PER_PART)):
        yield before + shown_json.encode(batch)[1:-1]
        before = b","
    yield b"[]" if before == b"[" else b"]"
