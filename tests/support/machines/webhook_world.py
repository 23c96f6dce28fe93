"""A history, a receiver and the shell of one webhook in simulated time; the shell can die at any step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from netmap_actors.history.occurrences import Happening, Occurrence
from netmap_actors.webhooks.delivery import Delivery, OccurrencePage, Outcome, Telling, WebhookStanding
from netmap_actors.webhooks.events import WebhookEvent
from netmap_actors.webhooks.spec import EVENTS, WebhookSpec

__all__ = ["DEAD", "WALL", "World", "lane_of", "spec"]

WALL = 1_767_323_045.0
"""UNIX seconds at the beginning."""
DEAD = Outcome(failure="connection refused")


def spec(**given: Any) -> WebhookSpec:
    """A webhook of all events."""
    return WebhookSpec(**({"name": "w", "url": "file:/url", "events": EVENTS} | given))


class World:
    """`receiver(send)`: what comes of a request, and whether the receiver has taken it in."""

    def __init__(self, spec: WebhookSpec, jitter: Callable[[], float] = lambda: 0.5) -> None:
        self.spec, self.jitter = spec, jitter
        self.now, self.clock_set = 1000.0, 0.0
        self.file, self.rows, self.dropped = "f1", {}, 0
        self.rows: dict[int, Occurrence]
        self.last = 0
        self.goes_back_to = float("inf")
        self.written: WebhookStanding | None = None
        self.receiver: Callable[[Telling], tuple[Outcome, bool]] = lambda _: (Outcome(status=204), True)
        self.history_answers = True
        self.received: list[tuple[float, tuple[WebhookEvent, ...]]] = []
        self.requests: list[tuple[float, Telling]] = []
        self.dies_before: str | None = None
        """A step of the shell: write, done or written."""
        self.begin()

    @property
    def wall(self) -> float:
        return WALL + self.now + self.clock_set

    def begin(self) -> None:
        """A new process; it knows what was written."""
        data = None if self.written is None else msgspec.json.encode(self.written)
        standing = None if data is None else msgspec.json.decode(data, type=WebhookStanding)
        self.machine = Delivery(self.spec, standing, jitter=self.jitter)
        self.turn()

    # The history

    def happen(self, kind: str, subject: str = "", *, turn: bool = True, **detail: Any) -> int:
        """The id of the occurrence."""
        self.last += 1
        self.rows[self.last] = Occurrence(
            at=self.wall,
            kind=Happening(kind),
            subject=subject,
            name=f"{subject}.example" * bool(subject),
            detail=detail,
        )
        if turn:
            self.turn()
        return self.last

    def prune(self, until: int) -> None:
        self.dropped = max(self.dropped, min(until, self.last))
        self.rows = {number: one for number, one in self.rows.items() if number > self.dropped}

    def other_file(self) -> None:
        self.file, self.rows, self.last, self.dropped = f"f{int(self.file[1:]) + 1}", {}, 0, 0

    def lose_end(self, number: int) -> None:
        """Ids above it are given once more."""
        self.last = self.goes_back_to = number
        self.rows = {one: row for one, row in self.rows.items() if one <= number}

    # The shell

    def turn(self) -> None:
        """Until nothing is to be done at this moment, or the process dies, and another begins."""
        for _ in range(10_000):
            if self.history_answers and self._ask() and not self._write():
                continue
            send = self.machine.send(self.now)
            if not self._write():
                return self.begin()
            if send is None:
                if self.history_answers and self._more():
                    continue
                return None
            self.requests.append((self.now, send))
            outcome, taken = self.receiver(send)
            if taken:
                self.received.append((self.now, send.events))
            if self._dies("done"):
                return self.begin()
            self.machine.done(outcome, wall=self.wall, now=self.now)
            if not self._write():
                return self.begin()
        raise AssertionError("the machine does not come to rest")

    def _more(self) -> bool:
        wanted = self.machine.wanted()
        return wanted is not None and (
            not wanted.wait or wanted.history not in {"", self.file} or wanted.after_id < self.last
        )

    def _ask(self) -> bool:
        """Whether there was an answer; False: it would wait."""
        wanted = self.machine.wanted()
        if wanted is None or (wanted.wait and not self._more() and wanted.after_id <= self.last):
            return False
        after = wanted.after_id if wanted.history in {"", self.file} else 0
        found = [(number, one) for number, one in self.rows.items() if number > after]
        page = OccurrencePage(
            self.file,
            wanted.after_id,
            self.dropped + 1,
            self.last,
            found[: wanted.most],
            len(found) <= wanted.most,
            {},
        )
        self.machine.read(page, wall=self.wall, now=self.now)
        return True

    def _dies(self, step: str) -> bool:
        dies, self.dies_before = (
            self.dies_before == step,
            None if self.dies_before == step else self.dies_before,
        )
        return dies

    def _write(self) -> bool:
        """False: it died."""
        standing = self.machine.to_write(self.now)
        if standing is None:
            return True
        if self._dies("write"):
            return False
        assert (
            self.written is None
            or standing.history != self.written.history
            or standing.cursor >= min(self.written.cursor, self.goes_back_to)
        )
        self.written = standing
        return not self._dies("written")

    def wait(self, seconds: float) -> None:
        """Until then, with a turn whenever the machine asks for one."""
        until = self.now + seconds
        for _ in range(100_000):
            at = self.machine.wake_at()
            if at is None or at > until:
                break
            self.now = max(self.now, at)
            self.turn()
        else:
            raise AssertionError("the machine wants to be woken again and again")
        self.now = until
        self.turn()

    # What came of it

    @property
    def told(self) -> list[WebhookEvent]:
        """Each once, in the order in which they came first."""
        return list({one.id: one for _, events in self.received for one in events}.values())

    @property
    def numbers(self) -> list[int]:
        return [one.number for one in self.told]

    def lanes(self) -> dict[str, list[int]]:
        """What came first, by node, or by what it is of."""
        lanes: dict[str, list[int]] = {}
        for one in self.told:
            lanes.setdefault(one.subject or lane_of(one.type), []).append(one.number)
        return lanes


def lane_of(kind: str) -> str:
    """netmap, of netmap_stale."""
    return kind.partition("_")[0]
