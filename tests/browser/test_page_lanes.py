"""Lanes of a history, and one that goes on: modules that decide, in the browser that runs them."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.browser.history_answers import WINDOW, answer, at, occurred, page_modules, span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

    from tests.support.browser.history_answers import Evaluate

KINDS = (
    "run_started", "stopping", "gap", "clock_stepped", "netmap_fresh", "netmap_stale", "login_needed",
    "a_kind_of_tomorrow", "map_session_started", "session_ended", "silence_detected", "wake_detected", "degraded",
    "actor_started", "actor_exited", "node_joined", "node_left", "node_online", "node_offline", "node_renamed",
)  # fmt: skip


@pytest.fixture(scope="module")
def evaluate(chromium: Browser) -> Iterator[Evaluate]:
    with page_modules(chromium) as found:
        yield found


LANES = """
const model = models.parsed(given.answer);
const {lanes, more} = laneModule.lanesOf(model, given.window, {most: 2, ...given.options});
return {more, lanes: lanes.map(({id, segments, marks}) => ({
  id, marks: marks.map((one) => one.occurrence.id),
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


def test_a_silence_found_at_a_wake_is_only_as_long_as_somebody_listened(evaluate: Evaluate) -> None:
    told = answer(
        0,
        900,
        netmap=[span(0, 900, "fresh")],
        connection=[span(0, 700, "session", generation=1), span(701, 900, "session", generation=2)],
        occurrences=[
            occurred(1, 699, "wake_detected", slept_s=400),
            occurred(2, 700, "silence_detected", silent_for=420),
        ],
    )
    assert lanes(evaluate, told)["connection"]["segments"] == [
        [100, 280, "session"], [280, 299, "silence"], [299, 699, "asleep"], [699, 700, "silence"], [700, 701, "down"],
        [701, 900, "session"],
    ]  # fmt: skip
    script = """const model = models.parsed(given.answer);
      return summing.summary(model, given.window, 900000).parts.map(({text}) => text);"""
    parts = evaluate(script, {"answer": told, "window": WINDOW})
    assert [one for one in parts if "silence" in one or "slept" in one] == [
        "1 silence of 20 s",
        "slept 6 min 40 s",
    ]


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
const model = models.parsed(given.answer);
const {lanes} = laneModule.lanesOf(model, given.window, {most: 2});
const wrong = [];
for (const lane of lanes) {
  let at = given.window.since;
  for (const one of lane.segments) {
    if (one.since !== at || one.until <= one.since) wrong.push(`${lane.id}: ${at} ${one.since} ${one.until}`);
    at = one.until;
  }
  if (at !== given.window.until) wrong.push(`${lane.id} ends at ${at}`);
  let x = 0;
  for (const bar of laneModule.visible(lane.segments, given.window, 300)) {
    if (Math.abs(bar.x - x) > 1e-6) wrong.push(`${lane.id}: drawn from ${bar.x}, not ${x}`);
    x = bar.x + bar.width;
  }
  if (Math.abs(x - 300) > 1e-6) wrong.push(`${lane.id}: drawn to ${x}`);
  const drawn = laneModule.clustered(lane.marks, given.window, 300).flatMap((one) => one.marks);
  if (drawn.length !== lane.marks.length) wrong.push(`${lane.id}: a mark is not drawn`);
}
const marked = lanes.flatMap((lane) => lane.marks.map((one) => one.occurrence.id)).sort((a, b) => a - b);
const within = model.occurrences.filter((one) => one.at >= given.window.since && one.at < given.window.until)
  .map((one) => one.id).sort((a, b) => a - b);
if (String(marked) !== String(within)) wrong.push(`marked ${marked}, not ${within}`);
summing.summary(model, given.window, given.window.until);
return wrong;
"""


@settings(
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(told=histories(), since=st.integers(0, 900), length=st.integers(1, 1200))
def test_lanes_cover_the_window_without_overlap_and_tell_every_occurrence_once(
    evaluate: Evaluate, told: dict[str, Any], since: int, length: int
) -> None:
    window = {"since": since * 1000, "until": (since + length) * 1000}
    assert evaluate(COVERS, {"answer": told, "window": window}) == []


MERGED = """
const together = models.merged(models.parsed(given.first), models.parsed(given.later));
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
    assert [one["id"] for one in found["occurrences"]] == [1, 2, 3]


def test_what_happened_alone_leaves_the_lanes_as_they_are(evaluate: Evaluate) -> None:
    first = answer(
        0,
        500,
        netmap=[span(0, 500, "fresh")],
        nodes=[{"stable_id": "n1", "name": "a", "spans": [span(0, 500, "online")]}],
        occurrences=[occurred(1, 480, "node_renamed", "n1")],
    )
    later = answer(
        470,
        700,
        occurrences=[occurred(1, 480, "node_renamed", "n1"), occurred(2, 600, "silence_detected")],
    )
    found = evaluate(MERGED.replace("merged(", "withOccurrences("), {"first": first, "later": later})
    assert [(one["since"], one["until"]) for one in found["netmap"]] == [(0, 500_000)]
    assert [(one["since"], one["until"]) for one in found["nodes"]["n1"]["spans"]] == [(0, 500_000)]
    assert [one["id"] for one in found["occurrences"]] == [1, 2]
    assert (found["since"], found["until"]) == (0, 500_000)


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
        const kept = models.trimmed(models.parsed(given), 100_000, 50, 20);
        return {spans: [...kept.nodes.values()].reduce((sum, node) => sum + node.spans.length, 0),
          nodes: [...kept.nodes.keys()], count: kept.occurrences.length, since: kept.since,
          marks: kept.occurrencesSince};
        """,
        told,
    )
    assert found["spans"] <= 20
    assert found["nodes"] == ["n1"]
    assert found["count"] == 50
    assert found["since"] >= 100_000
    assert found["marks"] == 750_000
