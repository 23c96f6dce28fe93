"""When one webhook tells what: a machine that reads a history by cursor and says what to send. Pure.

`now` is CLOCK_BOOTTIME in seconds, which is never set; all waiting is measured on it. `wall` is UNIX seconds, and is
compared with the times of occurrences once, when they are read: a clock that is set later changes nothing. One that was
set in between makes nothing older than the last answer after which there was no more to read.

A shell turns it like this:

- Ask the history what `wanted()` says, one question at a time, and give each answer to `read`. When it says None look
  at it again after `done`.
- Call `send(now)` after `read` and `done`, and at `wake_at()`. POST what it gives, and tell `done` what comes of it.
- After each of `read`, `send` and `done`: when `to_write(now)` gives a standing write it durably, before the POST of
  what `send` has just given. If it cannot be written go on, and write `standing` when it can: at worst something is
  told twice, with the same id, or it is told that a short state began and not that it ended.

After a death a machine made of the last standing that was written tells all that may not have been told.

The events of a node are told in their order. What begins a state (offline, stale) is told when the state has lasted for
`hold_down` by the times of the history, and the later events of that node wait with it. The end of a state is told if
and only if its beginning was.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from netmap_actors.webhooks.bodies import most_events, pause
from netmap_actors.webhooks.events import event
from netmap_actors.webhooks.retry import Outcome, delay, lane_delay
from netmap_actors.webhooks.spec import NODE_EVENTS
from netmap_actors.webhooks.standing import Figures, WebhookStanding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from netmap_actors.history.occurrences import Occurrence
    from netmap_actors.webhooks.events import WebhookEvent
    from netmap_actors.webhooks.spec import WebhookSpec

__all__ = ["Delivery", "Figures", "OccurrencePage", "Outcome", "Telling", "WantedPage", "WebhookStanding"]

MAX_PENDING: Final = 10_000
"""Events that are held in memory; the others stay in the history until there is room."""
MAX_HELD: Final = 4 << 20
"""Characters of their names and details; the page with which they become more is still taken."""
MAX_PAGE: Final = 500
MAX_TOLD: Final = 500_000
"""Bytes of JSON of the subjects whose end is awaited, some 25 000; of the oldest above it no end is told."""
MAX_RANGES: Final = 1000
"""Of a standing. What is settled above them is told again after a death, with the same id."""
WRITE_INTERVAL: Final = 60.0
"""Seconds between writes of a standing in which only cursor, attempts or failures differ."""
NEWEST: Final = (1 << 63) - 1
"""No id is greater."""

_BEGINS: Final = frozenset({"node_offline", "netmap_stale"})
_ENDS: Final = {"node_online": "node_offline", "netmap_fresh": "netmap_stale"}
"""And what each ends."""
_STATES: Final = _BEGINS | _ENDS.keys() | {"node_left"}


class WantedPage(NamedTuple):
    """What to ask the history: occurrences with ids above `after_id`, the oldest `most` of them, lanes left out."""

    history: str
    """The file that has this id, "" for any; of another one any answer will do, at once."""
    after_id: int
    """NEWEST when only the oldest and the newest id are wanted."""
    most: int
    wait: bool
    """Nothing is known to be there: the answer may wait until something is."""


class OccurrencePage(NamedTuple):
    """An answer of the history."""

    history: str
    """The identity of its file."""
    after_id: int
    """Of the question."""
    oldest: int
    """All from this id on are kept."""
    newest: int
    """The greatest id there is or was; 0 for none ever."""
    occurrences: Sequence[tuple[int, Occurrence]]
    """Ascending, of all kinds."""
    whole: bool
    """There are no more above `after_id`."""
    tags: Mapping[str, Sequence[str]]
    """Of the nodes of these occurrences, by stable id: those each node has, or had when it left."""


class Telling(NamedTuple):
    """One request, with all these events."""

    attempt: int
    """1, 2, 3 … since something was delivered last."""
    events: tuple[WebhookEvent, ...]


class _Pending:
    """An event that is not settled."""

    __slots__ = ("begun", "due", "event", "gives_up", "lane", "silent", "size")

    def __init__(
        self, told: WebhookEvent, lane: str, due: float, gives_up: float, *, silent: bool, begun: bool
    ) -> None:
        self.event = told
        self.lane = lane
        """Those of one are told in order."""
        self.due = due
        """Not before, `now`."""
        self.gives_up = gives_up
        self.silent = silent
        """It is not told, but changes what is told of others."""
        self.begun = begun
        """It may have been told, or its state has lasted long enough: it is told, whatever comes."""
        self.size = len(repr((told.name, told.tags, told.detail)))


class Delivery:
    """The machine of one webhook.

    `standing`: what was written last, None for a webhook that is new. `jitter()`: a number in [0, 1).
    """

    def __init__(
        self,
        spec: WebhookSpec,
        standing: WebhookStanding | None,
        *,
        jitter: Callable[[], float],
        tailnet: str = "default",
    ) -> None:
        self._spec, self._jitter = spec, jitter
        self._new = standing is None
        kept = WebhookStanding(tailnet=tailnet) if standing is None else standing
        self._kept = kept
        """Its counts are true; the rest is what was read from it."""
        self._read = kept.cursor
        """Ids up to this one are settled or pending."""
        self._skipped = list(kept.settled)
        self._begun = set(kept.begun)
        self._told = {subject: _size(subject) for subject in kept.told}
        """With the bytes each takes in a standing."""
        self._told_size = sum(self._told.values())
        self._pending: dict[int, _Pending] = {}
        """By id, ascending."""
        self._held = 0
        """Characters of them."""
        self._open: dict[str, list[int]] = {}
        """Those of them that begin a state, by lane."""
        self._under_way: list[_Pending] = []
        self._whole = False
        """All of the history has been read."""
        self._answered_at = self._whole_at = float("-inf")
        """The last answer; the last one after which there was no more to read."""
        self._unsure = False
        """What may have ended a state since then is to be asked for before that state is told."""
        self._size = self._most = most_events(spec)
        self._room = float(self._most)
        """Events that may be sent now."""
        self._room_at = self._not_before = 0.0
        self._look_at: float | None = 0.0
        self._aside: dict[str, tuple[float, int]] = {}
        """Lanes whose event was refused alone: not before when, and how often."""
        self._failures, self._failing_since, self._failure = 0, 0.0, ""
        self._must_write, self._may_write, self._written_at = self._new, False, 0.0

    # Read

    def wanted(self) -> WantedPage | None:
        """What to ask the history; None: nothing until something is settled."""
        if self._new:
            return WantedPage("", NEWEST, 1, wait=False)
        room = min(MAX_PENDING - len(self._pending), MAX_PAGE) if self._held < MAX_HELD else 0
        wait = self._whole and not self._unsure
        return WantedPage(self._kept.history, self._read, room, wait=wait) if room > 0 else None

    def read(self, page: OccurrencePage, *, wall: float, now: float) -> None:
        """Take in an answer. One to another question than `wanted` asks now is passed over."""
        self._look_at = now
        if self._new and page.after_id == NEWEST:
            self._new, self._must_write, self._read = False, True, page.newest
            self._kept = msgspec.structs.replace(self._kept, history=page.history)
            return
        if self._new or page.after_id != self._read:
            return
        if page.history != self._kept.history or 0 < page.newest < self._read:
            self._begin_again(page)
            return
        self._lose(min(page.oldest, next((number for number, _ in page.occurrences), page.oldest)) - 1)
        for number, occurrence in page.occurrences:
            if number > self._read:
                self._read, self._may_write = number, True
                while self._skipped and self._skipped[0][1] < number:
                    del self._skipped[0]
                if not self._skipped or number < self._skipped[0][0]:
                    self._take(number, occurrence, page.tags.get(occurrence.subject, ()), wall, now)
        self._whole = page.whole
        self._answered_at, self._unsure = now, False
        self._whole_at = now if page.whole else self._whole_at

    def _begin_again(self, page: OccurrencePage) -> None:
        """Another file, all of which came later; or it lost its end with the machine, and gives those ids once more."""
        other = page.history != self._kept.history
        self._read = 0 if other else page.newest
        gone = [number for number in self._pending if other or number > self._read]
        self._count(lost=sum(not self._drop(number).silent for number in gone))
        self._kept = msgspec.structs.replace(self._kept, history=page.history)
        self._begun = {number for number in self._begun if not other and number <= self._read}
        self._skipped, self._whole, self._whole_at = [], False, float("-inf")

    def _lose(self, until: int) -> None:
        if until > self._read:
            skipped = sum(
                max(0, min(last, until) - max(first, self._read + 1) + 1) for first, last in self._skipped
            )
            self._count(lost=until - self._read - skipped)
            self._begun = {number for number in self._begun if not self._read < number <= until}
            self._read = until

    def _take(
        self, number: int, occurrence: Occurrence, tags: Sequence[str], wall: float, now: float
    ) -> None:
        kind, subject = str(occurrence.kind), occurrence.subject
        if kind == "gap" and "server" in occurrence.detail:
            self._forget_nodes()
        if kind in NODE_EVENTS:
            lane = subject
            chosen = any(
                self._spec.chooses(name, [*tags, *_words(occurrence, "tags")]) for name in _names(occurrence)
            )
        else:
            lane, chosen = "" if kind in {"netmap_stale", "netmap_fresh"} else f" {subject}", True
        silent = not chosen or kind not in self._spec.events
        age = max(0.0, min(wall - occurrence.at, now - self._whole_at))
        due = now
        if kind in _BEGINS:
            if silent and not (chosen and any(_ENDS.get(end) == kind for end in self._spec.events)):
                return
            due = now + max(0.0, self._spec.hold_down - age)
        elif kind in _STATES:
            self._end(lane, occurrence.at)
            # Ends whose beginning is not, and will not be told.
            if lane not in self._told and lane not in self._open and (silent or kind in _ENDS):
                self._count(suppressed=not silent)
                return
            # It was told that the state began, so its end is told, too, whatever tags the node has now.
            silent = kind not in self._spec.events or not (chosen or kind in _ENDS)
        elif silent:
            return
        begun = number in self._begun
        self._pending[number] = _Pending(
            event(self._kept.history, number, occurrence, tags),
            lane,
            now if begun else due,
            now + self._spec.retry_for - age,
            silent=silent,
            begun=begun,
        )
        self._held += self._pending[number].size
        if kind in _BEGINS:
            self._open.setdefault(lane, []).append(number)

    def _forget_nodes(self) -> None:
        """What comes is of another control server, and ids are its own: nobody sees the end of what its nodes began."""
        for lane in [lane for lane in self._open if lane]:
            for number in list(self._open[lane]):
                if not self._pending[number].begun:
                    self._count(suppressed=not self._drop(number).silent)
        self._told = {lane: size for lane, size in self._told.items() if not lane}
        self._told_size, self._must_write = sum(self._told.values()), True

    def _end(self, lane: str, at: float) -> None:
        """The state of this lane ended: what began it too short a time before is not told."""
        for number in list(self._open.get(lane, ())):
            one = self._pending[number]
            if one.begun or max(0.0, at - one.event.at) >= self._spec.hold_down:
                one.begun, one.due = True, 0.0
            else:
                self._count(suppressed=not self._drop(number).silent)

    # Telling

    def send(self, now: float) -> Telling | None:
        """What to send now; it is under way until `done`, and nothing else is meanwhile."""
        if self._under_way or now < self._not_before:
            self._look_at = None if self._under_way else self._not_before
            return None
        chosen = self._ready(now)
        if not chosen:
            return None
        rate = self._spec.events_per_minute / 60.0
        self._room = min(float(self._most), self._room + (now - self._room_at) * rate)
        self._room_at = now
        # What is waited for below is there then, though sums are not exact.
        if self._room < len(chosen) - 1e-6:
            self._look_at = now + (len(chosen) - self._room) / rate
            return None
        self._room -= len(chosen)
        self._not_before = now + pause(self._spec)
        for one in chosen:
            if one.event.type in _BEGINS and one.event.number not in self._begun:
                self._begun.add(one.event.number)
                one.begun = self._must_write = True
        self._under_way = chosen
        return Telling(self._failures + 1, tuple(one.event for one in chosen))

    def _ready(self, now: float) -> list[_Pending]:
        """The oldest events that may be sent; what needs no sending is settled. Sets `_look_at`."""
        chosen: list[_Pending] = []
        waiting: set[str] = set()
        becomes: dict[str, bool] = {}
        """Lanes with a chosen event: whether an end is told after it."""
        settled: list[tuple[int, str]] = []
        soonest: list[float] = []
        can_read = self._spec.hold_down > 0.0 and self.wanted() is not None
        for number, one in self._pending.items():
            lane, kind = one.lane, one.event.type
            if lane in waiting:
                continue
            if one.gives_up <= now:
                settled.append((number, "" if one.silent else "given_up"))
                continue
            if kind in _ENDS and not becomes.get(lane, lane in self._told):
                settled.append((number, "" if one.silent else "suppressed"))
                continue
            not_before = max(one.due, self._aside.get(lane, (0.0, 0))[0])
            # What is not read yet may end the state that this begins: a history that hangs has told nothing since.
            unread = kind in _BEGINS and not one.begun and can_read
            if unread and self._whole:
                unread = not_before <= now and self._answered_at < one.due
                self._unsure = self._unsure or unread
            if unread or not_before > now or (one.silent and lane in becomes):
                waiting.add(lane)
                if not_before > now:
                    soonest.append(min(not_before, one.gives_up))
                continue
            if one.silent:
                self._happened(one)
                settled.append((number, ""))
                continue
            if len(chosen) == self._size:
                break
            chosen.append(one)
            if kind in _STATES:
                becomes[lane] = kind in _BEGINS
            else:
                becomes.setdefault(lane, lane in self._told)
        for number, count in settled:
            self._drop(number)
            self._count(**({count: 1} if count else {}))
        self._look_at = min(soonest, default=None)
        return chosen

    def done(self, outcome: Outcome, *, wall: float, now: float) -> None:
        """Take in what came of what `send` gave."""
        sent, self._under_way = self._under_way, []
        self._look_at = now
        self._kept = msgspec.structs.replace(self._kept, attempts=self._kept.attempts + outcome.sent)
        if outcome.delivered:
            for one in sent:
                self._happened(one)
                # The file may be another one by now.
                if self._pending.get(one.event.number) is one:
                    self._drop(one.event.number)
            self._count(delivered=len(sent))
            self._kept = msgspec.structs.replace(self._kept, delivered_at=wall)
            self._size = min(self._most, self._size * 2)
            self._failures, self._failure = 0, ""
            return
        self._may_write = True
        self._kept = msgspec.structs.replace(self._kept, failed=self._kept.failed + 1)
        self._failing_since = self._failing_since if self._failures else now
        self._failures += 1
        self._failure = outcome.why_not
        if outcome.blames_the_body:
            self._size = max(1, len(sent) // 2)
        if outcome.blames_the_body and len(sent) == 1:
            self._set_aside(sent[0].lane, outcome, now)
        else:
            self._wait(delay(outcome, self._failures, self._jitter), now)

    def _set_aside(self, lane: str, outcome: Outcome, now: float) -> None:
        """Its event was refused alone: it is tried after the others, which wait as for so many events like it."""
        times = self._aside.get(lane, (0.0, 0))[1] + 1
        self._aside[lane] = (now, times)
        self._wait(delay(outcome, len(self._aside), self._jitter), now)
        self._aside[lane] = (self._not_before + lane_delay(outcome, times, self._jitter), times)

    def _wait(self, seconds: float, now: float) -> None:
        self._not_before = max(self._not_before, now + seconds)

    def _happened(self, one: _Pending) -> None:
        """It was told, or would have been."""
        if one.event.type not in _STATES:
            return
        self._told_size -= self._told.pop(one.lane, 0)
        if one.event.type in _BEGINS:
            self._told[one.lane] = _size(one.lane)
            self._told_size += self._told[one.lane]
            while self._told_size > MAX_TOLD:
                self._told_size -= self._told.pop(next(iter(self._told)))

    def _drop(self, number: int) -> _Pending:
        """It is settled."""
        one = self._pending.pop(number)
        self._held -= one.size
        self._begun.discard(number)
        self._aside.pop(one.lane, None)
        begun = self._open.get(one.lane, [])
        if number in begun:
            begun.remove(number)
            if not begun:
                del self._open[one.lane]
        return one

    def wake_at(self) -> float | None:
        """When `send` may give something without another input, `now`; None: never."""
        return self._look_at if self._pending else None

    # Kept and shown

    def _count(self, **more: int) -> None:
        self._must_write = True
        self._kept = msgspec.structs.replace(
            self._kept, **{name: getattr(self._kept, name) + number for name, number in more.items()}
        )

    def to_write(self, now: float) -> WebhookStanding | None:
        """What is to be written before anything else is done; None: nothing. It counts as written."""
        if (
            not (self._must_write or (self._may_write and now - self._written_at >= WRITE_INTERVAL))
            or self._new
        ):
            return None
        self._must_write, self._may_write, self._written_at = False, False, now
        return self.standing

    @property
    def standing(self) -> WebhookStanding:
        """As of now."""
        return msgspec.structs.replace(
            self._kept,
            cursor=next(iter(self._pending), self._read + 1) - 1,
            settled=tuple(islice(self._ranges(), MAX_RANGES)),
            begun=tuple(sorted(self._begun)),
            told=tuple(self._told),
        )

    def _ranges(self) -> Iterator[tuple[int, int]]:
        """Of settled ids above the first that is pending."""
        before = next(iter(self._pending), self._read + 1)
        for number in (*self._pending, self._read + 1):
            if number > before + 1:
                yield before + 1, number - 1
            before = number
        yield from ((max(first, self._read + 1), last) for first, last in self._skipped if last > self._read)

    def figures(self, now: float) -> Figures:
        """As of now."""
        return Figures(
            pending=sum(not one.silent for one in self._pending.values()),
            failing_for=now - self._failing_since if self._failures else 0.0,
            failures=self._failures,
            failure=self._failure,
        )


def _size(subject: str) -> int:
    return len(subject.encode(errors="replace")) + len('"",')


def _names(occurrence: Occurrence) -> Iterator[str]:
    yield occurrence.name
    yield from _words(occurrence, "name")


def _words(occurrence: Occurrence, field: str) -> list[Any]:
    """What this field of a node was before a change, and is after it."""
    change = occurrence.detail.get(field)
    if not isinstance(change, dict) or change.keys() != {"from", "to"}:
        return []
    return [
        word for value in change.values() for word in (value if isinstance(value, list | tuple) else [value])
    ]
