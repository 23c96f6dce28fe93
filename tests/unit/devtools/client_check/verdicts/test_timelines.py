"""The account of an attempt: who did what when, how far the client came, what was refused, the end of its log."""

from __future__ import annotations

import pytest

from netmap_actors.dev_control.http.state import Seen
from netmap_supervisor.devtools.client_check.outcome import Reached, TimelineEvent
from netmap_supervisor.devtools.client_check.verdicts.observations import Timeline
from netmap_supervisor.devtools.client_check.verdicts.timelines import (
    MOST_EVENTS,
    last_refused,
    last_seen,
    reached,
    timeline_of,
    whole_lines,
)


def seen(at: float, kind: str, detail: str = "", connection: int = 1) -> Seen:
    return Seen(100.0 + at, connection, "", kind, detail)


JOINED = [
    seen(0.1, "accept"),
    seen(0.2, "key"),
    seen(0.3, "upgrade"),
    seen(0.4, "register"),
    seen(0.5, "map"),
]


def test_a_timeline_is_in_order_from_the_clients_start() -> None:
    moments = Timeline(100.0, joined_at=100.5, injected_at=102.0, healed_at=110.0)
    own = [TimelineEvent(1.0, None, "check", "step", "adds birch")]
    made = timeline_of([*JOINED, seen(3.0, "refused", "404 /x")], moments, own)
    assert [(event.at, event.side, event.kind) for event in made if event.side != "client"] == [
        (0.0, "check", "started"),
        (0.5, "check", "joined"),
        (1.0, "check", "step"),
        (2.0, "check", "fault"),
        (3.0, "server", "refused"),
        (10.0, "check", "heal"),
    ]
    assert [event.kind for event in made if event.side == "client"] == [event.kind for event in JOINED]
    assert made[1] == TimelineEvent(pytest.approx(0.1), 1, "client", "accept")


def test_a_fault_that_the_server_tells_stands_there_once() -> None:
    moments = Timeline(100.0, joined_at=100.5, injected_at=102.0)
    made = timeline_of([*JOINED, seen(2.0, "fault", "session/cut", connection=0)], moments)
    assert [event for event in made if event.kind == "fault"] == [
        TimelineEvent(pytest.approx(2.0), None, "check", "fault", "session/cut")
    ]


def test_a_client_in_a_hot_loop_keeps_beginning_and_end() -> None:
    made = timeline_of([seen(number / 1000, "map") for number in range(5000)], Timeline(100.0))
    assert len(made) == MOST_EVENTS + 1
    assert [event.detail for event in made if event.kind == "left-out"] == ["4001 events"]
    assert made[-1].at == pytest.approx(4.999)


@pytest.mark.parametrize(
    ("events", "has_map", "far"),
    [
        ([], False, Reached.NOTHING),
        (JOINED[:1], False, Reached.CONNECTION),
        (JOINED[:2], False, Reached.KEY),
        (JOINED[:3], False, Reached.UPGRADE),
        (JOINED[:4], False, Reached.REGISTER),
        (JOINED, False, Reached.REGISTER),
        (JOINED, True, Reached.MAP),
        ([*JOINED[:4], seen(0.4, "refused", "unknown auth key")], False, Reached.UPGRADE),
        ([*JOINED[:4], seen(0.4, "refused", "x", connection=2)], False, Reached.REGISTER),
    ],
)
def test_how_far_a_client_came(events: list[Seen], has_map: bool, far: Reached) -> None:
    assert reached(events, has_map=has_map) is far


def test_what_was_seen_and_refused_last_ends_a_sentence() -> None:
    assert last_seen([]) == "the server saw nothing of it"
    assert last_seen(JOINED[:3]) == "the server last saw a Noise handshake"
    refused = [*JOINED[:1], seen(1.0, "refused", "404 GET /x"), seen(1.1, "end", "the client closed")]
    assert last_seen(refused) == (
        "the server last saw the end of a connection (the client closed) and refused: 404 GET /x"
    )
    assert (last_refused(refused), last_refused(JOINED)) == ("404 GET /x", "")


@pytest.mark.parametrize(
    ("text", "begun", "lines"),
    [
        ("one\ntwo\nthree\nfour\n", True, ["two", "three", "four"]),
        ("", True, []),
        ("ddle of a word\nwhole\n", False, ["whole"]),
        ("ddle of a word", False, ["ddle of a word"]),
        (
            "\x1b[31mERROR\x1b[0m bad \x1b]8;;http://x\x1b\\link\x1b]8;;\x07\n\x1b[2K\x1b(Bend",
            True,
            ["ERROR bad link", "end"],
        ),
        ("10 %\r50 %\r100 %\r\ndone", True, ["100 %", "done"]),
        ("x" * 50 + "\nshort\n", True, ["short"]),
        ("y" * 45, True, ["…" + "y" * 40]),
    ],
)
def test_the_end_of_a_log_is_whole_lines(text: str, begun: bool, lines: list[str]) -> None:
    assert whole_lines(text, lines=3, characters=40, begun=begun) == lines
