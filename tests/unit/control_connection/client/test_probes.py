"""The PING of a session: when it is answered, and when nobody may say that it was not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netmap_actors.control_connection.client.events import ProbeEnded
from netmap_actors.control_connection.client.probes import Probes
from netmap_actors.protocol.http2 import Http2Client

TIMEOUT = 5.0


class Line:
    """Probes with a shell that does as the real one: it looks at the clock at the deadline, after it has read."""

    def __init__(self) -> None:
        self.http2 = Http2Client("control.example")
        self.probes = Probes(self.http2)
        self.sent: list[bytes] = []
        self.http2.ping = self.sent.append  # type: ignore[method-assign]
        self.now = 100.0

    def ask(self, token: int, timeout: float = TIMEOUT) -> bytes:
        self.probes.send(token, timeout, self.now)
        return self.sent[-1]

    def wait(self, seconds: float, *, reads: bool = True) -> list[ProbeEnded]:
        """Time passes; what the deadline brings."""
        end, said = self.now + seconds, []
        while (at := self.probes.deadline()) is not None and at <= end:
            self.now = max(self.now, at)
            said += self.look(reads=reads)
        self.now = end
        return said

    def look(self, *, reads: bool = True) -> list[ProbeEnded]:
        if reads:
            self.probes.drained(self.now)
        else:
            self.probes.unread()
        return self.probes.expired(self.now)


def test_no_answer_is_told_once_when_the_time_is_over() -> None:
    line = Line()
    line.ask(1)
    assert line.wait(4.99) == []
    assert line.wait(0.01) == [ProbeEnded(1, False, TIMEOUT)]
    assert line.wait(100.0) == []


@pytest.mark.parametrize("paused_for", [0.1, 3.0, 9.0, 29.0])
@pytest.mark.parametrize("paused_after", [0.0, 2.0, 4.9])
def test_while_nothing_is_read_its_time_does_not_run(paused_after: float, paused_for: float) -> None:
    line = Line()
    opaque = line.ask(1)
    assert line.wait(paused_after) == []
    line.probes.unread()
    assert line.probes.deadline() is None
    assert line.wait(paused_for, reads=False) == []
    assert line.look() == []
    assert line.wait(TIMEOUT - 0.1) == [], "what the server could not send meanwhile is on its way"
    assert line.probes.acked(opaque, line.now)[0].answered


def test_after_a_pause_a_dead_line_is_found_in_the_time_of_one_probe() -> None:
    line = Line()
    line.probes.unread()
    line.ask(1)
    assert line.wait(20.0, reads=False) == []
    line.look()
    (ended,) = line.wait(TIMEOUT)
    assert not ended.answered


@pytest.mark.parametrize("timeout", [0.5, 2.0, 5.0, 60.0])
@pytest.mark.parametrize("asleep", [0.5, 30.0, 86_400.0])
def test_who_was_not_there_when_the_time_was_over_gives_it_anew(timeout: float, asleep: float) -> None:
    line = Line()
    line.ask(1, timeout)
    line.now += timeout + asleep * timeout
    assert line.look() == []
    assert line.probes.deadline() == line.now + timeout
    assert line.wait(timeout) != []


def test_a_little_late_is_in_time() -> None:
    line = Line()
    line.ask(1)
    line.now += TIMEOUT + 1.0
    assert [ended.answered for ended in line.look()] == [False]


def test_bytes_of_a_map_answer_only_if_they_came_after_the_question() -> None:
    line = Line()
    line.ask(1)
    # These lay in the socket already: they may be from before a sleep.
    assert line.probes.map_moved(line.now) == []
    line.probes.drained(line.now)
    line.now += 1.0
    assert line.probes.map_moved(line.now) == [ProbeEnded(1, True, 1.0)]
    assert line.probes.map_moved(line.now) == []
    assert line.wait(60.0) == []


def test_the_same_question_put_again_is_asked_once_and_a_newer_one_takes_its_place() -> None:
    line = Line()
    first = line.ask(1)
    line.wait(3.0)
    assert line.ask(1) == first
    assert line.probes.deadline() == 105.0
    second = line.ask(2)
    assert second != first
    assert line.probes.acked(first, line.now) == []
    assert line.probes.acked(second, line.now) == [ProbeEnded(2, True, 0.0)]
    assert line.ask(1) != first, "its word may have got lost"


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["read", "pause", "sleep", "ask", "map"]),
        st.floats(0.01, 20.0),
    ),
    max_size=40,
)


@given(STEPS, st.sampled_from([0.5, 2.0, 5.0]))
def test_unanswered_means_read_to_its_end_for_the_whole_time(steps, timeout: float) -> None:
    """Of whatever happens: who is told unanswered was asked, and its socket read, all the time until just now."""
    line, token, attentive_since = Line(), 0, None
    for what, seconds in steps:
        ended: list[ProbeEnded] = []
        if what == "ask":
            token += 1
            line.ask(token, timeout)
            attentive_since = line.now
        elif what == "pause":
            ended = line.look(reads=False) + line.wait(seconds, reads=False)
            attentive_since = None
        elif what == "sleep":
            line.now += seconds
            ended = line.look()
            attentive_since = attentive_since if seconds <= timeout / 4 else line.now
        elif what == "map":
            line.probes.map_moved(line.now)
        else:
            line.probes.drained(line.now)
            attentive_since = line.now if attentive_since is None else attentive_since
            ended = line.wait(seconds)
        for one in ended:
            assert one.token == token
            assert not one.answered
            assert what in {"read", "sleep"}
            assert attentive_since is not None
    line.ask(token + 1, timeout)
    line.look()
    assert [one.answered for one in line.wait(timeout)] == [False], "the floor"
