"""The subscriber's half of the bus as a machine: messages and answers in, true changes and requests out.

It subscribes first and asks then (the Clone pattern); a gap or a new epoch means asking again. What it shows is
always the netmap of one commit. A message is as old as its stamp says, however late it is read. It neither waits nor
reads a clock; `client` is the shell around it.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final

from google.protobuf.message import DecodeError

from netmap_actors.subscriber.answer import IncomingAnswer, is_stamp
from netmap_actors.subscriber.changes import Stamp, apply_transaction, difference, unlike
from netmap_actors.subscriber.events import Event, Snapshot, StateChanged, checked
from netmap_actors.subscriber.netmap_view import Contents
from netmap_actors.wire import netmap_pb2
from netmap_actors.wire.fields import BadPieces
from netmap_actors.wire.topics import SCHEMA, Kind, kind_of
from netmap_actors.wire.vocabulary import Trust

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from netmap_actors.subscriber.netmap_view import Netmap

__all__ = [
    "ABSENCE_LIMIT",
    "ANSWER_TIMEOUT",
    "BEHIND_LIMIT",
    "SILENCE_LIMIT",
    "Phase",
    "Replica",
    "subscribed_kinds",
]

SILENCE_LIMIT = 6.0
"""Seconds after the publisher's last message about what we hold (three heartbeats) after which the state is stale."""
ABSENCE_LIMIT = 3.0
"""Age in seconds (a heartbeat comes every 2 s) beyond which a message is hardly the last there was: one of us was
stopped or cut off, and what came after it may be lost. So we ask."""
CLOCK_SLIP = 0.5
"""Seconds by which a message may seem to be of the future; with more the two clocks have not run alike, as when a
virtual machine was paused, and their offset is measured anew."""
SETTLE = 0.2
"""Seconds before that request: what is queued in our socket is taken first, since a gap in it shows by itself."""
BEHIND_LIMIT = 2.0
"""Seconds a known gap may stay open before the state is stale."""
ANSWER_TIMEOUT = 1.5
"""Seconds without a part of the answer after which the request is made anew. It keeps its place in the publisher's
queue."""
ASK_JITTER = 0.1
"""Seconds over which the requests of all subscribers that saw the same gap are spread."""
ASK_INTERVAL = 0.25
"""Seconds between two requests of one subscriber, at least."""
MAX_CHANGES = 100_000
"""Peers that a snapshot may change one by one; more changes are one Snapshot, which takes no time."""
MAX_BUFFERED = 20_000
"""Messages kept while an answer is awaited; more are dropped and asked for again."""

_NEVER: Final = float("-inf")
_NOT_PLANNED: Final = float("inf")

_ALWAYS = frozenset({Kind.STATE_CHANGED, Kind.COMMIT, Kind.HEARTBEAT})
_PEERS = frozenset({Kind.PEER_UPSERTED, Kind.PEER_REMOVED, Kind.USER_PROFILES_CHANGED})
_WITH_PEERS = _PEERS | {Kind.SELF_CHANGED, Kind.DOMAIN_CHANGED}
"""Peers come with their users, and with the names that show which of them are of our own tailnet."""


def subscribed_kinds(kinds: Iterable[str] | None) -> frozenset[Kind]:
    """The topics needed to follow these kinds of event; all for None. Raises ValueError for an unknown one.

    Peers come as upserts and removals, with all that it takes to name them and their users, or not at all.
    """
    if kinds is None:
        return frozenset(Kind)
    wanted = frozenset(Kind(kind) for kind in checked(kinds))
    return wanted | _ALWAYS | (_WITH_PEERS if wanted & _PEERS else frozenset())


class Phase(enum.Enum):
    """Where a replica stands between two calls."""

    WAITING = "waiting"
    """The publisher has no netmap: its first commit is waited for."""
    BEHIND = "behind"
    """Something is missing, at first everything; a request is due soon."""
    ASKED = "asked"
    """A request for it has been made; it is made anew after ANSWER_TIMEOUT."""
    CURRENT = "current"
    """Everything heard is applied."""
    DOUBTFUL = "doubtful"
    """As CURRENT, but the last message is old: a request is due unless a younger one comes."""
    CHECKING = "checking"
    """As ASKED, from DOUBTFUL: perhaps nothing is missing."""


_IN_STEP: Final = frozenset({Phase.CURRENT, Phase.DOUBTFUL})


class Replica:
    """One subscriber's copy of the netmap.

    `jitter()` gives a number in [0, 1), `token()` unique bytes.
    """

    def __init__(
        self,
        *,
        jitter: Callable[[], float],
        token: Callable[[], bytes],
        kinds: frozenset[Kind] = frozenset(Kind),
        check_interval: float | None = None,
    ) -> None:
        """`check_interval`: seconds after which the publisher is asked whether anything is missing, in place of its
        heartbeats, which are not among the kinds then."""
        self._check_after = float("inf") if check_interval is None else check_interval
        self._silence_limit = SILENCE_LIMIT + (check_interval or 0.0)
        self._behind_limit = BEHIND_LIMIT if check_interval is None else SILENCE_LIMIT
        self._jitter = jitter
        self._new_token = token
        self._kinds = kinds
        self._contents = Contents()
        self._have_netmap = False
        self._epoch = 0
        self._seq = 0
        self._topic_seq: dict[str, int] = {}
        """As of the commit that is shown."""
        self._pending_topic_seq: dict[str, int] = {}
        """With what is pending counted in."""
        self._heard_epoch = 0
        self._offset = _NEVER
        """A stamp of the epoch plus this is the earliest time on our clock at which it was set. _NEVER: not known."""
        self._proved_at = _NEVER
        """What we hold was what the publisher had then, or later."""
        self._state = netmap_pb2.NETMAP_STATE_NONE
        self._age: tuple[float, float] | None = None
        self._shown = Trust.NONE
        self.phase = Phase.WAITING
        self._behind_since = _NEVER
        """When the replica was in step last, while it is not."""
        self._pending: list[netmap_pb2.BusMessage] = []
        self._buffer: list[netmap_pb2.BusMessage] = []
        self._ask_at = _NOT_PLANNED
        self._asked_at = _NEVER
        self._answer: IncomingAnswer | None = None
        self._requests: list[bytes] = []
        self.emit = True
        """Whether events are made; the netmap does not need them."""
        self.gaps = 0
        self.malformed = 0
        """Messages and answers that did not parse or broke a rule of the schema."""

    # What it shows

    @property
    def netmap(self) -> Netmap:
        """The netmap of the last commit."""
        return self._contents.netmap

    @property
    def epoch(self) -> int:
        """The publisher process the netmap came from; 0 before the first answer."""
        return self._epoch

    @property
    def seq(self) -> int:
        """The commit the netmap is of."""
        return self._seq

    @property
    def has_netmap(self) -> bool:
        """A netmap has come, of this epoch or an earlier one."""
        return self._have_netmap

    @property
    def synced(self) -> bool:
        """Every message up to the last one heard has been applied."""
        return self.phase in _IN_STEP

    @property
    def answered(self) -> bool:
        """The publisher has answered at least once."""
        return self._epoch != 0

    def state(self, now: float) -> Trust:
        """none, fresh or stale: the publisher's, and stale as soon as that cannot be relied on."""
        return self._judge(now)[0]

    def age(self, now: float) -> float | None:
        """Seconds since the control server's last complete MapResponse; None when none was ever heard of."""
        if self._age is None:
            return None
        age, at = self._age
        return age + max(0.0, now - at)

    def snapshot(self, now: float) -> Snapshot:
        """The netmap of the last commit and what is known of it now."""
        return Snapshot(
            epoch=self._epoch, seq=self._seq, state=self.state(now), age_s=self.age(now), netmap=self.netmap
        )

    # The machine

    def start(self, now: float) -> None:
        """Ask for the first snapshot; the subscription must have been made before."""
        self.phase, self._ask_at = Phase.BEHIND, now

    def receive(self, topic: bytes, data: bytes, now: float) -> list[Event]:
        """One message of the updates socket. Returns the changes of what is shown."""
        kind = kind_of(topic)
        if kind is None or kind not in self._kinds:
            return []
        try:
            message = netmap_pb2.BusMessage.FromString(data)
        except DecodeError:
            self.malformed += 1
            return []
        if message.schema != SCHEMA or message.WhichOneof("body") != kind.value or not message.epoch:
            self.malformed += 1
            return []
        if message.epoch != self._heard_epoch:
            self._new_epoch(message.epoch, now)
        return self._with_state(self._hear(message, now), now)

    def receive_answer(self, data: bytes, now: float) -> list[Event]:
        """One part of an answer from the requests socket. Returns the changes of what is shown."""
        if self._answer is None:
            return []
        try:
            complete = self._answer.receive(data)
        except BadPieces:
            self.malformed += 1
            self._ask(now)
            return []
        if complete is None:
            return []  # of an earlier request
        if not complete:
            self._ask_at = now + ANSWER_TIMEOUT
            return []
        answer, self._answer = self._answer, None
        self._ask_at = _NOT_PLANNED
        return self._with_state(self._answered(answer, now), now)

    def to_send(self) -> list[bytes]:
        """Encoded Requests for the requests socket."""
        out, self._requests = self._requests, []
        return out

    def deadline(self) -> float | None:
        """When to call `expire`."""
        times = [self._ask_at]
        if self.phase is Phase.CURRENT:
            times.append(self._proved_at + self._check_after)
        if self._shown == Trust.FRESH:
            times.append(self._proved_at + self._silence_limit)
            if not self.synced:
                times.append(self._behind_since + self._behind_limit)
        return None if (first := min(times)) == _NOT_PLANNED else first

    def expire(self, now: float) -> list[Event]:
        """A request may be due, or the state may have become stale."""
        if self.phase is Phase.CURRENT and now >= self._proved_at + self._check_after:
            self.phase, self._ask_at = Phase.DOUBTFUL, now
        if now >= self._ask_at:
            self._request(now)
        return self._with_state([], now)

    # Inside

    def _new_epoch(self, epoch: int, now: float) -> None:
        first = self._heard_epoch == 0
        self._heard_epoch = epoch
        if epoch == self._epoch or (first and self.phase is Phase.ASKED):
            return
        self._buffer.clear()
        self._ask(now)

    def _hear(self, message: netmap_pb2.BusMessage, now: float) -> list[Event]:
        """A message as it comes, or as it was kept."""
        if not self.synced:
            self._keep(message, now)
            return []
        if not message.HasField("heartbeat"):
            return self._take(message, now)
        if message.epoch != self._epoch or message.seq > self._seq:
            self._gap(now)
            self._keep(message, now)
        elif message.seq == self._seq:
            self._believe(message.state, message, now)
        return []

    def _take(self, message: netmap_pb2.BusMessage, now: float) -> list[Event]:
        """The next message in order, or a gap."""
        if message.epoch == self._epoch and message.seq <= self._seq:
            return []
        body = message.WhichOneof("body") or ""
        expected = self._pending_topic_seq.get(body, 0) + 1
        same_transaction = not self._pending or self._pending[0].txn == message.txn
        if message.epoch != self._epoch or message.topic_seq != expected or not same_transaction:
            self._gap(now)
            self._keep(message, now)
            return []
        self._pending_topic_seq[body] = message.topic_seq
        if body != Kind.COMMIT.value:
            self._pending.append(message)
            return []
        if any(
            seq != self._pending_topic_seq.get(kind, 0)
            for kind, seq in message.commit.topic_seq.items()
            if self._follows(kind)
        ):
            self._gap(now)
            return []
        return self._commit(message, now)

    def _commit(self, message: netmap_pb2.BusMessage, now: float) -> list[Event]:
        pending, self._pending = self._pending, []
        self._seq = message.seq
        self._topic_seq = dict(self._pending_topic_seq)
        reason = next((m.state_changed.reason for m in pending if m.HasField("state_changed")), "")
        self._believe(message.state, message, now)
        state, judged = self._judge(now)
        self._contents = self._contents.changeable()
        changes = apply_transaction(self._contents, pending, self._stamp(state, now))
        return self._with_state(changes if self.emit else [], now, reason or judged)

    def _answered(self, answer: IncomingAnswer, now: float) -> list[Event]:
        head = answer.head
        if self.phase is Phase.CHECKING and (head.epoch, head.seq) != (self._epoch, self._seq):
            self.gaps += 1
        self._heard_epoch = self._heard_epoch or head.epoch
        if answer.not_yet:
            self._epoch = self._epoch or head.epoch
            # The publisher of now has none, so the one whose netmap we hold is gone.
            self._state = netmap_pb2.NETMAP_STATE_NONE
            self.phase = Phase.WAITING
            # What was heard meanwhile may be its first commit.
            if any(m.seq and m.epoch == self._heard_epoch for m in self._buffer):
                self._ask(now)
            self._buffer.clear()
            return []
        self._measure(answer)
        events: list[Event] = []
        if answer.contents is not None:
            events = self._replace(answer.contents, head, now)
            self._topic_seq = {kind: seq for kind, seq in answer.topic_seq.items() if self._follows(kind)}
            self._pending_topic_seq = dict(self._topic_seq)
        elif head.epoch != self._epoch:
            self.malformed += 1
            self._ask(now)
            return []
        else:
            self.phase = Phase.CURRENT
        for message in answer.messages:
            if self.synced and self._follows(message.WhichOneof("body") or ""):
                events += self._take(message, now)
        if self.synced and self._seq != head.seq:
            self._gap(now)
        if self.synced:
            self._believe(head.state, head, now, self._asked_at)
        buffered, self._buffer = self._buffer, []
        for message in buffered:
            if message.epoch == self._epoch:
                events += self._hear(message, now)
        if self.synced and self._heard_epoch != self._epoch:
            # Either stream may be the older one; another request settles it.
            self._ask(now)
        return events

    def _replace(self, contents: Contents, head: netmap_pb2.Reply, now: float) -> list[Event]:
        old, self._contents = self._contents, contents
        first = not self._have_netmap
        self._have_netmap = True
        self._epoch, self._seq = head.epoch, head.seq
        self._believe(head.state, head, now, self._asked_at)
        if first or (self.emit and unlike(old, contents) > MAX_CHANGES):
            self._shown = self._judge(now)[0]
            return [self.snapshot(now)] if self.emit else []
        stamp = self._stamp(self._judge(now)[0], now)
        changes = list(difference(old, contents, stamp)) if self.emit else []
        # At once: what was kept may end this state within the same call.
        return self._with_state(changes, now)

    def _keep(self, message: netmap_pb2.BusMessage, now: float) -> None:
        """Something came while an answer is awaited, or before one is asked for."""
        if message.epoch == self._epoch and message.state != netmap_pb2.NETMAP_STATE_FRESH:
            # Bad news of what we hold is believed at once, although messages are missing.
            self._state = message.state
        if len(self._buffer) >= MAX_BUFFERED:
            self._buffer.clear()
        self._buffer.append(message)
        # With a commit, or a heartbeat after one, there is a netmap.
        last = message.HasField("commit") or (message.HasField("heartbeat") and message.seq > 0)
        if last and self.phase is Phase.WAITING:
            self._ask(now)

    def _gap(self, now: float) -> None:
        self.gaps += 1
        self._ask(now)

    def _ask(self, now: float) -> None:
        """Plan a request, spread over the subscribers that saw the same gap."""
        self._fall_out_of_step(now)
        self.phase = Phase.BEHIND
        self._answer = None
        self._ask_at = max(now + ASK_JITTER * self._jitter(), self._asked_at + ASK_INTERVAL)

    def _fall_out_of_step(self, now: float) -> None:
        """Drop the transaction that has begun; it cannot be completed."""
        if self.synced:
            self._behind_since = now
            self._pending.clear()
            self._pending_topic_seq = dict(self._topic_seq)

    def _request(self, now: float) -> None:
        self._fall_out_of_step(now)
        self.phase = Phase.CHECKING if self.phase is Phase.DOUBTFUL else Phase.ASKED
        token = self._new_token()
        # A catch-up is laid over what is here, which must be the netmap of that epoch.
        known = self._have_netmap and self._heard_epoch in (0, self._epoch)
        request = netmap_pb2.Request(
            schema=SCHEMA, token=token, epoch=self._epoch if known else 0, seq=self._seq if known else 0
        )
        self._requests.append(request.SerializeToString())
        self._answer = IncomingAnswer(token, self._kinds)
        self._buffer = [m for m in self._buffer if m.epoch == self._heard_epoch]
        self._asked_at = now
        self._ask_at = now + ANSWER_TIMEOUT * (1.0 + 0.2 * self._jitter())

    def _follows(self, kind: str) -> bool:
        return any(kind == k.value for k in self._kinds)

    def _measure(self, answer: IncomingAnswer) -> None:
        """An answer is not older than its request, which bounds the age of every message of its epoch."""
        said_at = answer.first_said_at
        offset = self._asked_at - said_at if is_stamp(said_at) else _NEVER
        if offset == _NEVER or answer.head.epoch != self._epoch:
            self._offset = offset
        else:
            self._offset = max(self._offset, offset)

    def _said(self, said_at: float, now: float) -> float:
        """The earliest time on our clock at which this was stamped; _NEVER where that is unknown."""
        if not is_stamp(said_at):
            return _NEVER
        if said_at + self._offset > now + CLOCK_SLIP:
            self._offset = _NEVER
        return min(now, said_at + self._offset)

    def _believe(
        self,
        state: netmap_pb2.NetmapState,
        source: netmap_pb2.BusMessage | netmap_pb2.Reply,
        now: float,
        since: float = _NEVER,
    ) -> None:
        """Take over the publisher's state of what we hold, of `since` or later."""
        said = max(since, self._said(source.said_at, now))
        self._state = state
        self._proved_at = max(self._proved_at, said)
        if source.HasField("age_s") and said >= self._proved_at:
            self._age = (source.age_s, said)
        if now < said + ABSENCE_LIMIT:
            self.phase, self._ask_at = Phase.CURRENT, _NOT_PLANNED
        elif self.phase is not Phase.DOUBTFUL or now < self._proved_at + self._silence_limit:
            # Once we are stale it is not put off any more by what goes on coming.
            silent = now >= self._proved_at + self._silence_limit
            self.phase = Phase.DOUBTFUL
            self._ask_at = now + SETTLE + (ASK_JITTER * self._jitter() if silent else 0.0)

    def _judge(self, now: float) -> tuple[Trust, str]:
        """The state to show, and why it is not the publisher's."""
        if not self._have_netmap:
            return Trust.NONE, ""
        if self._heard_epoch not in (0, self._epoch) or self._state == netmap_pb2.NETMAP_STATE_NONE:
            return Trust.STALE, "publisher_restarted"
        if self._state != netmap_pb2.NETMAP_STATE_FRESH:
            return Trust.STALE, ""
        if now >= self._proved_at + self._silence_limit:
            return Trust.STALE, "publisher_silent"
        if not self.synced and now >= self._behind_since + self._behind_limit:
            return Trust.STALE, "behind"
        return Trust.FRESH, "caught_up"

    def _stamp(self, state: Trust, now: float) -> Stamp:
        return Stamp(self._epoch, self._seq, state, self.age(now))

    def _with_state(self, events: list[Event], now: float, reason: str = "") -> list[Event]:
        """The events, and the change of state that goes with them."""
        state, judged = self._judge(now)
        if state == self._shown:
            return events
        previous, self._shown = self._shown, state
        if not self.emit:
            return events
        stamp = self._stamp(state, now)
        return [*events, StateChanged(previous=previous, reason=reason or judged, **stamp._asdict())]
