"""The two views: what they write, what they hold back, when they want to be asked, and that no markup is obeyed."""

from __future__ import annotations

import contextlib
import io
import os
import queue
import re
from typing import Any

import msgspec
import pytest
from rich.console import Console

from netmap_supervisor.view.feed import feed_view
from netmap_supervisor.view.keys import Key
from netmap_supervisor.view.live import LiveView
from netmap_supervisor.view.plain import MAX_LINES_PER_SECOND, PlainView
from netmap_supervisor.view.table_choice import TableChoice
from tests.support.netmaps.shown_netmap import EVIL, SteppedClock, actor, peer, report, snapshot, upserted


class Plain:
    """A plain view and its lines."""

    def __init__(self) -> None:
        self.clock = SteppedClock()
        self.lines: list[str] = []
        self.view = PlainView(self.lines.append, self.clock)


def test_lines_carry_the_time_since_the_start_and_then_the_time_of_day() -> None:
    it = Plain()
    it.clock.now += 0.31
    it.view.daemon("info", "actor_ready", {"actor": "publisher", "pid": 7})
    it.view.netmap(snapshot(peer()))
    it.view.netmap(upserted(peer(online=True), {"online": False}))
    assert it.lines[0] == "    0.3s  publisher is up (pid 7)\n"
    assert re.match(r"\d\d:\d\d:\d\d  ", it.lines[2])
    assert it.lines[2].endswith("  web-1 100.64.0.1 is online\n")


def test_a_long_wait_is_said_again_and_again_less_often() -> None:
    it = Plain()
    said = []
    for second in range(100):
        it.clock.now += 1
        assert it.view.wants_status()
        it.view.status(report("none", "connecting"))
        said += [second + 1] * len(it.lines)
        it.lines.clear()
    assert said == [3, 9, 21, 45, 93]


def test_a_fresh_netmap_ends_the_waiting_and_the_asking() -> None:
    it = Plain()
    it.view.netmap(snapshot(peer()))
    assert it.view.pause() is None
    assert not it.view.wants_status()
    it.clock.now += 100
    it.view.netmap(upserted(peer(), {"tags": []}, state="stale"))
    it.clock.now += 4
    assert it.view.wants_status()
    it.view.status(None)
    assert it.lines[-1].endswith("waiting for 4.0 s: the daemon does not answer\n")


def test_a_flood_of_changes_is_counted_and_not_shown() -> None:
    it = Plain()
    it.view.netmap(snapshot(peer()))
    it.clock.now += 2
    for _ in range(10_000):
        it.view.netmap(upserted(peer()))
    assert len(it.lines) == 1 + MAX_LINES_PER_SECOND
    assert it.view.pause() == 1.0
    it.clock.now += 1
    it.view.tick()
    assert it.lines[-1].endswith(f"… and {10_000 - MAX_LINES_PER_SECOND} more changes\n")
    it.view.close()
    assert len(it.lines) == 2 + MAX_LINES_PER_SECOND


class LiveScreen:
    """A live view on a screen of 24 lines."""

    def __init__(self, height: int = 24) -> None:
        self.clock = SteppedClock()
        self.out = io.StringIO()
        console = Console(
            file=self.out, width=110, height=height, force_terminal=True, color_system=None, markup=False,
            highlight=False, emoji=False,
        )  # fmt: skip
        self.view = LiveView(self.clock, console=console, hint="try something")
        self._paper = Console(width=110, height=height, color_system=None, markup=False, highlight=False)

    def text(self) -> str:
        with self._paper.capture() as captured:
            self._paper.print(self.view.render(self.clock.now))
        return captured.get()


@pytest.fixture
def screen() -> Any:
    made = LiveScreen()
    yield made
    made.view.close()


def test_the_screen_shows_trust_connection_processes_and_peers(screen: LiveScreen) -> None:
    screen.view.status(report(actors=(actor("publisher", restarts=2),)))
    screen.view.netmap(snapshot(peer(tags=["tag:web"], online=True)))
    screen.view.netmap(upserted(peer(tags=["tag:web"], online=False), {"online": True}))
    screen.clock.now += 3
    text = screen.text()
    for part in (
        "FRESH", "dead in 105 s", "connection 3 map session", "silence 1", "publisher 4712 (restarted 2x)",
        "web-1", "100.64.0.1", "offline", "tag:web", "3.0 s ago: is offline", "try something",
    ):  # fmt: skip
        assert part in text


def test_the_screen_marks_what_is_no_usual_node_of_our_own_tailnet(screen: LiveScreen) -> None:
    screen.view.netmap(
        snapshot(
            peer(name="nas.other.ts.net", sharer_id=7, tags=["tag:nas"]),
            peer(stable_id="n2", jailed=True),
            peer(stable_id="n3", name="exit.example.ts.net", wireguard_only=True),
        )
    )
    rows = {
        name: line for line in screen.text().splitlines() for name in ("nas", "web-1", "exit") if name in line
    }
    assert "nas.other.ts.net" in rows["nas"]
    assert "shared-in tag:nas" in rows["nas"]
    assert "jailed" in rows["web-1"]
    assert "wireguard-only" in rows["exit"]


def test_the_age_on_the_screen_runs_between_two_messages(screen: LiveScreen) -> None:
    screen.view.netmap(snapshot(peer()))
    screen.clock.now += 40
    assert "last MapResponse 42 s ago" in screen.text()


def test_without_a_daemon_nothing_is_called_fresh(screen: LiveScreen) -> None:
    screen.view.netmap(snapshot(peer()))
    screen.view.status(None)
    assert "STALE" in screen.text()
    assert "the daemon does not answer" in screen.text()


def test_no_markup_and_no_escape_of_a_peer_is_obeyed(screen: LiveScreen) -> None:
    screen.view.netmap(snapshot(peer(name=EVIL, tags=[EVIL], routes=["[red]x[/red]"])))
    screen.view.netmap(upserted(peer(stable_id="n2", name="[bold]b[/bold].x"), None))
    screen.view.status(report("stale", "connecting", last_end="error"))
    text = screen.text()
    assert "[bold]x[/bold]" in text
    assert "[bold]b[/bold]" in text
    assert "\x1b" not in text.replace("\x1b[0m", "")


def test_more_peers_than_lines_show_those_that_changed_last() -> None:
    screen = LiveScreen(height=16)
    many = [peer(stable_id=f"n{number}", name=f"node-{number:04}.x") for number in range(5000)]
    screen.view.netmap(snapshot(*many))
    screen.clock.now += 1
    screen.view.netmap(upserted(peer(stable_id="n4321", name="node-4321.x", online=True), {"online": False}))
    text = screen.text()
    assert "node-4321" in text
    assert "more peers" in text
    assert len(text.splitlines()) <= 16
    screen.view.close()


def test_the_screen_is_drawn_at_most_four_times_a_second(screen: LiveScreen) -> None:
    screen.view.tick()
    drawn = len(screen.out.getvalue())
    screen.view.tick()
    assert len(screen.out.getvalue()) == drawn
    screen.clock.now += 0.25
    screen.view.tick()
    assert len(screen.out.getvalue()) > drawn


def test_a_view_of_what_has_ended_waits_for_nothing(screen: LiveScreen) -> None:
    screen.view.status(report("none", "connecting"))
    assert "waiting: " in screen.text()
    screen.view.daemon("info", "stopped", {"exit_code": 77})
    text = screen.text()
    assert "STOPPED" in text
    assert "waiting: " not in text
    assert "dead in" not in text


class Recorder:
    """A view that records its input."""

    def __init__(self) -> None:
        self.told: list[object] = []
        self.closed = False

    def daemon(self, level: str, event: str, fields: Any) -> None:
        self.told.append((level, event, dict(fields)))

    def netmap(self, event: Any) -> None:
        self.told.append(event)

    def status(self, report: Any) -> None:
        self.told.append(report)

    def pause(self) -> float | None:
        return 0.01

    def wants_status(self) -> bool:
        return None not in self.told

    def tick(self) -> None:
        """Nothing to draw."""

    def close(self) -> None:
        self.closed = True


def subscribe() -> Any:
    """A subscriber that is told nothing; a real one would wait in its thread to the end of the process."""
    return contextlib.nullcontext(())


def test_a_viewer_passes_events_on_until_they_end() -> None:
    read_fd, write_fd = os.pipe()
    lines = [
        b'{"level":"info","event":"up","fields":{}}',
        b'{"level":"info","event":"stopped","fields":{"a":1}}',
    ]
    asked: queue.Queue[str] = queue.Queue()

    def ask() -> None:
        # Only now the end may come: both sources were served.
        os.write(write_fd, b"\n".join(lines) + b"\n")
        os.close(write_fd)
        asked.put("status")

    view = Recorder()
    with open(read_fd, "rb") as events:
        feed_view(view, subscribe, ask=ask, events=events)
    assert view.told == [None, ("info", "up", {}), ("info", "stopped", {"a": 1})]
    assert view.closed


@pytest.mark.parametrize("last", [b'{"level":"info","event":"up","fields":{}}\n', b""])
def test_events_that_end_without_the_last_one_mean_that_the_daemon_was_killed(last: bytes) -> None:
    view = Recorder()
    feed_view(view, subscribe, ask=lambda: None, events=io.BytesIO(last))
    assert view.told[-1] == ("critical", "daemon_died", {})


def test_a_source_that_fails_ends_the_view() -> None:
    view = Recorder()
    with pytest.raises(msgspec.DecodeError):
        feed_view(view, subscribe, ask=lambda: None, events=io.BytesIO(b"not json\n"))
    assert view.closed


class Paper:
    """A whole screen that keeps what is drawn on it."""

    def __init__(self, columns: int, lines: int) -> None:
        self.at = (columns, lines)
        self.drawn: list[list[str]] = []
        self.closed = 0

    def size(self) -> tuple[int, int]:
        return self.at

    def show(self, lines: Any) -> None:
        self.drawn.append([line.decode() for line in lines])

    def close(self) -> None:
        self.closed += 1


def whole(columns: int, lines: int, **choice: Any) -> tuple[LiveView, Paper, SteppedClock]:
    paper, clock = Paper(columns, lines), SteppedClock()
    console = Console(file=io.StringIO(), color_system=None, markup=False, highlight=False, emoji=False)
    view = LiveView(clock, hint="the hint", console=console, screen=paper, choice=TableChoice(**choice))
    return view, paper, clock


MANY = [
    peer(
        stable_id=f"n{number}",
        name=f"node-{number:02}.x",
        online=number % 2 == 0,
        last_seen="2026-01-01T00:00:00Z",
    )
    for number in range(60)
]


@pytest.mark.parametrize(("columns", "lines"), [(80, 24), (200, 60), (40, 10), (20, 5), (300, 100), (10, 2)])
def test_a_whole_screen_is_used_and_never_more(columns: int, lines: int) -> None:
    view, paper, clock = whole(columns, lines)
    others = tuple(actor(name) for name in ("publisher", "liveness", "dev_control", "http_endpoint"))
    for told in (
        None,
        report("stale", "backing_off", last_end="error", actors=others),
        report(),
        "an answer",
    ):
        view.status(told)
        view.netmap(snapshot(*MANY))
        clock.now += 1
        view.tick()
        shown = paper.drawn[-1]
        if lines >= 10:
            assert len(shown) == lines
            assert shown[-1].startswith("the hint"[:columns])
            assert any(line.startswith("node-") for line in shown)
        assert all(len(line) <= columns for line in shown)
    view.close()
    assert paper.closed == 1


def test_another_size_is_drawn_at_once() -> None:
    view, paper, clock = whole(80, 24)
    clock.now += 1
    view.tick()
    view.tick()
    assert len(paper.drawn) == 1
    paper.at = (60, 20)
    view.tick()
    assert [len(shown) for shown in paper.drawn] == [24, 20]


def test_keys_scroll_the_rows_in_their_order_at_once() -> None:
    view, paper, clock = whole(80, 24)
    view.netmap(snapshot(*MANY))
    clock.now += 1
    view.netmap(upserted(peer(stable_id="n59", name="node-59.x", online=True), {"online": False}))
    view.tick()
    assert any("changed last" in line for line in paper.drawn[-1])
    assert any(line.startswith("node-59") for line in paper.drawn[-1])
    view.key(Key.DOWN)
    view.tick()
    rows = [line.split()[0] for line in paper.drawn[-1] if line.startswith("node-") and " is " not in line]
    assert rows[0] == "node-01.x"
    assert any("these are 2 to" in line for line in paper.drawn[-1])
    view.key(Key.LAST)
    view.tick()
    assert any(line.startswith("node-59") for line in paper.drawn[-1])
    # A netmap that fits again needs no scrolling.
    view.netmap(snapshot(*MANY[:3]))
    clock.now += 1
    view.tick()
    assert [line.split()[0] for line in paper.drawn[-1] if line.startswith("node-") and " is " not in line] == [
        "node-00.x", "node-01.x", "node-02.x",
    ]  # fmt: skip


def test_the_table_has_who_is_chosen_in_the_order_that_is_asked_for_and_shows_by_what() -> None:
    view, paper, clock = whole(100, 24, online=False, sort="last-seen", descending=True)
    gone = [
        peer(stable_id=f"n{day}", name=f"gone-{day}.x", online=False, last_seen=f"2026-01-0{day}T03:04:05Z")
        for day in (1, 2)
    ]
    view.netmap(snapshot(*gone, MANY[0]))

    def rows() -> list[str]:
        clock.now += 1
        view.tick()
        return [" ".join(line.split()) for line in paper.drawn[-1] if line.split()[2:3] == ["offline"]]

    assert rows() == ["gone-2.x 100.64.0.1 offline 17 min ago", "gone-1.x 100.64.0.1 offline 24 h ago"]
    assert any("2 of 3 peers are chosen" in line for line in paper.drawn[-1])
    view.netmap(upserted(peer(stable_id="n0", name="node-00.x", online=False), {"online": True}))
    view.netmap(upserted(peer(stable_id="n2", name="gone-2.x", online=True), {"online": False}))
    view.netmap(upserted(peer(stable_id="n9", name="new.x", online=True), None))
    assert [row.split()[0] for row in rows()] == ["gone-1.x", "node-00.x"]
    assert any("2 of 4 peers are chosen" in line for line in paper.drawn[-1])
    text = "\n".join(paper.drawn[-1])
    assert "node-00.x 100.64.0.1 is offline" in text
    assert "gone-2.x 100.64.0.1 is online" in text
    assert "new.x" not in text


def test_what_cannot_be_known_from_here_is_no_fault() -> None:
    view, paper, clock = whole(100, 24)
    view.status("nobody listens at 192.0.2.1:9740")
    clock.now += 1
    view.tick()
    assert any("waiting: nobody listens at 192.0.2.1:9740" in line for line in paper.drawn[-1])
    view.netmap(snapshot(peer()))
    view.status("an answer")
    clock.now += 1
    view.tick()
    text = "\n".join(paper.drawn[-1])
    assert text.startswith(" FRESH ")
    assert "connection and processes: not known from here" in text
    assert "waiting" not in text


def test_lines_say_what_keeps_a_daemon_elsewhere_from_answering() -> None:
    it = Plain()
    it.clock.now += 4
    it.view.status("nobody listens at 192.0.2.1:9740")
    assert it.lines[-1].endswith("waiting for 4.0 s: nobody listens at 192.0.2.1:9740\n")
    it.view.netmap(snapshot(peer()))
    it.view.status("an answer")
    assert it.view.pause() is None
