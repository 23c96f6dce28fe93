"""Is a history true? Pure: `violations(truth, told)` compares it with what happened (`tailnet_truth`).

A history may be late by PROMPT, later after a hindrance, and may leave out what did not last that long. What changed
while it was away, or the netmap was not fresh, has to be told afterwards, and as not seen (`after`).
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from netmap_actors.history.occurrences import LOGGED, WARNED_BEFORE, Happening
from netmap_actors.history.spans import Interval, Span, gaps, joined
from netmap_actors.rfc3339 import stamp, unix_seconds
from tests.support.histories.tailnet_truth import ANY, FIELDS, GONE, KEY_EXPIRY, PRESENCE, Course

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from netmap_actors.history.answers import Answer
    from netmap_actors.history.occurrences import Occurrence
    from tests.support.histories.tailnet_truth import TailnetTruth

__all__ = ["RULES", "Figures", "Violation", "figures", "violations"]

PROMPT: Final = 2.5
"""Seconds within which what happened is told when nothing hinders it, on a busy machine."""
LATENCY: Final = 0.5
"""Seconds on the way from the control server to the history."""
LAST_SECOND: Final = 3.5
"""Seconds before its end of whose log lines a killed Supervisor may not have told the history."""
MARKED: Final = 6.5
"""Seconds before its end of which a history may not know that it saw them: its heartbeats note that."""
ROUNDING: Final = 0.05
"""Seconds between a moment and its stamp."""
_ONLINE: Final = {True: "online", False: "offline", None: "unknown", GONE: GONE}
_STATES: Final = {state: value for value, state in _ONLINE.items()}
_OF_NODES: Final = frozenset(kind for kind in Happening if kind.startswith("node_")) - {
    Happening.NODE_REMOVED
}
_ABSENT: Final = frozenset({"supervisor", "history", "disk"})
"""Hindrances that justify a gap."""

RULES: Final = {
    "not told": "what is so is not in the history when it should be",
    "never so": "an occurrence tells of what was not so, or not then",
    "concealed": "what happened unseen is told as if it had been seen",
    "twice": "an occurrence tells what was told already, or of a node that is not there",
    "order": "ids do not grow, or an occurrence is older than the one before it from the same source",
    "false span": "a span says of a node what was not so",
    "no span": "no span tells of a node that was seen",
    "overlap": "spans of one subject overlap",
    "not fresh": "the netmap is called fresh although nothing was heard",
    "not stale": "the netmap is not called fresh although all was well",
    "gap": "a gap although the history was there",
    "not logged": "an occurrence of the daemon that its log does not have",
    "not kept": "a line of the log that the history does not have",
}


class Violation(NamedTuple):
    """What is wrong, when, and of whom."""

    rule: str
    at: float
    subject: str
    text: str

    def __str__(self) -> str:
        return f"{stamp(self.at)} {self.rule}: {self.subject} {self.text}"


class Figures(NamedTuple):
    """How much there was to be wrong about."""

    true: int
    """Changes of nodes that happened."""
    demanded: int
    """Those of them that had to be told; the others did not last long enough."""
    unseen: int
    """Those of them that fell into a gap, or a time without a fresh netmap."""
    told: int
    """Occurrences of nodes."""
    of_daemon: int
    """Occurrences of the daemon."""
    gaps: int
    gap_s: float


def violations(
    truth: TailnetTruth, told: Answer, *, silence: float, excused: Sequence[Interval] = ()
) -> list[Violation]:
    """All there are, by time. `silence`: seconds after which a netmap of which nothing is heard is not fresh.

    `excused`: times of whose log lines the history may have none. `told`: a whole history, nothing left out.
    """
    check = _Check(truth, told, silence, excused)
    return sorted({*check.all()}, key=lambda one: (one.at, one))


def figures(truth: TailnetTruth, told: Answer) -> Figures:
    """Of a history without violations."""
    check = _Check(truth, told, 0.0, ())
    changes = [
        (at, check.due(at), field, course)
        for courses in truth.nodes.values()
        for field, course in courses.items()
        if field != KEY_EXPIRY
        for at, value in course.steps
        if check.begin < at
        and value != GONE
        and (field == PRESENCE or courses[PRESENCE].value(at - ROUNDING) is True)
    ]
    demanded = [at for at, due, _, course in changes if due <= check.end and len(course.values(at, due)) == 1]
    return Figures(
        true=len(changes),
        demanded=len(demanded),
        unseen=sum(check.hidden(at) for at in demanded),
        told=sum(one.kind in _OF_NODES for _, one in told.occurrences),
        of_daemon=sum(one.kind in LOGGED for _, one in told.occurrences),
        gaps=len(check.gaps),
        gap_s=sum(gap.until - gap.since for gap in check.gaps),
    )


class _Check:
    def __init__(
        self, truth: TailnetTruth, told: Answer, silence: float, excused: Sequence[Interval]
    ) -> None:
        self._truth = truth
        self._told = told
        self._silence = silence
        self._excused = excused
        first = next(
            (one.at for _, one in told.occurrences if one.kind is Happening.NETMAP_FRESH), told.window.until
        )
        self.begin = first
        """The history knows all nodes from here on."""
        self._fresh = joined(Interval(one.since, one.until) for one in told.netmap if one.state == "fresh")
        self.end = self._fresh[-1].until if self._fresh else first
        """Of what comes later nothing is demanded yet."""
        inside = Interval(first, max(first, self.end))
        self.gaps = [gap for gap in told.gaps if first < gap.since and gap.until <= self.end]
        self._blind = gaps(self._fresh, inside)
        delays = [Interval(one.since, one.until) for one in truth.hindered if one.delays]
        self._delays = joined(delays)
        others = [Interval(one.since, one.until) for one in truth.hindered if not one.delays]
        self._slow = joined([*delays, *others, *self._blind])

    def all(self) -> Iterator[Violation]:
        yield from self._order()
        yield from self._nodes()
        yield from self._spans()
        yield from self._netmap()
        yield from self._gaps()
        yield from self._log()

    # Moments

    def due(self, at: float) -> float:
        """When what happened then is known at the latest."""
        moment = at + PROMPT
        for slow in self._slow:
            if slow.since <= moment and at <= slow.until:
                moment = max(moment, slow.until + PROMPT)
        return moment

    def _earliest(self, at: float, slow: Sequence[Interval]) -> float:
        """Since when what is told then may have been so."""
        moment = at - PROMPT
        for one in reversed(slow):
            if one.until >= moment and one.since <= at:
                moment = min(moment, one.since - PROMPT)
        return moment

    def hidden(self, at: float) -> bool:
        """It was not seen as it happened."""
        return any(one.since - ROUNDING <= at <= one.until for one in self._blind)

    def _concealed(self, at: float, told_at: float) -> bool:
        """What happened at that moment and was told then was not seen as it happened."""
        # What happens just before the end of such a time may come just after it.
        if any(gap.since + ROUNDING < at < gap.until - LATENCY for gap in self.gaps):
            return True
        # News of a fresh netmap may be as old as that.
        return told_at - at > self._silence + LATENCY and self.hidden(at)

    # Occurrences

    def _order(self) -> Iterator[Violation]:
        for (before, _), (number, one) in itertools.pairwise(self._told.occurrences):
            if number <= before:
                yield Violation(
                    "order", one.at, one.subject, f"{one.kind} has the id {number} after {before}"
                )
        # Each of the two is told in order; what the Supervisor tells may have waited for the history.
        for logged in (True, False):
            own = [one for _, one in self._told.occurrences if (one.kind in LOGGED) is logged]
            for earlier, one in itertools.pairwise(own):
                if one.at < earlier.at - ROUNDING:
                    yield Violation(
                        "order",
                        one.at,
                        one.subject,
                        f"{one.kind} comes after {earlier.kind} of {stamp(earlier.at)}",
                    )
        seen = set()
        for _, one in self._told.occurrences:
            key = (one.at, one.kind, one.subject, str(one.detail))
            if key in seen:
                yield Violation("twice", one.at, one.subject, f"{one.kind} has two ids")
            seen.add(key)

    def _nodes(self) -> Iterator[Violation]:
        told: dict[str, list[Occurrence]] = {stable_id: [] for stable_id in self._truth.nodes}
        for _, one in self._told.occurrences:
            if one.kind in _OF_NODES:
                told.setdefault(one.subject, []).append(one)
        for stable_id, occurrences in told.items():
            true = self._truth.nodes.get(stable_id)
            if true is None:
                one = occurrences[0]
                yield Violation("never so", one.at, stable_id, f"{one.kind}: there never was such a node")
                continue
            held = {field: Course() for field in (PRESENCE, *FIELDS)}
            for field, course in held.items():
                value = true[field].value(self.begin)
                course.turn(0.0, value is True if field == PRESENCE else value)
            for one in occurrences:
                yield from self._occurrence(one, true, held)
            yield from self._not_told(stable_id, true, held)
            yield from self._expiries(stable_id, occurrences, held)
            yield from self._warnings(stable_id, occurrences, held)

    def _occurrence(
        self, one: Occurrence, true: dict[str, Course], held: dict[str, Course]
    ) -> Iterator[Violation]:
        """`held`: what the history said of the node before."""
        earliest = self._earliest(one.at, self._delays)
        if one.after is not None:
            earliest = min(earliest, self._earliest(one.after, self._delays))
        there = held[PRESENCE].value(one.at)
        if (one.kind is Happening.NODE_JOINED) is (there is True):
            yield Violation(
                "twice", one.at, one.subject, f"{one.kind}, and it was {'' if there is True else 'not '}there"
            )
        for field, before, now in _turns(one):
            if before != ANY and held[field].value(one.at) not in {_plain(before), ANY}:
                said = held[field].value(one.at)
                yield Violation("twice", one.at, one.subject, f"{field} was {before}, but {said} was told")
            held[field].turn(one.at, _plain(now))
            yield from self._turned(one, field, _plain(now), true[field], earliest)
        if one.kind is Happening.NODE_JOINED:
            for field in ("tags", "routes", "addresses", "home_derp", "key"):
                # Not told; what it was meanwhile, if that was one thing.
                was = set(true[field].values(earliest, one.at + ROUNDING)) - {GONE}
                held[field].turn(one.at, was.pop() if len(was) == 1 else ANY)
        elif one.kind is Happening.NODE_LEFT:
            for field in FIELDS:
                held[field].turn(one.at, GONE)
            return
        if one.name not in true["name"].values(earliest, one.at + ROUNDING):
            yield Violation("never so", one.at, one.subject, f"{one.kind} calls it {one.name}")

    def _turned(
        self, one: Occurrence, field: str, now: Any, true: Course, earliest: float
    ) -> Iterator[Violation]:
        if one.kind is Happening.NODE_JOINED and field != PRESENCE:
            # How it was when it was seen first.
            if now not in true.values(earliest, one.at + ROUNDING):
                yield Violation("never so", one.at, one.subject, f"{field} is {now} as it joins")
            return
        moments = [at for at, value in true.steps if value == now and at <= one.at + ROUNDING]
        seen = [at for at in moments if at >= earliest]
        if one.after is None:
            seen = [at for at in seen if not self._concealed(at, one.at)]
            if moments and not seen and self._concealed(moments[-1], one.at):
                yield Violation("concealed", one.at, one.subject, f"{one.kind} was not seen as it happened")
                return
        if not seen:
            yield Violation(
                "never so", one.at, one.subject, f"{field} did not become {now}, told as {one.kind}"
            )

    def _not_told(
        self, stable_id: str, true: dict[str, Course], held: dict[str, Course]
    ) -> Iterator[Violation]:
        for field, told in held.items():
            course = true[field]
            for at, value in course.steps:
                due = self.due(at)
                if at <= self.begin or due > self.end:
                    continue
                if field != PRESENCE and {held[PRESENCE].value(due), true[PRESENCE].value(at)} != {True}:
                    continue  # of that PRESENCE tells
                said = told.value(due)
                if said != ANY and said not in course.values(at, due + ROUNDING):
                    yield Violation(
                        "not told",
                        at,
                        stable_id,
                        f"{field} became {value}; {said} was told until {stamp(due)}",
                    )

    def _expiries(
        self, stable_id: str, occurrences: Sequence[Occurrence], held: dict[str, Course]
    ) -> Iterator[Violation]:
        true = [at for at, node in self._truth.expiries if node == stable_id and at > self.begin]
        told = [one for one in occurrences if one.kind is Happening.NODE_KEY_EXPIRED]
        for at in true:
            due = self.due(at)
            # It has another key already, or a later expiry, or was met with this one.
            node = self._truth.nodes[stable_id]
            over = any(len(node[field].values(at, due + ROUNDING)) > 1 for field in ("key", KEY_EXPIRY))
            over = over or held[PRESENCE].value(at) is not True or self._was_expired(stable_id, at)
            if due <= self.end and not over and not any(at <= one.at <= due for one in told):
                yield Violation("not told", at, stable_id, "its key expired")
        for one in told:
            since = self._earliest(one.at if one.after is None else one.after, self._delays)
            if not any(since <= at <= one.at + ROUNDING for at in true):
                yield Violation("never so", one.at, stable_id, "its key did not expire")

    def _was_expired(self, stable_id: str, at: float) -> bool:
        """Its key had expired before, and that it was renewed since then need not have been seen."""
        before = [moment for moment, node in self._truth.expiries if node == stable_id and moment < at]
        node = self._truth.nodes[stable_id]
        renewed = (
            moment
            for field in ("key", KEY_EXPIRY)
            for moment, _ in node[field].steps
            if before and before[-1] < moment < at
        )
        return bool(before) and self.due(min(renewed, default=at)) >= at

    def _warnings(
        self, stable_id: str, occurrences: Sequence[Occurrence], held: dict[str, Course]
    ) -> Iterator[Violation]:
        """Each expiry is told once for each of WARNED_BEFORE, as it comes nearer or is met."""
        true = self._truth.nodes[stable_id][KEY_EXPIRY]
        told: dict[tuple[float, float], Occurrence] = {}
        for one in occurrences:
            if one.kind is not Happening.NODE_KEY_EXPIRING:
                continue
            expires, lead = unix_seconds(one.detail["expires"]) or 0.0, one.detail["within_s"]
            before = told.get((expires, lead))
            # It may have been set anew, to the same second.
            if before is not None and len(true.values(before.at - PROMPT, one.at)) == 1:
                yield Violation("twice", one.at, stable_id, f"its key expires at {stamp(expires)}")
            told[expires, lead] = one
            known = true.values(self._earliest(one.at, self._delays), one.at + ROUNDING)
            if expires not in map(_whole, known) or not expires - lead - 1.0 <= one.at < expires + 1.0:
                yield Violation("never so", one.at, stable_id, f"its key does not expire at {stamp(expires)}")
        for (_, before), (at, expires) in itertools.pairwise([(0.0, None), *true.steps]):
            # Of an expiry that is earlier than one that was told nothing is said again.
            if (
                at <= self.begin
                or not isinstance(expires, float)
                or (isinstance(before, float) and before > expires)
            ):
                continue
            for lead in WARNED_BEFORE:
                known = max(at, expires - lead)
                due = self.due(known)
                nearer = any(expires - other <= due for other in WARNED_BEFORE if other < lead)
                lasts = set(true.values(known, due + ROUNDING)) == {expires}
                there = held[PRESENCE].value(due) is True
                if (
                    due <= min(self.end, expires)
                    and not nearer
                    and lasts
                    and there
                    and (_whole(expires), lead) not in told
                ):
                    yield Violation("not told", known, stable_id, f"its key expires at {stamp(expires)}")

    # Spans

    def _spans(self) -> Iterator[Violation]:
        lanes = {node.stable_id: node.spans for node in self._told.nodes}
        for subject, spans in [
            ("netmap", self._told.netmap),
            ("connection", self._told.connection),
            *lanes.items(),
        ]:
            for before, span in itertools.pairwise(spans):
                if span.since < before.until - 1e-6:
                    yield Violation("overlap", span.since, subject, f"{before.state} and {span.state}")
        for stable_id in {*lanes, *self._truth.nodes}:
            spans = lanes.get(stable_id, [])
            true = self._truth.nodes.get(stable_id)
            if true is not None:
                yield from self._states(stable_id, spans, true["online"])
            elif spans:
                yield Violation("false span", spans[0].since, stable_id, "there never was such a node")

    def _states(self, stable_id: str, spans: Sequence[Span], online: Course) -> Iterator[Violation]:
        for span in spans:
            earliest = self._earliest(span.since, self._slow)
            if span.state not in _states(online.values(earliest, span.since + ROUNDING)):
                yield Violation("false span", span.since, stable_id, f"{span.state} as it begins")
        for at, value in online.steps:
            due = self.due(at)
            if due > self.end:
                continue
            span = next((one for one in spans if one.since <= due < one.until), None)
            true = _states(online.values(at, due + ROUNDING))
            if span is None and GONE not in true and due > self.begin + PROMPT:
                yield Violation("no span", due, stable_id, f"is {_ONLINE[value]} since {stamp(at)}")
            elif span is not None and span.state not in true:
                yield Violation(
                    "false span", due, stable_id, f"{span.state}; {_ONLINE[value]} since {stamp(at)}"
                )

    def _netmap(self) -> Iterator[Violation]:
        heard = [*self._truth.heard, self._told.window.until]
        for before, after in itertools.pairwise(heard):
            deaf = Interval(before + self._silence + PROMPT, after)
            for span in self._fresh:
                if max(span.since, deaf.since) < min(span.until, deaf.until) - ROUNDING:
                    yield Violation(
                        "not fresh", deaf.since, "netmap", f"nothing was heard since {stamp(before)}"
                    )
        states = (Happening.NETMAP_FRESH, Happening.NETMAP_STALE, Happening.GAP)
        told = [one for _, one in self._told.occurrences if one.kind in states]
        for earlier, one in itertools.pairwise(told):
            if one.kind is earlier.kind is Happening.NETMAP_FRESH:
                yield Violation("twice", one.at, "netmap", f"is fresh, as it was since {stamp(earlier.at)}")
        trouble = [Interval(one.since - ROUNDING, one.until + PROMPT) for one in self._truth.hindered]
        for one in _outside(self._blind, joined([*trouble, *self.gaps])):
            yield Violation("not stale", one.since, "netmap", f"until {stamp(one.until)}")

    def _gaps(self) -> Iterator[Violation]:
        away = joined(
            Interval(one.since - MARKED, one.until + PROMPT)
            for one in self._truth.hindered
            if one.what in _ABSENT
        )
        for one in _outside(self.gaps, away):
            yield Violation("gap", one.since, "history", f"until {stamp(one.until)}")

    # The daemon

    def _log(self) -> Iterator[Violation]:
        kept = [one for _, one in self._told.occurrences if one.kind in LOGGED]
        wanted = [line for line in self._truth.logged if line.event in LOGGED]
        for one in kept:
            found = next((line for line in wanted if _same(line.at, line.event, line.fields, one)), None)
            if found is None:
                yield Violation("not logged", one.at, one.subject, f"{one.kind} {one.detail}")
            else:
                wanted.remove(found)
        for line in wanted:
            lost = any(one.since <= line.at <= one.until for one in self._excused)
            if not lost and line.at < self.end - PROMPT:
                yield Violation("not kept", line.at, str(line.fields.get("actor", "")), line.event)


def _turns(one: Occurrence) -> Iterator[tuple[str, Any, Any]]:
    """What the occurrence says that changed: field, before, now."""
    match one.kind:
        case Happening.NODE_JOINED:
            yield PRESENCE, False, True
            yield "online", ANY, _STATES[one.detail["state"]]
            yield "name", ANY, one.name
        case Happening.NODE_LEFT:
            yield PRESENCE, True, False
        case Happening.NODE_ONLINE | Happening.NODE_OFFLINE:
            yield "online", _STATES[one.detail["was"]], one.kind is Happening.NODE_ONLINE
        case _:
            for field, change in one.detail.items():
                if field in FIELDS:
                    yield field, change["from"], change["to"]


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _whole(moment: Any) -> Any:
    """As it is told: without a part of a second."""
    return float(int(moment)) if isinstance(moment, float) else moment


def _states(values: Iterable[Any]) -> set[str]:
    return {_ONLINE[value] for value in values}


def _outside(intervals: Sequence[Interval], others: Sequence[Interval]) -> list[Interval]:
    """The parts of the first that none of the others covers, but for rounding."""
    return [part for one in intervals for part in gaps(others, one) if part.until - part.since > ROUNDING]


def _same(at: float, event: str, fields: Any, one: Occurrence) -> bool:
    return (
        event == one.kind
        and abs(at - one.at) < ROUNDING
        and all(fields.get(name) == value for name, value in one.detail.items())
    )
