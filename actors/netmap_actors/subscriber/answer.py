"""One answer of the publisher as it comes in, part by part."""

from __future__ import annotations

from google.protobuf.message import DecodeError

from netmap_actors.subscriber.changes import profile_of, stable_id_of
from netmap_actors.subscriber.netmap_view import DOCUMENTS, Contents
from netmap_actors.wire import netmap_pb2
from netmap_actors.wire.fields import BadPieces, cut
from netmap_actors.wire.topics import SCHEMA, Kind

__all__ = ["MAX_ANSWER", "IncomingAnswer", "is_stamp"]

MAX_ANSWER = 1024 * 1024 * 1024
"""Bytes of one answer in all its parts."""

_SNAPSHOT_FIELD = netmap_pb2.Reply.DESCRIPTOR.fields_by_name["snapshot"].number
_PEERS_FIELD = netmap_pb2.SnapshotChunk.DESCRIPTOR.fields_by_name["peers"].number


def is_stamp(said_at: float) -> bool:
    """Whether this is a time stamp; an older publisher sends none."""
    return 0.0 < said_at < float("inf")


class IncomingAnswer:
    """The parts that carry one token; complete once `receive` has returned True."""

    def __init__(self, token: bytes, kinds: frozenset[Kind]) -> None:
        self._token = token
        self._kinds = kinds
        self._parts = 0
        self._size = 0
        self._peers: dict[str, bytes] = {}
        self._peers_seen = 0
        self._rest: list[bytes] = []
        self.head = netmap_pb2.Reply()
        self.first_said_at = 0.0
        """`said_at` of the first part."""
        self.not_yet = False
        self.contents: Contents | None = None
        """The whole netmap, of a snapshot."""
        self.topic_seq: dict[str, int] = {}
        self.messages: list[netmap_pb2.BusMessage] = []
        """The missed messages, of a catch-up."""

    def receive(self, data: bytes) -> bool | None:
        """Take in a part: True when it was the last, None when it belongs to another request.

        Raises BadPieces for a part that breaks the schema or is not the next one.
        """
        try:
            # The chunk is cut out first: decoding its peers would cost more than everything else.
            chunks, rest = cut(data, _SNAPSHOT_FIELD)
            head = netmap_pb2.Reply.FromString(rest)
            if head.schema != SCHEMA or head.token != self._token:
                return None
            self._check(head, len(data))
            for chunk in chunks:
                self._take_chunk(chunk)
            self.messages += [netmap_pb2.BusMessage.FromString(m.message) for m in head.catch_up.messages]
            if head.last:
                self.not_yet = head.HasField("not_yet")
                if self._rest:
                    self._finish_snapshot()
        except DecodeError as error:
            raise BadPieces(f"cannot read an answer: {error}") from None
        return head.last

    def _check(self, head: netmap_pb2.Reply, size: int) -> None:
        self._size += size
        if self._size > MAX_ANSWER:
            raise BadPieces(f"cannot take an answer of more than {MAX_ANSWER} bytes")
        if head.part != self._parts:
            raise BadPieces(f"cannot use part {head.part} of an answer: {self._parts} is the next")
        if self._parts and (head.epoch, head.seq) != (self.head.epoch, self.head.seq):
            raise BadPieces("cannot join the parts of two answers")
        if not head.epoch:
            raise BadPieces("cannot use an answer without an epoch")
        if not self._parts:
            self.first_said_at = head.said_at
        self._parts += 1
        self.head = head

    def _take_chunk(self, chunk: bytes) -> None:
        peers, rest = cut(chunk, _PEERS_FIELD)
        self._rest.append(rest)
        self._peers_seen += len(peers)
        if Kind.PEER_UPSERTED in self._kinds:
            for piece in peers:
                self._peers[stable_id_of(piece)] = piece

    def _finish_snapshot(self) -> None:
        # Protobuf joins by concatenation; what is not a peer stands in the first part anyway.
        chunk = netmap_pb2.SnapshotChunk.FromString(b"".join(self._rest))
        if self._peers_seen != chunk.peer_count:
            raise BadPieces(f"cannot use a snapshot with {self._peers_seen} of {chunk.peer_count} peers")
        contents = Contents()
        contents.peers = self._peers
        if Kind.SELF_CHANGED in self._kinds and chunk.HasField("self"):
            contents.self_node = chunk.self.SerializeToString()
        if Kind.DOMAIN_CHANGED in self._kinds:
            contents.domain = chunk.domain
        if Kind.USER_PROFILES_CHANGED in self._kinds:
            contents.profiles = {p.id: profile_of(p) for p in chunk.user_profiles}
        for name in DOCUMENTS:
            if Kind(f"{name}_changed") in self._kinds:
                contents.documents[name] = getattr(chunk, name)
        self.contents = contents
        self.topic_seq = dict(chunk.topic_seq)
