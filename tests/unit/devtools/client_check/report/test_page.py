"""The report as a page, read by a parser of HTML: what it holds, and what it must not ask for."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser

import msgspec
import pytest

from netmap_supervisor.devtools.client_check.outcome import CheckVerdict, ScenarioOutcome, TimelineEvent
from netmap_supervisor.devtools.client_check.report import report_page
from netmap_supervisor.devtools.client_check.report.lanes import Lanes, lanes_of
from netmap_supervisor.devtools.client_check.scenarios import SCENARIOS
from tests.support.netmaps.check_outcomes import HOSTILE, RUN, attempt, event, hostile, outcome, silence

VOID = {"meta", "input", "link", "img", "br"}
FAIL, PASS, WARN, FLAKY, SKIP = (CheckVerdict(word) for word in ("fail", "pass", "warn", "flaky", "skip"))


class Page(HTMLParser):
    """Elements, texts and attributes; fails where elements do not nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = ""
        self.tags: list[tuple[str, dict[str, str]]] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str, **attributes: str) -> list[dict[str, str]]:
        return [found for name, found in self.tags if name == tag and attributes.items() <= found.items()]


def flaky() -> ScenarioOutcome:
    attempts = (attempt(FAIL, "not back", log="/logs/one"), attempt(PASS, "back after 1 s"))
    return outcome("session/goaway", FLAKY, "not back", attempts=attempts)


def storm() -> tuple[TimelineEvent, ...]:
    """A client that connects three thousand times, and asks three thousand times on one of these connections."""
    events = [
        event(0.0, None, "check", "started"),
        event(5.0, None, "check", "fault", "session/map-then-close"),
    ]
    for number in range(3000):
        at = 5.0 + number / 50
        events += [event(at, number, "client", "accept"), event(at, number, "server", "end")]
        events += [event(at, 1, "client", "map")]
    return tuple(events)


def test_it_holds_everything_and_nothing_is_hidden_by_markup() -> None:
    held = [
        silence(),
        hostile(),
        flaky(),
        outcome("map/foreign-ping", SKIP, "no --peers-command", attempts=()),
    ]
    page = Page(report_page(held, RUN, {"/logs/silence.log": "panic: <b>\x1b\nthe end"}))
    row = SCENARIOS["liveness/silence"]
    for text in (row.does, row.why, *row.sources, silence().seen, "map request without a node key"):
        assert text in page.text, text
    for text in ("panic: <b>\\x1b\nthe end", "no --peers-command", "back after 1 s", "attempt 2", "./client"):
        assert text in page.text, text
    assert "<script src=http://192.0.2.1/>&]]>'\" \\u202e" in page.text
    assert page.all("h1")
    assert "2 of 4 scenarios failed" not in page.text, "an expected failure is none"
    assert "1 of 4 scenarios failed" in page.text


def test_it_asks_for_nothing_from_elsewhere() -> None:
    made = report_page([silence(), hostile(), flaky()], RUN, {"/logs/one": HOSTILE})
    page = Page(made)
    assert not {"script", "link", "img", "iframe", "object", "base", "form"} & {tag for tag, _ in page.tags}
    links = [value for _, found in page.tags for name, value in found.items() if name in ("href", "src")]
    assert [link for link in links if not link.startswith("#")] == []
    assert [
        name for _, found in page.tags for name in found if name.startswith("on") or name == "style"
    ] == []
    ids = [found["id"] for _, found in page.tags if "id" in found]
    assert len(ids) == len(set(ids))
    assert {link[1:] for link in links} <= set(ids)
    (style,) = re.findall(r"<style>(.*?)</style>", made, re.DOTALL)
    assert "url(" not in style.replace("url(#hatch)", "")
    assert "@import" not in style
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    (policy,) = page.all("meta", **{"http-equiv": "Content-Security-Policy"})
    assert policy["content"] == (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )


@pytest.mark.parametrize("held", [[], [outcome("join/first-map", PASS)]], ids=["nothing", "one"])
def test_a_short_check_has_a_page_too(held: list[ScenarioOutcome]) -> None:
    assert "no failure" in Page(report_page(held, RUN, {})).text


def test_failures_are_open_and_can_be_chosen_without_a_script() -> None:
    made = report_page([silence(), outcome("session/cut", PASS), outcome("session/goaway", WARN)], RUN, {})
    page = Page(made)
    scenarios = [found for found in page.all("details") if "scenario" in found["class"].split()]
    assert {found["id"]: "open" in found for found in scenarios} == {
        "liveness.silence": True,
        "session.cut": False,
        "session.goaway": True,
    }
    choices = page.all("input", type="radio", name="show")
    assert [found["id"] for found in choices] == ["show-all", "show-pass", "show-fail", "show-warn"]
    for found in choices[1:]:
        assert f"#{found['id']}:checked" in made


def test_who_was_slow_to_join_is_given_that_time() -> None:
    (failed,) = silence().attempts
    slow = msgspec.structs.replace(failed, facts={"joined_after": 3.0})
    made = report_page([msgspec.structs.replace(silence(), attempts=(slow,))], RUN, {})
    assert "earliest 108 s" in made
    assert "latest 140 s" in made


def test_a_storm_of_events_is_bounded() -> None:
    one = outcome("session/map-then-close", FAIL, attempts=(attempt(FAIL, "3000 times", storm()),))
    made = report_page([one], RUN, {})
    assert len(made) < 150_000
    page = Page(made)
    assert "2989 more connections: 2989 accept, 2989 end" in page.text
    assert "9002 events" in page.text
    assert len(page.all("rect", **{"class": "bar"})) < 300
    assert len(page.all("tr")) < 320


# Where things stand in a drawing


def drawn(*events: TimelineEvent, took: float = 100.0, **bounds: float) -> Lanes:
    return lanes_of(events, bounds, took)


def test_each_connection_has_a_lane_from_its_first_event_to_its_end() -> None:
    made = drawn(
        event(0.0, None, "check", "started"),
        event(0.0, 1, "client", "accept"),
        event(50.0, 1, "client", "end"),
        event(50.0, 2, "client", "accept"),
    )
    assert [(lane.title, lane.begin, lane.end) for lane in made.lanes] == [
        ("the check", 1.0, 99.0),
        ("connection 1", 1.0, 50.0),
        ("connection 2", 50.0, 99.0),
    ]


def test_what_is_near_stands_side_by_side_and_repeats_are_counted() -> None:
    made = drawn(
        event(10.0, 1, "client", "accept"),
        event(10.1, 1, "client", "map"),
        event(10.2, 1, "client", "map"),
        event(10.3, 1, "server", "sent"),
        event(60.0, 1, "client", "map"),
    )
    (lane,) = made.lanes
    assert [
        (cluster.side, round(cluster.at, 1), [(mark.kind, len(mark.events)) for mark in cluster.marks])
        for cluster in lane.clusters
    ] == [
        ("client", 10.8, [("accept", 1), ("map", 2)]),
        ("client", 59.8, [("map", 1)]),
        ("server", 11.1, [("sent", 1)]),
    ]


def test_the_fault_and_what_was_expected_are_marked() -> None:
    made = drawn(
        event(0.0, None, "check", "started"),
        event(20.0, None, "check", "fault", "session/cut"),
        event(80.0, None, "check", "heal"),
        earliest=10.0,
        latest=30.0,
    )
    fault, expected = made.bands
    assert (fault.kind, fault.begin, fault.end, fault.begin_text) == (
        "fault",
        20.6,
        79.4,
        "fault session/cut",
    )
    assert (expected.begin, expected.end) == (30.4, 50.0)
    assert (expected.begin_text, expected.end_text) == ("earliest 10 s", "latest 30 s")
    assert made.ticks[0] == (1.0, "-20 s")
    assert (20.6, "0 s") in made.ticks


def test_what_the_check_did_is_marked() -> None:
    made = drawn(
        event(25.0, None, "check", "step", "adds birch"), event(75.0, None, "check", "step", "removes birch")
    )
    assert [(band.kind, band.begin, band.end, band.begin_text) for band in made.bands] == [
        ("step", 25.5, 25.5, "adds birch"),
        ("step", 74.5, 74.5, "removes birch"),
    ]


def test_an_axis_reaches_to_the_latest_time_that_was_allowed() -> None:
    made = drawn(event(1.0, None, "check", "fault"), took=2.0, latest=99.0)
    assert made.bands[1].end == 99.0
    assert drawn(took=0.0).ticks[0] == (1.0, "0 s")
