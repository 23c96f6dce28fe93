"""Nothing but a complete MapResponse feeds the watchdog, and nothing else is needed to keep a session alive.

The real daemon against a scripted control server. The limit is short so that many cases fit; the default one runs
in test_black_hole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.servers.scripted import joined
from tests.support.waiting import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.histories.history import Scenes
    from tests.support.processes.daemon import Daemon
    from tests.support.servers.scripted import Control

pytestmark = pytest.mark.xdist_group("waits")

LIMIT = 4.0

NOT_FOOD = [
    "liveness/silence",
    "liveness/pings-only",
    "liveness/settings-only",
    "liveness/window-updates-only",
    pytest.param("liveness/empty-records", id="f09-empty_records"),
    pytest.param("liveness/half-frame", id="f19-half_frame"),
    "liveness/slow-drip",
]


@pytest.mark.parametrize("fault", NOT_FOOD)
def test_what_completes_no_map_response_does_not_delay_the_verdict(fault: str, recorded: Scenes) -> None:
    scene = recorded(silence=LIMIT)
    running = scene.daemon
    before = running.wait_fresh()
    watch = Stopwatch()
    scene.control.fault(fault)
    line = running.wait_event("silence_detected", limit=LIMIT + 8)
    assert LIMIT <= line["silent_for"] <= LIMIT + watch.allowed(1.0)
    killed = running.wait_event("child_killed", actor="control_connection")
    assert killed["pid"] == before["connection"]["pid"]
    scene.control.heal()
    after = scene.wait_back(before)
    assert after["connection"]["pid"] != before["connection"]["pid"]
    assert after["connection"]["local_address"] != before["connection"]["local_address"]
    assert after["connection"]["ended"]["silence"] == 1


def test_answered_probes_do_not_delay_the_verdict(control: Control, daemon: Callable[..., Daemon]) -> None:
    running = daemon(
        *joined(control), f"--silence-timeout={LIMIT}s", "--probe-interval=1s", "--log-level=debug"
    )
    running.wait_fresh()
    watch = Stopwatch()
    control.fault("liveness/pings-only")
    line = running.wait_event("silence_detected", limit=LIMIT + 8)
    assert LIMIT <= line["silent_for"] <= LIMIT + watch.allowed(1.0)
    assert running.events("probe_answered"), "the server answered PINGs all the time"


def test_f10_the_first_answer_is_waited_for_no_longer_than_any_other(recorded: Scenes) -> None:
    scene = recorded(silence=LIMIT, start=False)
    running = scene.daemon
    scene.control.fault("liveness/headers-never")
    watch = Stopwatch()
    running.start()
    line = running.wait_event("silence_detected", limit=LIMIT + 15)
    assert LIMIT <= line["silent_for"] <= LIMIT + watch.allowed(1.0)
    began = running.events("map_session_started")[0]
    assert LIMIT - watch.allowed(0.1) <= line["boottime"] - began["boottime"] <= LIMIT + watch.allowed(1.0), (
        "counted from the request"
    )
    scene.control.heal()
    assert running.wait_fresh()["connection"]["ended"]["silence"] >= 1


@pytest.mark.parametrize("fault", ["map/keep-alives-only", "map/deltas-only"])
def test_any_complete_map_response_keeps_the_session(
    fault: str, control: Control, daemon: Callable[..., Daemon]
) -> None:
    running = daemon(*joined(control), f"--silence-timeout={LIMIT}s")
    before = running.wait_fresh()
    control.fault(fault)
    after = running.wait_status(
        lambda status: status["connection"]["session_age_s"] > 3 * LIMIT,
        limit=3 * LIMIT + 10,
        what="a session three limits old",
    )
    assert after["connection"]["pid"] == before["connection"]["pid"]
    assert after["netmap"]["state"] == "fresh"
    assert after["netmap"]["age_s"] < LIMIT
    assert not any(after["connection"]["ended"].values())
