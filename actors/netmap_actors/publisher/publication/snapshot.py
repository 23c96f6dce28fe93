"""Answers to subscribers, cut into parts of bounded size: the whole netmap, or the messages missed.

Parts are built one at a time; all show the same commit, since the pieces they are made of never change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netmap_actors.wire import netmap_pb2
from netmap_actors.wire.fields import prefix, tag
from netmap_actors.wire.topics import PART_BYTES, SCHEMA

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from netmap_actors.publisher.publication.ring import Published

    Trust = Callable[[], tuple[netmap_pb2.NetmapState, float | None, float]]

__all__ = ["Head", "catch_up_parts", "netmap_parts", "not_yet_parts"]

_PEERS = tag(netmap_pb2.SnapshotChunk.DESCRIPTOR.fields_by_name["peers"].number)
_SNAPSHOT = tag(netmap_pb2.Reply.DESCRIPTOR.fields_by_name["snapshot"].number)


class Head:
    """What every part of one answer begins with."""

    __slots__ = ("_epoch", "_part", "_seq", "_token", "_trust")

    def __init__(self, token: bytes, epoch: int, seq: int, trust: Trust) -> None:
        self._token = token
        self._epoch = epoch
        self._seq = seq
        self._trust = trust
        self._part = 0

    def next(self, *, last: bool) -> netmap_pb2.Reply:
        """The next part, without its body."""
        state, age, now = self._trust()
        reply = netmap_pb2.Reply(
            schema=SCHEMA,
            token=self._token,
            epoch=self._epoch,
            seq=self._seq,
            state=state,
            age_s=age,
            said_at=now,
            part=self._part,
            last=last,
        )
        self._part += 1
        return reply


def netmap_parts(head: Head, rest: bytes, peers: Sequence[bytes]) -> Iterator[bytes]:
    """The whole netmap: an encoded SnapshotChunk without peers, then encoded Peers over as many parts as it takes."""
    collected = [rest]
    size = len(rest)
    for peer in peers:
        if size >= PART_BYTES:
            yield _snapshot_part(head, collected, size, last=False)
            collected, size = [], 0
        before = prefix(_PEERS, len(peer))
        collected += (before, peer)
        size += len(before) + len(peer)
    yield _snapshot_part(head, collected, size, last=True)


def _snapshot_part(head: Head, collected: list[bytes], size: int, *, last: bool) -> bytes:
    # Protobuf joins by concatenation: a message is its fields one after the other.
    return b"".join((head.next(last=last).SerializeToString(), prefix(_SNAPSHOT, size), *collected))


def catch_up_parts(head: Head, messages: Sequence[Published]) -> Iterator[bytes]:
    """The missed messages in their order."""
    chunk = netmap_pb2.CatchUp()
    size = 0
    for message in messages:
        if size >= PART_BYTES:
            reply = head.next(last=False)
            reply.catch_up.CopyFrom(chunk)
            yield reply.SerializeToString()
            chunk, size = netmap_pb2.CatchUp(), 0
        chunk.messages.add(topic=message.topic.decode(), message=message.message)
        size += len(message.message)
    reply = head.next(last=True)
    reply.catch_up.CopyFrom(chunk)
    yield reply.SerializeToString()


def not_yet_parts(head: Head) -> Iterator[bytes]:
    """There is no netmap yet."""
    reply = head.next(last=True)
    reply.not_yet.SetInParent()
    yield reply.SerializeToString()
