"""The netmap's events as server-sent events (HTML Living Standard, 9.2), each with the object `watch --json` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from netmap_actors.http_endpoint.json_parts import json_parts
from netmap_actors.subscriber import PeerRemoved, PeerUpserted, Snapshot
from netmap_actors.wire.topics import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from netmap_actors.subscriber import Event

__all__ = ["COMMENT", "CONTENT_TYPE", "KINDS", "chosen", "encode", "snapshot_parts"]

CONTENT_TYPE = "text/event-stream; charset=utf-8"
KINDS = frozenset(kind.value for kind in Kind if kind not in {Kind.COMMIT, Kind.HEARTBEAT})
COMMENT = b":\n\n"
"""Keeps proxies from taking a quiet stream for a dead one."""


def encode(event: Event) -> bytes:
    """One event; its JSON has no line break, so it is one `data` line."""
    data = msgspec.json.encode(event.to_json())
    return b"id: %d:%d\nevent: %s\ndata: %s\n\n" % (event.epoch, event.seq, event.kind.encode(), data)


def snapshot_parts(event: Snapshot) -> Iterator[bytes]:
    """The snapshot as one event, made in parts: of a large tailnet it has tens of megabytes."""
    netmap = event.netmap
    head = {
        "type": event.kind,
        "epoch": event.epoch,
        "seq": event.seq,
        "state": event.state,
        "age_s": event.age_s,
    }
    yield b'id: %d:%d\nevent: snapshot\ndata: %s,"netmap":' % (
        event.epoch,
        event.seq,
        msgspec.json.encode(head)[:-1],
    )
    yield from json_parts(netmap)
    yield b"}\n\n"


def chosen(event: Event, kinds: Sequence[str], peers: Sequence[str]) -> bool:
    """Whether a client that asked for these kinds and peers (empty: all) is told of the event.

    The snapshot is for everybody; with peers, nothing but it and changes of those peers.
    """
    if isinstance(event, Snapshot):
        return True
    if kinds and event.kind not in kinds:
        return False
    if not peers:
        return True
    return isinstance(event, PeerUpserted | PeerRemoved) and any(event.peer.is_called(word) for word in peers)
