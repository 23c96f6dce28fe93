"""The subscriber's copy of the netmap as a machine: messages, replies and time in, events and requests out.

It subscribes first, asks for what it lacks, drops what it has, applies at commit, and asks again at every gap and
new epoch. What it shows was true at some commit of the publisher, and says so when it may be true no longer.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError

from netmap_actors.subscriber.changes import Applier, compare
from netmap_actors.subscriber.events import Event, Snapshot, StateChanged
from netmap_actors.subscriber.netmap_view import Contents, Netmap
from netmap_actors.wire import netmap_pb2
from netmap_actors.wire.pieces import BadPieces
from netmap_actors.wire.topics import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ANSWER_LIMIT", "HEARTBEAT_LIMIT", "JITTER", "Replica"]

HEARTBEAT_LIMIT = 6.0
"""Seconds without a word of the publisher after which the view is stale by itself: three heartbeats."""
ANSWER_LIMIT = 2.0
"""Seconds between two parts of an answer, or before its first, after which it is asked for again."""
JITTER = 0.25
"""Seconds over which subscribers that all miss the same message spread their requests."""
MAX_BUFFERED = 64 * 1024 * 1024
"""Bytes of messages kept while an answer is on its way; with more, the answer would be too old to use."""

_STATES = {
    netmap_pb2.NETMAP_STATE_NONE: "none",
    netmap_pb2.NETMAP_STATE_FRESH: "fresh",
    netmap_pb2.NETMAP_STATE_STALE: "stale",
}


class _Step(enum.Enum):
    """Where the replica stands."""

    BEHIND = "behind"
    """It must ask, at `_ask_at`."""
    ASKED = "asked"
    """An answer is on its way."""
    NOT_YET = "not yet"
    """The publisher has no netmap: the next commit or heartbeat that shows one ends this."""
    IN_STEP = "in step"


class Replica:
    """Feed it, and send what `take_request` gives. `now` is any clock that runs steadily, in seconds."""

    def __init__(self, now: float, random: Callable[[], float]) -> None:
        """`random` gives numbers in [0, 1)."""
        self._random = random
        self._contents = Contents()
        self._step = _Step.BEHIND
        self._ask_at = now
        self._token = 0
        self._question: tuple[int, int] | None = None
        self._request: bytes | None = None
        self._parts: list[netmap_pb2.Reply] = []
        self._pending: list[netmap_pb2.BusMessage] = []
        self._pending_seq = 0
        self._buffer: list[bytes] = []
        self._buffered = 0
        self._heard_at: float | None = None
        self._told_state = "none"
        self._age: float | None = None
        self._age_at = now
        self._shown_state = "none"
        self._restarted = False
        self._announced = False
        self.epoch = 0
        self.seq = 0
        """Of the commit that is shown."""
        self.gaps = 0
        self.snapshots = 0

    @property
    def netmap(self) -> Netmap:
        """The netmap of the last commit; the view moves with the replica."""
        return Netmap(self._contents)

    @property
    def synced(self) -> bool:
        """Nothing is known to be missing."""
        return self._step in {_Step.IN_STEP, _Step.NOT_YET}

    def state(self, now: float) -> str:
        """none, fresh or stale, at this moment."""
        if not self._announced or self._told_state == "none":
            return "none"
        if self._step is not _Step.IN_STEP or self._silent(now):
            return "stale"
        return self._told_state

    def age(self, now: float) -> float | None:
        """Seconds since the publisher's last MapResponse, as far as is known here."""
        return None if self._age is None else self._age + max(0.0, now - self._age_at)

    def take_request(self) -> bytes | None:
        """A Request to send, once."""
        request, self._request = self._request, None
        return request

    def deadline(self) -> float | None:
        """When to call `expire`."""
        times = []
        if self._step in {_Step.BEHIND, _Step.ASKED}:
            times.append(self._ask_at)
        if self._heard_at is not None and self._shown_state == "fresh":
            times.append(self._heard_at + HEARTBEAT_LIMIT)
        return min(times, default=None)

    def expire(self, now: float) -> list[Event]:
        """Let time do its work."""
        if self._step in {_Step.BEHIND, _Step.ASKED} and now >= self._ask_at:
            self._ask(now)
        return self._settle([], now, "publisher_silent")

    def message(self, data: bytes, now: float) -> list[Event]:
        """One message of the XPUB socket, second frame. What is no BusMessage is ignored."""
        try:
            message = netmap_pb2.BusMessage.FromString(data)
        except DecodeError:
            return []
        if message.schema != SCHEMA or message.epoch == 0:
            return []
        self._heard_at = now
        if self._step in {_Step.BEHIND, _Step.ASKED}:
            self._keep(message, data)
            return []
        reason = ""
        events: list[Event] = []
        if message.epoch != self.epoch:
            self._lose(now, restarted=True)
            self._keep(message, data)
            reason = "publisher_restarted"
        elif message.WhichOneof("body") == "heartbeat":
            reason = self._on_heartbeat(message, now)
        else:
            events, reason = self._on_numbered(message, data, now)
        return self._settle(events, now, reason)

    def reply(self, data: bytes, now: float) -> list[Event]:
        """One part of an answer. Parts of older requests, and what is no Reply, are ignored."""
        try:
            reply = netmap_pb2.Reply.FromString(data)
        except DecodeError:
            return []
        if reply.schema != SCHEMA or self._step is not _Step.ASKED or reply.token != self._token_bytes():
            return []
        if reply.part == 0:
            self._parts.clear()  # the same question was answered anew
        if reply.part != len(self._parts):
            self._lose(now, restarted=False)
            return []
        self._heard_at = now
        self._parts.append(reply)
        self._ask_at = now + ANSWER_LIMIT
        if not reply.last:
            return []
        try:
            return self._on_answer(reply, now)
        except (BadPieces, DecodeError):
            self._lose(now, restarted=False)
            return []

    # Inside

    def _on_heartbeat(self, message: netmap_pb2.BusMessage, now: float) -> str:
        seq = message.heartbeat.last_commit.seq
        if self._step is _Step.NOT_YET:
            if message.state != netmap_pb2.NETMAP_STATE_NONE:
                self._lose(now, restarted=False)
            return ""
        if seq > self._pending_seq:
            # The tail was lost: nothing else would ever tell.
            self.gaps += 1
            self._lose(now, restarted=False)
            return "behind"
        if seq == self.seq:
            self._told(message.state, message.age_s if message.HasField("age_s") else None, now)
        return self._told_reason("")

    def _on_numbered(
        self, message: netmap_pb2.BusMessage, data: bytes, now: float
    ) -> tuple[list[Event], str]:
        if self._step is _Step.NOT_YET:
            self._lose(now, restarted=False)
            self._keep(message, data)
            return [], ""
        if message.seq <= self._pending_seq:
            return [], ""
        if message.seq != self._pending_seq + 1:
            self.gaps += 1
            self._lose(now, restarted=False)
            self._keep(message, data)
            return [], "behind"
        self._pending.append(message)
        self._pending_seq = message.seq
        if message.WhichOneof("body") != "commit":
            return [], ""
        return self._commit(message, now)

    def _commit(self, commit: netmap_pb2.BusMessage, now: float) -> tuple[list[Event], str]:
        """Everything since the last commit becomes visible together."""
        reason = ""
        applier = Applier(self._contents)
        for message in self._pending:
            if message.WhichOneof("body") == "state_changed":
                reason = message.state_changed.reason
            else:
                applier.apply(message)
        self._pending.clear()
        self.seq = commit.seq
        self._told(commit.state, commit.age_s if commit.HasField("age_s") else None, now)
        state, age = self._visible(now)
        return applier.events(self.epoch, self.seq, state, age), reason

    def _on_answer(self, last: netmap_pb2.Reply, now: float) -> list[Event]:
        parts, self._parts = self._parts, []
        kind = last.WhichOneof("body")
        if any(part.WhichOneof("body") != kind for part in parts):
            raise BadPieces("cannot read an answer: its parts are of different kinds")
        events: list[Event] = []
        reason = "caught_up"
        self._told(last.state, last.age_s if last.HasField("age_s") else None, now)
        match kind:
            case "not_yet":
                self._forget_buffer()
                self.epoch, self._step = last.epoch, _Step.NOT_YET
                self.seq = self._pending_seq = last.seq
                return self._settle([], now, "not_yet")
            case "snapshot":
                events = self._on_snapshot(parts, now)
            case "catch_up":
                self._step = _Step.IN_STEP
                for part in parts:
                    for missed in part.catch_up.messages:
                        again = netmap_pb2.BusMessage.FromString(missed.message)
                        more, why = self._on_numbered(again, missed.message, now)
                        events += more
                        reason = why or reason
                        if self._step is not _Step.IN_STEP:
                            return self._settle(events, now, "behind")
            case _:
                raise BadPieces("cannot read an answer: it is of no kind known here")
        self._told(last.state, last.age_s if last.HasField("age_s") else None, now)
        buffered = self._buffer
        self._forget_buffer()
        events = self._settle(events, now, "publisher_restarted" if self._restarted else reason)
        self._restarted = False
        for data in buffered:
            events += self.message(data, now)
        return events

    def _on_snapshot(self, parts: list[netmap_pb2.Reply], now: float) -> list[Event]:
        fresh = Contents()
        applier = Applier(fresh)
        for part in parts:
            applier.fill(part.snapshot)
        old, self._contents = self._contents, fresh
        last = parts[-1]
        self.epoch = last.epoch
        self.seq = self._pending_seq = last.seq
        self._pending.clear()
        self._step = _Step.IN_STEP
        self.snapshots += 1
        state, age = _STATES.get(last.state, "none"), last.age_s if last.HasField("age_s") else None
        if not self._announced:
            self._announced = True
            self._shown_state = state
            return [
                Snapshot(epoch=self.epoch, seq=self.seq, state=state, age_s=age, netmap=Netmap(fresh.copy()))
            ]
        return compare(old, fresh, epoch=self.epoch, seq=self.seq, state=state, age_s=age)

    def _lose(self, now: float, *, restarted: bool) -> None:
        """Something is missing: ask, a moment later than the others perhaps."""
        self._restarted = self._restarted or restarted
        self._pending.clear()
        self._pending_seq = self.seq
        self._parts.clear()
        self._step = _Step.BEHIND
        self._ask_at = now + JITTER * self._random()

    def _ask(self, now: float) -> None:
        known = self._announced and not self._restarted
        question = (self.epoch, self.seq) if known else (0, 0)
        if question != self._question:
            # The same question keeps its token: a request may wait in the socket until a publisher is there.
            self._question = question
            self._token += 1
        self._parts.clear()
        self._request = netmap_pb2.Request(
            schema=SCHEMA,
            token=self._token_bytes(),
            epoch=question[0],
            seq=question[1],
        ).SerializeToString()
        self._step = _Step.ASKED
        self._ask_at = now + ANSWER_LIMIT + JITTER * self._random()

    def _token_bytes(self) -> bytes:
        return self._token.to_bytes(8, "big")

    def _keep(self, message: netmap_pb2.BusMessage, data: bytes) -> None:
        """Keep a message that came before the answer it follows."""
        if message.WhichOneof("body") == "heartbeat":
            return
        self._buffer.append(data)
        self._buffered += len(data)
        if self._buffered > MAX_BUFFERED:
            self._forget_buffer()

    def _forget_buffer(self) -> None:
        self._buffer, self._buffered = [], 0

    def _told(self, state: netmap_pb2.NetmapState, age: float | None, now: float) -> None:
        self._told_state = _STATES.get(state, "none")
        self._age, self._age_at = age, now

    def _told_reason(self, otherwise: str) -> str:
        return "received" if self._told_state != self._shown_state else otherwise

    def _visible(self, now: float) -> tuple[str, float | None]:
        return self.state(now), self.age(now)

    def _silent(self, now: float) -> bool:
        return self._heard_at is None or now >= self._heard_at + HEARTBEAT_LIMIT

    def _settle(self, events: list[Event], now: float, reason: str) -> list[Event]:
        """Add the change of state, if there is one."""
        state, age = self._visible(now)
        if state == self._shown_state or not self._announced:
            return events
        previous, self._shown_state = self._shown_state, state
        changed = StateChanged(
            epoch=self.epoch,
            seq=self.seq,
            state=state,
            age_s=age,
            previous=previous,
            reason=reason or "caught_up",
        )
        return [*events, changed]
