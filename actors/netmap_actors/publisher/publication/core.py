"""The publisher's decisions: MapResponses in, numbered transactions out, answers for subscribers that missed some.

One MapResponse is one transaction: its true differences, then a commit. Pure: the publisher actor
carries its output to the sockets.
"""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING, NamedTuple

from netmap_actors.errors import BadMapResponse
from netmap_actors.publisher.publication.freshness import NONE, Freshness
from netmap_actors.publisher.publication.intake import Acceptance, Intake, Remedy
from netmap_actors.publisher.publication.ring import Published, Ring
from netmap_actors.publisher.publication.sequences import Sequences
from netmap_actors.publisher.publication.snapshot import Head, catch_up_parts, netmap_parts, not_yet_parts
from netmap_actors.publisher.publication.tailnet_netmap import MAX_UPDATES, EncodedUpdate
from netmap_actors.wire import netmap_pb2
from netmap_actors.wire.fields import prefix, tag
from netmap_actors.wire.topics import Kind, topic_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence

    from netmap_actors.publisher.publication.tailnet_netmap import Applied, TailnetNetmap
    from netmap_actors.wire.internal_pb2 import MapResponseReceived

__all__ = ["MAX_UPDATES", "Publication"]

BARE_KEEP_ALIVE = len('{"KeepAlive":true}')
"""Bytes of a keep-alive that says nothing else; a longer one may bring settings."""

_NONE_MORE: Mapping[Kind, int] = {}


class _Way(NamedTuple):
    """How messages of one kind go out."""

    name: str
    topic: bytes
    body_tag: bytes

    @classmethod
    def of(cls, kind: Kind) -> _Way:
        field = netmap_pb2.BusMessage.DESCRIPTOR.fields_by_name[kind.value]
        return cls(kind.value, topic_of(kind), tag(field.number))


_WAYS = {kind: _Way.of(kind) for kind in Kind}
_COMMIT, _HEARTBEAT = _WAYS[Kind.COMMIT], _WAYS[Kind.HEARTBEAT]


class _Work(NamedTuple):
    """What is being applied."""

    steps: Generator[None, None, Applied]
    first: bool = False
    received_at: float | None = None
    """None: it is no message, time passes."""


class Publication:
    """One epoch of the published netmap."""

    def __init__(
        self, netmap: TailnetNetmap, *, epoch: int, silence_limit: float, ring_bytes: int, restarted: bool
    ) -> None:
        self._netmap = netmap
        self._sequences = Sequences(epoch)
        self._freshness = Freshness(silence_limit)
        self._ring = Ring(ring_bytes)
        self._ring_bytes = ring_bytes
        self._shown, self._shown_since = NONE, 0.0
        self._outgoing: list[Published] = []
        self._cached: tuple[int, bytes, Sequence[bytes]] | None = None
        self._session_mapped = False
        self._work: _Work | None = None
        self.intake = Intake(restarted=restarted)
        self.bad = 0
        """MapResponses that passed the connection's gate and were refused here."""

    @property
    def epoch(self) -> int:
        """New with each publisher process."""
        return self._sequences.epoch

    @property
    def seq(self) -> int:
        """Of the last commit."""
        return self._sequences.seq

    @property
    def mapped_session(self) -> tuple[int, int]:
        """(generation, session) whose full map is applied; (0, 0) when the current session has none."""
        return (self.intake.generation, self.intake.session) if self._session_mapped else (0, 0)

    @property
    def last_received_at(self) -> float | None:
        """When the last accepted MapResponse arrived, seconds of CLOCK_BOOTTIME."""
        return self._freshness.last_received_at

    def state(self, now: float) -> netmap_pb2.NetmapState:
        """How far the netmap can be trusted at this moment."""
        return self._freshness.state(now)

    def state_since(self, now: float) -> float:
        """When the state of this moment began, as it was published; 0.0 while it is none."""
        return self._shown_since if self.state(now) == self._shown else now

    def map_response(self, header: MapResponseReceived, document: bytes, now: float, wall: float) -> bool:
        """Take in one MapResponse at once; True when it was the full map of a session. Raises as `step`."""
        self.begin(header, document, now, wall)
        full: bool | None = False
        while self._work is not None:
            full = self.step(now)
        return bool(full)

    @property
    def working(self) -> bool:
        """There is a MapResponse to `step` through; until then the netmap, and what is answered, is as before it."""
        return self._work is not None

    def begin(self, header: MapResponseReceived, document: bytes, now: float, wall: float) -> None:
        """Take in one MapResponse, in steps if it says anything. Not while there is one.

        `now`: seconds of CLOCK_BOOTTIME; `wall`: our wall clock, UNIX seconds.
        """
        assert self._work is None, "one after the other"
        was_in_step = self.intake.in_step
        acceptance = self.intake.receive(header.generation, header.session, header.number, now)
        if acceptance is Acceptance.DROP:
            if was_in_step and not self.intake.in_step:
                self._freshness.lost()
                self._transaction([], "gap", now)
            return
        if acceptance is Acceptance.FIRST:
            self._freshness.session_began()
            self._session_mapped = False
        # Another process stamped it: no stamp makes the netmap fresh for longer than from now on.
        arrived = max(0.0, min(now, header.received_at, header.present_since or now))
        sent = max(0.0, min(arrived, header.sent_since or arrived))
        if header.keep_alive and len(document) <= BARE_KEEP_ALIVE:
            self._work = _Work(self._netmap.passing_time(wall), received_at=arrived)
            return
        first = not self._session_mapped
        steps = self._netmap.applying(
            document, first=first, wall=wall, unread=now - arrived, waited=now - sent
        )
        self._work = _Work(steps, first, arrived)

    def step(self, now: float) -> bool | None:
        """Go on with the MapResponse: None while there is more to do, then whether it was the full map of a session.

        Raises BadMapResponse: after that nothing more of the connection is accepted, and `expire` asks for its end.
        """
        work = self._work
        if work is None:
            return None
        try:
            next(work.steps)
        except StopIteration as done:
            self._work = None
            return self._applied(work, done.value, now)
        except BadMapResponse as error:
            self._work = None
            self.bad += 1
            self.intake.refuse(str(error), now)
            self._freshness.lost()
            self._transaction([], "bad_map_response", now)
            raise
        return None

    def connection_started(self, generation: int, now: float) -> None:
        """The Supervisor started a connection, or named the living one to a publisher that came back."""
        self.intake.connection_started(generation, now)

    def session_ended(self, generation: int, now: float) -> None:
        """A connection ended: the netmap is stale at once."""
        if self.intake.ended(generation) and generation >= self.intake.generation:
            self._work = None
            self._freshness.lost()
            self._transaction([], "session_ended", now)

    def pass_time(self, now: float, wall: float) -> None:
        """Keys may have expired by the wall clock, `wall` in UNIX seconds; in steps, if they are many.

        Nothing happens while there is a `step` already.
        """
        if self._work is None:
            self._work = _Work(self._netmap.passing_time(wall))
            self.step(now)

    def stop(self, now: float) -> None:
        """The publisher is about to end: from now on nothing keeps the netmap current."""
        self._freshness.lost()
        self._transaction([], "publisher_stopped", now)

    def deadline(self, now: float) -> float | None:
        """When to call `expire`."""
        decay, remedy = self._freshness.deadline(now), self.intake.deadline()
        if decay is None or remedy is None:
            return remedy if decay is None else decay
        return min(decay, remedy)

    def expire(self, now: float) -> Remedy | None:
        """The state may change with time, and a remedy may be due."""
        self._decay(now)
        return self.intake.expire(now)

    def take_outgoing(self) -> list[Published]:
        """What is to be published now, in order."""
        out, self._outgoing = self._outgoing, []
        return out

    def heartbeat(self, now: float) -> Published:
        """The last commit once more, so that a lost tail is seen. It has no number of its own.

        Take and publish what is outgoing before it: the netmap may just have decayed.
        """
        # After a suspend this may come before `expire` does.
        self._decay(now)
        sequences, commit = self._sequences, self._sequences.last_commit
        sequences.turn(self._shown, self._freshness.age(now), now)
        body = netmap_pb2.Heartbeat(last_commit=commit).SerializeToString()
        return self._message(_HEARTBEAT, commit.seq, commit.topic_seq.get(_COMMIT.name, 0), body)

    def answer(self, token: bytes, epoch: int, seq: int, clock: Callable[[], float]) -> Iterator[bytes]:
        """The encoded Replies to a Request, built one by one; all of them show the commit of this moment.

        Each carries the state of the moment it is built: `clock()`.
        """
        self._decay(clock())

        def trust() -> tuple[netmap_pb2.NetmapState, float | None, float]:
            now = clock()
            return self._freshness.state(now), self._freshness.age(now), now

        head = Head(token, self.epoch, self.seq, trust)
        if self._shown == NONE:
            return not_yet_parts(head)
        missed = self._ring.after(seq) if epoch == self.epoch else None
        if missed is not None:
            return catch_up_parts(head, missed)
        _, rest, peers = self._snapshot()
        return netmap_parts(head, rest, peers)

    def _decay(self, now: float) -> None:
        """Publish the state if it changed by time, or since a new session's map is being applied."""
        began = self._work is not None and self._work.first
        self._transaction([], "session_started" if began else "silence", now)

    def _applied(self, work: _Work, applied: Applied, now: float) -> bool:
        if work.received_at is None:
            self._transaction(applied.updates, "key_expired", now, applied.many)
            return False
        full = work.first and not applied.keep_alive
        if full:
            self._session_mapped = True
            self._freshness.full_map_applied()
        self._freshness.received(work.received_at)
        self._transaction(applied.updates, "session_started" if full else "received", now, applied.many)
        return full

    def _transaction(
        self, updates: list[EncodedUpdate], reason: str, now: float, many: Mapping[Kind, int] = _NONE_MORE
    ) -> None:
        """Number and keep the updates and a change of state, if there are any, and close with a commit.

        `many`: updates that are counted only.
        """
        state = self._freshness.state(now)
        if state == NONE:
            return  # what came before the first full map is part of the first snapshot
        if state != self._shown:
            self._shown, self._shown_since = state, now
            body = netmap_pb2.StateChanged(reason=reason).SerializeToString()
            updates = [*updates, EncodedUpdate(Kind.STATE_CHANGED, body)]
        if not updates and not many:
            return
        self._cached = None
        sequences = self._sequences
        sequences.begin()
        sequences.turn(state, self._freshness.age(now), now)
        count = len(updates) + sum(many.values())
        small = not many and sum([len(body) for _, body in updates]) <= self._ring_bytes // 2
        messages: list[Published] = []
        if small:
            for kind, body in updates:
                way = _WAYS[kind]
                messages.append(self._message(way, *sequences.count(way.name), body))
        else:
            kinds = collections.Counter(many) + collections.Counter(u.kind for u in updates)
            for kind, number in kinds.items():
                sequences.skip(kind.value, number)
        commit, topic_seq = sequences.commit(count)
        messages.append(self._message(_COMMIT, commit.seq, topic_seq, commit.SerializeToString()))
        if small:
            self._ring.append(messages)
        else:
            self._ring.reset(commit.seq)
        self._outgoing += messages

    def _message(self, way: _Way, seq: int, topic_seq: int, body: bytes) -> Published:
        """A numbered message; its body, which the netmap may keep, is not encoded again."""
        head = self._sequences.head(seq, topic_seq)
        return Published(seq, way.topic, b"".join((head, prefix(way.body_tag, len(body)), body)))

    def _snapshot(self) -> tuple[int, bytes, Sequence[bytes]]:
        """The pieces of the last commit, shared by all answers before the next one."""
        if self._cached is None:
            pieces = self._netmap.peer_pieces()
            numbers = netmap_pb2.SnapshotChunk(
                peer_count=len(pieces), topic_seq=self._sequences.topic_seqs()
            ).SerializeToString()
            self._cached = (self.seq, self._netmap.rest() + numbers, pieces)
        return self._cached
