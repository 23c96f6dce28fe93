"""The numbers of what is published: epoch, seq, topic_seq and txn.

A new publisher process is a new epoch; within it `seq` counts every message but heartbeats, `topic_seq` those of
one topic, so that a subscriber of some topics sees its gaps too.
"""

from __future__ import annotations

from netmap_actors.wire import netmap_pb2
from netmap_actors.wire.topics import SCHEMA, Kind

__all__ = ["Sequences"]

_COMMIT = Kind.COMMIT.value

MAX_EPOCH = 2**53
"""Epochs stay below, so that languages whose numbers are floats read them exactly."""


class Sequences:
    """Counts the messages of one epoch. A heartbeat never announces a number that was not sent before."""

    def __init__(self, epoch: int) -> None:
        if not 0 < epoch < MAX_EPOCH:
            raise ValueError(f"cannot use {epoch} as an epoch: it must be positive and below 2^53")
        self.epoch = epoch
        self.seq = 0
        """Of the last message; of the last commit between transactions."""
        self.txn = 0
        self.last_commit = netmap_pb2.Commit()
        """It holds the topic_seq of every topic, counted on: to make the map anew for each commit took longer than all
        the rest of it."""
        self._topic_seq = self.last_commit.topic_seq
        self._head = netmap_pb2.BusMessage(schema=SCHEMA)
        """Filled anew for each message."""

    def begin(self) -> int:
        """Start a transaction; its number."""
        self.txn += 1
        return self.txn

    def count(self, name: str) -> tuple[int, int]:
        """The (seq, topic_seq) of the next message of the kind with this name."""
        self.seq += 1
        topic_seq: int = self._topic_seq[name] + 1
        self._topic_seq[name] = topic_seq
        return self.seq, topic_seq

    def skip(self, name: str, number: int) -> None:
        """So many messages of this kind are counted and not built: what is missing shows by the numbers."""
        self.seq += number
        self._topic_seq[name] += number

    def commit(self, updates: int) -> tuple[netmap_pb2.Commit, int]:
        """End the transaction after this many updates: its Commit, and the commit's own topic_seq."""
        seq, topic_seq = self.count(_COMMIT)
        commit = self.last_commit
        commit.txn, commit.seq, commit.updates = self.txn, seq, updates
        return commit, topic_seq

    def topic_seqs(self) -> dict[str, int]:
        """Last topic_seq of every topic used in this epoch."""
        return dict(self.last_commit.topic_seq)

    def turn(self, state: netmap_pb2.NetmapState, age: float | None, now: float) -> None:
        """What the next heads say beside their numbers. `now`: seconds of CLOCK_BOOTTIME."""
        head = self._head
        head.epoch, head.txn, head.state, head.said_at = self.epoch, self.txn, state, now
        if age is None:
            head.ClearField("age_s")
        else:
            head.age_s = age

    def head(self, seq: int, topic_seq: int) -> bytes:
        """An encoded BusMessage of this epoch and transaction without its body: protobuf joins by concatenation."""
        head = self._head
        head.seq, head.topic_seq = seq, topic_seq
        return head.SerializeToString()
