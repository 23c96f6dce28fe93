"""What the page makes of a history: modules that decide, in the browser that runs them."""

from __future__ import annotations

import datetime
import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import netmap_actors.http_endpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, Route

    Evaluate = Callable[..., Any]

FOLDER = Path(netmap_actors.http_endpoint.__file__).parent / "page"
ORIGIN = "http://page.example"
WINDOW = {"since": 100_000, "until": 900_000}
KINDS = (
    "run_started", "stopping", "gap", "netmap_fresh", "netmap_stale", "login_needed", "map_session_started",
    "session_ended", "silence_detected", "wake_detected", "degraded", "actor_started", "actor_exited", "node_joined",
    "node_left", "node_online", "node_offline", "node_renamed", "a_kind_of_tomorrow",
)  # fmt: skip
IMPORTS = """
const [remembered, spans, summing, happenings, lived, windows, axis, telling, actors] = await Promise.all(
  ["remembered", "spans", "summary", "happenings", "lived", "window", "axis", "telling", "actors"].map(
    (name) => import(`/page/past/${name}.js`)));
"""


@pytest.fixture(scope="module")
def evaluate(chromium: Browser) -> Iterator[Evaluate]:
    """`evaluate(body, given)`: what the body of a function of `given` returns, with the page's modules at hand."""

    def answer(route: Route) -> None:
        path = route.request.url.removeprefix(f"{ORIGIN}/page/")
        if path == f"{ORIGIN}/":
            route.fulfill(body="<!doctype html><title>modules</title>", content_type="text/html")
        else:
            route.fulfill(body=(FOLDER / path).read_text(), content_type="text/javascript")

    context = chromium.new_context(timezone_id="Europe/Berlin")
    page = context.new_page()
    page.route(f"{ORIGIN}/**", answer)
    page.goto(f"{ORIGIN}/")
    yield lambda body, given=None: page.evaluate(f"async (given) => {{{IMPORTS}{body}}}", given)
    context.close()


def at(second: float) -> str:
    return datetime.datetime.fromtimestamp(second, datetime.UTC).isoformat().replace("+00:00", "Z")


def span(since: float, until: float, state: str, **detail: Any) -> dict[str, Any]:
    return {"since": at(since), "until": at(until), "state": state, "detail": detail}


def occurred(number: int, second: float, kind: str, subject: str = "", **detail: Any) -> dict[str, Any]:
    name = f"{subject}.tail.example" if kind.startswith("node_") else ""
    return {
        "id": number, "at": at(second), "after": None, "kind": kind, "subject": subject, "name": name, "detail": detail,
    }  # fmt: skip


def answer(since: float, until: float, **parts: Any) -> dict[str, Any]:
    """An answer of /history, in which nothing happened but what `parts` say."""
    happened = parts.get("occurrences", [])
    return {
        "tailnet": "default", "since": at(since), "until": at(until), "gaps": [], "netmap": [], "connection": [],
        "nodes": [], "occurrences": [], "more": False, "file": "a", "oldest_id": 1,
        "newest_id": max([one["id"] for one in happened], default=0), **parts,
    }  # fmt: skip


LANES = """
const memory = remembered.parsed(given.answer);
const {lanes, more} = spans.lanesOf(memory, given.window, {most: 2, ...given.options});
return {more, lanes: lanes.map(({id, segments, marks}) => ({
  id, marks: marks.map((one) => one.happening.id),
  segments: segments.map(({since, until, state}) => [since / 1000, until / 1000, state])}))};
"""


def lanes(evaluate: Evaluate, told: dict[str, Any], **options: Any) -> dict[str, Any]:
    found = evaluate(LANES, {"answer": told, "window": WINDOW, "options": options})
    return {one["id"]: one for one in found["lanes"]} | {"more": found["more"]}


def test_a_gap_is_drawn_as_unrecorded_in_every_lane(evaluate: Evaluate) -> None:
    found = lanes(
        evaluate,
        answer(
            0,
            900,
            gaps=[{"since": at(400), "until": at(500)}],
            netmap=[span(0, 400, "fresh"), span(500, 900, "fresh")],
            connection=[
                span(0, 400, "session", generation=1),
                span(500, 900, "session", generation=1),
            ],
            nodes=[
                {"stable_id": "n1", "name": "a", "spans": [span(0, 400, "online"), span(500, 900, "offline")]}
            ],
            occurrences=[
                occurred(7, 450, "node_offline", "n1"),
                occurred(8, 600, "actor_exited", "publisher"),
            ],
        ),
    )
    assert found["netmap"]["segments"] == [[100, 400, "fresh"], [400, 500, "unrecorded"], [500, 900, "fresh"]]
    for lane in ("connection", "node:n1", "actor:publisher"):
        assert [400, 500, "unrecorded"] in found[lane]["segments"]


def test_a_silence_and_a_sleep_show_in_the_connection(evaluate: Evaluate) -> None:
    found = lanes(
        evaluate,
        answer(
            0,
            900,
            netmap=[span(0, 900, "fresh")],
            connection=[span(0, 500, "session", generation=1), span(510, 900, "session", generation=2)],
            occurrences=[
                occurred(1, 500, "silence_detected", silent_for=120),
                occurred(2, 505, "actor_exited", "control_connection", reason="silence"),
                occurred(3, 800, "wake_detected", slept_s=60),
            ],
        ),
    )
    assert found["connection"]["segments"] == [
        [100, 380, "session"], [380, 500, "silence"], [500, 510, "down"], [510, 740, "session"], [740, 800, "asleep"],
        [800, 900, "session"],
    ]  # fmt: skip
    assert found["connection"]["marks"] == [1, 2, 3]


def test_a_node_is_not_seen_while_the_netmap_is_stale_and_absent_before_it_joined(evaluate: Evaluate) -> None:
    found = lanes(
        evaluate,
        answer(
            0,
            900,
            netmap=[span(0, 500, "fresh"), span(500, 600, "stale"), span(600, 900, "fresh")],
            nodes=[
                {
                    "stable_id": "n1",
                    "name": "a",
                    "spans": [span(300, 500, "online"), span(600, 700, "online")],
                }
            ],
            occurrences=[occurred(1, 300, "node_joined", "n1"), occurred(2, 700, "node_left", "n1")],
        ),
    )
    assert found["node:n1"]["segments"] == [
        [100, 300, "absent"], [300, 500, "online"], [500, 600, "stale"], [600, 700, "online"], [700, 900, "absent"],
    ]  # fmt: skip


def test_what_was_not_asked_for_is_not_quiet(evaluate: Evaluate) -> None:
    found = lanes(evaluate, answer(200, 800, netmap=[span(200, 800, "fresh")]))
    assert found["netmap"]["segments"] == [[100, 200, "unloaded"], [200, 800, "fresh"], [800, 900, "unheard"]]


def test_a_short_gap_at_the_end_is_only_the_history_on_its_way(evaluate: Evaluate) -> None:
    late = {"netmap": [span(0, 890, "fresh")], "gaps": [{"since": at(890), "until": at(900)}]}
    long = {"netmap": [span(0, 700, "fresh")], "gaps": [{"since": at(700), "until": at(900)}]}
    assert lanes(evaluate, answer(0, 900, **late))["netmap"]["segments"][-1] == [890, 900, "unheard"]
    assert lanes(evaluate, answer(0, 900, **long))["netmap"]["segments"][-1] == [700, 900, "unrecorded"]


def test_nodes_that_are_gone_come_first_and_the_rest_is_counted_and_marked(evaluate: Evaluate) -> None:
    told = answer(
        0,
        900,
        netmap=[span(0, 900, "fresh")],
        nodes=[{"stable_id": "quiet", "name": "quiet", "spans": [span(0, 900, "online")]}],
        occurrences=[
            occurred(1, 200, "node_offline", "gone"),
            occurred(2, 300, "node_offline", "back"),
            occurred(3, 400, "node_online", "back"),
            occurred(4, 500, "node_tagged", "other"),
        ],
    )
    found = lanes(evaluate, told)
    assert [name for name in found if name.startswith("node")] == ["node:gone", "node:other", "nodes"]
    assert found["more"] == 1
    assert found["nodes"]["marks"] == [2, 3]
    assert "node:quiet" in lanes(evaluate, told, wanted="QUI")


def test_a_process_has_a_lane_when_it_ended(evaluate: Evaluate) -> None:
    found = lanes(
        evaluate,
        answer(
            0,
            900,
            occurrences=[
                occurred(1, 150, "actor_started", "liveness", generation=1),
                occurred(2, 300, "actor_exited", "publisher"),
                occurred(3, 310, "actor_started", "publisher", generation=2),
            ],
        ),
    )
    assert found["actor:publisher"]["segments"] == [
        [100, 300, "active"],
        [300, 310, "down"],
        [310, 900, "active"],
    ]
    assert found["actors"]["marks"] == [1]


@st.composite
def histories(draw: st.DrawFn) -> dict[str, Any]:
    def spans(*states: str) -> list[dict[str, Any]]:
        moments = sorted(draw(st.sets(st.integers(0, 1000), max_size=8)))
        return [
            span(since, until, draw(st.sampled_from(states)))
            for since, until in itertools.pairwise(moments)
            if draw(st.booleans())
        ]

    occurrences = [
        occurred(
            number,
            draw(st.integers(0, 1000)),
            draw(st.sampled_from(KINDS)),
            draw(st.sampled_from(["n1", "n2", "n3", "publisher", "control_connection", ""])),
            silent_for=draw(st.integers(0, 200)),
            slept_s=draw(st.integers(0, 200)),
        )
        for number in range(draw(st.integers(0, 12)))
    ]
    return answer(
        draw(st.integers(0, 300)),
        draw(st.integers(301, 1000)),
        gaps=[{key: one[key] for key in ("since", "until")} for one in spans("gap")],
        netmap=spans("fresh", "stale", "none"),
        connection=spans("session", "attempt"),
        nodes=[
            {"stable_id": name, "name": name, "spans": spans("online", "offline", "unknown")}
            for name in draw(st.sets(st.sampled_from(["n1", "n2", "n3"])))
        ],
        occurrences=occurrences,
    )


COVERS = """
const memory = remembered.parsed(given.answer);
const {lanes} = spans.lanesOf(memory, given.window, {most: 2});
const wrong = [];
for (const lane of lanes) {
  let at = given.window.since;
  for (const one of lane.segments) {
    if (one.since !== at || one.until <= one.since) wrong.push(`${lane.id}: ${at} ${one.since} ${one.until}`);
    at = one.until;
  }
  if (at !== given.window.until) wrong.push(`${lane.id} ends at ${at}`);
  let x = 0;
  for (const bar of spans.visible(lane.segments, given.window, 300)) {
    if (Math.abs(bar.x - x) > 1e-6) wrong.push(`${lane.id}: drawn from ${bar.x}, not ${x}`);
    x = bar.x + bar.width;
  }
  if (Math.abs(x - 300) > 1e-6) wrong.push(`${lane.id}: drawn to ${x}`);
  const drawn = spans.clustered(lane.marks, given.window, 300).flatMap((one) => one.marks);
  if (drawn.length !== lane.marks.length) wrong.push(`${lane.id}: a mark is not drawn`);
}
const marked = lanes.flatMap((lane) => lane.marks.map((one) => one.happening.id)).sort((a, b) => a - b);
const within = memory.happenings.filter((one) => one.at >= given.window.since && one.at < given.window.until)
  .map((one) => one.id).sort((a, b) => a - b);
if (String(marked) !== String(within)) wrong.push(`marked ${marked}, not ${within}`);
summing.summary(memory, given.window, given.window.until);
return wrong;
"""


@settings(
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(told=histories(), since=st.integers(0, 900), length=st.integers(1, 1200))
def test_lanes_cover_the_window_without_overlap_and_tell_every_happening_once(
    evaluate: Evaluate, told: dict[str, Any], since: int, length: int
) -> None:
    window = {"since": since * 1000, "until": (since + length) * 1000}
    assert evaluate(COVERS, {"answer": told, "window": window}) == []


MERGED = """
const together = remembered.merged(remembered.parsed(given.first), remembered.parsed(given.later));
if (together === null) return null;
return {...together, nodes: Object.fromEntries(together.nodes)};
"""


def test_a_later_answer_goes_on_where_the_first_ended(evaluate: Evaluate) -> None:
    first = answer(
        0,
        500,
        netmap=[span(0, 500, "fresh")],
        nodes=[{"stable_id": "n1", "name": "a", "spans": [span(0, 500, "online")]}],
        connection=[span(0, 500, "session", generation=1, session=1)],
        occurrences=[occurred(1, 100, "node_online", "n1"), occurred(2, 480, "node_renamed", "n1")],
    )
    later = answer(
        470,
        700,
        netmap=[span(470, 600, "fresh"), span(600, 700, "stale", reason="silence")],
        nodes=[{"stable_id": "n1", "name": "b", "spans": [span(470, 600, "online")]}],
        connection=[span(470, 600, "session", generation=1, session=1, ended={"reason": "silence"})],
        occurrences=[occurred(2, 480, "node_renamed", "n1"), occurred(3, 600, "silence_detected")],
    )
    found = evaluate(MERGED, {"first": first, "later": later})
    assert [(one["since"], one["until"], one["state"]) for one in found["netmap"]] == [
        (0, 600_000, "fresh"),
        (600_000, 700_000, "stale"),
    ]
    assert [(one["since"], one["until"]) for one in found["connection"]] == [(0, 600_000)]
    assert found["connection"][0]["detail"]["ended"] == {"reason": "silence"}
    assert found["nodes"]["n1"]["name"] == "b"
    assert [one["id"] for one in found["happenings"]] == [1, 2, 3]


@pytest.mark.parametrize(
    "later",
    [
        answer(470, 700, file="b"),
        answer(600, 700, occurrences=[occurred(9, 650, "gap")]),
        answer(470, 700),
    ],
    ids=["another file", "does not meet the first", "a crash took back what was written"],
)
def test_what_is_no_continuation_is_asked_for_anew(evaluate: Evaluate, later: dict[str, Any]) -> None:
    first = answer(0, 500, occurrences=[occurred(5, 100, "gap")])
    assert evaluate(MERGED, {"first": first, "later": later}) is None


def test_what_is_kept_is_bounded(evaluate: Evaluate) -> None:
    told = answer(
        0,
        900,
        nodes=[
            {
                "stable_id": "n1",
                "name": "a",
                "spans": [span(at, at + 10, "online") for at in range(0, 900, 10)],
            },
            {"stable_id": "n2", "name": "b", "spans": [span(0, 90, "online")]},
        ],
        occurrences=[occurred(number, number, "node_online", "n1") for number in range(1, 800)],
    )
    found = evaluate(
        """
        const kept = remembered.trimmed(remembered.parsed(given), 100_000, 50, 20);
        return {spans: [...kept.nodes.values()].reduce((sum, node) => sum + node.spans.length, 0),
          nodes: [...kept.nodes.keys()], count: kept.happenings.length, since: kept.since, marks: kept.happeningsSince};
        """,
        told,
    )
    assert found["spans"] <= 20
    assert found["nodes"] == ["n1"]
    assert found["count"] == 50
    assert found["since"] >= 100_000
    assert found["marks"] == 750_000


def test_bars_too_short_to_see_become_one_that_tells_the_worst(evaluate: Evaluate) -> None:
    found = evaluate(
        """
        const segments = [
          {since: 0, until: 1000, state: "session"}, {since: 1000, until: 1001, state: "silence"},
          {since: 1001, until: 1002, state: "down"}, {since: 1002, until: 1003, state: "session"},
          {since: 1003, until: 2000, state: "session"}];
        return spans.visible(segments, {since: 0, until: 2000}, 200).map((one) => [one.state, one.count]);
        """
    )
    assert found == [["session", 1], ["silence", 3], ["session", 1]]


def test_the_summary_answers_the_questions_of_the_morning(evaluate: Evaluate) -> None:
    told = answer(
        0,
        900,
        gaps=[{"since": at(150), "until": at(300)}],
        netmap=[span(0, 150, "fresh"), span(300, 600, "stale", reason="silence"), span(600, 900, "fresh")],
        connection=[span(0, 150, "session", generation=1), span(600, 900, "session", generation=2)],
        occurrences=[
            occurred(2, 430, "silence_detected", silent_for=130),
            occurred(3, 440, "actor_started", "publisher", generation=2),
            occurred(4, 500, "wake_detected", slept_s=2460),
            occurred(5, 700, "node_left", "n1"),
            occurred(6, 710, "node_left", "n2"),
            occurred(7, 720, "node_joined", "n2"),
            occurred(8, 730, "node_offline", "n3"),
        ],
    )
    found = evaluate(
        """
        const {trust, parts} = summing.summary(remembered.parsed(given.answer), given.window, given.window.until);
        return [trust, ...parts.map((one) => [one.text, ...one.nodes.map((node) => node.name)].join(" "))];
        """,
        {"answer": told, "window": WINDOW},
    )
    assert found == [
        "fresh since 01:10:00",
        "nothing recorded for 2 min 30 s",
        "2 sessions",
        "1 silence of 2 min 10 s",
        "slept 41 min",
        "stale for 5 min",
        "publisher restarted once",
        "1 node left n1",
        "1 node went offline n3",
        "1 node joined n2",
    ]


def test_before_the_first_word_of_a_history_nothing_was_missed(evaluate: Evaluate) -> None:
    told = answer(
        0,
        900,
        gaps=[{"since": at(0), "until": at(601)}],
        netmap=[span(601, 900, "fresh")],
        # Ids are in the order of writing: what was told late has a greater one.
        occurrences=[occurred(1, 601, "netmap_fresh"), occurred(2, 600, "run_started")],
    )
    found = evaluate(
        "return summing.summary(remembered.parsed(given.answer), given.window, 0).parts.map((one) => one.text);",
        {"answer": told, "window": WINDOW},
    )
    assert found[0].startswith("recorded since ")
    assert found[1:] == ["0 sessions"]


def test_processes_that_start_together_are_one_line(evaluate: Evaluate) -> None:
    names = ("publisher", "liveness", "history")
    starts = [occurred(number, 500 + number, "actor_started", name) for number, name in enumerate(names)]
    told = answer(0, 900, occurrences=[*starts, occurred(9, 800, "actor_started", "publisher", pid=7)])
    found = evaluate(
        """
        const lines = happenings.condensed(remembered.parsed(given).happenings, 50);
        return lines.map((line) => happenings.lineSentence(line, 900_000));
        """,
        told,
    )
    assert found == ["actor started publisher, pid 7", "3 processes started: publisher, liveness, history"]


def test_a_flood_of_changes_is_one_line(evaluate: Evaluate) -> None:
    flood = [
        occurred(number, 500.01 * 1, "node_online" if number % 3 else "node_offline", f"n{number}")
        for number in range(1, 49)
    ]
    told = answer(
        0, 900, occurrences=[*flood, occurred(60, 600, "node_left", "gone"), occurred(61, 601, "gap")]
    )
    found = evaluate(
        """
        const lines = happenings.condensed(remembered.parsed(given).happenings, 50);
        return lines.map((line) => [line.tone, happenings.lineSentence(line, 900_000)]);
        """,
        told,
    )
    assert found == [
        ["bad", "gap"],
        ["gone", "gone left"],
        ["come", "48 nodes changed in 1 s: online 32, offline 16"],
    ]


@pytest.mark.parametrize(
    ("one", "sentence"),
    [
        (occurred(1, 0, "actor_exited", "publisher", pid=7, generation=2, reason="", detail="signal 9"),
         "actor exited publisher, pid 7, signal 9"),
        (occurred(1, 0, "node_tagged", "n1", tags={"from": [], "to": ["tag:web", "tag:ci"]}),
         "n1 tagged, tags () → (tag:web tag:ci)"),
        (occurred(1, 0, "node_renamed", "n1", name={"from": "a.tail.example", "to": "<b>\u202e.tail.example"}),
         "n1 renamed, name a → <b>\\u202e"),
        (occurred(1, 0, "gap") | {"after": at(60)}, "gap, nothing was seen since 01:01:00"),
        (occurred(1, 0, "node_offline", "n1") | {"after": at(0)}, "n1 offline, at some time before"),
        (occurred(1, 0, "node_key_changed", "n1", key={"from": "nodekey:" + "a" * 64, "to": ""}),
         "n1 key changed, key nodekey:aaaaaaaa… → -"),
    ],
)  # fmt: skip
def test_a_happening_is_told_as_history_tells_it(
    evaluate: Evaluate, one: dict[str, Any], sentence: str
) -> None:
    told = answer(0, 900, occurrences=[one])
    body = "return happenings.sentence(remembered.parsed(given).happenings[0], 900_000);"
    assert evaluate(body, told) == sentence


PEER = {"stable_id": "n1", "name": "a.tail.example", "online": True, "tags": ["tag:web"]}


@pytest.mark.parametrize(
    ("event", "kinds"),
    [
        ({"type": "peer_upserted", "state": "fresh", "peer": PEER, "changed": []}, ["node_joined"]),
        (
            {"type": "peer_upserted", "peer": PEER, "changed": ["online"], "previous": {"online": False}},
            ["node_online"],
        ),
        ({"type": "peer_upserted", "peer": PEER | {"online": None}, "previous": {"online": False}}, []),
        ({"type": "peer_upserted", "peer": PEER, "previous": {"tags": [], "endpoints": []}}, ["node_tagged"]),
        ({"type": "peer_removed", "stable_id": "n1", "name": "a.tail.example"}, ["node_left"]),
        ({"type": "state_changed", "state": "stale", "reason": "silence"}, ["netmap_stale"]),
        ({"type": "dns_changed", "state": "fresh"}, []),
    ],
)
def test_an_event_is_told_before_the_history_has_it(
    evaluate: Evaluate, event: dict[str, Any], kinds: list[str]
) -> None:
    body = 'return lived.happeningsOf({epoch: 1, seq: 2, ...given}, 5, "fresh").map((one) => one.kind);'
    assert evaluate(body, event) == kinds


def test_without_a_history_what_came_since_the_page_was_opened_is_kept(evaluate: Evaluate) -> None:
    found = evaluate(
        """
        const kept = lived.createLived(0);
        kept.told({type: "snapshot", state: "fresh", netmap: {peers: [given, {...given, stable_id: "n2"}]}}, 1000);
        kept.told({type: "peer_upserted", state: "fresh", epoch: 1, seq: 2, peer: {...given, online: false},
          previous: {online: true}}, 2000);
        kept.told({type: "state_changed", state: "stale", epoch: 1, seq: 3, reason: "silence"}, 3000);
        kept.told({type: "peer_removed", state: "stale", epoch: 1, seq: 4, stable_id: "n2", name: "b"}, 4000);
        const memory = kept.memory(5000, 0);
        const told = (list) => list.map((one) => [one.since, one.until, one.state]);
        const of = (id) => told(memory.nodes.get(id).spans);
        const {lanes} = spans.lanesOf(memory, {since: 0, until: 5000}, {most: 9});
        return {lanes: lanes.map((lane) => lane.id), netmap: told(memory.netmap), n1: of("n1"), n2: of("n2"),
          later: [...kept.memory(9000, 4500).nodes.keys()]};
        """,
        PEER,
    )
    assert found == {
        "lanes": ["netmap", "node:n2", "node:n1"],
        "netmap": [[1000, 3000, "fresh"], [3000, 5000, "stale"]],
        "n1": [[1000, 2000, "online"], [2000, 5000, "offline"]],
        "n2": [[1000, 4000, "online"]],
        "later": ["n1"],
    }


def test_the_window_moves_and_zooms_within_what_is_kept(evaluate: Evaluate) -> None:
    found = evaluate(
        """
        const live = {length: 100_000, until: null};
        const {panned, zoomed, windowOf} = windows;
        return [
          panned(live, 1e6, -50_000, 5e5), panned(panned(live, 1e6, -50_000, 5e5), 1e6, 60_000, 5e5),
          panned(live, 1e6, -9e5, 5e5), zoomed(live, 1e6, 2, null, 5e5), zoomed(live, 1e6, 9, null, 5e5),
          windowOf(zoomed({length: 200_000, until: 8e5}, 1e6, 0.5, 7e5, 5e5), 1e6)];
        """
    )
    assert found == [
        {"length": 100_000, "until": 950_000},
        {"length": 100_000, "until": None},
        {"length": 100_000, "until": 600_000},
        {"length": 200_000, "until": None},
        {"length": 500_000, "until": None},
        {"since": 650_000, "until": 750_000},
    ]


@pytest.mark.parametrize(
    ("day", "length", "labels"),
    [
        ("2026-11-29T21:00:00Z", 8, ["22:00", "Mon, 30 Nov", "02:00", "03:00", "04:00", "05:00"]),
        # Clocks go back at three: the hour that comes twice has one tick. And forward at two.
        ("2026-10-24T22:30:00Z", 8, ["01:00", "02:00", "03:00", "04:00", "05:00", "06:00", "07:00"]),
        ("2026-03-28T23:30:00Z", 6, ["01:00", "03:00", "04:00", "05:00", "06:00", "07:00"]),
    ],
)
def test_the_axis_has_round_local_times(evaluate: Evaluate, day: str, length: int, labels: list[str]) -> None:
    found = evaluate(
        """
        const since = Date.parse(given.day);
        return axis.ticks({since, until: since + given.length * 3_600_000}, 800, 80).map((one) => [one.text, one.x]);
        """,
        {"day": day, "length": length},
    )
    places = [x for _, x in found]
    assert places == sorted(set(places))
    assert [text.replace("Nov 30", "30 Nov") for text, _ in found if text][: len(labels)] == labels


def test_a_restart_is_said_aloud_and_a_process_that_is_down_shows(evaluate: Evaluate) -> None:
    actor = {
        "name": "publisher", "pid": 7, "state": "active", "generation": 1, "restarts": 0, "last_exit": None,
        "uptime_s": 5.0, "rss_bytes": 1 << 20, "system_calls": "counted", "refused_calls": {"bpf": 2},
        "confinement": {"landlock": 7, "capabilities": 0},
    }  # fmt: skip
    down = actor | {
        "pid": None, "state": "backoff", "last_exit": "signal 9", "uptime_s": None, "rss_bytes": None,
    }  # fmt: skip
    back = actor | {"pid": 9, "generation": 2, "restarts": 1, "last_exit": "signal 9"}
    found = evaluate(
        """
        const words = await import("/page/words.js");
        const rows = actors.actorRows({actors: given.slice(0, 2), nursery: null}, words);
        return [actors.changesOf([given[0]], [given[1]]), actors.changesOf([given[1]], [given[2]]),
          rows.map(({state, tone, memory, up}) => [state, tone, memory, up]), rows[0].more];
        """,
        [actor, down, back],
    )
    assert found == [
        ["publisher is backoff"],
        ["publisher was restarted after it ended: signal 9"],
        [["● active", "", "1.0 MiB", "5 s"], ["○ backoff", "bad", "", ""]],
        "generation 1, pid 7 · confined by Landlock, seccomp, counting, no capabilities, 2 system calls refused: bpf",
    ]
