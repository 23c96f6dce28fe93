"""A history as lines: lanes, and what happened."""

from __future__ import annotations

import datetime
import re
from typing import Any

import pytest

from netmap_actors.history.answers import Answer, NodeLane
from netmap_actors.history.occurrences import Happening, Occurrence
from netmap_actors.history.spans import Interval, Span
from netmap_supervisor.view.history_text import lines
from netmap_supervisor.view.lanes import ASCII, BLOCKS, draw, totals
from netmap_supervisor.view.text_layout import cell_width
from tests.support.netmaps.shown_netmap import EVIL

WINDOW = Interval(0.0, 100.0)


def answer(**fields: Any) -> Answer:
    given: dict[str, Any] = {
        "tailnet": "default",
        "window": WINDOW,
        "gaps": [Interval(0.0, 20.0)],
        "netmap": [Span(20.0, 60.0, "fresh"), Span(60.0, 70.0, "stale"), Span(70.0, 100.0, "fresh")],
        "connection": [Span(20.0, 100.0, "session")],
        "nodes": [
            NodeLane(
                "n1", "web-1.example.ts.net", [Span(20.0, 60.0, "online"), Span(70.0, 100.0, "offline")]
            ),
            NodeLane("n2", "db.example.ts.net", [Span(20.0, 60.0, "online"), Span(70.0, 100.0, "online")]),
        ],
        "occurrences": [
            (
                1,
                Occurrence(
                    at=70.0,
                    kind=Happening.NODE_OFFLINE,
                    subject="n1",
                    name="web-1.example.ts.net",
                    after=60.0,
                ),
            ),
            (
                2,
                Occurrence(
                    at=71.0, kind=Happening.SESSION_ENDED, detail={"reason": "silence", "stage": "map"}
                ),
            ),
        ],
        "more": False,
    }
    return Answer(**(given | fields))


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([], "          "),
        ([Span(0.0, 100.0, "online")], "##########"),
        ([Span(20.0, 60.0, "online"), Span(70.0, 100.0, "offline")], "  #### ___"),
        ([Span(0.0, 55.0, "online"), Span(55.0, 100.0, "offline")], "#####*____"),
        ([Span(49.0, 49.5, "unknown")], "    .     "),
        ([Span(0.0, 100.0, "of another version")], "**********"),
    ],
)
def test_a_cell_shows_what_held_in_it(spans: list[Span], expected: str) -> None:
    assert draw(spans, WINDOW, 10, ASCII) == expected


def test_both_alphabets_know_the_same_states() -> None:
    assert BLOCKS.states.keys() == ASCII.states.keys()
    assert all(text.isascii() for text in (*ASCII.states.values(), ASCII.changed, ASCII.unseen))


def test_the_time_in_each_state_is_summed() -> None:
    assert totals([Span(0.0, 1.0, "a"), Span(1.0, 3.0, "b"), Span(3.0, 5.5, "a")]) == {"a": 3.5, "b": 2.0}


def test_lanes_come_first_then_what_happened() -> None:
    shown = list(lines(answer(), 80, blocks=False, named=False))
    text = "\n".join(shown)
    assert "20s of it not seen" in shown[0]
    assert [line.split()[0] for line in shown[1:4]] == ["netmap", "connection", "web-1"]
    assert "1 node whose state did not change" in text, "db was not seen to change"
    assert "at some time since" in text and "silence, in stage map" in text
    assert "example.ts.net" not in text, "what all names end with is not said each time"
    assert all(cell_width(line) <= 80 for line in shown)


@pytest.mark.parametrize(
    ("after", "said"), [(20.0, "nothing was seen since 1970"), (0.0, "nothing was seen before")]
)
def test_of_a_gap_nothing_was_seen_all_the_time(after: float, said: str) -> None:
    said_of = [(1, Occurrence(at=70.0, kind=Happening.GAP, after=after))]
    text = "\n".join(lines(answer(occurrences=said_of), None, blocks=False, named=False))
    assert said in text
    assert "at some time" not in text


def test_names_of_two_domains_are_shown_whole() -> None:
    nodes = [NodeLane("n1", "web-1.example.ts.net", []), NodeLane("n2", "db.other.ts.net", [])]
    shown = list(lines(answer(nodes=nodes), None, blocks=True, named=True))
    assert any(line.startswith("db.other.ts.net") for line in shown)


def test_a_hostile_name_does_nothing_to_the_terminal() -> None:
    nodes = [NodeLane("n1", EVIL, [Span(20.0, 60.0, "online"), Span(60.0, 70.0, "offline")])]
    said = [
        (
            1,
            Occurrence(
                at=70.0, kind=Happening.NODE_RENAMED, name=EVIL, detail={"name": {"from": EVIL, "to": "x"}}
            ),
        )
    ]
    text = "\n".join(lines(answer(nodes=nodes, occurrences=said), None, blocks=True, named=True))
    assert "\x1b" not in text and "\u202e" not in text and "\r" not in text


def test_what_was_left_out_is_said() -> None:
    assert any(
        "older ones are left out" in line for line in lines(answer(more=True), 80, blocks=True, named=False)
    )


def test_a_key_that_expires_says_when() -> None:
    detail = {"expires": "2026-01-03T03:04:05Z", "within_s": 86400.0}
    said = [(1, Occurrence(at=70.0, kind=Happening.NODE_KEY_EXPIRING, name="web-1.x", detail=detail))]
    shown = list(lines(answer(occurrences=said), None, blocks=True, named=False))
    line = next(line for line in shown if "key expiring" in line)
    assert line.split("  ")[-1] == "at 2026-01-03T03:04:05Z"


def happened(*kinds: tuple[Happening, str]) -> list[tuple[int, Occurrence]]:
    return [
        (number, Occurrence(at=50.0 + number, kind=kind, subject=who, name=f"{who}.example.ts.net"))
        for number, (kind, who) in enumerate(kinds)
    ]


def test_the_end_says_since_when_and_who_came_and_went() -> None:
    said = happened(
        (Happening.NODE_OFFLINE, "web-1"),
        (Happening.NODE_OFFLINE, "nas"),
        (Happening.NODE_ONLINE, "nas"),
        (Happening.NODE_LEFT, "old"),
        (Happening.NODE_JOINED, "new"),
        (Happening.NODE_KEY_EXPIRING, "web-1"),
        (Happening.NODE_KEY_EXPIRED, "web-1"),
        (Happening.NODE_KEY_EXPIRING, "db"),
        *((Happening.NODE_RENAMED, f"n{number}") for number in range(7)),
    )
    netmap = [
        Span(20.0, 60.0, "stale", {"reason": "silence"}),
        Span(60.0, 70.0, "fresh"),
        Span(70.0, 100.0, "fresh"),
    ]
    shown = list(lines(answer(occurrences=said, netmap=netmap), 80, blocks=False, named=False))
    end = shown[len(shown) - shown[::-1].index("") :]
    before, moment = (datetime.datetime.fromtimestamp(at, datetime.UTC).astimezone() for at in (20.0, 60.0))
    assert end == [
        f"netmap        fresh since {moment:%Y-%m-%d %H:%M:%S}",
        f"stale         {before:%H:%M:%S} for 40s (the control server fell silent)",
        "left          old",
        "went offline  web-1",
        "joined        new",
        "renamed       n6, n5, n4, n3, n2 and 2 more",
        "key expired   web-1",
        "key expires   db",
    ]


@pytest.mark.parametrize(
    ("netmap", "until", "told"),
    [
        ([("fresh", 20.0, 100.0)], 100.0, "fresh since {20}"),
        ([("fresh", 20.0, 96.0)], 100.0, "fresh since {20} until {96}, not seen since"),
        ([("fresh", 0.0, 96.0)], 100.0, "fresh since before {0} until {96}, not seen since"),
        ([("stale", 20.0, 60.0)], 100.0, "stale since {20} until {60}, not seen since"),
        ([("stale", 0.0, 60.0), ("fresh", 60.0, 100.0)], 100.0, "fresh since {60}"),
        ([("fresh", 0.0, 100.0)], 100.0, "fresh since before {0}"),
        ([("fresh", 1.0, 2.0), ("fresh", 20.0, 100.0)], 100.0, "fresh since {20} or before"),
        ([("fresh", 1.0, 2.0), ("fresh", 50.0, 100.0)], 100.0, "fresh since {50}"),
    ],
)
def test_what_was_not_seen_until_the_end_is_not_said_of_it(
    netmap: list[tuple[str, float, float]], until: float, told: str
) -> None:
    spans = [Span(begins, ends, state) for state, begins, ends in netmap]
    begun = [(1, Occurrence(at=50.0, kind=Happening.NETMAP_FRESH))]
    gaps = [Interval(2.0, 20.0)] if len(spans) == 2 else []
    told_of = answer(netmap=spans, window=Interval(0.0, until), gaps=gaps, occurrences=begun)
    shown = lines(told_of, None, blocks=False, named=False)
    wanted = re.sub(
        r"{(\d+)}",
        lambda found: f"{datetime.datetime.fromtimestamp(float(found[1])):%Y-%m-%d %H:%M:%S}",  # noqa: DTZ006
        told,
    )
    assert f"netmap        {wanted}" in list(shown)


def test_what_was_told_late_stands_where_it_belongs() -> None:
    said = [
        (1, Occurrence(at=70.0, kind=Happening.NETMAP_FRESH, detail={"reason": "caught_up"})),
        (2, Occurrence(at=60.0, kind=Happening.RUN_STARTED)),
    ]
    shown = "\n".join(lines(answer(occurrences=said), None, blocks=False, named=False))
    assert shown.index("run started") < shown.index("netmap fresh")


@pytest.mark.parametrize(
    ("kind", "detail", "told"),
    [
        (Happening.LOGIN_NEEDED, {"pid": 5}, "`netmap-supervisor status` shows the address"),
        (Happening.SILENCE, {"silent_for": 130.2}, "for 2m"),
        (Happening.WAKE, {"slept_s": 7200.0}, "asleep for 2.0h"),
        (Happening.CLOCK_STEPPED, {"by_s": 3 * 86400.0}, "by 3.0d"),
        (Happening.CLOCK_STEPPED, {"by_s": -7200.0}, "by -2.0h"),
        (Happening.SESSION_ENDED, {"reason": "silence", "lived_s": 5.04}, "silence, after 5s"),
        (Happening.NETMAP_STALE, {"reason": "publisher_ended"}, "the publisher ended"),
        (Happening.NETMAP_STALE, {"reason": "of_later"}, "of later"),
    ],
)
def test_details_are_told_in_words(kind: Happening, detail: dict[str, Any], told: str) -> None:
    said = [(1, Occurrence(at=70.0, kind=kind, detail=detail))]
    assert any(
        line.endswith(told) for line in lines(answer(occurrences=said), None, blocks=False, named=False)
    )
