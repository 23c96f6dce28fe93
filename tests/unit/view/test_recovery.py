"""The recovery from a fault: only changes are shown, in order."""

from __future__ import annotations

import msgspec
import pytest

from netmap_actors.wire.status import LastEnd, StatusReport
from netmap_supervisor.view.recovery import Recovery
from tests.support.netmaps.shown_netmap import actor, report


def fresh() -> StatusReport:
    return with_actors(report(state="fresh"))


def with_actors(base: StatusReport, **changes: object) -> StatusReport:
    return msgspec.structs.replace(base, actors=(actor("control_connection", **({"pid": 10} | changes)),))


def test_nothing_changed_is_nothing_told() -> None:
    recovery = Recovery(fresh())
    assert recovery.next(fresh()) == []
    assert recovery.well
    assert not recovery.replaced("control_connection")


def test_of_a_daemon_that_just_began_it_is_told_that_it_is_fresh_also_at_the_first_look() -> None:
    """It may be fresh before it is looked at."""
    for reports in ([fresh()], [with_actors(report(state="none")), fresh()]):
        recovery = Recovery()
        assert [line.split()[0] for one in reports for line in recovery.next(one)] == ["fresh"]
        assert recovery.next(fresh()) == []
    assert Recovery().next(with_actors(report(state="none"))) == []


def test_a_replaced_connection_is_told_from_stale_to_fresh() -> None:
    recovery = Recovery(fresh())
    end = LastEnd(reason="silence", stage="map", detail="no MapResponse for 120.0 s", at="", generation=1)
    gone = with_actors(report(state="stale"), pid=None, state="backoff", last_exit="signal 9")
    gone = msgspec.structs.replace(gone, connection=msgspec.structs.replace(gone.connection, last_end=end))
    lines = recovery.next(gone)
    assert [line.split()[0] for line in lines] == ["stale", "ended"]
    assert "silence: no MapResponse for 120.0 s" in lines[1]
    assert not recovery.well
    (line,) = recovery.next(with_actors(report(state="stale"), pid=11, restarts=1))
    assert line == "started     control_connection (pid 11)"
    (line,) = recovery.next(with_actors(report(state="fresh"), pid=11, restarts=1))
    assert line.startswith("fresh")
    assert recovery.well
    assert recovery.replaced("control_connection")


def test_a_replacement_between_two_looks_is_told_as_two_facts() -> None:
    lines = Recovery(fresh()).next(
        with_actors(report(state="fresh"), pid=11, restarts=1, last_exit="signal 9")
    )
    assert [line.split()[0] for line in lines] == ["ended", "started"]


@pytest.mark.parametrize(("part", "change"), [("connection", {"generation": 4}), ("netmap", {"epoch": 8})])
def test_a_netmap_that_was_stale_between_two_looks_is_told_to_be_fresh_again(part: str, change: dict) -> None:
    recovery = Recovery(fresh())
    after = with_actors(report(state="fresh"), pid=11, restarts=1, last_exit="signal 9")
    after = msgspec.structs.replace(after, **{part: msgspec.structs.replace(getattr(after, part), **change)})
    assert [line.split()[0] for line in recovery.next(after)] == ["ended", "started", "fresh"]
    assert recovery.next(after) == []
