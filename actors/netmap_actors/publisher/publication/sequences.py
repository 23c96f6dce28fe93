"""The numbers of what is published: epoch, seq, topic_seq and txn.

A new publisher process is a new epoch; within it `seq` counts every message but heartbeats, `topic_seq` those of
one topic, so that a subscriber of some topics sees its gaps too.
"""

from __future__ import annotations

from netmap_actors.wire import netmap_pb2
from netmap_actors.wire.topics import SCHEMA, Kind

__all__ = ["Sequences"]

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

    def begin(self) -> int:
        """Start a transaction; its number."""
        self.txn += 1
        return self.txn

    def count(self, kind: Kind) -> tuple[int, int]:
        """The (seq, topic_seq) of the next message of this kind."""
        self.seq += 1
        topic_seq: int = self.last_commit.topic_seq[kind.value] + 1
        self.last_commit.topic_seq[kind.value] = topic_seq
        return self.seq, topic_seq

    def skip(self, kind: Kind, number: int) -> None:
        """So many messages of this kind are counted and not built: what is missing shows by the numbers."""
        self.seq += number
        self.last_commit.topic_seq[kind.value] += number

    def commit(self, updates: int) -> tuple[netmap_pb2.Commit, int]:
        """End the transaction after this many updates: its Commit, and the commit's own topic_seq."""
        seq, topic_seq = self.count(Kind.COMMIT)
        commit = self.last_commit
        commit.txn, commit.seq, commit.updates = self.txn, seq, updates
        return commit, topic_seq

    def topic_seqs(self) -> dict[str, int]:
        """Last topic_seq of every topic used in this epoch."""
        return dict(self.last_commit.topic_seq)

    def message(
        self, seq: int, topic_seq: int, state: netmap_pb2.NetmapState, age: float | None, now: float
    ) -> netmap_pb2.BusMessage:
        """A message of this epoch and transaction, without its body. `now`: seconds of CLOCK_BOOTTIME."""
        return netmap_pb2.BusMessage(
            schema=SCHEMA,
            epoch=self.epoch,
            seq=seq,
            topic_seq=topic_seq,
            txn=self.txn,
            state=state,
            age_s=age,
            said_at=now,
        )
