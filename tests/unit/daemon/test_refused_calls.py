"""How many refused system calls are answered, and how the status tells of them."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from netmap_actors import shown_json
from netmap_actors.wire.status import StatusReport
from netmap_supervisor.cli.state.status import lines
from netmap_supervisor.daemon.refused_calls import BURST, PER_SECOND, Allowance
from tests.support.netmaps.shown_netmap import actor, report


@given(st.lists(st.floats(0.0, 10.0), max_size=300), st.floats(0.0, 1e6))
def test_nobody_is_answered_more_often_than_the_allowance(pauses: list[float], began: float) -> None:
    allowance, now, answered = Allowance(began), began, 0
    for pause in pauses:
        now += pause
        answered += allowance.take(now)
    assert answered <= BURST + PER_SECOND * (now - began) + 0.01
    assert answered >= min(len(pauses), BURST)


@given(st.floats(0.0, 1e6), st.integers(0, 500))
def test_whoever_waits_as_long_as_it_says_is_answered(began: float, before: int) -> None:
    allowance = Allowance(began)
    for _ in range(BURST + before):
        allowance.take(began)
    assert not allowance.take(began)
    assert began < allowance.next() <= began + 1.5 / PER_SECOND
    assert allowance.take(allowance.next() + 0.001)


def test_a_clock_that_stands_still_gives_nothing() -> None:
    allowance = Allowance(5.0)
    assert sum(allowance.take(5.0) for _ in range(1000)) == BURST
    assert not allowance.take(4.0)


def test_status_tells_what_was_refused_and_who_is_not_filtered() -> None:
    calls = {"socket": 2, "execve": 1}
    shown = report(
        actors=(
            actor("publisher", system_calls="counted", refused_calls=calls),
            actor("liveness", system_calls="off"),
            actor("http_endpoint", system_calls="refused"),
        )
    )
    text = "\n".join(lines(shown))
    assert "system calls of publisher: execve 1, socket 2" in text
    assert "may make any system call: liveness; the log says why" in text
    assert msgspec.json.decode(shown_json.encode(shown))["actors"][0]["refused_calls"] == calls


def test_a_report_of_a_version_that_did_not_tell_is_read() -> None:
    told = msgspec.json.decode(shown_json.encode(report(actors=(actor("publisher"),))))
    for row in told["actors"]:
        del row["system_calls"], row["refused_calls"]
    (row,) = msgspec.convert(told, StatusReport).actors
    assert (row.system_calls, row.refused_calls) == (None, {})
