"""A history in words, and what of it is on the screen: modules that decide, in the browser that runs them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.browser.history_answers import WINDOW, answer, at, occurred, page_modules, span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

    from tests.support.browser.history_answers import Evaluate


@pytest.fixture(scope="module")
def evaluate(chromium: Browser) -> Iterator[Evaluate]:
    with page_modules(chromium) as found:
        yield found


def test_bars_too_short_to_see_become_one_that_tells_the_worst(evaluate: Evaluate) -> None:
    found = evaluate(
        """
        const segments = [
          {since: 0, until: 1000, state: "session"}, {since: 1000, until: 1001, state: "silence"},
          {since: 1001, until: 1002, state: "down"}, {since: 1002, until: 1003, state: "session"},
          {since: 1003, until: 2000, state: "session"}];
        return laneModule.visible(segments, {since: 0, until: 2000}, 200).map((one) => [one.state, one.count]);
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
            occurred(4, 500, "wake_detected", slept_s=41),
            occurred(5, 700, "node_left", "n1"),
            occurred(6, 710, "node_left", "n2"),
            occurred(7, 720, "node_joined", "n2"),
            occurred(8, 730, "node_offline", "n3"),
            occurred(9, 740, "node_key_expiring", "n4"),
            occurred(10, 750, "node_key_expired", "n4"),
            occurred(11, 760, "node_key_expiring", "n5"),
        ],
    )
    found = evaluate(
        """
        const {trust, parts} = summing.summary(models.parsed(given.answer), given.window, given.window.until);
        return [trust, ...parts.map((one) => [one.text, ...one.nodes.map((node) => node.name)].join(" "))];
        """,
        {"answer": told, "window": WINDOW},
    )
    assert found == [
        "fresh since 01:10:00",
        "nothing recorded for 2 min 30 s",
        "2 sessions",
        "1 silence of 2 min 10 s",
        "slept 41 s",
        "stale for 5 min",
        "publisher restarted once",
        "1 node left n1",
        "1 node went offline n3",
        "1 node joined n2",
        "1 node whose key expired n4",
        "1 node whose key expires soon n5",
    ]


def test_what_is_stale_says_why_and_what_is_fresh_does_not(evaluate: Evaluate) -> None:
    first, then = span(0, 150, "stale", reason="silence"), span(150, 300, "fresh", reason="session_started")
    found = evaluate(
        """
        const tell = (netmap) => summing.summary(models.parsed({...given.answer, netmap}), given.window, 0).trust;
        return [tell(given.netmap.slice(0, 1)), tell(given.netmap)];
        """,
        {"answer": answer(0, 900), "netmap": [first, then], "window": WINDOW},
    )
    assert found[0].endswith(": the control server fell silent")
    assert "session" not in found[1]


@pytest.mark.parametrize(
    ("netmap", "since"),
    [
        ([("fresh", 0, 300), ("fresh", 320, 900)], "01:03:20"),
        ([("fresh", 320, 900)], "01:03:20"),
        ([("stale", 0, 320), ("fresh", 320, 900)], "01:05:20"),
        ([("fresh", 0, 300), ("stale", 320, 900)], "01:05:20"),
    ],
    ids=["after a gap", "the first word", "seen", "of another state"],
)
def test_since_when_it_is_true_the_publisher_says_where_the_history_has_not_seen_it(
    evaluate: Evaluate, netmap: list[tuple[str, float, float]], since: str
) -> None:
    spans = [span(begins, ends, state) for state, begins, ends in netmap]
    found = evaluate(
        """
        const said = {state: "fresh", state_since: "1970-01-01T00:03:20.000Z"};
        return summing.summary(models.parsed(given.answer), given.window, 900_000, said).trust;
        """,
        {
            "answer": answer(0, 900, netmap=spans, gaps=[{"since": at(300), "until": at(319)}]),
            "window": WINDOW,
        },
    )
    assert found == f"{netmap[-1][0]} since {since}"


@pytest.mark.parametrize(
    ("ends", "now", "said", "told"),
    [
        (900, 900, None, "fresh since 01:01:40"),
        (600, 900, None, "fresh since 01:01:40 until 01:10:00, not seen since"),
        (900, 900 + 3600, None, "fresh since 01:01:40 until 01:15:00, not seen since"),
        (600, 900, {"state": "fresh", "state_since": at(100)}, "fresh since 01:01:40"),
        (600, 900, {"state": "fresh", "state_since": at(800)}, "until 01:10:00, not seen since"),
        (600, 900, {"state": "stale", "state_since": at(100)}, "until 01:10:00, not seen since"),
    ],
    ids=["seen", "a gap", "no answer for an hour", "the publisher says so", "anew", "no longer"],
)
def test_what_was_not_seen_until_now_is_not_said_of_it(
    evaluate: Evaluate, ends: float, now: float, said: dict[str, str] | None, told: str
) -> None:
    spans = [span(0, 100, "stale"), span(100, ends, "fresh")]
    gaps = [{"since": at(ends), "until": at(900)}] if ends < 900 else []
    found = evaluate(
        "return summing.summary(models.parsed(given.answer), given.window, given.now, given.said).trust;",
        {
            "answer": answer(0, 900, netmap=spans, gaps=gaps),
            "window": WINDOW,
            "now": now * 1000,
            "said": said,
        },
    )
    assert found.endswith(told)


def test_a_session_that_lives_on_over_a_gap_is_one(evaluate: Evaluate) -> None:
    spans = [span(0, 300, "session", pid=7, generation=1), span(320, 600, "session", pid=7, generation=1)]
    told = answer(0, 900, connection=[*spans, span(700, 900, "session", pid=9, generation=2)])
    found = evaluate(
        "return summing.summary(models.parsed(given.answer), given.window, 0).parts[0].text;",
        {"answer": told, "window": WINDOW},
    )
    assert found == "2 sessions"


@pytest.mark.parametrize(
    ("details", "sessions"),
    [
        ([{"pid": 7, "generation": 1, "session": 1}, {"pid": 7, "generation": 1}], "1 session"),
        ([{"pid": 7, "generation": 1}, {"pid": 7, "generation": 1}], "1 session"),
        (
            [{"pid": 7, "generation": 1, "session": 1}, {"pid": 7, "generation": 1, "session": 2}],
            "2 sessions",
        ),
        (
            [{"pid": 7, "generation": 1, "session": 1}, {"pid": 9, "generation": 2, "session": 1}],
            "2 sessions",
        ),
    ],
    ids=["found again", "found twice", "one after the other", "of two processes"],
)
def test_sessions_are_counted_not_their_spans(
    evaluate: Evaluate, details: list[dict[str, int]], sessions: str
) -> None:
    spans = [span(300 * n, 300 * n + 250, "session", **detail) for n, detail in enumerate(details)]
    found = evaluate(
        "return summing.summary(models.parsed(given.answer), given.window, 0).parts[0].text;",
        {"answer": answer(0, 900, connection=spans), "window": WINDOW},
    )
    assert found == sessions


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
        "return summing.summary(models.parsed(given.answer), given.window, 0).parts.map((one) => one.text);",
        {"answer": told, "window": WINDOW},
    )
    assert found[0].startswith("recorded since ")
    assert found[1:] == ["0 sessions"]


def test_details_are_told_in_words(evaluate: Evaluate) -> None:
    told = [
        occurred(1, 500, "silence_detected", silent_for=130.2),
        occurred(2, 501, "session_ended", reason="silence", lived_s=5.04),
        occurred(3, 502, "netmap_stale", reason="publisher_ended"),
        occurred(4, 503, "netmap_stale", reason="of_later"),
    ]
    found = evaluate(
        "return models.parsed(given).occurrences.map((one) => occurrences.sentence(one, 0));",
        answer(0, 900, occurrences=told),
    )
    assert found == [
        "silence detected, for 2 min",
        "session ended, silence, after 5 s",
        "netmap stale, the publisher ended",
        "netmap stale, of later",
    ]


def test_processes_that_start_together_are_one_line(evaluate: Evaluate) -> None:
    names = ("publisher", "liveness", "history")
    starts = [occurred(number, 500 + number, "actor_started", name) for number, name in enumerate(names)]
    told = answer(0, 900, occurrences=[*starts, occurred(9, 800, "actor_started", "publisher", pid=7)])
    found = evaluate(
        """
        const lines = occurrences.condensed(models.parsed(given).occurrences, 50);
        return lines.map((line) => occurrences.lineSentence(line, 900_000));
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
        const lines = occurrences.condensed(models.parsed(given).occurrences, 50);
        return lines.map((line) => [line.tone, occurrences.lineSentence(line, 900_000)]);
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
def test_an_occurrence_is_told_as_history_tells_it(
    evaluate: Evaluate, one: dict[str, Any], sentence: str
) -> None:
    told = answer(0, 900, occurrences=[one])
    body = "return occurrences.sentence(models.parsed(given).occurrences[0], 900_000);"
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
    body = 'return live.occurrencesOf({epoch: 1, seq: 2, ...given}, 5, "fresh").map((one) => one.kind);'
    assert evaluate(body, event) == kinds


def test_without_a_history_what_came_since_the_page_was_opened_is_kept(evaluate: Evaluate) -> None:
    found = evaluate(
        """
        const kept = live.createLiveHistory(0);
        kept.apply({type: "snapshot", state: "fresh", netmap: {peers: [given, {...given, stable_id: "n2"}]}}, 1000);
        kept.apply({type: "peer_upserted", state: "fresh", epoch: 1, seq: 2, peer: {...given, online: false},
          previous: {online: true}}, 2000);
        kept.apply({type: "state_changed", state: "stale", epoch: 1, seq: 3, reason: "silence"}, 3000);
        kept.apply({type: "peer_removed", state: "stale", epoch: 1, seq: 4, stable_id: "n2", name: "b"}, 4000);
        const model = kept.model(5000, 0);
        const told = (list) => list.map((one) => [one.since, one.until, one.state]);
        const of = (id) => told(model.nodes.get(id).spans);
        const {lanes} = laneModule.lanesOf(model, {since: 0, until: 5000}, {most: 9});
        return {lanes: lanes.map((lane) => lane.id), netmap: told(model.netmap), n1: of("n1"), n2: of("n2"),
          copied: kept.model(5000, 0).nodes.get("n1").spans[0] !== model.nodes.get("n1").spans[0],
          later: [...kept.model(9000, 4500).nodes.keys()], since: kept.model(9000, 4500).since};
        """,
        PEER,
    )
    assert found == {
        "lanes": ["netmap", "node:n2", "node:n1"],
        "netmap": [[1000, 3000, "fresh"], [3000, 5000, "stale"]],
        "n1": [[1000, 2000, "online"], [2000, 5000, "offline"]],
        "n2": [[1000, 4000, "online"]],
        "copied": False,  # every second, all that ever was
        "later": ["n1"],
        "since": 4500,
    }


def test_the_window_moves_and_zooms_within_what_is_kept(evaluate: Evaluate) -> None:
    found = evaluate(
        """
        const now = {length: 100_000, until: null};
        const {panned, zoomed, windowOf} = windows;
        return [
          panned(now, 1e6, -50_000, 5e5), panned(panned(now, 1e6, -50_000, 5e5), 1e6, 60_000, 5e5),
          panned(now, 1e6, -9e5, 5e5), zoomed(now, 1e6, 2, null, 5e5), zoomed(now, 1e6, 9, null, 5e5),
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
        const format = await import("/page/format.js");
        const rows = processRows.actorRows({actors: given.slice(0, 2), nursery: null}, format);
        return [processRows.changesOf([given[0]], [given[1]]), processRows.changesOf([given[1]], [given[2]]),
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


def test_what_is_no_history_is_refused_and_an_odd_occurrence_hides_no_other(evaluate: Evaluate) -> None:
    odd = {"id": 1, "at": at(200), "after": None, "kind": None, "subject": None, "name": None, "detail": None}
    found = evaluate(
        """
        const read = (text) => {
          try { return models.parsed(JSON.parse(text)); } catch (error) { return error.message; }
        };
        const refused = given.wrong.map(read);
        const model = models.parsed(given.answer);
        const {lanes} = laneModule.lanesOf(model, given.window, {most: 5});
        const lines = occurrences.condensed(model.occurrences, 9).map((one) => occurrences.lineSentence(one, 0));
        return [new Set(refused).size, refused[0], lanes.length, lines];
        """,
        {
            "wrong": ["null", "[]", '"x"', '{"since": "x", "until": "y"}'],
            "answer": answer(
                0, 900, occurrences=[odd, odd | {"at": "nonsense"}, occurred(2, 300, "node_left", "n1")]
            ),
            "window": WINDOW,
        },
    )
    assert found[:2] == [1, "cannot read the history: it is not one"]
    assert found[2] > 0
    assert found[3] == ["n1 left", ""]


def test_a_node_that_left_keeps_its_name(evaluate: Evaluate) -> None:
    left = answer(
        0,
        900,
        nodes=[{"stable_id": "n1", "name": "", "spans": []}],
        occurrences=[occurred(2, 300, "node_left", "n1") | {"name": "called.tail.example"}],
    )
    found = evaluate(
        "return laneModule.lanesOf(models.parsed(given.answer), given.window, {most: 5}).lanes.map(labels.laneTitle);",
        {"answer": left, "window": WINDOW},
    )
    assert "called" in found
    assert "n1" not in found
