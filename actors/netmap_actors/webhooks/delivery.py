"""When one webhook tells what: a machine that reads a history by cursor and says what to send. Pure.

`now` is CLOCK_BOOTTIME in seconds, which is never set; all waiting is measured on it. `wall` is UNIX seconds, and is
compared with the times of occurrences once, when they are read: a clock that is set later changes nothing.

A shell turns it like this:

    when `wanted()` changes: ask the history for it (one question at a time), and give the answer to `read`;
    when `send(now)` gives something: POST it in a thread, and give what comes of it to `done`; one at a time;
    look again at `wake_at(now)`, and after `read` and `done`;
    after each of `read`, `send` and `done`: if `to_write(now)` gives a Standing, write it durably, and before the POST
    of what `send` has just given. If it cannot be written go on, and write the next one: at worst something is told
    twice, with the same id.

After a death a machine made of the last Standing that was written tells all that may not have been told.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from netmap_actors.history.occurrences import Occurrence
    from netmap_actors.webhooks.events import Event
    from netmap_actors.webhooks.spec import WebhookSpec

__all__ = ["Delivery", "Figures", "Outcome", "Page", "Send", "Standing", "Wanted"]


class Wanted(NamedTuple):
    """What to ask the history: occurrences with ids above `after_id`, the oldest `most` of them, lanes left out."""

    after_id: int
    """The greatest id there can be when only the newest and the oldest id are wanted, which is answered at once."""
    most: int
    wait: bool
    """Nothing is known to be there: the answer may wait until something is."""


class Page(NamedTuple):
    """An answer of the history."""

    history: str
    """The identity of its file."""
    after_id: int
    """Of the question."""
    oldest: int
    """The least id that is kept; 0 when there is none."""
    newest: int
    """The greatest id there is or was; 0 for none ever."""
    occurrences: Sequence[tuple[int, Occurrence]]
    """Ascending, of all kinds."""
    whole: bool
    """There are no more above `after_id`."""
    tags: Mapping[str, Sequence[str]]
    """Of the nodes of these occurrences, by stable id: those each node has, or had when it left."""


class Send(NamedTuple):
    """One request, with all these events."""

    attempt: int
    """1, 2, 3 … since something was delivered last."""
    events: tuple[Event, ...]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a request. Neither field may hold the URL or anything the receiver wrote."""

    status: int = 0
    """HTTP, 0 when there was no answer."""
    retry_after: float = 0.0
    """Seconds of its Retry-After, 0 without one."""
    failure: str = ""
    """Without an answer, or without a request: why, as "timeout", "connection refused", "cannot render ..."."""
    sent: bool = True
    """False: nothing left this machine, as when the template or the secret cannot be read."""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a webhook over the death of its process. No occurrence, no secret. Its JSON has a bounded size."""

    tailnet: str = "default"
    history: str = ""
    """The identity of the history's file in which the ids are."""
    cursor: int = 0
    """Every id up to this one is settled: told, not wanted, held down, given up or lost."""
    settled: tuple[tuple[int, int], ...] = ()
    """First and last of ids above it that are settled, ascending."""
    begun: tuple[int, ...] = ()
    """Ids of what began a state and may have been told: its end will be told in any case."""
    told: tuple[str, ...] = ()
    """Subjects whose state has been told and not its end, by stable id; "" is the netmap."""
    delivered: int = 0
    """Events."""
    attempts: int = 0
    """Requests."""
    failed: int = 0
    """Requests that did not deliver."""
    suppressed: int = 0
    """Events that were not told, because of the hold-down."""
    given_up: int = 0
    """Events that got older than retry_for."""
    lost: int = 0
    """Ids that the history dropped before they were read, of whatever they told."""
    delivered_at: float = 0.0
    """The last time something was, UNIX seconds; 0: never."""


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """For a status and metrics, beside the counts of the Standing."""

    pending: int
    """Events that are read and neither told nor settled, held down or waiting to be sent."""
    failing_for: float = 0.0
    """Seconds since the first of the attempts that failed since something was delivered."""
    failures: int = 0
    """How many they are."""
    failure: str = ""
    """Of the last attempt, "" when it delivered."""
    next_attempt: float | None = None
    """Seconds; None when nothing is due."""


class Delivery:
    """The machine of one webhook."""

    def __init__(
        self,
        spec: WebhookSpec,
        standing: Standing | None,
        *,
        jitter: Callable[[], float],
        tailnet: str = "default",
    ) -> None:
        """`standing`: what was written last, None for a webhook that is new. `jitter()`: a number in [0, 1)."""

    def wanted(self) -> Wanted | None:
        """What to ask the history; None: nothing until something is settled."""
        raise NotImplementedError

    def read(self, page: Page, *, wall: float, now: float) -> None:
        """Take in an answer. One to another question than `wanted` asks now is passed over."""
        raise NotImplementedError

    def send(self, now: float) -> Send | None:
        """What to send now; it is under way until `done`, and nothing else is meanwhile."""
        raise NotImplementedError

    def done(self, outcome: Outcome, *, wall: float, now: float) -> None:
        """Take in what came of what `send` gave."""
        raise NotImplementedError

    def wake_at(self, now: float) -> float | None:
        """When `send` may give something without another input; None: never."""
        raise NotImplementedError

    def to_write(self, now: float) -> Standing | None:
        """What is to be written before anything else is done; None: nothing. It counts as written."""
        raise NotImplementedError

    @property
    def standing(self) -> Standing:
        """As of now."""
        raise NotImplementedError

    def figures(self, now: float) -> Figures:
        """As of now."""
        raise NotImplementedError
