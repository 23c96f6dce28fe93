"""The checker of histories: a faithful one passes, and each rule has a history that it refuses."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netmap_actors.history.answers import Answer, NodeLane
from netmap_actors.history.occurrences import Happening, Occurrence
from netmap_actors.history.spans import Interval, Span, cut, gaps, joined
from netmap_actors.rfc3339 import stamp
from tests.support.histories.tailnet_truth import FIELDS, KEY_EXPIRY, PRESENCE, Logged, TailnetTruth
from tests.support.histories.truth_checker import PROMPT, RULES, figures, violations

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

DAY = 86400.0
BEGIN, END = 1000.0, 1100.0
SILENCE = 5.0
AWAY = Interval(1040.0, 1050.0)
"""The history's, in the example."""
KINDS = {
    "name": Happening.NODE_RENAMED,
    "tags": Happening.NODE_TAGGED,
    "routes": Happening.NODE_ROUTED,
    "addresses": Happening.NODE_MOVED,
    "home_derp": Happening.NODE_MOVED,
    "key": Happening.NODE_KEY_CHANGED,
}

Facts = dict[str, Any]


def facts(name: str, **changed: Any) -> Facts:
    return {
        "name": name,
        "online": True,
        "tags": ("tag:a",),
        "routes": (),
        "addresses": ("100.64.0.1",),
        "home_derp": 1,
        "key": f"key of {name}",
    } | changed


def past(states: Sequence[tuple[float, Mapping[str, Facts]]], away: Sequence[Interval] = ()) -> TailnetTruth:
    truth = TailnetTruth()
    for at, nodes in states:
        truth.is_now(at, nodes)
    truth.heard = [BEGIN + number for number in range(int(END - BEGIN) + 1)]
    for one in away:
        truth.hinder(one.since, one.until, "history", delays=False)
    return truth


def told_of(name: str, before: Facts | None, now: Facts | None, at: float, **seen: Any) -> list[Occurrence]:
    """The difference, as a history tells it."""
    if before == now:
        return []
    if now is None:
        assert before is not None
        return [Occurrence(at=at, kind=Happening.NODE_LEFT, subject=name, name=before["name"], **seen)]
    said = {"at": at, "subject": name, "name": now["name"], **seen}
    if before is None:
        state = "online" if now["online"] else "offline"
        return [Occurrence(kind=Happening.NODE_JOINED, detail={"state": state}, **said)]
    out = [
        Occurrence(kind=KINDS[field], detail={field: {"from": before[field], "to": now[field]}}, **said)
        for field in FIELDS
        if field != "online" and before[field] != now[field]
    ]
    if before["online"] != now["online"]:
        kind = Happening.NODE_ONLINE if now["online"] else Happening.NODE_OFFLINE
        out.append(Occurrence(kind=kind, detail={"was": _word(before["online"])}, **said))
    return out


def faithful(truth: TailnetTruth, away: Sequence[Interval] = (), late: float = 0.1) -> Answer:
    """What a history tells that sees everything so late, and nothing while it is away."""

    def state(at: float) -> dict[str, Facts]:
        return {
            name: {field: courses[field].value(at) for field in FIELDS}
            for name, courses in truth.nodes.items()
            if courses[PRESENCE].value(at) is True
        }

    changes = {at + late for one in truth.nodes.values() for course in one.values() for at, _ in course.steps}
    looks = sorted(
        {at for at in changes if at > BEGIN and not any(one.since <= at < one.until for one in away)}
        | {one.until for one in away}
    )
    held = state(BEGIN)
    occurrences = [Occurrence(at=BEGIN, kind=Happening.NETMAP_FRESH)]
    since: dict[str, tuple[float, str]] = {
        name: (BEGIN, _word(node["online"])) for name, node in held.items()
    }
    spans: dict[str, list[Span]] = {}
    for at in looks:
        gap = next((one for one in away if one.until == at), None)
        if gap is not None:
            occurrences.append(Occurrence(at=at, kind=Happening.GAP, after=gap.since))
        seen = {} if gap is None else {"after": gap.since}
        now = state(at if gap is not None else at - late)
        for name in sorted({*held, *now}):
            occurrences += told_of(name, held.get(name), now.get(name), at, **seen)
            word = _word(now[name]["online"]) if name in now else None
            if name in since and since[name][1] != word:
                begun, before = since.pop(name)
                spans.setdefault(name, []).append(Span(begun, at, before))
            if word is not None:
                since.setdefault(name, (at, word))
        if gap is not None:
            occurrences.append(Occurrence(at=at, kind=Happening.NETMAP_FRESH))
        held = now
    for name, (begun, word) in since.items():
        spans.setdefault(name, []).append(Span(begun, END, word))
    window = Interval(BEGIN, END)
    written = gaps(joined(away), window)
    return Answer(
        tailnet="default",
        window=window,
        gaps=[*away],
        netmap=[Span(*one, "fresh") for one in written],
        connection=[],
        nodes=[NodeLane(name, name, cut(one, written)) for name, one in spans.items()],
        occurrences=list(enumerate(occurrences, 1)),
        more=False,
    )


def _word(online: bool) -> str:
    return "online" if online else "offline"


# A tailnet that lives, and one history of it

A = facts("a")
STATES: list[tuple[float, dict[str, Facts]]] = [
    (900.0, {"a": A, "b": facts("b")}),
    (1010.0, {"a": A | {"online": False}, "b": facts("b")}),
    (1020.0, {"a": A | {"tags": ("tag:x",)}, "b": facts("b"), "c": facts("c")}),
    (1030.0, {"a": A | {"tags": ("tag:x",), "name": "aa"}, "b": facts("b"), "c": facts("c", routes=("10.0.0.0/8",))}),
    (1045.0, {"a": A | {"tags": (), "name": "aa"}, "c": facts("c", home_derp=3)}),
    (1060.0, {"a": A | {"tags": (), "name": "aa", "key": "new"}, "c": facts("c", home_derp=3, online=False)}),
]  # fmt: skip


@dataclasses.dataclass
class Case:
    truth: TailnetTruth
    told: Answer

    def change(self, kind: Happening, **fields: Any) -> None:
        """The first occurrence of this kind."""
        place = next(at for at, (_, one) in enumerate(self.told.occurrences) if one.kind is kind)
        number, one = self.told.occurrences[place]
        self.told.occurrences[place] = number, msgspec.structs.replace(one, **fields)

    def drop(self, kind: Happening) -> None:
        self.told.occurrences[:] = [one for one in self.told.occurrences if one[1].kind is not kind]

    def add(self, **fields: Any) -> None:
        number = self.told.occurrences[-1][0] + 1
        self.told.occurrences.append((number, Occurrence(**fields)))

    def replace(self, **fields: Any) -> None:
        self.told = msgspec.structs.replace(self.told, **fields)

    def respan(self, name: str, spans: Callable[[list[Span]], list[Span]]) -> None:
        self.replace(
            nodes=[
                NodeLane(one.stable_id, one.name, spans(one.spans)) if one.stable_id == name else one
                for one in self.told.nodes
            ]
        )

    def rules(self) -> set[str]:
        return {one.rule for one in violations(self.truth, self.told, silence=SILENCE)}


@pytest.fixture
def case() -> Case:
    truth = past(STATES, [AWAY])
    truth.logged = [
        Logged(1002.0, "actor_exited", {"actor": "publisher", "pid": 7}),
        Logged(1002.5, "not_of_the_history", {}),
    ]
    told = faithful(truth, [AWAY])
    said = Occurrence(at=1002.0, kind=Happening.ACTOR_EXITED, subject="publisher", detail={"pid": 7})
    told.occurrences[:] = list(
        enumerate([told.occurrences[0][1], said, *(one for _, one in told.occurrences[1:])], 1)
    )
    return Case(truth, told)


def test_a_faithful_history_has_none_and_is_measured(case: Case) -> None:
    assert violations(case.truth, case.told, silence=SILENCE) == []
    counted = figures(case.truth, case.told)
    assert (counted.true, counted.demanded, counted.unseen) == (12, 12, 4)
    assert (counted.told, counted.of_daemon, counted.gaps, counted.gap_s) == (12, 1, 1, 10.0)


def test_what_did_not_last_need_not_be_told(case: Case) -> None:
    states = [*STATES, (1070.0, {}), (1070.0 + PROMPT / 2, STATES[-1][1])]
    case.truth.nodes = past(states).nodes
    assert case.rules() == set()
    assert figures(case.truth, case.told).demanded == 14, "that they are back"


def expires(case: Case, moment: float) -> Case:
    """From 1060.0 on the key of `a` expires then."""
    case.truth.is_now(1060.0, STATES[-1][1] | {"a": STATES[-1][1]["a"] | {KEY_EXPIRY: moment}})
    return case


def warned(case: Case, moment: float, at: float = 1061.0) -> Case:
    detail = {"expires": stamp(moment, "seconds"), "within_s": DAY}
    case.add(at=at, kind=Happening.NODE_KEY_EXPIRING, subject="a", name="aa", detail=detail)
    return case


def test_a_key_that_expires_again_unseen_is_not_told_again(case: Case) -> None:
    node, others = STATES[-1][1]["a"], STATES[-1][1]
    case.truth.expiries = [(1062.0, "a"), (1070.0, "a")]
    case.truth.is_now(1062.0, others | {"a": node | {KEY_EXPIRY: 1062.0}})
    case.truth.is_now(1069.0, others | {"a": node | {KEY_EXPIRY: 9e9}})
    case.truth.is_now(1070.0, others | {"a": node | {KEY_EXPIRY: 1070.0}})
    case.add(at=1062.1, kind=Happening.NODE_KEY_EXPIRED, subject="a", name="aa")
    assert case.rules() == set()
    case.truth.nodes["a"][KEY_EXPIRY].steps[-2] = (1065.0, 9e9)
    assert case.rules() == {"not told"}, "it was seen that it was renewed"


def stale_news(case: Case) -> None:
    """A change while the netmap was not fresh, told long afterwards as if it had just been seen."""
    case.truth.is_now(1066.0, STATES[-1][1] | {"a": STATES[-1][1]["a"] | {"tags": ("tag:q",)}})
    case.truth.hinder(1062.0, 1080.0, "stop")
    fresh = case.told.netmap[-1]
    case.told.netmap[-1:] = [Span(fresh.since, 1064.0, "fresh"), Span(1080.0, fresh.until, "fresh")]
    detail = {"tags": {"from": [], "to": ["tag:q"]}}
    case.add(at=1080.5, kind=Happening.NODE_TAGGED, subject="a", name="aa", detail=detail)


def test_that_a_key_expires_is_told_when_it_is_near(case: Case) -> None:
    expires(case, 1058.0 + DAY)
    assert case.rules() == {"not told"}
    warned(case, 1058.0 + DAY)
    assert case.rules() == set(), "of the week nothing is said any more"
    expires(case, 1040.0 + 8 * DAY)
    assert case.rules() == set()


def test_what_is_hindered_may_be_late(case: Case) -> None:
    changed = A | {"tags": ("tag:q",), "name": "aa", "key": "new"}
    case.truth.is_now(1070.0, STATES[-1][1] | {"a": changed})
    detail = {"tags": {"from": [], "to": ["tag:q"]}}
    case.add(at=1074.0, kind=Happening.NODE_TAGGED, subject="a", name="aa", detail=detail)
    assert case.rules() == {"not told", "never so"}
    case.truth.hinder(1069.0, 1073.0, "publisher")
    assert case.rules() == set()
    case.truth.hindered[-1] = case.truth.hindered[-1]._replace(until=1070.5)
    assert case.rules() == {"not told", "never so"}, "later than that it is not excused"


WRONG: dict[str, tuple[str, Callable[[Case], object]]] = {
    "a change is missing": ("not told", lambda case: case.drop(Happening.NODE_RENAMED)),
    "a newcomer is missing": ("not told", lambda case: case.drop(Happening.NODE_JOINED)),
    "who left in a gap is missing": ("not told", lambda case: case.drop(Happening.NODE_LEFT)),
    "a change is told late": (
        "not told",
        lambda case: case.change(Happening.NODE_KEY_CHANGED, at=1060.0 + PROMPT + 0.1),
    ),
    "a key expired and nobody said so": (
        "not told",
        lambda case: case.truth.expiries.append((1070.0, "a")),
    ),
    "a key expires in a day and nobody said so": ("not told", lambda case: expires(case, 1070.0 + DAY)),
    "a key expires in a week and nobody said so": ("not told", lambda case: expires(case, 1070.0 + 7 * DAY)),
    "a warning of another moment": (
        "never so",
        lambda case: warned(expires(case, 1060.5 + DAY), 1059.0 + DAY),
    ),
    "a warning before its time": ("never so", lambda case: warned(expires(case, 1090.0 + DAY), 1090.0 + DAY)),
    "the same warning twice": (
        "twice",
        lambda case: warned(
            warned(expires(case, 1058.0 + DAY), 1058.0 + DAY, at=1063.0), 1058.0 + DAY, at=1064.0
        ),
    ),
    "an invented change": (
        "never so",
        lambda case: case.add(
            at=1070.0, kind=Happening.NODE_OFFLINE, subject="a", name="aa", detail={"was": "online"}
        ),
    ),
    "a change before its time": ("never so", lambda case: case.change(Happening.NODE_TAGGED, at=1019.0)),
    "another value": (
        "never so",
        lambda case: case.change(
            Happening.NODE_TAGGED, detail={"tags": {"from": ["tag:a"], "to": ["tag:other"]}}
        ),
    ),
    "another name": ("never so", lambda case: case.change(Happening.NODE_TAGGED, name="nobody")),
    "a node that never was": (
        "never so",
        lambda case: case.add(at=1070.0, kind=Happening.NODE_JOINED, subject="z", detail={"state": "online"}),
    ),
    "a newcomer in another state": (
        "never so",
        lambda case: case.change(Happening.NODE_JOINED, detail={"state": "offline"}),
    ),
    "a key that did not expire": (
        "never so",
        lambda case: case.add(at=1070.0, kind=Happening.NODE_KEY_EXPIRED, subject="a", name="aa"),
    ),
    "unseen, but not said to be": ("concealed", lambda case: case.change(Happening.NODE_LEFT, after=None)),
    "older than a fresh netmap may be, and not said to be": ("concealed", stale_news),
    "the same again": (
        "twice",
        lambda case: case.add(**msgspec.structs.asdict(case.told.occurrences[-1][1])),
    ),
    "the same again, later": (
        "twice",
        lambda case: case.add(**msgspec.structs.asdict(case.told.occurrences[-1][1]) | {"at": 1061.0}),
    ),
    "from what was not told": (
        "twice",
        lambda case: case.change(Happening.NODE_RENAMED, detail={"name": {"from": "other", "to": "aa"}}),
    ),
    "leaves twice": (
        "twice",
        lambda case: case.add(at=1051.0, kind=Happening.NODE_LEFT, subject="b", name="b", after=1040.0),
    ),
    "fresh twice": ("twice", lambda case: case.add(at=1070.0, kind=Happening.NETMAP_FRESH)),
    "ids that do not grow": (
        "order",
        lambda case: case.told.occurrences.__setitem__(3, (2, case.told.occurrences[3][1])),
    ),
    "older than the one before": (
        "order",
        lambda case: case.add(at=1020.0, kind=Happening.NODE_TAGGED, subject="a", name="aa"),
    ),
    "online while it was not": (
        "false span",
        lambda case: case.respan("a", lambda spans: [Span(spans[0].since, spans[-1].until, "online")]),
    ),
    "offline while it was not": (
        "false span",
        lambda case: case.respan("b", lambda spans: [one._replace(state="offline") for one in spans]),
    ),
    "there after it has gone": (
        "false span",
        lambda case: case.respan("b", lambda spans: [*spans, Span(1055.0, 1060.0, "online")]),
    ),
    "a span of nobody": (
        "false span",
        lambda case: case.told.nodes.append(NodeLane("z", "z", [Span(1001.0, 1002.0, "online")])),
    ),
    "a node without a span": ("no span", lambda case: case.respan("c", lambda _: [])),
    "two states at a time": (
        "overlap",
        lambda case: case.respan("a", lambda spans: [spans[0], spans[0], *spans[1:]]),
    ),
    "two states of the netmap": (
        "overlap",
        lambda case: case.told.netmap.insert(1, case.told.netmap[0]),
    ),
    "fresh although nothing came": (
        "not fresh",
        lambda case: case.truth.heard.__delitem__(slice(10, 25)),
    ),
    "stale without a reason": (
        "not stale",
        lambda case: case.replace(netmap=[case.told.netmap[0]._replace(until=1030.0), *case.told.netmap[1:]]),
    ),
    "a gap without a reason": ("gap", lambda case: case.truth.hindered.clear()),
    "no such line in the log": (
        "not logged",
        lambda case: case.change(Happening.ACTOR_EXITED, detail={"pid": 8}),
    ),
    "a line of the log that is missing": ("not kept", lambda case: case.drop(Happening.ACTOR_EXITED)),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_history_that_is_wrong_is_refused(what: str, case: Case) -> None:
    rule, spoil = WRONG[what]
    spoil(case)
    assert rule in case.rules()


def test_every_rule_has_an_example() -> None:
    assert {rule for rule, _ in WRONG.values()} == set(RULES)


def test_lines_of_an_excused_time_may_be_missing(case: Case) -> None:
    case.drop(Happening.ACTOR_EXITED)
    excused = [Interval(1001.0, 1003.0)]
    assert violations(case.truth, case.told, silence=SILENCE, excused=excused) == []


# Any life

STATE = st.dictionaries(
    st.sampled_from("abc"),
    st.fixed_dictionaries(
        {
            "name": st.sampled_from(["one", "two", "three"]),
            "online": st.booleans(),
            "tags": st.sampled_from([(), ("tag:a",), ("tag:a", "tag:b")]),
            "home_derp": st.integers(1, 3),
        }
    ).map(lambda changed: facts("") | changed),
    max_size=3,
)


@st.composite
def lives(draw: st.DrawFn) -> tuple[TailnetTruth, Answer]:
    moments = draw(
        st.lists(st.integers(10 * (int(BEGIN) + 1), 10 * (int(END) - 4)), unique=True, max_size=20)
    )
    states = [(900.0, draw(STATE)), *((moment / 10, draw(STATE)) for moment in sorted(moments))]
    begins = draw(st.lists(st.sampled_from([1010.0, 1030.0, 1050.0, 1070.0]), unique=True, max_size=3))
    away = [Interval(begin, begin + draw(st.sampled_from([0.5, 3.0, 15.0]))) for begin in sorted(begins)]
    truth = past(states, away)
    return truth, faithful(truth, away, late=draw(st.sampled_from([0.0, 0.3, PROMPT - 0.5])))


@given(lives())
def test_a_faithful_history_of_any_life_has_none(life: tuple[TailnetTruth, Answer]) -> None:
    assert violations(*life, silence=SILENCE) == []


@given(lives())
def test_a_lasting_change_that_is_left_out_is_missed(life: tuple[TailnetTruth, Answer]) -> None:
    truth, told = life
    joined = {one.subject for _, one in told.occurrences if one.kind is Happening.NODE_JOINED}
    for place, (_, one) in enumerate(told.occurrences):
        # It is told up to PROMPT late, of what lasted as long: what did not may be left out.
        near = Interval(one.at - 2 * PROMPT, one.at + 3 * PROMPT)
        changes = {at for course in truth.nodes.get(one.subject, {}).values() for at, _ in course.steps}
        if (
            one.kind
            in {Happening.NODE_LEFT, Happening.NODE_JOINED, Happening.NODE_ONLINE, Happening.NODE_TAGGED}
            and near.until < END
            and len([at for at in changes if near.since <= at <= near.until]) == 1
            and not any(gap.since < near.until and gap.until > near.since for gap in told.gaps)
            # With what tags it joined is not told, and cannot be known where they had just been others.
            and (one.kind is not Happening.NODE_TAGGED or one.subject not in joined)
        ):
            del told.occurrences[place]
            assert violations(truth, told, silence=SILENCE) != []
            return
